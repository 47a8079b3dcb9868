package tracing

import (
	"context"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"
)

// A workflow is replayed whenever somebody asks about a payment that is in no worker's memory, and after every restart.
// What was told of it before must not be told again, and what is told later has to fit to it: the span of a workflow has
// the same id in every replay, so that its children find it whichever worker ends it.

// replays keeps what a replay would tell out of the trace.
type replays struct{ interceptor.Interceptor }

// InterceptWorkflow implements interceptor.WorkerInterceptor.
func (r replays) InterceptWorkflow(ctx workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	inner := &replayed{}
	inner.Next = next
	return r.Interceptor.InterceptWorkflow(ctx, inner)
}

type replayed struct {
	interceptor.WorkflowInboundInterceptorBase
}

// ExecuteWorkflow implements interceptor.WorkflowInboundInterceptor.
func (r *replayed) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (result any, err error) {
	once(ctx, func() { result, err = r.Next.ExecuteWorkflow(ctx, in) })
	return result, err
}

// ExecuteUpdate implements interceptor.WorkflowInboundInterceptor.
func (r *replayed) ExecuteUpdate(ctx workflow.Context, in *interceptor.UpdateInput) (result any, err error) {
	once(ctx, func() { result, err = r.Next.ExecuteUpdate(ctx, in) })
	return result, err
}

// once has the span told where run comes to its end, for the first time. It comes to none where the workflow panics, or
// leaves the worker's memory.
func once(ctx workflow.Context, run func()) {
	s, ok := ctx.Value(spanKey{}).(*span)
	if !ok {
		run()
		return
	}
	s.silent = true
	run()
	s.silent = workflow.IsReplaying(ctx)
}

type idempotencyKey struct{}

// WithKey says that the span that is about to start under ctx is started again in every replay, under this key.
func WithKey(ctx context.Context, key string) context.Context {
	if key == "" {
		return ctx
	}
	return context.WithValue(ctx, idempotencyKey{}, key)
}

// Key is that of WithKey, for the generator of ids of the worker's provider; empty for a span that starts once.
func Key(ctx context.Context) string {
	key, _ := ctx.Value(idempotencyKey{}).(string)
	return key
}
