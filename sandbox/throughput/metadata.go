package main

import (
	"context"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// quiet takes away what people see: summaries, details and search attributes. What is left is what moves money.
type quiet struct {
	interceptor.InterceptorBase
}

// InterceptClient implements interceptor.ClientInterceptor.
func (*quiet) InterceptClient(next interceptor.ClientOutboundInterceptor) interceptor.ClientOutboundInterceptor {
	return &quietClient{ClientOutboundInterceptorBase: interceptor.ClientOutboundInterceptorBase{Next: next}}
}

type quietClient struct {
	interceptor.ClientOutboundInterceptorBase
}

// ExecuteWorkflow implements interceptor.ClientOutboundInterceptor.
func (q *quietClient) ExecuteWorkflow(ctx context.Context, in *interceptor.ClientExecuteWorkflowInput) (client.WorkflowRun, error) {
	in.Options.StaticSummary, in.Options.StaticDetails = "", ""
	in.Options.TypedSearchAttributes = temporal.SearchAttributes{}
	return q.Next.ExecuteWorkflow(ctx, in)
}

// InterceptWorkflow implements interceptor.WorkerInterceptor.
func (*quiet) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &quietWorkflow{WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next}}
}

type quietWorkflow struct {
	interceptor.WorkflowInboundInterceptorBase
}

// Init implements interceptor.WorkflowInboundInterceptor.
func (q *quietWorkflow) Init(out interceptor.WorkflowOutboundInterceptor) error {
	return q.Next.Init(&quietCommands{WorkflowOutboundInterceptorBase: interceptor.WorkflowOutboundInterceptorBase{Next: out}})
}

type quietCommands struct {
	interceptor.WorkflowOutboundInterceptorBase
}

// ExecuteActivity implements interceptor.WorkflowOutboundInterceptor.
func (q *quietCommands) ExecuteActivity(ctx workflow.Context, activity string, args ...any) workflow.Future {
	options := workflow.GetActivityOptions(ctx)
	options.Summary = ""
	return q.Next.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, args...)
}

// UpsertTypedSearchAttributes implements interceptor.WorkflowOutboundInterceptor.
func (*quietCommands) UpsertTypedSearchAttributes(workflow.Context, ...temporal.SearchAttributeUpdate) error {
	return nil
}
