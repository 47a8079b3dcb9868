// Command throughput measures what a charge costs through Florin, beside a bare workflow with one HTTP activity: the floor
// that any design on Temporal pays. Temporal runs in a process of its own; rounds of all variants alternate on it.
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
		Short:         "Measure charges per second, latencies and cost, beside a bare workflow",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), cmd.OutOrStdout(), s, temporalOnPostgres)
		},
	}
	root.Flags().IntVar(&s.rounds, "rounds", 21, "rounds of every variant")
	root.Flags().IntVar(&s.charges, "charges", 160, "charges of a variant in a round")
	root.Flags().IntVar(&s.concurrency, "concurrency", 16, "charges at once")
	root.Flags().BoolVar(&temporalOnPostgres, "temporal-on-postgres", false, "run Temporal on PostgreSQL, not in memory; its CPU is told without PostgreSQL's")
	root.AddCommand(temporalCommand())
	return root
}
