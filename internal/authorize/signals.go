package authorize

import (
	"context"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/internal/caller"
	"github.com/florinpay/florin/payment"
)

// maxSignals is how many signals are kept for one lookup. Earlier ones are dropped: then the lookup takes place when it is due.
const maxSignals = 8

// Prompt are the signals because of which a workflow looks something up before that is due. The activity that does so decides with
// [Authorizer.AllowsPrompt], and its answer is in the history: a replay depends on neither a clock nor a key.
//
// An activity gets it in a header, which a replay does not compare: the histories are the same with and without proofs.
type Prompt struct {
	// Signals are the latest ones.
	Signals []Signal `json:"signals,omitempty"`
}

// Signal is one signal.
type Signal struct {
	// Proof says who has sent it. Nil: it has no proof.
	Proof *caller.Proof `json:"proof,omitempty"`
	// At is when the workflow has received it, see [StampSignals].
	At time.Time `json:"at"`
}

// prompts are the signals of a run since the last lookup that they have caused.
type prompts struct{ signals []Signal }

// add keeps a signal. Unsigned ones are all the same, so that they take the room of one.
func (p *prompts) add(s Signal) {
	if last := len(p.signals) - 1; s.Proof == nil && last >= 0 && p.signals[last].Proof == nil {
		p.signals[last] = s
		return
	}
	if len(p.signals) == maxSignals {
		p.signals = p.signals[1:]
	}
	p.signals = append(p.signals, s)
}

// promptsKey is the key of a run's *prompts in its context.
type promptsKey struct{}

// StampSignals gives the signals that have arrived the time of the current workflow task: a workflow that waits for something else calls it
// in the condition. Temporal does not say when a signal arrives.
func StampSignals(ctx workflow.Context) {
	received, ok := ctx.Value(promptsKey{}).(*prompts)
	if !ok {
		return
	}
	now := workflow.Now(ctx)
	for i := range received.signals {
		if s := &received.signals[i]; s.At.IsZero() {
			s.At = now
		}
	}
}

// TakePrompt returns the signals that the workflow has received since the last call; nil if callers do not have to prove who they are.
func TakePrompt(ctx workflow.Context) *Prompt {
	received, ok := ctx.Value(promptsKey{}).(*prompts)
	if !ok {
		return nil
	}
	StampSignals(ctx)
	taken := &Prompt{Signals: received.signals}
	received.signals = nil
	return taken
}

// promptKey is the key of a prompt in the context of the activity that it causes.
type promptKey struct{}

// promptHeader is the header of that activity.
const promptHeader = caller.Header + "-prompt"

// WithPrompt returns a context for the activity that a prompt causes. A nil prompt causes none: the activity is due.
func WithPrompt(ctx workflow.Context, p *Prompt) workflow.Context {
	return workflow.WithValue(ctx, promptKey{}, p)
}

// PromptOf returns the prompt that has caused an activity. Nil: it was due.
func PromptOf(ctx context.Context) *Prompt {
	p, _ := ctx.Value(promptKey{}).(*Prompt)
	return p
}

// readPrompt decodes the header of an activity. A header that cannot be decoded permits nothing.
func readPrompt(header map[string]*commonpb.Payload) *Prompt {
	payload, ok := header[promptHeader]
	if !ok {
		return nil
	}
	p := &Prompt{}
	if converter.GetDefaultDataConverter().FromPayload(payload, p) != nil {
		return &Prompt{}
	}
	return p
}

// Init implements interceptor.WorkflowInboundInterceptor.
func (in *workflowInbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	out := &workflowOutbound{}
	out.Next = next
	return in.Next.Init(out)
}

type workflowOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
}

// ExecuteActivity implements interceptor.WorkflowOutboundInterceptor.
func (out *workflowOutbound) ExecuteActivity(ctx workflow.Context, activity string, args ...any) workflow.Future {
	writePrompt(ctx)
	return out.Next.ExecuteActivity(ctx, activity, args...)
}

// ExecuteLocalActivity implements interceptor.WorkflowOutboundInterceptor.
func (out *workflowOutbound) ExecuteLocalActivity(ctx workflow.Context, activity string, args ...any) workflow.Future {
	writePrompt(ctx)
	return out.Next.ExecuteLocalActivity(ctx, activity, args...)
}

// writePrompt puts the prompt of an activity into its header.
func writePrompt(ctx workflow.Context) {
	p, _ := ctx.Value(promptKey{}).(*Prompt)
	if p == nil {
		return
	}
	payload, err := converter.GetDefaultDataConverter().ToPayload(p)
	if err != nil {
		panic(err)
	}
	interceptor.WorkflowHeader(ctx)[promptHeader] = payload
}

// HandleSignal implements interceptor.WorkflowInboundInterceptor. It decides nothing, because it runs in replays, too.
func (in *workflowInbound) HandleSignal(ctx workflow.Context, input *interceptor.HandleSignalInput) error {
	if input.SignalName == payment.SignalProcessorEvent {
		proof := read(interceptor.WorkflowHeader(ctx), caller.Header)
		if proof != nil && isTooLong(proof) {
			proof = &caller.Proof{} // it proves nothing, and must not fill histories
		}
		in.prompts.add(Signal{Proof: proof})
	}
	return in.Next.HandleSignal(ctx, input)
}

// AllowsPrompt reports whether one of the signals may cause a lookup at the processor, of the payment or refund of a merchant that the
// workflow is about. Each signal that may not is logged and counted. A nil prompt is none: the lookup is due, and permitted.
func (a *Authorizer) AllowsPrompt(p *Prompt, workflowID, merchantID, processor string) bool {
	if a == nil || p == nil {
		return true
	}
	r := caller.Request{Kind: caller.Signal, Name: payment.SignalProcessorEvent, WorkflowID: workflowID}
	signals := p.Signals
	if len(signals) == 0 {
		signals = []Signal{{}}
	}
	for _, s := range signals {
		_, err := a.decide(s.Proof, r, s.At, func(i caller.Identity) error {
			if s.Proof.Processor != "" && s.Proof.Processor != processor {
				return &Error{Reason: "signature", Message: fmt.Sprintf("a webhook secret of %q signs no signal about what %q has", s.Proof.Processor, processor)}
			}
			return requireMerchant(i, r, merchantID)
		})
		if err == nil {
			return true
		}
	}
	return false
}
