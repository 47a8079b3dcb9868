package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/florinpay/florin/activities"
)

// Load reads a configuration file, fills in the defaults and validates it. Its error lists every problem, see [Problems]; each
// begins with the path. An unknown key is a problem.
func Load(path string, adapters Adapters) (Config, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	c, err := Parse(content, adapters)
	if err != nil {
		var problems []error
		for _, problem := range Problems(err) {
			problems = append(problems, fmt.Errorf("%s: %w", path, problem))
		}
		return Config{}, errors.Join(problems...)
	}
	return c, nil
}

// Parse is [Load] for the content of a file. While a value cannot be read, it does not validate the others, because its
// problems would be misleading.
func Parse(content []byte, adapters Adapters) (Config, error) {
	c, readable, err := decode(content)
	if !readable {
		return Config{}, err
	}
	c, invalid := c.Complete(adapters)
	return c, errors.Join(err, invalid)
}

// Problems returns the problems that an error of [Load], [Parse] or [Config.Complete] lists.
func Problems(err error) (problems []error) {
	list, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // the list itself, not one that an element wraps
	switch {
	case err == nil:
		return nil
	case !ok:
		return []error{err}
	}
	for _, one := range list.Unwrap() {
		problems = append(problems, Problems(one)...)
	}
	return problems
}

var errManyDocuments = errors.New("the file has more than one document: want one, without a line --- in between")

// decode reads YAML strictly: one document without unknown keys. Its error lists every problem with its line, but never quotes the
// line, because a secret may have been written where its reference belongs. readable reports whether c has the value of every
// known key of the file.
func decode(content []byte) (c Config, readable bool, err error) {
	file, err := parser.ParseBytes(content, 0)
	if err != nil {
		return c, false, decodeProblem(err)
	}
	problems := checkKeys(file)
	if len(problems) == 0 {
		decoder := yaml.NewDecoder(bytes.NewReader(content), yaml.Strict())
		switch err := decoder.Decode(&c); {
		case errors.Is(err, io.EOF):
			return c, false, errors.New("the file is empty: see examples/worker.yaml")
		case err == nil:
			if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
				return c, false, errManyDocuments
			}
			return c, true, nil
		}
	}
	if len(file.Docs) > 1 {
		return c, false, errManyDocuments
	}
	c, problems = decodeRest(file.Docs[0].Body, problems)
	slices.SortStableFunc(problems, func(a, b problem) int { return cmp.Compare(a.line(), b.line()) })
	readable = true
	var all []error
	for _, one := range problems {
		all = append(all, one)
		readable = readable && one.unknownKey
	}
	return c, readable, errors.Join(all...)
}

// decodeRest finds all problems of a document that has some. The YAML package stops at the first one, so each known problem is
// removed, together with its key, and the document is decoded again.
func decodeRest(document ast.Node, problems []problem) (Config, []problem) {
	for _, known := range problems {
		_, _ = removeKey(document, known.at)
	}
	for {
		var c Config
		err := yaml.NodeToValue(document, &c, yaml.Strict())
		if err == nil {
			return c, problems
		}
		found := decodeProblem(err)
		key, removed := removeKey(document, found.at)
		switch {
		case found.wrongKind && secretKeys[key]:
			found.message = key + ": want {env: NAME} or {file: PATH}, which refer to a secret"
		case found.wrongKind && removed:
			found.message = key + ": " + found.message
		}
		problems = append(problems, found)
		if !removed {
			return c, problems
		}
	}
}

// removeKey removes the innermost key that has a token, in its name or in its value, and returns the name. It reports whether
// there is one.
func removeKey(document ast.Node, at *token.Token) (name string, removed bool) {
	innermost := keySearch{at: at}
	ast.Walk(&innermost, document)
	if innermost.mapping == nil {
		return "", false
	}
	innermost.mapping.Values = slices.DeleteFunc(innermost.mapping.Values, func(pair *ast.MappingValueNode) bool { return pair == innermost.pair })
	return innermost.pair.Key.String(), true
}

// keySearch finds the innermost key that has a token.
type keySearch struct {
	at      *token.Token
	mapping *ast.MappingNode
	pair    *ast.MappingValueNode
}

// Visit implements ast.Visitor. Outer keys are visited before inner ones.
func (k *keySearch) Visit(node ast.Node) ast.Visitor {
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		return k
	}
	for _, pair := range mapping.Values {
		value := tokenSearch{at: k.at}
		ast.Walk(&value, pair.Value)
		if value.found || pair.Key.GetToken() == k.at {
			k.mapping, k.pair = mapping, pair
		}
	}
	return k
}

// tokenSearch finds whether a token belongs to a node.
type tokenSearch struct {
	at    *token.Token
	found bool
}

// Visit implements ast.Visitor.
func (s *tokenSearch) Visit(node ast.Node) ast.Visitor {
	s.found = s.found || node.GetToken() == s.at
	return s
}

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

// Error implements error.
func (p problem) Error() string {
	if p.at == nil {
		return p.message
	}
	return fmt.Sprintf("line %d: %s", p.line(), p.message)
}

// decodeProblem returns an error of the YAML package as a problem, without the source that the package quotes.
func decodeProblem(err error) problem {
	var located yaml.Error
	if !errors.As(err, &located) || located.GetToken() == nil {
		return problem{message: err.Error()}
	}
	found := problem{at: located.GetToken(), message: located.GetMessage()}
	var (
		unknownField *yaml.UnknownFieldError
		wrongType    *yaml.TypeError
		wrongNode    *yaml.UnexpectedNodeTypeError
		overflow     *yaml.OverflowError
	)
	switch {
	case errors.As(err, &unknownField):
		found.unknownKey = true
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

// renamedKeys are former names of keys.
var renamedKeys = map[string]string{"patience": "max_wait"}

// durationKeys are the keys whose value is a duration. They are checked before the rest is decoded, because the YAML package does
// not report the line of a text that fails to unmarshal.
var durationKeys = keysOf(reflect.TypeFor[activities.Duration]())

// secretKeys are the keys whose value is a reference to a secret, or a list of them.
var secretKeys = keysOf(reflect.TypeFor[Secret]())

// integerKeys are the keys whose value is a whole number.
var integerKeys = keysOf(reflect.TypeFor[int](), reflect.TypeFor[uint32]())

// keysOf returns the keys of a configuration whose value, or each element of it, has one of the types.
func keysOf(types ...reflect.Type) map[string]bool {
	found := map[string]bool{}
	var search func(reflect.Type)
	search = func(in reflect.Type) {
		switch in.Kind() {
		case reflect.Map, reflect.Slice:
			search(in.Elem())
		case reflect.Struct:
			for i := range in.NumField() {
				field := in.Field(i)
				if slices.Contains(types, field.Type) || field.Type.Kind() == reflect.Slice && slices.Contains(types, field.Type.Elem()) {
					found[field.Tag.Get("yaml")] = true
				} else {
					search(field.Type)
				}
			}
		default: // a plain value
		}
	}
	search(reflect.TypeFor[Config]())
	return found
}

// checkKeys finds what the YAML package accepts, does not locate, or crashes at: renamed keys, values that are not durations,
// fractions that would be cut off, and aliases inside their own anchor.
func checkKeys(file *ast.File) []problem {
	var check keyCheck
	for _, document := range file.Docs {
		ast.Walk(&check, document)
	}
	return check.problems
}

type keyCheck struct{ problems []problem }

// Visit implements ast.Visitor.
func (k *keyCheck) Visit(node ast.Node) ast.Visitor {
	switch node := node.(type) {
	case *ast.AnchorNode:
		inside := aliasSearch{name: node.Name.String()}
		ast.Walk(&inside, node.Value)
		for _, alias := range inside.found {
			k.add(alias, "alias %q is inside its own anchor", inside.name)
		}
	case *ast.MappingValueNode:
		k.check(node)
	}
	return k
}

func (k *keyCheck) check(pair *ast.MappingValueNode) {
	key := pair.Key.String()
	if renamed, ok := renamedKeys[key]; ok {
		k.add(pair.Key, "%s was renamed: write %s", key, renamed)
	}
	value := pair.Value
	if anchor, ok := value.(*ast.AnchorNode); ok {
		value = anchor.Value
	}
	switch value.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
	default:
		return
	}
	text := value.GetToken().Value
	if durationKeys[key] {
		var parsed activities.Duration
		if err := parsed.UnmarshalText([]byte(text)); err != nil {
			k.add(value, "%s %s", key, err)
		}
	}
	if float, ok := value.(*ast.FloatNode); ok && integerKeys[key] && float.Value != math.Trunc(float.Value) {
		k.add(value, "%s: want a whole number, not %s", key, text)
	}
}

func (k *keyCheck) add(at ast.Node, format string, args ...any) {
	k.problems = append(k.problems, problem{at: at.GetToken(), message: fmt.Sprintf(format, args...)})
}

// aliasSearch finds the aliases of an anchor.
type aliasSearch struct {
	name  string
	found []ast.Node
}

// Visit implements ast.Visitor.
func (s *aliasSearch) Visit(node ast.Node) ast.Visitor {
	if alias, ok := node.(*ast.AliasNode); ok && alias.Value.String() == s.name {
		s.found = append(s.found, alias)
	}
	return s
}
