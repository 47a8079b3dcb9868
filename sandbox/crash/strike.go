package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// strike is one kill: of a victim, when something next passes a point.
type strike struct {
	cell
	// delay is how long the load goes on before the strike is armed.
	delay time.Duration
	// kill ends the victim; it is given when the strike is armed.
	kill func() error

	done chan struct{} // closed once the victim is dead
	held []byte        // what was on the wire, and was dropped
	when time.Time
	err  error
}

func newStrike(c cell, delay time.Duration) *strike {
	return &strike{cell: c, delay: delay, done: make(chan struct{})}
}

func (s *strike) String() string { return fmt.Sprintf("%s at %q", s.victim, s.point) }

// struck reports whether the victim was killed.
func (s *strike) struck() bool {
	select {
	case <-s.done:
		return s.err == nil
	default:
		return false
	}
}

// wait lasts until the victim is dead.
func (s *strike) wait(ctx context.Context, patience time.Duration) error {
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(patience):
		return fmt.Errorf("nothing came to the point %q in %s", s.point, patience)
	}
}

// gate is what everything on the wire passes. One strike at a time is armed.
type gate struct {
	mu    sync.Mutex
	armed *strike
}

func (g *gate) arm(s *strike) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = s
}

// disarm takes back a strike that nothing came to.
func (g *gate) disarm() { g.arm(nil) }

// errDropped is for what was held when a process was killed: it goes nowhere.
var errDropped = errors.New("dropped: a process was killed here")

// pass holds what is on the wire at a point. Where a strike waits there, it returns errDropped once the victim is dead.
func (g *gate) pass(p point, held []byte) error {
	g.mu.Lock()
	s := g.armed
	if s == nil || s.point != p {
		g.mu.Unlock()
		return nil
	}
	g.armed = nil
	g.mu.Unlock()
	s.held, s.when, s.err = held, time.Now(), s.kill()
	close(s.done)
	return errDropped
}
