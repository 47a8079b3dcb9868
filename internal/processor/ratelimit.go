package processor

import (
	"iter"
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
//	RateLimit: "burst";r=50;t=30, "daily";r=1200
//	RateLimit-Policy: "burst";q=100;w=60, "daily";q=5000;w=86400
//
// and returns the quota that allows the fewest calls a second. One that does not say when it is full again (t) has to
// last for the window (w) of the policy with its name. What has neither, and nonsense, is passed over; ok is false where
// nothing is left.
func ParseQuota(h http.Header) (tightest Quota, ok bool) {
	limits := h["Ratelimit"] // the name as Header.Values would have to make it
	if len(limits) == 0 {
		return Quota{}, false
	}
	for name, item := range items(limits) {
		remaining, hasRemaining := whole(item, "r")
		reset, hasReset := whole(item, "t")
		if !hasReset {
			reset, hasReset = window(h, name)
		}
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

// window is that of the policy with the name, in seconds.
func window(h http.Header, policy string) (seconds int64, ok bool) {
	for name, item := range items(h["Ratelimit-Policy"]) {
		if name == policy {
			return whole(item, "w")
		}
	}
	return 0, false
}

// items are those of a list of RFC 9651 that have a name: a string, or as in older drafts a token.
func items(lines []string) iter.Seq2[string, httpsfv.Item] {
	return func(yield func(string, httpsfv.Item) bool) {
		list, err := httpsfv.UnmarshalList(lines)
		if err != nil {
			return
		}
		for _, member := range list {
			item, ok := member.(httpsfv.Item)
			if !ok {
				continue
			}
			name, ok := item.Value.(string)
			if token, isToken := item.Value.(httpsfv.Token); isToken {
				name, ok = string(token), true
			}
			if ok && !yield(name, item) {
				return
			}
		}
	}
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
