package main

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// arrival is a request that the simulator has received.
type arrival struct {
	at time.Time
	// worker has sent it. It is a charge, or otherwise a lookup.
	worker string
	charge bool
}

// arrivals records all requests before the simulator handles them.
type arrivals struct {
	mu  sync.Mutex
	all []arrival
}

// record returns a handler that records the requests for next. The worker is in the idempotency key or the reference.
func (a *arrivals) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		key := r.Header.Get("Idempotency-Key")
		charge := key != ""
		if !charge {
			key = r.URL.Query().Get("reference")
		}
		worker, _, _ := strings.Cut(key, "-")
		a.mu.Lock()
		a.all = append(a.all, arrival{at: at, worker: worker, charge: charge})
		a.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// between returns the arrivals from one time to another.
func (a *arrivals) between(from, to time.Time) (found []arrival) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.all {
		if !one.at.Before(from) && one.at.Before(to) {
			found = append(found, one)
		}
	}
	return found
}

// busiestSecond returns the highest number of arrivals within a second, and how many arrivals were more than the limit when
// they came. The arrivals are in the order of their times, except for those that came at nearly the same time.
func busiestSecond(all []arrival, limit float64) (highest, violations int) {
	first := 0
	for i, one := range all {
		for all[first].at.Before(one.at.Add(-time.Second)) {
			first++
		}
		n := i - first + 1
		highest = max(highest, n)
		if float64(n) > limit {
			violations++
		}
	}
	return highest, violations
}

func charges(all []arrival, worker string) (n int) {
	for _, one := range all {
		if one.charge && (worker == "" || one.worker == worker) {
			n++
		}
	}
	return n
}
