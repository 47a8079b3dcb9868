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

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// refusedShare is how many calls the second processor refuses at random. Each refusal asks for a pause of a second.
const refusedShare = 0.02

// findLimit is how many seconds, at the limit, the charges take that find the limit. The calls that are refused at first open the circuit
// breaker.
const findLimit = 20

// refusalsLatency is the latency of the processors, so long that the speed of the machine counts little.
const refusalsLatency = 300 * time.Millisecond

// refusalsCommand measures what 429 responses cost, and whether Florin keeps a limit that it does not know.
func refusalsCommand() *cobra.Command {
	var s size
	var seconds int
	var direct bool
	cmd := &cobra.Command{
		Use:   "refusals",
		Short: "Measure charges per second at processors that refuse 2 % of the calls, and all calls beyond a limit, with a 429",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := &testbed{}
			return errors.Join(refusals(cmd.Context(), cmd.OutOrStdout(), b, b.charging(direct), s, seconds), b.close())
		},
	}
	cmd.Flags().IntVar(&s.rounds, "rounds", 3, "number of measured rounds with and without refusals")
	// A charge that is refused ends a second later, and should not end long after all others.
	cmd.Flags().IntVar(&s.charges, "charges", 800, "number of charges in a round")
	cmd.Flags().IntVar(&s.concurrency, "concurrency", 12, "number of concurrent charges")
	cmd.Flags().IntVar(&seconds, "seconds", 60, "length of the measurement with a limit")
	cmd.Flags().BoolVar(&direct, "direct", false, "charge without Temporal, so that the load of the machine counts little")
	return cmd
}

// start starts a variant that charges at the current processor of the testbed.
type start func(ctx context.Context, name string) (variant, error)

// charging returns how to start Florin, or only its client for a processor.
func (b *testbed) charging(direct bool) start {
	if direct {
		return b.direct
	}
	return func(ctx context.Context, namespace string) (variant, error) {
		t, err := b.florin(ctx, namespace, b.sqlite(namespace), config.Inline)
		return florinVariant(namespace, t, false), err
	}
}

// direct charges with the client for a processor that a worker has, which repeats calls itself. A charge that it gives up is repeated under
// the same key, as a workflow would.
func (b *testbed) direct(ctx context.Context, name string) (v variant, err error) {
	settings, err := b.settings(name, config.Queued, config.Config{Store: b.sqlite(name)})
	if err != nil {
		return v, err
	}
	opened, err := app.OpenStandalone(ctx, settings, "", io.Discard)
	if err != nil {
		return v, err
	}
	b.onClose(func() error { opened.Close(); return nil })
	return variant{name: name, charge: func(ctx context.Context, key string) (string, error) {
		call := processor.ChargeCall{
			Key: key, PaymentID: key, MerchantID: "acme", Amount: amount, Currency: "USD", PaymentMethod: "tok_visa",
			Capture: payment.CaptureAutomatic,
		}
		for {
			_, err := opened.Processor.Charge(ctx, call)
			var failed *processor.Error
			if err == nil || !errors.As(err, &failed) || !failed.Retry {
				return key, err
			}
			select {
			case <-time.After(max(failed.RetryAfter, time.Second)):
			case <-ctx.Done():
				return key, err
			}
		}
	}}, nil
}

func refusals(ctx context.Context, out io.Writer, b *testbed, start start, s size, seconds int) error {
	if err := b.open(ctx, false); err != nil {
		return err
	}
	const without, with = 0, 1
	var variants []variant
	for _, share := range []float64{0, refusedShare} {
		if _, err := b.slowProcessor(ctx, simulator.Options{Faults: simulator.Rates{"429": share}}); err != nil {
			return err
		}
		v, err := start(ctx, fmt.Sprintf("florin-refused-%g", share))
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
			var err error
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
	calls, err := b.slowProcessor(ctx, simulator.Options{PerSecond: limit})
	if err != nil {
		return err
	}
	limited, err := start(ctx, "florin-limited")
	if err != nil {
		return err
	}
	// With more than max_wait allows, which is 2 s, calls would return to their queue.
	s.charges, s.concurrency = limit*findLimit, limit*3/2
	if _, err := measure(ctx, b.temporal, limited, "find-limit", s); err != nil {
		return err
	}
	acceptedBefore, refusedBefore := calls.accepted.Load(), calls.refused.Load()
	s.charges = limit * seconds
	r, err := measure(ctx, b.temporal, limited, "limited", s)
	if err != nil {
		return err
	}
	accepted, refused := calls.accepted.Load()-acceptedBefore, calls.refused.Load()-refusedBefore
	share := float64(refused) / float64(accepted+refused)
	fmt.Fprintf(out, "until the limit was found: %d calls accepted, %d refused\n", acceptedBefore, refusedBefore)
	fmt.Fprintf(out, "with a limit of %d calls/s %.1f charges/s; %d calls accepted, %d refused\n\n", limit, r.perSecond, accepted, refused)
	_, err = fmt.Fprintf(out, "refusals: throughput_ratio=%.2f limit=%d used=%.2f refused=%.3f\n",
		median(ratios(rounds, with, without)), limit, r.perSecond/float64(limit), share)
	return err
}

// slowProcessor starts a simulated processor with these options and the latency.
func (b *testbed) slowProcessor(ctx context.Context, o simulator.Options) (*callCounter, error) {
	o.Latency = simulator.LatencyRange{Min: refusalsLatency, Max: refusalsLatency}
	return b.startProcessor(ctx, o)
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
