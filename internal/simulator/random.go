package simulator

// Random faults and latency. They are derived from a hash of the request, not from a random sequence: concurrent
// requests would share a sequence in varying order, and a run could not be repeated.

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// randomFaults has the faults of single requests that [Rates] accepts. If a fault has two steps, each is chosen half of the time.
var randomFaults = map[string][]step{
	"401":          {before(respondWith(http.StatusUnauthorized))},
	"409":          {before(respondWith(http.StatusConflict))},
	"429":          {before(rateLimited("1"))},
	"429_fraction": {before(rateLimited("0.5"))},
	"429_object":   {before(locked)},
	batchLost:      {after(connectionReset)},
	"500":          {before(respondWith(http.StatusInternalServerError)), after(respondWith(http.StatusInternalServerError))},
	"503":          {before(respondWith(http.StatusServiceUnavailable))},
	"id_control":   {after(controlInID)},
	"network":      {before(connectionReset), after(connectionReset)},
	"timeout":      {before(noResponse), after(noResponse)},
}

// batchLost is a fault of whole batches: the response is lost after all items were executed.
const batchLost = "batch_lost"

// plainToken is the token of the charges that get a random token.
const plainToken = "tok_visa"

// injection is the random fault and the latency of one request.
type injection struct {
	step
	latency time.Duration
}

// randomnessOff reports whether there are neither random faults nor latency. Requests then need not be counted.
func (s *Simulator) randomnessOff() bool { return len(s.faults) == 0 && s.latency.Max == 0 }

// draw returns the injection of a request. name is the idempotency key or the URL query of the request; nth counts
// the requests with this name.
func (s *Simulator) draw(method, path, name string, nth int) injection {
	if s.randomnessOff() {
		return injection{step: noFault}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s\n%s\n%s\n%d", s.seed, method, path, name, nth))
	return injection{
		step:    s.faults.step(path == batchesPath, unit(sum[0:8]), unit(sum[8:16])),
		latency: s.latency.Min + time.Duration(unit(sum[16:24])*float64(s.latency.Max-s.latency.Min)),
	}
}

// drawToken returns the token whose behavior a charge has. It depends on the idempotency key alone: a fault may span several
// requests with one key, and the lookups and refunds of the payment.
func (s *Simulator) drawToken(token, key string) string {
	if token != plainToken {
		return token
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\ntoken\n%s", s.seed, key))
	if drawn := s.faults.pick(unit(sum[0:8]), isToken); drawn != "" {
		return drawn
	}
	return token
}

// unit maps eight bytes to a number in [0,1).
func unit(b []byte) float64 { return float64(binary.BigEndian.Uint64(b)>>11) / (1 << 53) }

// step chooses the fault of a request by u and one of its steps by v. Both are in [0,1). isBatch reports whether the request is a
// batch, as opposed to one of its items.
func (r Rates) step(isBatch bool, u, v float64) step {
	steps := randomFaults[r.pick(u, func(name string) bool { return !isToken(name) && (isBatch || name != batchLost) })]
	if len(steps) == 0 {
		return noFault
	}
	return steps[int(v*float64(len(steps)))]
}

// pick chooses one of the eligible names by u, which is in [0,1). It returns "" if it chooses none.
func (r Rates) pick(u float64, eligible func(name string) bool) string {
	for _, name := range r.names() {
		if !eligible(name) {
			continue
		}
		if u < r[name] {
			return name
		}
		u -= r[name]
	}
	return ""
}

// inject executes a request with its random fault and latency. A fault after the execution replaces an error response
// too.
func (s *Simulator) inject(ctx context.Context, in injection, execute func(context.Context) (response, error)) response {
	resp, _ := in.play(s.now(), func() (response, error) {
		resp, err := execute(ctx)
		if err != nil {
			resp = s.errorResponse(err)
		}
		return resp, nil
	})
	s.wait(ctx, in.latency)
	return resp
}

// maxCountedReads bounds the memory of readCounter. Above it, counting starts again at 1: reads then meet the same
// random faults as before, which does no harm.
const maxCountedReads = 1 << 20

// readCounter counts equal GET requests, and equal batches. Other POST requests are counted in the ledger, by idempotency key.
type readCounter struct {
	mu    sync.Mutex
	count map[[sha256.Size]byte]int
}

// add counts a request and returns how many requests had this name, including this one.
func (c *readCounter) add(name string) int {
	key := sha256.Sum256([]byte(name))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil || len(c.count) >= maxCountedReads {
		c.count = map[[sha256.Size]byte]int{}
	}
	c.count[key]++
	return c.count[key]
}
