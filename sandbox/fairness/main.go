// Command fairness measures whether a merchant with many payments delays another. Merchant A starts thousands of charges, far more than the
// processor takes, and merchant B sends 50 meanwhile. It does so twice, on two servers: with the settings of Temporal that Florin
// recommends, and without. Each B is compared with its own charges before the flood.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "fairness:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var l load
	var maxRatio float64
	root := &cobra.Command{
		Use:           "fairness",
		Short:         "Measure how much the flood of one merchant delays the charges of another",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), cmd.OutOrStdout(), l, maxRatio)
		},
	}
	flags := root.Flags()
	flags.IntVar(&l.flood, "charges", 20000, "number of charges of merchant A")
	flags.Float64Var(&l.floodPerSecond, "per-second", 40, "charges that merchant A starts in a second; should be above --limit")
	flags.IntVar(&l.charges, "others", 50, "number of charges of merchant B, evenly distributed over the flood")
	flags.Float64Var(&l.limit, "limit", 25, "rate limit of the processor, in calls per second; 0: only --calls limits it")
	flags.IntVar(&l.calls, "calls", 100, "concurrent calls that the processor allows")
	flags.DurationVar(&l.latency, "latency", 500*time.Millisecond, "time that the processor takes for a call")
	flags.DurationVar(&l.patience, "patience", 5*time.Minute, "time after which a charge of merchant B counts as that long")
	flags.Float64Var(&maxRatio, "max-ratio", 0, "fail if the p95 of B with fairness is more than this many times its p95 without the flood; 0: never")
	return root
}
