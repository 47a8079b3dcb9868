package replaytest

import (
	"slices"
	"strings"

	historypb "go.temporal.io/api/history/v1"
)

// marked is the result of a local activity, as the SDK writes it into a history: the names are its own.
type marked struct {
	event *historypb.HistoryEvent
	data  struct {
		ActivityID   string
		ActivityType string
		Backoff      int64
	}
}

// otherLocal finds the first local activity of another type than the history has. It returns the workflow task in which it was
// recorded, 0 where there is none, and reports it.
func (c *comparison) otherLocal() (task int64, report func()) {
	calls := slices.DeleteFunc(slices.Clone(c.did.calls), func(did call) bool { return did.local == "" })
	for i, m := range c.markers() {
		is := nothing
		if i < len(calls) {
			is = calls[i].local
		}
		if is != m.data.ActivityType && m.event.GetEventId() > c.after {
			return c.tasks()[commandedIn(m.event)], func() {
				c.report(m.event.GetEventId(), m.event.GetEventType().String(), "", m.data.ActivityType, is)
			}
		}
	}
	return 0, func() {}
}

// localActivities compares the arguments of echoes with their results, up to the workflow task in which the history and the
// code part ways.
func (c *comparison) localActivities(parted int64) {
	for _, echo := range c.echoes {
		var calls []call
		for _, did := range c.did.calls {
			if did.local == echo.Activity && (parted == 0 || did.task < parted) {
				calls = append(calls, did)
			}
		}
		results := slices.DeleteFunc(c.markers(), func(m marked) bool { return m.data.ActivityType != echo.Activity })
		for i, m := range results {
			if i < len(calls) && m.event.GetEventId() > c.after {
				c.echo(echo, m.event, calls[i])
			}
		}
	}
}

// markers are what the history has of local activities, one of each, in the order in which they were called.
func (c *comparison) markers() []marked {
	var found []marked
	for _, e := range c.history.GetEvents() {
		m := marked{event: e}
		marker := e.GetMarkerRecordedEventAttributes()
		if marker.GetMarkerName() == "LocalActivity" && c.converter.FromPayloads(marker.GetDetails()["data"], &m.data) == nil {
			if m.data.Backoff <= 0 { // otherwise the attempt failed, and was made again after a timer
				found = append(found, m)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b marked) int {
		if order := len(a.data.ActivityID) - len(b.data.ActivityID); order != 0 {
			return order // they are numbers
		}
		if a.data.ActivityID < b.data.ActivityID {
			return -1
		}
		return 1
	})
	return found
}

func (c *comparison) echo(echo Echo, e *historypb.HistoryEvent, did call) {
	result := e.GetMarkerRecordedEventAttributes().GetDetails()["result"]
	if len(did.args) == 0 || did.args[0] == nil || len(result.GetPayloads()) == 0 {
		return // it was given nothing, or failed
	}
	argument := listOf(tree(c.encoded(did.args[0]).ProtoReflect(), c.converter))[0]
	repeated := listOf(tree(result.ProtoReflect(), c.converter))[0]
	if echo.Within != "" {
		repeated = at(fieldsOf(repeated), echo.Within)
	}
	given, returned := fieldsOf(argument), fieldsOf(repeated)
	if given == nil {
		c.walk(e, echo.Activity, repeated, argument)
		return
	}
	for _, path := range echo.Except {
		remove(given, path)
	}
	was := map[string]any{}
	for name := range given {
		if stored, ok := returned[name]; ok {
			was[name] = stored
		}
	}
	for _, path := range echo.Except {
		remove(was, path)
	}
	c.walk(e, echo.Activity, was, given)
}

// remove takes a field out of a tree, such as updated_at or failure.message.
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
