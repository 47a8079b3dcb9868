package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// problem is a problem of one line.
type problem struct {
	at         *token.Token // nil: not known
	message    string
	unknownKey bool
	wrongKind  bool // such as a text where a number belongs
}

func (p problem) line() int {
	if p.at == nil {
		return 0
	}
	return p.at.Position.Line
}

func (p problem) column() int {
	if p.at == nil {
		return 0
	}
	return p.at.Position.Column
}

// Error implements error.
func (p problem) Error() string {
	if p.at == nil {
		return p.message
	}
	return fmt.Sprintf("line %d: %s", p.line(), p.message)
}

// syntaxProblem returns an error of the YAML parser as a problem. Of the texts that the parser quotes, only names of keys remain:
// what belongs to which key is not known.
func syntaxProblem(err error) problem {
	found := decodeProblem(err)
	found.message = quoted.ReplaceAllStringFunc(found.message, func(text string) string {
		if knownKeys[strings.Trim(text, `"`)] {
			return text
		}
		return "here"
	})
	return found
}

// quoted is everything between the first and the last quotation mark.
var quoted = regexp.MustCompile(`(?s)".*"`)

// keyName is what may be the name of a key, rather than a secret.
var keyName = regexp.MustCompile(`^[A-Za-z][A-Za-z_-]{0,23}$`)

// decodeProblem returns an error of the YAML package as a problem, without the source that the package quotes.
func decodeProblem(err error) problem {
	var located yaml.Error
	if !errors.As(err, &located) || located.GetToken() == nil {
		if errors.Is(err, yaml.ErrExceededMaxDepth) {
			return problem{message: "the YAML is nested too deeply"}
		}
		return problem{message: "the YAML cannot be decoded: is an alias used before its anchor, or is what is merged not a mapping?"}
	}
	found := problem{at: located.GetToken(), message: located.GetMessage()}
	var (
		duplicate    *yaml.DuplicateKeyError
		unknownField *yaml.UnknownFieldError
		wrongType    *yaml.TypeError
		wrongNode    *yaml.UnexpectedNodeTypeError
		overflow     *yaml.OverflowError
	)
	switch {
	case errors.As(err, &duplicate):
		found.message = "duplicate key"
		if name := found.at.Value; keyName.MatchString(name) {
			found.message += fmt.Sprintf(" %q", name)
		}
	case errors.As(err, &unknownField):
		found.unknownKey = true
		found.message = "unknown field"
		if name := found.at.Value; keyName.MatchString(name) {
			found.message += fmt.Sprintf(" %q", name)
		}
	case errors.As(err, &wrongType):
		found.wrongKind = true
		found.message = fmt.Sprintf("want %s, not %s", kindName(wrongType.DstType.Kind()), kindName(wrongType.SrcType.Kind()))
	case errors.As(err, &wrongNode):
		found.wrongKind = true
		found.message = fmt.Sprintf("want %s, not %s", nodeName(wrongNode.Expected), nodeName(wrongNode.Actual))
	case errors.As(err, &overflow):
		found.wrongKind = true
		found.message = overflow.SrcNum + " is out of range"
	}
	return found
}

// kindName returns what a configuration file calls a kind of Go.
func kindName(kind reflect.Kind) string {
	switch kind {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a mapping"
	default:
		return kind.String()
	}
}

// nodeName returns what a configuration file calls a kind of YAML node.
func nodeName(node ast.NodeType) string {
	switch node {
	case ast.MappingType, ast.MappingValueType:
		return "a mapping"
	case ast.SequenceType:
		return "a list"
	case ast.StringType, ast.LiteralType:
		return "a text"
	case ast.IntegerType, ast.FloatType:
		return "a number"
	case ast.BoolType:
		return "true or false"
	default:
		return node.YAMLName()
	}
}
