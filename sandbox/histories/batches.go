package main

import (
	"context"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/florinpay/florin/payment"
)

// batches are the scenarios of files.
var batches = []scenario{
	{
		name: "batch-completed", about: "two charges, of which one is declined",
		run: func(ctx context.Context, r *recording) error {
			if err := r.submit(ctx, "tok_visa", "tok_insufficient_funds"); err != nil {
				return err
			}
			return r.waitForBatch(ctx, func(b payment.Batch) bool { return b.Finished() })
		},
	},
	{
		name: "batch-paused-and-canceled", about: "a batch of a line in 20 seconds is paused, resumed and canceled",
		run: func(ctx context.Context, r *recording) error {
			if err := r.submit(ctx, "tok_visa", "tok_visa"); err != nil {
				return err
			}
			for _, action := range []payment.BatchAction{payment.BatchPause, payment.BatchResume, payment.BatchCancel} {
				_, err := r.env.Florin.ControlBatch(ctx, payment.BatchChange{Name: r.key, Action: action, By: "jane", Reason: recordingReason})
				if err != nil {
					return err
				}
				if action == payment.BatchPause {
					if err := r.waitForEvent(ctx, enumspb.EVENT_TYPE_TIMER_STARTED); err != nil {
						return err
					}
				}
			}
			return r.waitForBatch(ctx, func(b payment.Batch) bool { return b.Finished() })
		},
	},
	{
		name: "batch-waits-for-an-outcome", about: "the only line is pending: the workflow pauses before it reads it again",
		run: func(ctx context.Context, r *recording) error {
			if err := r.submit(ctx, "tok_lookup_unavailable"); err != nil {
				return err
			}
			return r.waitForEvent(ctx, enumspb.EVENT_TYPE_TIMER_STARTED)
		},
	},
}

// submit submits a batch that is named like the scenario, with one charge for each token. One that is
// paused starts a line in 20 seconds.
func (r *recording) submit(ctx context.Context, tokens ...string) error {
	r.workflowID = payment.BatchWorkflowID(r.key)
	chunk := payment.BatchChunk{Name: r.key, ContentHash: strings.Repeat("0a", 32), Lines: int64(len(tokens)), Complete: true}
	if strings.Contains(r.key, "paused") {
		chunk.PerSecond = 0.05
	}
	for i, token := range tokens {
		req := r.request(token)
		req.IdempotencyKey += "-" + string(rune('a'+i))
		chunk.Chunk = append(chunk.Chunk, payment.BatchLine{Line: int64(i + 1), Charge: &req})
	}
	_, err := r.env.Florin.AddBatchLines(ctx, chunk)
	return err
}

// waitForBatch waits until the batch is as wanted, and its workflow has ended.
func (r *recording) waitForBatch(ctx context.Context, wanted func(payment.Batch) bool) error {
	err := poll(ctx, func() (bool, error) {
		b, err := r.env.Florin.Batch(ctx, r.key)
		return err == nil && wanted(b), err
	})
	if err != nil {
		return err
	}
	return r.env.Temporal.GetWorkflow(ctx, r.workflowID, "").Get(ctx, nil)
}
