// Command crash charges and refunds through real processes while it kills them with SIGKILL at named points, restarts
// them, and then compares all books: the processor's ledger, the store, the workflows, and what each caller was told.
//
// Nothing in the processes knows of it. The points are found on the wire, by proxies between them.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// options of a run.
type options struct {
	seed             uint64
	charges, refunds int
	// sqlite keeps the store in a file, also where there is a PostgreSQL.
	sqlite bool
}

func command() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:           "crash",
		Short:         "Kill real processes at named points while money moves, and compare all books",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	root.Flags().Uint64Var(&o.seed, "seed", 0, "what is killed when; 0 draws one")
	root.Flags().IntVar(&o.charges, "charges", 300, "how many charges; there is a kill for every three, and one at each point")
	root.Flags().IntVar(&o.refunds, "refunds", 100, "how many refunds")
	root.Flags().BoolVar(&o.sqlite, "sqlite", false, "keep the store in SQLite: without the points and kills of PostgreSQL")
	root.AddCommand(temporalCommand())
	return root
}

var errViolations = errors.New("the books do not agree: see the violations above")

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
	fmt.Printf("crash: seed=%d charges=%d refunds=%d kills=%d: building\n", o.seed, o.charges, o.refunds, len(p.strikes))
	s, err := startSystem(ctx, sqlite)
	if err != nil {
		return errors.Join(err, s.stop())
	}
	violations, err := s.judge(ctx, p)
	err = errors.Join(err, s.stop())
	printTable(p.strikes, violations)
	for _, v := range violations {
		fmt.Println("violation:", v.text)
	}
	if err != nil || len(violations) > 0 {
		fmt.Println("logs:", s.dir)
	}
	if err != nil {
		return err // there is nothing to conclude
	}
	fmt.Printf("crash: seed=%d charges=%d refunds=%d kills=%d violations=%d\n", o.seed, o.charges, o.refunds, len(p.strikes), len(violations))
	if len(violations) > 0 {
		return errViolations
	}
	return os.RemoveAll(s.dir)
}

// judge runs the plan, lets the system come to rest, and returns what is wrong then.
func (s *system) judge(ctx context.Context, p *plan) ([]violation, error) {
	began := time.Now()
	l := newLoad(ctx, s.client)
	defer l.giveUp()
	if err := s.carryOut(ctx, p, l); err != nil {
		return nil, err
	}
	fmt.Printf("crash: %d kills in %s; waiting for the last payments\n", len(p.strikes), time.Since(began).Round(time.Second))
	unanswered := l.wait()
	unsettled := s.settle(ctx, l.purchases)
	violations, err := s.compare(ctx, l.purchases)
	violations = append(append(unanswered, unsettled...), violations...)
	fmt.Printf("crash: compared after %s\n", time.Since(began).Round(time.Second))
	printEndings(l.purchases)
	return violations, err
}
