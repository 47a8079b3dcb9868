package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"strings"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
)

// comment is the comment of a type or a field, in one line.
type comment struct{ text, unit, bounds string }

// rest returns the text without its first sentence, which introduces the type to readers of the code.
func (c comment) rest() string {
	_, rest, _ := strings.Cut(c.text, ". ")
	return rest
}

// readComments returns the comments of the structs in Go files, by the name of the type, and of their fields, by Type.Field.
func readComments(files ...string) (map[string]comment, error) {
	comments := map[string]comment{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, declaration := range file.Decls {
			types, ok := declaration.(*ast.GenDecl)
			if !ok || types.Tok != token.TYPE {
				continue
			}
			for _, spec := range types.Specs {
				named, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				of, ok := named.Type.(*ast.StructType)
				if !ok {
					continue
				}
				comments[named.Name.Name] = parseComment(types.Doc.Text())
				for _, field := range of.Fields.List {
					for _, name := range field.Names {
						comments[named.Name.Name+"."+name.Name] = parseComment(field.Doc.Text())
					}
				}
			}
		}
	}
	return comments, nil
}

// parseComment separates the lines that begin with Unit: and Bounds:. Only the first paragraph counts.
func parseComment(doc string) comment {
	var c comment
	part := &c.text
	paragraph, _, _ := strings.Cut(doc, "\n\n")
	for line := range strings.Lines(paragraph) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "Unit: "); ok {
			part, line = &c.unit, rest
		} else if rest, ok := strings.CutPrefix(line, "Bounds: "); ok {
			part, line = &c.bounds, rest
		}
		*part = strings.TrimSpace(*part + " " + line)
	}
	c.unit, c.bounds = strings.TrimSuffix(c.unit, "."), strings.TrimSuffix(c.bounds, ".")
	return c
}

// placeholder stands for the name of a processor in a path.
const placeholder = "<name>"

// section returns the struct whose fields are keys below a key of the given type. Nil: the key has a plain value.
func section(of reflect.Type) reflect.Type {
	switch {
	case of.Kind() == reflect.Map && of.Elem().Kind() == reflect.Struct:
		return of.Elem()
	case of.Kind() == reflect.Struct && of != reflect.TypeFor[config.Secret]():
		return of
	default:
		return nil
	}
}

// typeWords describes a type, and reports whether it is a number, which needs a unit.
func typeWords(of reflect.Type) (words string, number bool) {
	switch of {
	case reflect.TypeFor[activities.Duration]():
		return "duration, such as `30s`", false
	case reflect.TypeFor[config.Secret]():
		return "[secret reference](#secret-references) `{env: NAME}` or `{file: PATH}`", false
	case reflect.TypeFor[[]config.Secret]():
		return "list of [secret references](#secret-references)", false
	}
	switch of.Kind() {
	case reflect.String:
		return "text", false
	case reflect.Bool:
		return "`true` or `false`", false
	case reflect.Int, reflect.Uint32:
		return "integer", true
	case reflect.Float64:
		return "number", true
	case reflect.Pointer:
		return typeWords(of.Elem())
	case reflect.Slice:
		return "list of texts", false
	case reflect.Map:
		if section(of) == nil {
			return "mapping of texts to texts", false
		}
		return "mapping", false
	default:
		return of.String(), false
	}
}

// codeWords returns what is formatted as code: keys with an underscore, and paths of keys.
func codeWords(of reflect.Type, prefix string) map[string]bool {
	words := map[string]bool{}
	for i := range of.NumField() {
		key := of.Field(i).Tag.Get("yaml")
		if strings.Contains(key, "_") {
			words[key] = true
		}
		if prefix != "" {
			words[prefix+"."+key] = true
		}
		if inner := section(of.Field(i).Type); inner != nil {
			if of.Field(i).Type.Kind() == reflect.Map {
				key = "" // paths within one processor begin below its name
			}
			for word := range codeWords(inner, key) {
				words[word] = true
			}
		}
	}
	return words
}

var word = regexp.MustCompile(`[A-Za-z_]+(\.[a-z_]+)*`)

// code formats the keys in a text as code, outside of what is code already.
func (g *generator) code(text string) string {
	parts := strings.Split(text, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = word.ReplaceAllStringFunc(parts[i], func(found string) string {
			if g.codeWords[found] {
				return "`" + found + "`"
			}
			return found
		})
	}
	return strings.Join(parts, "`")
}
