package florin

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/florinpay/florin/payment"
)

// The errors of a Client, beside *payment.InvalidRequestError and those of the Temporal client. Test for
// them with errors.Is; their message says more.
var (
	// ErrIdempotencyMismatch: the key belongs to a different request. Nothing was done; use a new key for a
	// new purchase.
	ErrIdempotencyMismatch = errors.New("this idempotency key belongs to a different request")
	// ErrNotFound: no payment or refund has this key.
	ErrNotFound = errors.New("not found")
	// ErrInvalidRequest: the worker refused the request; nothing was sent to a processor.
	ErrInvalidRequest = errors.New("invalid request")
	// ErrPaymentNotFound: the payment to refund does not exist, or is another merchant's.
	ErrPaymentNotFound = errors.New("payment not found")
	// ErrPaymentNotRefundable: the payment did not succeed, so there is nothing to give back.
	ErrPaymentNotRefundable = errors.New("payment not refundable")
	// ErrRefundExceedsCaptured: more was asked back than is left of the payment.
	ErrRefundExceedsCaptured = errors.New("refund exceeds what is left of the payment")
	// ErrNotResolvable: there is nothing that an operator has to resolve, or no longer.
	ErrNotResolvable = errors.New("not resolvable")
	// ErrNotCapturable and ErrNotVoidable: the payment holds nothing, or not any more, or another order is under way.
	// The message says which. Nothing was done.
	ErrNotCapturable = errors.New("not capturable")
	ErrNotVoidable   = errors.New("not voidable")
	// ErrCaptureExceedsAuthorized: more was to be captured than is held. Nothing was done.
	ErrCaptureExceedsAuthorized = errors.New("capture exceeds what is authorized")
	// ErrStopped: the workflow was terminated, so nobody finds out how the payment ended. Calling Charge or Refund
	// again with the same request goes on with it.
	ErrStopped = errors.New("stopped from outside before its outcome was known: the same request again goes on with it")
	// ErrOutcomePending: the caller's time, or that of one request to Temporal, was up first. The payment goes on; ask
	// again with the same key.
	ErrOutcomePending = errors.New("no outcome yet: ask again with the same idempotency key")
)

var byType = map[string]error{
	payment.ErrorInvalidRequest:           ErrInvalidRequest,
	payment.ErrorIdempotencyMismatch:      ErrIdempotencyMismatch,
	payment.ErrorPaymentNotFound:          ErrPaymentNotFound,
	payment.ErrorPaymentNotRefundable:     ErrPaymentNotRefundable,
	payment.ErrorRefundExceedsCaptured:    ErrRefundExceedsCaptured,
	payment.ErrorNotResolvable:            ErrNotResolvable,
	payment.ErrorNotCapturable:            ErrNotCapturable,
	payment.ErrorNotVoidable:              ErrNotVoidable,
	payment.ErrorCaptureExceedsAuthorized: ErrCaptureExceedsAuthorized,
}

// translate is the boundary to the errors of Temporal.
func translate(ctx context.Context, err error, workflowID string) error {
	if err == nil {
		return nil
	}
	var application *temporal.ApplicationError
	if errors.As(err, &application) {
		if known, ok := byType[application.Type()]; ok {
			return &refusedError{kind: known, message: application.Message(), workflowID: workflowID}
		}
	}
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return fmt.Errorf("workflow %s: %w", workflowID, ErrNotFound)
	}
	var late *client.WorkflowUpdateServiceTimeoutOrCanceledError
	ended := timeIsUp(ctx, err)
	if errors.As(err, &late) || ended != nil {
		return fmt.Errorf("workflow %s: %w: %w", workflowID, ErrOutcomePending, errors.Join(ended, err))
	}
	return fmt.Errorf("workflow %s: %w", workflowID, err)
}

// timeIsUp is why the caller's context ended, nil if it has not. gRPC may know of a deadline a moment before the
// context says so, and tells it in an error of its own.
func timeIsUp(ctx context.Context, err error) error {
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

// refusedError is a workflow's own refusal, in its words.
type refusedError struct {
	kind       error
	message    string
	workflowID string
}

func (e *refusedError) Error() string { return fmt.Sprintf("workflow %s: %s", e.workflowID, e.message) }
func (e *refusedError) Unwrap() error { return e.kind }
