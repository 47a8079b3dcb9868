package activities

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/internal/caller"
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
	// swept is when the responded lines were last read, and sweeps how often.
	swept  time.Time
	sweeps int
	// terminated are lines whose workflow ends without an outcome, once.
	terminated map[int64]bool
}

// lineResponded is the status in the store of a line whose processor has responded without an outcome.
const lineResponded payment.Status = "responded"

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
		case payment.LineOpen, lineResponded:
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

func (f *batchFake) MarkBatchLinesResponded(_ context.Context, _ string, lines []int64) error {
	f.locked(func() {
		for _, i := range lines {
			if l := f.lines[i]; l.status == payment.LineOpen {
				l.status = lineResponded
			}
		}
	})
	return nil
}

func (f *batchFake) RespondedBatchLines(_ context.Context, _ string, after int64, limit int) (responded []store.RespondedLine, err error) {
	f.locked(func() {
		if after == 0 {
			f.sweeps++
		}
		for i := after + 1; i <= int64(len(f.lines)) && len(responded) < limit; i++ {
			if l := f.lines[i]; l.status == lineResponded {
				responded = append(responded, store.RespondedLine{Line: i, Status: l.payment})
			}
		}
	})
	return responded, nil
}

func (f *batchFake) BatchRequests(_ context.Context, _ string, lines []int64) (requests []payment.BatchLine, err error) {
	f.locked(func() {
		for _, i := range lines {
			requests = append(requests, f.lines[i].line)
		}
	})
	return requests, nil
}

func (f *batchFake) BatchSweptAt(context.Context, string) (at time.Time, err error) {
	f.locked(func() { at = f.swept })
	return at, nil
}

func (f *batchFake) MarkBatchSwept(context.Context, string) error {
	f.locked(func() { f.swept = time.Now() })
	return nil
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
			if l := f.lines[end.Line]; l.status == payment.LineOpen || l.status == lineResponded {
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

func (f *batchFake) Refund(context.Context, payment.RefundRequest) error {
	return errors.New("no refunds here")
}

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
func (f *batchFake) send(ctx context.Context, t *testing.T, period time.Duration, stopping <-chan struct{}) (payment.Batch, map[payment.Status]int64, error) {
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
		b, ended, err := f.send(t.Context(), t, time.Minute, nil)
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
		b, _, err := f.send(t.Context(), t, 30*time.Second, nil)
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
				_, _, err := f.send(t.Context(), t, 4*time.Second, nil)
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
			b, ended, err := f.send(t.Context(), t, time.Minute, nil)
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
			_, _, err := f.send(ctx, t, time.Minute, nil)
			require.Error(t, err)
			cancel()
		}
		b, _, err := f.send(t.Context(), t, time.Minute, nil)
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
		b, _, err := f.send(t.Context(), t, time.Minute, stopping)
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
		b, ended, err := f.send(t.Context(), t, time.Minute, nil)
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
		b, _, err := f.send(t.Context(), t, time.Minute, nil)
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
		b, _, err := f.send(t.Context(), t, time.Minute, nil)
		require.NoError(t, err)
		require.Equal(t, int64(3), b.Succeeded)
		require.Len(t, f.lines[2].starts, 2)
	})
}

// A pause is in force when the command returns: what was claimed before and is started later must be little, also while Temporal does not respond.
func TestFewLinesAreClaimedThatAreNotStartedYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(500, 400)
		f.startErrors = 1_000_000
		time.AfterFunc(20*time.Second, func() {
			f.locked(func() { f.batch.State, f.startErrors = payment.BatchCanceled, 0 })
		})
		b, _, err := f.send(t.Context(), t, time.Minute, nil)
		require.NoError(t, err)
		require.True(t, b.Finished())
		require.Equal(t, int64(starts), b.Succeeded)
		require.Equal(t, int64(500-starts), b.Waiting)
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
		b, _, err := f.send(t.Context(), t, 5*time.Minute, nil)
		require.NoError(t, err)
		require.False(t, b.Finished())
		require.Equal(t, int64(10), b.Open)
		require.Equal(t, int64(40), b.Succeeded)
		f.locked(func() {
			for number := range int64(10) {
				f.lines[number+1].payment = payment.Declined
			}
		})
		b, ended, err := f.send(t.Context(), t, 5*time.Minute, nil)
		require.NoError(t, err)
		require.True(t, b.Finished())
		require.Equal(t, map[payment.Status]int64{payment.Declined: 10}, ended)
	})
}

// Direct debits may be pending for days. Meanwhile, a line that a killed worker has claimed but not started is started at once.
func TestLinesThatWerePendingDoNotKeepAClaimedLineFromItsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(payment.MaxBatchInFlight+20, 50)
		last := int64(len(f.lines))
		for number, l := range f.lines {
			l.line.Charge.IdempotencyKey = fmt.Sprintf("line-%d", number)
			if l.status = payment.LineOpen; number != last {
				l.payment, l.running = payment.Pending, true
			}
		}
		b, ended, err := f.send(t.Context(), t, time.Minute, nil)
		require.NoError(t, err)
		require.Len(t, f.lines[last].starts, 1)
		require.Equal(t, map[payment.Status]int64{payment.Succeeded: 1}, ended)
		require.Equal(t, last-1, b.Open)
	})
}

// A million direct debits may be pending for days: they are read from time to time only, as long as others are started.
func TestPendingLinesAreReadFromTimeToTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(200, 2)
		f.batch.PerSecond = 0.1
		f.lines[1].status, f.lines[1].payment, f.lines[1].running = payment.LineOpen, payment.Pending, true
		for began := time.Now(); time.Since(began) < 25*time.Minute; {
			_, _, err := f.send(t.Context(), t, sendFor, nil)
			require.NoError(t, err)
			require.Empty(t, f.lines[1].starts, "its workflow runs")
			f.locked(func() { f.lines[1].payment = payment.Succeeded })
		}
		require.Positive(t, f.batch.Waiting)
		require.Equal(t, payment.Succeeded, f.lines[1].status)
		require.Equal(t, 3, f.sweeps)
	})
}

// The clock of the worker that has swept last was a day ahead.
func TestPendingLinesAreReadAfterASweepInTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(200, 2)
		f.batch.PerSecond, f.swept = 0.1, time.Now().Add(24*time.Hour)
		f.lines[1].status, f.lines[1].payment = lineResponded, payment.Succeeded
		_, _, err := f.send(t.Context(), t, sendFor, nil)
		require.NoError(t, err)
		require.Positive(t, f.batch.Waiting)
		require.Equal(t, payment.Succeeded, f.lines[1].status)
	})
}

// If there are more of them than may be in flight, each sweep starts others again.
func TestSweepsStartAllWorkflowsAgainInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(payment.MaxBatchInFlight+20, 50)
		terminated := int64(len(f.lines)) // the last line
		for number, l := range f.lines {
			l.line.Charge.IdempotencyKey = fmt.Sprintf("line-%d", number)
			l.status, l.payment, l.running = payment.LineOpen, payment.Pending, number != terminated
		}
		for range 10 { // that all of them miss it has a probability of 10^-17
			_, _, err := f.send(t.Context(), t, sendFor, nil)
			require.NoError(t, err)
		}
		require.Len(t, f.lines[terminated].starts, 1)
		require.Equal(t, payment.Succeeded, f.lines[terminated].status)
		require.Equal(t, terminated-1, f.batch.Open)
	})
}

// What was claimed but not begun, and what a sweep starts again, are in flight together.
func TestSweepKeepsTheLimitOfLinesInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const claimed, all = 400, 2 * payment.MaxBatchInFlight
		f := newBatchFake(all, payment.MaxBatchInFlight)
		for number, l := range f.lines {
			l.line.Charge.IdempotencyKey = fmt.Sprintf("line-%d", number)
			if l.status = payment.LineOpen; number > claimed {
				l.status, l.payment = lineResponded, payment.Pending
			}
		}
		most := 0
		s := &batchSender{
			name: "june", store: f, workflows: f, stopping: t.Context().Done(),
			heartbeat: func(p BatchHeartbeat) { most = max(most, p.InFlight) }, logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		}
		_, err := s.run(t.Context(), time.Second)
		require.NoError(t, err)
		require.LessOrEqual(t, most, payment.MaxBatchInFlight)
		require.Greater(t, most, claimed)
	})
}

// A rate below one line in an execution must not mean that none is ever started.
func TestSlowestRateStartsLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(5, 5)
		f.takes, f.batch.PerSecond = 10*time.Millisecond, payment.MinBatchRate
		began := time.Now()
		for range 4 {
			_, _, err := f.send(t.Context(), t, sendFor, nil)
			require.NoError(t, err)
		}
		require.Equal(t, int64(4), f.batch.Succeeded)
		require.GreaterOrEqual(t, time.Since(began).Seconds(), 4/payment.MinBatchRate)
	})
}

// wakes counts the calls of Wake.
type wakes struct {
	BatchWorkflows
	names []string
	err   error
}

func (w *wakes) Wake(_ context.Context, name string, _ payment.BatchChange) error {
	w.names = append(w.names, name)
	return w.err
}

func newBatches(t *testing.T) (*testsuite.TestActivityEnvironment, *Batches, *wakes) {
	t.Helper()
	env, p := newPayments(t)
	w := &wakes{}
	b := &Batches{Store: p.Store, Workflows: w}
	b.RegisterReads(env)
	b.RegisterSends(env)
	return env, b, w
}

func aChunk(complete bool) payment.BatchChunk {
	charge := purchase
	return payment.BatchChunk{
		Name: "june", ContentHash: strings.Repeat("a", 64), Lines: 1, Complete: complete, Chunk: []payment.BatchLine{{Line: 1, Charge: &charge}},
	}
}

func TestBatchIsSubmittedReadAndControlled(t *testing.T) {
	env, b, w := newBatches(t)
	value, err := env.ExecuteActivity(payment.ActivityAddBatchLines, aChunk(false))
	require.Equal(t, payment.BatchReceiving, decode[payment.Batch](t, value, err).State)
	require.Empty(t, w.names, "nothing starts before all lines are there")
	w.err = errors.New("temporal is down")
	_, err = env.ExecuteActivity(payment.ActivityAddBatchLines, aChunk(true))
	requireRetried(t, err)
	w.err = nil
	value, err = env.ExecuteActivity(payment.ActivityAddBatchLines, aChunk(true))
	require.Equal(t, payment.BatchRunning, decode[payment.Batch](t, value, err).State)
	require.Equal(t, []string{"june", "june"}, w.names, "again, since the workflow may not have started")

	value, err = env.ExecuteActivity(payment.ActivityGetBatch, "june")
	require.Equal(t, int64(1), decode[payment.Batch](t, value, err).Waiting)
	_, err = env.ExecuteActivity(payment.ActivityGetBatch, "july")
	requireRefusal(t, err, payment.ErrNotFound)
	value, err = env.ExecuteActivity(payment.ActivityListBatchLines, payment.BatchLineFilter{Name: "june"})
	require.Len(t, decode[payment.BatchLinePage](t, value, err).Lines, 1)
	_, err = env.ExecuteActivity(payment.ActivityListBatchLines, payment.BatchLineFilter{Name: "june", Status: "done"})
	requireRefusal(t, err, payment.ErrInvalidRequest)

	pause := payment.BatchChange{Name: "june", Action: payment.BatchPause, By: "jane", Reason: "incident 4711"}
	value, err = env.ExecuteActivity(payment.ActivityControlBatch, pause)
	require.Equal(t, payment.BatchPaused, decode[payment.Batch](t, value, err).State)
	require.Len(t, w.names, 3, "the workflow reads the batch again")
	pause.By = ""
	_, err = env.ExecuteActivity(payment.ActivityControlBatch, pause)
	requireRefusal(t, err, payment.ErrInvalidRequest)
	pause.By, pause.Name = "jane", "july"
	_, err = env.ExecuteActivity(payment.ActivityControlBatch, pause)
	requireRefusal(t, err, payment.ErrNotFound)

	other := aChunk(true)
	other.ContentHash = strings.Repeat("b", 64)
	_, err = env.ExecuteActivity(payment.ActivityAddBatchLines, other)
	requireRefusal(t, err, payment.ErrIdempotencyMismatch)
	other.Chunk[0].Charge.Amount = 0
	_, err = env.ExecuteActivity(payment.ActivityAddBatchLines, other)
	requireRefusal(t, err, payment.ErrInvalidRequest)
	require.NoError(t, b.Store.Close())
	_, err = env.ExecuteActivity(payment.ActivityGetBatch, "june")
	requireRetried(t, err)
}

// Every client of the namespace can schedule activities on the queue of batches.
func TestOnlyTheWorkflowOfABatchSendsItsLines(t *testing.T) {
	for name, tt := range map[string]struct {
		workflow, id string
		permitted    bool
	}{
		"its workflow":                   {workflow: payment.WorkflowBatch, id: "batch/june", permitted: true},
		"the workflow of another batch":  {workflow: payment.WorkflowBatch, id: "batch/july"},
		"another workflow with its ID":   {workflow: payment.WorkflowCharge, id: "batch/june"},
		"another program's workflow":     {workflow: "Mine", id: "mine"},
		"a workflow of the type, any ID": {workflow: payment.WorkflowBatch, id: "june"},
	} {
		t.Run(name, func(t *testing.T) {
			env, b, _ := newBatches(t)
			b.Workflows = noLines{}
			inWorkflow(env, tt.workflow, tt.id)
			_, err := b.Store.AddBatchLines(t.Context(), aChunk(false), "")
			require.NoError(t, err)
			_, err = env.ExecuteActivity(payment.ActivitySendBatchLines, payment.BatchRequest{Name: "june"})
			if tt.permitted {
				require.NoError(t, err)
			} else {
				requireRefusal(t, err, payment.ErrInvalidRequest)
			}
		})
	}
}

// noLines starts nothing.
type noLines struct{ BatchWorkflows }

// With callers that have to prove who they are, the proof of a line is that of its batch.
func TestLineOfABatchNeedsNoProofOfItsOwn(t *testing.T) {
	refund := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "r-1", PaymentID: payment.PaymentID("acme", "order-1")}
	for name, tt := range map[string]struct {
		by      string
		claimed bool
		change  func(*payment.ChargeRequest)
		want    bool
	}{
		"a line that was started":             {by: "shop", claimed: true, want: true},
		"a line that waits":                   {by: "shop"},
		"another amount under its key":        {by: "shop", claimed: true, change: func(r *payment.ChargeRequest) { r.Amount++ }},
		"another key":                         {by: "shop", claimed: true, change: func(r *payment.ChargeRequest) { r.IdempotencyKey = "order-2" }},
		"another merchant":                    {by: "shop", claimed: true, change: func(r *payment.ChargeRequest) { r.MerchantID = "other" }},
		"a batch of before proofs were asked": {claimed: true},
	} {
		t.Run(name, func(t *testing.T) {
			env, p := newPayments(t)
			refused := 0
			p.Authorizer = &authorize.Authorizer{
				Verifier: &authorize.Verifier{}, Refused: func(string, string) { refused++ }, Log: func(string, string, error) {},
			}
			chunk := aChunk(true)
			chunk.Lines = 2
			chunk.Chunk = append(chunk.Chunk, payment.BatchLine{Line: 2, Refund: &refund})
			_, err := p.Store.AddBatchLines(t.Context(), chunk, tt.by)
			require.NoError(t, err)
			if tt.claimed {
				_, _, err = p.Store.ClaimBatchLines(t.Context(), "june", 0, 2)
				require.NoError(t, err)
			}
			req := purchase
			if tt.change != nil {
				tt.change(&req)
			}
			_, err = env.ExecuteActivity(payment.ActivityBeginPayment, req, Start{At: time.Now()})
			if tt.want {
				require.NoError(t, err)
				require.Zero(t, refused, "no alert")
				_, err = env.ExecuteActivity(payment.ActivityReserveRefund, refund, Start{At: time.Now()})
				requireRefusal(t, err, payment.ErrPaymentNotRefundable) // it is permitted, and the payment has not succeeded
				return
			}
			requireRefusal(t, err, payment.ErrNotAuthorized)
			require.Equal(t, 1, refused)
		})
	}
}

// Nothing else would continue a payment whose workflow was terminated while it was unknown.
func TestSweepStartsWorkflowsAgainThatWereTerminated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newBatchFake(20, 2)
		for _, l := range f.lines {
			l.status, l.payment = payment.LineOpen, payment.Unknown
		}
		b, ended, err := f.send(t.Context(), t, time.Minute, nil)
		require.NoError(t, err)
		require.True(t, b.Finished())
		require.Equal(t, map[payment.Status]int64{payment.Succeeded: 20}, ended)
		for number, l := range f.lines {
			require.Len(t, l.starts, 1, "line %d", number)
		}
	})
}

// issuedTo returns the token of a caller, whose claim authorizer accepts.
func issuedTo(t *testing.T, secret []byte, subject string, merchants []string, roles ...caller.Role) caller.Token {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	thumbprint, err := caller.Thumbprint(public)
	require.NoError(t, err)
	claim, err := caller.Issue(caller.Claim{
		Identity: caller.Identity{Subject: subject, Merchants: merchants, Roles: roles},
		Audience: "florin", NotBefore: time.Now().Add(-time.Hour), Expiry: time.Now().Add(time.Hour), Thumbprint: thumbprint,
	}, secret, "")
	require.NoError(t, err)
	return caller.Token{Claim: claim, Key: private}
}

func TestCallersSubmitReadAndControlBatchesOfTheirMerchantsOnly(t *testing.T) {
	secret := []byte(strings.Repeat("s", 32))
	keys, err := authorize.NewKeys(t.Context(), func(context.Context) (authorize.KeySet, error) {
		return authorize.KeySet{Secret: secret}, nil
	}, time.Hour, func(error) {})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	_, p := newPayments(t)
	b := &Batches{Store: p.Store, Workflows: &wakes{}, Authorizer: &authorize.Authorizer{
		Verifier: &authorize.Verifier{Keys: keys, Audience: "florin", Skew: 30 * time.Second, Lifetime: 5 * time.Minute},
		Refused:  func(string, string) {}, Log: func(string, string, error) {},
	}}
	execute := func(as *caller.Token, activityName string, arg any) (payment.Batch, error) {
		t.Helper()
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestActivityEnvironment()
		env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{authorize.NewWorkerInterceptor(b.Authorizer)}})
		b.RegisterReads(env)
		if as != nil {
			proof, err := as.Sign(caller.Request{Kind: caller.Read, Name: activityName, Args: []any{arg}}, time.Now())
			require.NoError(t, err)
			payload, err := converter.GetDefaultDataConverter().ToPayload(proof)
			require.NoError(t, err)
			env.SetHeader(&commonpb.Header{Fields: map[string]*commonpb.Payload{caller.Header: payload}})
		}
		value, err := env.ExecuteActivity(activityName, arg)
		if err != nil {
			return payment.Batch{}, err
		}
		var batch payment.Batch
		if activityName != payment.ActivityListBatchLines {
			require.NoError(t, value.Get(&batch))
		}
		return batch, nil
	}
	shop := issuedTo(t, secret, "shop", []string{"acme", "other"}, caller.Service)
	colleague := issuedTo(t, secret, "colleague", []string{"acme", "other"}, caller.Service)
	half := issuedTo(t, secret, "half", []string{"acme"}, caller.Service, caller.Operator)
	operator := issuedTo(t, secret, "jane", []string{caller.AllMerchants}, caller.Operator)
	reader := issuedTo(t, secret, "auditor", []string{caller.AllMerchants}, caller.Reader)

	chunk := aChunk(true)
	second := purchase
	second.MerchantID = "other"
	chunk.Lines, chunk.Chunk = 2, append(chunk.Chunk, payment.BatchLine{Line: 2, Charge: &second})
	for name, as := range map[string]*caller.Token{"no caller": nil, "half": &half, "operator": &operator, "reader": &reader} {
		_, err := execute(as, payment.ActivityAddBatchLines, chunk)
		requireRefusal(t, err, payment.ErrNotAuthorized)
		_, err = p.Store.Batch(t.Context(), "june")
		require.ErrorIs(t, err, payment.ErrNotFound, name)
	}
	batch, err := execute(&shop, payment.ActivityAddBatchLines, chunk)
	require.NoError(t, err)
	require.Equal(t, "shop", batch.CreatedBy)
	_, err = execute(&colleague, payment.ActivityAddBatchLines, chunk)
	requireRefusal(t, err, payment.ErrIdempotencyMismatch)

	pause := payment.BatchChange{Name: "june", Action: payment.BatchPause, By: "another operator", Reason: "incident 4711"}
	for name, tt := range map[string]struct {
		as          *caller.Token
		reads, acts bool
	}{
		"no caller": {}, "half": {as: &half}, "shop": {as: &shop, reads: true, acts: true}, "colleague": {as: &colleague, reads: true, acts: true},
		"operator": {as: &operator, reads: true, acts: true}, "reader": {as: &reader, reads: true},
	} {
		_, readErr := execute(tt.as, payment.ActivityGetBatch, "june")
		_, listErr := execute(tt.as, payment.ActivityListBatchLines, payment.BatchLineFilter{Name: "june"})
		if tt.reads {
			require.NoError(t, readErr, name)
			require.NoError(t, listErr, name)
		} else {
			requireRefusal(t, readErr, payment.ErrNotAuthorized)
			requireRefusal(t, listErr, payment.ErrNotAuthorized)
		}
		_, actErr := execute(tt.as, payment.ActivityControlBatch, pause)
		if tt.acts {
			require.NoError(t, actErr, name)
		} else {
			requireRefusal(t, actErr, payment.ErrNotAuthorized)
		}
	}
	batch, err = execute(&operator, payment.ActivityControlBatch, payment.BatchChange{
		Name: "june", Action: payment.BatchCancel, By: "another operator", Reason: "incident 4711",
	})
	require.NoError(t, err)
	require.Equal(t, "jane", batch.By, "the caller, and not who he says that he is")
}
