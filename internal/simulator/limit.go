package simulator

// The rate limit, as a processor enforces it.

import (
	"net/http"
	"sync"
	"time"
)

// rateLimit accepts a number of calls in any second. The zero value accepts all.
type rateLimit struct {
	mu sync.Mutex
	// accepted has the times of the last calls that were accepted, as many as a second may have. The oldest is at next.
	accepted []time.Time
	next     int
}

// accepts reports whether a call that arrives now is accepted.
func (l *rateLimit) accepts(now time.Time) bool {
	if len(l.accepted) == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.accepted[l.next]) < time.Second {
		return false
	}
	l.accepted[l.next] = now
	l.next = (l.next + 1) % len(l.accepted)
	return true
}

// limited responds 429 to the calls beyond the rate limit, and executes the others.
func (s *Simulator) limited(h handler) handler {
	return func(r *http.Request) (response, error) {
		if now := s.now(); !s.limit.accepts(now) {
			return rateLimited("1")(response{}, now), nil
		}
		return h(r)
	}
}
