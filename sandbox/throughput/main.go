// Command throughput measures what a charge through Florin costs, compared with a bare workflow that makes one HTTP call in one
// activity. The bare workflow is the baseline: what any design on Temporal costs. Temporal runs in a process of its own, and
// all variants use it in turn, in alternating rounds.
//
// Where Temporal stores its data decides what Florin's share is. In memory (SQLite), transactions are cheap and search attributes are
// expensive, because each row of the visibility table has 75 indexes. On PostgreSQL (--temporal-on-postgres), transactions are what costs,
// and an inline charge has fewer of them. docs/capacity.md has the figures.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "throughput:", err)
		os.Exit(1)
	}
}

// size is how much is measured.
type size struct {
	rounds, charges, concurrency int
}

func command() *cobra.Command {
	var s size
	var temporalOnPostgres bool
	root := &cobra.Command{
		Use:           "throughput",
		Short:         "Measure charges per second, latencies and cost, compared with a bare workflow",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), cmd.OutOrStdout(), s, temporalOnPostgres)
		},
	}
	root.Flags().IntVar(&s.rounds, "rounds", 21, "number of measured rounds of each variant")
	root.Flags().IntVar(&s.charges, "charges", 160, "number of charges of each variant in a round")
	root.Flags().IntVar(&s.concurrency, "concurrency", 16, "number of concurrent charges")
	root.Flags().BoolVar(&temporalOnPostgres, "temporal-on-postgres", false,
		"run Temporal on PostgreSQL instead of in memory; the CPU time of PostgreSQL is not measured")
	root.AddCommand(temporalCommand(), workerCommand(), refusalsCommand(), memoryCommand(), capacityCommand(), latencyCommand())
	return root
}
