package replaytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Difference is one field in which what the code does now differs from what a history has.
type Difference struct {
	// EventID and EventType are the event's; 0 and empty where the SDK itself refuses to replay.
	EventID   int64  `json:"event_id"`
	EventType string `json:"event_type"`
	// Field is where in the event, such as input[0].amount; empty for the event as a whole.
	Field string `json:"field"`
	// Was is what the history has, and Is what the code does, as JSON or in words.
	Was string `json:"was"`
	Is  string `json:"is"`
}

func (d Difference) String() string {
	switch {
	case d.EventID == 0:
		return "the SDK's replay: " + d.Is
	case d.Field == "":
		return fmt.Sprintf("event %d %s: was %s, is %s", d.EventID, d.EventType, d.Was, d.Is)
	default:
		return fmt.Sprintf("event %d %s: %s: was %s, is %s", d.EventID, d.EventType, d.Field, d.Was, d.Is)
	}
}

// nothing is what stands in a difference for what is not there.
const nothing = "nothing"

// absent is a field that a tree does not have. JSON's null is another thing.
type absent struct{}

// walk finds the leaves in which two trees differ, in the order of their names.
func walk(path string, was, is any, found func(path, was, is string)) {
	wasFields, isFields := fieldsOf(was), fieldsOf(is)
	wasList, isList := listOf(was), listOf(is)
	_, wasAbsent := was.(absent)
	_, isAbsent := is.(absent)
	switch {
	case (wasFields != nil || wasAbsent) && (isFields != nil || isAbsent) && len(wasFields)+len(isFields) > 0:
		names := maps.Clone(wasFields)
		if names == nil {
			names = map[string]any{}
		}
		maps.Copy(names, isFields)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			walk(join(path, name), at(wasFields, name), at(isFields, name), found)
		}
	case (wasList != nil || wasAbsent) && (isList != nil || isAbsent) && len(wasList)+len(isList) > 0:
		for i := range max(len(wasList), len(isList)) {
			walk(fmt.Sprintf("%s[%d]", path, i), item(wasList, i), item(isList, i), found)
		}
	default:
		if a, b := text(was), text(is); a != b {
			found(path, a, b)
		}
	}
}

func fieldsOf(value any) map[string]any {
	fields, _ := value.(map[string]any)
	return fields
}

func listOf(value any) []any {
	list, _ := value.([]any)
	return list
}

func at(fields map[string]any, name string) any {
	if value, ok := fields[name]; ok {
		return value
	}
	return absent{}
}

func item(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return absent{}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func text(value any) string {
	switch v := value.(type) {
	case absent:
		return nothing
	case string:
		return strconv.Quote(v)
	default:
		written, err := json.Marshal(v)
		if err != nil {
			return err.Error()
		}
		return string(written)
	}
}
