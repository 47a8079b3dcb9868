package ratelimit

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDelayIsWhatAFurtherCallWouldWait(t *testing.T) {
	for _, tt := range []struct {
		name      string
		perSecond float64
		calls     int // that have a token or wait for one
		further   int
		want      time.Duration
	}{
		{name: "no limit", calls: 100, further: 100},
		{name: "within the burst", perSecond: 10, calls: 2, further: 3},
		{name: "the first after the burst", perSecond: 10, calls: 5, further: 1, want: 100 * time.Millisecond},
		{name: "behind calls that wait", perSecond: 10, calls: 9, further: 2, want: 600 * time.Millisecond},
		{name: "a rate of nearly nothing", perSecond: 1e-9, calls: 5, further: 1, want: maxRetryAfter},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New(tt.perSecond, 5, time.Hour)
				for range tt.calls {
					go func() { _ = l.Wait(t.Context()) }()
				}
				synctest.Wait()
				require.InDelta(t, tt.want, l.Delay(tt.further), float64(time.Millisecond))
			})
		})
	}
}

func TestDelayDoesNotCountAHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(10, 5, time.Hour)
		l.Hold(time.Minute)
		require.Zero(t, l.Delay(1))
		require.Positive(t, l.Delay(math.MaxInt32))
	})
}

func TestDelayWithoutAShareOfTheRateIsTheLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(10, 5, time.Hour)
		for _, p := range []Permit{{PerSecond: 0, Burst: 0}, {PerSecond: 10, Burst: 0}, {PerSecond: 10, Burst: 5, Until: time.Now()}} {
			l.Permit(p)
			require.Equal(t, maxRetryAfter, l.Delay(1), "%+v", p)
		}
		l.Permit(Permit{PerSecond: math.Inf(1)})
		require.Zero(t, l.Delay(100))
	})
}
