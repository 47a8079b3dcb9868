package ratelimit

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseQuotaReturnsTheTightestQuota(t *testing.T) {
	for header, want := range map[string]*Quota{
		`"default";r=50;t=30`:                        {Remaining: 50, Reset: 30 * time.Second},
		`"burst";r=100;t=60, "daily";r=1000;t=36000`: {Remaining: 1000, Reset: time.Hour},
		`"daily";r=100000;t=1800, "burst";r=1;t=1`:   {Remaining: 1, Reset: time.Second},
		`"none";r=0;t=5`:                             {Remaining: 0, Reset: 5 * time.Second},
		`"default";r=5;t=99999999999`:                {Remaining: 5, Reset: time.Hour},
		`default;r=5;t=5`: {Remaining: 5,
			Reset: 5 * time.Second}, // a token instead of a string, as in older drafts
		`"a";r=5, "b";t=5, "c"`:            nil,
		`"a";r=-1;t=5`:                     nil,
		`"a";r=5;t=0`:                      nil,
		`"a";r=5;t=-3`:                     nil,
		`"a";r="5";t=5`:                    nil,
		`"a";r=1.5;t=5`:                    nil,
		`("a";r=5;t=5)`:                    nil,
		`limit=100, remaining=50, reset=5`: nil,
		`"unclosed;r=5;t=5`:                nil,
		``:                                 nil,
	} {
		got, ok := ParseQuota(http.Header{"Ratelimit": {header}})
		require.Equal(t, want != nil, ok, header)
		if want != nil {
			require.Equal(t, *want, got, header)
		}
	}
	_, ok := ParseQuota(http.Header{})
	require.False(t, ok)
}

func TestQuotaWithoutAResetTimeUsesTheWindowOfItsPolicy(t *testing.T) {
	for policy, want := range map[string]*Quota{
		`"default";q=100;w=60`:                   {Remaining: 50, Reset: time.Minute},
		`"other";q=1;w=1, "default";q=100;w=120`: {Remaining: 50, Reset: 2 * time.Minute},
		`default;q=100;w=30`:                     {Remaining: 50, Reset: 30 * time.Second},
		`"default";q=100`:                        nil,
		`"default";q=100;w=0`:                    nil,
		`"other";q=100;w=60`:                     nil,
		`:ZGVmYXVsdA==:;q=100;w=60`:              nil,
		`"default;q=100;w=60`:                    nil,
	} {
		got, ok := ParseQuota(http.Header{"Ratelimit": {`"default";r=50, :ZGVmYXVsdA==:;r=1`}, "Ratelimit-Policy": {policy}})
		require.Equal(t, want != nil, ok, policy)
		if want != nil {
			require.Equal(t, *want, got, policy)
		}
	}
	got, _ := ParseQuota(http.Header{"Ratelimit": {`"default";r=50;t=7`}, "Ratelimit-Policy": {`"default";q=100;w=60`}})
	require.Equal(t, Quota{Remaining: 50, Reset: 7 * time.Second}, got, "the reset time takes precedence over the window")
}

func TestQuotaSlowsTheLimiterDownUntilItsReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0, 1, time.Minute)
		l.Pace(Quota{Remaining: 5, Reset: 10 * time.Second})
		began := time.Now()
		for range 5 {
			require.NoError(t, l.Wait(t.Context()))
		}
		require.GreaterOrEqual(t, time.Since(began), 8*time.Second, "one call per two seconds")
		<-time.After(10 * time.Second)
		began = time.Now()
		for range 100 {
			require.NoError(t, l.Wait(t.Context()))
		}
		require.Zero(t, time.Since(began))
	})
}

func TestQuotaNeverRaisesTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 1, time.Minute)
		l.Pace(Quota{Remaining: 1000, Reset: time.Second})
		began := time.Now()
		for range 4 {
			require.NoError(t, l.Wait(t.Context()))
		}
		require.Equal(t, 3*time.Second, time.Since(began))
	})
}
