package workflows

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
)

func TestLookupsFollowTheScheduleOfTheStatus(t *testing.T) {
	t.Parallel()
	d := func(d time.Duration) activities.Duration { return activities.Duration(d) }
	terms := activities.Terms{
		Resolve: activities.Poll{Initial: d(2 * time.Second), Max: d(time.Minute), For: d(10 * time.Minute)},
		Pending: activities.Poll{Initial: d(5 * time.Second), Max: d(15 * time.Minute), For: d(time.Hour)},
	}
	for name, tt := range map[string]struct {
		status payment.Status
		// soon: the first lookup is an early one.
		soon bool
		// pauses are those between lookups that take no time.
		pauses []time.Duration
	}{
		"an unknown outcome": {status: payment.Unknown, pauses: []time.Duration{
			2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute}},
		"an outcome that needs reconciliation": {status: payment.NeedsReconciliation, pauses: []time.Duration{
			2 * time.Second, 4 * time.Second, 8 * time.Second}},
		"a pending payment": {status: payment.Pending, pauses: []time.Duration{
			5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second,
			320 * time.Second, 640 * time.Second, 15 * time.Minute}},
		"a payment that requires action": {status: payment.RequiresAction, pauses: []time.Duration{5 * time.Second, 10 * time.Second}},
		"an authorized payment":          {status: payment.Authorized, pauses: []time.Duration{day, day, day}},
		"an authorized payment after a failed capture": {status: payment.Authorized, soon: true, pauses: []time.Duration{
			2 * time.Second, day, day}},
		"a pending payment after a restart": {status: payment.Pending, soon: true, pauses: []time.Duration{
			2 * time.Second, 7 * time.Second, 14 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			now := baseTime
			s := newSchedule(terms, tt.status, now, tt.soon)
			for i, want := range tt.pauses {
				require.Equal(t, want, s.next(now), "pause %d", i)
				now = now.Add(want)
				s.made++
			}
		})
	}
}

func TestPollCountsTheLookupsOfTheSchedule(t *testing.T) {
	t.Parallel()
	d := func(d time.Duration) activities.Duration { return activities.Duration(d) }
	for _, poll := range []activities.Poll{
		{Initial: d(2 * time.Second), Max: d(5 * time.Minute), For: d(24 * time.Hour)}, // the defaults
		{Initial: d(5 * time.Second), Max: d(15 * time.Minute), For: d(7 * 24 * time.Hour)},
		{Initial: 1, Max: 1, For: 1},
		{Initial: 1, Max: 1, For: 5000},
		{Initial: 3, Max: 7, For: 7},
		{Initial: 3, Max: 7, For: 9},
		{Initial: 3, Max: 7, For: 10},
		{Initial: 3, Max: 7, For: 16},
		{Initial: 3, Max: 7, For: 17},
		{Initial: d(time.Nanosecond), Max: d(100000 * time.Hour), For: d(200000 * time.Hour)},
		{Initial: math.MaxInt64, Max: math.MaxInt64, For: math.MaxInt64},
	} {
		s := newSchedule(activities.Terms{Resolve: poll}, payment.Unknown, baseTime, false)
		var elapsed time.Duration
		for ; elapsed < time.Duration(poll.For); s.made++ {
			elapsed += min(s.next(baseTime.Add(elapsed)), time.Duration(poll.For)-elapsed)
		}
		require.EqualValues(t, s.made, poll.Lookups(), "%+v", poll)
	}
}

func TestPausesGrowUpToADayAfterTheEndOfTheSeries(t *testing.T) {
	t.Parallel()
	terms := activities.Terms{Resolve: activities.Poll{
		Initial: activities.Duration(time.Second), Max: activities.Duration(time.Hour), For: activities.Duration(3 * time.Hour),
	}}
	s := newSchedule(terms, payment.Unknown, baseTime, false)
	require.False(t, s.isOver(baseTime.Add(3*time.Hour-1), time.Time{}))
	require.True(t, s.isOver(baseTime.Add(3*time.Hour), time.Time{}))
	require.False(t, s.isOver(baseTime.Add(3*time.Hour), baseTime.Add(time.Minute)), "it was sent again after a minute")
	require.True(t, s.isOver(baseTime.Add(3*time.Hour+time.Minute), baseTime.Add(time.Minute)))
	now := baseTime.Add(3 * time.Hour)
	var pauses []time.Duration
	for range 8 {
		pauses = append(pauses, s.next(now))
		now = now.Add(s.next(now))
	}
	require.Equal(t, []time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 16 * time.Hour, day, day, day}, pauses)
}

func TestNewStatusStartsANewSeries(t *testing.T) {
	t.Parallel()
	terms := activities.Terms{Resolve: activities.Poll{Initial: 1, Max: 2, For: 3}, Pending: activities.Poll{Initial: 4, Max: 5, For: 6}}
	s := newSchedule(terms, payment.Unknown, baseTime, true)
	s.made = 7
	later := baseTime.Add(time.Hour)
	require.Equal(t, s, s.in(payment.Unknown, later))
	require.Equal(t, s, s.in(payment.NeedsReconciliation, later), "it continues the series of the unknown outcome")
	require.Equal(t, newSchedule(terms, payment.Pending, later, false), s.in(payment.Pending, later))
	s = newSchedule(terms, payment.NeedsReconciliation, baseTime, false)
	require.Equal(t, s, s.in(payment.Unknown, later))
}
