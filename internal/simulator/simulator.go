// Package simulator is a payment processor to develop and test against: the REST processor protocol, real
// idempotency, a ledger in SQLite that survives a restart, and faults on request. A fault is asked for by the token
// a charge is made with (Tokens), or drawn at random (Rates).
//
// It is an independent book: it shares no code with the client it tests, so that both cannot be wrong alike.
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

// DefaultPendingFor is how long a pending payment stays so when Options.PendingFor is zero.
const DefaultPendingFor = 2 * time.Second

// Options say how a simulator behaves. Only APIKey is required.
type Options struct {
	Path       string           // SQLite file; "" keeps the ledger in memory, gone after Close
	APIKey     string           // the bearer key callers must present
	Faults     Rates            // random faults, none by default
	Latency    LatencyRange     // drawn for each request, none by default
	Seed       uint64           // the same seed and the same requests meet the same faults
	PendingFor time.Duration    // how long pending and requires_action last before they settle; 0: DefaultPendingFor
	Now        func() time.Time // nil: time.Now
	Logger     *zap.Logger      // nil: no logs; tokens, keys and bodies never enter it
}

// Simulator is a processor with one ledger. It is safe for concurrent use; Close it after use.
type Simulator struct {
	db         *sql.DB
	keyHash    [sha256.Size]byte
	faults     Rates
	latency    LatencyRange
	seed       uint64
	pendingFor time.Duration
	now        func() time.Time
	log        *zap.Logger

	inFlight keySet
	seen     tally

	mu      sync.Mutex // guards closed, and that no request enters once it is set
	closed  bool
	active  sync.WaitGroup
	closing chan struct{}
}

// Open opens or creates the ledger. The caller closes the simulator.
func Open(ctx context.Context, o Options) (*Simulator, error) {
	if o.APIKey == "" {
		return nil, errors.New("simulator: no API key: set Options.APIKey to the bearer key that callers present")
	}
	if err := o.Faults.validate(); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	if err := o.Latency.validate(); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
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
		closing:    make(chan struct{}),
	}, nil
}

// Close ends hanging answers, waits for requests that are being executed and closes the ledger. Requests that come
// later are refused with 503. Closing twice is harmless.
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

// enter admits a request for as long as it needs the ledger; false once the simulator closes. Each true is followed
// by one s.active.Done.
func (s *Simulator) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.active.Add(1)
	return true
}

// hold waits for d, but not longer than the caller stays or the simulator is open.
func (s *Simulator) hold(ctx context.Context, d time.Duration) {
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
