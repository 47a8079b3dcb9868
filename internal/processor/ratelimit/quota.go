package ratelimit

import (
	"iter"
	"net/http"
	"time"

	"github.com/dunglas/httpsfv"
)

// Quota is the rest of a rate limit, as the processor reports it.
type Quota struct {
	// Remaining calls may be made until Reset has passed.
	Remaining int64
	Reset     time.Duration
}

// maxQuotaReset bounds how long a reported quota is used.
const maxQuotaReset = time.Hour

// ParseQuota reads the RateLimit header of draft-ietf-httpapi-ratelimit-headers, such as
//
//	RateLimit: "burst";r=50;t=30, "daily";r=1200
//	RateLimit-Policy: "burst";q=100;w=60, "daily";q=5000;w=86400
//
// and returns the quota that allows the fewest calls a second. A limit without a reset time (t) is taken to
// last for the window (w) of the policy with its name. Limits with neither and malformed ones are ignored; ok is false if none
// remains.
func ParseQuota(h http.Header) (tightest Quota, ok bool) {
	limits := h["Ratelimit"] // the canonical name, as Header.Values would compute it
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

// window returns the window of the named policy, in seconds.
func window(h http.Header, policy string) (seconds int64, ok bool) {
	for name, item := range items(h["Ratelimit-Policy"]) {
		if name == policy {
			return whole(item, "w")
		}
	}
	return 0, false
}

// items yields the named members of an RFC 9651 list. A name is a string or, in older drafts, a token.
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
