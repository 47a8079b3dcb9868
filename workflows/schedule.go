package workflows

import (
	"time"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
)

// slowest is the longest pause between two lookups.
const slowest = 24 * time.Hour

// schedule says when the outcome of a payment or refund is looked up next, by its status and the time since the schedule began. A pending
// payment never needs reconciliation, because "pending" is an answer: at its deadline it is voided, and otherwise looked up more
// rarely.
type schedule struct {
	resolve, pending activities.Poll
	status           payment.Status
	began            time.Time
	// soon makes the first lookup an early one: something has happened of which the processor may have news.
	soon bool
	// made counts the lookups of the series.
	made int
}

// newSchedule returns the schedule of a payment or refund in the given status, whose lookups began at the given time.
func newSchedule(terms activities.Terms, status payment.Status, began time.Time, soon bool) schedule {
	if status == payment.NeedsReconciliation {
		status = payment.Unknown
	}
	return schedule{resolve: terms.Resolve, pending: terms.Pending, status: status, began: began, soon: soon}
}

// in returns the schedule in the given status, whose lookups began at the given time. What needs reconciliation continues the series of
// the unknown outcome.
func (s schedule) in(status payment.Status, began time.Time) schedule {
	if status == s.status || status == payment.NeedsReconciliation {
		return s
	}
	return schedule{resolve: s.resolve, pending: s.pending, status: status, began: began}
}

// poll returns the series of the status: whether an unknown outcome is found, whether a pending payment has ended, and whether
// an authorized payment was captured or voided at the processor.
func (s schedule) poll() activities.Poll {
	switch s.status {
	case payment.Unknown:
		return s.resolve
	case payment.Authorized:
		return activities.Poll{Initial: activities.Duration(slowest), Max: activities.Duration(slowest)}
	default:
		return s.pending
	}
}

// next returns how long to wait before the next lookup. The pause doubles from the series' initial one up to its maximum, and after
// the end of the series from there up to a day.
func (s schedule) next(now time.Time) time.Duration {
	poll, elapsed := s.poll(), now.Sub(s.began)
	initial, longest, length := time.Duration(poll.Initial), time.Duration(poll.Max), time.Duration(poll.For)
	switch {
	case s.soon && s.made == 0:
		return time.Duration(s.resolve.Initial)
	case elapsed < length:
		return min(elapsed+initial, longest)
	default:
		return min(elapsed-length+longest, slowest)
	}
}

// due returns when the next lookup is.
func (s schedule) due(now time.Time) time.Time { return now.Add(s.next(now)) }

// isOver reports whether the series has ended, counted from the end of the sends before: an unknown outcome then needs an operator. A
// zero lastSent does not count.
func (s schedule) isOver(now, lastSent time.Time) bool {
	return min(now.Sub(s.began), now.Sub(lastSent)) >= time.Duration(s.poll().For)
}
