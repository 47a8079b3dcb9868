package ratelimit

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what a processor can ask for, within the range of exact durations.
const maxRetryAfter = 30 * 24 * time.Hour

// ParseRetryAfter reads the Retry-After header of RFC 9110 section 10.2.3, as seconds or as any of the three
// forms of an HTTP date. Some processors send a fraction of a second, such as 299.997, although the RFC has only whole
// seconds: it is rounded up, because ignoring it would send the next call at once. A date is relative to the response's own
// Date if it has one, so that the clocks need not agree. A malformed, overflowing, zero or past value is 0, as if the header
// were absent; more than 30 days is 30 days.
func ParseRetryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, ok := parseSeconds(value); ok {
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

// parseSeconds reads digits, or digits with a fraction that is rounded up. There is no sign and no exponent. ok is false if
// the value is not of this form or overflows.
func parseSeconds(value string) (seconds int64, ok bool) {
	whole, fraction, hasFraction := strings.Cut(value, ".")
	if !allDigits(whole) || hasFraction && !allDigits(fraction) {
		return 0, false
	}
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, false
	}
	if strings.Trim(fraction, "0") != "" && seconds < math.MaxInt64 {
		seconds++
	}
	return seconds, true
}

func allDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
