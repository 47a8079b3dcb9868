package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/postgrestest"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/sandbox/process"
)

const (
	loopback = "127.0.0.1"
	// reachTimeout is how long it may take until a message reaches the point of an armed kill and the victim is dead.
	reachTimeout = 60 * time.Second
	// pendingFor is when the simulator makes each later change of a payment or refund.
	pendingFor = time.Second
	apiKey     = "sim_crash_key" //nolint:gosec // protects nothing
	// workerRole is the worker's role in PostgreSQL.
	workerRole = "florin_worker"
)

// system is the system under test: the processes, and the proxies between them.
type system struct {
	// dir contains the logs and the databases.
	dir     string
	trigger trigger
	// listeners are the listeners of the proxies, by the victim behind the proxy.
	listeners map[victim]*proxyListener
	processes map[victim]*process.Process
	cluster   *postgrestest.Cluster // nil with SQLite
	// storeDSN and simulatorURL bypass the proxies.
	storeDSN, simulatorURL string
	// webhooksURL is the worker's endpoint for events.
	webhooksURL string
	// temporal and client bypass the proxies, too: they are the connection of a service to the Temporal server.
	temporal client.Client
	client   *florin.Client
	cleanups []func() error
}

// startSystem starts all processes and proxies. The caller must stop the returned system, even after an error.
func startSystem(ctx context.Context, sqlite bool) (*system, error) {
	s := &system{listeners: map[victim]*proxyListener{}, processes: map[victim]*process.Process{}}
	var err error
	if s.dir, err = os.MkdirTemp("", "florin-crash-"); err != nil {
		return s, err
	}
	// PostgreSQL runs as the user postgres, who must reach its directory in there.
	if err := os.Chmod(s.dir, 0o711); err != nil { //nolint:gosec // other users cannot list it
		return s, err
	}
	if err := build(ctx, s.dir); err != nil {
		return s, err
	}
	for _, start := range []func(context.Context) error{s.startTemporal, s.startSimulator, s.startStore(sqlite), s.startWorker} {
		if err := start(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *system) startTemporal(ctx context.Context) error {
	port, err := stablePort(ctx)
	if err != nil {
		return err
	}
	address := net.JoinHostPort(loopback, port)
	if s.temporal, err = client.NewLazyClient(client.Options{
		HostPort: address, Logger: app.TemporalLogger(zap.NewNop()),
		ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{grpc.WithConnectParams(fastReconnect)}},
	}); err != nil {
		return err
	}
	s.onStop(func() error { s.temporal.Close(); return nil })
	s.client = florin.NewClient(s.temporal, florin.Options{})
	if s.processes[temporal], err = s.temporalProcess(ctx, port); err != nil {
		return err
	}
	if err := s.run(ctx, temporal); err != nil {
		return err
	}
	proxy, disconnect, err := newTemporalProxy(&s.trigger, address)
	if err != nil {
		return err
	}
	s.onStop(disconnect)
	return s.serve(ctx, temporal, proxy.Serve, func() error { proxy.Stop(); return nil })
}

// namespaceReady returns an error until a worker could start.
func (s *system) namespaceReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return app.CheckNamespace(ctx, s.temporal, client.DefaultNamespace)
}

func (s *system) startSimulator(ctx context.Context) error {
	port, err := stablePort(ctx)
	if err != nil {
		return err
	}
	address := net.JoinHostPort(loopback, port)
	s.simulatorURL = "http://" + address
	s.processes[simulated] = &process.Process{
		Name: string(simulated), Dir: s.dir, Env: []string{"SIMULATOR_API_KEY=" + apiKey},
		Arguments: []string{
			filepath.Join(s.dir, "simulator"), "--listen", address, "--data", filepath.Join(s.dir, "ledger.db"), "--pending-for", pendingFor.String(),
		},
		Ready: func(ctx context.Context) error { return healthy(ctx, s.simulatorURL+"/healthz") },
	}
	if err := s.run(ctx, simulated); err != nil {
		return err
	}
	server := newProcessorProxy(&s.trigger, address)
	return s.serve(ctx, simulated, server.Serve, server.Close)
}

// startStore starts the database and creates the tables.
func (s *system) startStore(sqlite bool) func(context.Context) error {
	return func(ctx context.Context) error {
		if sqlite {
			s.storeDSN = "sqlite://" + filepath.Join(s.dir, "florin.db")
			_, _, err := store.Migrate(ctx, s.storeDSN)
			return err
		}
		dir := filepath.Join(s.dir, "postgres")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		var err error
		s.cluster, err = postgrestest.Start(ctx, dir)
		s.onStop(s.cluster.Stop)
		if err != nil {
			return err
		}
		if _, _, err := store.Migrate(ctx, s.cluster.DSN()); err != nil {
			return err
		}
		if s.storeDSN, err = s.cluster.CreateRole(ctx, workerRole); err != nil {
			return err
		}
		if err := store.Grant(ctx, s.cluster.DSN(), workerRole); err != nil {
			return err
		}
		proxy := &databaseProxy{trigger: &s.trigger, socket: s.cluster.Socket()}
		return s.serve(ctx, database, func(l net.Listener) error { return proxy.serve(ctx, l) }, s.closeListener(database))
	}
}

func (s *system) startWorker(ctx context.Context) error {
	port, err := stablePort(ctx)
	if err != nil {
		return err
	}
	health := net.JoinHostPort(loopback, port)
	if port, err = stablePort(ctx); err != nil {
		return err
	}
	webhooks := net.JoinHostPort(loopback, port)
	s.webhooksURL = "http://" + webhooks
	config, err := s.writeWorkerConfig(health, webhooks)
	if err != nil {
		return err
	}
	s.processes[worker] = &process.Process{
		Name: string(worker), Dir: s.dir, Arguments: []string{filepath.Join(s.dir, "worker"), "--config", config},
		Env:   []string{"TEMPORAL_ADDRESS=" + s.listeners[temporal].address, "SIMULATOR_API_KEY=" + apiKey, "SIMULATOR_WEBHOOK_SECRET=" + webhookSecret},
		Ready: func(ctx context.Context) error { return healthy(ctx, "http://"+health+"/healthz") },
	}
	return s.run(ctx, worker)
}

// run starts a process. It is killed when the system is stopped.
func (s *system) run(ctx context.Context, v victim) error {
	p := s.processes[v]
	s.onStop(p.Kill)
	return p.Start(ctx)
}

// serve lets a proxy serve on a new listener for the victim behind it.
func (s *system) serve(ctx context.Context, v victim, serve func(net.Listener) error, stop func() error) error {
	port, err := stablePort(ctx)
	if err != nil {
		return err
	}
	l, err := newProxyListener(ctx, net.JoinHostPort(loopback, port))
	if err != nil {
		return err
	}
	s.listeners[v] = l
	ended := make(chan error, 1)
	go func() { ended <- serve(l) }()
	s.onStop(func() error {
		err := errors.Join(l.Close(), stop())
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) && !errors.Is(served, net.ErrClosed) &&
			!errors.Is(served, grpc.ErrServerStopped) {
			err = errors.Join(err, served)
		}
		return err
	})
	return nil
}

// closeListener returns a function that closes the listener of the proxy before a victim.
func (s *system) closeListener(v victim) func() error {
	return func() error { return s.listeners[v].Close() }
}

// kill suspends the proxy before a victim, then kills the victim.
func (s *system) kill(ctx context.Context, v victim) error {
	if l := s.listeners[v]; l != nil {
		l.suspend()
	}
	if v == database {
		return s.cluster.Kill(ctx)
	}
	return s.processes[v].Kill()
}

// restart starts a killed victim, then the listener of the proxy before it.
func (s *system) restart(ctx context.Context, v victim) error {
	var err error
	if v == database {
		err = s.cluster.StartAgain(ctx)
	} else {
		err = s.processes[v].Start(ctx)
	}
	if l := s.listeners[v]; err == nil && l != nil {
		err = l.listen(ctx)
	}
	return err
}

// execute executes the planned kills one after the other, and makes the purchases meanwhile.
func (s *system) execute(ctx context.Context, p *plan, l *load) error {
	journal, err := os.OpenFile(filepath.Join(s.dir, "kills.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer journal.Close()
	for i, k := range p.kills {
		select {
		case <-time.After(k.delay):
		case <-ctx.Done():
			return ctx.Err()
		}
		k.killVictim = func() error { return s.kill(ctx, k.victim) }
		armed := time.Now()
		s.trigger.arm(k)
		l.start(p.purchases[i])
		if err := k.wait(ctx, reachTimeout); err != nil {
			s.trigger.disarm()
			return fmt.Errorf("kill %d, %s: %w", i+1, k, err)
		}
		if err := s.restart(ctx, k.victim); err != nil {
			return fmt.Errorf("restart after kill %d, %s: %w", i+1, k, err)
		}
		if _, err := fmt.Fprintf(journal, "%s kill %d: %s; the point was reached after %s, the restart took %s\n",
			k.killedAt.Format("15:04:05.000"), i+1, k,
			k.killedAt.Sub(armed).Round(time.Millisecond), time.Since(k.killedAt).Round(time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}

// onStop registers a function that stop calls.
func (s *system) onStop(f func() error) { s.cleanups = append(s.cleanups, f) }

// stop stops everything, in the reverse order of its start.
func (s *system) stop() error {
	var errs []error
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		errs = append(errs, s.cleanups[i]())
	}
	s.cleanups = nil
	return errors.Join(errs...)
}

// healthy returns an error unless a GET request to the URL returns status 200.
func healthy(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close() // Only the status matters.
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s returned %s: want 200 OK", url, response.Status)
	}
	return nil
}
