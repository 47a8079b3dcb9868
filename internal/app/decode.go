package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/florinpay/florin/activities"
)

// decode reads the YAML of a configuration strictly: one document, and no key that means nothing. Its errors
// name the line but never quote it: somebody may have put a secret where its reference belongs.
func decode(content []byte) (c Config, err error) {
	file, err := parser.ParseBytes(content, 0)
	if err != nil {
		return c, located(err)
	}
	if err := checkDurations(file); err != nil {
		return c, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content), yaml.Strict())
	switch err := decoder.Decode(&c); {
	case errors.Is(err, io.EOF):
		return c, errors.New("the file is empty: examples/worker.yaml shows what belongs into it")
	case err != nil:
		return c, located(err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return c, errors.New("the file has more than one document: want one, without a line --- between")
	}
	return c, nil
}

// located puts an error of the YAML package on one line, without the source around it.
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

// durationKeys are the keys whose value is a duration, wherever they are. They are checked before the rest is
// decoded: the YAML package loses the line of a text that does not unmarshal.
var durationKeys = []string{
	"idle_timeout", "stop_timeout", "http_timeout", "start_to_close", "schedule_to_close", "key_lifetime", "absence_proof_after", "authorization_for",
	"initial", "max", "for", "longest_wait", "patience", "window", "open_for", "slow_call",
}

func checkDurations(file *ast.File) error {
	var check durationCheck
	for _, document := range file.Docs {
		ast.Walk(&check, document)
	}
	return errors.Join(check.problems...)
}

type durationCheck struct{ problems []error }

// Visit implements ast.Visitor.
func (d *durationCheck) Visit(node ast.Node) ast.Visitor {
	pair, ok := node.(*ast.MappingValueNode)
	if !ok || !slices.Contains(durationKeys, pair.Key.String()) {
		return d
	}
	value := pair.Value
	if anchor, ok := value.(*ast.AnchorNode); ok {
		value = anchor.Value
	}
	switch value.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		var parsed activities.Duration
		if err := parsed.UnmarshalText([]byte(value.GetToken().Value)); err != nil {
			d.problems = append(d.problems, fmt.Errorf("line %d: %s %w", value.GetToken().Position.Line, pair.Key, err))
		}
	}
	return d
}
