package ratelimit

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/florinpay/florin/processor"
)

// account is a processor under load, in virtual time: callers charge one payment after another through a Limiter. Each pauses before
// its next payment, and a payment that is refused waits for the Retry-After, a minute at most.
type account struct {
	perSecond  float64 // the configured rate
	callers    int
	accepts    func(since time.Duration) bool // called by one caller at a time
	retryAfter time.Duration
	length     time.Duration
}

const (
	accountLatency = 20 * time.Millisecond
	accountPause   = 300 * time.Millisecond
	accountMaxWait = 2 * time.Second
)

// load is what arrived at the processor, by second.
type load struct {
	accepted, refused []int
}

// sum returns the totals from a second on.
func (l load) sum(from int) (accepted, refused int) {
	for i := from; i < len(l.accepted); i++ {
		accepted += l.accepted[i]
		refused += l.refused[i]
	}
	return accepted, refused
}

// run must be called in a synctest bubble.
func (a account) run(t *testing.T) (load, *Limiter) {
	t.Helper()
	limiter := New(a.perSecond, 10, accountMaxWait)
	seconds := int(a.length / time.Second)
	l := load{accepted: make([]int, seconds), refused: make([]int, seconds)}
	began := time.Now()
	var mu sync.Mutex
	attempt := func() bool {
		<-time.After(accountLatency)
		mu.Lock()
		defer mu.Unlock()
		since := time.Since(began)
		ok := a.accepts(since)
		if second := int(since / time.Second); second >= seconds {
			return ok
		} else if ok {
			l.accepted[second]++
		} else {
			l.refused[second]++
		}
		return ok
	}
	charge := func() {
		for time.Since(began) < a.length {
			if err := limiter.Wait(t.Context()); err != nil {
				var refused *processor.Error
				if !errors.As(err, &refused) {
					t.Errorf("Wait: %v", err)
					return
				}
				<-time.After(max(refused.RetryAfter, time.Second))
				continue
			}
			if attempt() {
				limiter.Accepted()
				return
			}
			limiter.Refused(a.retryAfter)
			<-time.After(min(max(a.retryAfter, time.Second), time.Minute))
		}
	}
	var all sync.WaitGroup
	for i := range a.callers {
		all.Go(func() {
			<-time.After(time.Duration(i) * accountPause / time.Duration(a.callers))
			for time.Since(began) < a.length {
				charge()
				<-time.After(accountPause)
			}
		})
	}
	all.Wait()
	return l, limiter
}

// refuses refuses a share of the calls at random.
func refuses(share float64) func(time.Duration) bool {
	random := rand.New(rand.NewPCG(7, 7))
	return func(time.Duration) bool { return random.Float64() >= share }
}

// bucket enforces a limit with a token bucket.
func bucket(perSecond float64) func(time.Duration) bool {
	tokens := rate.NewLimiter(rate.Limit(perSecond), int(perSecond))
	return func(time.Duration) bool { return tokens.Allow() }
}

// eachSecond enforces a limit by counting the calls in each second.
func eachSecond(limit int) func(time.Duration) bool {
	second, used := time.Duration(-1), 0
	return func(since time.Duration) bool {
		if now := since.Truncate(time.Second); now != second {
			second, used = now, 0
		}
		used++
		return used <= limit
	}
}

// anySecond enforces a limit by counting the calls accepted in the last second.
func anySecond(limit int) func(time.Duration) bool {
	var accepted []time.Duration
	return func(since time.Duration) bool {
		if len(accepted) >= limit && since-accepted[len(accepted)-limit] < time.Second {
			return false
		}
		accepted = append(accepted, since)
		return true
	}
}

func TestFewRefusalsAtRandomCostLittleThroughput(t *testing.T) {
	for _, tc := range []struct {
		name      string
		perSecond float64
		callers   int
		share     float64
		atLeast   float64 // of the throughput without refusals
	}{
		{name: "2 % of 50 a second", callers: 16, share: 0.02, atLeast: 0.85},
		{name: "2 % of 50 a second, with a configured rate of 60", perSecond: 60, callers: 16, share: 0.02, atLeast: 0.85},
		{name: "2 % of 6 a second", callers: 2, share: 0.02, atLeast: 0.85},
		{name: "2 % of 300 a second", callers: 100, share: 0.02, atLeast: 0.8},
		{name: "5 % of 50 a second", callers: 16, share: 0.05, atLeast: 0.8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := account{perSecond: tc.perSecond, callers: tc.callers, accepts: refuses(0), retryAfter: time.Second, length: 2 * time.Minute}
				without, _ := a.run(t)
				a.accepts = refuses(tc.share)
				with, limiter := a.run(t)
				base, _ := without.sum(0)
				accepted, refused := with.sum(0)
				t.Logf("%d of %d accepted, %d refused, rate %.1f", accepted, base, refused, limiter.State().CutTo)
				require.GreaterOrEqual(t, float64(accepted), tc.atLeast*float64(base))
			})
		})
	}
}

func TestLimitThatTheProcessorEnforcesIsUsedAndSeldomExceeded(t *testing.T) {
	for _, tc := range []struct {
		name      string
		perSecond float64
		callers   int // each makes three calls a second
		limit     float64
		accepts   func(time.Duration) bool
		used      float64 // of the limit, at least; 0: 0.95
	}{
		{name: "a third of the demand", callers: 16, limit: 15, accepts: bucket(15)},
		{name: "a little less than the demand", callers: 16, limit: 40, accepts: bucket(40)},
		{name: "a tenth of the demand", callers: 60, limit: 20, accepts: bucket(20)},
		{name: "a ninth of a large demand", callers: 300, limit: 100, accepts: bucket(100)},
		{name: "below the configured rate", perSecond: 30, callers: 16, limit: 15, accepts: bucket(15)},
		{name: "counted in any second", callers: 16, limit: 13, accepts: anySecond(13), used: 0.9}, // one call less is a lot
		{name: "counted in any second, a large demand", callers: 300, limit: 100, accepts: anySecond(100)},
		{name: "counted in seconds", callers: 60, limit: 20, accepts: eachSecond(20)},
		{name: "counted in seconds, a large demand", callers: 300, limit: 100, accepts: eachSecond(100)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := account{perSecond: tc.perSecond, callers: tc.callers, accepts: tc.accepts, retryAfter: time.Second, length: time.Minute}
				l, limiter := a.run(t)
				accepted, refused := l.sum(0)
				t.Logf("%.1f of %.0f accepted in a second, %.1f refused; rate %.1f", float64(accepted)/60, tc.limit, float64(refused)/60,
					limiter.State().CutTo)
				require.LessOrEqual(t, float64(accepted+refused), 1.3*60*tc.limit, "all attempts, those until the limit is known included")
				const known = 20
				accepted, refused = l.sum(known)
				require.GreaterOrEqual(t, float64(accepted), cmp.Or(tc.used, 0.95)*(60-known)*tc.limit)
				require.LessOrEqual(t, float64(refused), 0.08*float64(accepted+refused))
			})
		})
	}
}

func TestEmptyAccountGetsHardlyAnyCalls(t *testing.T) {
	for _, tc := range []struct {
		name       string
		retryAfter time.Duration
		// atMost is half of the calls of one second, after which all calls are held for the first time, and one more for each hold in
		// ten minutes.
		atMost int
	}{
		{name: "without Retry-After", retryAfter: 0, atMost: 100},
		{name: "a second", retryAfter: time.Second, atMost: 100},
		{name: "a minute", retryAfter: time.Minute, atMost: 85},
		{name: "a month", retryAfter: 30 * 24 * time.Hour, atMost: 80},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const emptied = 10 // second
				a := account{callers: 50, retryAfter: tc.retryAfter, length: 10*time.Minute + emptied*time.Second}
				a.accepts = func(since time.Duration) bool { return since < emptied*time.Second }
				l, _ := a.run(t)
				_, refused := l.sum(emptied)
				t.Logf("%d refused", refused)
				require.LessOrEqual(t, refused, tc.atMost)
			})
		})
	}
}

func TestCallsResumeSoonAfterTheAccountIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const emptied, filled = 20, 80 // seconds
		a := account{callers: 16, retryAfter: time.Second, length: 3 * time.Minute}
		a.accepts = func(since time.Duration) bool { return since < emptied*time.Second || since >= filled*time.Second }
		l, _ := a.run(t)
		before := l.accepted[emptied-1]
		resumed := filled + int(maxPause/time.Second) + 15
		require.GreaterOrEqual(t, l.accepted[resumed], before*9/10, "%v", l.accepted)
		for second := filled; second < resumed; second++ {
			require.LessOrEqual(t, l.accepted[second], 2*before, "the calls that waited are not all sent at once")
		}
	})
}

func TestRefusalOfEverySecondCallNeitherStopsAllCallsNorIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		a := account{callers: 16, retryAfter: time.Second, length: 2 * time.Minute}
		a.accepts = func(time.Duration) bool { n++; return n%2 == 0 }
		l, _ := a.run(t)
		accepted, refused := l.sum(60)
		t.Logf("%d accepted, %d refused", accepted, refused)
		require.GreaterOrEqual(t, accepted, 30)
		require.LessOrEqual(t, accepted+refused, 60*5)
	})
}
