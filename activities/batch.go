package activities

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// Batches holds the activities of batches: those with which callers submit, read and control them, and the one that sends their lines. Each
// is safe to repeat.
type Batches struct {
	Store *store.Store
	// Authorizer decides who may submit, read and control batches. Nil: everyone who may use the Temporal namespace.
	Authorizer *authorize.Authorizer
	// Workflows starts the lines.
	Workflows BatchWorkflows
	// Ended is called with the number of lines that have ended with a status. Nil: it is not counted.
	Ended func(status payment.Status, lines int64)
}

// BatchWorkflows starts workflows for batches. Its methods are safe to repeat.
type BatchWorkflows interface {
	// Wake starts the workflow of a batch, or makes the one that runs read the batch again. why is only shown.
	Wake(ctx context.Context, name string, why payment.BatchChange) error
	// Charge and Refund start the workflow of a payment or refund, unless it runs or has ended. They return a [*payment.Refusal]
	// if nothing will come of the request.
	Charge(ctx context.Context, req payment.ChargeRequest) error
	Refund(ctx context.Context, req payment.RefundRequest) error
	// Refusal returns why the workflow with this ID was refused, or has refused its request. Nil: it was not, or has not ended.
	Refusal(ctx context.Context, workflowID string) (*payment.Refusal, error)
}

// RegisterReads registers the standalone activities, under their names in package payment.
func (b *Batches) RegisterReads(r worker.ActivityRegistry) {
	r.RegisterActivityWithOptions(b.AddBatchLines, activity.RegisterOptions{Name: payment.ActivityAddBatchLines})
	r.RegisterActivityWithOptions(b.GetBatch, activity.RegisterOptions{Name: payment.ActivityGetBatch})
	r.RegisterActivityWithOptions(b.ListBatchLines, activity.RegisterOptions{Name: payment.ActivityListBatchLines})
	r.RegisterActivityWithOptions(b.ControlBatch, activity.RegisterOptions{Name: payment.ActivityControlBatch})
}

// RegisterSends registers the activity of the workflow of a batch.
func (b *Batches) RegisterSends(r worker.ActivityRegistry) {
	r.RegisterActivityWithOptions(b.SendBatchLines, activity.RegisterOptions{Name: payment.ActivitySendBatchLines})
}

// AddBatchLines persists lines of a batch, and returns the batch. The last chunk starts it. If callers have to prove who they are, the caller
// must be permitted to charge and refund for the merchant of each line, and be the one who has created the batch.
//
// AddBatchLines returns [payment.ErrInvalidRequest] for an invalid chunk, and [payment.ErrIdempotencyMismatch] for a batch with another content.
func (b *Batches) AddBatchLines(ctx context.Context, c payment.BatchChunk) (payment.Batch, error) {
	if err := c.Validate(); err != nil {
		var invalid *payment.InvalidRequestError
		errors.As(err, &invalid)
		return payment.Batch{}, storeError(err, invalid)
	}
	var by string
	if b.Authorizer != nil {
		merchants := make([]string, len(c.Chunk))
		for i, l := range c.Chunk {
			merchants[i] = l.MerchantID()
		}
		slices.Sort(merchants)
		caller, err := b.Authorizer.AllowForAll(authorize.ProofOfRead(ctx), readRequest(payment.ActivityAddBatchLines, c), slices.Compact(merchants), time.Now())
		if err != nil {
			return payment.Batch{}, err
		}
		by = caller.Subject
	}
	batch, err := b.Store.AddBatchLines(ctx, c, by)
	if err != nil {
		return batch, requestError(err, payment.BatchRequest{Name: c.Name})
	}
	if batch.State == payment.BatchReceiving || batch.Finished() {
		return batch, nil
	}
	return batch, b.Workflows.Wake(ctx, c.Name, payment.BatchChange{Name: c.Name, Reason: "all lines were handed over"})
}

// maxBatchMerchants is more than the merchants that a claim may name.
const maxBatchMerchants = 1001

// allow returns the name of the caller, or an error unless the caller may do this with all lines of the batch.
func (b *Batches) allow(ctx context.Context, name, activity string, arg any) (by string, err error) {
	if b.Authorizer == nil {
		return "", nil
	}
	merchants, err := b.Store.BatchMerchants(ctx, name, maxBatchMerchants)
	if err != nil {
		return "", storeError(err)
	}
	if len(merchants) == 0 {
		merchants = []string{""} // unknown, or still without lines: only to a caller for all merchants
	}
	caller, err := b.Authorizer.AllowForAll(authorize.ProofOfRead(ctx), readRequest(activity, arg), merchants, time.Now())
	return caller.Subject, err
}

// GetBatch returns a batch by its name, or [payment.ErrNotFound].
func (b *Batches) GetBatch(ctx context.Context, name string) (payment.Batch, error) {
	if _, err := b.allow(ctx, name, payment.ActivityGetBatch, name); err != nil {
		return payment.Batch{}, err
	}
	batch, err := b.Store.Batch(ctx, name)
	return batch, storeError(err)
}

// ListBatchLines returns a page of lines, in the order of the file, or [payment.ErrInvalidRequest] for an invalid filter.
func (b *Batches) ListBatchLines(ctx context.Context, f payment.BatchLineFilter) (payment.BatchLinePage, error) {
	if _, err := b.allow(ctx, f.Name, payment.ActivityListBatchLines, f); err != nil {
		return payment.BatchLinePage{}, err
	}
	page, err := b.Store.BatchLines(ctx, f)
	return page, requestError(err, f)
}

// ControlBatch persists what a caller has decided about a batch, and returns the batch. It is in force as soon as it is persisted: of the lines
// that are not started then, only those follow that were about to be. If callers have to prove who they are, the caller must act for all
// merchants of the batch, and By is the caller's name. ControlBatch returns [payment.ErrNotFound], and [payment.ErrInvalidRequest] for an
// invalid change and for one that the state of the batch does not allow.
func (b *Batches) ControlBatch(ctx context.Context, change payment.BatchChange) (payment.Batch, error) {
	if err := change.Validate(); err != nil {
		return payment.Batch{}, storeError(payment.Refuse(payment.ErrInvalidRequest, "%v", err), change)
	}
	by, err := b.allow(ctx, change.Name, payment.ActivityControlBatch, change)
	if err != nil {
		return payment.Batch{}, err
	}
	if by != "" {
		change.By = by
	}
	batch, err := b.Store.ControlBatch(ctx, change)
	if err != nil {
		return batch, requestError(err, change)
	}
	if batch.Finished() || batch.StartedAt.IsZero() && batch.State == payment.BatchReceiving {
		return batch, nil
	}
	return batch, b.Workflows.Wake(ctx, change.Name, change)
}

// sendFor is how long one execution of SendBatchLines starts lines, or longer until a line is due at a low rate. The workflow shows the numbers of a batch after each execution.
const sendFor = 30 * time.Second

// SendBatchLines starts the lines of a batch for half a minute, persists how they end, and returns the batch. It never has more of them in
// flight than the batch allows. Lines that an earlier execution has left open are resumed first, under their keys. Only the workflow of the
// batch may execute it. It returns early if there is nothing to do, such as while the batch is paused.
func (b *Batches) SendBatchLines(ctx context.Context, req payment.BatchRequest) (payment.Batch, error) {
	info := activity.GetInfo(ctx)
	if info.WorkflowType == nil || info.WorkflowType.Name != payment.WorkflowBatch || info.WorkflowExecution.ID != payment.BatchWorkflowID(req.Name) {
		return payment.Batch{}, storeError(payment.Refuse(payment.ErrInvalidRequest,
			"workflow %q may not send the lines of batch %q: only the workflow of the batch may", info.WorkflowExecution.ID, req.Name))
	}
	s := &batchSender{
		name: req.Name, store: b.Store, workflows: b.Workflows, ended: b.Ended, stopping: activity.GetWorkerStopChannel(ctx),
		heartbeat: func(p BatchHeartbeat) { activity.RecordHeartbeat(ctx, p) },
		logger:    activity.GetLogger(ctx),
	}
	batch, err := s.run(ctx, sendFor)
	return batch, storeError(err)
}

// acceptedInBatch reports whether a batch has started exactly this request, and the caller who has submitted the batch was permitted to.
func (p *Payments) acceptedInBatch(ctx context.Context, req any) (bool, error) {
	var l payment.BatchLine
	switch req := req.(type) {
	case payment.ChargeRequest:
		l.Charge = &req
	case payment.RefundRequest:
		l.Refund = &req
	default:
		return false, nil
	}
	return p.Store.AcceptedInBatch(ctx, l.ID(), l.Fingerprint())
}
