package httpclient

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const (
	defaultConnectionAge = 5 * time.Minute
	// ageJitter is the share of the maximum age by which an age may be shorter, so that the workers that were started together do
	// not all connect again at the same time.
	ageJitter = 0.2
)

// connections are the connections of a client. A connection that is never idle would be used forever: after a failover in DNS,
// the worker would stay with the old address. So the pool of connections is replaced before the maximum age. Calls in flight
// continue on the connections of the old pool, which are closed when they become idle; this is the same for HTTP/1 and HTTP/2.
type connections struct {
	// settings are those of each pool. It has no connections itself.
	settings *http.Transport
	maxAge   time.Duration

	mu    sync.Mutex
	pool  *http.Transport
	until time.Time
}

// transport returns the pool for the next request.
func (c *connections) transport() *http.Transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); !now.Before(c.until) {
		retired := c.pool
		c.pool = c.settings.Clone()
		c.until = now.Add(time.Duration(float64(c.maxAge) * (1 - ageJitter*rand.Float64()))) //nolint:gosec // not a secret
		if retired != nil {
			retired.CloseIdleConnections()
		}
	}
	return c.pool
}

// closeIdle closes the idle connections.
func (c *connections) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pool != nil {
		c.pool.CloseIdleConnections()
	}
}
