package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
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
		removeKey(document, known.at)
	}
	for {
		var c Config
		err := yaml.NodeToValue(document, &c, yaml.Strict())
		if err == nil {
			return c, problems
		}
		found := decodeProblem(err)
		problems = append(problems, found)
		if !removeKey(document, found.at) {
			return c, problems
		}
	}
}

// removeKey removes the innermost key that has a token, in its name or in its value. It reports whether there is one.
func removeKey(document ast.Node, at *token.Token) bool {
	innermost := keySearch{at: at}
	ast.Walk(&innermost, document)
	if innermost.mapping == nil {
		return false
	}
	innermost.mapping.Values = slices.DeleteFunc(innermost.mapping.Values, func(pair *ast.MappingValueNode) bool { return pair == innermost.pair })
	return true
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
	var wrongType *yaml.TypeError
	if errors.As(err, &wrongType) {
		found.message = fmt.Sprintf("want %s, not %s", wrongType.DstType.Kind(), wrongType.SrcType.Kind())
	}
	var unknownField *yaml.UnknownFieldError
	found.unknownKey = errors.As(err, &unknownField)
	return found
}

// renamedKeys are former names of keys.
var renamedKeys = map[string]string{"patience": "max_wait"}

// durationKeys are the keys whose value is a duration. They are checked before the rest is decoded, because the YAML package does
// not report the line of a text that fails to unmarshal.
var durationKeys = durationKeysOf(reflect.TypeFor[Config](), map[string]bool{})

// durationKeysOf adds the keys of durations in a type to found, and returns it.
func durationKeysOf(one reflect.Type, found map[string]bool) map[string]bool {
	switch one.Kind() {
	case reflect.Map, reflect.Slice:
		return durationKeysOf(one.Elem(), found)
	case reflect.Struct:
		for i := range one.NumField() {
			if field := one.Field(i); field.Type == reflect.TypeFor[activities.Duration]() {
				found[field.Tag.Get("yaml")] = true
			} else {
				durationKeysOf(field.Type, found)
			}
		}
	default: // a plain value
	}
	return found
}

// checkKeys finds renamed keys and values that are not durations.
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
	pair, ok := node.(*ast.MappingValueNode)
	if !ok {
		return k
	}
	key := pair.Key.String()
	if renamed, ok := renamedKeys[key]; ok {
		k.problems = append(k.problems, problem{at: pair.Key.GetToken(), message: fmt.Sprintf("%s was renamed: write %s", key, renamed)})
	}
	if !durationKeys[key] {
		return k
	}
	value := pair.Value
	if anchor, ok := value.(*ast.AnchorNode); ok {
		value = anchor.Value
	}
	switch value.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		var parsed activities.Duration
		if err := parsed.UnmarshalText([]byte(value.GetToken().Value)); err != nil {
			k.problems = append(k.problems, problem{at: value.GetToken(), message: fmt.Sprintf("%s %s", pair.Key, err)})
		}
	}
	return k
}
