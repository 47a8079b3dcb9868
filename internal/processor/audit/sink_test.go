package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// limitedWriter accepts only as many bytes of each write as the next element of limits, then everything.
type limitedWriter struct {
	bytes.Buffer
	limits []int
	err    error // returned by limited writes
	syncs  int
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if len(w.limits) == 0 {
		return w.Buffer.Write(p)
	}
	n, _ := w.Buffer.Write(p[:min(w.limits[0], len(p))])
	w.limits = w.limits[1:]
	return n, w.err
}

func (w *limitedWriter) Sync() error {
	w.syncs++
	return nil
}

func TestFailedWritesAreCountedAndLoggedOnceWithoutContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, reports := observer.New(zapcore.DebugLevel)
		out := &limitedWriter{limits: []int{0, 0, 0}, err: errors.New("no space left on device")}
		l := New(out, Options{Fallback: zap.New(core)})
		for range 3 {
			l.Write(charge())
		}
		require.EqualValues(t, 3, l.Failures())
		l.Write(charge())
		require.EqualValues(t, 3, l.Failures())
		require.Equal(t, written(t, charge()), out.String())

		synctest.Wait() // for the fallback
		require.Equal(t, 1, reports.Len())
		require.Equal(t, "failed to write an audit record: later failures are only counted", reports.All()[0].Message)
		require.Equal(t, map[string]any{"error": "no space left on device"}, reports.All()[0].ContextMap())
	})
}

func TestFailedWriteNeedsNoFallback(t *testing.T) {
	l := New(&limitedWriter{limits: []int{0}, err: errors.New("broken pipe")}, Options{})
	l.Write(charge())
	require.EqualValues(t, 1, l.Failures())
}

func TestPartialLineDoesNotCorruptTheNext(t *testing.T) {
	line := written(t, charge())
	out := &limitedWriter{limits: []int{10, 0}, err: errors.New("disk full")}
	l := New(out, Options{})
	l.Write(charge()) // written in part
	l.Write(charge()) // even the line end of the partial line fails
	l.Write(charge())
	require.EqualValues(t, 2, l.Failures())
	require.Equal(t, line[:10]+"\n"+line, out.String())
}

func TestShortWriteWithoutErrorIsAFailure(t *testing.T) {
	line := written(t, charge())
	out := &limitedWriter{limits: []int{10}}
	l := New(out, Options{})
	l.Write(charge())
	l.Write(charge())
	require.EqualValues(t, 1, l.Failures())
	require.Equal(t, line[:10]+"\n"+line, out.String())
}

func TestWriteToClosedLogIsCountedAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, reports := observer.New(zapcore.DebugLevel)
		out := &limitedWriter{}
		l := New(out, Options{Fallback: zap.New(core)})
		l.Write(charge())
		require.NoError(t, l.Close())
		require.NoError(t, l.Close())
		require.Equal(t, 1, out.syncs)
		l.Write(charge())
		require.EqualValues(t, 1, l.Failures())
		require.Equal(t, written(t, charge()), out.String())
		synctest.Wait() // for the fallback
		require.Equal(t, errClosed.Error(), reports.All()[0].ContextMap()["error"])
	})
}

func TestLinesDoNotInterleave(t *testing.T) {
	const callers, calls = 16, 200
	var out bytes.Buffer
	l := New(zapcore.AddSync(&out), Options{})
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			r := charge()
			r.Attempt = i
			r.Answer = []byte(`{"id":"` + strings.Repeat(string(rune('a'+i)), 100) + `1"}`)
			for range calls {
				l.Write(r)
			}
		})
	}
	group.Wait()

	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	require.Len(t, lines, callers*calls)
	for _, line := range lines {
		var got struct {
			Attempt int
			Answer  struct{ ID string }
		}
		require.NoError(t, json.Unmarshal([]byte(line), &got))
		require.Equal(t, strings.Repeat(string(rune('a'+got.Attempt)), 100)+"1", got.Answer.ID)
	}
}
