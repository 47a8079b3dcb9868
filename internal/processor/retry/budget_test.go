package retry

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func newBudget(t *testing.T, share float64, floor int) *Budget {
	t.Helper()
	b, err := NewBudget(share, floor)
	require.NoError(t, err)
	return b
}

// spend takes retries until the budget is empty and returns how many.
func spend(b *Budget) (taken int) {
	for b.Take() {
		taken++
	}
	return taken
}

func TestBudgetIsAShareOfTheRecentCallsPlusAFloor(t *testing.T) {
	for name, tc := range map[string]struct {
		share       float64
		floor       int
		calls, want int
	}{
		"floor only": {share: 0.2, floor: 10, want: 10},
		"both":       {share: 0.2, floor: 10, calls: 100, want: 30},
		"share only": {share: 0.5, calls: 7, want: 3},
		"no share":   {floor: 2, calls: 1000, want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBudget(t, tc.share, tc.floor)
				for range tc.calls {
					b.CountCall()
				}
				require.Equal(t, tc.want, b.Left())
				require.Equal(t, tc.want, spend(b))
				require.Zero(t, b.Left())
			})
		})
	}
}

func TestSpentBudgetRefillsOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, 0.5, 3)
		for range 4 {
			b.CountCall()
		}
		require.Equal(t, 5, spend(b))
		<-time.After(9 * time.Second)
		require.Zero(t, spend(b), "less than ten seconds have passed")
		<-time.After(time.Second)
		require.Equal(t, 3, spend(b), "the floor only: the calls are no longer recent")
		<-time.After(time.Hour)
		require.Equal(t, 3, b.Left())
	})
}

func TestInvalidBudgetIsRefused(t *testing.T) {
	for want, b := range map[string]struct {
		share float64
		floor int
	}{"share -0.1": {share: -0.1, floor: 1}, "share 1.1": {share: 1.1, floor: 1}, "floor -1": {share: 0.1, floor: -1},
		"no retry": {share: 0, floor: 0}} {
		_, err := NewBudget(b.share, b.floor)
		require.ErrorContains(t, err, want)
	}
}
