package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/florinpay/florin/activities"
)

// Load reads a configuration file, fills in the defaults and validates it. An unknown key is an error that names its line.
func Load(path string, adapters Adapters) (Config, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	c, err := Parse(content, adapters)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Parse is [Load] for the content of a file.
func Parse(content []byte, adapters Adapters) (Config, error) {
	c, err := decode(content)
	if err != nil {
		return Config{}, err
	}
	return c.Complete(adapters)
}

// decode reads YAML strictly: one document without unknown keys. Its errors name the line but never quote it, because a secret may
// have been written where its reference belongs.
func decode(content []byte) (c Config, err error) {
	file, err := parser.ParseBytes(content, 0)
	if err != nil {
		return c, located(err)
	}
	if err := checkKeys(file); err != nil {
		return c, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content), yaml.Strict())
	switch err := decoder.Decode(&c); {
	case errors.Is(err, io.EOF):
		return c, errors.New("the file is empty: see examples/worker.yaml")
	case err != nil:
		return c, located(err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return c, errors.New("the file has more than one document: want one, without a line --- in between")
	}
	return c, nil
}

// located returns an error of the YAML package as one line, without the source.
func located(err error) error {
	var problem yaml.Error
	if !errors.As(err, &problem) || problem.GetToken() == nil {
		return err
	}
	message := problem.GetMessage()
	var wrongType *yaml.TypeError
	if errors.As(err, &wrongType) {
		message = fmt.Sprintf("want %s, not %s", wrongType.DstType.Kind(), wrongType.SrcType.Kind())
	}
	return fmt.Errorf("line %d: %s", problem.GetToken().Position.Line, message)
}

// renamedKeys are former names of keys.
var renamedKeys = map[string]string{"patience": "max_wait"}

// durationKeys are the keys whose value is a duration. They are checked before the rest is decoded, because the YAML package does
// not report the line of a text that fails to unmarshal.
var durationKeys = durationKeysOf(reflect.TypeFor[Config](), map[string]bool{})

// durationKeysOf adds the keys below one type to found.
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

func checkKeys(file *ast.File) error {
	var check keyCheck
	for _, document := range file.Docs {
		ast.Walk(&check, document)
	}
	return errors.Join(check.problems...)
}

type keyCheck struct{ problems []error }

// Visit implements ast.Visitor.
func (k *keyCheck) Visit(node ast.Node) ast.Visitor {
	pair, ok := node.(*ast.MappingValueNode)
	if !ok {
		return k
	}
	key := pair.Key.String()
	if renamed, ok := renamedKeys[key]; ok {
		k.problems = append(k.problems, fmt.Errorf("line %d: %s was renamed: write %s", pair.Key.GetToken().Position.Line, key, renamed))
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
			k.problems = append(k.problems, fmt.Errorf("line %d: %s %w", value.GetToken().Position.Line, pair.Key, err))
		}
	}
	return k
}
