// Command simulator runs the payment processor simulator alone.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/healthcheck"
	"github.com/florinpay/florin/internal/simulator"
)

// developmentKey is what callers present where no key is configured. It is documented and protects nothing.
const developmentKey = "sim_dev_key"

// shutdownTimeout is how long answers under way may take once the simulator is asked to stop.
const shutdownTimeout = 10 * time.Second

type flags struct {
	listen, data, apiKeyEnv, faults, latency string
	seed                                     uint64
	pendingFor                               time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		stop()
		os.Exit(1) // cobra has printed the error
	}
}

func newCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "simulator",
		Short: "A payment processor to develop and test against",
		Long: `A payment processor to develop and test against. It moves no money.

A charge does what its card_token says: open the address in a browser for the table of tokens.
Random faults come on top, with --faults.`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), f, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:8712", "address to serve on")
	cmd.Flags().StringVar(&f.data, "data", "", "SQLite file of the ledger; without one it is in memory")
	cmd.Flags().StringVar(&f.apiKeyEnv, "api-key-env", "SIMULATOR_API_KEY",
		"environment variable with the API key; unset: the development key "+developmentKey)
	cmd.Flags().StringVar(&f.faults, "faults", "", `random faults with their probabilities, as "500=0.15,429=0.05,network=0.05"`)
	cmd.Flags().StringVar(&f.latency, "latency", "", `how long answers take, as "50ms" or "50ms-200ms"`)
	cmd.Flags().Uint64Var(&f.seed, "seed", 0, "makes random faults and latency repeatable")
	cmd.Flags().DurationVar(&f.pendingFor, "pending-for", simulator.DefaultPendingFor, "how long pending payments stay pending")
	cmd.AddCommand(healthcheck.Command("http://127.0.0.1:8712/healthz"))
	return cmd
}

// run serves until ctx ends.
func run(ctx context.Context, f flags, out io.Writer) (err error) {
	faults, err := simulator.ParseRates(f.faults)
	if err != nil {
		return fmt.Errorf("--faults: %w", err)
	}
	latency, err := simulator.ParseLatency(f.latency)
	if err != nil {
		return fmt.Errorf("--latency: %w", err)
	}
	key, keyFrom := os.Getenv(f.apiKeyEnv), "key from "+f.apiKeyEnv
	if key == "" {
		key, keyFrom = developmentKey, "development key "+developmentKey
	}
	log, err := zap.NewProduction()
	if err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	defer func() { _ = log.Sync() }() // stderr cannot be synced everywhere, and nothing is lost

	sim, err := simulator.Open(ctx, simulator.Options{
		Path: f.data, APIKey: key, Faults: faults, Latency: latency, Seed: f.seed, PendingFor: f.pendingFor, Logger: log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sim.Close()) }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; choose another address with --listen", f.listen, err)
	}
	if _, err := fmt.Fprintf(out, "simulator on http://%s (%s)\n", listener.Addr(), keyFrom); err != nil {
		return errors.Join(err, listener.Close())
	}
	return serve(ctx, listener, sim)
}

func serve(ctx context.Context, listener net.Listener, sim *simulator.Simulator) error {
	server := &http.Server{
		Handler:           sim.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      90 * time.Second, // above the minute that a hanging answer lasts
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	// The simulator first: its hanging answers would hold the server up.
	closeErr := sim.Close()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return errors.Join(closeErr, server.Shutdown(ending))
}
