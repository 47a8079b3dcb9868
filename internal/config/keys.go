package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/florinpay/florin/activities"
)

// renamedKeys are former names of keys.
var renamedKeys = map[string]string{"patience": "max_wait"}

// durationKeys are the keys whose value is a duration. They are checked before the rest is decoded, because the YAML package does
// not report the line of a text that fails to unmarshal.
var durationKeys = keysOf(reflect.TypeFor[activities.Duration]())

// secretKeys are the keys whose value is a reference to a secret, or a list of them.
var secretKeys = keysOf(reflect.TypeFor[Secret]())

// integerKeys are the keys whose value is a whole number.
var integerKeys = keysOf(reflect.TypeFor[int](), reflect.TypeFor[uint32]())

// keysOf returns the keys of a configuration whose value, or each element of it, or what it points to, has one of the types.
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
				of := field.Type
				if of.Kind() == reflect.Slice || of.Kind() == reflect.Pointer {
					of = of.Elem()
				}
				if slices.Contains(types, of) {
					found[field.Tag.Get("yaml")] = true
				} else {
					search(of)
				}
			}
		default: // a plain value
		}
	}
	search(reflect.TypeFor[Config]())
	return found
}

// knownKeys are all keys.
var knownKeys = func() map[string]bool {
	known := map[string]bool{}
	var search func(reflect.Type)
	search = func(in reflect.Type) {
		switch in.Kind() {
		case reflect.Map, reflect.Slice:
			search(in.Elem())
		case reflect.Struct:
			for i := range in.NumField() {
				known[in.Field(i).Tag.Get("yaml")] = true
				search(in.Field(i).Type)
			}
		default: // a plain value
		}
	}
	search(reflect.TypeFor[Config]())
	return known
}()

// checkKeys finds what the YAML package accepts, does not locate, or crashes at: renamed keys, values that are not durations,
// fractions that would be cut off, aliases inside their own anchor, and tags.
func checkKeys(file *ast.File) []problem {
	var problems []problem
	for _, document := range file.Docs {
		ast.Walk(keyCheck{problems: &problems}, document)
	}
	return problems
}

type keyCheck struct {
	problems *[]problem
	// secret is the key of a secret below which the nodes are; empty if there is none.
	secret string
}

// Visit implements ast.Visitor.
func (k keyCheck) Visit(node ast.Node) ast.Visitor {
	switch node := node.(type) {
	case *ast.AnchorNode:
		inside := aliasSearch{name: node.Name.String()}
		ast.Walk(&inside, node.Value)
		for _, alias := range inside.found {
			k.add(alias, "alias %q is inside its own anchor", inside.name)
		}
	case *ast.TagNode:
		k.add(node, "a tag, which begins with !, is not supported")
	case *ast.MappingValueNode:
		k.check(node)
		if key := node.Key.String(); k.secret == "" && secretKeys[key] {
			k.secret = key
		}
	}
	return k
}

func (k keyCheck) check(pair *ast.MappingValueNode) {
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

func (k keyCheck) add(at ast.Node, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if k.secret != "" {
		message = wantReference(k.secret)
	}
	*k.problems = append(*k.problems, problem{at: at.GetToken(), message: message})
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
