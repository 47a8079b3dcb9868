package florin

import (
	"context"
	"fmt"

	"github.com/florinpay/florin/payment"
)

// AddBatchLines hands lines of a batch over to a worker, and returns the batch. The first chunk creates it, and the last one starts it. Lines up
// to LastLine of the batch are there already, and are skipped. [ErrIdempotencyMismatch] means that the batch has another content, and
// [ErrInvalidRequest] also that two lines have the same key. See docs/batch.md.
func (c *Client) AddBatchLines(ctx context.Context, chunk payment.BatchChunk) (payment.Batch, error) {
	if err := chunk.Validate(); err != nil {
		return payment.Batch{}, err
	}
	b, err := read[payment.Batch](ctx, c, "", payment.ActivityAddBatchLines, chunk)
	return b, translate(ctx, err, payment.BatchWorkflowID(chunk.Name))
}

// Batch returns a batch by its name. [ErrNotFound] means that there is none.
func (c *Client) Batch(ctx context.Context, name string) (payment.Batch, error) {
	b, err := read[payment.Batch](ctx, c, "", payment.ActivityGetBatch, name)
	return b, translate(ctx, err, fmt.Sprintf("%s %q", payment.ActivityGetBatch, name))
}

// BatchLines returns a page of the lines of a batch, in the order of the file. [ErrInvalidRequest] means an invalid filter.
func (c *Client) BatchLines(ctx context.Context, f payment.BatchLineFilter) (payment.BatchLinePage, error) {
	if err := f.Validate(); err != nil {
		return payment.BatchLinePage{}, err
	}
	page, err := read[payment.BatchLinePage](ctx, c, "", payment.ActivityListBatchLines, f)
	return page, translate(ctx, err, payment.ActivityListBatchLines)
}

// ControlBatch pauses, resumes, cancels or limits a batch, and returns it. The change is in force when ControlBatch returns: of the lines that are
// not started then, only those follow that were about to be. [ErrNotFound] means that there is no such batch, and [ErrInvalidRequest] also that
// its state does not allow the change.
func (c *Client) ControlBatch(ctx context.Context, change payment.BatchChange) (payment.Batch, error) {
	if err := change.Validate(); err != nil {
		return payment.Batch{}, err
	}
	b, err := read[payment.Batch](ctx, c, "", payment.ActivityControlBatch, change)
	return b, translate(ctx, err, payment.BatchWorkflowID(change.Name))
}
