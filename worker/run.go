package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/telemetry"
)

// Run connects to the Temporal server that the TEMPORAL_* environment variables and profiles name, serves /healthz, /readyz and
// /metrics at the configured address, and runs a [Worker] until ctx is done. It refuses a server on another host that TLS does not
// verify, unless the environment variable FLORIN_TEMPORAL_INSECURE is "true". It closes everything that it has opened. It returns nil if it
// was stopped by ctx, and otherwise an error that names the remedy if there is one.
//
// Run treats the process as its own: it bounds the memory of the Go runtime and the cache of workflows, as worker.memory_mb of the
// configuration describes. A program with other work than this, or with other Temporal workers, uses [New].
func Run(ctx context.Context, o Options) (err error) {
	w, err := load(o)
	if err != nil {
		return err
	}
	logger := w.options.Logger
	app.BoundMemory(w.config.Worker, logger)
	setting := "health.listen"
	if o.ConfigFile != "" {
		setting += " in " + o.ConfigFile
	}
	listener, err := app.Listen(ctx, w.config.Health.Listen, setting)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // closed already if it was served
	if o.TracerProvider == nil {
		spans, err := telemetry.StartTracing(ctx, logger)
		if err != nil {
			return err
		}
		if spans != nil {
			defer flush(ctx, spans, logger)
			w.options.Telemetry.Trace(spans)
		}
	}
	temporal, options, err := app.Dial(ctx, app.TemporalLogger(logger), func(options *client.Options) {
		options.DataConverter = o.DataConverter
		w.options.Telemetry.Temporal(options)
		w.options.Refused = app.WatchRefusals(options)
	})
	if err != nil {
		return err
	}
	defer temporal.Close()
	w.temporal, w.namespace, w.options.Client = temporal, options.Namespace, options
	w.addresses = []zap.Field{zap.String("temporal", options.HostPort), zap.String("health", listener.Addr().String())}

	// /healthz is served until the last call in flight has finished.
	health := app.HealthServer(w.Handler())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := health.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving /healthz: %w", err)
		}
		return nil
	})
	group.Go(func() error { return errors.Join(w.Run(ctx), health.Close()) })
	return group.Wait()
}

// flush sends the remaining spans.
func flush(ctx context.Context, spans *sdktrace.TracerProvider, logger *zap.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := spans.Shutdown(ctx); err != nil {
		logger.Warn("the last spans were not sent", zap.Error(err))
	}
}
