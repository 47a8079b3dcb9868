package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// gate is an output that can stall. Each write takes as long as takes.
type gate struct {
	sync.Mutex
	stalled chan struct{} // nil: does not stall
	takes   time.Duration
	err     error
	written bytes.Buffer
}

func (g *gate) stall() { g.stalled = make(chan struct{}) }

func (g *gate) resume() { close(g.stalled) }

func (g *gate) Write(p []byte) (int, error) {
	if g.stalled != nil {
		<-g.stalled
	}
	<-time.After(g.takes)
	g.Lock()
	defer g.Unlock()
	if g.err != nil {
		return 0, g.err
	}
	return g.written.Write(p)
}

// attempts returns the attempts of the written records, in the order of the lines.
func (g *gate) attempts(t *testing.T) (all []int) {
	t.Helper()
	g.Lock()
	defer g.Unlock()
	for line := range strings.Lines(g.written.String()) {
		var record struct{ Attempt int }
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		all = append(all, record.Attempt)
	}
	return all
}

func numbered(n int) Record {
	r := charge()
	r.Attempt = n
	return r
}

// took returns how long f took.
func took(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

func TestRecordIsWrittenBeforeWriteReturnsWhileTheOutputKeepsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gate{takes: 900 * time.Millisecond}
		l := New(zapcore.AddSync(out), Options{})
		for n := range 5 {
			require.Equal(t, out.takes, took(func() { l.Write(numbered(n)) }))
			require.Len(t, out.attempts(t), n+1)
		}
	})
}

func TestStalledOutputDelaysCallsByOneSecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zapcore.DebugLevel)
		out := &gate{}
		l := New(zapcore.AddSync(out), Options{Fallback: zap.New(core)})
		l.Write(numbered(0))
		out.stall()
		require.Equal(t, time.Second, took(func() { l.Write(numbered(1)) }))
		for n := range 100 {
			require.Zero(t, took(func() { l.Write(numbered(2 + n)) }), "the output is known to stall")
		}
		synctest.Wait()
		require.Equal(t, []int{0}, out.attempts(t))
		require.Equal(t, 1, logged.Len())
		require.Equal(t, "the output of the audit log stalls: records are queued", logged.All()[0].Message)

		<-time.After(time.Hour)
		out.resume()
		synctest.Wait()
		require.Zero(t, l.Failures())
		require.Len(t, out.attempts(t), 102)
		require.IsIncreasing(t, out.attempts(t), "the order is kept")

		out.takes = 900 * time.Millisecond
		require.Equal(t, out.takes, took(func() { l.Write(numbered(102)) }), "Write waits again")
		out.stall()
		require.Equal(t, time.Second, took(func() { l.Write(numbered(103)) }), "the next stall is noticed")
		out.resume()
		require.NoError(t, l.Close())
	})
}

func TestSlowOutputDelaysConcurrentCallsByOneSecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls = 20
		out := &gate{takes: 300 * time.Millisecond}
		l := New(zapcore.AddSync(out), Options{})
		var delays [calls]time.Duration
		var group sync.WaitGroup
		for n := range calls {
			group.Go(func() {
				<-time.After(time.Duration(n) * time.Millisecond)
				delays[n] = took(func() { l.Write(numbered(n)) })
			})
		}
		group.Wait()
		require.Equal(t, out.takes, delays[0])
		require.LessOrEqual(t, slices.Max(delays[:]), maxWait)
		require.NoError(t, l.Close())
		require.Len(t, out.attempts(t), calls)
		require.IsIncreasing(t, out.attempts(t))
	})
}

// A watchdog that is armed for the first of many lines must not end the wait for a later one too early.
func TestEachRecordHasItsOwnSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gate{takes: 600 * time.Millisecond}
		l := New(zapcore.AddSync(out), Options{})
		for n := range 10 {
			require.Equal(t, out.takes, took(func() { l.Write(numbered(n)) }))
			<-time.After(70 * time.Millisecond)
		}
	})
}

func TestRecordsBeyondTheQueueAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zapcore.ErrorLevel)
		out := &gate{}
		out.stall()
		l := New(zapcore.AddSync(out), Options{Fallback: zap.New(core)})
		large := numbered(0)
		large.Answer = []byte(`{"data":[` + strings.Repeat(`{"id":""},`, 6_000) + `{}]}`)
		size := len(written(t, large))
		require.Greater(t, size, 50_000)
		fits := maxQueued / size
		for range fits + 3 {
			l.Write(large)
		}
		synctest.Wait()
		require.EqualValues(t, 3, l.Failures())
		require.Equal(t, 1, logged.Len(), "only the first one is logged")
		require.Equal(t, errFull.Error(), logged.All()[0].ContextMap()["error"])

		out.resume()
		synctest.Wait()
		require.Len(t, out.attempts(t), fits)
		l.Write(large)
		require.EqualValues(t, 3, l.Failures())
		require.Len(t, out.attempts(t), fits+1, "the queue is free again")
	})
}

func TestFailedWritesOfQueuedRecordsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gate{err: errors.New("broken pipe")}
		out.stall()
		l := New(zapcore.AddSync(out), Options{})
		for n := range 3 {
			l.Write(numbered(n))
		}
		require.Zero(t, l.Failures())
		out.resume()
		synctest.Wait()
		require.EqualValues(t, 3, l.Failures())
	})
}

func TestCloseFlushesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gate{takes: time.Second}
		out.stall()
		l := New(zapcore.AddSync(out), Options{})
		for n := range 4 {
			l.Write(numbered(n))
		}
		out.resume()
		require.Equal(t, 4*time.Second, took(func() { require.NoError(t, l.Close()) }))
		require.Equal(t, []int{0, 1, 2, 3}, out.attempts(t))
		require.Zero(t, l.Failures())
	})
}

func TestCloseDoesNotWaitForeverForAStalledOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := false
		out := &gate{err: errors.New("broken pipe")}
		out.stall()
		l := New(zapcore.AddSync(out), Options{})
		l.sink.close = func() error { closed = true; return nil }
		for n := range 4 {
			l.Write(numbered(n))
		}
		elapsed := took(func() {
			require.EqualError(t, l.Close(), "the output of the audit log stalls: 4 records were not written within 5s")
		})
		require.Equal(t, flushTimeout, elapsed)
		require.EqualValues(t, 4, l.Failures())
		require.False(t, closed, "closing a stalled output could block, too")
		require.NoError(t, l.Close())

		out.resume() // the write in flight fails
		synctest.Wait()
		require.EqualValues(t, 4, l.Failures(), "each record counts once")
	})
}
