package ratelimit

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what a processor can ask for, within the range of exact durations.
const maxRetryAfter = 30 * 24 * time.Hour

// ParseRetryAfter reads the Retry-After header of RFC 9110 section 10.2.3, as seconds or as any of the three
// forms of an HTTP date. A date is relative to the response's own Date if it has one, so that the
// clocks need not agree. A malformed, overflowing, zero or past value is 0, as if the header were absent; more
// than 30 days is 30 days.
func ParseRetryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if allDigits(value) {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return 0
		}
		return time.Duration(min(seconds, int64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(h.Get("Date")); err == nil {
		now = sent
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

func allDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
