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

// compared lists, for each type of event, the fields that the workflow's code decides. activityId and workflowId are not in it:
// they are compared only if the code sets them, see fieldsToCompare.
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

// comparison compares the history of one run with what the code did during its replay.
type comparison struct {
	run
	replayed  *recorder
	converter converter.DataConverter
	echoes    []Echo
	found     []Difference
}

// differences returns all differences, in the order of the events. replayErr is the error of the SDK's replayer. At the first
// workflow task with a missing or an additional command, the code has diverged from the history. Later events would differ as a
// consequence and are not compared.
func (c *comparison) differences(replayErr error) []Difference {
	var diverged int64
	if replayErr == nil {
		diverged = c.compareCommands(false, 0)
	} else {
		task, report := c.firstOtherLocalActivity()
		if diverged = c.compareCommands(true, task); diverged == task {
			report()
		}
	}
	c.compareEchoes(diverged)
	if diverged == 0 {
		c.compareUpdates()
	}
	if diverged == 0 && (replayErr == nil || c.replayed.ended != nil) {
		c.compareEnd()
	}
	slices.SortStableFunc(c.found, func(a, b Difference) int { return int(a.EventID - b.EventID) })
	if replayErr != nil {
		c.found = append(c.found, Difference{Is: oneLine(replayErr)})
	}
	if c.replayed.encodeErr != nil {
		c.found = append(c.found, Difference{Is: "encoding a command of the replayed code: " + oneLine(c.replayed.encodeErr)})
	}
	return c.found
}

func oneLine(err error) string {
	const maxBytes = 400
	line := strings.Join(strings.Fields(err.Error()), " ")
	if len(line) > maxBytes {
		line = strings.ToValidUTF8(line[:maxBytes], "") + " …"
	}
	return line
}

// tasks maps the ID of each WorkflowTaskCompleted event to that of its WorkflowTaskStarted event.
func (c *comparison) tasks() map[int64]int64 {
	started := map[int64]int64{}
	for _, e := range c.history.GetEvents() {
		if done := e.GetWorkflowTaskCompletedEventAttributes(); done != nil {
			started[e.GetEventId()] = done.GetStartedEventId()
		}
	}
	return started
}

// compareCommands compares the recorded commands with the replayed ones, one workflow task after the other. It returns the
// first task in which one of them has no counterpart, or 0 if there is none; tasks are identified by their
// WorkflowTaskStarted event. It stops at the given diverged task, whose difference the caller reports. An additional command
// is a difference only if the SDK's replayer failed (replayFailed).
func (c *comparison) compareCommands(replayFailed bool, diverged int64) int64 {
	events, calls := map[int64]map[enumspb.EventType][]*historypb.HistoryEvent{}, map[int64]map[enumspb.EventType][]call{}
	started := c.tasks()
	for _, e := range c.history.GetEvents() {
		task, ok := started[completedTask(e)]
		if ok && e.GetEventId() > c.after && compared[e.GetEventType()] != nil && !isVersionMarker(e) {
			group(events, task, e.GetEventType(), e)
		}
	}
	for _, replayed := range c.replayed.calls {
		if replayed.task > c.after && replayed.attributes != nil {
			group(calls, replayed.task, replayed.event, replayed)
		}
	}
	for _, task := range slices.Sorted(maps.Values(started)) {
		missing := false
		for _, event := range slices.Sorted(maps.Keys(compared)) {
			for _, p := range align(events[task][event], calls[task][event], c.countDifferences) {
				switch {
				case p.event != nil && p.call != nil:
					c.compareFields(p.event, p.call)
				case task == diverged:
					// The caller reports the cause.
				case p.call == nil:
					missing = true
					c.report(p.event.GetEventId(), event.String(), "", c.title(event, attributes(p.event)), nothing)
				case replayFailed:
					missing = true
					is := event.String() + " " + c.title(event, p.call.attributes)
					c.report(task, enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED.String(), "", nothing, is)
				default:
					// The SDK rejected this call itself, now as when the history was recorded: it makes no event.
				}
			}
		}
		if missing || task == diverged {
			return task
		}
	}
	return diverged
}

func group[V any](to map[int64]map[enumspb.EventType][]V, task int64, event enumspb.EventType, v V) {
	if to[task] == nil {
		to[task] = map[enumspb.EventType][]V{}
	}
	to[task][event] = append(to[task][event], v)
}

// isVersionMarker reports whether workflow.GetVersion upserted the search attribute, and not the workflow's code.
func isVersionMarker(e *historypb.HistoryEvent) bool {
	_, ok := e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields()["TemporalChangeVersion"]
	return ok
}

// attributes returns the attributes of an event of any type.
func attributes(e *historypb.HistoryEvent) proto.Message {
	m := e.ProtoReflect()
	set := m.WhichOneof(m.Descriptor().Oneofs().ByName("attributes"))
	return m.Get(set).Message().Interface()
}

// fieldsToCompare returns the compared fields of an event and of its call, as trees.
func (c *comparison) fieldsToCompare(e *historypb.HistoryEvent, replayed *call) (was, is map[string]any) {
	names := compared[e.GetEventType()]
	switch a := replayed.attributes.(type) {
	case *historypb.ActivityTaskScheduledEventAttributes:
		if a.GetActivityId() != "" {
			names = append(slices.Clone(names), "activityId")
		}
	case *historypb.StartChildWorkflowExecutionInitiatedEventAttributes:
		if a.GetWorkflowId() != "" {
			names = append(slices.Clone(names), "workflowId")
		}
	}
	was, is = only(attributes(e), c.converter, names...), only(replayed.attributes, c.converter, names...)
	if a, ok := replayed.attributes.(*historypb.SignalExternalWorkflowExecutionInitiatedEventAttributes); ok {
		was["workflowId"] = e.GetSignalExternalWorkflowExecutionInitiatedEventAttributes().GetWorkflowExecution().GetWorkflowId()
		is["workflowId"] = a.GetWorkflowExecution().GetWorkflowId()
	}
	return was, is
}

// countDifferences returns the number of differing leaves.
func (c *comparison) countDifferences(e *historypb.HistoryEvent, replayed *call) (n int) {
	was, is := c.fieldsToCompare(e, replayed)
	walk("", was, is, func(string, string, string) { n++ })
	return n
}

func (c *comparison) compareFields(e *historypb.HistoryEvent, replayed *call) {
	was, is := c.fieldsToCompare(e, replayed)
	c.compareTrees(e, "", was, is)
}

// compareTrees reports every differing leaf of two trees as a difference of the event.
func (c *comparison) compareTrees(e *historypb.HistoryEvent, path string, was, is any) {
	walk(path, was, is, func(path, was, is string) { c.report(e.GetEventId(), e.GetEventType().String(), path, was, is) })
}

func (c *comparison) report(id int64, event, field, was, is string) {
	c.found = append(c.found, Difference{EventID: id, EventType: event, Field: field, Was: was, Is: is})
}

// title returns a short text that distinguishes a command from others of its type.
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
