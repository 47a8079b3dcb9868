package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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

// namespaces keep the workers of the variants apart: all of them wait for work all the time.
var namespaces = []string{"bare", "bare-two-queues", "florin", "florin-unobserved", "florin-postgres"}

// lab is what the variants share: one Temporal server, one processor, and a directory.
type lab struct {
	temporal     *server
	processorURL string
	dir          string
	cleanups     []func() error
}

func (l *lab) open(ctx context.Context, onPostgres bool) (err error) {
	if l.dir, err = os.MkdirTemp("", "florin-throughput-"); err != nil {
		return err
	}
	l.onClose(func() error { return os.RemoveAll(l.dir) })
	below := ""
	if onPostgres {
		cluster, err := l.cluster(ctx)
		if err != nil {
			return err
		}
		below = filepath.Dir(cluster.Socket())
	}
	if l.temporal, err = startServer(ctx, below); err != nil {
		return err
	}
	l.onClose(l.temporal.end)
	return l.startProcessor(ctx)
}

func (l *lab) onClose(cleanup func() error) { l.cleanups = append(l.cleanups, cleanup) }

func (l *lab) close() error {
	var errs []error
	for _, cleanup := range slices.Backward(l.cleanups) {
		errs = append(errs, cleanup())
	}
	return errors.Join(errs...)
}

// startProcessor starts the simulator, with its ledger in memory.
func (l *lab) startProcessor(ctx context.Context) error {
	sim, err := simulator.Open(ctx, simulator.Options{APIKey: processorKey})
	if err != nil {
		return err
	}
	l.onClose(sim.Close)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	serving := &http.Server{Handler: sim.Handler(), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- serving.Serve(listener) }()
	l.onClose(func() error {
		err := serving.Close()
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	l.processorURL = "http://" + listener.Addr().String()
	return nil
}

func (l *lab) dial(ctx context.Context, namespace string, options client.Options) (client.Client, error) {
	options.Namespace = namespace
	t, err := dial(ctx, l.temporal.address, options)
	if err == nil {
		l.onClose(func() error { t.Close(); return nil })
	}
	return t, err
}

// bare sets the workers of a bare variant to work.
func (l *lab) bare(ctx context.Context, name, namespace, callQueue string) (v variant, err error) {
	t, err := l.dial(ctx, namespace, client.Options{})
	if err != nil {
		return v, err
	}
	workers, err := startBare(t, l.processorURL, callQueue)
	for _, w := range workers {
		l.onClose(func() error { w.Stop(); return nil })
	}
	return bareVariant(name, t, callQueue), err
}

// florin sets our workers to work as they are by default, with their audit log in a file.
func (l *lab) florin(ctx context.Context, namespace string, store app.Store, observed bool) (client.Client, error) {
	var options client.Options
	var told *telemetry.Telemetry
	if observed {
		told = telemetry.New(nil)
		told.Temporal(&options)
	} else {
		options.Interceptors = []interceptor.ClientInterceptor{&quiet{}}
	}
	t, err := l.dial(ctx, namespace, options)
	if err != nil {
		return nil, err
	}
	key, err := l.secret(namespace+".key", processorKey)
	if err != nil {
		return nil, err
	}
	config, err := app.Config{
		Store: store, Audit: app.Audit{Path: filepath.Join(l.dir, namespace+".jsonl")},
		Processors: map[string]app.Processor{"simulator": {Adapter: "rest", BaseURL: l.processorURL, APIKey: key}},
	}.Complete()
	if err != nil {
		return nil, err
	}
	workers, err := app.NewWorkers(ctx, t, config, zap.NewNop(), told)
	if err != nil {
		return nil, err
	}
	l.onClose(func() error { workers.Stop(); return nil })
	return t, workers.Start()
}

func (l *lab) secret(name, value string) (app.Secret, error) {
	path := filepath.Join(l.dir, name)
	return app.Secret{File: path}, os.WriteFile(path, []byte(value), 0o600)
}

func (l *lab) sqlite(name string) app.Store {
	return app.Store{SQLite: filepath.Join(l.dir, name+".db")}
}

// cluster starts a PostgreSQL.
func (l *lab) cluster(ctx context.Context) (*postgrestest.Cluster, error) {
	// A directory of its own, which PostgreSQL's own user may enter.
	dir, err := os.MkdirTemp("", "florin-throughput-postgres-")
	if err != nil {
		return nil, err
	}
	l.onClose(func() error { return os.RemoveAll(dir) })
	cluster, err := postgrestest.Start(ctx, dir)
	if err == nil {
		l.onClose(cluster.Stop)
	}
	return cluster, err
}

// postgres is a store there, with our tables.
func (l *lab) postgres(ctx context.Context) (store app.Store, err error) {
	cluster, err := l.cluster(ctx)
	if err != nil {
		return store, err
	}
	if store.Postgres, err = l.secret("postgres.url", cluster.DSN()); err != nil {
		return store, err
	}
	_, _, err = store.Migrate(ctx)
	return store, err
}
