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
)

const (
	loopback = "127.0.0.1"
	apiKey   = "sim_crash_key" //nolint:gosec // protects nothing
)

// system is everything that runs: the processes, and the proxies between them.
type system struct {
	// dir has the logs and the databases.
	dir  string
	gate gate
	// doors are those of the proxies, by the victim behind them.
	doors     map[victim]*door
	processes map[victim]*process
	cluster   *postgrestest.Cluster // nil: SQLite
	// storeDSN is that of the database itself, simulatorURL that of the simulator itself.
	storeDSN, simulatorURL string
	// temporal is a connection to the Temporal server itself, as a service has one; client is Florin's on it.
	temporal client.Client
	client   *florin.Client
	cleanups []func() error
}

// startSystem starts everything in order. What it returns has to be stopped, also with an error.
func startSystem(ctx context.Context, sqlite bool) (*system, error) {
	s := &system{doors: map[victim]*door{}, processes: map[victim]*process{}}
	var err error
	if s.dir, err = os.MkdirTemp("", "florin-crash-"); err != nil {
		return s, err
	}
	// The user postgres has to reach what is its own in there.
	if err := os.Chmod(s.dir, 0o711); err != nil { //nolint:gosec // nobody can list it
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
	port, err := quietPort(ctx)
	if err != nil {
		return err
	}
	address := net.JoinHostPort(loopback, port)
	if s.temporal, err = client.NewLazyClient(client.Options{
		HostPort: address, Logger: app.TemporalLogger(zap.NewNop()),
		ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{grpc.WithConnectParams(quickly)}},
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
	proxy, disconnect, err := newTemporalProxy(&s.gate, address)
	if err != nil {
		return err
	}
	s.onStop(disconnect)
	return s.serve(ctx, temporal, proxy.Serve, func() error { proxy.Stop(); return nil })
}

// namespaceReady: a worker could start.
func (s *system) namespaceReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return app.CheckNamespace(ctx, s.temporal, client.DefaultNamespace)
}

func (s *system) startSimulator(ctx context.Context) error {
	port, err := quietPort(ctx)
	if err != nil {
		return err
	}
	address := net.JoinHostPort(loopback, port)
	s.simulatorURL = "http://" + address
	s.processes[simulated] = &process{
		name: string(simulated), dir: s.dir, env: []string{"SIMULATOR_API_KEY=" + apiKey},
		arguments: []string{filepath.Join(s.dir, "simulator"), "--listen", address, "--data", filepath.Join(s.dir, "ledger.db"), "--pending-for", "1s"},
		ready:     func(ctx context.Context) error { return healthy(ctx, s.simulatorURL+"/healthz") },
	}
	if err := s.run(ctx, simulated); err != nil {
		return err
	}
	server := newProcessorProxy(&s.gate, address)
	return s.serve(ctx, simulated, server.Serve, server.Close)
}

// startStore makes the database and its tables.
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
		s.storeDSN = s.cluster.DSN()
		if _, _, err := store.Migrate(ctx, s.storeDSN); err != nil {
			return err
		}
		proxy := &databaseProxy{gate: &s.gate, socket: s.cluster.Socket()}
		return s.serve(ctx, database, func(l net.Listener) error { return proxy.serve(ctx, l) }, s.shut(database))
	}
}

func (s *system) startWorker(ctx context.Context) error {
	port, err := quietPort(ctx)
	if err != nil {
		return err
	}
	health := net.JoinHostPort(loopback, port)
	config, err := s.writeWorkerConfig(health)
	if err != nil {
		return err
	}
	s.processes[worker] = &process{
		name: string(worker), dir: s.dir, arguments: []string{filepath.Join(s.dir, "worker"), "--config", config},
		env:   []string{"TEMPORAL_ADDRESS=" + s.doors[temporal].address, "SIMULATOR_API_KEY=" + apiKey},
		ready: func(ctx context.Context) error { return healthy(ctx, "http://"+health+"/healthz") },
	}
	return s.run(ctx, worker)
}

// run starts a process, which ends with the system.
func (s *system) run(ctx context.Context, v victim) error {
	p := s.processes[v]
	s.onStop(p.kill)
	return p.start(ctx)
}

// serve opens the door to a victim and lets a proxy serve there.
func (s *system) serve(ctx context.Context, v victim, serve func(net.Listener) error, stop func() error) error {
	port, err := quietPort(ctx)
	if err != nil {
		return err
	}
	d, err := newDoor(ctx, net.JoinHostPort(loopback, port))
	if err != nil {
		return err
	}
	s.doors[v] = d
	ended := make(chan error, 1)
	go func() { ended <- serve(d) }()
	s.onStop(func() error {
		err := errors.Join(d.Close(), stop())
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) && !errors.Is(served, net.ErrClosed) && !errors.Is(served, grpc.ErrServerStopped) {
			err = errors.Join(err, served)
		}
		return err
	})
	return nil
}

// shut closes the door to a victim for good.
func (s *system) shut(v victim) func() error {
	return func() error { return s.doors[v].Close() }
}

// kill ends a victim; nobody reaches it any more.
func (s *system) kill(ctx context.Context, v victim) error {
	if d := s.doors[v]; d != nil {
		d.shut()
	}
	if v == database {
		return s.cluster.Kill(ctx)
	}
	return s.processes[v].kill()
}

// revive starts a victim again and opens the door to it.
func (s *system) revive(ctx context.Context, v victim) error {
	var err error
	if v == database {
		err = s.cluster.StartAgain(ctx)
	} else {
		err = s.processes[v].start(ctx)
	}
	if d := s.doors[v]; err == nil && d != nil {
		err = d.open(ctx)
	}
	return err
}

// carryOut strikes as planned, and has the load go on meanwhile.
func (s *system) carryOut(ctx context.Context, p *plan, l *load) error {
	journal, err := os.Create(filepath.Join(s.dir, "strikes.log"))
	if err != nil {
		return err
	}
	defer journal.Close()
	for i, one := range p.strikes {
		select {
		case <-time.After(one.delay):
		case <-ctx.Done():
			return ctx.Err()
		}
		one.kill = func() error { return s.kill(ctx, one.victim) }
		began := time.Now()
		s.gate.arm(one)
		l.buy(p.with[i])
		if err := one.wait(ctx, patience); err != nil {
			s.gate.disarm()
			return fmt.Errorf("strike %d, %s: %w", i+1, one, err)
		}
		if err := s.revive(ctx, one.victim); err != nil {
			return fmt.Errorf("after strike %d, %s: %w", i+1, one, err)
		}
		if _, err := fmt.Fprintf(journal, "%s strike %d: %s; it took %s to come to it, and %s to come back\n", one.when.Format("15:04:05.000"), i+1, one,
			one.when.Sub(began).Round(time.Millisecond), time.Since(one.when).Round(time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}

func (s *system) onStop(f func() error) { s.cleanups = append(s.cleanups, f) }

// stop ends all, the last first.
func (s *system) stop() error {
	var errs []error
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		errs = append(errs, s.cleanups[i]())
	}
	s.cleanups = nil
	return errors.Join(errs...)
}

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
	_ = response.Body.Close() // only its status matters
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
