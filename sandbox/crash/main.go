// Command crash tests that Florin survives crashes. It charges and refunds through real processes, kills the processes
// with SIGKILL at named points, and restarts them. At the end it compares the records of all systems: the processor's
// ledger, the store, the workflows, and the result of each call that a caller received.
//
// The binaries under test are unmodified. Proxies between the processes find the points on the wire.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/sandbox/environment"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// options are the flags of a run.
type options struct {
	seed             uint64
	charges, refunds int
	// sqlite stores payments in a SQLite file, even if PostgreSQL is installed.
	sqlite bool
}

func command() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:           "crash",
		Short:         "Kill real processes at named points during payments, then compare the records of all systems",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	root.Flags().Uint64Var(&o.seed, "seed", 0, "decides what is killed and when; the same seed repeats a run; 0 chooses a seed")
	root.Flags().IntVar(&o.charges, "charges", 300, "number of charges; one kill for every three charges, at least one at each point")
	root.Flags().IntVar(&o.refunds, "refunds", 100, "number of refunds")
	root.Flags().BoolVar(&o.sqlite, "sqlite", false, "use SQLite as the store: the points and kills of PostgreSQL are skipped")
	root.AddCommand(environment.TemporalCommand())
	return root
}

var errViolations = errors.New("the records do not agree: see the violations above")

func run(ctx context.Context, o options) error {
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	sqlite, err := chooseStore(o.sqlite)
	if err != nil {
		return err
	}
	p, err := newPlan(rand.New(rand.NewPCG(o.seed, 0)), o.charges, o.refunds, sqlite) //nolint:gosec // repeatable on purpose
	if err != nil {
		return err
	}
	fmt.Printf("crash: seed=%d charges=%d refunds=%d kills=%d: building\n", o.seed, o.charges, o.refunds, len(p.kills))
	s, err := startSystem(ctx, sqlite)
	if err != nil {
		return errors.Join(err, s.stop())
	}
	violations, err := s.test(ctx, p)
	err = errors.Join(err, s.stop())
	printTable(p.kills, violations)
	for _, v := range violations {
		fmt.Println("violation:", v.text)
	}
	if err != nil || len(violations) > 0 {
		fmt.Println("logs:", s.dir)
	}
	if err != nil {
		return err // The run is incomplete: its violations prove nothing.
	}
	fmt.Printf("crash: seed=%d charges=%d refunds=%d kills=%d violations=%d\n",
		o.seed, o.charges, o.refunds, len(p.kills), len(violations))
	if len(violations) > 0 {
		return errViolations
	}
	return os.RemoveAll(s.dir)
}

// test executes the plan, waits until no payment is in flight any more, and returns the violations it finds then.
func (s *system) test(ctx context.Context, p *plan) ([]violation, error) {
	began := time.Now()
	l := newLoad(ctx, s.client)
	defer l.cancel()
	if err := s.execute(ctx, p, l); err != nil {
		return nil, err
	}
	fmt.Printf("crash: %d kills in %s; waiting for the last payments\n", len(p.kills), time.Since(began).Round(time.Second))
	unanswered := l.wait()
	stuck := s.awaitWorkflows(ctx, l.purchases)
	late, err := s.sendEvents(ctx, l.purchases)
	if err != nil {
		return nil, err
	}
	violations, err := s.compare(ctx, l.purchases)
	violations = slices.Concat(unanswered, stuck, late, violations)
	fmt.Printf("crash: compared after %s\n", time.Since(began).Round(time.Second))
	printOutcomes(l.purchases)
	return violations, err
}
