package httpclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/processor"
)

// The outage of these tests, in virtual time: 100 callers make one charge after the other, each under its own key, before
// a processor goes down, while it is, and after.
const (
	outageCallers = 100
	outageBefore  = 30 * time.Second
	outageLength  = 60 * time.Second
	outageAfter   = 30 * time.Second
	// outagePause is between two charges of a caller, outageLatency what the processor needs for one.
	outagePause   = 5 * time.Second
	outageLatency = 50 * time.Millisecond
)

// ledger is a processor that charges once for each key and repeats its answer after that.
type ledger struct {
	began time.Time
	fails func(l *ledger, w http.ResponseWriter, key, body string)

	mu       sync.Mutex
	charges  map[string]string // what was charged, by idempotency key
	executed map[string]int
	healthy  int // requests before the outage
	during   int // what reached the processor in the outage: requests, and connections that it refused
	again    int // requests among them under a key that had come before
	came     map[string]bool
	repeats  int
	mixed    int // keys that came with another payload
}

func (l *ledger) down() bool {
	since := time.Since(l.began)
	return since >= outageBefore && since < outageBefore+outageLength
}

func (l *ledger) book(key, body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	booked, ok := l.charges[key]
	switch {
	case !ok:
		l.charges[key] = body
		l.executed[key]++
	case booked != body:
		l.mixed++
	default:
		l.repeats++
	}
}

func (l *ledger) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	key, down := r.Header.Get("Idempotency-Key"), l.down()
	l.mu.Lock()
	switch {
	case down:
		l.during++
		if l.came[key] {
			l.again++
		}
	case time.Since(l.began) < outageBefore:
		l.healthy++
	}
	l.came[key] = true
	l.mu.Unlock()
	<-time.After(outageLatency)
	if down {
		l.fails(l, w, key, string(body))
		return
	}
	l.book(key, string(body))
	_, _ = fmt.Fprintf(w, `{"key":%q}`, key)
}

// refuse counts a connection that is refused.
func (l *ledger) refuse() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.during++
	return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// report is what a caller was told about one charge, and when.
type report struct {
	key string
	err *processor.Error
	at  time.Duration
}

// charges is one caller: charges until the time is up.
func charges(t *testing.T, c *Client, caller int, began time.Time) (reports []report) {
	t.Helper()
	<-time.After(outagePause * time.Duration(caller) / outageCallers)
	for n := 0; time.Since(began) < outageBefore+outageLength+outageAfter; n++ {
		call := charge()
		call.Key = fmt.Sprintf("key-%d-%d", caller, n)
		call.Body = fmt.Appendf(nil, `{"caller":%d,"n":%d}`, caller, n)
		call.Decode = func(body []byte) error {
			var answer struct{ Key string }
			if err := json.Unmarshal(body, &answer); err != nil {
				return err
			}
			if answer.Key != call.Key {
				return errors.New("the answer is to another charge")
			}
			return nil
		}
		_, err := c.Do(t.Context(), call)
		var e *processor.Error
		if err != nil {
			require.ErrorAs(t, err, &e)
		}
		reports = append(reports, report{key: call.Key, err: e, at: time.Since(began)})
		<-time.After(outagePause)
	}
	return reports
}

func TestAnOutageIsNeitherMultipliedNorPaidForTwice(t *testing.T) {
	for name, tc := range map[string]struct {
		refused bool
		fails   func(l *ledger, w http.ResponseWriter, key, body string)
	}{
		// The connections that were open when it went down end unanswered.
		"connections are refused": {refused: true, fails: func(*ledger, http.ResponseWriter, string, string) { panic(http.ErrAbortHandler) }},
		"503":                     {refused: false, fails: func(_ *ledger, w http.ResponseWriter, _, _ string) { w.WriteHeader(http.StatusServiceUnavailable) }},
		"answers are lost after the charge": {refused: false, fails: func(l *ledger, _ http.ResponseWriter, key, body string) {
			l.book(key, body)
			panic(http.ErrAbortHandler)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{began: time.Now(), fails: tc.fails, charges: map[string]string{}, executed: map[string]int{}, came: map[string]bool{}}
				retry := outageRetry(t)
				breaker, err := breaker.New(breaker.Default)
				require.NoError(t, err)
				c := newClient(t, "http://localhost", within(20*time.Second), func(o *Options) {
					o.Retry, o.Breaker, o.MaxInFlight = retry, breaker, 100
					o.Limiter = ratelimit.New(0, 10, 2*time.Second)
				})
				pipeServer(t, l.serve)(c)
				if dial := c.transport.DialContext; tc.refused {
					c.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
						if l.down() {
							return nil, l.refuse()
						}
						return dial(ctx, network, address)
					}
				}
				var mu sync.Mutex
				var reports []report
				var all sync.WaitGroup
				for i := range outageCallers {
					all.Go(func() {
						mine := charges(t, c, i, l.began)
						mu.Lock()
						defer mu.Unlock()
						reports = append(reports, mine...)
					})
				}
				all.Wait()
				requireWithinBudget(t, l)
				requireRecovery(t, reports)
				requireLedger(t, l, reports)
			})
		})
	}
}

// outageRetry is DefaultRetry, with a jitter that can be repeated.
func outageRetry(t *testing.T) *retry.Policy {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	policy := retry.Default()
	policy.Random = func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return random.Float64()
	}
	return policy
}

// What the parts allow to reach the processor in the outage:
//
//   - The breaker opens when FailureRatio of the calls in its window have failed. The successes of the healthy time leave
//     the window as the failures enter it, at the same rate of calls: after FailureRatio × Window, so after as many first
//     attempts as came in that share of a window before. It judges at least MinCalls.
//   - Until then the budget lets through retries: in any ten seconds its share of the calls in them, and its floor.
//   - From then on there are the probes, once for each open interval.
func requireWithinBudget(t *testing.T, l *ledger) {
	t.Helper()
	const share, floor, budgetSeconds = 0.2, 10, 10 // the budget of retry.Default
	perSecond := float64(l.healthy) / outageBefore.Seconds()
	window := perSecond * breaker.Default.Window.Seconds()
	trip := max(breaker.Default.FailureRatio*window, float64(breaker.Default.MinCalls))
	untilOpen := breaker.Default.FailureRatio * breaker.Default.Window.Seconds()
	retries := (share*perSecond*budgetSeconds + floor) * max(1, untilOpen/budgetSeconds)
	probes := float64(breaker.Default.Probes) * (outageLength.Seconds() - untilOpen) / breaker.Default.OpenFor.Seconds()
	allowed := trip + retries + probes
	t.Logf("%d requests in %s of health; in %s of outage %d sends, %.2f of the %.0f that are allowed: %.0f until the breaker opens, %.0f retries, %.0f probes; %d requests came again",
		l.healthy, outageBefore, outageLength, l.during, float64(l.during)/allowed, allowed, trip, retries, probes, l.again)
	require.LessOrEqual(t, float64(l.during), 1.2*allowed)
	// More retries open the breaker sooner, so that the sum says little of them. A probe may be one.
	require.LessOrEqual(t, float64(l.again), 1.2*(retries+probes))
}

// The worst is a probe that fails just before the end: then the breaker is open for once more.
func requireRecovery(t *testing.T, reports []report) {
	t.Helper()
	end := outageBefore + outageLength
	first, failed := time.Hour, time.Duration(0)
	for _, r := range reports {
		if r.err == nil && r.at >= end {
			first = min(first, r.at-end)
		}
		if r.err != nil {
			failed = max(failed, r.at-end)
		}
	}
	t.Logf("first success %s after the end, last failure %s after it", first, failed)
	// A caller comes at least every tenth of a second, and the probe takes its time.
	require.LessOrEqual(t, first, breaker.Default.OpenFor+outageLatency+100*time.Millisecond)
}

// What the callers were told is what the ledger says.
func requireLedger(t *testing.T, l *ledger, reports []report) {
	t.Helper()
	told := map[processor.Certainty]int{}
	executedOf := map[processor.Certainty]int{}
	seen := map[string]bool{}
	for _, r := range reports {
		require.False(t, seen[r.key], "%s was reported twice", r.key)
		seen[r.key] = true
		certainty := processor.Answered
		if r.err != nil {
			certainty = r.err.Certainty
		}
		told[certainty]++
		executedOf[certainty] += l.executed[r.key]
		switch certainty {
		case processor.Answered:
			require.Equal(t, 1, l.executed[r.key], "%s is reported as charged", r.key)
		case processor.NotExecuted:
			require.Zero(t, l.executed[r.key], "%s is reported as not executed: %v", r.key, r.err)
		case processor.Ambiguous:
			require.LessOrEqual(t, l.executed[r.key], 1)
		}
	}
	t.Logf("%d charges reported: %v, of which executed: %v; the processor answered %d repeats", len(reports), told, executedOf, l.repeats)
	require.Len(t, reports, len(seen))
	for key, n := range l.executed {
		require.Equal(t, 1, n, key)
		require.True(t, seen[key], "%s was charged and never reported", key)
	}
	require.Zero(t, l.mixed, "payloads under a key of another charge")
}
