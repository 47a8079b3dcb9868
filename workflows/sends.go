package workflows

import (
	"time"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
)

// sends is what is known about the sends of one operation so far.
type sends struct {
	state sendState
	// last is when the last send ended, failure how: of an earlier run at first.
	last    time.Time
	failure payment.Failure
}

// sendState is what the sends so far leave open. It only ever grows: ambiguity is sticky, a later refusal proves nothing about an
// earlier send.
type sendState int

const (
	// unsent: provably nothing has reached the processor.
	unsent sendState = iota
	// untaken: no worker has picked up the call in time. Temporal's account of that may have a gap, so one lookup has to confirm
	// it.
	untaken
	// rejected: the only send was refused because the payment is not in a state for the operation. No send can have been executed,
	// but the processor's record may say more: one lookup decides.
	rejected
	// ambiguous: a send may have been executed.
	ambiguous
	// answered: the processor has responded with its record of the operation, now or to an earlier run. It cannot become one
	// that was never executed.
	answered
)

// fail adds a send that brought no outcome. acknowledged reports that the processor has named the payment or refund already.
func (s *sends) fail(at time.Time, f activities.CallFailure, acknowledged bool) {
	state := unsent
	switch {
	case f.NeverTaken && !acknowledged:
		state = untaken
	case f.Ambiguous && f.Class == payment.ClassStateConflict && !f.Earlier:
		state = rejected
	case f.Ambiguous:
		state = ambiguous
	}
	s.state, s.last, s.failure = max(s.state, state), at, f.Failure
}

// mayBeExecuted reports whether any send may have been executed.
func (s *sends) mayBeExecuted() bool { return s.state != unsent }

// provesAbsence reports whether "not found", in response to a lookup at asked, proves that nothing was executed. grace is how long a
// processor may fail to find what it has; 0: forever. complete reports that the lookup reads a complete list: what it does not contain
// after a refusal was not executed. A call that no worker has picked up needs no time to become known.
func (s *sends) provesAbsence(asked time.Time, grace time.Duration, complete bool) bool {
	switch s.state {
	case untaken:
		return true
	case rejected:
		return complete || s.graceIsOver(asked, grace)
	case ambiguous:
		return s.graceIsOver(asked, grace)
	default:
		return false
	}
}

func (s *sends) graceIsOver(asked time.Time, grace time.Duration) bool {
	return grace > 0 && asked.Sub(s.last) >= grace
}

// action is what follows from a record that shows nothing of a capture or void.
type action int

const (
	// wait: look it up again later.
	wait action = iota
	// resend: send it again under the same key. The caller wants it executed, and a record that shows nothing proves nothing
	// about a call in flight: only the response does. A charge is never sent again by itself.
	resend
	// conclude: nothing was executed.
	conclude
)

// onUnchanged decides what to do if the processor's record, as it was when asked, shows nothing of the operation. sendable reports
// whether it may be sent again. Without a response, only the grace period proves that nothing was executed, as for charges.
func (s *sends) onUnchanged(asked time.Time, grace time.Duration, sendable bool) action {
	switch {
	case s.state == rejected:
		return conclude
	case sendable && isWorthResending(s.failure.Class):
		return resend
	case s.graceIsOver(asked, grace):
		return conclude
	default:
		return wait
	}
}

// isWorthResending reports whether the same call may get another response.
func isWorthResending(class payment.FailureClass) bool {
	switch class {
	case payment.ClassOutcomeUnknown, payment.ClassUnavailable, payment.ClassRateLimited, payment.ClassNotSent:
		return true
	default:
		return false
	}
}
