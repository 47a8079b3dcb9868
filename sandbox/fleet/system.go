package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/florinpay/florin/internal/postgrestest"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/process"
)

// system is the system under test: worker processes, the database that they share, and the simulator, which this process serves.
type system struct {
	options
	dir, dsn, url string
	store         *store.Store
	arrivals      arrivals
	workers       map[string]*process.Process

	mu       sync.Mutex
	demands  map[string]float64
	cleanups []func() error
}

// startSystem starts everything but the workers. The caller must stop the returned system, even after an error.
func startSystem(ctx context.Context, o options) (*system, error) {
	s := &system{options: o, workers: map[string]*process.Process{}, demands: map[string]float64{}}
	var err error
	if s.dir, err = os.MkdirTemp("", "florin-fleet-"); err != nil {
		return s, err
	}
	if err := s.startStore(ctx); err != nil {
		return s, err
	}
	return s, s.startSimulator(ctx)
}

func (s *system) startStore(ctx context.Context) (err error) {
	s.dsn = "sqlite://" + filepath.Join(s.dir, "florin.db")
	if !s.sqlite {
		if err := os.Chmod(s.dir, 0o711); err != nil { //nolint:gosec // the user postgres must reach its directory in there
			return err
		}
		dir := filepath.Join(s.dir, "postgres")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		cluster, err := postgrestest.Start(ctx, dir)
		s.onStop(cluster.Stop)
		if err != nil {
			return err
		}
		s.dsn = cluster.DSN()
	}
	if _, _, err := store.Migrate(ctx, s.dsn); err != nil {
		return err
	}
	if s.store, err = store.Open(ctx, s.dsn, store.AllowOwner(true)); err != nil {
		return err
	}
	s.onStop(s.store.Close)
	return nil
}

// startSimulator serves the simulator, and the demands of the workers.
func (s *system) startSimulator(ctx context.Context) error {
	simulated, err := simulator.Open(ctx, simulator.Options{APIKey: apiKey})
	if err != nil {
		return err
	}
	s.onStop(simulated.Close)
	mux := http.NewServeMux()
	mux.Handle("/", s.arrivals.record(simulated.Handler()))
	mux.HandleFunc("GET /demand/{worker}", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, _ = fmt.Fprint(w, s.demands[r.PathValue("worker")])
	})
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.url = "http://" + listener.Addr().String()
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	s.onStop(func() error {
		err := server.Close()
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	return nil
}

// start starts a worker process, and returns once it has registered in the store.
func (s *system) start(ctx context.Context, name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p := &process.Process{
		Name: name, Dir: s.dir, Arguments: []string{
			self, "worker", "--name", name, "--store", s.dsn, "--simulator", s.url,
			"--per-second", strconv.FormatFloat(s.limit, 'g', -1, 64), "--burst", strconv.Itoa(s.burst),
		},
		Ready: func(ctx context.Context) error {
			shares, err := s.shares(ctx)
			if err == nil && !slices.Contains(shares, name) {
				err = errors.New("it has not registered")
			}
			return err
		},
	}
	s.workers[name] = p
	s.onStop(p.Kill)
	return p.Start(ctx)
}

// shares returns the workers whose leases have not ended.
func (s *system) shares(ctx context.Context) (names []string, err error) {
	all, err := s.store.Processors(ctx)
	for _, p := range all {
		for _, share := range p.Shares {
			if p.Now.Before(share.LeaseUntil) {
				names = append(names, share.Worker)
			}
		}
	}
	return names, err
}

// demand sets the calls per second of each worker; those that are not named have none.
func (s *system) demand(demands map[string]float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.demands = demands
}

// all returns the same demand for each of the named workers.
func all(perSecond float64, workers ...string) map[string]float64 {
	demands := map[string]float64{}
	for _, name := range workers {
		demands[name] = perSecond
	}
	return demands
}

// control changes the control of the processor, as an operator's command does.
func (s *system) control(ctx context.Context, action payment.ControlAction, perSecond float64) error {
	_, err := s.store.ControlProcessor(ctx, payment.ControlChange{
		Processor: processorName, Action: action, PerSecond: perSecond, By: "fleet", Reason: "the fleet test",
	})
	return err
}

// lock keeps the lock under which workers renew their shares, as a database does that hangs.
func (s *system) lock(ctx context.Context, d time.Duration) error {
	locked, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := s.store.RenewShares(locked, []string{processorName}, func(store.ProcessorShares) (store.RateShare, []string) {
		<-locked.Done()
		return store.RateShare{}, nil
	})
	if err == nil || ctx.Err() != nil {
		return fmt.Errorf("the lock: want the end of its time, got: %w", errors.Join(err, ctx.Err()))
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
