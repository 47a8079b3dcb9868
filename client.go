package florin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/internal/priority"
	"github.com/florinpay/florin/payment"
)

// Options configure a Client. The zero value works.
type Options struct {
	// Processors are the names that a request may ask for. If it is set, the client refuses any other name before a
	// workflow is started; otherwise the worker does.
	Processors []string
	// Batch makes the payments and refunds that the client starts, and its reads, wait behind those of other clients as long as workers or a
	// processor have no capacity for all: for many charges at once that no customer waits for, such as those of a file. A payment or
	// refund keeps the priority with which it was started first. It has an effect only if the Temporal server is set up for it; see
	// docs/fairness.md.
	Batch bool
	// DataConverter must be that of the Temporal client and of the workers, if these do not use the default.
	DataConverter converter.DataConverter
}

// Client starts payments and refunds, modifies them and reads them. It is safe for concurrent use. Every method is safe to call again
// with the same arguments.
type Client struct {
	temporal   client.Client
	processors []string
	converter  converter.DataConverter
	// priority returns the priority of what the client starts for a merchant.
	priority func(merchantID string) temporal.Priority
}

// NewClient returns a Client that uses t. The caller retains ownership of t and must close it.
//
// By default, Temporal's SDK compresses each request. That takes more CPU time than to send the few KB of a charge. Florin's workers and
// starter do without it, and a service can:
//
//	temporalClient, err := client.Dial(client.Options{
//		ConnectionOptions: client.ConnectionOptions{GrpcCompression: &client.GrpcCompressionNone{}},
//	})
func NewClient(t client.Client, o Options) *Client {
	if o.DataConverter == nil {
		o.DataConverter = converter.GetDefaultDataConverter()
	}
	c := &Client{temporal: t, processors: o.Processors, converter: o.DataConverter, priority: priority.Interactive}
	if o.Batch {
		c.priority = priority.Batch
	}
	return c
}

// Run identifies a payment or refund that was started.
type Run struct {
	// ID is the payment or refund ID.
	ID string `json:"id"`
	// WorkflowID and RunID are Temporal's.
	WorkflowID string `json:"workflow_id"`
	RunID      string `json:"run_id"`
}

// Charge charges the customer and waits for the outcome, usually with one request to Temporal. The outcome may be a decline or a
// failure, and for [payment.NeedsReconciliation] it is still not known whether money moved: see Status. Calling Charge again with the
// same request returns the same payment and never charges again. Later refunds are not reflected; use [Client.Get].
//
// Charge usually returns as soon as the processor has responded. If the processor does not, it may take schedule_to_close of the
// configuration, 15 minutes by default, and then the lookups, 24 hours by default. So give ctx a deadline of some seconds: the payment
// continues after it. [payment.ChargeRequest.SendBy] bounds how long the charge itself is tried.
//
// An error is not proof that no money moved, except an [*payment.InvalidRequestError]. [ErrIdempotencyMismatch] is returned for a
// different request under the same key, and [ErrOutcomePending] if ctx is done first: call Charge again or use [Client.Get].
// [ErrNoWorker] is returned together with the first outcome of a payment that may have progressed since.
func (c *Client) Charge(ctx context.Context, req payment.ChargeRequest) (payment.Charge, error) {
	if err := c.validateCharge(ctx, req); err != nil {
		return payment.Charge{}, err
	}
	charge, err := outcome[payment.Charge](ctx, c, c.chargeStart(req), req)
	if err != nil || charge.Final() {
		return charge, err
	}
	// Temporal returns the first result of an update again; a pending payment may have progressed since.
	current, err := c.Get(ctx, req.MerchantID, req.IdempotencyKey)
	if errors.Is(err, ErrNoWorker) {
		return charge, err
	}
	return current, err
}

// Refund refunds a payment and waits for the outcome, as [Client.Charge] does. It returns [ErrPaymentNotFound],
// [ErrPaymentNotRefundable] or [ErrRefundExceedsCaptured] if there is nothing to refund. A refund may fail days after it succeeded:
// [Client.GetRefund] reports that; Refund, called again, returns the first outcome as long as Temporal keeps it.
func (c *Client) Refund(ctx context.Context, req payment.RefundRequest) (payment.Refund, error) {
	if err := c.validateRefund(ctx, req); err != nil {
		return payment.Refund{}, err
	}
	refund, err := outcome[payment.Refund](ctx, c, c.refundStart(req), req)
	if err != nil || refund.Final() {
		return refund, err
	}
	current, err := c.GetRefund(ctx, req.MerchantID, req.IdempotencyKey)
	if errors.Is(err, ErrNoWorker) {
		return refund, err
	}
	return current, err
}

// StartCharge starts the payment and returns at once. Read it with [Client.Get] or [Client.Wait]. Starting the same request again
// returns the same Run while Temporal retains it, and later a new Run that ends with the stored payment. A different request under
// the same key is [ErrIdempotencyMismatch].
func (c *Client) StartCharge(ctx context.Context, req payment.ChargeRequest) (Run, error) {
	if err := c.validateCharge(ctx, req); err != nil {
		return Run{}, err
	}
	return start(ctx, c, c.chargeStart(req), payment.PaymentID(req.MerchantID, req.IdempotencyKey), req)
}

// StartRefund starts the refund and returns at once, as [Client.StartCharge] does.
func (c *Client) StartRefund(ctx context.Context, req payment.RefundRequest) (Run, error) {
	if err := c.validateRefund(ctx, req); err != nil {
		return Run{}, err
	}
	return start(ctx, c, c.refundStart(req), payment.RefundID(req.MerchantID, req.IdempotencyKey), req)
}

func (c *Client) validateCharge(ctx context.Context, req payment.ChargeRequest) error {
	err := validate(req, func() error {
		_, err := c.Get(ctx, req.MerchantID, req.IdempotencyKey)
		return err
	})
	if err != nil {
		return err
	}
	if req.Processor != "" && len(c.processors) > 0 && !slices.Contains(c.processors, req.Processor) {
		return &payment.InvalidRequestError{Fields: []payment.FieldError{{
			Field:   "processor",
			Problem: fmt.Sprintf("%q is not configured: want %s", req.Processor, strings.Join(c.processors, " or ")),
		}}}
	}
	return nil
}

func (c *Client) validateRefund(ctx context.Context, req payment.RefundRequest) error {
	return validate(req, func() error {
		_, err := c.GetRefund(ctx, req.MerchantID, req.IdempotencyKey)
		return err
	})
}

// validate refuses an invalid request before a workflow is started. One that was valid in an earlier release is refused only if get finds
// nothing that it has begun: an [*payment.InvalidRequestError] is proof that no money moved. If get fails otherwise, the worker decides.
func validate(req interface {
	Validate() error
	ValidateBegun() error
}, get func() error,
) error {
	err := req.Validate()
	if err == nil || req.ValidateBegun() != nil || errors.Is(get(), ErrNotFound) {
		return err
	}
	return nil
}
