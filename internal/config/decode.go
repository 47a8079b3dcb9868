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

const (
	// maxSize is the size limit of a configuration, in bytes.
	maxSize = 128 << 10
	// maxNesting is how deep brackets and lists may be nested: the time of the YAML parser grows with the square of the depth.
	maxNesting = 100
	// maxNodes is how many values a configuration may have, where an alias counts as often as its anchor has values: a few lines
	// with aliases of aliases stand for billions of values.
	maxNodes = 50_000
	// maxProblems is how many problems are searched for, because the document is decoded again for each of them.
	maxProblems = 100
)

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it is only read
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("%s has more than %d bytes: it is another file", path, limit)
	}
	return content, err
}

// Load reads a configuration file, fills in the defaults and validates it. Its error lists every problem, see [Problems]; each
// begins with the path. An unknown key is a problem.
func Load(path string, adapters Adapters) (Config, error) {
	content, err := readFile(path, maxSize)
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
		return Config{}, withoutSecrets(err)
	}
	c, invalid := c.Complete(adapters)
	return c, withoutSecrets(errors.Join(err, invalid))
}

// withoutSecrets applies withhold to each problem.
func withoutSecrets(err error) error {
	problems := Problems(err)
	for i, problem := range problems {
		problems[i] = withhold(problem)
	}
	return errors.Join(problems...)
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
// line or a value where a reference to a secret belongs, because it may be the secret. readable reports whether c has the value of
// every known key of the file.
func decode(content []byte) (c Config, readable bool, err error) {
	if len(content) > maxSize {
		return c, false, fmt.Errorf("the file has more than %d bytes", maxSize)
	}
	if tooDeep(content) {
		return c, false, fmt.Errorf("the file is nested more than %d levels deep", maxNesting)
	}
	file, err := parser.ParseBytes(content, 0)
	if err != nil {
		return c, false, syntaxProblem(err)
	}
	if countNodes(file) > maxNodes {
		return c, false, fmt.Errorf("the file has more than %d values, where an alias counts as often as its anchor has values",
			maxNodes)
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
	c, readable, problems = decodeRest(file.Docs[0].Body, problems)
	slices.SortStableFunc(problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.line(), b.line()), cmp.Compare(a.column(), b.column()))
	})
	var all []error
	for _, one := range problems {
		all = append(all, one)
		readable = readable && one.unknownKey
	}
	return c, readable, errors.Join(all...)
}

// decodeRest finds all problems of a document that has some. The YAML package stops at the first one, so each known problem is
// removed, together with its key, and the document is decoded again. complete reports whether c has everything else.
func decodeRest(document ast.Node, problems []problem) (c Config, complete bool, all []problem) {
	if len(problems) >= maxProblems {
		return Config{}, false, problems
	}
	for _, known := range problems {
		if !findKey(document, known.at).remove() {
			return Config{}, false, problems // decoding would find the problem again, or never end at an alias inside its own anchor
		}
	}
	for {
		var c Config
		err := yaml.NodeToValue(document, &c, yaml.Strict())
		if err == nil {
			return c, true, problems
		}
		found := decodeProblem(err)
		key := findKey(document, found.at)
		switch {
		case key.secret != "" && !found.unknownKey:
			found.message = wantReference(key.secret)
		case found.wrongKind && key.pair != nil:
			found.message = key.pair.Key.String() + ": " + found.message
		}
		problems = append(problems, found)
		if !key.remove() || len(problems) >= maxProblems {
			return c, false, problems
		}
	}
}

// wantReference is the problem of everything that is below the key of a secret and is no reference. It quotes nothing of it.
func wantReference(key string) string {
	return key + ": want {env: NAME} or {file: PATH}, which refer to a secret"
}

// findKey returns the innermost key that has a token, in its name or in its value.
func findKey(document ast.Node, at *token.Token) *keySearch {
	search := &keySearch{at: at}
	ast.Walk(search, document)
	return search
}

// keySearch finds the innermost key that has a token.
type keySearch struct {
	at      *token.Token
	mapping *ast.MappingNode
	pair    *ast.MappingValueNode // nil: there is none
	// secret is the key of a secret that has the token in its value; empty if there is none.
	secret string
}

// remove removes the key, together with its value. It reports whether there is one.
func (k *keySearch) remove() bool {
	if k.pair == nil {
		return false
	}
	k.mapping.Values = slices.DeleteFunc(k.mapping.Values, func(pair *ast.MappingValueNode) bool { return pair == k.pair })
	return true
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
		if key := pair.Key.String(); value.found && k.secret == "" && secretKeys[key] {
			k.secret = key
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

// tooDeep reports whether more than maxNesting brackets are open at any place, even in a text, or a line begins with more dashes.
func tooDeep(content []byte) bool {
	open := 0
	for line := range bytes.Lines(content) {
		for _, c := range line {
			switch c {
			case '[', '{':
				open++
			case ']', '}':
				open = max(0, open-1)
			}
			if open > maxNesting {
				return true
			}
		}
		dashes := 0
		for rest, found := bytes.CutPrefix(bytes.TrimLeft(line, " "), []byte("- ")); found; dashes++ {
			rest, found = bytes.CutPrefix(bytes.TrimLeft(rest, " "), []byte("- "))
		}
		if dashes > maxNesting {
			return true
		}
	}
	return false
}

// countNodes returns how many values a file has, where an alias counts as often as its anchor has values, or a number above
// maxNodes.
func countNodes(file *ast.File) int {
	count := nodeCount{anchors: map[string]int{}}
	total := 0
	for _, document := range file.Docs {
		total += count.of(document)
	}
	return total
}

// nodeCount has the numbers of values of the anchors that were counted, by name.
type nodeCount struct{ anchors map[string]int }

func (c nodeCount) of(node ast.Node) int {
	n := 1
	switch node := node.(type) {
	case *ast.DocumentNode:
		n += c.of(node.Body)
	case *ast.MappingNode:
		for _, pair := range node.Values {
			n += c.of(pair)
		}
	case *ast.MappingValueNode:
		n += c.of(node.Key) + c.of(node.Value)
	case *ast.SequenceNode:
		for _, value := range node.Values {
			n += c.of(value)
		}
	case *ast.TagNode:
		n += c.of(node.Value)
	case *ast.AnchorNode:
		n += c.of(node.Value)
		c.anchors[node.Name.String()] = n
	case *ast.AliasNode:
		n += c.anchors[node.Value.String()]
	default: // a plain value
	}
	return min(n, maxNodes+1)
}
