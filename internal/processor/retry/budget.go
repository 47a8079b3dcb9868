package retry

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Budget bounds the retries of all calls to one processor together, so that retries do not multiply the load during an outage:
// within any ten seconds there are at most a share of the calls in that time, plus a floor for when there are few calls.
// Budget is safe for concurrent use.
type Budget struct {
	share float64
	floor int

	mu      sync.Mutex
	seconds [budgetSeconds]budgetSecond
}

// budgetSeconds is the length of the window.
const budgetSeconds = 10

// budgetSecond holds the counts of the Unix second at.
type budgetSecond struct {
	at             int64
	calls, retries int
}

// NewBudget returns a Budget that allows share retries per call, such as 0.2, plus floor retries in ten seconds.
func NewBudget(share float64, floor int) (*Budget, error) {
	switch {
	case !(share >= 0 && share <= 1): // or not a number
		return nil, fmt.Errorf("budget share %g: must be from 0 to 1", share)
	case floor < 0:
		return nil, fmt.Errorf("budget floor %d: must be 0 or above", floor)
	case share == 0 && floor == 0:
		return nil, errors.New("a budget of share 0 and floor 0 allows no retry: use no retry policy instead")
	}
	return &Budget{share: share, floor: floor}, nil
}

// CountCall counts one call, however many attempts it will have.
func (b *Budget) CountCall() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current().calls++
}

// Take takes one retry. It reports false if the budget is spent; it refills with time.
func (b *Budget) Take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left() <= 0 {
		return false
	}
	b.current().retries++
	return true
}

// Left returns how many retries are allowed now.
func (b *Budget) Left() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(b.left(), 0)
}

func (b *Budget) left() int {
	now := time.Now().Unix()
	var calls, retries int
	for _, s := range b.seconds {
		if now-s.at < budgetSeconds {
			calls += s.calls
			retries += s.retries
		}
	}
	return b.floor + int(b.share*float64(calls)) - retries
}

func (b *Budget) current() *budgetSecond {
	now := time.Now().Unix()
	s := &b.seconds[now%budgetSeconds]
	if s.at != now {
		*s = budgetSecond{at: now}
	}
	return s
}
