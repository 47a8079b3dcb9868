package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// metadataFlag is a flag with one key=value pair. It may be repeated. The value is everything after the first "=", unchanged: quotes and
// commas belong to it.
type metadataFlag struct{ pairs *map[string]string }

// Set implements pflag.Value.
func (f metadataFlag) Set(pair string) error {
	key, value, ok := strings.Cut(pair, "=")
	if !ok {
		return fmt.Errorf("%s must be formatted as key=value", pair)
	}
	if _, twice := (*f.pairs)[key]; twice {
		return fmt.Errorf("%s is given twice", key)
	}
	if *f.pairs == nil {
		*f.pairs = map[string]string{}
	}
	(*f.pairs)[key] = value
	return nil
}

// Type implements pflag.Value.
func (metadataFlag) Type() string { return "key=value" }

// String implements pflag.Value.
func (f metadataFlag) String() string {
	if f.pairs == nil {
		return "" // pflag compares the default with the zero value
	}
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(*f.pairs)) {
		pairs = append(pairs, key+"="+(*f.pairs)[key])
	}
	return strings.Join(pairs, " ")
}
