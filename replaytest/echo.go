package replaytest

import (
	"slices"
	"strings"

	historypb "go.temporal.io/api/history/v1"
)

// localMarker is the marker event in which the SDK records the result of a local activity. The field names of data are the SDK's.
type localMarker struct {
	event *historypb.HistoryEvent
	data  struct {
		ActivityID   string
		ActivityType string
		Backoff      int64
	}
}

// firstOtherLocalActivity finds the first local activity whose recorded type differs from the replayed one. It returns the ID of
// the WorkflowTaskStarted event of its workflow task, and a function that reports the difference. If there is none, it returns 0
// and a function that does nothing.
func (c *comparison) firstOtherLocalActivity() (task int64, report func()) {
	calls := slices.DeleteFunc(slices.Clone(c.replayed.calls), func(replayed call) bool { return replayed.local == "" })
	for i, m := range c.markers() {
		is := nothing
		if i < len(calls) {
			is = calls[i].local
		}
		if is != m.data.ActivityType && m.event.GetEventId() > c.after {
			return c.tasks()[completedTask(m.event)], func() {
				c.report(m.event.GetEventId(), m.event.GetEventType().String(), "", m.data.ActivityType, is)
			}
		}
	}
	return 0, func() {}
}

// compareEchoes compares the replayed arguments of the echoes with their recorded results, up to the workflow task in which the
// code diverged from the history. diverged is 0 if it did not.
func (c *comparison) compareEchoes(diverged int64) {
	for _, echo := range c.echoes {
		var calls []call
		for _, replayed := range c.replayed.calls {
			if replayed.local == echo.Activity && (diverged == 0 || replayed.task < diverged) {
				calls = append(calls, replayed)
			}
		}
		results := slices.DeleteFunc(c.markers(), func(m localMarker) bool { return m.data.ActivityType != echo.Activity })
		for i, m := range results {
			if i < len(calls) && m.event.GetEventId() > c.after {
				c.compareEcho(echo, m.event, calls[i])
			}
		}
	}
}

// markers returns the marker of the last attempt of each local activity, in the order in which they were called.
func (c *comparison) markers() []localMarker {
	var found []localMarker
	for _, e := range c.history.GetEvents() {
		m := localMarker{event: e}
		marker := e.GetMarkerRecordedEventAttributes()
		if marker.GetMarkerName() == "LocalActivity" && c.converter.FromPayloads(marker.GetDetails()["data"], &m.data) == nil {
			if m.data.Backoff <= 0 { // otherwise the attempt failed and was retried after a timer
				found = append(found, m)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b localMarker) int {
		if order := len(a.data.ActivityID) - len(b.data.ActivityID); order != 0 {
			return order // the IDs are numbers: a shorter one is smaller
		}
		if a.data.ActivityID < b.data.ActivityID {
			return -1
		}
		return 1
	})
	return found
}

func (c *comparison) compareEcho(echo Echo, e *historypb.HistoryEvent, replayed call) {
	result := e.GetMarkerRecordedEventAttributes().GetDetails()["result"]
	if len(replayed.args) == 0 || replayed.args[0] == nil || len(result.GetPayloads()) == 0 {
		return // it has no argument, or it failed
	}
	argument := listOf(tree(c.encoded(replayed.args[0]).ProtoReflect(), c.converter))[0]
	repeated := listOf(tree(result.ProtoReflect(), c.converter))[0]
	if echo.ResultField != "" {
		repeated = at(fieldsOf(repeated), echo.ResultField)
	}
	is, returned := fieldsOf(argument), fieldsOf(repeated)
	if is == nil {
		c.compareTrees(e, echo.Activity, repeated, argument)
		return
	}
	for _, path := range echo.Ignored {
		remove(is, path)
	}
	was := map[string]any{}
	for name := range is {
		if value, ok := returned[name]; ok {
			was[name] = value
		}
	}
	for _, path := range echo.Ignored {
		remove(was, path)
	}
	c.compareTrees(e, echo.Activity, was, is)
}

// remove deletes a field from a tree. Its path is, for example, updated_at or failure.message.
func remove(fields map[string]any, path string) {
	name, rest, nested := strings.Cut(path, ".")
	if !nested {
		delete(fields, name)
		return
	}
	if inner := fieldsOf(fields[name]); inner != nil {
		remove(inner, rest)
	}
}
