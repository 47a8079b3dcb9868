package main

import (
	"context"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// metadataRemover is an interceptor that removes what only serves observability: summaries, details and search attributes. The
// rest of the workflow, which executes the payment, is unchanged.
type metadataRemover struct {
	interceptor.InterceptorBase
}

// InterceptClient implements interceptor.ClientInterceptor.
func (*metadataRemover) InterceptClient(next interceptor.ClientOutboundInterceptor) interceptor.ClientOutboundInterceptor {
	return &clientRemover{ClientOutboundInterceptorBase: interceptor.ClientOutboundInterceptorBase{Next: next}}
}

type clientRemover struct {
	interceptor.ClientOutboundInterceptorBase
}

// ExecuteWorkflow implements interceptor.ClientOutboundInterceptor.
func (r *clientRemover) ExecuteWorkflow(
	ctx context.Context, in *interceptor.ClientExecuteWorkflowInput,
) (client.WorkflowRun, error) {
	in.Options.StaticSummary, in.Options.StaticDetails = "", ""
	in.Options.TypedSearchAttributes = temporal.SearchAttributes{}
	return r.Next.ExecuteWorkflow(ctx, in)
}

// InterceptWorkflow implements interceptor.WorkerInterceptor.
func (*metadataRemover) InterceptWorkflow(
	_ workflow.Context, next interceptor.WorkflowInboundInterceptor,
) interceptor.WorkflowInboundInterceptor {
	return &workflowRemover{WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next}}
}

type workflowRemover struct {
	interceptor.WorkflowInboundInterceptorBase
}

// Init implements interceptor.WorkflowInboundInterceptor.
func (r *workflowRemover) Init(out interceptor.WorkflowOutboundInterceptor) error {
	return r.Next.Init(&outboundRemover{WorkflowOutboundInterceptorBase: interceptor.WorkflowOutboundInterceptorBase{Next: out}})
}

type outboundRemover struct {
	interceptor.WorkflowOutboundInterceptorBase
}

// ExecuteActivity implements interceptor.WorkflowOutboundInterceptor.
func (r *outboundRemover) ExecuteActivity(ctx workflow.Context, activity string, args ...any) workflow.Future {
	options := workflow.GetActivityOptions(ctx)
	options.Summary = ""
	return r.Next.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, args...)
}

// UpsertTypedSearchAttributes implements interceptor.WorkflowOutboundInterceptor.
func (*outboundRemover) UpsertTypedSearchAttributes(workflow.Context, ...temporal.SearchAttributeUpdate) error {
	return nil
}
