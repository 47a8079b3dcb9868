package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/sdk/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
)

// object is a request as any program in any language may write it.
type object map[string]any

// with returns a copy of the object with other fields.
func (o object) with(more object) object {
	merged := object{}
	for _, from := range []object{o, more} {
		for k, v := range from {
			merged[k] = v
		}
	}
	return merged
}

// chargeOf is a valid charge of 12.50 USD.
func chargeOf(merchant, key, token string) object {
	return object{"merchant_id": merchant, "idempotency_key": key, "amount": 1250, "currency": "USD", "payment_method": token}
}

func manual(o object) object { return o.with(object{"capture": "manual"}) }

func chargeID(merchant, key string) string { return "charge/" + merchant + "/" + key }

// start starts a workflow on the queue of the workflows, past any client of Florin's.
func (t *target) start(ctx context.Context, kind, id string, args ...any) (client.WorkflowRun, error) {
	return t.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: "payments"}, kind, args...)
}

// duplicate are the options of a start under an ID that was used: an attacker does not keep to the policy of Florin's clients.
func (t *target) duplicate(id string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID: id, TaskQueue: "payments", WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
	}
}

// charge starts a charge, and returns the payment once it has an outcome.
func (t *target) charge(ctx context.Context, req object) (payment.Charge, error) {
	id := fmt.Sprintf("charge/%s/%s", req["merchant_id"], req["idempotency_key"])
	run, err := t.start(ctx, "Charge", id, req)
	if err != nil {
		return payment.Charge{}, err
	}
	var c payment.Charge
	err = t.update(ctx, id, uuid.NewString(), "outcome", &c, object{})
	if err != nil && req["capture"] != "manual" { // the workflow may have ended before the update arrived
		err = run.Get(ctx, &c)
	}
	return c, err
}

// authorized makes a payment that waits for its capture.
func (t *target) authorized(ctx context.Context, merchant, key string) (payment.Charge, error) {
	return t.expect(ctx, manual(chargeOf(merchant, key, "tok_visa")), payment.Authorized)
}

// succeeded makes a payment that was captured.
func (t *target) succeeded(ctx context.Context, merchant, key string) (payment.Charge, error) {
	return t.expect(ctx, chargeOf(merchant, key, "tok_visa"), payment.Succeeded)
}

func (t *target) expect(ctx context.Context, req object, status payment.Status) (payment.Charge, error) {
	c, err := t.charge(ctx, req)
	if err == nil && c.Status != status {
		err = fmt.Errorf("the victim %s is %s: want %s: %+v", c.IdempotencyKey, c.Status, status, c.Failure)
	}
	return c, err
}

// update sends an update under an ID, and waits for its result.
func (t *target) update(ctx context.Context, workflowID, updateID, name string, into any, args ...any) error {
	handle, err := t.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: workflowID, UpdateID: updateID, UpdateName: name, Args: args, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return err
	}
	return handle.Get(ctx, into)
}

// standalone schedules an activity without a workflow. It reports whether a worker has executed it without an error.
func (t *target) standalone(ctx context.Context, queue, activity string, args ...any) (json.RawMessage, bool, error) {
	handle, err := t.temporal.ExecuteActivity(ctx, client.StartActivityOptions{
		ID: activity + "/" + uuid.NewString(), TaskQueue: queue, ScheduleToStartTimeout: 2 * time.Second, ScheduleToCloseTimeout: 8 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	}, activity, args...)
	if err != nil {
		return nil, false, fmt.Errorf("scheduling %s on %s: %w", activity, queue, err)
	}
	var result json.RawMessage
	if err := handle.Get(ctx, &result); err != nil {
		return nil, false, ctx.Err()
	}
	return result, true, nil
}

// read executes a read, and decodes its result.
func (t *target) read(ctx context.Context, activity string, into any, args ...any) error {
	handle, err := t.temporal.ExecuteActivity(ctx, client.StartActivityOptions{
		ID: activity + "/" + uuid.NewString(), TaskQueue: t.reads, ScheduleToCloseTimeout: 20 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	}, activity, args...)
	if err != nil {
		return err
	}
	return handle.Get(ctx, into)
}

// stored returns the payment as the store has it; ok is false if there is none.
func (t *target) stored(ctx context.Context, merchant, key string) (c payment.Charge, ok bool, err error) {
	err = t.read(ctx, "GetPayment", &c, merchant, key)
	if typeOf(err) == "NotFound" || typeOf(err) == "PaymentNotFound" {
		return c, false, nil
	}
	return c, err == nil, err
}

// typeOf returns the type of an application error; empty for any other.
func typeOf(err error) string {
	var application *temporal.ApplicationError
	if errors.As(err, &application) {
		return application.Type()
	}
	return ""
}

// isRefused reports whether Temporal or Florin has answered with a refusal; any other error proves nothing.
func isRefused(err error) bool {
	var notFound *serviceerror.NotFound
	var failed *serviceerror.WorkflowExecutionAlreadyStarted
	var invalid *serviceerror.InvalidArgument
	var query *serviceerror.QueryFailed
	return typeOf(err) != "" || errors.As(err, &notFound) || errors.As(err, &failed) || errors.As(err, &invalid) || errors.As(err, &query)
}

// ledger is the witness: what the processor has done.
func (t *target) ledger(ctx context.Context) (simulator.Ledger, error) {
	return t.env.Simulator.Ledger(ctx)
}

// moved returns a description of all money in the ledger, to compare it before and after an attack.
func (t *target) moved(ctx context.Context) (string, error) {
	ledger, err := t.ledger(ctx)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range ledger.Payments {
		fmt.Fprintf(&b, "%s %s %d %d\n", p.ID, p.Status, p.CapturedAmount, p.RefundedAmount)
	}
	for _, r := range ledger.Refunds {
		fmt.Fprintf(&b, "%s of %s %d\n", r.ID, r.PaymentID, r.Amount)
	}
	return b.String(), nil
}

// unmoved runs an attack, and reports whether the ledger is the same afterwards.
func (t *target) unmoved(ctx context.Context, try func() error) (bool, error) {
	before, err := t.moved(ctx)
	if err != nil {
		return false, err
	}
	if err := try(); err != nil {
		return false, err
	}
	after, err := t.moved(ctx)
	return before == after, err
}

// history returns the events of the current run of a workflow as text, without what the attacker has put there himself: the start, signals and
// updates.
func (t *target) history(ctx context.Context, workflowID string) (string, error) {
	var b strings.Builder
	events := t.temporal.GetWorkflowHistory(ctx, workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return "", err
		}
		switch event.GetEventType() {
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
		default:
			fmt.Fprintln(&b, event.String())
		}
	}
	return b.String(), nil
}

// page returns what Temporal Web shows of a workflow besides its history: its current details, and its static summary and details.
func (t *target) page(ctx context.Context, workflowID string) (string, error) {
	value, err := t.temporal.QueryWorkflow(ctx, workflowID, "", "__temporal_workflow_metadata")
	if err != nil {
		return "", fmt.Errorf("query the metadata of %s: %w", workflowID, err)
	}
	var metadata sdk.WorkflowMetadata
	if err := value.Get(&metadata); err != nil {
		return "", err
	}
	if metadata.GetCurrentDetails() == "" {
		return "", fmt.Errorf("%s has no details", workflowID)
	}
	described, err := t.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return "", err
	}
	text := metadata.GetCurrentDetails()
	user := described.GetExecutionConfig().GetUserMetadata()
	for _, p := range []*common.Payload{user.GetSummary(), user.GetDetails()} {
		var static string
		if p != nil && converter.GetDefaultDataConverter().FromPayload(p, &static) == nil {
			text += "\n" + static
		}
	}
	return text, nil
}

// until waits until a condition is true.
func until(ctx context.Context, condition func() (bool, error)) error {
	for {
		if ok, err := condition(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// each calls f for 0 to n-1, a few at a time, and returns all errors.
func each(n int, f func(i int) error) error {
	const atOnce = 12
	errs := make([]error, n)
	var group sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(i)
		})
	}
	group.Wait()
	return errors.Join(errs...)
}
