package replaytest

import (
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
)

// changes reports whether the updates set or unset the named search attribute, for any of its possible types.
func changes(updates []temporal.SearchAttributeUpdate, name string) bool {
	return changesKey(updates, temporal.NewSearchAttributeKeyKeyword(name), "") ||
		changesKey(updates, temporal.NewSearchAttributeKeyString(name), "") ||
		changesKey(updates, temporal.NewSearchAttributeKeyInt64(name), 0) ||
		changesKey(updates, temporal.NewSearchAttributeKeyFloat64(name), 0) ||
		changesKey(updates, temporal.NewSearchAttributeKeyBool(name), false) ||
		changesKey(updates, temporal.NewSearchAttributeKeyTime(name), time.Time{}) ||
		changesKey(updates, temporal.NewSearchAttributeKeyKeywordList(name), []string{})
}

// key is a search attribute key whose values have type V.
type key[V any] interface {
	temporal.SearchAttributeKey
	ValueSet(v V) temporal.SearchAttributeUpdate
}

// changesKey reports whether the updates set or unset k. The SDK does not expose which attributes an update unsets. So k is set
// before the updates are applied: if it is missing afterwards, they unset it.
func changesKey[V any](updates []temporal.SearchAttributeUpdate, k key[V], value V) bool {
	before := slices.Concat([]temporal.SearchAttributeUpdate{k.ValueSet(value)}, updates)
	return temporal.NewSearchAttributes(updates...).ContainsKey(k) || !temporal.NewSearchAttributes(before...).ContainsKey(k)
}
