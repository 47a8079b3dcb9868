package replaytest

import (
	"errors"
	"maps"
	"slices"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	updatepb "go.temporal.io/api/update/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"
)

// compareUpdates compares the outcomes of accepted updates.
func (c *comparison) compareUpdates() {
	ids := map[int64]string{} // update IDs by the ID of the event that accepted the update
	completed := map[string]bool{}
	for _, e := range c.history.GetEvents() {
		if accepted := e.GetWorkflowExecutionUpdateAcceptedEventAttributes(); accepted != nil {
			ids[e.GetEventId()] = accepted.GetProtocolInstanceId()
		}
		done := e.GetWorkflowExecutionUpdateCompletedEventAttributes()
		if done == nil {
			continue
		}
		id := done.GetMeta().GetUpdateId()
		if id == "" {
			id = ids[done.GetAcceptedEventId()]
		}
		completed[id] = true
		replayed, ok := c.replayed.updates[id]
		switch {
		case e.GetEventId() <= c.after:
		case !ok:
			c.report(e.GetEventId(), e.GetEventType().String(), "", "the outcome of update "+id, nothing)
		default:
			c.compareTrees(e, "outcome", tree(done.GetOutcome().ProtoReflect(), c.converter), c.outcome(replayed))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.replayed.updates)) {
		if replayed := c.replayed.updates[id]; !completed[id] && replayed.task > c.after {
			c.report(replayed.task, enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED.String(), "", nothing, "the outcome of update "+id)
		}
	}
}

// outcome returns the replayed outcome of an update, as a tree.
func (c *comparison) outcome(replayed ending) any {
	outcome := &updatepb.Outcome{}
	if replayed.err != nil {
		outcome.Value = &updatepb.Outcome_Failure{Failure: c.replayed.failures.ErrorToFailure(replayed.err)}
	} else {
		outcome.Value = &updatepb.Outcome_Success{Success: c.encoded(replayed.result)}
	}
	return tree(outcome.ProtoReflect(), c.converter)
}

// encoded returns a result as the SDK encodes it: nil has no payloads.
func (c *comparison) encoded(result any) *commonpb.Payloads {
	if result == nil {
		return nil
	}
	payloads, err := c.converter.ToPayloads(result)
	if err != nil {
		c.replayed.encodeErr = errors.Join(c.replayed.encodeErr, err)
	}
	return payloads
}

// comparedEnds lists, for each type of closing event, the fields that are compared.
var comparedEnds = map[enumspb.EventType][]string{
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:        {"result"},
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:           {"failure"},
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:         {},
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: {"workflowType", "taskQueue", "input"},
}

// compareEnd compares how the workflow ended, and in which workflow task.
func (c *comparison) compareEnd() {
	last := c.history.GetEvents()[len(c.history.GetEvents())-1]
	name, replayed := last.GetEventType().String(), c.replayed.ended
	switch {
	case !c.closed && replayed == nil:
	case !c.closed:
		event, _ := c.closingEvent(replayed)
		c.report(replayed.task, enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED.String(), "", nothing, event.String())
	case replayed == nil:
		c.report(last.GetEventId(), name, "", name, nothing)
	default:
		event, is := c.closingEvent(replayed)
		if event != last.GetEventType() {
			c.report(last.GetEventId(), name, "", c.describeEnd(last.GetEventType(), attributes(last)), c.describeEnd(event, is))
			return
		}
		fields := comparedEnds[event]
		c.compareTrees(last, "", only(attributes(last), c.converter, fields...), only(is, c.converter, fields...))
		for _, e := range c.history.GetEvents() {
			if e.GetEventId() == completedTask(last) && e.GetWorkflowTaskCompletedEventAttributes().GetStartedEventId() > replayed.task {
				c.report(last.GetEventId(), name, "", "in a later workflow task", "in the workflow task of event "+text(replayed.task))
			}
		}
	}
}

// describeEnd returns the type and the compared fields of a closing event, as one line.
func (c *comparison) describeEnd(event enumspb.EventType, m proto.Message) string {
	return event.String() + " " + text(only(m, c.converter, comparedEnds[event]...))
}

// closingEvent returns the event that the SDK would make of the replayed end.
func (c *comparison) closingEvent(replayed *ending) (enumspb.EventType, proto.Message) {
	var continued *workflow.ContinueAsNewError
	switch {
	case temporal.IsCanceledError(replayed.err):
		return enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, &historypb.WorkflowExecutionCanceledEventAttributes{}
	case errors.As(replayed.err, &continued):
		return enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, &historypb.WorkflowExecutionContinuedAsNewEventAttributes{
			WorkflowType: &commonpb.WorkflowType{Name: continued.WorkflowType.Name},
			TaskQueue:    &taskqueuepb.TaskQueue{Name: continued.TaskQueueName},
			Input:        continued.Input,
		}
	case replayed.err != nil:
		failure := c.replayed.failures.ErrorToFailure(replayed.err)
		return enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, &historypb.WorkflowExecutionFailedEventAttributes{Failure: failure}
	default:
		return enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, &historypb.WorkflowExecutionCompletedEventAttributes{
			Result: c.encoded(replayed.result),
		}
	}
}
