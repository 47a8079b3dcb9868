// Command batch submits a file of charges and refunds to real processes, kills the worker and the starter on the way, and compares what
// the processor has with what Florin has stored.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/sandbox/environment"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "batch:", err)
		os.Exit(1)
	}
}

// options are the flags of a run.
type options struct {
	lines    int
	inFlight int
	// stopAfter is after how many lines the batch is canceled; 0: never.
	stopAfter int
	sqlite    bool
}

func command() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use: "batch", Short: "Execute a large batch, kill processes on the way, and compare the books",
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	root.Flags().IntVarP(&o.lines, "lines", "n", 2000, "lines of the file")
	root.Flags().IntVar(&o.inFlight, "in-flight", 100, "lines in flight")
	root.Flags().IntVar(&o.stopAfter, "stop-after", 0, "cancel the batch after this number of lines, to see how a larger file begins; 0: never")
	root.Flags().BoolVar(&o.sqlite, "sqlite", true, "use SQLite as the store; otherwise PostgreSQL")
	root.AddCommand(environment.TemporalCommand())
	return root
}

func run(ctx context.Context, o options) error {
	s, err := startSystem(ctx, o)
	if err == nil {
		err = (&trial{system: s}).run(ctx)
	}
	if err = errors.Join(err, s.stop()); err != nil {
		fmt.Println("logs:", s.dir)
		return err
	}
	return os.RemoveAll(s.dir)
}
