// Package simulator is a payment processor for development and tests. It has the REST processor protocol, real
// idempotency, a ledger in SQLite that survives a restart, and simulated faults. The token of a charge selects a
// fault (see [Tokens]); faults can also be drawn at random (see [Rates]).
//
// The simulator shares no code with the client that it tests: a mistake in shared code would be invisible, because
// both sides would make it.
package simulator

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
)

// DefaultPendingFor is used if [Options.PendingFor] is zero.
const DefaultPendingFor = 2 * time.Second

// maxPerSecond is the highest rate limit: the simulator remembers the time of each call in a second.
const maxPerSecond = 1_000_000

// Options configures a [Simulator]. Only APIKey is required.
type Options struct {
	Path       string           // SQLite file; "" keeps the ledger in memory and discards it on Close
	APIKey     string           // the bearer key that clients must send
	Faults     Rates            // random faults; none by default
	Latency    LatencyRange     // drawn for each request; none by default
	Seed       uint64           // the same seed and the same requests lead to the same random faults
	PerSecond  int              // calls that are accepted in any second, the others get a 429; 0 means all
	PendingFor time.Duration    // time until each later change, such as from pending to succeeded; 0 means DefaultPendingFor
	Now        func() time.Time // nil means time.Now
	Logger     *zap.Logger      // nil means no logs; tokens, keys and bodies are never logged
}

// Simulator is a payment processor with one ledger. It is safe for concurrent use. Call [Simulator.Close] after use.
type Simulator struct {
	db         *sql.DB
	keyHash    [sha256.Size]byte
	faults     Rates
	latency    LatencyRange
	seed       uint64
	pendingFor time.Duration
	now        func() time.Time
	log        *zap.Logger

	limit    rateLimit
	inFlight keySet
	reads    readCounter

	mu      sync.Mutex // guards closed; begin holds it, so that active does not grow once closed is set
	closed  bool
	active  sync.WaitGroup
	closing chan struct{}
}

// Open opens the ledger, or creates it if the file is missing. The caller must close the simulator.
func Open(ctx context.Context, o Options) (*Simulator, error) {
	if o.APIKey == "" {
		return nil, errors.New("simulator: no API key: set Options.APIKey to the bearer key that clients send")
	}
	if err := o.Faults.validate(); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	if err := o.Latency.validate(); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	if o.PerSecond < 0 || o.PerSecond > maxPerSecond {
		return nil, fmt.Errorf("simulator: %d calls per second: must be between 0 and %d", o.PerSecond, maxPerSecond)
	}
	if o.PendingFor < 0 {
		return nil, fmt.Errorf("simulator: pending for %s: must not be negative", o.PendingFor)
	}
	if o.PendingFor == 0 {
		o.PendingFor = DefaultPendingFor
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	db, err := openStore(ctx, o.Path)
	if err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	return &Simulator{
		db:         db,
		keyHash:    sha256.Sum256([]byte(o.APIKey)),
		faults:     o.Faults,
		latency:    o.Latency,
		seed:       o.Seed,
		pendingFor: o.PendingFor,
		now:        o.Now,
		log:        o.Logger,
		limit:      rateLimit{accepted: make([]time.Time, o.PerSecond)},
		closing:    make(chan struct{}),
	}, nil
}

// Close closes requests that are held open without a response, waits for running requests and closes the ledger.
// Later requests get a 503. A second Close has no effect.
func (s *Simulator) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.active.Wait()
	return s.db.Close()
}

// begin reports whether a request may use the ledger, which it may until Close is called. If it returns true, the
// caller must call s.active.Done once.
func (s *Simulator) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.active.Add(1)
	return true
}

// wait returns after d, or earlier when ctx ends or the simulator closes.
func (s *Simulator) wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-s.closing:
	}
}
