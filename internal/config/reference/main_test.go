package main

import (
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
)

const folder = ".."

func TestPageIsWhatTheCodeGenerates(t *testing.T) {
	want, err := render(folder)
	require.NoError(t, err)
	got, err := os.ReadFile("../" + page)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "docs/configuration.md is out of date: run go generate ./internal/config")
}

func TestExamplesOnThePageAreValid(t *testing.T) {
	content, err := os.ReadFile("../" + page)
	require.NoError(t, err)
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(content), -1)
	require.NotEmpty(t, examples)
	for _, example := range examples {
		_, err := config.Parse([]byte(example[1]), app.BuiltIn)
		require.NoError(t, err, example[1])
	}
}

func TestPageHasNoHTMLByAccident(t *testing.T) {
	content, err := render(folder)
	require.NoError(t, err)
	text := regexp.MustCompile("(?s)^<!--.*?-->|```.*?```|`[^`]*`").ReplaceAllString(string(content), "")
	for line := range strings.Lines(text) {
		require.NotRegexp(t, `<[A-Za-z/]`, line)
	}
}

// visitNumbers calls visit for each key of a number or a duration, with the struct that it is a field of.
func visitNumbers(visit func(path string, of reflect.Type, field reflect.StructField)) {
	var walk func(reflect.Type, string)
	walk = func(of reflect.Type, prefix string) {
		for i := range of.NumField() {
			field := of.Field(i)
			path := prefix + field.Tag.Get("yaml")
			switch inner := section(field.Type); {
			case inner != nil && field.Type.Kind() == reflect.Map:
				walk(inner, path+"."+placeholder+".")
			case inner != nil:
				walk(inner, path+".")
			default:
				kind := field.Type.Kind()
				if kind == reflect.Pointer {
					kind = field.Type.Elem().Kind()
				}
				switch kind {
				case reflect.Int, reflect.Int64, reflect.Float64:
					visit(path, of, field)
				default: // an unsigned number is never below its bound: the decoder refuses it
				}
			}
		}
	}
	walk(reflect.TypeFor[config.Config](), "")
}

// setting is a valid configuration in which one value can be changed.
type setting struct {
	config    config.Config
	processor config.Processor
}

func newSetting(t *testing.T) *setting {
	t.Helper()
	c, err := config.Parse([]byte(
		"processors: {acme: {adapter: rest, base_url: https://acme.example, api_key: {env: KEY}, rate_limit: {per_second: 9}}}\n"+
			"authorize: {audience: florin, secret: {env: SECRET}}"), app.BuiltIn)
	require.NoError(t, err)
	return &setting{config: c, processor: c.Processors["acme"]}
}

// at returns the value of a path.
func (s *setting) at(path string) reflect.Value {
	value := reflect.ValueOf(&s.config).Elem()
	if rest, ok := strings.CutPrefix(path, "processors."+placeholder+"."); ok {
		value, path = reflect.ValueOf(&s.processor).Elem(), rest
	}
	for key := range strings.SplitSeq(path, ".") {
		if !value.IsValid() || value.Kind() != reflect.Struct {
			return reflect.Value{}
		}
		value = value.FieldByNameFunc(func(name string) bool {
			field, _ := value.Type().FieldByName(name)
			return field.Tag.Get("yaml") == key
		})
	}
	if value.Kind() == reflect.Pointer {
		return value.Elem()
	}
	return value
}

func (s *setting) complete() error {
	s.config.Processors = map[string]config.Processor{"acme": s.processor}
	_, err := s.config.Complete(app.BuiltIn)
	return err
}

// number returns a value as a number, a duration in nanoseconds.
func number(value reflect.Value) float64 {
	if value.CanInt() {
		return float64(value.Int())
	}
	return value.Float()
}

func set(value reflect.Value, to float64) {
	if value.CanInt() {
		value.SetInt(int64(to))
	} else {
		value.SetFloat(to)
	}
}

// step is the smallest difference that matters.
func step(value reflect.Value) float64 {
	if value.Type() == reflect.TypeFor[activities.Duration]() {
		return float64(time.Millisecond)
	}
	if value.CanInt() {
		return 1
	}
	return 0.001
}

var clause = regexp.MustCompile(`^(above|at least|at most|shorter than|longer than) ([a-z0-9_.` + "`" + `]+)( lookups)?`)

// TestBoundsInTheCommentsAreEnforced sets each number and duration to a value outside of each bound that its comment states.
func TestBoundsInTheCommentsAreEnforced(t *testing.T) {
	comments, err := readComments("../config.go", "../secret.go", "../tls.go", "../authorize.go", "../../../activities/terms.go")
	require.NoError(t, err)
	checked := 0
	visitNumbers(func(path string, of reflect.Type, field reflect.StructField) {
		bounds := comments[of.Name()+"."+field.Name].bounds
		bounds = strings.ReplaceAll(bounds, " and ", ", shorter than ") // as in: shorter than a and b
		for bound := range strings.SplitSeq(bounds, ", ") {
			match := clause.FindStringSubmatch(bound)
			if match == nil || match[3] != "" {
				require.Equal(t, "at most 5000 lookups in all", bound)
				continue
			}
			checked++
			t.Run(path+" "+bound, func(t *testing.T) {
				s := newSetting(t)
				value := s.at(path)
				require.True(t, value.IsValid())
				outside := limitOf(t, s, path, match[2])
				switch match[1] {
				case "at least":
					outside -= step(value)
				case "at most":
					outside += step(value)
				}
				if outside == 0 { // 0 stands for the default
					outside = -step(value)
				}
				set(value, outside)
				key := path[strings.LastIndex(path, ".")+1:]
				require.ErrorContains(t, s.complete(), key, "%s = %v", path, value)
			})
		}
	})
	require.Greater(t, checked, 30)
}

// limitOf returns the limit that a bound names: a number, a duration, or another key.
func limitOf(t *testing.T, s *setting, path, text string) float64 {
	t.Helper()
	text = strings.Trim(text, "`")
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return n
	}
	if d, err := time.ParseDuration(text); err == nil {
		return float64(d)
	}
	for _, other := range []string{path[:strings.LastIndex(path, ".")+1] + text, "processors." + placeholder + "." + text, text} {
		if value := s.at(other); value.IsValid() {
			return number(value)
		}
	}
	require.FailNow(t, "no key "+text)
	return 0
}
