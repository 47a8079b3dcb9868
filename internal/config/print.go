package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/processor"
)

// YAML returns the configuration as the content of a file: keys in the order of the structs, processors sorted by name. If c is
// complete, [Parse] reads an equal configuration from it. Texts, lists and references that are not set are omitted. Numbers,
// durations and booleans are never omitted, since 0 and false are values that apply.
func (c Config) YAML() ([]byte, error) {
	return yaml.MarshalWithOptions(mapping(reflect.ValueOf(c)), yaml.AutoInt(), yaml.IndentSequence(true))
}

// mapping returns the fields of a struct that are printed.
func mapping(value reflect.Value) (fields yaml.MapSlice) {
	for i := range value.NumField() {
		if field := printed(value.Field(i)); field != nil {
			fields = append(fields, yaml.MapItem{Key: value.Type().Field(i).Tag.Get("yaml"), Value: field})
		}
	}
	return fields
}

// printed returns a value as it is printed. It returns nil if the value is omitted.
func printed(value reflect.Value) any {
	switch v := value.Interface().(type) {
	case activities.Duration:
		return FormatDuration(v)
	case map[string]Processor:
		var processors yaml.MapSlice
		for _, name := range slices.Sorted(maps.Keys(v)) {
			processors = append(processors, yaml.MapItem{Key: name, Value: mapping(reflect.ValueOf(v[name]))})
		}
		return omitEmpty(processors)
	case map[string]processor.Shape:
		var fields yaml.MapSlice
		for _, path := range slices.Sorted(maps.Keys(v)) {
			fields = append(fields, yaml.MapItem{Key: path, Value: string(v[path])})
		}
		return omitEmpty(fields)
	case map[string]float64:
		var weights yaml.MapSlice
		for _, merchant := range slices.Sorted(maps.Keys(v)) {
			weights = append(weights, yaml.MapItem{Key: merchant, Value: v[merchant]})
		}
		return omitEmpty(weights)
	case []Secret:
		var secrets []yaml.MapSlice
		for _, secret := range v {
			secrets = append(secrets, mapping(reflect.ValueOf(secret)))
		}
		return omitEmpty(secrets)
	case []string:
		return omitEmpty(v)
	}
	switch value.Kind() {
	case reflect.Pointer:
		if value.IsNil() {
			return nil
		}
		return printed(value.Elem())
	case reflect.Struct:
		return omitEmpty(mapping(value))
	case reflect.String:
		if value.String() == "" {
			return nil
		}
		return value.String()
	default: // a number or a boolean
		return value.Interface()
	}
}

func omitEmpty[S ~[]E, E any](list S) any {
	if len(list) == 0 {
		return nil
	}
	return list
}

// FormatDuration returns a duration as it is usually written in a configuration: 15m instead of 15m0s.
func FormatDuration(d activities.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
