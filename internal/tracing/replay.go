package tracing

import (
	"context"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"
)

// A worker replays a workflow after every restart, and whenever an update or a query reaches a workflow that is in no
// worker's cache. A span must not be exported again in a replay. And spans that are exported later must fit those that were
// exported before: the span of a workflow has the same ID in every replay, so that its children have the right parent,
// whichever worker ends it.

// replayInterceptor prevents a replay from exporting spans a second time.
type replayInterceptor struct{ interceptor.Interceptor }

// InterceptWorkflow implements interceptor.WorkerInterceptor.
func (r replayInterceptor) InterceptWorkflow(ctx workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	inner := &replayInbound{}
	inner.Next = next
	return r.Interceptor.InterceptWorkflow(ctx, inner)
}

// replayInbound is next to the workflow's code, within the SDK's tracing interceptor.
type replayInbound struct {
	interceptor.WorkflowInboundInterceptorBase
}

// ExecuteWorkflow implements interceptor.WorkflowInboundInterceptor.
func (r *replayInbound) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (result any, err error) {
	endOnce(ctx, func() { result, err = r.Next.ExecuteWorkflow(ctx, in) })
	return result, err
}

// ExecuteUpdate implements interceptor.WorkflowInboundInterceptor.
func (r *replayInbound) ExecuteUpdate(ctx workflow.Context, in *interceptor.UpdateInput) (result any, err error) {
	endOnce(ctx, func() { result, err = r.Next.ExecuteUpdate(ctx, in) })
	return result, err
}

// endOnce calls run and lets the span in ctx end only when run returns for the first time, that is, outside of a replay. run
// does not return if the workflow panics or is evicted from the worker's cache: then the span does not end.
func endOnce(ctx workflow.Context, run func()) {
	s, ok := ctx.Value(spanKey{}).(*span)
	if !ok {
		run()
		return
	}
	s.suppressed = true
	run()
	s.suppressed = workflow.IsReplaying(ctx)
}

type idempotencyKey struct{}

// WithKey returns a context for starting a span that starts again in every replay. The key is the same each time. An empty key
// leaves ctx as it is.
func WithKey(ctx context.Context, key string) context.Context {
	if key == "" {
		return ctx
	}
	return context.WithValue(ctx, idempotencyKey{}, key)
}

// Key returns the key that [WithKey] put into ctx, or an empty string for a span that starts only once. The worker's span ID
// generator derives the IDs of a span from it.
func Key(ctx context.Context) string {
	key, _ := ctx.Value(idempotencyKey{}).(string)
	return key
}
