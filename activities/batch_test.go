package activities

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// batchFake is a store with one batch, and the workflows of its lines. How long a workflow takes, and how it ends, depends on the
// idempotency key of its line.
type batchFake struct {
	mu      sync.Mutex
	batch   payment.Batch
	lines   map[int64]*fakeLine
	takes   time.Duration
	outcome func(line int64) (payment.Status, error)
	// startErrors is how many starts fail before one succeeds.
	startErrors int
	// most is the largest number of lines that were in flight.
	most, inFlight int
	// terminated are lines whose workflow ends without an outcome, once.
	terminated map[int64]bool
}

type fakeLine struct {
	line    payment.BatchLine
	status  payment.Status // of the line
	payment payment.Status
	refusal string
	starts  []time.Time
	running bool
}

func newBatchFake(lines int, inFlight int) *batchFake {
	f := &batchFake{
		batch: payment.Batch{Name: "june", State: payment.BatchRunning, Lines: int64(lines), InFlight: inFlight},
		lines: map[int64]*fakeLine{}, takes: time.Second,
		outcome: func(int64) (payment.Status, error) { return payment.Succeeded, nil }, terminated: map[int64]bool{},
	}
	for i := range int64(lines) {
		charge := purchase
		charge.IdempotencyKey = "line-" + string(rune('a'+i%26)) + string(rune('a'+i/26%26))
		f.lines[i+1] = &fakeLine{line: payment.BatchLine{Line: i + 1, Charge: &charge}, status: payment.LineWaiting}
	}
	return f
}

func (f *batchFake) count() {
	f.batch.Waiting, f.batch.Open, f.batch.Succeeded, f.batch.Declined, f.batch.Refused = 0, 0, 0, 0, 0
	for _, l := range f.lines {
		switch l.status {
		case payment.LineWaiting:
			f.batch.Waiting++
		case payment.LineOpen:
			f.batch.Open++
		case payment.Declined:
			f.batch.Declined++
		case payment.LineRefused:
			f.batch.Refused++
		default:
			f.batch.Succeeded++
		}
	}
}

func (f *batchFake) locked(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.count()
}

func (f *batchFake) Batch(context.Context, string) (b payment.Batch, err error) {
	f.locked(func() { f.count(); b = f.batch })
	return b, nil
}

func (f *batchFake) ClaimBatchLines(_ context.Context, _ string, after int64, limit int) (b payment.Batch, claimed []store.OpenLine, err error) {
	f.locked(func() {
		for i := after + 1; i <= int64(len(f.lines)) && len(claimed) < limit && f.batch.State == payment.BatchRunning; i++ {
			if l := f.lines[i]; l.status == payment.LineWaiting {
				l.status = payment.LineOpen
				claimed = append(claimed, store.OpenLine{BatchLine: l.line})
			}
		}
		f.count()
		b = f.batch
	})
	return b, claimed, nil
}

func (f *batchFake) OpenBatchLines(_ context.Context, _ string, after int64, limit int) (open []store.OpenLine, err error) {
	f.locked(func() {
		for i := after + 1; i <= int64(len(f.lines)) && len(open) < limit; i++ {
			if l := f.lines[i]; l.status == payment.LineOpen {
				open = append(open, store.OpenLine{BatchLine: l.line, Status: l.payment})
			}
		}
	})
	return open, nil
}

func (f *batchFake) BatchLineStatuses(_ context.Context, _ string, lines []int64) (map[int64]payment.Status, error) {
	statuses := map[int64]payment.Status{}
	f.locked(func() {
		for _, i := range lines {
			statuses[i] = f.lines[i].payment
		}
	})
	return statuses, nil
}

func (f *batchFake) EndBatchLines(_ context.Context, _ string, ends []store.LineEnd) (map[payment.Status]int64, error) {
	counts := map[payment.Status]int64{}
	f.locked(func() {
		for _, end := range ends {
			if l := f.lines[end.Line]; l.status == payment.LineOpen {
				l.status, l.refusal = end.Status, end.Refusal
				counts[end.Status]++
			}
		}
	})
	return counts, nil
}

func (f *batchFake) FinishBatch(context.Context, string) (b payment.Batch, err error) {
	f.locked(func() {
		f.count()
		if f.batch.Open == 0 && (f.batch.Waiting == 0 && f.batch.State == payment.BatchRunning || f.batch.State == payment.BatchCanceled) {
			f.batch.FinishedAt = time.Now()
		}
		b = f.batch
	})
	return b, nil
}

func (f *batchFake) Wake(context.Context, string, payment.BatchChange) error { return nil }

func (f *batchFake) Refund(context.Context, payment.RefundRequest) error { return errors.New("no refunds here") }

func (f *batchFake) of(key string) *fakeLine {
	for _, l := range f.lines {
		if l.line.IdempotencyKey() == key {
			return l
		}
	}
	return nil
}

func (f *batchFake) Charge(_ context.Context, req payment.ChargeRequest) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.startErrors > 0 {
		f.startErrors--
		return errors.New("temporal is down")
	}
	l := f.of(req.IdempotencyKey)
	if l.running || l.payment.EndsLine() {
		return nil // USE_EXISTING
	}
	l.starts = append(l.starts, time.Now())
	if f.terminated[l.line.Line] {
		delete(f.terminated, l.line.Line)
		return nil
	}
	status, err := f.outcome(l.line.Line)
	if err != nil {
		return err
	}
	if status == payment.LineRefused {
		return nil
	}
	f.inFlight++
	f.most = max(f.most, f.inFlight)
	l.running, l.payment = true, payment.Processing
	time.AfterFunc(f.takes, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.inFlight--
		l.payment, l.running = status, status == payment.Unknown
	})
	return nil
}

func (f *batchFake) Refusal(_ context.Context, workflowID string) (*payment.Refusal, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for number, l := range f.lines {
		if payment.ChargeWorkflowID("acme", l.line.IdempotencyKey()) != workflowID {
			continue
		}
		if status, _ := f.outcome(number); status == payment.LineRefused && len(l.starts) > 0 {
			return payment.Refuse(payment.ErrInvalidRequest, "no such processor"), nil
		}
	}
	return nil, nil
}

// send executes SendBatchLines on the fake for a period.
func (f *batchFake) send(t *testing.T, ctx context.Context, period time.Duration, stopping <-chan struct{}) (payment.Batch, map[payment.Status]int64, error) {
	t.Helper()
	ended := map[payment.Status]int64{}
	s := &batchSender{
		name: "june", store: f, workflows: f, ended: func(status payment.Status, n int64) { ended[status] += n }, stopping: stopping,
		heartbeat: func(BatchHeartbeat) {}, logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	}
	b, err := s.run(ctx, period)
	return b, ended, err
}

func TestBatchKeepsAsManyLinesInFlightAsItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(100, 10)
		began := time.Now()
		b, ended, err := f.send(t, t.Context(), time.Minute, nil)
		require.NoError(t, err)
		require.True(t, b.Finished())
		require.Equal(t, 10, f.most)
		require.Equal(t, map[payment.Status]int64{payment.Succeeded: 100}, ended)
		require.InDelta(t, 11, time.Since(began).Seconds(), 2, "ten rounds of a second each")
		for number, l := range f.lines {
			require.Len(t, l.starts, 1, "line %d", number)
		}
	})
}

// A processor that responds with 429 and Retry-After makes payments take longer: nothing new is started meanwhile.
func TestSlowProcessorSlowsTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(100, 5)
		f.takes = 20 * time.Second
		b, _, err := f.send(t, t.Context(), 30*time.Second, nil)
		require.NoError(t, err)
		require.Equal(t, 5, f.most)
		require.Equal(t, int64(90), b.Waiting)
		require.Equal(t, int64(5), b.Open)
	})
}

func TestBatchStartsNoMoreLinesPerSecondThanItMay(t *testing.T) {
	for _, perSecond := range []float64{0.5, 4, 40} {
		synctest.Test(t, func(t *testing.T) {
			f := newBatchFake(600, 1000)
			f.takes, f.batch.PerSecond = 10*time.Millisecond, perSecond
			for range 3 { // executions follow each other without a burst each
				_, _, err := f.send(t, t.Context(), 4*time.Second, nil)
				require.NoError(t, err)
			}
			started := 0
			for _, l := range f.lines {
				started += len(l.starts)
			}
			require.InDelta(t, perSecond*12, started, perSecond*2+3)
		})
	}
}

func TestPausedBatchStartsNothingAndWaitsForWhatRuns(t *testing.T) {
	for state, finished := range map[payment.BatchState]bool{payment.BatchPaused: false, payment.BatchCanceled: true} {
		synctest.Test(t, func(t *testing.T) {
			f := newBatchFake(100, 10)
			f.takes = 4 * time.Second
			time.AfterFunc(2*time.Second, func() { f.locked(func() { f.batch.State = state }) })
			began := time.Now()
			b, ended, err := f.send(t, t.Context(), time.Minute, nil)
			require.NoError(t, err)
			require.Equal(t, state, b.State)
			require.Equal(t, map[payment.Status]int64{payment.Succeeded: 10}, ended)
			require.Equal(t, int64(90), b.Waiting)
			require.Less(t, time.Since(began), 6*time.Second)
			require.Equal(t, finished, b.Finished())
		})
	}
}

func TestInterruptedBatchResumesWithoutStartingALineTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(100, 10)
		for range 5 { // the worker dies five times
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			_, _, err := f.send(t, ctx, time.Minute, nil)
			require.Error(t, err)
			cancel()
		}
		b, _, err := f.send(t, t.Context(), time.Minute, nil)
		require.NoError(t, err)
		require.True(t, b.Finished())
		require.Equal(t, int64(100), b.Succeeded)
		require.LessOrEqual(t, f.most, 10)
		for number, l := range f.lines {
			require.Len(t, l.starts, 1, "line %d", number)
		}
	})
}

func TestStoppingWorkerHandsTheBatchOverAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(100, 10)
		f.takes = time.Hour
		stopping := make(chan struct{})
		time.AfterFunc(2*time.Second, func() { close(stopping) })
		began := time.Now()
		b, _, err := f.send(t, t.Context(), time.Minute, stopping)
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, time.Since(began))
		require.Equal(t, int64(10), b.Open)
	})
}

func TestLinesThatAreRefusedEndWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(4, 10)
		f.outcome = func(line int64) (payment.Status, error) {
			switch line {
			case 1: // the workflow fails
				return payment.LineRefused, nil
			case 2: // the start is refused
				return "", payment.Refuse(payment.ErrIdempotencyMismatch, "used for a different request")
			case 3:
				return payment.Declined, nil
			default:
				return payment.Authorized, nil
			}
		}
		b, ended, err := f.send(t, t.Context(), time.Minute, nil)
		require.NoError(t, err)
		require.True(t, b.Finished())
		require.Equal(t, map[payment.Status]int64{payment.LineRefused: 2, payment.Declined: 1, payment.Authorized: 1}, ended)
		require.Equal(t, "no such processor", f.lines[1].refusal)
		require.Equal(t, "used for a different request", f.lines[2].refusal)
	})
}

func TestKeyOfAnotherPurchaseEndsALineAsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(2, 10)
		f.lines[1].payment = payment.LineRefused // as the store reports a payment with another fingerprint
		f.lines[1].running = true
		b, _, err := f.send(t, t.Context(), time.Minute, nil)
		require.NoError(t, err)
		require.True(t, b.Finished())
		require.Equal(t, keyOfAnother, f.lines[1].refusal)
		require.Equal(t, payment.Succeeded, f.lines[2].status)
	})
}

func TestStartThatFailsIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(3, 10)
		f.startErrors = 7
		f.terminated = map[int64]bool{2: true} // its workflow is terminated before it begins: it is started again
		b, _, err := f.send(t, t.Context(), time.Minute, nil)
		require.NoError(t, err)
		require.Equal(t, int64(3), b.Succeeded)
		require.Len(t, f.lines[2].starts, 2)
	})
}

// Lines whose outcome is unknown must not keep the others from being started. A later execution persists how they end.
func TestLineWithoutAnOutcomeLeavesTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(50, 2)
		f.outcome = func(line int64) (payment.Status, error) {
			if line <= 10 {
				return payment.Unknown, nil
			}
			return payment.Succeeded, nil
		}
		b, _, err := f.send(t, t.Context(), 5*time.Minute, nil)
		require.NoError(t, err)
		require.False(t, b.Finished())
		require.Equal(t, int64(10), b.Open)
		require.Equal(t, int64(40), b.Succeeded)
		f.locked(func() {
			for number := range int64(10) {
				f.lines[number+1].payment = payment.Declined
			}
		})
		b, ended, err := f.send(t, t.Context(), 5*time.Minute, nil)
		require.NoError(t, err)
		require.True(t, b.Finished())
		require.Equal(t, map[payment.Status]int64{payment.Declined: 10}, ended)
	})
}
