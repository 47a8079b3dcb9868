package caller

import (
	"context"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
)

// proofKey is the key of a proof in the context of a signal.
type proofKey struct{}

// WithProof returns a context for a signal whose sender has no token, but a proof: the interceptor of [NewForwarder] puts it into the header.
func WithProof(ctx context.Context, p Proof) context.Context {
	return context.WithValue(ctx, proofKey{}, p)
}

// NewForwarder returns an interceptor of a Temporal client that sends signals with the proofs of [WithProof].
func NewForwarder() interceptor.ClientInterceptor { return &forwarder{} }

type forwarder struct {
	interceptor.ClientInterceptorBase
}

// InterceptClient implements interceptor.ClientInterceptor.
func (*forwarder) InterceptClient(next interceptor.ClientOutboundInterceptor) interceptor.ClientOutboundInterceptor {
	out := &forwardingOutbound{}
	out.Next = next
	return out
}

type forwardingOutbound struct {
	interceptor.ClientOutboundInterceptorBase
}

func forward(ctx context.Context) error {
	p, ok := ctx.Value(proofKey{}).(Proof)
	if !ok {
		return nil
	}
	payload, err := converter.GetDefaultDataConverter().ToPayload(p)
	if err == nil {
		interceptor.Header(ctx)[Header] = payload
	}
	return err
}

// SignalWorkflow implements interceptor.ClientOutboundInterceptor.
func (out *forwardingOutbound) SignalWorkflow(ctx context.Context, in *interceptor.ClientSignalWorkflowInput) error {
	if err := forward(ctx); err != nil {
		return err
	}
	return out.Next.SignalWorkflow(ctx, in)
}

// SignalWithStartWorkflow implements interceptor.ClientOutboundInterceptor.
func (out *forwardingOutbound) SignalWithStartWorkflow(
	ctx context.Context, in *interceptor.ClientSignalWithStartWorkflowInput,
) (client.WorkflowRun, error) {
	if err := forward(ctx); err != nil {
		return nil, err
	}
	return out.Next.SignalWithStartWorkflow(ctx, in)
}
