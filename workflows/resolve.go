package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
)

// word is an operator's resolution on its way to the operation that waits for an outcome. It is of what was sent before
// it was given: while a call is under way, nobody can know.
type word struct {
	given   *payment.Resolution
	sending bool
}

// hear answers the update resolve. The operation takes the operator's word, unless the processor speaks first. doubt says
// why this payment or refund cannot have ended so.
func (r *record[T]) hear(ctx workflow.Context, s subject, statuses []payment.Status, doubt func(payment.Resolution) error) error {
	return workflow.SetUpdateHandlerWithOptions(ctx, payment.UpdateResolve,
		func(ctx workflow.Context, resolution payment.Resolution) (T, error) {
			ctx, _ = workflow.NewDisconnectedContext(ctx)
			r.word.given = &resolution
			if err := workflow.Await(ctx, func() bool { return r.told && (r.word.given == nil || s.status().Final()) }); err != nil {
				return r.value, err
			}
			r.word.given = nil
			if s.status() != resolution.Status {
				return r.value, notResolvable("the processor has answered meanwhile, or was asked again: it is %s", s.status())
			}
			return r.value, nil
		},
		workflow.UpdateHandlerOptions{
			Description: "Settles by an operator's word what the processor cannot clear up.",
			Validator: func(_ workflow.Context, resolution payment.Resolution) error {
				if err := resolution.Validate(statuses); err != nil {
					return invalidRequest(err)
				}
				switch status := s.status(); {
				case status != payment.Unknown && status != payment.NeedsReconciliation:
					return notResolvable("it is %s: only what is %s or %s can be resolved", status, payment.Unknown, payment.NeedsReconciliation)
				case r.word.sending:
					return notResolvable("a call is under way: wait for its end, and look again at what the processor has")
				case r.word.given != nil:
					return notResolvable("another resolution is being recorded")
				}
				return doubt(resolution)
			},
		})
}

func notResolvable(format string, args ...any) error {
	return refusal(payment.ErrNotResolvable, format, args...)
}

// anotherID refuses a resolution that names another id than the processor has.
func anotherID(r payment.Resolution, id string) error {
	if r.ProcessorID == "" || id == "" || r.ProcessorID == id {
		return nil
	}
	return invalidField("processor_id", "%q: the processor has named it %q", r.ProcessorID, id)
}

// refusal is why an update is not accepted.
func refusal(code payment.RefusalCode, format string, args ...any) error {
	return applicationError(payment.Refuse(code, format, args...))
}

// applicationError turns a refusal into an application error of Temporal.
func applicationError(r *payment.Refusal) error {
	return temporal.NewNonRetryableApplicationError(r.Message, string(r.Code), nil)
}

// wait lasts for d, or until the processor has news, an operator gives his word, or there is nothing to wait for.
func (o *operation) wait(ctx workflow.Context, d time.Duration, over func() bool, summary string) {
	if deadline := o.subject.deadline(); !deadline.IsZero() {
		if left := max(deadline.Sub(workflow.Now(ctx)), 0); left <= d {
			d, summary = left, fmt.Sprintf("%s until %s", o.subject.status(), moment(deadline))
		}
	}
	news := workflow.GetSignalChannel(ctx, payment.SignalProcessorEvent)
	// The context is disconnected: nothing cancels the wait.
	_, _ = workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: d, TimerOptions: workflow.TimerOptions{Summary: summary}},
		func() bool { return o.word.given != nil || news.Len() > 0 || over() })
	// What they say is not believed: they are a reason to ask.
	drain(news)
}

func drain(news workflow.ReceiveChannel) {
	for news.ReceiveAsync(nil) {
	}
}

// heed takes an operator's word, if there is one for what is still open.
func (o *operation) heed(ctx workflow.Context) {
	resolution := o.word.given
	if resolution == nil {
		return
	}
	defer func() { o.word.given = nil }()
	switch o.subject.status() {
	case payment.Unknown, payment.NeedsReconciliation:
		o.subject.resolve(ctx, *resolution)
		o.subject.tell(ctx, activities.Cause{By: "operator:" + resolution.By, Evidence: evidence("evidence", resolution.Evidence)})
	default:
		// The processor was asked before, and has spoken.
	}
}

// resolvedFailure is why something failed by an operator's word.
func resolvedFailure(r payment.Resolution) *payment.Failure {
	return &payment.Failure{Class: payment.ClassOutcomeUnknown, Message: fmt.Sprintf("resolved by %s: %s", r.By, r.Evidence)}
}

// resolvedDecline is a decline by an operator's word.
func resolvedDecline(r payment.Resolution) *payment.Decline {
	return &payment.Decline{Code: "resolved", Kind: payment.DeclineSoft, Message: fmt.Sprintf("resolved by %s: %s", r.By, r.Evidence)}
}
