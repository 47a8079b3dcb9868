package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/postgrestest"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/internal/telemetry"
)

const processorKey = "sim_throughput_key"

// The variants, by their place in a round.
const (
	bare = iota
	bareOnTwoQueues
	asynchronous
	synchronous
	unobserved
	onPostgres // where there is one
)

func run(ctx context.Context, out io.Writer, s size) (err error) {
	var cleanups []func() error
	defer func() {
		for _, cleanup := range cleanups {
			err = errors.Join(err, cleanup())
		}
	}()
	onEnd := func(cleanup func() error) { cleanups = append([]func() error{cleanup}, cleanups...) }

	dir, err := os.MkdirTemp("", "florin-throughput-")
	if err != nil {
		return err
	}
	onEnd(func() error { return os.RemoveAll(dir) })
	temporal, err := startServer(ctx)
	if err != nil {
		return err
	}
	onEnd(temporal.end)
	processorURL, closeProcessor, err := startProcessor(ctx)
	if err != nil {
		return err
	}
	onEnd(closeProcessor)

	plain, err := dial(ctx, temporal.address, nil)
	if err != nil {
		return err
	}
	onEnd(func() error { plain.Close(); return nil })
	told := telemetry.New(nil)
	observed, err := dial(ctx, temporal.address, told)
	if err != nil {
		return err
	}
	onEnd(func() error { observed.Close(); return nil })
	muted, err := dial(ctx, temporal.address, nil, &quiet{})
	if err != nil {
		return err
	}
	onEnd(func() error { muted.Close(); return nil })

	config, err := configure(dir, processorURL)
	if err != nil {
		return err
	}
	variants := []variant{
		bare:            newBare("bare workflow, one HTTP activity", plain, processorURL, bareQueue),
		bareOnTwoQueues: newBare("bare, the call on a queue of its own", plain, processorURL, bareCallQueue),
		asynchronous:    newFlorin("Florin, asynchronous", observed, config, told, false),
		synchronous:     newFlorin("Florin, synchronous", observed, config, told, true),
		unobserved:      newFlorin("Florin, asynchronous, observability off", muted, config, nil, false),
	}
	if dsn, stop, err := startPostgres(ctx); err != nil {
		fmt.Fprintf(out, "without PostgreSQL: %v\n", err)
	} else {
		onEnd(stop)
		other, err := onPostgreSQL(ctx, dir, config, dsn)
		if err != nil {
			return err
		}
		variants = append(variants, newFlorin("Florin, asynchronous, store on PostgreSQL", observed, other, told, false))
	}
	rounds, err := alternate(ctx, out, temporal, variants, s)
	if err != nil {
		return err
	}
	return report(ctx, out, plain, variants, rounds)
}

// alternate makes the rounds. Each begins with another variant, so that none is always the first or the last.
func alternate(ctx context.Context, out io.Writer, temporal *server, variants []variant, s size) ([][]round, error) {
	rounds := make([][]round, s.rounds)
	for i := range rounds {
		rounds[i] = make([]round, len(variants))
		for j := range variants {
			v := (i + j) % len(variants)
			r, err := measure(ctx, temporal, variants[v], fmt.Sprintf("round-%d-%d", i, v), s)
			if err != nil {
				return nil, err
			}
			rounds[i][v] = r
		}
		fmt.Fprintf(out, "round %d of %d: bare %.0f/s, ours %.0f/s\n", i+1, s.rounds, rounds[i][bare].perSecond, rounds[i][asynchronous].perSecond)
	}
	return rounds, nil
}

func dial(ctx context.Context, address string, told *telemetry.Telemetry, interceptors ...interceptor.ClientInterceptor) (client.Client, error) {
	options := client.Options{HostPort: address, Logger: app.TemporalLogger(zap.NewNop()), Interceptors: interceptors}
	told.Temporal(&options)
	return client.DialContext(ctx, options)
}

func freePort(ctx context.Context) (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.Join(errors.New("not TCP"), listener.Close())
	}
	return address.Port, listener.Close()
}

// startProcessor is the simulator, with its ledger in memory.
func startProcessor(ctx context.Context) (url string, stop func() error, err error) {
	sim, err := simulator.Open(ctx, simulator.Options{APIKey: processorKey})
	if err != nil {
		return "", nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, errors.Join(err, sim.Close())
	}
	serving := &http.Server{Handler: sim.Handler(), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- serving.Serve(listener) }()
	return "http://" + listener.Addr().String(), func() error {
		err := serving.Close()
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return errors.Join(err, sim.Close())
	}, nil
}

// configure is the worker's configuration as it is by default, with the audit log in a file.
func configure(dir, processorURL string) (app.Config, error) {
	key := filepath.Join(dir, "processor.key")
	if err := os.WriteFile(key, []byte(processorKey), 0o600); err != nil {
		return app.Config{}, err
	}
	return app.Config{
		Store: app.Store{SQLite: filepath.Join(dir, "florin.db")},
		Audit: app.Audit{Path: filepath.Join(dir, "audit.jsonl")},
		Processors: map[string]app.Processor{
			"simulator": {Adapter: "rest", BaseURL: processorURL, APIKey: app.Secret{File: key}},
		},
	}.Complete()
}

func startPostgres(ctx context.Context) (dsn string, stop func() error, err error) {
	if err := postgrestest.Available(); err != nil {
		return "", nil, err
	}
	// A directory of its own, which PostgreSQL's own user may enter.
	dir, err := os.MkdirTemp("", "florin-throughput-postgres-")
	if err != nil {
		return "", nil, err
	}
	cluster, err := postgrestest.Start(ctx, dir)
	if err != nil {
		return "", nil, err
	}
	return cluster.DSN(), func() error { return errors.Join(cluster.Stop(), os.RemoveAll(dir)) }, nil
}

// onPostgreSQL is the configuration with the store there.
func onPostgreSQL(ctx context.Context, dir string, config app.Config, dsn string) (app.Config, error) {
	path := filepath.Join(dir, "postgres.url")
	if err := os.WriteFile(path, []byte(dsn), 0o600); err != nil {
		return config, err
	}
	config.Store = app.Store{Postgres: app.Secret{File: path}}
	_, _, err := config.Store.Migrate(ctx)
	return config, err
}
