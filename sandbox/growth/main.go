// Command growth measures whether the store slows down as it grows. It fills a private PostgreSQL and a SQLite file with a few and with
// many payments, and measures the same calls on both in turn: what a charge costs, a refund, a read, and each combination of the filters
// of a list, at both ends of the list.
//
// The server does not write to the disk before it acknowledges a commit (fsync = off), which would hide what else takes time. Other load
// on the machine affects both sizes alike; most of all, it affects the slowest calls (p99).
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
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

// size is how much is stored and measured.
type size struct {
	// small and postgres are numbers of payments in PostgreSQL, small and sqlite those in SQLite.
	small, postgres, sqlite int
	rounds, calls           int
	// dir is where the databases are.
	dir string
}

func command() *cobra.Command {
	var s size
	root := &cobra.Command{
		Use:           "growth",
		Short:         "Compare the store with a few and with many payments",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), cmd.OutOrStdout(), s)
		},
	}
	root.Flags().IntVar(&s.small, "small", 10_000, "number of payments in the small database")
	root.Flags().IntVar(&s.postgres, "postgres", 10_000_000,
		"number of payments in the large database in PostgreSQL, of 1.3 GB per million; 0 leaves PostgreSQL out")
	root.Flags().IntVar(&s.sqlite, "sqlite", 1_000_000, "number of payments in the large file of SQLite; 0 leaves SQLite out")
	root.Flags().IntVar(&s.rounds, "rounds", 100, "number of rounds of each measurement")
	root.Flags().IntVar(&s.calls, "calls", 2, "number of calls in a round")
	root.Flags().StringVar(&s.dir, "dir", "", "directory for the databases, which are deleted at the end; the default is that for temporary files")
	return root
}
