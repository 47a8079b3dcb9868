package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.uber.org/zap"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/caller"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/postgrestest"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/internal/telemetry"
)

const processorKey = "sim_throughput_key"

// namespaces has a Temporal namespace for each variant: the workers of all variants poll all the time, and must not take
// each other's tasks.
var namespaces = []string{"bare", "bare-two-queues", "bare-uncompressed", "florin-inline", "florin-queued", "florin-unobserved", "florin-authorized", "florin-postgres",
	"florin-refused-0", "florin-refused-0.02", "florin-limited", "florin-memory", "florin-capacity"}

// testbed is what the variants share: one Temporal server, a simulated processor, and a directory.
type testbed struct {
	temporal *server
	// temporalDatabase and database are the PostgreSQL servers of Temporal and of Florin's store; nil: there is none.
	temporalDatabase, database *postgrestest.Cluster

	processorURL string
	dir          string
	cleanups     []func() error
}

// open starts the Temporal server, on PostgreSQL or in memory, and the processor.
func (b *testbed) open(ctx context.Context, onPostgres bool) (err error) {
	if b.dir, err = os.MkdirTemp("", "florin-throughput-"); err != nil {
		return err
	}
	b.onClose(func() error { return os.RemoveAll(b.dir) })
	socketDir := ""
	if onPostgres {
		if b.temporalDatabase, err = b.cluster(ctx); err != nil {
			return err
		}
		socketDir = filepath.Dir(b.temporalDatabase.Socket())
	}
	if b.temporal, err = startServer(ctx, socketDir); err != nil {
		return err
	}
	b.onClose(b.temporal.stop)
	_, err = b.startProcessor(ctx, simulator.Options{})
	return err
}

// onClose registers a function that close calls.
func (b *testbed) onClose(cleanup func() error) { b.cleanups = append(b.cleanups, cleanup) }

// close stops everything, in the reverse order of its start.
func (b *testbed) close() error {
	var errs []error
	for _, cleanup := range slices.Backward(b.cleanups) {
		errs = append(errs, cleanup())
	}
	return errors.Join(errs...)
}

// startProcessor starts a simulator, with its ledger in memory, for the variants that are started after it. It counts its calls.
func (b *testbed) startProcessor(ctx context.Context, o simulator.Options) (*callCounter, error) {
	o.APIKey = processorKey
	sim, err := simulator.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	b.onClose(sim.Close)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	calls := &callCounter{}
	serving := &http.Server{Handler: calls.handler(sim.Handler()), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- serving.Serve(listener) }()
	b.onClose(func() error {
		err := serving.Close()
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	b.processorURL = "http://" + listener.Addr().String()
	return calls, nil
}

// dial connects to a namespace of the Temporal server, with the SDK's defaults.
func (b *testbed) dial(ctx context.Context, namespace string, options client.Options) (client.Client, error) {
	options.Namespace = namespace
	t, err := dial(ctx, b.temporal.address, options)
	if err == nil {
		b.onClose(func() error { t.Close(); return nil })
	}
	return t, err
}

// dialer is dial or dialAsFlorin.
type dialer func(ctx context.Context, namespace string, options client.Options) (client.Client, error)

// dialAsFlorin connects as Florin's worker and its callers do: without compression.
func (b *testbed) dialAsFlorin(ctx context.Context, namespace string, options client.Options) (client.Client, error) {
	app.Uncompressed(&options)
	return b.dial(ctx, namespace, options)
}

// bare starts the workers of a bare variant.
func (b *testbed) bare(ctx context.Context, name, namespace, callQueue string, dial dialer) (v variant, err error) {
	t, err := dial(ctx, namespace, client.Options{})
	if err != nil {
		return v, err
	}
	workers, err := startBare(t, b.processorURL, callQueue)
	for _, w := range workers {
		b.onClose(func() error { w.Stop(); return nil })
	}
	return bareVariant(name, t, callQueue), err
}

// florin starts Florin's workers in their default configuration, with the audit log in a file.
func (b *testbed) florin(ctx context.Context, namespace string, store config.Store, first config.FirstAttempt) (client.Client, error) {
	var options client.Options
	metrics := telemetry.New(nil)
	metrics.Temporal(&options)
	return b.florinWith(ctx, namespace, store, first, options, metrics, config.Authorize{})
}

// unobserved is florin without summaries, details, search attributes, metrics and traces.
func (b *testbed) unobserved(ctx context.Context, namespace string, store config.Store) (client.Client, error) {
	options := client.Options{Interceptors: []interceptor.ClientInterceptor{&metadataRemover{}}}
	return b.florinWith(ctx, namespace, store, config.Inline, options, nil, config.Authorize{})
}

// authorized is florin with callers who prove who they are.
func (b *testbed) authorized(ctx context.Context, namespace string, store config.Store) (client.Client, error) {
	token, keys, err := issueToken()
	if err != nil {
		return nil, err
	}
	jwks := filepath.Join(b.dir, "jwks.json")
	if err := os.WriteFile(jwks, keys, 0o600); err != nil {
		return nil, err
	}
	options := client.Options{Interceptors: []interceptor.ClientInterceptor{
		florin.Caller(func(context.Context) (florin.Token, error) { return token, nil }),
	}}
	metrics := telemetry.New(nil)
	metrics.Temporal(&options)
	return b.florinWith(ctx, namespace, store, config.Inline, options, metrics, config.Authorize{Audience: "florin", JWKS: config.JWKS{File: jwks}})
}

// issueToken returns a token for every merchant, and the key set of its issuer.
func issueToken() (token florin.Token, keys []byte, err error) {
	_, issuer, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return token, nil, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return token, nil, err
	}
	claim := caller.Claim{
		Identity: caller.Identity{Subject: "throughput", Merchants: []string{caller.AllMerchants}, Roles: []caller.Role{caller.Service}},
		Audience: "florin", NotBefore: time.Now(), Expiry: time.Now().Add(24 * time.Hour),
	}
	if claim.Thumbprint, err = caller.Thumbprint(public); err != nil {
		return token, nil, err
	}
	token.Key = private
	if token.Claim, err = caller.Issue(claim, issuer, "issuer"); err != nil {
		return token, nil, err
	}
	keys, err = json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: issuer.Public(), KeyID: "issuer"}}})
	return token, keys, err
}

func (b *testbed) florinWith(
	ctx context.Context, namespace string, store config.Store, first config.FirstAttempt, options client.Options,
	metrics *telemetry.Telemetry, authorize config.Authorize,
) (client.Client, error) {
	t, err := b.dialAsFlorin(ctx, namespace, options)
	if err != nil {
		return nil, err
	}
	settings, err := b.settings(namespace, first, config.Config{Authorize: authorize, Store: store})
	if err != nil {
		return nil, err
	}
	workers, err := app.NewWorkers(ctx, t, settings, app.WorkersOptions{Logger: zap.NewNop(), Telemetry: metrics})
	if err != nil {
		return nil, err
	}
	b.onClose(func() error { workers.Stop(); return nil })
	return t, workers.Start()
}

// settings adds the processor and the audit log to a configuration.
func (b *testbed) settings(namespace string, first config.FirstAttempt, c config.Config) (config.Config, error) {
	key, err := b.secret(namespace+".key", processorKey)
	if err != nil {
		return c, err
	}
	c.Audit.Path = filepath.Join(b.dir, namespace+".jsonl")
	c.Processors = map[string]config.Processor{"simulator": {Adapter: "rest", BaseURL: b.processorURL, APIKey: key, FirstAttempt: first}}
	return c.Complete(app.BuiltIn)
}

// secret writes a secret to a file and returns the configuration that reads it.
func (b *testbed) secret(name, value string) (config.Secret, error) {
	path := filepath.Join(b.dir, name)
	return config.Secret{File: path}, os.WriteFile(path, []byte(value), 0o600)
}

// sqlite returns the configuration of a store in a new SQLite file.
func (b *testbed) sqlite(name string) config.Store {
	return config.Store{SQLite: filepath.Join(b.dir, name+".db")}
}

// cluster starts a new PostgreSQL server.
func (b *testbed) cluster(ctx context.Context) (*postgrestest.Cluster, error) {
	// Not in b.dir: PostgreSQL runs as the user postgres, who cannot reach that.
	dir, err := os.MkdirTemp("", "florin-throughput-postgres-")
	if err != nil {
		return nil, err
	}
	b.onClose(func() error { return os.RemoveAll(dir) })
	cluster, err := postgrestest.Start(ctx, dir)
	if err == nil {
		b.onClose(cluster.Stop)
	}
	return cluster, err
}

// postgres starts a new PostgreSQL server and returns the configuration of a store on it, with Florin's tables.
func (b *testbed) postgres(ctx context.Context) (store config.Store, err error) {
	if b.database, err = b.cluster(ctx); err != nil {
		return store, err
	}
	owner := config.Store{}
	if owner.Postgres, err = b.secret("postgres-owner.url", b.database.DSN()); err != nil {
		return store, err
	}
	const role = "florin_worker"
	dsn, err := b.database.CreateRole(ctx, role)
	if err != nil {
		return store, err
	}
	if _, _, err = app.MigrateStore(ctx, owner, role); err != nil {
		return store, err
	}
	store.Postgres, err = b.secret("postgres.url", dsn)
	return store, err
}
