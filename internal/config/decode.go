package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
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
	list, ok := err.(interface{ Unwrap() []error }) // not errors.As: a problem may wrap a list
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
	slices.SortStableFunc(problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.line(), b.line()), cmp.Compare(a.column(), b.column()))
	})
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
	innermost.mapping.Values = slices.DeleteFunc(innermost.mapping.Values, func(pair *ast.MappingValueNode) bool {
		return pair == innermost.pair
	})
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
