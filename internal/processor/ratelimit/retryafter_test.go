package ratelimit

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

func TestRetryAfterIsReadInAllItsForms(t *testing.T) {
	const days30 = 30 * 24 * time.Hour
	for _, tc := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"0", "", 0},
		{"00", "", 0},
		{"1", "", time.Second},
		{"007", "", 7 * time.Second},
		{" 120 ", "", 2 * time.Minute},
		{"2592000", "", days30},
		{"2592001", "", days30},
		{"9223372036", "", days30},
		{"9223372037", "", days30},          // of seconds: no time.Duration any more
		{"9223372036854775807", "", days30}, // the largest that can be read
		{"9223372036854775808", "", 0},
		{"99999999999999999999", "", 0},
		{"-1", "", 0},
		{"+1", "", 0},
		{"1.5", "", 0},
		{"1e3", "", 0},
		{"0x10", "", 0},
		{"5s", "", 0},
		{"5, 10", "", 0},
		{"１２", "", 0},
		{"soon", "", 0},

		{"Thu, 15 Jan 2026 12:00:30 GMT", "", 30 * time.Second},
		{"Thursday, 15-Jan-26 12:00:30 GMT", "", 30 * time.Second},
		{"Thu Jan 15 12:00:30 2026", "", 30 * time.Second},
		{"Thu, 15 Jan 2026 12:00:00 GMT", "", 0},
		{"Thu, 15 Jan 2026 11:59:59 GMT", "", 0},
		{"Thu, 01 Jan 1970 00:00:00 GMT", "", 0},
		{"Fri, 15 Jan 2027 12:00:00 GMT", "", days30},
		{"Fri, 31 Dec 9999 23:59:59 GMT", "", days30},
		{"2026-01-15T12:00:30Z", "", 0},
		{"Thu, 15 Jan 2026 12:00:30", "", 0},
		{"Thu, 32 Jan 2026 12:00:30 GMT", "", 0},

		// A clock that is an hour off, either way, and one that nobody can read.
		{"Thu, 15 Jan 2026 13:00:30 GMT", "Thu, 15 Jan 2026 13:00:00 GMT", 30 * time.Second},
		{"Thu, 15 Jan 2026 11:00:30 GMT", "Thursday, 15-Jan-26 11:00:00 GMT", 30 * time.Second},
		{"Thu, 15 Jan 2026 12:59:59 GMT", "Thu, 15 Jan 2026 13:00:00 GMT", 0},
		{"Thu, 15 Jan 2026 12:00:30 GMT", "yesterday", 30 * time.Second},
		{"30", "Thu, 15 Jan 2026 13:00:00 GMT", 30 * time.Second},
	} {
		t.Run(tc.value+"/"+tc.date, func(t *testing.T) {
			h := http.Header{}
			if tc.value != "" {
				h.Set("Retry-After", tc.value)
			}
			if tc.date != "" {
				h.Set("Date", tc.date)
			}
			require.Equal(t, tc.want, ParseRetryAfter(h, noon))
		})
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, value := range []string{"", "0", "120", "-1", "1.5", "99999999999999999999", "Thu, 15 Jan 2026 12:00:30 GMT", "Thursday, 15-Jan-26 12:00:30 GMT", "Thu Jan 15 12:00:30 2026"} {
		f.Add(value, "")
		f.Add(value, "Thu, 15 Jan 2026 11:00:00 GMT")
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		wait := ParseRetryAfter(http.Header{"Retry-After": {value}, "Date": {date}}, noon)
		require.GreaterOrEqual(t, wait, time.Duration(0))
		require.LessOrEqual(t, wait, maxRetryAfter)
	})
}
