// Command reconcile tests reconciliation as a whole. It fills the simulator's ledger and the store with the same payments, plants each kind
// of difference in random places, kills the worker while a page or a lookup of the ledger is on its way, restarts the Temporal server each time, and compares what was
// found with what was planted. It also measures how long live charges take meanwhile.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
		fmt.Fprintln(os.Stderr, "reconcile:", err)
		os.Exit(1)
	}
}

// options are the flags of a run.
type options struct {
	seed             uint64
	trials, payments int
	// each is how many differences of each kind are planted.
	each int
	// live is for how long live charges are measured, without and with a reconciliation; 0: not at all.
	live int
}

func command() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use: "reconcile", Short: "Plant differences between a processor and the store, and compare what a reconciliation finds",
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	root.Flags().Uint64Var(&o.seed, "seed", 0, "seed of the first trial, to repeat it; 0 chooses one")
	root.Flags().IntVar(&o.trials, "trials", 3, "number of trials, each with the next seed")
	root.Flags().IntVar(&o.payments, "payments", 20_000, "number of payments")
	root.Flags().IntVar(&o.each, "each", 6, "number of differences of each kind")
	root.Flags().IntVar(&o.live, "live", 100, "number of live charges, without and with a reconciliation; 0 for none")
	root.AddCommand(environment.TemporalCommand())
	return root
}

var errDiffers = errors.New("what was found is not what was planted: see above")

func run(ctx context.Context, o options) error {
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000) + 1 //nolint:gosec // not a secret
	}
	var failed error
	for n := range o.trials {
		t, err := newTrial(ctx, o, o.seed+uint64(n))
		if err == nil {
			err = t.run(ctx)
		}
		if err = errors.Join(err, t.stop()); err != nil {
			fmt.Println("logs:", t.dir)
			failed = errors.Join(failed, err)
			if !errors.Is(err, errDiffers) {
				return failed
			}
			continue
		}
		if err := os.RemoveAll(t.dir); err != nil {
			return err
		}
	}
	return failed
}
