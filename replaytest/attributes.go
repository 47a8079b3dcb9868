package replaytest

import (
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
)

// touches reports whether the updates set or unset the search attribute, whatever its type.
func touches(updates []temporal.SearchAttributeUpdate, name string) bool {
	return sets(updates, temporal.NewSearchAttributeKeyKeyword(name), "") ||
		sets(updates, temporal.NewSearchAttributeKeyString(name), "") ||
		sets(updates, temporal.NewSearchAttributeKeyInt64(name), 0) ||
		sets(updates, temporal.NewSearchAttributeKeyFloat64(name), 0) ||
		sets(updates, temporal.NewSearchAttributeKeyBool(name), false) ||
		sets(updates, temporal.NewSearchAttributeKeyTime(name), time.Time{}) ||
		sets(updates, temporal.NewSearchAttributeKeyKeywordList(name), []string{})
}

// key is one of the types of keys.
type key[V any] interface {
	temporal.SearchAttributeKey
	ValueSet(v V) temporal.SearchAttributeUpdate
}

// sets: the SDK does not tell which attributes an update unsets, but one that was set before is not there after it.
func sets[V any](updates []temporal.SearchAttributeUpdate, k key[V], value V) bool {
	before := slices.Concat([]temporal.SearchAttributeUpdate{k.ValueSet(value)}, updates)
	return temporal.NewSearchAttributes(updates...).ContainsKey(k) || !temporal.NewSearchAttributes(before...).ContainsKey(k)
}
