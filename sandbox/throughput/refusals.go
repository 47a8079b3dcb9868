package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/internal/simulator"
)

// refusedShare is how many calls the second processor refuses at random. Each refusal asks for a pause of a second.
const refusedShare = 0.02

// refusalsLatency is the latency of the processors, so long that the speed of the machine counts little.
const refusalsLatency = 300 * time.Millisecond

// refusalsCommand measures what 429 responses cost, and whether Florin keeps a limit that it does not know.
func refusalsCommand() *cobra.Command {
	var s size
	var seconds int
	cmd := &cobra.Command{
		Use:   "refusals",
		Short: "Measure charges per second at processors that refuse 2 % of the calls, and all calls beyond a limit, with a 429",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return refusals(cmd.Context(), cmd.OutOrStdout(), s, seconds)
		},
	}
	cmd.Flags().IntVar(&s.rounds, "rounds", 3, "number of measured rounds with and without refusals")
	// A charge that is refused ends a second later, and should not end long after all others.
	cmd.Flags().IntVar(&s.charges, "charges", 800, "number of charges in a round")
	cmd.Flags().IntVar(&s.concurrency, "concurrency", 12, "number of concurrent charges")
	cmd.Flags().IntVar(&seconds, "seconds", 60, "length of the measurement with a limit")
	return cmd
}

func refusals(ctx context.Context, out io.Writer, s size, seconds int) (err error) {
	b := &testbed{}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.open(ctx, false); err != nil {
		return err
	}
	const without, with = 0, 1
	var variants []variant
	for _, share := range []float64{0, refusedShare} {
		v, _, err := b.at(ctx, simulator.Options{Faults: simulator.Rates{"429": share}}, fmt.Sprintf("florin-refused-%g", share))
		if err != nil {
			return err
		}
		variants = append(variants, v)
	}
	var rounds [][]round
	for i := range s.rounds + 1 { // the first round warms up, and does not count
		r := make([]round, len(variants))
		for j := range variants {
			v := (i + j) % len(variants)
			if r[v], err = measure(ctx, b.temporal, variants[v], fmt.Sprintf("round-%d", i), s); err != nil {
				return err
			}
		}
		fmt.Fprintf(out, "round %d of %d: %.1f/s without refusals, %.1f/s with\n", i, s.rounds, r[without].perSecond, r[with].perSecond)
		rounds = append(rounds, r)
	}
	rounds = rounds[1:]
	perSecond := median(each(rounds, func(r []round) float64 { return r[without].perSecond }))
	fmt.Fprintf(out, "throughput with %g %% of the calls refused ÷ without: %s\n",
		100*refusedShare, formatQuartiles(ratios(rounds, with, without)))

	limit := max(int(perSecond/3), 1)
	limited, calls, err := b.at(ctx, simulator.Options{PerSecond: limit}, "florin-limited")
	if err != nil {
		return err
	}
	// With more than max_wait allows, which is 2 s, calls would return to their queue.
	s.charges, s.concurrency = limit*seconds, limit*3/2
	r, err := measure(ctx, b.temporal, limited, "limited", s)
	if err != nil {
		return err
	}
	accepted, refused := calls.accepted.Load(), calls.refused.Load()
	share := float64(refused) / float64(accepted+refused)
	fmt.Fprintf(out, "with a limit of %d calls/s %.1f charges/s; %d calls accepted, %d refused\n\n", limit, r.perSecond, accepted, refused)
	_, err = fmt.Fprintf(out, "refusals: throughput_ratio=%.2f limit=%d used=%.2f refused=%.3f\n",
		median(ratios(rounds, with, without)), limit, r.perSecond/float64(limit), share)
	return err
}

// at returns the variant that charges at a simulated processor with these options, and what the processor counts.
func (b *testbed) at(ctx context.Context, o simulator.Options, namespace string) (v variant, calls *callCounter, err error) {
	o.Latency = simulator.LatencyRange{Min: refusalsLatency, Max: refusalsLatency}
	if calls, err = b.startProcessor(ctx, o); err != nil {
		return v, nil, err
	}
	t, err := b.florin(ctx, namespace, b.sqlite(namespace))
	return florinVariant(namespace, t, false), calls, err
}

// callCounter counts the calls that a processor accepts, and those that it refuses with a 429.
type callCounter struct {
	accepted, refused atomic.Int64
}

func (c *callCounter) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response := statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(&response, r)
		if response.status == http.StatusTooManyRequests {
			c.refused.Add(1)
		} else {
			c.accepted.Add(1)
		}
	})
}

// statusWriter keeps the status of a response.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
