package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestProcessorCommandsRefuseInvalidArguments(t *testing.T) {
	for want, args := range map[string][]string{
		"want the name of one processor":     {"pause", "--by", "jane", "--reason", "x"},
		"by: want 1 to 80 characters":        {"pause", "acme", "--reason", "x"},
		"reason: want 1 to 500 characters":   {"resume", "acme", "--by", "jane"},
		"want either --per-second":           {"rate", "acme", "--by", "jane", "--reason", "x"},
		"a number above 0 or --as-configure": {"rate", "acme", "--by", "jane", "--reason", "x", "--per-second", "0"},
		"or --as-configured":                 {"rate", "acme", "--by", "jane", "--reason", "x", "--per-second", "2", "--as-configured"},
		"per_second: want 0 to 1000000":      {"rate", "acme", "--by", "jane", "--reason", "x", "--per-second", "2e9"},
		"neither a command nor a flag":       {"list", "acme"},
	} {
		_, _, err := execute(t, "", append([]string{"processor"}, args...)...)
		require.ErrorContains(t, err, want)
		require.Equal(t, exitUsage, exitCode(err))
	}
	for _, args := range [][]string{{"pause", "acme"}, {"rate", "acme", "--per-second", "0.5"}, {"rate", "acme", "--as-configured"}} {
		_, _, err := execute(t, "", append(append([]string{"processor"}, args...), "--by", "jane", "--reason", "x")...)
		require.Equal(t, exitError, exitCode(err), "there is no Temporal server")
	}
}

// pausedBy returns the state of a processor that was just paused, and that some workers obey.
func pausedBy(obeying ...bool) payment.ProcessorState {
	s := payment.ProcessorState{
		Processor: "acme", ConfiguredPerSecond: 20,
		Control: payment.ProcessorControl{Paused: true, By: "jane", Reason: "incident 4711", Revision: 3, At: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)},
	}
	for i, applied := range obeying {
		s.Workers = append(s.Workers, payment.ProcessorWorker{Worker: string(rune('a' + i)), PerSecond: 10, Burst: 5, Demand: 1.25, Applied: applied})
	}
	return s
}

func losing(s payment.ProcessorState, workers ...string) payment.ProcessorState {
	for _, w := range workers {
		s.Lost = append(s.Lost, payment.LostWorker{Worker: w, LeaseEnded: s.Control.At.Add(-30 * time.Minute)})
	}
	return s
}

func TestControlWaitsUntilAllWorkersObey(t *testing.T) {
	later := pausedBy(true, true)
	later.Control.Revision = 4
	resumed := losing(pausedBy(true), "b")
	resumed.Control.Paused = false
	for name, tt := range map[string]struct {
		first payment.ProcessorState
		then  []payment.ProcessorState
		fails error
		out   string
		err   string
	}{
		"at once":      {first: pausedBy(true), out: "acme is paused, with 20 calls/s as configured: all 1 workers obey after 0s\n"},
		"soon":         {first: pausedBy(false, false), then: []payment.ProcessorState{pausedBy(true, false), pausedBy(true, true)}, out: "acme is paused, with 20 calls/s as configured: all 2 workers obey after 400ms\n"},
		"one ends":     {first: pausedBy(true, false), then: []payment.ProcessorState{pausedBy(true)}, out: "acme is paused, with 20 calls/s as configured: all 1 workers obey after 200ms\n"},
		"one is lost":  {first: pausedBy(true, false), then: []payment.ProcessorState{losing(pausedBy(true), "b")}, err: "1 workers obey it, but not these, which do not renew their shares any more: b, since 2026-11-22T07:30:00Z: one that has not ended"},
		"one was lost": {first: losing(pausedBy(true), "b", "c"), err: "b, since 2026-11-22T07:30:00Z; c, since 2026-11-22T07:30:00Z"},
		"all are lost": {first: losing(pausedBy(), "a"), err: "0 workers obey it"},
		"resumed":      {first: resumed, out: "acme is not paused, with 20 calls/s as configured: all 1 workers obey after 0s\n"},
		"no worker":    {first: pausedBy(), out: "acme is paused, with 20 calls/s as configured: no worker runs\n"},
		"one does not": {first: pausedBy(true, false), then: []payment.ProcessorState{pausedBy(true, false)}, err: "1 of 2 workers do not obey it yet, perhaps because they cannot read the store: b"},
		"unreadable":   {first: pausedBy(false), fails: errors.New("no worker answers"), err: "1 of 1 workers do not obey it yet, perhaps because they cannot read the store: a: no worker answers"},
		"another one":  {first: pausedBy(false), then: []payment.ProcessorState{later}, err: "another one came after it"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				cmd := &cobra.Command{}
				cmd.SetContext(t.Context())
				cmd.SetOut(&out)
				reads := 0
				err := awaitObedience(cmd, func(context.Context) ([]payment.ProcessorState, error) {
					if tt.fails != nil {
						return nil, tt.fails
					}
					reads++
					return []payment.ProcessorState{{Processor: "other"}, tt.then[min(reads, len(tt.then))-1]}, nil
				}, tt.first)
				require.Equal(t, tt.out, out.String())
				if tt.err == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, tt.err)
				require.Equal(t, exitError, exitCode(err))
			})
		})
	}
}

func TestProcessorsAreListedWithTheirWorkers(t *testing.T) {
	cmd, out := printing(false)
	limited := payment.ProcessorState{Processor: "globex", Control: payment.ProcessorControl{PerSecond: 0.5}}
	unlimited := payment.ProcessorState{Processor: "initech", Workers: []payment.ProcessorWorker{{Worker: "a", Demand: 3, Applied: true}}}
	require.NoError(t, printProcessors(cmd, []payment.ProcessorState{losing(pausedBy(true, false), "c"), limited, unlimited}))
	require.Equal(t, ""+
		"acme is paused, with 20 calls/s as configured\n"+
		"  since 2026-11-22T08:00:00Z by jane: incident 4711\n"+
		"  worker a  share 10 calls/s, 5 at once          demand 1.25 calls/s  obeys\n"+
		"  worker b  share 10 calls/s, 5 at once          demand 1.25 calls/s  does not obey yet\n"+
		"  worker c  not seen since 2026-11-22T07:30:00Z  does not obey, if it has not ended\n"+
		"\n"+
		"globex is not paused, with 0.5 calls/s as an operator has set\n"+
		"  no worker runs\n"+
		"\n"+
		"initech is not paused, without a common rate limit\n"+
		"  worker a  share no limit  demand 3 calls/s  obeys\n", out.String())
}
