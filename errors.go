package florin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/florinpay/florin/payment"
)

// The refusals. Nothing was sent to a processor because of the refused call. Test for them with [errors.Is]; the error's message has
// the reason. They are the codes of package payment.
var (
	// ErrInvalidRequest means that the request cannot be executed as it is. [*payment.InvalidRequestError] lists the fields.
	ErrInvalidRequest error = payment.ErrInvalidRequest
	// ErrIdempotencyMismatch means that the idempotency key was used for a different request.
	ErrIdempotencyMismatch error = payment.ErrIdempotencyMismatch
	// ErrNotFound means that no payment or refund has this key.
	ErrNotFound error = payment.ErrNotFound
	// ErrPaymentNotFound means that the payment to refund does not exist, or belongs to another merchant.
	ErrPaymentNotFound error = payment.ErrPaymentNotFound
	// ErrPaymentNotRefundable means that the payment to refund has not succeeded.
	ErrPaymentNotRefundable error = payment.ErrPaymentNotRefundable
	// ErrRefundExceedsCaptured means that the refund exceeds what remains of the payment.
	ErrRefundExceedsCaptured error = payment.ErrRefundExceedsCaptured
	// ErrNotResolvable means that there is no unknown outcome to resolve, or that an operation is in flight.
	ErrNotResolvable error = payment.ErrNotResolvable
	// ErrNotCapturable means that the payment is not authorized, or that another modification is in flight.
	ErrNotCapturable error = payment.ErrNotCapturable
	// ErrNotVoidable means that there is nothing to void, or that another modification is in flight.
	ErrNotVoidable error = payment.ErrNotVoidable
	// ErrCaptureExceedsAuthorized means that the capture exceeds the authorized amount.
	ErrCaptureExceedsAuthorized error = payment.ErrCaptureExceedsAuthorized
	// ErrNotAuthorized means that the worker requires a proof of who calls, and that it is missing, has expired or does not permit this
	// call. See [Caller]. From [Client.Charge] and [Client.Refund] it is no proof that nothing was executed: a start that was permitted goes
	// on even if the proof has expired since. Use [Client.Get], or call again with the same key.
	ErrNotAuthorized error = payment.ErrNotAuthorized
)

// The errors about outcomes.
var (
	// ErrOutcomePending means that the outcome is not known yet, for example because the processor does not respond, no worker runs or
	// the worker's store is down. The operation continues: call again with the same idempotency key, or use [Client.Get].
	ErrOutcomePending = errors.New("no outcome yet: ask again with the same idempotency key")
	// ErrNoWorker means that a read found no worker that answers. Operations continue once one runs. It is no statement about any
	// payment. [Client.Charge] and the other calls that move money wait for a worker, and return ErrOutcomePending if ctx is done first.
	ErrNoWorker = errors.New("no worker answers on task queue")
	// ErrStopped means that the workflow was terminated before the outcome was known. Calling Charge or Refund again with the
	// same request continues it.
	ErrStopped = errors.New("terminated before its outcome was known: the same request again continues it")
	// ErrConflicted means that the processor did something other than requested, such as capturing another amount. The payment
	// is [payment.Conflicted]: clear it up with the processor.
	ErrConflicted = errors.New("the processor did something other than requested: clear it up with the processor")
)

// NotExecutedError is returned by [Client.Capture] and [Client.Void] if provably nothing was executed. Payment.Failure and
// Payment.Decline have the reason.
type NotExecutedError struct {
	// Operation is [payment.OperationCapture] or [payment.OperationVoid].
	Operation payment.Operation
	// Payment is the current state of the payment.
	Payment payment.Charge
}

// Error names the operation, the status of the payment and the reason.
func (e *NotExecutedError) Error() string {
	message := fmt.Sprintf("the %s of payment %s was not executed: the payment is %s", e.Operation, e.Payment.PaymentID, e.Payment.Status)
	if e.Payment.Failure != nil {
		message += ": " + e.Payment.Failure.String()
	}
	return message
}

// translate turns an error of the Temporal client into one of this package.
func translate(ctx context.Context, err error, workflowID string) error {
	if err == nil {
		return nil
	}
	if refusal, ok := refusalOf(err); ok {
		return fmt.Errorf("workflow %s: %w", workflowID, refusal)
	}
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return fmt.Errorf("workflow %s: %w", workflowID, ErrNotFound)
	}
	var timeout *client.WorkflowUpdateServiceTimeoutOrCanceledError
	var notReady *serviceerror.WorkflowNotReady // the workflow's tasks fail, such as while the store is down
	done := contextError(ctx, err)
	if errors.As(err, &timeout) || errors.As(err, &notReady) || done != nil {
		return fmt.Errorf("workflow %s: %w: %w", workflowID, ErrOutcomePending, errors.Join(done, err))
	}
	return fmt.Errorf("workflow %s: %w", workflowID, withLikelyCause(err))
}

// withLikelyCause adds to an error of encoding why it occurs: the worker's converter is not the client's.
func withLikelyCause(err error) error {
	if !isUndecodable(err) {
		return err
	}
	return fmt.Errorf("the client and the worker probably use different data converters: set the Temporal client's, "+
		"florin.Options.DataConverter and worker.Options.DataConverter to the same one: %w", err)
}

// isUndecodable reports whether the client or a worker could not decode a value of the other. The errors of a worker arrive as text. A
// workflow that cannot decode its input has no handlers: it knows neither Florin's updates nor its query.
func isUndecodable(err error) bool {
	for _, local := range []error{
		converter.ErrUnableToDecode, converter.ErrUnableToFindConverter, converter.ErrEncodingIsNotSupported, converter.ErrMetadataIsNotSet,
	} {
		if errors.Is(err, local) {
			return true
		}
	}
	for _, remote := range []string{"unable to decode", "KnownUpdates=[]", "unknown queryType " + payment.QueryStatus} {
		if strings.Contains(err.Error(), remote) {
			return true
		}
	}
	return false
}

// refusalOf returns the refusal by a workflow or an activity.
func refusalOf(err error) (*payment.Refusal, bool) {
	var query *serviceerror.QueryFailed
	if errors.As(err, &query) && query.Failure != nil {
		err = temporal.GetDefaultFailureConverter().FailureToError(query.Failure)
	}
	var application *temporal.ApplicationError
	if !errors.As(err, &application) {
		return nil, false
	}
	code, ok := payment.ParseRefusalCode(application.Type())
	return &payment.Refusal{Code: code, Message: application.Message()}, ok
}

// refusalCode returns the code of [refusalOf].
func refusalCode(err error) (payment.RefusalCode, bool) {
	refusal, ok := refusalOf(err)
	if !ok {
		return "", false
	}
	return refusal.Code, true
}

// contextError returns why the caller's context is done; nil if it is not. gRPC may notice a deadline a moment before the context
// does, and reports it in an error of its own.
func contextError(ctx context.Context, err error) error {
	var deadline *serviceerror.DeadlineExceeded
	var canceled *serviceerror.Canceled
	switch code := status.Code(err); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &deadline), code == codes.DeadlineExceeded, errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.As(err, &canceled), code == codes.Canceled, errors.Is(err, context.Canceled):
		return context.Canceled
	default:
		return nil
	}
}
