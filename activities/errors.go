package activities

import (
	"context"
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// CallFailure is what a workflow learns of a call that brought no outcome.
type CallFailure struct {
	payment.Failure
	// Open: this attempt or an earlier one may have moved money. Nobody may call it failed.
	Open bool `json:"open"`
	// NeverTaken: by Temporal's own account no worker took the call before its time was up, not even once. It is Open all the
	// same: Temporal's account may have a gap after a failover, and the processor is there to be asked.
	NeverTaken bool `json:"-"`
	// Wait is how long to wait before the same call may be made again, where that is longer than the retry
	// policy should wait. 0: do not make it again.
	Wait Duration `json:"wait,omitzero"`
	// RequestID is the processor's name for the last request.
	RequestID string `json:"request_id,omitempty"`
}

// NeverRetried are the types of errors that no policy may retry: the same request would get the same answer.
var NeverRetried = []string{
	string(payment.ClassInvalidRequest),
	string(payment.ClassIdempotencyMismatch),
	string(payment.ClassAuthentication),
	string(payment.ClassPermission),
	string(payment.ClassConfig),
	string(payment.ClassStateConflict),
}

// applicationError is the one place where a processor's error becomes an error of Temporal: its type is the
// failure class, its details a CallFailure, and it says itself whether and when it is retried. Nothing may
// wrap what it returns: Temporal looks at the outermost error only.
func (p *Processor) applicationError(ctx context.Context, err error, openEarlier bool) error {
	e := &processor.Error{Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Message: err.Error()}
	errors.As(err, &e)

	attempt := activity.GetInfo(ctx).Attempt
	delay := p.backoff.Delay(int(attempt), e.RetryAfter, p.random)
	failure := CallFailure{
		Failure:   payment.Failure{Class: e.Class, Message: e.Message, HTTPStatus: e.HTTPStatus, ProcessorCode: e.Code},
		Open:      openEarlier || e.Certainty == processor.Ambiguous,
		RequestID: e.RequestID,
	}
	retry := e.Retry
	if retry && delay > p.longestRetry {
		retry, failure.Wait = false, Duration(delay.Round(time.Millisecond))
	}
	options := temporal.ApplicationErrorOptions{NonRetryable: !retry, Details: []any{failure}}
	if retry {
		activity.RecordHeartbeat(ctx, attempts{Through: attempt, Open: failure.Open})
		options.NextRetryDelay = delay
	}
	return temporal.NewApplicationErrorWithOptions(e.Error(), string(e.Class), options)
}

// FailureOf is the way back: what the error of a processor activity says. An attempt that ended without a
// word (its worker died, or its time was up) leaves everything open, whatever an attempt before it said.
func FailureOf(err error) CallFailure {
	var timeout *temporal.TimeoutError
	var application *temporal.ApplicationError
	if !errors.As(err, &timeout) && errors.As(err, &application) {
		var failure CallFailure
		if application.HasDetails() && application.Details(&failure) == nil {
			return failure
		}
	}
	lost := CallFailure{Open: true, NeverTaken: neverTaken(err), Failure: payment.Failure{
		Class:   payment.ClassOutcomeUnknown,
		Message: "the call ended without an answer",
	}}
	if lost.NeverTaken {
		lost.Message = "no worker took the call in its time"
	}
	return lost
}

// neverTaken holds for a call that waited in its queue until its time was up: no attempt is under way, and none has ended
// before. One that ended is the cause of the time-out, or has left heartbeat details; Temporal forgets the cause where the
// activity is reset or unpaused or its options are changed, but then it waits in the queue anew, and schedule-to-close comes first.
func neverTaken(err error) bool {
	var call *temporal.ActivityError
	var timeout *temporal.TimeoutError
	return errors.As(err, &call) && errors.As(err, &timeout) && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START &&
		call.StartedEventID() == 0 && timeout.Unwrap() == nil && !timeout.HasLastHeartbeatDetails()
}
