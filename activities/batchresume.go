package activities

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// resume takes up the lines that an earlier execution has started: it persists the ends of those that have an outcome, and starts the others again,
// which has no effect on workflows that run. Those whose processor has responded without an outcome must not take the places of others: they
// stay open without being in flight.
func (s *batchSender) resume(ctx context.Context) error {
	limit := s.batch.InFlight
	if !s.canStart() {
		limit = payment.MaxBatchInFlight
	}
	for after := int64(0); ; {
		open, err := s.store.OpenBatchLines(ctx, s.name, after, openPage)
		if err != nil {
			return err
		}
		var ends []store.LineEnd
		var responded []int64
		for _, l := range open {
			after = l.Line
			switch {
			case l.Status.EndsLine():
				ends = append(ends, store.LineEnd{Line: l.Line, Status: l.Status})
			case l.Status == payment.LineRefused:
				ends = append(ends, store.LineEnd{Line: l.Line, Status: l.Status, Refusal: keyOfAnother})
			case l.Status != "" && l.Status != payment.Processing:
				responded = append(responded, l.Line)
			case len(s.inFlight) < limit:
				s.add(l.BatchLine)
			}
		}
		if err := s.store.MarkBatchLinesResponded(ctx, s.name, responded); err != nil {
			return err
		}
		if err := s.end(ctx, ends); err != nil {
			return err
		}
		s.heartbeat(BatchHeartbeat{InFlight: len(s.inFlight), Ended: s.total})
		if len(open) < openPage {
			break
		}
	}
	return s.sweep(ctx)
}

// canStart reports whether there are lines to start.
func (s *batchSender) canStart() bool {
	return s.batch.Waiting > 0 && s.batch.State == payment.BatchRunning
}

// sweep persists the ends of lines whose processor has responded without an outcome, and which their own workflows have found out since. If no
// other lines are to be started, it starts some of the rest again, each time others: nothing else would continue a workflow that was terminated.
func (s *batchSender) sweep(ctx context.Context) error {
	if s.canStart() {
		at, err := s.store.BatchSweptAt(ctx, s.name)
		if err != nil {
			return err
		}
		if since := time.Since(at); since > -sweepEvery && since < sweepEvery { // otherwise, another worker's clock was wrong
			return nil
		}
	}
	again, seen := make([]int64, 0, max(payment.MaxBatchInFlight-len(s.inFlight), 0)), 0
	for after := int64(0); ; {
		responded, err := s.store.RespondedBatchLines(ctx, s.name, after, respondedPage)
		if err != nil {
			return err
		}
		var ends []store.LineEnd
		for _, l := range responded {
			after = l.Line
			if l.Status.EndsLine() {
				ends = append(ends, store.LineEnd{Line: l.Line, Status: l.Status})
				continue
			}
			// A sample of all of them, each with the same probability: Vitter's algorithm R.
			if seen++; len(again) < cap(again) {
				again = append(again, l.Line)
			} else if i := rand.IntN(seen); i < len(again) { //nolint:gosec // protects nothing
				again[i] = l.Line
			}
		}
		if err := s.end(ctx, ends); err != nil {
			return err
		}
		s.heartbeat(BatchHeartbeat{InFlight: len(s.inFlight), Ended: s.total})
		if len(responded) < respondedPage {
			break
		}
	}
	if s.canStart() {
		again = nil
	}
	for some := range slices.Chunk(again, openPage) {
		lines, err := s.store.BatchRequests(ctx, s.name, some)
		if err != nil {
			return err
		}
		for _, l := range lines {
			s.add(l)
		}
	}
	return s.store.MarkBatchSwept(ctx, s.name)
}
