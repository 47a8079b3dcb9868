package caller

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"
)

// Source returns the caller's token. It is called for each request, and may return another token each time.
type Source func(context.Context) (Token, error)

// NewInterceptor returns an interceptor that signs the requests of a Temporal client to Florin's workflows and reads. Other requests
// are not changed. The workers that use the client sign the child workflows that their workflows start.
func NewInterceptor(source Source) interceptor.Interceptor {
	return &signingInterceptor{source: source}
}

type signingInterceptor struct {
	interceptor.InterceptorBase
	source Source
}

// InterceptClient implements interceptor.ClientInterceptor.
func (c *signingInterceptor) InterceptClient(next interceptor.ClientOutboundInterceptor) interceptor.ClientOutboundInterceptor {
	out := &clientOutbound{source: c.source}
	out.Next = next
	return out
}

type clientOutbound struct {
	interceptor.ClientOutboundInterceptorBase
	source Source
}

// sign puts the proof of a request into the header of ctx, unless it is not for Florin.
func (c *clientOutbound) sign(ctx context.Context, header string, r Request) error {
	if !r.isOfFlorin() {
		return nil
	}
	proof, err := c.source.prove(ctx, r, time.Now())
	if err == nil {
		interceptor.Header(ctx)[header] = proof
	}
	return err
}

// prove signs a request, and encodes the proof for a header.
func (s Source) prove(ctx context.Context, r Request, now time.Time) (*commonpb.Payload, error) {
	token, err := s(ctx)
	if err != nil {
		return nil, fmt.Errorf("the caller's token: %w", err)
	}
	proof, err := token.Sign(r, now)
	if err != nil {
		return nil, err
	}
	return converter.GetDefaultDataConverter().ToPayload(proof)
}

// ExecuteWorkflow implements interceptor.ClientOutboundInterceptor.
func (c *clientOutbound) ExecuteWorkflow(ctx context.Context, in *interceptor.ClientExecuteWorkflowInput) (client.WorkflowRun, error) {
	if err := c.sign(ctx, Header, Request{Kind: Start, Name: in.WorkflowType, WorkflowID: in.Options.ID, Args: in.Args}); err != nil {
		return nil, err
	}
	return c.Next.ExecuteWorkflow(ctx, in)
}

// UpdateWorkflow implements interceptor.ClientOutboundInterceptor.
func (c *clientOutbound) UpdateWorkflow(ctx context.Context, in *interceptor.ClientUpdateWorkflowInput) (client.WorkflowUpdateHandle, error) {
	if in.UpdateID == "" {
		in.UpdateID = uuid.NewString() // it is part of what is signed
	}
	if err := c.sign(ctx, Header, Request{
		Kind: Update, Name: in.UpdateName, WorkflowID: in.WorkflowID, UpdateID: in.UpdateID, Args: in.Args,
	}); err != nil {
		return nil, err
	}
	return c.Next.UpdateWorkflow(ctx, in)
}

// startKey is the key of the start in the context of an Update-with-Start.
type startKey struct{}

// WithStart returns a context for an Update-with-Start: the interceptor of a client cannot see what is started, and has to sign it, too.
func WithStart(ctx context.Context, workflow, workflowID string, args ...any) context.Context {
	return context.WithValue(ctx, startKey{}, Request{Kind: Start, Name: workflow, WorkflowID: workflowID, Args: args})
}

// UpdateWithStartWorkflow implements interceptor.ClientOutboundInterceptor. Temporal sends one header with the start and the update.
func (c *clientOutbound) UpdateWithStartWorkflow(
	ctx context.Context, in *interceptor.ClientUpdateWithStartWorkflowInput,
) (client.WorkflowUpdateHandle, error) {
	o := in.UpdateOptions
	if o.UpdateID == "" {
		o.UpdateID = uuid.NewString()
	}
	update := Request{Kind: Update, Name: o.UpdateName, WorkflowID: o.WorkflowID, UpdateID: o.UpdateID, Args: o.Args}
	if start, ok := ctx.Value(startKey{}).(Request); ok {
		update.WorkflowID = start.WorkflowID
		if err := c.sign(ctx, Header, start); err != nil {
			return nil, err
		}
	}
	if err := c.sign(ctx, UpdateHeader, update); err != nil {
		return nil, err
	}
	return c.Next.UpdateWithStartWorkflow(ctx, in)
}

// QueryWorkflow implements interceptor.ClientOutboundInterceptor.
func (c *clientOutbound) QueryWorkflow(ctx context.Context, in *interceptor.ClientQueryWorkflowInput) (converter.EncodedValue, error) {
	if err := c.sign(ctx, Header, Request{Kind: Query, Name: in.QueryType, WorkflowID: in.WorkflowID, Args: in.Args}); err != nil {
		return nil, err
	}
	return c.Next.QueryWorkflow(ctx, in)
}

// SignalWorkflow implements interceptor.ClientOutboundInterceptor.
func (c *clientOutbound) SignalWorkflow(ctx context.Context, in *interceptor.ClientSignalWorkflowInput) error {
	if err := c.sign(ctx, Header, Request{Kind: Signal, Name: in.SignalName, WorkflowID: in.WorkflowID}); err != nil {
		return err
	}
	return c.Next.SignalWorkflow(ctx, in)
}

// SignalWithStartWorkflow implements interceptor.ClientOutboundInterceptor. It signs the signal: what it starts is looked up because of the
// signal.
func (c *clientOutbound) SignalWithStartWorkflow(
	ctx context.Context, in *interceptor.ClientSignalWithStartWorkflowInput,
) (client.WorkflowRun, error) {
	if err := c.sign(ctx, Header, Request{Kind: Signal, Name: in.SignalName, WorkflowID: in.Options.ID}); err != nil {
		return nil, err
	}
	return c.Next.SignalWithStartWorkflow(ctx, in)
}

// ExecuteActivity implements interceptor.ClientOutboundInterceptor.
func (c *clientOutbound) ExecuteActivity(ctx context.Context, in *interceptor.ClientExecuteActivityInput) (client.ActivityHandle, error) {
	if err := c.sign(ctx, Header, Request{Kind: Read, Name: in.ActivityType, Args: in.Args}); err != nil {
		return nil, err
	}
	return c.Next.ExecuteActivity(ctx, in)
}

// InterceptWorkflow implements interceptor.WorkerInterceptor.
func (c *signingInterceptor) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	in := &parentInbound{source: c.source}
	in.Next = next
	return in
}

type parentInbound struct {
	interceptor.WorkflowInboundInterceptorBase
	source Source
}

// Init implements interceptor.WorkflowInboundInterceptor.
func (in *parentInbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	out := &parentOutbound{source: in.source}
	out.Next = next
	return in.Next.Init(out)
}

type parentOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	source Source
}

// ExecuteChildWorkflow implements interceptor.WorkflowOutboundInterceptor. A header is no part of what a replay compares, so that a replay
// needs no token. Without a token, the workflow task fails and is retried.
func (out *parentOutbound) ExecuteChildWorkflow(ctx workflow.Context, name string, args ...any) workflow.ChildWorkflowFuture {
	r := Request{Kind: Start, Name: name, WorkflowID: workflow.GetChildWorkflowOptions(ctx).WorkflowID, Args: args}
	if r.isOfFlorin() && !workflow.IsReplaying(ctx) {
		proof, err := out.source.prove(context.Background(), r, workflow.Now(ctx))
		if err != nil {
			panic(err)
		}
		interceptor.WorkflowHeader(ctx)[Header] = proof
	}
	return out.Next.ExecuteChildWorkflow(ctx, name, args...)
}
