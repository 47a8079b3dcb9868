package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// latencyCommand measures one charge at a time in the sandbox, as a new user tries it: everything runs in one process, with Temporal and
// the store in memory.
func latencyCommand() *cobra.Command {
	var charges int
	var processor string
	cmd := &cobra.Command{
		Use:   "latency",
		Short: "Measure how long one charge takes in the sandbox, one after the other",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			latency, err := simulator.ParseLatency(processor)
			if err != nil {
				return fmt.Errorf("--processor: %w", err)
			}
			return measureLatency(cmd.Context(), cmd.OutOrStdout(), latency, charges)
		},
	}
	cmd.Flags().IntVar(&charges, "charges", 400, "number of charges of each kind, after a quarter as many that do not count")
	cmd.Flags().StringVar(&processor, "processor", "1ms", "latency of the processor")
	return cmd
}

func measureLatency(ctx context.Context, out io.Writer, processor simulator.LatencyRange, charges int) (err error) {
	app.BoundMemory(config.Worker{}, zap.NewNop()) // as the sandbox and the process of a worker do
	sandbox, err := environment.Start(ctx, environment.Options{Simulator: simulator.Options{Latency: processor}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sandbox.Stop()) }()
	started := charging(sandbox.Temporal, sandbox.Florin, false, request(), payment.Succeeded)
	waited := charging(sandbox.Temporal, sandbox.Florin, true, request(), payment.Succeeded)
	var p50 []time.Duration
	for _, v := range []variant{{name: "started, and waited for", charge: started}, {name: "synchronous", charge: waited}} {
		if _, _, err := batch(ctx, v, "warm "+v.name, charges/4, 1); err != nil {
			return err
		}
		latencies, _, err := batch(ctx, v, v.name, charges, 1)
		if err != nil {
			return err
		}
		p50 = append(p50, latencies[len(latencies)/2])
		fmt.Fprintf(out, "%-24s p50 %.1f ms  p99 %.1f ms\n",
			v.name, milliseconds(latencies[len(latencies)/2]), milliseconds(latencies[len(latencies)*99/100]))
	}
	fmt.Fprintf(out, "\nlatency: charges=%d inline_p50_ms=%.1f inline_sync_p50_ms=%.1f\n", charges, milliseconds(p50[0]), milliseconds(p50[1]))
	return nil
}
