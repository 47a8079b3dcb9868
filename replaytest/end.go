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

// answers compares what accepted updates were answered.
func (c *comparison) answers() {
	ids := map[int64]string{} // by the event that accepted the update
	answered := map[string]bool{}
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
		answered[id] = true
		did, ok := c.did.updates[id]
		switch {
		case e.GetEventId() <= c.after:
		case !ok:
			c.report(e.GetEventId(), e.GetEventType().String(), "", "an answer to update "+id, nothing)
		default:
			c.walk(e, "outcome", tree(done.GetOutcome().ProtoReflect(), c.converter), c.outcome(did))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.did.updates)) {
		if did := c.did.updates[id]; !answered[id] && did.task > c.after {
			c.report(did.task, enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED.String(), "", nothing, "an answer to update "+id)
		}
	}
}

func (c *comparison) outcome(did ending) any {
	outcome := &updatepb.Outcome{}
	if did.err != nil {
		outcome.Value = &updatepb.Outcome_Failure{Failure: c.did.failures.ErrorToFailure(did.err)}
	} else {
		outcome.Value = &updatepb.Outcome_Success{Success: c.encoded(did.result)}
	}
	return tree(outcome.ProtoReflect(), c.converter)
}

// encoded is a result as the SDK encodes it: none where there is none.
func (c *comparison) encoded(result any) *commonpb.Payloads {
	if result == nil {
		return nil
	}
	payloads, err := c.converter.ToPayloads(result)
	if err != nil {
		c.did.lost = errors.Join(c.did.lost, err)
	}
	return payloads
}

// ends are the fields in which endings of each kind are compared.
var ends = map[enumspb.EventType][]string{
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:        {"result"},
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:           {"failure"},
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:         {},
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: {"workflowType", "taskQueue", "input"},
}

// end compares how the workflow ended, and in which workflow task.
func (c *comparison) end() {
	last := c.history.GetEvents()[len(c.history.GetEvents())-1]
	name, did := last.GetEventType().String(), c.did.ended
	switch {
	case !c.closed && did == nil:
	case !c.closed:
		event, _ := c.closing(did)
		c.report(did.task, enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED.String(), "", nothing, event.String())
	case did == nil:
		c.report(last.GetEventId(), name, "", name, nothing)
	default:
		event, made := c.closing(did)
		if event != last.GetEventType() {
			c.report(last.GetEventId(), name, "", c.ending(last.GetEventType(), attributes(last)), c.ending(event, made))
			return
		}
		c.walk(last, "", only(attributes(last), c.converter, ends[event]...), only(made, c.converter, ends[event]...))
		for _, e := range c.history.GetEvents() {
			if e.GetEventId() == commandedIn(last) && e.GetWorkflowTaskCompletedEventAttributes().GetStartedEventId() > did.task {
				c.report(last.GetEventId(), name, "", "in a later workflow task", "after event "+text(did.task))
			}
		}
	}
}

// ending tells an ending with all its fields.
func (c *comparison) ending(event enumspb.EventType, made proto.Message) string {
	return event.String() + " " + text(only(made, c.converter, ends[event]...))
}

// closing is the event that an ending makes, as the SDK decides it.
func (c *comparison) closing(did *ending) (enumspb.EventType, proto.Message) {
	var again *workflow.ContinueAsNewError
	switch {
	case temporal.IsCanceledError(did.err):
		return enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, &historypb.WorkflowExecutionCanceledEventAttributes{}
	case errors.As(did.err, &again):
		return enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, &historypb.WorkflowExecutionContinuedAsNewEventAttributes{
			WorkflowType: &commonpb.WorkflowType{Name: again.WorkflowType.Name},
			TaskQueue:    &taskqueuepb.TaskQueue{Name: again.TaskQueueName},
			Input:        again.Input,
		}
	case did.err != nil:
		failure := c.did.failures.ErrorToFailure(did.err)
		return enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, &historypb.WorkflowExecutionFailedEventAttributes{Failure: failure}
	default:
		return enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, &historypb.WorkflowExecutionCompletedEventAttributes{Result: c.encoded(did.result)}
	}
}
