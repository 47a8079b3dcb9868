package activities

import (
	"fmt"
	"time"
)

// Terms are the settings under which one payment is processed. They come from the worker's configuration when a run of its workflow
// begins, and are kept in the history: a change of the configuration never changes a run in flight. A payment that lives for months
// takes over the current terms whenever its workflow continues in a new run.
type Terms struct {
	Processor string `json:"processor"`
	// StartToClose bounds one attempt, as Temporal counts it.
	StartToClose Duration `json:"start_to_close"`
	// ScheduleToClose bounds all attempts together. It is shorter than KeyLifetime.
	ScheduleToClose Duration `json:"schedule_to_close"`
	// SendWithin bounds, from the first send, all sends of an operation, waits included. 0: ScheduleToClose.
	SendWithin Duration `json:"send_within,omitzero"`
	// KeyLifetime bounds, from the first send, when the same key may be sent again.
	KeyLifetime Duration `json:"key_lifetime"`
	// RetryInitial, RetryMax and RetryMultiplier are Temporal's retry policy for attempts that end without an error of their own,
	// such as when a worker dies. In all other cases the activity's error has the delay.
	RetryInitial    Duration `json:"retry_initial"`
	RetryMax        Duration `json:"retry_max"`
	RetryMultiplier float64  `json:"retry_multiplier"`
	// AbsenceProofAfter is how long after the last send "not found" proves that nothing was executed. 0: never.
	AbsenceProofAfter Duration `json:"absence_proof_after"`
	// CompleteRefundLists reports that the processor's list of a payment's refunds is complete: a refund that it does not contain,
	// after the processor has refused it, was not executed.
	CompleteRefundLists bool `json:"complete_refund_lists,omitempty"`
	// Resolve schedules the lookups of an unknown outcome. Pending schedules those of a payment that is pending or requires
	// action; after Pending.For it is voided if the processor can.
	Resolve Poll `json:"resolve"`
	Pending Poll `json:"pending"`
	// AuthorizationFor is how long an authorized payment waits for a capture before it is voided. 0: forever.
	AuthorizationFor Duration `json:"authorization_for,omitzero"`
}

// SendUntil is when nothing is sent any more of an operation whose key was first used at first: the caller's limit sendBy unless that is
// zero, the configured one, or when the processor may begin to discard the key, minus the time that one series of attempts takes.
func (t Terms) SendUntil(first, sendBy time.Time) time.Time {
	until := first.Add(time.Duration(t.KeyLifetime - t.ScheduleToClose))
	if limit := t.SendLimit(first, sendBy); limit.Before(until) {
		return limit
	}
	return until
}

// SendLimit is [Terms.SendUntil] whatever the processor's keys.
func (t Terms) SendLimit(first, sendBy time.Time) time.Time {
	limit := first.Add(time.Duration(max(t.SendWithin, t.ScheduleToClose)))
	if !sendBy.IsZero() && sendBy.Before(limit) {
		return sendBy
	}
	return limit
}

// Poll is a schedule of lookups. The delay between two lookups doubles, from `initial` up to `max`. A schedule has at most
// [MaxLookups] lookups.
//
// docs/configuration.md contains the comments of the fields.
type Poll struct {
	// Initial is the delay before the first lookup.
	// Bounds: above 0.
	Initial Duration `json:"initial" yaml:"initial"`
	// Max is the maximum delay between two lookups.
	// Bounds: at least `initial`.
	Max Duration `json:"max" yaml:"max"`
	// For is the total time of the schedule.
	// Bounds: at least `max`, at most 5000 lookups in all.
	For Duration `json:"for" yaml:"for"`
}

// MaxLookups bounds the lookups of a schedule: each is a call of the processor. Histories do not limit them, because workflows continue
// as new.
const MaxLookups = 5000

// Lookups returns the number of lookups of a valid schedule, if none of them takes time. Package workflows has the same schedule.
func (p Poll) Lookups() (n int64) {
	left, delay := p.For, p.Initial
	for ; left > 0 && delay < p.Max; n++ {
		left -= delay
		delay = min(delay, p.Max-delay) + delay
	}
	if left <= 0 {
		return n
	}
	return n + int64((left-1)/p.Max) + 1
}

// Duration is a time.Duration that is written as "1m30s", in the configuration and in histories.
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration: want a number and a unit, such as 30s or 15m", text)
	}
	*d = Duration(parsed)
	return nil
}

func (d Duration) String() string { return time.Duration(d).String() }
