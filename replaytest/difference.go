package replaytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Difference is one difference between a recorded history and what the code does when the history is replayed.
type Difference struct {
	// EventID and EventType are those of the recorded event. For an additional command they are those of the
	// WorkflowTaskStarted event of its workflow task. They are 0 and empty if the SDK's replayer failed or a command could not
	// be encoded; then Is holds the error.
	EventID   int64  `json:"event_id"`
	EventType string `json:"event_type"`
	// Field is the path of the field within the event, such as input[0].amount. It is empty if the event as a whole differs.
	Field string `json:"field"`
	// Was is the recorded value and Is the replayed one, as JSON, or as a description if Field is empty. A missing value is
	// the word nothing, without quotes.
	Was string `json:"was"`
	Is  string `json:"is"`
}

// String returns the difference as one line, without a line end.
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

// nothing stands for a missing value in a Difference.
const nothing = "nothing"

// absent stands for a field that a tree does not have, as opposed to JSON's null.
type absent struct{}

// walk calls found for each leaf in which two trees differ, in the order of their names.
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

// fieldsOf returns the fields of a JSON object, or nil if the value is none.
func fieldsOf(value any) map[string]any {
	fields, _ := value.(map[string]any)
	return fields
}

// listOf returns the elements of a JSON array, or nil if the value is none.
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

// text returns a leaf as it is written in a Difference.
func text(value any) string {
	switch v := value.(type) {
	case absent:
		return nothing
	case string:
		return strconv.Quote(v)
	default:
		encoded, err := json.Marshal(v)
		if err != nil {
			return err.Error()
		}
		return string(encoded)
	}
}
