// Package worker runs Florin's workflows and the calls to payment processors. The command cmd/worker is built on it. A program of
// your own can run the same worker with adapters of its own, see package processor:
//
//	err := worker.Run(ctx, worker.Options{
//		ConfigFile: "worker.yaml",
//		Adapters:   []processor.Adapter{acme.Adapter()},
//	})
//
// [Run] connects to Temporal and serves /healthz, /readyz and /metrics. With a Temporal client of your own, use [New]. examples/ownprocessor
// is a complete program.
package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/telemetry"
	"github.com/florinpay/florin/processor"
)

// Options configure a Worker. Only the configuration is required.
type Options struct {
	// ConfigFile is the path of the YAML configuration. docs/configuration.md describes every key.
	ConfigFile string
	// Config is the YAML configuration itself, for a program that keeps it elsewhere. It is used if ConfigFile is empty.
	Config []byte
	// Adapters are available to the configuration under their names, in addition to rest and stripe.
	Adapters []processor.Adapter
	// Logger receives all log lines. Nil: a logger as the configuration describes it, on standard error.
	Logger *zap.Logger
	// Metrics is where Florin registers its metrics. Nil: a registry of its own. Either way [Worker.Handler] serves it.
	Metrics *prometheus.Registry
	// TracerProvider receives spans. Nil: [New] does not trace, and [Run] traces as the OTEL_* variables say.
	TracerProvider trace.TracerProvider
	// Interceptors are added to every Temporal worker.
	Interceptors []interceptor.WorkerInterceptor

	// Namespace is that of the client given to [New], whose search attributes are checked. Default: "default". [Run]
	// ignores it.
	Namespace string
	// GrantTo is the PostgreSQL role of the workers, to which [Migrate] grants what they need. Empty: it grants nothing. [New] and
	// [Run] ignore it.
	GrantTo string
	// DataConverter is used by the client that [Run] creates. With [New] it is the client's; give it here, too, if webhooks and authorize are
	// configured: the client for signed signals needs it.
	DataConverter converter.DataConverter
}

// Worker runs the workflows and the processor calls of one configuration.
type Worker struct {
	temporal  client.Client
	namespace string
	config    config.Config
	options   app.WorkersOptions
	// addresses are those that only the function Run knows, for the log.
	addresses []zap.Field
}

// New returns a Worker on a Temporal client, whose data converter and interceptors it uses. The caller retains ownership of the
// client and must close it after Run has returned. Unlike [Run], such a Worker only logs that Temporal refuses its build because the
// deployment has too many versions, and how the client is connected is not checked: on another host, use TLS.
// Memory is the program's own affair, too: the SDK keeps up to 10,000 workflows, of 70 KB each, unless the program calls
// SetStickyWorkflowCacheSize of the SDK's package worker; worker.memory_mb of the configuration has no effect. An error describes what is
// wrong with the options or the configuration; nothing is opened before [Worker.Run].
func New(temporalClient client.Client, o Options) (*Worker, error) {
	w, err := load(o)
	if err != nil {
		return nil, err
	}
	w.temporal, w.namespace = temporalClient, o.Namespace
	if w.namespace == "" {
		w.namespace = client.DefaultNamespace
	}
	w.options.Client = client.Options{Namespace: w.namespace, DataConverter: o.DataConverter, Logger: app.TemporalLogger(w.options.Logger)}
	return w, nil
}

// load returns a Worker without a Temporal client.
func load(o Options) (*Worker, error) {
	c, adapters, err := o.load()
	if err != nil {
		return nil, err
	}
	logger := o.Logger
	if logger == nil {
		if logger, err = app.NewLogger(c.Log); err != nil {
			return nil, err
		}
	}
	metrics := telemetry.New(o.TracerProvider)
	if o.Metrics != nil {
		if metrics, err = telemetry.NewWith(o.Metrics, o.TracerProvider); err != nil {
			return nil, err
		}
	}
	return &Worker{config: c, options: app.WorkersOptions{
		Adapters: adapters, Logger: logger, Telemetry: metrics, Interceptors: o.Interceptors,
	}}, nil
}

// load reads the configuration and returns it with the adapters that it may name.
func (o Options) load() (c config.Config, adapters config.Adapters, err error) {
	if adapters, err = app.BuiltIn.With(o.Adapters...); err != nil {
		return config.Config{}, nil, err
	}
	switch {
	case o.ConfigFile != "":
		c, err = config.Load(o.ConfigFile, adapters)
	case o.Config != nil:
		c, err = config.Parse(o.Config, adapters)
	default:
		err = errors.New("is missing: set Options.ConfigFile or Options.Config")
	}
	if err != nil {
		return config.Config{}, nil, fmt.Errorf("configuration: %w", err)
	}
	return c, adapters, nil
}

// Migrate updates the configured database to this program's schema, as `worker migrate` does, and returns the versions before and
// after. PostgreSQL needs it once and after each update of Florin: a [Worker] creates only SQLite files by itself. The role in the
// configured URL becomes the owner of the tables, and a worker refuses to work as that role. With Options.GrantTo, Migrate gives
// another role exactly the privileges that a worker needs. It is safe to repeat.
func Migrate(ctx context.Context, o Options) (from, to int64, err error) {
	c, _, err := o.load()
	if err != nil {
		return 0, 0, err
	}
	return app.MigrateStore(ctx, c.Store, o.GrantTo)
}

// Handler serves GET /healthz, which is 200 while Temporal is reachable, GET /readyz, which is 200 while the store can be written and
// read, too, and GET /metrics for Prometheus.
func (w *Worker) Handler() http.Handler { return app.HealthHandler(w.temporal, w.options.Telemetry) }

// Run checks the namespace, opens the store, the audit log and the processors, and works until ctx is done. Then it lets the calls in
// flight finish, for at most worker.stop_timeout of the configuration, closes everything it has opened and returns nil. It
// returns an error if something cannot be opened, or if a Temporal worker fails. It must be called once.
func (w *Worker) Run(ctx context.Context) error {
	if err := app.CheckNamespace(ctx, w.temporal, w.namespace); err != nil {
		return err
	}
	workers, err := app.NewWorkers(ctx, w.temporal, w.config, w.options)
	if err != nil {
		return err
	}
	logger := w.options.Logger
	if err := app.SetWeights(ctx, w.temporal.WorkflowService(), w.namespace, w.config); err != nil {
		logger.Warn("all merchants keep the weights that they had", zap.Error(err)) // it is no reason to execute no payments
	}
	logger.Info("worker is running", append(w.addresses,
		zap.String("namespace", w.namespace), zap.String("webhooks", workers.WebhooksAddress()))...)
	err = workers.Run(ctx)
	logger.Info("worker stopped")
	return err
}
