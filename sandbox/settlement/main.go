// Command settlement compares a store with a settlement file, by starter reconcile file as operators run it, and shows that exactly the
// planted differences are found, and that the memory it takes does not grow with the file.
//
// The store is a SQLite file that is filled directly: only the comparison is measured.
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "settlement:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var payments int
	var seed uint64
	var dir string
	root := &cobra.Command{
		Use:           "settlement",
		Short:         "Compare stored payments with a settlement file",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if payments < minPayments {
				return fmt.Errorf("--payments %d: want at least %d", payments, minPayments)
			}
			if seed == 0 {
				seed = rand.Uint64() //nolint:gosec // printed
			}
			return run(cmd.Context(), cmd.OutOrStdout(), dir, newCorpus(payments, seed))
		},
	}
	root.Flags().IntVar(&payments, "payments", 1_000_000, "number of stored payments, of 1.5 GB per million with what Temporal keeps")
	root.Flags().Uint64Var(&seed, "seed", 0, "where the differences are; 0: somewhere, and the seed is printed")
	root.Flags().StringVar(&dir, "dir", "", "directory for all files, which are deleted at the end; the default is that for temporary files")
	return root
}
