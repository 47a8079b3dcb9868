package activities

import (
	"context"
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/internal/printable"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// CallFailure describes a processor call without an outcome to the workflow. It is the detail of the activity's error.
type CallFailure struct {
	payment.Failure
	// Ambiguous reports that this attempt or an earlier one may have moved money: the operation must not be reported as failed.
	Ambiguous bool `json:"ambiguous"`
	// Earlier reports that an attempt before the last one may have moved money: the last one's failure proves nothing about it.
	Earlier bool `json:"earlier,omitempty"`
	// NeverTaken reports that, according to Temporal, no worker picked up the call before its time was up. The call is Ambiguous
	// nevertheless, because Temporal may have lost events in a failover: the outcome has to be looked up.
	NeverTaken bool `json:"-"`
	// Wait is how long the workflow waits before it makes the same call again, if that is longer than the retry policy may wait.
	// 0: the call is not made again.
	Wait Duration `json:"wait,omitzero"`
	// RequestID is the processor's id of the last request.
	RequestID string `json:"request_id,omitempty"`
}

// NeverRetried are the error types that no retry policy may retry: the same request would get the same response.
var NeverRetried = []string{
	string(payment.ClassInvalidRequest),
	string(payment.ClassIdempotencyMismatch),
	string(payment.ClassAuthentication),
	string(payment.ClassPermission),
	string(payment.ClassConfig),
	string(payment.ClassStateConflict),
}

// quickRetries is how often an ambiguous call is repeated at once, which is the fastest way to its outcome. After that, the workflow looks
// the outcome up, and sends the call again beside its lookups.
const quickRetries = 2

// RetryDelay is after how long the call may be made again whose only attempt has ended with this error; 0: never. An attempt that ended
// without an error of its own may be made again after initial.
func RetryDelay(err error, initial time.Duration) time.Duration {
	var timeout *temporal.TimeoutError
	var application *temporal.ApplicationError
	switch {
	case errors.As(err, &timeout) || !errors.As(err, &application):
		return initial
	case application.NonRetryable():
		return 0
	default:
		return application.NextRetryDelay()
	}
}

// applicationError is the only place where a processor's error becomes an application error of Temporal. Its type is the failure
// class, its detail a [CallFailure], and it determines whether and when Temporal retries. It must not be wrapped: Temporal
// evaluates the outermost error only.
func (p *Processor) applicationError(ctx context.Context, err error, ambiguousBefore bool) error {
	return p.applicationErrorAfter(ctx, err, Before{Ambiguous: ambiguousBefore})
}

// applicationErrorAfter is applicationError for an operation with attempts before those of this activity.
func (p *Processor) applicationErrorAfter(ctx context.Context, err error, before Before) error {
	e := processorError(err)
	attempt := activity.GetInfo(ctx).Attempt
	made := before.Attempts + int(attempt)
	delay := p.backoff.Delay(made, e.RetryAfter, p.random)
	failure := callFailure(e, before.Ambiguous)
	retry := e.Retry
	longestWait := p.longestWait
	if failure.Ambiguous {
		// Do not wait longer than retry.max: the workflow looks the outcome up meanwhile.
		longestWait = min(longestWait, p.backoff.Max)
	}
	if retry && (delay > longestWait || failure.Ambiguous && made > quickRetries) {
		retry, failure.Wait = false, Duration(delay.Round(time.Millisecond))
	}
	options := temporal.ApplicationErrorOptions{NonRetryable: !retry, Details: []any{failure}}
	if retry {
		activity.RecordHeartbeat(ctx, attempts{LastReported: attempt, Ambiguous: failure.Ambiguous})
		options.NextRetryDelay = delay
	}
	return temporal.NewApplicationErrorWithOptions(e.Error(), string(e.Class), options)
}

// callFailure returns what the error means for the workflow. ambiguousBefore reports that an earlier attempt may have moved money.
func callFailure(e *processor.Error, ambiguousBefore bool) CallFailure {
	return CallFailure{
		Failure:   payment.Failure{Class: e.Class, Message: e.Message, HTTPStatus: e.HTTPStatus, ProcessorCode: e.Code},
		Ambiguous: ambiguousBefore || e.Certainty != processor.NotExecuted,
		Earlier:   ambiguousBefore,
		RequestID: e.RequestID,
	}
}

// processorError returns the processor's error in err, with texts that are fit for a history. Any other error leaves the outcome open.
func processorError(err error) *processor.Error {
	e := &processor.Error{Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Message: err.Error()}
	errors.As(err, &e)
	return clean(e)
}

// maxText limits the message of an error in bytes.
const maxText = 1000

// clean returns the error with texts that are fit for a history: the adapter may not have clipped them.
func clean(e *processor.Error) *processor.Error {
	cleaned := *e
	cleaned.Message, cleaned.Code = printable.Clean(e.Message, maxText), printable.Clean(e.Code, maxText)
	cleaned.RequestID = printable.Clean(e.RequestID, maxText)
	return &cleaned
}

// FailureOf is the reverse of applicationError: it returns the [CallFailure] of a processor activity's error. An attempt that
// ended without an error of its own, because its worker died or its time was up, is ambiguous, whatever an earlier attempt
// reported.
func FailureOf(err error) CallFailure {
	var timeout *temporal.TimeoutError
	var application *temporal.ApplicationError
	if !errors.As(err, &timeout) && errors.As(err, &application) {
		var failure CallFailure
		if application.HasDetails() && application.Details(&failure) == nil {
			return failure
		}
	}
	unknown := CallFailure{Ambiguous: true, Earlier: true, NeverTaken: neverTaken(err), Failure: payment.Failure{
		Class:   payment.ClassOutcomeUnknown,
		Message: "the call ended without a response",
	}}
	if unknown.NeverTaken {
		unknown.Message = "no worker picked up the call in time"
	}
	return unknown
}

// neverTaken reports whether a call waited in its task queue until its time was up: no attempt is running, and none has ended
// before. An earlier attempt would be the cause of the timeout, or would have left heartbeat details. Temporal discards the cause
// if the activity is reset or unpaused or its options are changed, but then the activity is queued again, and schedule-to-close
// ends first.
func neverTaken(err error) bool {
	var call *temporal.ActivityError
	var timeout *temporal.TimeoutError
	return errors.As(err, &call) && errors.As(err, &timeout) && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START &&
		call.StartedEventID() == 0 && timeout.Unwrap() == nil && !timeout.HasLastHeartbeatDetails()
}
