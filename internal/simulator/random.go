package simulator

// Random faults and latency. They are drawn from a hash of the request, not from a sequence that concurrent requests
// would share, so that a run can be repeated.

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// randomFaults are the names that Rates knows. Where two steps are given each strikes half of the time.
var randomFaults = map[string][]step{
	"401":     {before(failing(http.StatusUnauthorized))},
	"409":     {before(failing(http.StatusConflict))},
	"429":     {before(limited("1"))},
	"500":     {before(failing(http.StatusInternalServerError)), after(failing(http.StatusInternalServerError))},
	"503":     {before(failing(http.StatusServiceUnavailable))},
	"network": {before(resetting), after(resetting)},
	"timeout": {before(hanging), after(hanging)},
}

// luck is what chance does to one request.
type luck struct {
	step
	latency time.Duration
}

// calm says that chance is off, so that nobody needs to count requests for it.
func (s *Simulator) calm() bool { return len(s.faults) == 0 && s.latency.Max == 0 }

// draw gives the nth request of this name, which is its idempotency key or its URL query, its luck.
func (s *Simulator) draw(method, path, name string, nth int) luck {
	if s.calm() {
		return luck{step: honestly}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s\n%s\n%s\n%d", s.seed, method, path, name, nth))
	return luck{
		step:    s.faults.pick(unit(sum[0:8]), unit(sum[8:16])),
		latency: s.latency.Min + time.Duration(unit(sum[16:24])*float64(s.latency.Max-s.latency.Min)),
	}
}

// unit reads eight bytes as a number in [0,1).
func unit(b []byte) float64 { return float64(binary.BigEndian.Uint64(b)>>11) / (1 << 53) }

// pick chooses a fault by where u falls, and by v which of its steps.
func (r Rates) pick(u, v float64) step {
	for _, name := range r.names() {
		if u < r[name] {
			steps := randomFaults[name]
			return steps[int(v*float64(len(steps)))]
		}
		u -= r[name]
	}
	return honestly
}

// chance runs next as luck has it. A fault that strikes after it also hides a refusal.
func (s *Simulator) chance(ctx context.Context, l luck, next func(context.Context) (answer, error)) answer {
	a, _ := l.play(s.now(), func() (answer, error) {
		a, err := next(ctx)
		if err != nil {
			a = s.answerTo(err)
		}
		return a, nil
	})
	s.hold(ctx, l.latency)
	return a
}

// maxTally bounds the memory of reads that were seen. Past it counting starts anew, which only repeats luck.
const maxTally = 1 << 20

// tally counts reads. Writes are counted in the ledger, by their key.
type tally struct {
	mu    sync.Mutex
	count map[[sha256.Size]byte]int
}

// add returns how often name was seen, this time included.
func (t *tally) add(name string) int {
	key := sha256.Sum256([]byte(name))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == nil || len(t.count) >= maxTally {
		t.count = map[[sha256.Size]byte]int{}
	}
	t.count[key]++
	return t.count[key]
}
