package replaytest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

// compared are the fields of each event that the code decides on. activityId and workflowId are compared where it does.
var compared = map[enumspb.EventType][]string{
	enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: {
		"activityType", "taskQueue", "input", "scheduleToCloseTimeout", "scheduleToStartTimeout", "startToCloseTimeout",
		"heartbeatTimeout", "retryPolicy",
	},
	enumspb.EVENT_TYPE_TIMER_STARTED:                                {"startToFireTimeout"},
	enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:            {"searchAttributes"},
	enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:                 {"upsertedMemo"},
	enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:     {"workflowType", "taskQueue", "input"},
	enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: {"signalName", "input"},
}

// comparison is of one run's history with what the code did when it was replayed.
type comparison struct {
	run
	did       *recorder
	converter converter.DataConverter
	echoes    []Echo
	found     []Difference
}

// differences are all of them, in the order of the events. refused is what the SDK says of the replay. Where the two part
// ways for good, what comes after would differ anyway, and is left out.
func (c *comparison) differences(refused error) []Difference {
	var parted int64
	if refused == nil {
		parted = c.commands(false, 0)
	} else {
		local, report := c.otherLocal()
		if parted = c.commands(true, local); parted == local {
			report()
		}
	}
	c.localActivities(parted)
	if parted == 0 {
		c.answers()
	}
	if parted == 0 && (refused == nil || c.did.ended != nil) {
		c.end()
	}
	slices.SortStableFunc(c.found, func(a, b Difference) int { return int(a.EventID - b.EventID) })
	if refused != nil {
		c.found = append(c.found, Difference{Is: oneLine(refused)})
	}
	if c.did.lost != nil {
		c.found = append(c.found, Difference{Is: "what the code does cannot be encoded: " + oneLine(c.did.lost)})
	}
	return c.found
}

func oneLine(err error) string {
	const longest = 400
	line := strings.Join(strings.Fields(err.Error()), " ")
	if len(line) > longest {
		line = strings.ToValidUTF8(line[:longest], "") + " …"
	}
	return line
}

// tasks are the events that started the workflow tasks, by those that completed them.
func (c *comparison) tasks() map[int64]int64 {
	started := map[int64]int64{}
	for _, e := range c.history.GetEvents() {
		if done := e.GetWorkflowTaskCompletedEventAttributes(); done != nil {
			started[e.GetEventId()] = done.GetStartedEventId()
		}
	}
	return started
}

// commands compares the events that calls have made, by the workflow task in which they were made. It returns the task in
// which one has no counterpart, or the one that it was given, in which something else has none; 0 where there is none.
func (c *comparison) commands(refused bool, parted int64) int64 {
	events, calls := map[int64]map[enumspb.EventType][]*historypb.HistoryEvent{}, map[int64]map[enumspb.EventType][]call{}
	started := c.tasks()
	for _, e := range c.history.GetEvents() {
		if task, ok := started[commandedIn(e)]; ok && e.GetEventId() > c.after && compared[e.GetEventType()] != nil && !ofSDK(e) {
			add(events, task, e.GetEventType(), e)
		}
	}
	for _, did := range c.did.calls {
		if did.task > c.after && did.made != nil {
			add(calls, did.task, did.event, did)
		}
	}
	for _, task := range slices.Sorted(maps.Values(started)) {
		missing := false
		for _, event := range slices.Sorted(maps.Keys(compared)) {
			for _, p := range align(events[task][event], calls[task][event], c.differ) {
				switch {
				case p.event != nil && p.call != nil:
					c.leaves(p.event, p.call)
				case task == parted:
					// What it is without a counterpart for is reported.
				case p.call == nil:
					missing = true
					c.report(p.event.GetEventId(), event.String(), "", c.title(event, attributes(p.event)), nothing)
				case refused:
					missing = true
					c.report(task, enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED.String(), "", nothing, event.String()+" "+c.title(event, p.call.made))
				default:
					// The SDK refused it by itself, then as now.
				}
			}
		}
		if missing || task == parted {
			return task
		}
	}
	return parted
}

func add[V any](to map[int64]map[enumspb.EventType][]V, task int64, event enumspb.EventType, v V) {
	if to[task] == nil {
		to[task] = map[enumspb.EventType][]V{}
	}
	to[task][event] = append(to[task][event], v)
}

// ofSDK: workflow.GetVersion tells of itself in a search attribute.
func ofSDK(e *historypb.HistoryEvent) bool {
	_, ok := e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields()["TemporalChangeVersion"]
	return ok
}

// attributes are those of the event, whatever its type.
func attributes(e *historypb.HistoryEvent) proto.Message {
	m := e.ProtoReflect()
	set := m.WhichOneof(m.Descriptor().Oneofs().ByName("attributes"))
	return m.Get(set).Message().Interface()
}

// trees are what is compared of an event and of a call.
func (c *comparison) trees(e *historypb.HistoryEvent, did *call) (was, is map[string]any) {
	names := compared[e.GetEventType()]
	switch made := did.made.(type) {
	case *historypb.ActivityTaskScheduledEventAttributes:
		if made.GetActivityId() != "" {
			names = append(slices.Clone(names), "activityId")
		}
	case *historypb.StartChildWorkflowExecutionInitiatedEventAttributes:
		if made.GetWorkflowId() != "" {
			names = append(slices.Clone(names), "workflowId")
		}
	}
	was, is = only(attributes(e), c.converter, names...), only(did.made, c.converter, names...)
	if made, ok := did.made.(*historypb.SignalExternalWorkflowExecutionInitiatedEventAttributes); ok {
		was["workflowId"] = e.GetSignalExternalWorkflowExecutionInitiatedEventAttributes().GetWorkflowExecution().GetWorkflowId()
		is["workflowId"] = made.GetWorkflowExecution().GetWorkflowId()
	}
	return was, is
}

// differ counts the leaves that differ.
func (c *comparison) differ(e *historypb.HistoryEvent, did *call) (n int) {
	was, is := c.trees(e, did)
	walk("", was, is, func(string, string, string) { n++ })
	return n
}

func (c *comparison) leaves(e *historypb.HistoryEvent, did *call) {
	was, is := c.trees(e, did)
	c.walk(e, "", was, is)
}

// walk reports every leaf of an event that differs.
func (c *comparison) walk(e *historypb.HistoryEvent, path string, was, is any) {
	walk(path, was, is, func(path, was, is string) { c.report(e.GetEventId(), e.GetEventType().String(), path, was, is) })
}

func (c *comparison) report(id int64, event, field, was, is string) {
	c.found = append(c.found, Difference{EventID: id, EventType: event, Field: field, Was: was, Is: is})
}

// title tells a call from others of its kind.
func (c *comparison) title(event enumspb.EventType, m proto.Message) string {
	switch m := m.(type) {
	case *historypb.ActivityTaskScheduledEventAttributes:
		return m.GetActivityType().GetName()
	case *historypb.TimerStartedEventAttributes:
		return m.GetStartToFireTimeout().AsDuration().String()
	case *historypb.StartChildWorkflowExecutionInitiatedEventAttributes:
		return m.GetWorkflowType().GetName()
	case *historypb.SignalExternalWorkflowExecutionInitiatedEventAttributes:
		return m.GetSignalName()
	default:
		return fmt.Sprint(text(only(m, c.converter, compared[event]...)))
	}
}
