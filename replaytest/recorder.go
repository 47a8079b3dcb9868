package replaytest

import (
	"errors"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// call is something that the code asked the SDK for while it was replayed.
type call struct {
	// task is the event that started the workflow task in which it did.
	task int64
	// event is the type of the event that this makes.
	event enumspb.EventType
	// made are the attributes of that event; nil for a local activity.
	made proto.Message
	// local and args are a local activity's.
	local string
	args  []any
}

// ending is how the workflow or an update ended.
type ending struct {
	task   int64
	result any
	err    error
}

// recorder is the interceptor that notes what the code does.
type recorder struct {
	interceptor.WorkerInterceptorBase
	converter converter.DataConverter
	failures  converter.FailureConverter

	// began: the workflow's code was found and called.
	began   bool
	calls   []call
	updates map[string]ending // by their ids
	ended   *ending
	// lost is why a call could not be noted.
	lost error
}

func (r *recorder) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	in := &inbound{recorder: r}
	in.Next = next
	return in
}

// note adds a call, with what encode makes of it.
func (r *recorder) note(ctx workflow.Context, event enumspb.EventType, encode func() (proto.Message, error)) {
	made, err := encode()
	if err != nil {
		r.lost = errors.Join(r.lost, err)
		return
	}
	r.calls = append(r.calls, call{task: task(ctx), event: event, made: made})
}

// task is the event that started the workflow task that is being replayed.
func task(ctx workflow.Context) int64 {
	return int64(workflow.GetInfo(ctx).GetCurrentHistoryLength())
}

type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
	recorder *recorder
}

func (i *inbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	out := &outbound{recorder: i.recorder}
	out.Next = next
	return i.Next.Init(out)
}

func (i *inbound) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	i.recorder.began = true
	result, err := i.Next.ExecuteWorkflow(ctx, in)
	i.recorder.ended = &ending{task(ctx), result, err}
	return result, err
}

func (i *inbound) ExecuteUpdate(ctx workflow.Context, in *interceptor.UpdateInput) (any, error) {
	result, err := i.Next.ExecuteUpdate(ctx, in)
	i.recorder.updates[workflow.GetCurrentUpdateInfo(ctx).ID] = ending{task(ctx), result, err}
	return result, err
}

type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	recorder *recorder
}

func (o *outbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	o.recorder.note(ctx, enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, func() (proto.Message, error) {
		options, info := workflow.GetActivityOptions(ctx), workflow.GetInfo(ctx)
		input, err := o.recorder.converter.ToPayloads(args...)
		made := &historypb.ActivityTaskScheduledEventAttributes{
			ActivityId:             options.ActivityID,
			ActivityType:           &commonpb.ActivityType{Name: name},
			TaskQueue:              queue(options.TaskQueue, info),
			Input:                  input,
			ScheduleToCloseTimeout: durationpb.New(options.ScheduleToCloseTimeout),
			ScheduleToStartTimeout: durationpb.New(options.ScheduleToStartTimeout),
			StartToCloseTimeout:    durationpb.New(options.StartToCloseTimeout),
			HeartbeatTimeout:       durationpb.New(options.HeartbeatTimeout),
			RetryPolicy:            retryPolicy(options.RetryPolicy),
		}
		asServer(made, info.WorkflowRunTimeout)
		return made, err
	})
	return o.Next.ExecuteActivity(ctx, name, args...)
}

func (o *outbound) ExecuteLocalActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	o.recorder.calls = append(o.recorder.calls, call{task: task(ctx), event: enumspb.EVENT_TYPE_MARKER_RECORDED, local: name, args: args})
	return o.Next.ExecuteLocalActivity(ctx, name, args...)
}

// NewTimerWithOptions is what Sleep and the waits with a timeout end in, too.
func (o *outbound) NewTimerWithOptions(ctx workflow.Context, d time.Duration, options workflow.TimerOptions) workflow.Future {
	o.timer(ctx, d)
	return o.Next.NewTimerWithOptions(ctx, d, options)
}

func (o *outbound) NewTimer(ctx workflow.Context, d time.Duration) workflow.Future {
	o.timer(ctx, d)
	return o.Next.NewTimer(ctx, d)
}

func (o *outbound) timer(ctx workflow.Context, d time.Duration) {
	if d <= 0 {
		return // the SDK makes no timer
	}
	o.recorder.note(ctx, enumspb.EVENT_TYPE_TIMER_STARTED, func() (proto.Message, error) {
		return &historypb.TimerStartedEventAttributes{StartToFireTimeout: durationpb.New(d)}, nil
	})
}

func (o *outbound) ExecuteChildWorkflow(ctx workflow.Context, name string, args ...any) workflow.ChildWorkflowFuture {
	o.recorder.note(ctx, enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED, func() (proto.Message, error) {
		options := workflow.GetChildWorkflowOptions(ctx)
		input, err := o.recorder.converter.ToPayloads(args...)
		return &historypb.StartChildWorkflowExecutionInitiatedEventAttributes{
			WorkflowId:   options.WorkflowID,
			WorkflowType: &commonpb.WorkflowType{Name: name},
			TaskQueue:    queue(options.TaskQueue, workflow.GetInfo(ctx)),
			Input:        input,
		}, err
	})
	return o.Next.ExecuteChildWorkflow(ctx, name, args...)
}

func (o *outbound) SignalExternalWorkflow(ctx workflow.Context, workflowID, runID, name string, arg any) workflow.Future {
	o.signal(ctx, workflowID, name, arg)
	return o.Next.SignalExternalWorkflow(ctx, workflowID, runID, name, arg)
}

func (o *outbound) SignalChildWorkflow(ctx workflow.Context, workflowID, name string, arg any) workflow.Future {
	o.signal(ctx, workflowID, name, arg)
	return o.Next.SignalChildWorkflow(ctx, workflowID, name, arg)
}

func (o *outbound) signal(ctx workflow.Context, workflowID, name string, arg any) {
	o.recorder.note(ctx, enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED, func() (proto.Message, error) {
		made := &historypb.SignalExternalWorkflowExecutionInitiatedEventAttributes{
			WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID}, SignalName: name,
		}
		var err error
		if arg != nil {
			made.Input, err = o.recorder.converter.ToPayloads(arg)
		}
		return made, err
	})
}

func (o *outbound) UpsertTypedSearchAttributes(ctx workflow.Context, updates ...temporal.SearchAttributeUpdate) error {
	if err := o.Next.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		return err
	}
	o.upsert(ctx, func(name string) bool { return touches(updates, name) })
	return nil
}

func (o *outbound) UpsertSearchAttributes(ctx workflow.Context, attributes map[string]any) error {
	if err := o.Next.UpsertSearchAttributes(ctx, attributes); err != nil {
		return err
	}
	o.upsert(ctx, func(name string) bool { _, ok := attributes[name]; return ok })
	return nil
}

// upsert notes the attributes as the SDK has encoded them: it leaves them in the workflow's info.
func (o *outbound) upsert(ctx workflow.Context, among func(name string) bool) {
	o.recorder.note(ctx, enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, func() (proto.Message, error) {
		fields := map[string]*commonpb.Payload{}
		//nolint:staticcheck // SA1019: the typed attributes do not tell which of them were unset
		for name, value := range workflow.GetInfo(ctx).SearchAttributes.GetIndexedFields() {
			if among(name) {
				fields[name] = value
			}
		}
		return &historypb.UpsertWorkflowSearchAttributesEventAttributes{
			SearchAttributes: &commonpb.SearchAttributes{IndexedFields: fields},
		}, nil
	})
}

func (o *outbound) UpsertMemo(ctx workflow.Context, memo map[string]any) error {
	o.recorder.note(ctx, enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED, func() (proto.Message, error) {
		fields := map[string]*commonpb.Payload{}
		for name, value := range memo {
			encoded, err := o.recorder.converter.ToPayload(value)
			if err != nil {
				return nil, err
			}
			fields[name] = encoded
		}
		return &historypb.WorkflowPropertiesModifiedEventAttributes{UpsertedMemo: &commonpb.Memo{Fields: fields}}, nil
	})
	return o.Next.UpsertMemo(ctx, memo)
}

// queue is the task queue that is asked for: the workflow's own where none is.
func queue(name string, info *workflow.Info) *taskqueuepb.TaskQueue {
	if name == "" {
		name = info.TaskQueueName
	}
	return &taskqueuepb.TaskQueue{Name: name}
}
