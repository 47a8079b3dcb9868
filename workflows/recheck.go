package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
)

const (
	// collectFor is how long a recheck collects events before its first lookup: a processor sends several about one change.
	collectFor = 2 * time.Second
	// firstPause is the pause after a lookup. It doubles with each, up to longestPause.
	firstPause   = time.Minute
	longestPause = time.Hour
	// lookUpFor limits how long a lookup without a response is repeated.
	lookUpFor = 24 * time.Hour
	// maxRounds limits the lookups of one run, and so its history. The workflow then continues as new.
	maxRounds = 20
)

// Recheck looks a final payment or refund up at its processor, because that has sent an event about it. What contradicts Florin's
// own state is recorded as a divergence; a succeeded refund that has failed since becomes failed. No money moves.
//
// Events that arrive during a pause after a lookup cause one further lookup at its end. Without one, the workflow completes.
func Recheck(ctx workflow.Context, req payment.RecheckRequest) (payment.Recheck, error) {
	if !isContinued(workflow.GetInfo(ctx)) { // the client that has started it does not know what a lookup has shown
		req.Unconfirmed, req.Earlier = nil, payment.Recheck{}
	}
	r := &recheck{req: req, found: req.Earlier, events: workflow.GetSignalChannel(ctx, payment.SignalProcessorEvent)}
	return r.run(ctx)
}

type recheck struct {
	req    payment.RecheckRequest
	found  payment.Recheck
	events workflow.ReceiveChannel
	// status is the final status as it was read before the last lookup.
	status payment.Status
}

func (r *recheck) run(ctx workflow.Context) (payment.Recheck, error) {
	if r.found.Lookups == 0 {
		if err := pauseFor(ctx, collectFor, "collect the events about the same change"); err != nil {
			return r.found, err
		}
	}
	due := r.found.Lookups > 0 // the run before this one has continued because there was one more lookup to make
	for range maxRounds {
		drain(r.events) // what an event says is not trusted: it is a reason to look up
		prompt := authorize.TakePrompt(ctx)
		if due {
			prompt = nil
		}
		found, responded, err := r.lookUp(ctx, prompt)
		if err != nil || !responded {
			return r.found, err
		}
		if err := r.record(ctx, found); err != nil {
			return r.found, err
		}
		if err := pauseFor(ctx, pauseAfter(r.found.Lookups), "collect events, and look up again if one arrives"); err != nil {
			return r.found, err
		}
		due = len(r.req.Unconfirmed) > 0
		if r.events.Len() == 0 && !due {
			return r.found, nil
		}
	}
	drain(r.events) // the next run begins with a lookup
	r.req.Earlier = r.found
	return r.found, workflow.NewContinueAsNewError(ctx, payment.WorkflowRecheck, r.req)
}

// pauseAfter returns the pause after a number of lookups that is at least 1.
func pauseAfter(lookups int) time.Duration {
	pause := firstPause
	for range min(lookups, maxRounds) - 1 {
		pause = min(2*pause, longestPause)
	}
	return pause
}

// pauseFor returns an error only if the workflow is canceled.
func pauseFor(ctx workflow.Context, d time.Duration, why string) error {
	summary := fmt.Sprintf("wait %s: %s", roundForDisplay(d), why)
	timer := workflow.NewTimerWithOptions(ctx, d, workflow.TimerOptions{Summary: summary})
	err := workflow.Await(ctx, func() bool {
		authorize.StampSignals(ctx)
		return timer.IsReady()
	})
	if err != nil {
		return err
	}
	return timer.Get(ctx, nil)
}

// lookUp asks the processor for its record until it responds: prompted by signals, or because it is due. responded is false if there is
// nothing to look up, or no response in time.
func (r *recheck) lookUp(ctx workflow.Context, prompt *authorize.Prompt) (found activities.LookupResult, responded bool, err error) {
	var target activities.RecheckTarget
	if err := runInStore(authorize.WithPrompt(ctx, prompt), "read what is final", &target, payment.ActivityBeginRecheck, r.req); err != nil {
		return found, false, err
	}
	if target.Skip != "" {
		workflow.GetLogger(ctx).Info("nothing to recheck", "why", target.Skip)
		if r.found.Lookups == 0 { // otherwise the details say what the lookups before have shown
			workflow.SetCurrentDetails(ctx, "Nothing was looked up: "+temporalweb.Escape(target.Skip)+".")
		}
		return found, false, nil
	}
	r.status = target.Status
	calls := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              payment.ProcessorTaskQueue(target.Terms.Processor),
		StartToCloseTimeout:    time.Duration(target.Terms.StartToClose),
		ScheduleToCloseTimeout: time.Duration(target.Terms.ScheduleToClose),
		Summary:                "look up what the processor has",
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Duration(target.Terms.RetryInitial), MaximumInterval: time.Duration(target.Terms.RetryMax),
			BackoffCoefficient: target.Terms.RetryMultiplier, MaximumAttempts: 3,
		},
	})
	until := workflow.Now(ctx).Add(lookUpFor)
	for attempt := 1; ; attempt++ {
		err = workflow.ExecuteActivity(calls, payment.ActivityProcessorLookup, target.Call).Get(ctx, &found)
		switch {
		case err == nil:
			r.found.Lookups++
			return found, true, nil
		case temporal.IsCanceledError(err):
			return found, false, err
		}
		failure := activities.FailureOf(err)
		pause := max(pauseAfter(attempt), time.Duration(failure.Wait))
		if workflow.Now(ctx).Add(pause).After(until) {
			workflow.GetLogger(ctx).Error("gave up the recheck: the processor does not respond to lookups",
				"failure_class", failure.Class, "failure", failure.Message)
			workflow.SetCurrentDetails(ctx, "**Not rechecked**: the processor did not respond to lookups for a day.")
			return found, false, nil
		}
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("The processor did not respond: %s: %s\n\nNext: it is looked up again.",
			temporalweb.Code(string(failure.Class)), temporalweb.Escape(failure.Message)))
		if err := pauseFor(ctx, pause, "the processor did not respond, look up again"); err != nil {
			return found, false, err
		}
	}
}

// record persists how the processor's record contradicts the payment or refund. That there is none is no contradiction: lookups
// lag, and a payment that was not executed has none.
func (r *recheck) record(ctx workflow.Context, found activities.LookupResult) error {
	if !found.Found {
		r.req.Unconfirmed = nil
		log := workflow.GetLogger(ctx).Info
		if r.status == payment.Succeeded {
			log = workflow.GetLogger(ctx).Warn
		}
		log("the processor has no record of a final payment or refund", "status", r.status)
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("Here it is %s, and the processor has no record of it.", r.status))
		return nil
	}
	var out activities.RecheckOutcome
	if err := runInStore(ctx, "compare, and record contradictions", &out, payment.ActivityRecordRecheck, r.req, found.Result); err != nil {
		return err
	}
	r.req.Unconfirmed = out.Unconfirmed
	r.found.FailedLate = r.found.FailedLate || out.FailedLate
	for _, d := range out.Recorded {
		r.found.Divergences = append(r.found.Divergences, d.DivergenceID)
		workflow.GetLogger(ctx).Error("the processor contradicts a final status", "payment_id", d.PaymentID, "refund_id", d.RefundID,
			"divergence_id", d.DivergenceID, "kind", d.Kind, "status_here", d.StatusHere, "status_there", d.StatusThere)
	}
	if out.FailedLate {
		workflow.GetLogger(ctx).Error("a refund failed after it had succeeded",
			"refund_id", payment.RefundID(r.req.MerchantID, r.req.IdempotencyKey), "from", payment.Succeeded, "status", out.Status)
	}
	if len(out.Unconfirmed) > 0 {
		workflow.GetLogger(ctx).Warn("the processor seems to contradict a final status: the next lookup decides",
			"divergences", out.Unconfirmed)
	}
	workflow.SetCurrentDetails(ctx, r.details(out))
	return nil
}

// details describes the last lookup, and what the earlier ones have found.
func (r *recheck) details(out activities.RecheckOutcome) string {
	text := fmt.Sprintf("**No contradiction.** It is %s, and the processor's record agrees.", out.Status)
	switch {
	case r.found.FailedLate:
		text = "**The refund failed after it had succeeded.** The customer did not get the money. The amount can be refunded again."
	case len(r.found.Divergences) > 0:
		text = fmt.Sprintf("**The processor contradicts it.** Here it is %s.", out.Status)
	case len(out.Unconfirmed) > 0:
		text = fmt.Sprintf("Here it is %s, and the processor's record differs. "+
			"That may be a lagging record: the next lookup decides.", out.Status)
	}
	if len(r.found.Divergences) > 0 {
		text += "\n\nWhat you can do, once it is cleared up:\n"
		for _, id := range r.found.Divergences {
			text += "\n- " + temporalweb.Command("starter divergences acknowledge "+id+" --by …")
		}
	}
	return text
}

// runInStore runs a local activity of the store. Its only error is a refusal. While the store is down, the workflow task fails
// with the reason and is retried.
func runInStore(ctx workflow.Context, summary string, result any, activity string, args ...any) error {
	err := workflow.ExecuteLocalActivity(withStoreOptions(ctx, summary), activity, args...).Get(ctx, result)
	var refusal *temporal.ApplicationError
	switch {
	case err == nil, temporal.IsCanceledError(err), errors.As(err, &refusal) && refusal.NonRetryable():
		return err
	default:
		panic(fmt.Sprintf("%s: %v", activity, err))
	}
}
