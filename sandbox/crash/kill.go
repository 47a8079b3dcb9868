package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// kill is one planned kill: of a victim, when a message next reaches a point.
type kill struct {
	cell
	// delay is how long the load continues before the kill is armed.
	delay time.Duration
	// killVictim kills the victim. It is set when the kill is armed.
	killVictim func() error

	done     chan struct{} // closed once the victim is dead
	message  []byte        // the message that reached the point; the proxy drops it
	killedAt time.Time
	err      error
}

func newKill(c cell, delay time.Duration) *kill {
	return &kill{cell: c, delay: delay, done: make(chan struct{})}
}

func (k *kill) String() string { return fmt.Sprintf("%s at %q", k.victim, k.point) }

// succeeded reports whether the victim was killed.
func (k *kill) succeeded() bool {
	select {
	case <-k.done:
		return k.err == nil
	default:
		return false
	}
}

// wait returns once the victim is dead. It returns an error if that fails or takes longer than timeout.
func (k *kill) wait(ctx context.Context, timeout time.Duration) error {
	select {
	case <-k.done:
		return k.err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(timeout):
		return fmt.Errorf("no message reached the point %q within %s", k.point, timeout)
	}
}

// trigger executes the armed kill when a message reaches its point. The proxies pass it every message. At most one kill is
// armed at a time.
type trigger struct {
	mu    sync.Mutex
	armed *kill
}

func (t *trigger) arm(k *kill) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.armed = k
}

// disarm cancels a kill whose point no message has reached.
func (t *trigger) disarm() { t.arm(nil) }

// errDropped is returned for a message during which a process was killed: the proxy must not forward it.
var errDropped = errors.New("message dropped: a process was killed at this point")

// reach is called when a message has reached a point, and before it is forwarded. If a kill is armed there, reach returns
// errDropped once the victim is dead.
func (t *trigger) reach(p point, message []byte) error {
	t.mu.Lock()
	k := t.armed
	if k == nil || k.point != p {
		t.mu.Unlock()
		return nil
	}
	t.armed = nil
	t.mu.Unlock()
	k.message, k.killedAt, k.err = message, time.Now(), k.killVictim()
	close(k.done)
	return errDropped
}
