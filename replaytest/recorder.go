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

// call is one call of the SDK that the workflow's code made during the replay.
type call struct {
	// task is the ID of the WorkflowTaskStarted event of the workflow task in which the call was made.
	task int64
	// event is the type of the event that the call makes.
	event enumspb.EventType
	// attributes are those of that event. They are nil for a local activity.
	attributes proto.Message
	// local is the type name of a local activity, and args are its arguments.
	local string
	args  []any
}

// ending is how the workflow or an update ended during the replay.
type ending struct {
	// task is the ID of the WorkflowTaskStarted event of the workflow task in which it ended.
	task   int64
	result any
	err    error
}

// recorder is an interceptor that records what the code does during the replay.
type recorder struct {
	interceptor.WorkerInterceptorBase
	converter converter.DataConverter
	failures  converter.FailureConverter

	// started reports whether the workflow's code was called. It is not if its type is not registered.
	started bool
	calls   []call
	updates map[string]ending // by update ID
	ended   *ending           // nil if the workflow did not end
	// encodeErr joins the errors of the data converter.
	encodeErr error
}

func (r *recorder) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	in := &inbound{recorder: r}
	in.Next = next
	return in
}

// record adds a call with the attributes that encode returns.
func (r *recorder) record(ctx workflow.Context, event enumspb.EventType, encode func() (proto.Message, error)) {
	attributes, err := encode()
	if err != nil {
		r.encodeErr = errors.Join(r.encodeErr, err)
		return
	}
	r.calls = append(r.calls, call{task: currentTask(ctx), event: event, attributes: attributes})
}

// currentTask returns the ID of the WorkflowTaskStarted event of the workflow task that is being replayed.
func currentTask(ctx workflow.Context) int64 {
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
	i.recorder.started = true
	result, err := i.Next.ExecuteWorkflow(ctx, in)
	i.recorder.ended = &ending{task: currentTask(ctx), result: result, err: err}
	return result, err
}

func (i *inbound) ExecuteUpdate(ctx workflow.Context, in *interceptor.UpdateInput) (any, error) {
	result, err := i.Next.ExecuteUpdate(ctx, in)
	i.recorder.updates[workflow.GetCurrentUpdateInfo(ctx).ID] = ending{task: currentTask(ctx), result: result, err: err}
	return result, err
}

type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	recorder *recorder
}

func (o *outbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	o.recorder.record(ctx, enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, func() (proto.Message, error) {
		options, info := workflow.GetActivityOptions(ctx), workflow.GetInfo(ctx)
		input, err := o.recorder.converter.ToPayloads(args...)
		attributes := &historypb.ActivityTaskScheduledEventAttributes{
			ActivityId:             options.ActivityID,
			ActivityType:           &commonpb.ActivityType{Name: name},
			TaskQueue:              taskQueue(options.TaskQueue, info),
			Input:                  input,
			ScheduleToCloseTimeout: durationpb.New(options.ScheduleToCloseTimeout),
			ScheduleToStartTimeout: durationpb.New(options.ScheduleToStartTimeout),
			StartToCloseTimeout:    durationpb.New(options.StartToCloseTimeout),
			HeartbeatTimeout:       durationpb.New(options.HeartbeatTimeout),
			RetryPolicy:            retryPolicy(options.RetryPolicy),
		}
		normalizeTimeouts(attributes, info.WorkflowRunTimeout)
		return attributes, err
	})
	return o.Next.ExecuteActivity(ctx, name, args...)
}

func (o *outbound) ExecuteLocalActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	o.recorder.calls = append(o.recorder.calls, call{
		task: currentTask(ctx), event: enumspb.EVENT_TYPE_MARKER_RECORDED, local: name, args: args,
	})
	return o.Next.ExecuteLocalActivity(ctx, name, args...)
}

// NewTimerWithOptions is also called for Sleep and for waits with a timeout.
func (o *outbound) NewTimerWithOptions(ctx workflow.Context, d time.Duration, options workflow.TimerOptions) workflow.Future {
	o.recordTimer(ctx, d)
	return o.Next.NewTimerWithOptions(ctx, d, options)
}

func (o *outbound) NewTimer(ctx workflow.Context, d time.Duration) workflow.Future {
	o.recordTimer(ctx, d)
	return o.Next.NewTimer(ctx, d)
}

func (o *outbound) recordTimer(ctx workflow.Context, d time.Duration) {
	if d <= 0 {
		return // the SDK starts no timer
	}
	o.recorder.record(ctx, enumspb.EVENT_TYPE_TIMER_STARTED, func() (proto.Message, error) {
		return &historypb.TimerStartedEventAttributes{StartToFireTimeout: durationpb.New(d)}, nil
	})
}

func (o *outbound) ExecuteChildWorkflow(ctx workflow.Context, name string, args ...any) workflow.ChildWorkflowFuture {
	o.recorder.record(ctx, enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED, func() (proto.Message, error) {
		options := workflow.GetChildWorkflowOptions(ctx)
		input, err := o.recorder.converter.ToPayloads(args...)
		return &historypb.StartChildWorkflowExecutionInitiatedEventAttributes{
			WorkflowId:   options.WorkflowID,
			WorkflowType: &commonpb.WorkflowType{Name: name},
			TaskQueue:    taskQueue(options.TaskQueue, workflow.GetInfo(ctx)),
			Input:        input,
		}, err
	})
	return o.Next.ExecuteChildWorkflow(ctx, name, args...)
}

func (o *outbound) SignalExternalWorkflow(ctx workflow.Context, workflowID, runID, name string, arg any) workflow.Future {
	o.recordSignal(ctx, workflowID, name, arg)
	return o.Next.SignalExternalWorkflow(ctx, workflowID, runID, name, arg)
}

func (o *outbound) SignalChildWorkflow(ctx workflow.Context, workflowID, name string, arg any) workflow.Future {
	o.recordSignal(ctx, workflowID, name, arg)
	return o.Next.SignalChildWorkflow(ctx, workflowID, name, arg)
}

func (o *outbound) recordSignal(ctx workflow.Context, workflowID, name string, arg any) {
	o.recorder.record(ctx, enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED, func() (proto.Message, error) {
		attributes := &historypb.SignalExternalWorkflowExecutionInitiatedEventAttributes{
			WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID}, SignalName: name,
		}
		var err error
		if arg != nil {
			attributes.Input, err = o.recorder.converter.ToPayloads(arg)
		}
		return attributes, err
	})
}

func (o *outbound) UpsertTypedSearchAttributes(ctx workflow.Context, updates ...temporal.SearchAttributeUpdate) error {
	if err := o.Next.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		return err
	}
	o.recordUpsert(ctx, func(name string) bool { return changes(updates, name) })
	return nil
}

func (o *outbound) UpsertSearchAttributes(ctx workflow.Context, attributes map[string]any) error {
	if err := o.Next.UpsertSearchAttributes(ctx, attributes); err != nil {
		return err
	}
	o.recordUpsert(ctx, func(name string) bool { _, ok := attributes[name]; return ok })
	return nil
}

// recordUpsert records the upserted attributes as the SDK encoded them: the workflow's info then holds them. upserted reports
// whether an attribute was among them.
func (o *outbound) recordUpsert(ctx workflow.Context, upserted func(name string) bool) {
	o.recorder.record(ctx, enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, func() (proto.Message, error) {
		fields := map[string]*commonpb.Payload{}
		//nolint:staticcheck // SA1019: the typed attributes do not contain the unset ones
		for name, value := range workflow.GetInfo(ctx).SearchAttributes.GetIndexedFields() {
			if upserted(name) {
				fields[name] = value
			}
		}
		return &historypb.UpsertWorkflowSearchAttributesEventAttributes{
			SearchAttributes: &commonpb.SearchAttributes{IndexedFields: fields},
		}, nil
	})
}

func (o *outbound) UpsertMemo(ctx workflow.Context, memo map[string]any) error {
	o.recorder.record(ctx, enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED, func() (proto.Message, error) {
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

// taskQueue returns the named task queue, or that of the workflow if name is empty.
func taskQueue(name string, info *workflow.Info) *taskqueuepb.TaskQueue {
	if name == "" {
		name = info.TaskQueueName
	}
	return &taskqueuepb.TaskQueue{Name: name}
}
