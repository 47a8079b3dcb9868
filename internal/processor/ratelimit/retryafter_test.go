package ratelimit

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

func TestParseRetryAfter(t *testing.T) {
	const days30 = 30 * 24 * time.Hour
	for _, tc := range []struct {
		value, date string
		want        time.Duration
	}{
		{value: "", want: 0},
		{value: "0", want: 0},
		{value: "00", want: 0},
		{value: "1", want: time.Second},
		{value: "007", want: 7 * time.Second},
		{value: " 120 ", want: 2 * time.Minute},
		{value: "2592000", want: days30},
		{value: "2592001", want: days30},
		{value: "9223372036", want: days30},
		{value: "9223372037", want: days30},          // beyond the range of time.Duration
		{value: "9223372036854775807", want: days30}, // the largest int64
		{value: "9223372036854775808", want: 0},
		{value: "99999999999999999999", want: 0},
		{value: "-1", want: 0},
		{value: "+1", want: 0},
		{value: "1e3", want: 0},
		{value: "1.5e3", want: 0},
		{value: "0x1p4", want: 0},
		{value: "1_000", want: 0},
		{value: "NaN", want: 0},
		{value: "Inf", want: 0},
		{value: "-Infinity", want: 0},
		{value: "0x10", want: 0},
		{value: "5s", want: 0},
		{value: "5, 10", want: 0},
		{value: "１２", want: 0},
		{value: "soon", want: 0},

		// A fraction of a second, which RFC 9110 does not have, is rounded up.
		{value: "299.997", want: 5 * time.Minute},
		{value: "1.5", want: 2 * time.Second},
		{value: "0.5", want: time.Second},
		{value: "0.0000000000000000001", want: time.Second},
		{value: "0.0", want: 0},
		{value: "5.000", want: 5 * time.Second},
		{value: "2591999.5", want: days30},
		{value: "2592000.5", want: days30},
		{value: "9223372036854775807.5", want: days30},
		{value: "9223372036854775808.5", want: 0},
		{value: "-0.5", want: 0},
		{value: "+0.5", want: 0},
		{value: ".5", want: 0},
		{value: "1.", want: 0},
		{value: ".", want: 0},
		{value: "1.2.3", want: 0},
		{value: "1. 5", want: 0},
		{value: "1,5", want: 0},
		{value: "1.5s", want: 0},

		{value: "Thu, 15 Jan 2026 12:00:30 GMT", want: 30 * time.Second},
		{value: "Thursday, 15-Jan-26 12:00:30 GMT", want: 30 * time.Second},
		{value: "Thu Jan 15 12:00:30 2026", want: 30 * time.Second},
		{value: "Thu, 15 Jan 2026 12:00:00 GMT", want: 0},
		{value: "Thu, 15 Jan 2026 11:59:59 GMT", want: 0},
		{value: "Thu, 01 Jan 1970 00:00:00 GMT", want: 0},
		{value: "Fri, 15 Jan 2027 12:00:00 GMT", want: days30},
		{value: "Fri, 31 Dec 9999 23:59:59 GMT", want: days30},
		{value: "2026-01-15T12:00:30Z", want: 0},
		{value: "Thu, 15 Jan 2026 12:00:30", want: 0},
		{value: "Thu, 32 Jan 2026 12:00:30 GMT", want: 0},

		// The processor's clock is an hour fast or slow, or its Date is unreadable.
		{value: "Thu, 15 Jan 2026 13:00:30 GMT", date: "Thu, 15 Jan 2026 13:00:00 GMT", want: 30 * time.Second},
		{value: "Thu, 15 Jan 2026 11:00:30 GMT", date: "Thursday, 15-Jan-26 11:00:00 GMT", want: 30 * time.Second},
		{value: "Thu, 15 Jan 2026 12:59:59 GMT", date: "Thu, 15 Jan 2026 13:00:00 GMT", want: 0},
		{value: "Thu, 15 Jan 2026 12:00:30 GMT", date: "yesterday", want: 30 * time.Second},
		{value: "30", date: "Thu, 15 Jan 2026 13:00:00 GMT", want: 30 * time.Second},
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
	for _, value := range []string{"", "0", "120", "-1", "1.5", "299.997", "0x1p4", "NaN", "99999999999999999999", "Thu, 15 Jan 2026 12:00:30 GMT",
		"Thursday, 15-Jan-26 12:00:30 GMT", "Thu Jan 15 12:00:30 2026"} {
		f.Add(value, "")
		f.Add(value, "Thu, 15 Jan 2026 11:00:00 GMT")
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		wait := ParseRetryAfter(http.Header{"Retry-After": {value}, "Date": {date}}, noon)
		require.GreaterOrEqual(t, wait, time.Duration(0))
		require.LessOrEqual(t, wait, maxRetryAfter)
	})
}
