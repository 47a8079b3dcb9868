// Command simulator serves a simulated payment processor: package simulator over HTTP.
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

// developmentKey is the API key if none is configured. It is public and protects nothing.
const developmentKey = "sim_dev_key"

// shutdownTimeout bounds the wait for requests in flight after SIGINT or SIGTERM.
const shutdownTimeout = 10 * time.Second

type flags struct {
	listen, data, apiKeyEnv, faults, latency string
	seed                                     uint64
	perSecond                                int
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
		Short: "Serve a simulated payment processor for development and tests",
		Long: `Serve a simulated payment processor for development and tests. It moves no money.

The card_token of a charge selects a fault, or none: open the address in a browser for the table of tokens.
With --faults, random faults occur in addition.`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), f, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:8712", "address to serve on")
	cmd.Flags().StringVar(&f.data, "data", "", "SQLite file of the ledger; without it, the ledger is in memory")
	cmd.Flags().StringVar(&f.apiKeyEnv, "api-key-env", "SIMULATOR_API_KEY",
		"environment variable that has the API key; if it is not set, the key is "+developmentKey)
	cmd.Flags().StringVar(&f.faults, "faults", "",
		`random faults with their probabilities, such as "500=0.15,429=0.05,network=0.05". `+simulator.FaultNames)
	cmd.Flags().StringVar(&f.latency, "latency", "", `latency of responses, such as "50ms" or "50ms-200ms"`)
	cmd.Flags().Uint64Var(&f.seed, "seed", 0,
		"seed of the random faults and latency: the same seed and requests give the same faults")
	cmd.Flags().IntVar(&f.perSecond, "rate-limit", 0,
		"calls that are accepted in any second, the others get a 429; 0: all")
	cmd.Flags().DurationVar(&f.pendingFor, "pending-for", simulator.DefaultPendingFor,
		"time until pending payments and refunds become final")
	cmd.AddCommand(healthcheck.Command("http://127.0.0.1:8712/healthz"))
	return cmd
}

// run serves until ctx is done.
func run(ctx context.Context, f flags, out io.Writer) (err error) {
	faults, err := simulator.ParseRates(f.faults)
	if err != nil {
		return fmt.Errorf("--faults: %w", err)
	}
	latency, err := simulator.ParseLatency(f.latency)
	if err != nil {
		return fmt.Errorf("--latency: %w", err)
	}
	key, keySource := os.Getenv(f.apiKeyEnv), "API key from "+f.apiKeyEnv
	if key == "" {
		key, keySource = developmentKey, "development API key "+developmentKey
	}
	log, err := zap.NewProduction()
	if err != nil {
		return fmt.Errorf("logger: %w", err)
	}
	defer func() { _ = log.Sync() }() // standard error does not support Sync on every platform; it is not buffered

	sim, err := simulator.Open(ctx, simulator.Options{
		Path: f.data, APIKey: key, Faults: faults, Latency: latency, Seed: f.seed, PerSecond: f.perSecond, PendingFor: f.pendingFor,
		Logger: log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sim.Close()) }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: choose another address with --listen: %w", f.listen, err)
	}
	if _, err := fmt.Fprintf(out, "serving http://%s (%s)\n", listener.Addr(), keySource); err != nil {
		return errors.Join(err, listener.Close())
	}
	return serve(ctx, listener, sim)
}

func serve(ctx context.Context, listener net.Listener, sim *simulator.Simulator) error {
	server := &http.Server{
		Handler:           sim.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      90 * time.Second, // longer than the 60 s for which a request without a response stays open
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	serveErr := make(chan error, 1)
	go func() { serveErr <- server.Serve(listener) }()
	select {
	case err := <-serveErr:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	// Close the simulator first: Shutdown waits for requests, including those that are held open without a response.
	closeErr := sim.Close()
	shutdownCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return errors.Join(closeErr, server.Shutdown(shutdownCtx))
}
