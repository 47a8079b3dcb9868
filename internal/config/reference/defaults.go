package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/processor"
)

// defaults are the defaults of all keys, by path, computed by the code that completes a configuration. An empty text: none.
type defaults struct {
	// plain are those with an adapter that knows nothing about its processors, and probe those with one that sets
	// everything that an adapter can set. They differ in the keys whose default depends on the adapter.
	plain, probe map[string]string
	// adapters are those with each built-in adapter.
	adapters map[string]map[string]string
	// webhooks are those if a processor has webhook_secrets.
	webhooks map[string]string
}

func computeDefaults() defaults {
	adapters := maps.Clone(app.BuiltIn)
	adapters["plain"] = processor.Adapter{}
	adapters["probe"] = processor.Adapter{
		BaseURL: "https://probe.example", Profile: processor.Profile{KeyLifetime: time.Nanosecond, AbsenceProofAfter: time.Nanosecond},
	}
	d := defaults{
		plain:    flatten(config.Defaults(adapters, "plain")),
		probe:    flatten(config.Defaults(adapters, "probe")),
		adapters: map[string]map[string]string{},
	}
	for name := range app.BuiltIn {
		d.adapters[name] = flatten(config.Defaults(adapters, name))
	}
	events := config.Processor{Adapter: "plain", WebhookSecrets: []config.Secret{{Env: "SECRET"}}}
	// The error lists what has no default.
	c, _ := config.Config{Processors: map[string]config.Processor{"example": events}}.Complete(adapters)
	d.webhooks = flatten(c)
	on, _ := config.Config{Authorize: config.Authorize{Audience: "florin"}}.Complete(adapters)
	for path, text := range flatten(on) {
		if strings.HasPrefix(path, "authorize.") && path != "authorize.audience" {
			d.plain[path], d.probe[path] = text, text
		}
	}
	return d
}

// of describes the default of a key.
func (d defaults) of(path string) string {
	plain := d.plain[path]
	switch {
	case path == "default_processor" && plain == "`example`":
		return "the only processor"
	case path == "processors."+placeholder+".adapter": // it was set to compute the others
		return "none"
	case plain != d.probe[path]:
		var each []string
		for _, name := range slices.Sorted(maps.Keys(d.adapters)) {
			each = append(each, fmt.Sprintf("`%s`: %s", name, orNone(d.adapters[name][path])))
		}
		return fmt.Sprintf("that of the adapter (%s), otherwise %s", strings.Join(each, ", "), orNone(plain))
	case plain == "" && strings.HasPrefix(path, "webhooks."):
		return orNone(d.webhooks[path]) + " if a processor has `webhook_secrets`, otherwise none"
	default:
		return orNone(plain)
	}
}

func orNone(value string) string {
	if value == "" {
		return "none"
	}
	return value
}

// flatten returns the values of a configuration by their paths. Its processors have one path, so there must be only one.
func flatten(c config.Config) map[string]string {
	values := map[string]string{}
	var walk func(reflect.Value, string)
	walk = func(value reflect.Value, path string) {
		switch {
		case section(value.Type()) == nil:
			values[path] = format(value)
		case value.Kind() == reflect.Map:
			for each := value.MapRange(); each.Next(); {
				walk(each.Value(), path+"."+placeholder)
			}
		default:
			for i := range value.NumField() {
				walk(value.Field(i), strings.TrimPrefix(path+"."+value.Type().Field(i).Tag.Get("yaml"), "."))
			}
		}
	}
	walk(reflect.ValueOf(c), "")
	return values
}

// format returns a value as code. Empty: a text, list or reference that is not set.
func format(value reflect.Value) string {
	if value.Kind() == reflect.Pointer && value.IsNil() {
		return ""
	}
	if d, ok := value.Interface().(activities.Duration); ok {
		return "`" + config.FormatDuration(d) + "`"
	}
	switch value.Kind() {
	case reflect.Pointer:
		return format(value.Elem())
	case reflect.String, reflect.Slice, reflect.Map, reflect.Struct:
		if value.IsZero() {
			return ""
		}
	default: // 0 and false are values
	}
	return fmt.Sprintf("`%v`", value.Interface())
}
