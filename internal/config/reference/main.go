// Command reference generates docs/configuration.md from the comments and types of the configuration. It is run in the folder
// internal/config, by go generate.
package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
)

//go:embed head.md
var head string

const page = "../../docs/configuration.md"

func main() {
	text, err := render(".")
	if err == nil {
		err = os.WriteFile(page, text, 0o644) //nolint:gosec // it is documentation, so it is readable for all
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// render returns the page. folder is internal/config.
func render(folder string) ([]byte, error) {
	comments, err := readComments(
		filepath.Join(folder, "config.go"), filepath.Join(folder, "secret.go"), filepath.Join(folder, "tls.go"), filepath.Join(folder, "authorize.go"),
		filepath.Join(folder, "../../activities/terms.go"))
	if err != nil {
		return nil, err
	}
	g := generator{comments: comments, defaults: computeDefaults()}
	g.codeWords = codeWords(reflect.TypeFor[config.Config](), "")
	g.out.WriteString(head)
	g.keys(reflect.TypeFor[config.Config](), "")
	g.secrets()
	return []byte(g.out.String()), g.err
}

type generator struct {
	comments  map[string]comment // by type, and by type.Field
	defaults  defaults
	codeWords map[string]bool
	out       strings.Builder
	err       error
}

// keys writes the keys of a struct, and then a section for each struct in it. prefix is the path of the struct with a dot.
func (g *generator) keys(of reflect.Type, prefix string) {
	for i := range of.NumField() {
		if field := of.Field(i); section(field.Type) == nil || field.Type.Kind() == reflect.Map {
			g.key(of, field, prefix)
		}
	}
	for i := range of.NumField() {
		field := of.Field(i)
		inner, path := section(field.Type), prefix+field.Tag.Get("yaml")
		switch {
		case inner == nil:
		case field.Type.Kind() == reflect.Map:
			path += "." + placeholder
			fmt.Fprintf(&g.out, "\n### `%s`\n", path)
			g.keys(inner, path+".")
		default:
			fmt.Fprintf(&g.out, "\n### `%s`\n", path)
			g.text(strings.TrimSpace(g.describe(of, field) + " " + g.comments[inner.Name()].rest()))
			g.keys(inner, path+".")
		}
	}
}

// key writes one key.
func (g *generator) key(of reflect.Type, field reflect.StructField, prefix string) {
	path := prefix + field.Tag.Get("yaml")
	about := g.comments[of.Name()+"."+field.Name]
	words, number := typeWords(field.Type)
	g.require(!number || about.unit != "", path, "a line Unit:")
	g.require((!number && field.Type != reflect.TypeFor[activities.Duration]()) || about.bounds != "", path, "a line Bounds:")
	line := "Type: " + words
	if about.unit != "" {
		line += " · Unit: " + g.code(about.unit)
	}
	if of != reflect.TypeFor[config.Secret]() && (field.Type.Kind() != reflect.Map || section(field.Type) == nil) {
		line += " · Default: " + g.defaults.of(path)
	}
	if about.bounds != "" {
		line += " · Bounds: " + g.code(about.bounds)
	}
	fmt.Fprintf(&g.out, "\n#### `%s`\n\n%s\n", path, line)
	g.text(g.describe(of, field))
}

// secrets writes the section about references to secrets.
func (g *generator) secrets() {
	fmt.Fprintf(&g.out, "\n### Secret references\n")
	secret := reflect.TypeFor[config.Secret]()
	g.text("A reference to a secret is a mapping with exactly one of these keys. " + g.comments[secret.Name()].rest())
	g.keys(secret, "")
}

// describe returns the comment of a field, with the name of its key.
func (g *generator) describe(of reflect.Type, field reflect.StructField) string {
	text, ok := strings.CutPrefix(g.comments[of.Name()+"."+field.Name].text, field.Name+" ")
	g.require(ok, of.Name()+"."+field.Name, "a comment that begins with its name")
	return "`" + field.Tag.Get("yaml") + "` " + text
}

func (g *generator) require(ok bool, path, want string) {
	if !ok && g.err == nil {
		g.err = fmt.Errorf("the comment of %s: want %s", path, want)
	}
}

// text writes a paragraph.
func (g *generator) text(paragraph string) {
	const width = 120
	g.out.WriteString("\n")
	column := 0
	for i, word := range strings.Fields(g.code(paragraph)) {
		switch length := len([]rune(word)); {
		case i == 0:
		case column+1+length > width:
			g.out.WriteString("\n")
			column = 0
		default:
			g.out.WriteString(" ")
			column++
		}
		g.out.WriteString(word)
		column += len([]rune(word))
	}
	g.out.WriteString("\n")
}
