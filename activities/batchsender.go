package activities

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"go.temporal.io/sdk/log"
	"golang.org/x/time/rate"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// batchStore is what a batchSender uses of a [store.Store].
type batchStore interface {
	Batch(ctx context.Context, name string) (payment.Batch, error)
	ClaimBatchLines(ctx context.Context, name string, after int64, limit int) (payment.Batch, []store.OpenLine, error)
	OpenBatchLines(ctx context.Context, name string, after int64, limit int) ([]store.OpenLine, error)
	MarkBatchLinesResponded(ctx context.Context, name string, lines []int64) error
	RespondedBatchLines(ctx context.Context, name string, after int64, limit int) ([]store.RespondedLine, error)
	BatchRequests(ctx context.Context, name string, lines []int64) ([]payment.BatchLine, error)
	BatchSweptAt(ctx context.Context, name string) (time.Time, error)
	MarkBatchSwept(ctx context.Context, name string) error
	BatchLineStatuses(ctx context.Context, name string, lines []int64) (map[int64]payment.Status, error)
	EndBatchLines(ctx context.Context, name string, ends []store.LineEnd) (map[payment.Status]int64, error)
	FinishBatch(ctx context.Context, name string) (payment.Batch, error)
}

// BatchHeartbeat is what an execution of SendBatchLines reports while it runs. Another one does not need it: everything is in the store.
type BatchHeartbeat struct {
	// LastLine is the last line that was started, InFlight how many lines are in flight.
	LastLine int64 `json:"last_line"`
	InFlight int   `json:"in_flight"`
	// Ended is how many lines have ended in this execution.
	Ended int64 `json:"ended"`
}

const (
	// firstTick and longestTick bound the pauses between two looks at the lines in flight. A pause grows while nothing happens.
	firstTick   = 50 * time.Millisecond
	longestTick = 250 * time.Millisecond
	// settingsTick is how often the state and the rate of the batch are read while no line can be started.
	settingsTick = time.Second
	// patience is how long a line stays in flight whose processor has responded without an outcome: it is pending or unknown. After that, its
	// own workflow waits for the outcome, and no longer the batch.
	patience = 3 * time.Second
	// firstDoubt is after what time a workflow that has not begun its payment is asked whether it was refused. The time doubles with each.
	firstDoubt = 500 * time.Millisecond
	// startRetry is the pause after a start that failed.
	startRetry = time.Second
	// openPage is how many open lines are read at once, and how many ends are persisted at once.
	openPage = 500
	// respondedPage is how many lines are read at once whose processor has responded without an outcome. There may be millions, such as direct
	// debits that take days. So they are read once in sweepEvery while other lines wait.
	respondedPage = 5000
	sweepEvery    = 10 * time.Minute
	// starts is how many workflows are started at the same time.
	starts = 32

	keyOfAnother = string(payment.ErrIdempotencyMismatch) + ": the idempotency key was used for a different request"
)

// batchSender starts lines of a batch and waits for their outcomes, in one execution of SendBatchLines. It learns of outcomes from the
// store, which every workflow writes before it ends.
type batchSender struct {
	name      string
	store     batchStore
	workflows BatchWorkflows
	ended     func(payment.Status, int64)
	stopping  <-chan struct{}
	heartbeat func(BatchHeartbeat)
	logger    log.Logger

	batch    payment.Batch
	inFlight map[int64]*sentLine
	claimed  int64 // the last line that was claimed
	limiter  *rate.Limiter
	total    int64
	warned   bool
}

// sentLine is a line in flight.
type sentLine struct {
	line payment.BatchLine
	// starting reports that a start is under way. startAt is when the next one is due; zero: none is.
	starting bool
	startAt  time.Time
	// respondedAt is when the processor was first seen to have responded without an outcome.
	respondedAt time.Time
	// doubtAt is when to ask whether the workflow was refused, and doubt the pause until the next time.
	doubtAt time.Time
	doubt   time.Duration
	// refusal is why nothing will come of the line; empty: it was not refused.
	refusal string
}

// started is the result of a start, or of a question about a refusal.
type started struct {
	line    int64
	refusal *payment.Refusal
	asked   bool
	err     error
}

// run sends lines for some time. After an error, nothing is lost: the next run resumes.
func (s *batchSender) run(ctx context.Context, period time.Duration) (payment.Batch, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var err error
	if s.batch, err = s.store.Batch(ctx, s.name); err != nil || s.batch.Finished() || s.batch.State == payment.BatchReceiving {
		return s.batch, err
	}
	s.inFlight, s.limiter = map[int64]*sentLine{}, rate.NewLimiter(rate.Inf, 1)
	s.applySettings()
	s.limiter.AllowN(time.Now(), s.limiter.Burst()) // executions that follow each other must not each begin with a burst
	if err := s.resume(ctx); err != nil {
		return s.batch, err
	}
	if r := s.batch.PerSecond; r > 0 { // until a whole number of lines was due: what is due of the next one is lost
		period = time.Duration(math.Ceil(r*period.Seconds())/r*float64(time.Second)) + 2*longestTick
	}
	until, settingsAt := time.Now().Add(period), time.Now().Add(settingsTick)
	results, slots := make(chan started, payment.MaxBatchInFlight+starts), make(chan struct{}, starts)
	tick, waits := firstTick, true
	for {
		now := time.Now()
		if now.After(settingsAt) {
			if s.batch, err = s.store.Batch(ctx, s.name); err != nil {
				return s.batch, err
			}
			s.applySettings()
			settingsAt = now.Add(settingsTick)
		}
		ending := now.After(until) || isClosed(s.stopping)
		if !ending && s.batch.State == payment.BatchRunning {
			if waits, err = s.claim(ctx, now); err != nil {
				return s.batch, err
			}
		}
		s.start(ctx, now, results, slots)
		progressed, err := s.look(ctx, now, results, slots)
		if err != nil {
			return s.batch, err
		}
		s.heartbeat(BatchHeartbeat{LastLine: s.claimed, InFlight: len(s.inFlight), Ended: s.total})
		if ending || len(s.inFlight) == 0 && (!waits || s.batch.State != payment.BatchRunning) {
			return s.store.FinishBatch(ctx, s.name)
		}
		if tick = min(2*tick, longestTick); progressed {
			tick = firstTick
		}
		if err := s.pause(ctx, tick, results); err != nil {
			return s.batch, err
		}
	}
}

// pause waits until the next look, or until a start has returned.
func (s *batchSender) pause(ctx context.Context, d time.Duration, results chan started) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.stopping:
			return nil
		case <-timer.C:
			return nil
		case r := <-results:
			s.handle(r, time.Now())
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// applySettings makes the limiter that of the batch's rate.
func (s *batchSender) applySettings() {
	limit, burst := rate.Inf, 1
	if r := s.batch.PerSecond; r > 0 {
		limit, burst = rate.Limit(r), max(1, int(r*longestTick.Seconds()*2))
	}
	if s.limiter.Limit() != limit {
		s.limiter.SetLimit(limit)
		s.limiter.SetBurst(burst)
	}
}

func (s *batchSender) add(l payment.BatchLine) {
	s.inFlight[l.Line] = &sentLine{line: l, startAt: time.Now(), doubt: firstDoubt}
}

// claim begins as many lines as may be in flight and the rate allows. No more than can be started at the same time are claimed and not started:
// these cannot be paused any more. waits reports whether there may be more.
func (s *batchSender) claim(ctx context.Context, now time.Time) (waits bool, err error) {
	free := starts
	for _, l := range s.inFlight {
		if !l.startAt.IsZero() {
			free--
		}
	}
	n := min(s.batch.InFlight-len(s.inFlight), free)
	if s.limiter.Limit() != rate.Inf {
		n = min(n, int(s.limiter.TokensAt(now)))
	}
	if n <= 0 {
		return true, nil
	}
	var lines []store.OpenLine
	if s.batch, lines, err = s.store.ClaimBatchLines(ctx, s.name, s.claimed, n); err != nil {
		return true, err
	}
	s.applySettings()
	s.limiter.AllowN(now, len(lines))
	for _, l := range lines {
		s.claimed = max(s.claimed, l.Line)
		s.add(l.BatchLine)
	}
	return s.batch.Waiting > 0, nil
}

// start starts the workflows of the lines that are due.
func (s *batchSender) start(ctx context.Context, now time.Time, results chan<- started, slots chan struct{}) {
	for _, number := range slices.Sorted(maps.Keys(s.inFlight)) {
		l := s.inFlight[number]
		if l.starting || l.startAt.IsZero() || l.startAt.After(now) {
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			return
		}
		l.starting = true
		go func() {
			defer func() { <-slots }()
			var err error
			if l.line.Refund != nil {
				err = s.workflows.Refund(ctx, *l.line.Refund)
			} else {
				err = s.workflows.Charge(ctx, *l.line.Charge)
			}
			results <- started{line: number, err: err}
		}()
	}
}

// handle takes over the result of a start or of a question.
func (s *batchSender) handle(r started, now time.Time) {
	l, known := s.inFlight[r.line]
	if !known {
		return
	}
	l.starting = false
	var refusal *payment.Refusal
	switch {
	case r.refusal != nil:
		l.refuse(r.refusal.Error())
	case r.asked: // not refused: it may not have begun yet, or was terminated
		l.startAt = now
	case errors.As(r.err, &refusal):
		l.refuse(refusal.Error())
	case r.err != nil:
		l.startAt = now.Add(startRetry)
		if !s.warned { // once per execution: all lines have the same trouble, such as a Temporal that does not respond
			s.logger.Warn("lines of a batch are not started yet", "batch", s.name, "line", r.line, "error", r.err)
			s.warned = true
		}
	default:
		l.startAt, l.doubtAt = time.Time{}, now.Add(l.doubt)
	}
}

// refuse has the line end as refused with the next look.
func (l *sentLine) refuse(why string) {
	l.startAt, l.doubtAt = time.Time{}, time.Time{}
	l.refusal = cmp.Or(why, "refused")
}

// look reads what has become of the lines in flight, and persists how they have ended. progressed reports whether one has left.
func (s *batchSender) look(ctx context.Context, now time.Time, results chan started, slots chan struct{}) (progressed bool, err error) {
	for len(results) > 0 {
		s.handle(<-results, now)
	}
	statuses, err := s.store.BatchLineStatuses(ctx, s.name, slices.Sorted(maps.Keys(s.inFlight)))
	if err != nil {
		return false, err
	}
	var ends []store.LineEnd
	var left, responded []int64
	for _, number := range slices.Sorted(maps.Keys(s.inFlight)) {
		l, status := s.inFlight[number], statuses[number]
		switch {
		case status == payment.LineRefused:
			ends, left = append(ends, store.LineEnd{Line: number, Status: status, Refusal: keyOfAnother}), append(left, number)
		case l.refusal != "":
			ends, left = append(ends, store.LineEnd{Line: number, Status: payment.LineRefused, Refusal: l.refusal}), append(left, number)
		case status.EndsLine():
			ends, left = append(ends, store.LineEnd{Line: number, Status: status}), append(left, number)
		case status == "":
			s.ask(ctx, now, l, results, slots)
		case status == payment.Processing, !l.startAt.IsZero(): // it runs, or is still to be started again
		case l.respondedAt.IsZero():
			l.respondedAt = now
		case now.Sub(l.respondedAt) >= patience:
			responded, left = append(responded, number), append(left, number)
		}
	}
	if err := s.store.MarkBatchLinesResponded(ctx, s.name, responded); err != nil {
		return false, err
	}
	if err := s.end(ctx, ends); err != nil {
		return false, err
	}
	for _, number := range left {
		delete(s.inFlight, number)
	}
	return len(left) > 0, nil
}

// ask asks the workflow of a line that has not begun its payment whether it was refused, once the time for it has come.
func (s *batchSender) ask(ctx context.Context, now time.Time, l *sentLine, results chan<- started, slots chan struct{}) {
	if l.starting || l.doubtAt.IsZero() || l.doubtAt.After(now) {
		return
	}
	select {
	case slots <- struct{}{}:
	default:
		return
	}
	l.starting, l.doubtAt, l.doubt = true, time.Time{}, 2*l.doubt
	number, id := l.line.Line, payment.ChargeWorkflowID(l.line.MerchantID(), l.line.IdempotencyKey())
	if l.line.Refund != nil {
		id = payment.RefundWorkflowID(l.line.MerchantID(), l.line.IdempotencyKey())
	}
	go func() {
		defer func() { <-slots }()
		refusal, err := s.workflows.Refusal(ctx, id)
		results <- started{line: number, refusal: refusal, asked: true, err: err}
	}()
}

// end persists how lines have ended, some at a time.
func (s *batchSender) end(ctx context.Context, ends []store.LineEnd) error {
	for some := range slices.Chunk(ends, openPage) {
		counts, err := s.store.EndBatchLines(ctx, s.name, some)
		if err != nil {
			return err
		}
		for status, n := range counts {
			s.total += n
			if s.ended != nil {
				s.ended(status, n)
			}
		}
	}
	return nil
}
