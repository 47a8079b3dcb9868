package florin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/workflows"
)

// Options configure a Client. The zero value works.
type Options struct {
	// Processors are the names that a request may ask for. With them, a misspelt one is refused before
	// anything starts; without them, by the worker.
	Processors []string
	// DataConverter must be the Temporal client's, where that has one of its own.
	DataConverter converter.DataConverter
}

// Client starts payments and refunds and reads them. It is safe for concurrent use, and every method is safe
// to call again with the same idempotency key.
type Client struct {
	temporal   client.Client
	processors []string
	converter  converter.DataConverter
}

// NewClient returns a Client that works through a Temporal client. It does not take it over: close it
// yourself.
func NewClient(t client.Client, o Options) *Client {
	if o.DataConverter == nil {
		o.DataConverter = converter.GetDefaultDataConverter()
	}
	return &Client{temporal: t, processors: o.Processors, converter: o.DataConverter}
}

// Run names a payment or refund that was started: what a caller needs to find it again.
type Run struct {
	// ID is the payment or refund id.
	ID string `json:"id"`
	// WorkflowID and RunID are Temporal's names.
	WorkflowID string `json:"workflow_id"`
	RunID      string `json:"run_id"`
}

// Charge takes the money and waits for the outcome, in one round trip. The outcome may be a decline or a
// failure: look at the Status. Calling again with the same request returns the same payment and never charges again;
// what was refunded of it since, Get tells. Another request under the same key gives ErrIdempotencyMismatch.
//
// When ctx ends first, the payment goes on: call again, or Get it. A nil error is the only proof of an
// outcome, and an error is never proof that no money moved, but for *payment.InvalidRequestError.
func (c *Client) Charge(ctx context.Context, req payment.ChargeRequest) (payment.Charge, error) {
	if err := c.validateCharge(req); err != nil {
		return payment.Charge{}, err
	}
	charge, err := outcome[payment.Charge](ctx, c, c.chargeStart(req), req, req.Fingerprint())
	if err != nil || charge.Status.Final() {
		return charge, err
	}
	// The update remembers its first answer; a pending payment may have moved on since.
	return c.Get(ctx, req.MerchantID, req.IdempotencyKey)
}

// Refund gives money back and waits for the outcome, as Charge does.
func (c *Client) Refund(ctx context.Context, req payment.RefundRequest) (payment.Refund, error) {
	if err := req.Validate(); err != nil {
		return payment.Refund{}, err
	}
	refund, err := outcome[payment.Refund](ctx, c, refundStart(req), req, req.Fingerprint())
	if err != nil || refund.Status.Final() {
		return refund, err
	}
	return c.GetRefund(ctx, req.MerchantID, req.IdempotencyKey)
}

// StartCharge starts the payment and returns at once. Get or Wait read it later.
func (c *Client) StartCharge(ctx context.Context, req payment.ChargeRequest) (Run, error) {
	if err := c.validateCharge(req); err != nil {
		return Run{}, err
	}
	return start(ctx, c, c.chargeStart(req), payment.PaymentID(req.MerchantID, req.IdempotencyKey), req, req.Fingerprint())
}

// StartRefund starts the refund and returns at once.
func (c *Client) StartRefund(ctx context.Context, req payment.RefundRequest) (Run, error) {
	if err := req.Validate(); err != nil {
		return Run{}, err
	}
	return start(ctx, c, refundStart(req), payment.RefundID(req.MerchantID, req.IdempotencyKey), req, req.Fingerprint())
}

// Get returns the payment as it stands, from its workflow while that is at work on it and from the store otherwise, with
// what was refunded. ErrNotFound: no payment has this key. ErrStopped comes with the payment as far as it is known.
func (c *Client) Get(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	return get[payment.Charge](ctx, c, payment.ChargeWorkflowID(merchantID, idempotencyKey), payment.ActivityGetPayment, merchantID, idempotencyKey)
}

// GetRefund returns the refund as it stands, as Get does.
func (c *Client) GetRefund(ctx context.Context, merchantID, idempotencyKey string) (payment.Refund, error) {
	return get[payment.Refund](ctx, c, payment.RefundWorkflowID(merchantID, idempotencyKey), payment.ActivityGetRefund, merchantID, idempotencyKey)
}

// List returns a page of payments, newest first. ErrInvalidRequest: a cursor or a status that is none.
func (c *Client) List(ctx context.Context, f payment.Filter) (payment.Page, error) {
	page, err := read[payment.Page](ctx, c, payment.ActivityListPayments, f)
	return page, translate(ctx, err, payment.ActivityListPayments)
}

// Wait returns the payment once its status is final, however long that takes, as it was then: what was refunded of it since,
// Get tells. Money that is only held is waited for until it is captured or voided, or expires.
func (c *Client) Wait(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	return result[payment.Charge](ctx, c, payment.ChargeWorkflowID(merchantID, idempotencyKey))
}

// WaitRefund returns the refund once its status is final.
func (c *Client) WaitRefund(ctx context.Context, merchantID, idempotencyKey string) (payment.Refund, error) {
	return result[payment.Refund](ctx, c, payment.RefundWorkflowID(merchantID, idempotencyKey))
}

// Capture takes what an authorized payment holds, or a part of it; the rest is let go. It waits until that is known, and
// returns the payment: look at the Status, which is Authorized, with a Failure, where nothing was taken. The same
// capture again is one, also when it was done long ago.
//
// ErrNotCapturable: the payment holds nothing, or not any more, or something else is under way.
// ErrCaptureExceedsAuthorized: less is held. When ctx ends first, the capture goes on: call again, or Get.
func (c *Client) Capture(ctx context.Context, merchantID, idempotencyKey string, req payment.CaptureRequest) (payment.Charge, error) {
	if err := req.Validate(); err != nil {
		return payment.Charge{}, err
	}
	return c.order(ctx, merchantID, idempotencyKey, payment.UpdateCapture, ErrNotCapturable,
		func(done payment.Charge) bool { return done.Captured(req) }, req)
}

// Void lets go of what a payment holds, or calls off one that is pending or requires an action, where the processor can.
// Otherwise as Capture: what cannot be voided, such as money that was taken, is ErrNotVoidable.
func (c *Client) Void(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	return c.order(ctx, merchantID, idempotencyKey, payment.UpdateVoid, ErrNotVoidable,
		func(done payment.Charge) bool { return done.Status == payment.Voided })
}

// order gives an order to a payment that waits. To one that has ended it is given only if it was carried out.
func (c *Client) order(ctx context.Context, merchantID, idempotencyKey, name string, refusal error, carriedOut func(payment.Charge) bool, args ...any) (payment.Charge, error) {
	workflowID := payment.ChargeWorkflowID(merchantID, idempotencyKey)
	charge, err := update[payment.Charge](ctx, c, workflowID, client.UpdateWorkflowOptions{UpdateName: name, Args: args})
	if !errors.Is(err, errClosed) {
		return charge, err
	}
	switch charge, err = c.Get(ctx, merchantID, idempotencyKey); {
	case err != nil, carriedOut(charge):
		return charge, err
	default:
		return charge, fmt.Errorf("workflow %s: %w: it is %s", workflowID, refusal, charge.Status)
	}
}

// Resolve settles a payment that is unknown or needs reconciliation by an operator's word, which is recorded. The same
// resolution twice is one. ErrNotResolvable: there is nothing to resolve, or the processor has answered meanwhile.
func (c *Client) Resolve(ctx context.Context, merchantID, idempotencyKey string, r payment.Resolution) (payment.Charge, error) {
	if err := r.Validate(payment.ResolvedPayment); err != nil {
		return payment.Charge{}, err
	}
	return resolve[payment.Charge](ctx, c, payment.ChargeWorkflowID(merchantID, idempotencyKey), r)
}

// ResolveRefund is Resolve for refunds.
func (c *Client) ResolveRefund(ctx context.Context, merchantID, idempotencyKey string, r payment.Resolution) (payment.Refund, error) {
	if err := r.Validate(payment.ResolvedRefund); err != nil {
		return payment.Refund{}, err
	}
	return resolve[payment.Refund](ctx, c, payment.RefundWorkflowID(merchantID, idempotencyKey), r)
}

func resolve[T record](ctx context.Context, c *Client, workflowID string, r payment.Resolution) (T, error) {
	value, err := update[T](ctx, c, workflowID, client.UpdateWorkflowOptions{
		UpdateID: r.Fingerprint(), UpdateName: payment.UpdateResolve, Args: []any{r},
	})
	if !errors.Is(err, errClosed) {
		return value, err
	}
	if _, unknown := c.temporal.DescribeWorkflowExecution(ctx, workflowID, ""); unknown != nil {
		return value, translate(ctx, unknown, workflowID)
	}
	return value, fmt.Errorf("workflow %s: %w: it is not at work any more", workflowID, ErrNotResolvable)
}

// errClosed: no workflow is at work that could take an update.
var errClosed = errors.New("no workflow is at work")

// update gives the workflow an update and waits for its answer.
func update[T record](ctx context.Context, c *Client, workflowID string, o client.UpdateWorkflowOptions) (value T, err error) {
	o.WorkflowID, o.WaitForStage = workflowID, client.WorkflowUpdateStageCompleted
	handle, err := c.temporal.UpdateWorkflow(ctx, o)
	if err == nil {
		err = handle.Get(ctx, &value)
	}
	var closed *serviceerror.NotFound
	if errors.As(err, &closed) {
		return value, errClosed
	}
	return value, translate(ctx, err, workflowID)
}

func (c *Client) validateCharge(req payment.ChargeRequest) error {
	if err := req.Validate(); err != nil {
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

// launch is how a workflow is started. One that ended with an outcome never runs again; one that failed or was stopped
// may: the store knows what there is of the payment, and the processor knows its key.
type launch struct {
	options  client.StartWorkflowOptions
	workflow string
}

func (c *Client) chargeStart(req payment.ChargeRequest) launch {
	return launch{workflow: payment.WorkflowCharge, options: client.StartWorkflowOptions{
		ID:                    payment.ChargeWorkflowID(req.MerchantID, req.IdempotencyKey),
		TaskQueue:             payment.TaskQueue,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
		TypedSearchAttributes: temporal.NewSearchAttributes(append(workflows.ChargeAttributes(req), workflows.StatusAttribute(payment.Processing))...),
		StaticSummary:         workflows.ChargeSummary(req),
		StaticDetails:         workflows.ChargeDetails(req),
	}}
}

func refundStart(req payment.RefundRequest) launch {
	return launch{workflow: payment.WorkflowRefund, options: client.StartWorkflowOptions{
		ID:                    payment.RefundWorkflowID(req.MerchantID, req.IdempotencyKey),
		TaskQueue:             payment.TaskQueue,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
		TypedSearchAttributes: temporal.NewSearchAttributes(append(workflows.RefundAttributes(req), workflows.StatusAttribute(payment.Processing))...),
		StaticSummary:         workflows.RefundSummary(req),
		StaticDetails:         workflows.RefundDetails(req),
	}}
}

// request is what a workflow was started with.
type request interface {
	payment.ChargeRequest | payment.RefundRequest
	Fingerprint() string
}

// outcome starts the workflow, or joins it where it runs, and waits for its first outcome. The fingerprint
// names the update: Temporal answers a known update without asking the workflow, so that a fixed name would
// answer a different request under the same key with the outcome of the first.
func outcome[T record, R request](ctx context.Context, c *Client, l launch, req R, fingerprint string) (T, error) {
	began := time.Now()
	value, err := ask[T](ctx, c, l, req, fingerprint, fingerprint)
	if err == nil && statusOf(value).Final() {
		return value, nil
	}
	if stopped := stoppedBefore(ctx, c, l.options.ID, began); stopped != "" {
		// Temporal remembers what that run answered, and would tell it for ever. Under another name a new run is asked.
		return ask[T](ctx, c, l, req, fingerprint, fingerprint+"/after/"+stopped)
	}
	return value, err
}

// stoppedBefore is the id of the workflow's run, if that had begun before the call and has ended without an outcome.
func stoppedBefore(ctx context.Context, c *Client, workflowID string, began time.Time) (runID string) {
	described, err := c.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return ""
	}
	switch info := described.GetWorkflowExecutionInfo(); info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED,
		enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		// A second for clocks that differ: at worst one that was stopped right after its start is told as stopped once.
		if info.GetStartTime().AsTime().Before(began.Add(-time.Second)) {
			return info.GetExecution().GetRunId()
		}
	default:
	}
	return ""
}

// ask makes one try at outcome, under the given name of the update.
func ask[T record, R request](ctx context.Context, c *Client, l launch, req R, fingerprint, updateID string) (T, error) {
	var value T
	l.options.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
	handle, err := c.temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: c.temporal.NewWithStartWorkflowOperation(l.options, l.workflow, req),
		UpdateOptions: client.UpdateWorkflowOptions{
			UpdateID:     updateID,
			WorkflowID:   l.options.ID,
			UpdateName:   payment.UpdateOutcome,
			WaitForStage: client.WorkflowUpdateStageCompleted,
			Args:         []any{workflows.OutcomeRequest{Fingerprint: fingerprint}},
		},
	})
	if err == nil {
		err = handle.Get(ctx, &value)
	}
	var exists *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &exists) {
		// Closed, and nobody waited for it with this request: it was started asynchronously, or differs.
		if err := sameRequest[R](ctx, c, l.options.ID, fingerprint); err != nil {
			return value, err
		}
		return result[T](ctx, c, l.options.ID)
	}
	var vanished *serviceerror.NotFound
	if errors.As(err, &vanished) {
		// It was started and closed before it could answer, as when somebody terminated it.
		return value, fmt.Errorf("workflow %s: %w", l.options.ID, ErrStopped)
	}
	return value, translate(ctx, err, l.options.ID)
}

// start starts the workflow. One that exists is fine if it was started with the same request.
func start[R request](ctx context.Context, c *Client, l launch, id string, req R, fingerprint string) (Run, error) {
	run := Run{ID: id, WorkflowID: l.options.ID}
	l.options.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL
	l.options.WorkflowExecutionErrorWhenAlreadyStarted = true
	started, err := c.temporal.ExecuteWorkflow(ctx, l.options, l.workflow, req)
	var exists *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &exists) {
		run.RunID = exists.RunId
		return run, sameRequest[R](ctx, c, l.options.ID, fingerprint)
	}
	if err != nil {
		return Run{}, translate(ctx, err, l.options.ID)
	}
	run.RunID = started.GetRunID()
	return run, nil
}

// sameRequest compares a fingerprint with what the workflow was really started with, as its history has it.
func sameRequest[R request](ctx context.Context, c *Client, workflowID, fingerprint string) error {
	events := c.temporal.GetWorkflowHistory(ctx, workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	first, err := events.Next()
	if err != nil {
		return translate(ctx, err, workflowID)
	}
	var stored R
	if err := c.converter.FromPayloads(first.GetWorkflowExecutionStartedEventAttributes().GetInput(), &stored); err != nil {
		return fmt.Errorf("reading the request of workflow %s: %w", workflowID, err)
	}
	if stored.Fingerprint() != fingerprint {
		return fmt.Errorf("workflow %s: %w", workflowID, ErrIdempotencyMismatch)
	}
	return nil
}
