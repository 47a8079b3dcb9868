package processor

import (
	"net/http"
	"time"

	"github.com/dunglas/httpsfv"
)

// Quota is what a processor says is left of a rate limit.
type Quota struct {
	// Remaining calls may be made until Reset has passed.
	Remaining int64
	Reset     time.Duration
}

// maxQuotaReset bounds how long a quota is believed.
const maxQuotaReset = time.Hour

// ParseQuota reads the RateLimit header of draft-ietf-httpapi-ratelimit-headers, such as
//
//	RateLimit: "burst";r=50;t=30, "daily";r=1200;t=36000
//
// and returns the quota that allows the fewest calls a second. A policy without r or t, and nonsense, are passed
// over; ok is false where nothing is left.
func ParseQuota(h http.Header) (tightest Quota, ok bool) {
	lines := h["Ratelimit"] // the name as Values would have to make it
	if len(lines) == 0 {
		return Quota{}, false
	}
	policies, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return Quota{}, false
	}
	for _, policy := range policies {
		item, isItem := policy.(httpsfv.Item)
		if !isItem {
			continue
		}
		remaining, hasRemaining := whole(item, "r")
		reset, hasReset := whole(item, "t")
		if !hasRemaining || !hasReset || remaining < 0 || reset <= 0 {
			continue
		}
		q := Quota{Remaining: remaining, Reset: maxQuotaReset}
		if reset < int64(maxQuotaReset/time.Second) {
			q.Reset = time.Duration(reset) * time.Second
		}
		if !ok || q.perSecond() < tightest.perSecond() {
			tightest, ok = q, true
		}
	}
	return tightest, ok
}

func whole(item httpsfv.Item, parameter string) (int64, bool) {
	value, ok := item.Params.Get(parameter)
	if !ok {
		return 0, false
	}
	n, ok := value.(int64)
	return n, ok
}

func (q Quota) perSecond() float64 { return float64(q.Remaining) / q.Reset.Seconds() }
