package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// scripted takes as many bytes of each write as the script says, then everything.
type scripted struct {
	bytes.Buffer
	take  []int
	err   error
	syncs int
}

func (s *scripted) Write(p []byte) (int, error) {
	if len(s.take) == 0 {
		return s.Buffer.Write(p)
	}
	n, _ := s.Buffer.Write(p[:s.take[0]])
	s.take = s.take[1:]
	return n, s.err
}

func (s *scripted) Sync() error {
	s.syncs++
	return nil
}

func TestAFailingSinkIsCountedAndReportedOnceWithoutContent(t *testing.T) {
	core, reports := observer.New(zapcore.DebugLevel)
	out := &scripted{take: []int{0, 0, 0}, err: errors.New("no space left on device")}
	l := New(out, Options{Fallback: zap.New(core)})
	for range 3 {
		l.Write(charge())
	}
	require.EqualValues(t, 3, l.Failures())
	l.Write(charge())
	require.EqualValues(t, 3, l.Failures())
	require.Equal(t, written(t, charge()), out.String())

	require.Equal(t, 1, reports.Len())
	require.Equal(t, "an audit record was lost", reports.All()[0].Message)
	require.Equal(t, map[string]any{"error": "no space left on device"}, reports.All()[0].ContextMap())
}

func TestAFailingSinkNeedsNoFallback(t *testing.T) {
	l := New(&scripted{take: []int{0}, err: errors.New("broken pipe")}, Options{})
	l.Write(charge())
	require.EqualValues(t, 1, l.Failures())
}

func TestHalfALineDoesNotSpoilTheNext(t *testing.T) {
	line := written(t, charge())
	out := &scripted{take: []int{10, 0}, err: errors.New("disk full")}
	l := New(out, Options{})
	l.Write(charge()) // half of it
	l.Write(charge()) // not even the end of that line
	l.Write(charge())
	require.EqualValues(t, 2, l.Failures())
	require.Equal(t, line[:10]+"\n"+line, out.String())
}

func TestAShortWriteIsAFailureEvenIfTheSinkSaysNothing(t *testing.T) {
	line := written(t, charge())
	out := &scripted{take: []int{10}}
	l := New(out, Options{})
	l.Write(charge())
	l.Write(charge())
	require.EqualValues(t, 1, l.Failures())
	require.Equal(t, line[:10]+"\n"+line, out.String())
}

func TestAClosedLogLosesRecordsAndSaysSo(t *testing.T) {
	core, reports := observer.New(zapcore.DebugLevel)
	out := &scripted{}
	l := New(out, Options{Fallback: zap.New(core)})
	l.Write(charge())
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	require.Equal(t, 1, out.syncs)
	l.Write(charge())
	require.EqualValues(t, 1, l.Failures())
	require.Equal(t, written(t, charge()), out.String())
	require.Equal(t, errClosed.Error(), reports.All()[0].ContextMap()["error"])
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
			r.Answer = []byte(`{"id":"` + strings.Repeat(string(rune('a'+i)), 200) + `"}`)
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
		require.Equal(t, strings.Repeat(string(rune('a'+got.Attempt)), 200), got.Answer.ID)
	}
}
