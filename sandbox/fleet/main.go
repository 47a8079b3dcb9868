// Command fleet tests that the rate limit of a processor holds for all workers together. It runs worker processes with three times the
// demand that the limit allows, kills one, adds one, freezes one, moves the demand, locks the database, and pauses and resumes the
// processor. The simulator counts what arrives.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/internal/postgrestest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

// options are the flags of a run.
type options struct {
	limit  float64
	burst  int
	sqlite bool
	short  bool
}

func command() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use: "fleet", Short: "Run worker processes against one rate limit, disturb them, and count what arrives at the processor",
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	root.Flags().Float64Var(&o.limit, "limit", 20, "calls per second of all workers together")
	root.Flags().IntVar(&o.burst, "burst", 8, "calls at once of all workers together")
	root.Flags().BoolVar(&o.sqlite, "sqlite", false, "use SQLite as the store, even if PostgreSQL is installed")
	root.Flags().BoolVar(&o.short, "short", false, "measure for a shorter time, and do not lock the database")
	root.AddCommand(workerCommand())
	return root
}

var errViolated = errors.New("the limit or a goal was missed: see above")

func run(ctx context.Context, o options) error {
	if err := postgrestest.Available(); err != nil && !o.sqlite {
		if os.Getenv("CI") == "true" {
			return err
		}
		fmt.Printf("fleet: no PostgreSQL: %v\nfleet: the store is a SQLite file\n", err)
		o.sqlite = true
	}
	s, err := startSystem(ctx, o)
	if err != nil {
		return errors.Join(err, s.stop())
	}
	t := &trial{system: s}
	began := time.Now()
	err = errors.Join(t.run(ctx), s.stop())
	if err != nil {
		fmt.Println("logs:", s.dir)
		return err
	}
	fmt.Printf("fleet: %d calls in %s\n", len(s.arrivals.all), time.Since(began).Round(time.Second))
	if !t.report() {
		fmt.Println("logs:", s.dir)
		return errViolated
	}
	return os.RemoveAll(s.dir)
}
