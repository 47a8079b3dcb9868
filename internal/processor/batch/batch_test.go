package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

const wait = 5 * time.Millisecond

// fake is an adapter that needs a second for each request, and declines the key "declined".
type fake struct {
	processor.Batcher // panics if it is called

	mu       sync.Mutex
	single   []string
	batches  [][]string
	canceled [][]string      // batches
	at       []time.Duration // of the batches
	attempts map[string]int
	began    time.Time
	respond  func([]processor.ChargeCall) []processor.BatchItem
}

func (f *fake) Charge(ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
	f.mu.Lock()
	f.single = append(f.single, call.Key)
	f.mu.Unlock()
	select {
	case <-time.After(time.Second):
		return processor.Result{ID: "single " + call.Key}, nil
	case <-ctx.Done():
		return processor.Result{}, &processor.Error{Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Message: "single"}
	}
}

func (f *fake) ChargeBatch(ctx context.Context, calls []processor.ChargeCall) []processor.BatchItem {
	f.mu.Lock()
	keys := make([]string, len(calls))
	items := make([]processor.BatchItem, len(calls))
	for i, call := range calls {
		keys[i] = call.Key
		f.attempts[call.Key] = retry.Attempt(retry.WithAttemptOf(ctx, call.Key))
		if items[i].Result.ID = call.Key; call.Key == "refused" {
			items[i] = processor.BatchItem{Err: &processor.Error{Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true}}
		}
	}
	f.batches, f.at = append(f.batches, keys), append(f.at, time.Since(f.began))
	f.mu.Unlock()
	if f.respond != nil {
		return f.respond(calls)
	}
	select {
	case <-time.After(time.Second):
		return items
	case <-ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		f.canceled = append(f.canceled, keys)
		return nil
	}
}

// ended returns the batches that were canceled.
func (f *fake) ended() [][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.canceled)
}

// pass waits until the time has passed.
func pass(d time.Duration) { <-time.After(d) }

// rig runs callers at the same time.
type rig struct {
	t *testing.T
	*fake
	p        *Processor
	all      sync.WaitGroup
	mu       sync.Mutex
	outcomes map[string]string
	took     map[string]time.Duration
}

func start(t *testing.T, o Options) *rig {
	f := &fake{attempts: map[string]int{}, began: time.Now()}
	return &rig{t: t, fake: f, p: New(f, o), outcomes: map[string]string{}, took: map[string]time.Duration{}}
}

// charge starts a caller, and returns once it waits.
func (r *rig) charge(ctx context.Context, key string) {
	r.t.Helper()
	r.all.Go(func() {
		began := time.Now()
		result, err := r.p.Charge(ctx, processor.ChargeCall{Key: key})
		text := result.ID
		var e *processor.Error
		if errors.As(err, &e) {
			text = fmt.Sprintf("%s %s %t", e.Certainty, e.Class, e.Retry)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.outcomes[key], r.took[key] = text, time.Since(began)
	})
	synctest.Wait()
}

func (r *rig) end() { r.all.Wait() }

// One charge that the processor cannot read, or a processor without the endpoint, must not let all charges of a request fail.
func TestRefusedRequestIsNoRefusalOfItsCharges(t *testing.T) {
	for name, tt := range map[string]struct {
		err  processor.Error
		want []string // sent alone
	}{
		"refused":       {err: processor.Error{Class: payment.ClassInvalidRequest, Certainty: processor.NotExecuted, HTTPStatus: 400}, want: []string{"1", "2"}},
		"not there":     {err: processor.Error{Class: payment.ClassConfig, Certainty: processor.NotExecuted, HTTPStatus: 404}, want: []string{"1", "2"}},
		"too many":      {err: processor.Error{Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true, HTTPStatus: 429}},
		"not sent":      {err: processor.Error{Class: payment.ClassInvalidRequest, Certainty: processor.NotExecuted}},
		"maybe charged": {err: processor.Error{Class: payment.ClassIdempotencyMismatch, Certainty: processor.Ambiguous, HTTPStatus: 422}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, Options{MaxItems: 2, Wait: wait})
				r.respond = func(calls []processor.ChargeCall) []processor.BatchItem {
					return []processor.BatchItem{{Err: &tt.err}, {Err: &tt.err}}
				}
				r.charge(WithKind(t.Context(), Queued), "1")
				r.charge(WithKind(t.Context(), Queued), "2")
				r.end()
				require.ElementsMatch(t, tt.want, r.single)
				for _, key := range tt.want {
					require.Equal(t, "single "+key, r.outcomes[key])
				}
			})
		})
	}
}

func TestChargesOfABatchAreSentInOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{MaxItems: 100, Wait: wait})
		ctx := WithKind(t.Context(), Queued)
		r.charge(retry.WithAttempt(ctx, 3), "a")
		pass(wait / 2)
		r.charge(ctx, "refused")
		r.charge(t.Context(), "interactive")
		r.charge(ctx, "b")
		r.end()
		require.Equal(t, [][]string{{"a", "refused", "b"}}, r.batches)
		require.Equal(t, []time.Duration{wait}, r.at)
		require.Equal(t, []string{"interactive"}, r.single)
		require.Equal(t, map[string]string{"a": "a", "b": "b", "refused": "not_executed rate_limited true", "interactive": "single interactive"}, r.outcomes)
		require.Equal(t, map[string]int{"a": 3, "b": 1, "refused": 1}, r.attempts)
		require.Equal(t, time.Second, r.took["interactive"], "it waits for no others")
		// The next ones are another batch.
		r.charge(ctx, "c")
		r.charge(ctx, "d")
		r.end()
		require.Equal(t, [][]string{{"a", "refused", "b"}, {"c", "d"}}, r.batches)
	})
}

func TestChargeThatFindsNoOtherIsSentOnItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{MaxItems: 100, Wait: wait})
		r.charge(WithKind(t.Context(), Queued), "a")
		r.end()
		require.Empty(t, r.batches)
		require.Equal(t, map[string]string{"a": "single a"}, r.outcomes)
		require.Equal(t, wait+time.Second, r.took["a"])
		// Its ctx is that of the ordinary call.
		ctx, cancel := context.WithCancel(WithKind(t.Context(), Queued))
		r.charge(ctx, "b")
		pass(2 * wait)
		cancel()
		r.end()
		require.Equal(t, "ambiguous outcome_unknown false", r.outcomes["b"])
	})
}

func TestFullBatchIsSentAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{MaxItems: 2, Wait: time.Hour})
		for _, key := range []string{"a", "b", "c", "d"} {
			r.charge(WithKind(t.Context(), Queued), key)
		}
		r.end()
		require.Equal(t, [][]string{{"a", "b"}, {"c", "d"}}, r.batches)
		require.Equal(t, []time.Duration{0, 0}, r.at)
	})
}

func TestSameKeyIsNotTwiceInARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{MaxItems: 100, Wait: wait})
		for _, key := range []string{"a", "b", "a"} {
			r.charge(WithKind(t.Context(), Queued), key)
		}
		r.end()
		require.Equal(t, [][]string{{"a", "b"}}, r.batches)
		require.Equal(t, []string{"a"}, r.single)
	})
}

func TestCallerWhoseContextEndsLeavesWithoutTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{MaxItems: 100, Wait: wait})
		early, cancelEarly := context.WithCancel(WithKind(t.Context(), Queued))
		late, cancelLate := context.WithCancel(WithKind(t.Context(), Queued))
		r.charge(early, "early") // the first: the request must not depend on its context
		r.charge(late, "late")
		r.charge(WithKind(t.Context(), Queued), "a")
		r.charge(WithKind(t.Context(), Queued), "b")
		cancelEarly()
		synctest.Wait()
		require.Equal(t, map[string]string{"early": "not_executed not_sent true"}, r.outcomes)
		pass(wait)
		synctest.Wait()
		cancelLate()
		r.end()
		require.Equal(t, [][]string{{"late", "a", "b"}}, r.batches)
		require.Equal(t, map[string]string{"early": "not_executed not_sent true", "late": "ambiguous outcome_unknown true", "a": "a", "b": "b"}, r.outcomes)
		require.Equal(t, wait, r.took["late"])
		pass(time.Minute) // the request ends
	})
}

func TestRequestEndsWithItsLastCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{MaxItems: 100, Wait: wait})
		for i, key := range []string{"a", "b", "c"} {
			ctx, cancel := context.WithTimeout(WithKind(t.Context(), Inline), 100*time.Millisecond*time.Duration(i+1))
			defer cancel()
			r.charge(ctx, key)
		}
		r.charge(WithKind(t.Context(), Queued), "queued 1")
		r.charge(WithKind(t.Context(), Queued), "queued 2")
		pass(300*time.Millisecond - time.Nanosecond)
		require.Empty(t, r.ended())
		pass(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, [][]string{{"a", "b", "c"}}, r.ended(), "a charge that is late would be executed after its caller has given up")
		r.end()
		unknown := "ambiguous outcome_unknown true"
		require.Equal(t, map[string]string{"a": unknown, "b": unknown, "c": unknown, "queued 1": "queued 1", "queued 2": "queued 2"}, r.outcomes)
	})
}

func TestBatchThatAllCallersHaveLeftIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{MaxItems: 100, Wait: wait})
		ctx, cancel := context.WithCancel(WithKind(t.Context(), Queued))
		r.charge(ctx, "a")
		r.charge(ctx, "b")
		cancel()
		r.end()
		pass(time.Minute)
		require.Empty(t, r.batches)
		require.Empty(t, r.single)
		require.Equal(t, map[string]string{"a": "not_executed not_sent true", "b": "not_executed not_sent true"}, r.outcomes)
	})
}

func TestChargesOfAnAdapterThatFailsMayBeExecuted(t *testing.T) {
	for name, respond := range map[string]func([]processor.ChargeCall) []processor.BatchItem{
		"panic":    func([]processor.ChargeCall) []processor.BatchItem { panic("broken") },
		"too few":  func([]processor.ChargeCall) []processor.BatchItem { return make([]processor.BatchItem, 1) },
		"no items": func([]processor.ChargeCall) []processor.BatchItem { return nil },
		"too many": func([]processor.ChargeCall) []processor.BatchItem { return make([]processor.BatchItem, 3) },
		"ambiguous": func([]processor.ChargeCall) []processor.BatchItem {
			failed := processor.BatchItem{Err: &processor.Error{Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Retry: true}}
			return []processor.BatchItem{failed, failed}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, Options{MaxItems: 2, Wait: wait})
				r.respond = respond
				r.charge(WithKind(t.Context(), Queued), "a")
				r.charge(WithKind(t.Context(), Queued), "b")
				r.end()
				require.Equal(t, map[string]string{"a": "ambiguous outcome_unknown true", "b": "ambiguous outcome_unknown true"}, r.outcomes)
			})
		})
	}
}

func TestChargeIsSentAtMostOnceWhileCallersComeAndLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{MaxItems: 7, Wait: time.Millisecond})
		for i := range 500 {
			ctx, cancel := context.WithTimeout(WithKind(t.Context(), Queued), time.Duration(i%5)*time.Millisecond+2*time.Second*time.Duration(i%2))
			defer cancel()
			key := fmt.Sprint("k", i)
			r.all.Go(func() {
				pass(time.Duration(i/3) * 100 * time.Microsecond)
				result, err := r.p.Charge(ctx, processor.ChargeCall{Key: key})
				r.mu.Lock()
				defer r.mu.Unlock()
				var e *processor.Error
				if r.outcomes[key] = result.ID; errors.As(err, &e) {
					r.outcomes[key] = string(e.Certainty)
				}
			})
		}
		r.end()
		pass(time.Minute)
		sent := map[string]int{}
		for _, keys := range append(r.batches, r.single) {
			for _, key := range keys {
				sent[key]++
			}
		}
		for _, keys := range r.batches {
			require.LessOrEqual(t, len(keys), 7)
		}
		require.Len(t, r.outcomes, 500)
		for key, outcome := range r.outcomes {
			require.LessOrEqual(t, sent[key], 1, key)
			require.Contains(t, []string{key, "single " + key, "ambiguous", "not_executed"}, outcome)
			if outcome == "not_executed" {
				require.Zero(t, sent[key], key)
			}
			if outcome == key {
				require.Equal(t, 1, sent[key], key)
			}
		}
	})
}
