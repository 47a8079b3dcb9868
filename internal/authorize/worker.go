package authorize

import (
	"context"
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/internal/caller"
	"github.com/florinpay/florin/payment"
)

// Authorizer decides for a worker whether a request is permitted. A nil Authorizer permits everything.
type Authorizer struct {
	Verifier *Verifier
	// Refused is called for each refused request. Neither argument says who or what it is about.
	Refused func(operation, reason string)
	// Log is called with the reason, and the workflow if there is one.
	Log func(operation string, workflowID string, err error)
}

// Allow returns who makes the request, at the given time, for a merchant; an empty merchant means all of them. The error is a
// non-retryable application error of Temporal of type [payment.ErrNotAuthorized].
func (a *Authorizer) Allow(p *caller.Proof, r caller.Request, merchantID string, at time.Time) (caller.Identity, error) {
	return a.decide(p, r, at, func(i caller.Identity) error { return requireMerchant(i, r, merchantID) })
}

// AllowForSome is [Authorizer.Allow] for a request whose merchant is not known yet: the caller of AllowForSome must check
// [caller.Identity.ActsFor].
func (a *Authorizer) AllowForSome(p *caller.Proof, r caller.Request, at time.Time) (caller.Identity, error) {
	return a.decide(p, r, at, func(caller.Identity) error { return nil })
}

// AllowForAll is [Authorizer.Allow] for several merchants. Its error names none of them, so that it says nothing about what exists.
func (a *Authorizer) AllowForAll(p *caller.Proof, r caller.Request, merchantIDs []string, at time.Time) (caller.Identity, error) {
	return a.decide(p, r, at, func(i caller.Identity) error {
		for _, merchantID := range merchantIDs {
			if !i.ActsFor(merchantID) {
				return &Error{Reason: "merchant", Message: fmt.Sprintf("%s may not %s: he may act for %v, and not for all of its merchants",
					i.Subject, r.Operation(), i.Merchants)}
			}
		}
		return nil
	})
}

func (a *Authorizer) decide(p *caller.Proof, r caller.Request, at time.Time, permitsMerchant func(caller.Identity) error) (caller.Identity, error) {
	if a == nil {
		return caller.Identity{Merchants: []string{caller.AllMerchants}}, nil
	}
	identity, err := a.Verifier.Verify(p, r, at)
	if err == nil {
		err = requireRole(identity, r)
	}
	if err == nil {
		err = permitsMerchant(identity)
	}
	if err == nil {
		return identity, nil
	}
	var refusal *Error
	if errors.As(err, &refusal) {
		a.Refused(r.Operation(), refusal.Reason)
	}
	a.Log(r.Operation(), r.WorkflowID, err)
	return caller.Identity{}, temporal.NewNonRetryableApplicationError(err.Error(), string(payment.ErrNotAuthorized), nil)
}

// NewWorkerInterceptor returns an interceptor that refuses updates and queries that a does not permit, and brings the proofs of starts, updates,
// signals and reads to where they are used. Without it, callers do not have to prove anything.
//
// Starts are verified by the local activity that begins the payment, so that the answer is in the history; updates by their validators, which
// do not run in a replay; signals by the activity that they cause, see [Prompt]. So a replay depends on neither a clock nor a key.
func NewWorkerInterceptor(a *Authorizer) interceptor.WorkerInterceptor {
	return &workerInterceptor{authorizer: a}
}

type workerInterceptor struct {
	interceptor.WorkerInterceptorBase
	authorizer *Authorizer
}

type proofKey struct{}

type subjectKey struct{}

// SubjectOf returns who has sent the update whose handler runs in ctx; empty if callers do not have to prove that.
func SubjectOf(ctx workflow.Context) string {
	subject, _ := ctx.Value(subjectKey{}).(string)
	return subject
}

// ProofOf returns the proof of the start of a workflow. Nil: there is none.
func ProofOf(ctx workflow.Context) *caller.Proof {
	p, _ := ctx.Value(proofKey{}).(*caller.Proof)
	return p
}

// ProofOfRead returns the proof of the read that an activity is. Nil: there is none.
func ProofOfRead(ctx context.Context) *caller.Proof {
	p, _ := ctx.Value(proofKey{}).(*caller.Proof)
	return p
}

// read decodes the first of the headers that is there. A header that cannot be decoded is a proof of nothing.
func read(header map[string]*commonpb.Payload, names ...string) *caller.Proof {
	for _, name := range names {
		payload, ok := header[name]
		if !ok {
			continue
		}
		p := &caller.Proof{}
		if converter.GetDefaultDataConverter().FromPayload(payload, p) != nil {
			return &caller.Proof{}
		}
		return p
	}
	return nil
}

// InterceptWorkflow implements interceptor.WorkerInterceptor.
func (w *workerInterceptor) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	in := &workflowInbound{authorizer: w.authorizer, prompts: &prompts{}}
	in.Next = next
	return in
}

type workflowInbound struct {
	interceptor.WorkflowInboundInterceptorBase
	authorizer *Authorizer
	prompts    *prompts
}

// ExecuteWorkflow implements interceptor.WorkflowInboundInterceptor.
func (in *workflowInbound) ExecuteWorkflow(ctx workflow.Context, input *interceptor.ExecuteWorkflowInput) (any, error) {
	ctx = workflow.WithValue(ctx, proofKey{}, read(interceptor.WorkflowHeader(ctx), caller.Header))
	return in.Next.ExecuteWorkflow(workflow.WithValue(ctx, promptsKey{}, in.prompts), input)
}

// ValidateUpdate implements interceptor.WorkflowInboundInterceptor. It does not run in a replay, so that it may use the clock.
func (in *workflowInbound) ValidateUpdate(ctx workflow.Context, input *interceptor.UpdateInput) error {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	_, err := in.authorizer.Allow(read(interceptor.WorkflowHeader(ctx), caller.UpdateHeader, caller.Header), caller.Request{
		Kind: caller.Update, Name: input.Name, WorkflowID: id, UpdateID: workflow.GetCurrentUpdateInfo(ctx).ID, Args: input.Args,
	}, merchantOf(id), time.Now()) //workflowcheck:ignore
	if err != nil {
		return err
	}
	return in.Next.ValidateUpdate(ctx, input)
}

// ExecuteUpdate implements interceptor.WorkflowInboundInterceptor.
func (in *workflowInbound) ExecuteUpdate(ctx workflow.Context, input *interceptor.UpdateInput) (any, error) {
	subject := subjectOf(read(interceptor.WorkflowHeader(ctx), caller.UpdateHeader, caller.Header))
	return in.Next.ExecuteUpdate(workflow.WithValue(ctx, subjectKey{}, subject), input)
}

// HandleQuery implements interceptor.WorkflowInboundInterceptor. A query is in no history.
func (in *workflowInbound) HandleQuery(ctx workflow.Context, input *interceptor.HandleQueryInput) (any, error) {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	_, err := in.authorizer.Allow(read(interceptor.WorkflowHeader(ctx), caller.Header), caller.Request{
		Kind: caller.Query, Name: input.QueryType, WorkflowID: id, Args: input.Args,
	}, merchantOf(id), time.Now()) //workflowcheck:ignore
	if err != nil {
		return nil, err
	}
	return in.Next.HandleQuery(ctx, input)
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (w *workerInterceptor) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	in := &activityInbound{}
	in.Next = next
	return in
}

type activityInbound struct {
	interceptor.ActivityInboundInterceptorBase
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (in *activityInbound) ExecuteActivity(ctx context.Context, input *interceptor.ExecuteActivityInput) (any, error) {
	header := interceptor.Header(ctx)
	ctx = context.WithValue(ctx, promptKey{}, readPrompt(header))
	return in.Next.ExecuteActivity(context.WithValue(ctx, proofKey{}, read(header, caller.Header)), input)
}
