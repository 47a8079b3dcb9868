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

// The scenario, in virtual time: 100 callers each send one charge after another, every charge under its own key, before, during
// and after an outage of the processor.
const (
	outageCallers = 100
	outageBefore  = 30 * time.Second
	outageLength  = 60 * time.Second
	outageAfter   = 30 * time.Second
	// outagePause is the pause between two charges of a caller; outageLatency is the response time of the processor.
	outagePause   = 5 * time.Second
	outageLatency = 50 * time.Millisecond
)

// ledger is a processor that charges once per key and repeats its response to later requests with the key.
type ledger struct {
	began time.Time
	fails func(l *ledger, w http.ResponseWriter, key, body string)

	mu       sync.Mutex
	charges  map[string]string // payload of each charge, by idempotency key
	executed map[string]int
	healthy  int // requests before the outage
	during   int // requests and refused connections during the outage
	again    int // those of during whose key had been received before
	received map[string]bool
	repeats  int // repeated requests for a charge that exists
	mixed    int // requests whose key had been used with another payload
}

func (l *ledger) down() bool {
	since := time.Since(l.began)
	return since >= outageBefore && since < outageBefore+outageLength
}

// charge records a charge, at most once per key.
func (l *ledger) charge(key, body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	charged, ok := l.charges[key]
	switch {
	case !ok:
		l.charges[key] = body
		l.executed[key]++
	case charged != body:
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
		if l.received[key] {
			l.again++
		}
	case time.Since(l.began) < outageBefore:
		l.healthy++
	}
	l.received[key] = true
	l.mu.Unlock()
	<-time.After(outageLatency)
	if down {
		l.fails(l, w, key, string(body))
		return
	}
	l.charge(key, string(body))
	_, _ = fmt.Fprintf(w, `{"key":%q}`, key)
}

// refuse counts a refused connection and returns its error.
func (l *ledger) refuse() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.during++
	return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// report is the outcome of one charge at its caller. err is nil for a success.
type report struct {
	key string
	err *processor.Error
	at  time.Duration
}

// charges runs one caller until the scenario ends.
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
				return errors.New("the response belongs to another charge")
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

func TestOutageCausesNeitherARetryStormNorADoubleCharge(t *testing.T) {
	for name, tc := range map[string]struct {
		refused bool
		fails   func(l *ledger, w http.ResponseWriter, key, body string)
	}{
		// Connections that were open when the outage began end without a response.
		"connections are refused": {refused: true,
			fails: func(*ledger, http.ResponseWriter, string, string) { panic(http.ErrAbortHandler) }},
		"503": {refused: false,
			fails: func(_ *ledger, w http.ResponseWriter, _, _ string) { w.WriteHeader(http.StatusServiceUnavailable) }},
		"no response after the charge": {refused: false, fails: func(l *ledger, _ http.ResponseWriter, key, body string) {
			l.charge(key, body)
			panic(http.ErrAbortHandler)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{began: time.Now(), fails: tc.fails, charges: map[string]string{},
					executed: map[string]int{}, received: map[string]bool{}}
				retry := outageRetry(t)
				breaker, err := breaker.New(breaker.Default)
				require.NoError(t, err)
				c := newClient(t, "http://localhost", within(20*time.Second), func(o *Options) {
					o.Retry, o.Breaker, o.MaxInFlight = retry, breaker, 100
					o.Limiter = ratelimit.New(0, 10, 2*time.Second)
				})
				pipeServer(t, l.serve)(c)
				if dial := c.connections.settings.DialContext; tc.refused {
					c.connections.settings.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
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

// outageRetry returns retry.Default with a logged random seed, so that a failure can be reproduced.
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

// requireWithinBudget requires that the requests during the outage are at most what breaker and retry budget allow:
//
//   - First attempts until the breaker opens. It opens when FailureRatio of the calls in its window have failed. At a constant
//     rate of calls, failures replace the earlier successes in the window, which takes FailureRatio × Window. The breaker needs
//     at least MinCalls.
//   - Retries until then: in any ten seconds, the budget allows its share of the calls in that time plus its floor.
//   - Probes after that, once per open interval.
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
	t.Logf("%d requests in the %s before the outage, %d in the %s of the outage, %d of them with a repeated key",
		l.healthy, outageBefore, l.during, outageLength, l.again)
	t.Logf("that is %.2f of the allowed %.0f: %.0f until the breaker opens, %.0f retries, %.0f probes",
		float64(l.during)/allowed, allowed, trip, retries, probes)
	require.LessOrEqual(t, float64(l.during), 1.2*allowed)
	// Checked separately, because more retries open the breaker sooner, which hides them in the sum. A probe may be a retry.
	require.LessOrEqual(t, float64(l.again), 1.2*(retries+probes))
}

// requireRecovery requires a success soon after the outage. In the worst case, a probe fails just before the end, and the
// breaker stays open for another interval.
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
	// A caller sends at least every 100 ms, and the probe takes outageLatency.
	require.LessOrEqual(t, first, breaker.Default.OpenFor+outageLatency+100*time.Millisecond)
}

// requireLedger requires that the outcomes at the callers agree with the ledger.
func requireLedger(t *testing.T, l *ledger, reports []report) {
	t.Helper()
	outcomes := map[processor.Certainty]int{}
	executedOf := map[processor.Certainty]int{}
	seen := map[string]bool{}
	for _, r := range reports {
		require.False(t, seen[r.key], "%s was reported twice", r.key)
		seen[r.key] = true
		certainty := processor.Answered
		if r.err != nil {
			certainty = r.err.Certainty
		}
		outcomes[certainty]++
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
	t.Logf("%d outcomes: %v, of which executed: %v; %d repeated requests", len(reports), outcomes, executedOf, l.repeats)
	require.Len(t, reports, len(seen))
	for key, n := range l.executed {
		require.Equal(t, 1, n, key)
		require.True(t, seen[key], "%s was charged and never reported", key)
	}
	require.Zero(t, l.mixed, "requests with the key of another charge")
}
