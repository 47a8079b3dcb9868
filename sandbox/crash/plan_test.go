package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func planned(t *testing.T, seed uint64, charges, refunds int, sqlite bool) *plan {
	t.Helper()
	p, err := newPlan(rand.New(rand.NewPCG(seed, 0)), charges, refunds, sqlite)
	require.NoError(t, err)
	return p
}

func TestEveryPlanStrikesEveryPoint(t *testing.T) {
	for _, tt := range []struct {
		charges, refunds int
		sqlite           bool
		everyCell        bool
	}{
		{300, 100, false, true},
		{60, 20, false, false},
		{300, 100, true, true},
		{60, 20, true, false},
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			for seed := range uint64(50) {
				p := planned(t, seed, tt.charges, tt.refunds, tt.sqlite)
				points, struck := map[point]bool{}, map[cell]bool{}
				for i, s := range p.strikes {
					points[s.point], struck[s.cell] = true, true
					require.NotEmpty(t, p.with[i], "something comes to it")
				}
				for _, c := range cells(tt.sqlite) {
					require.True(t, points[c.point], c.point)
					require.True(t, !tt.everyCell || struck[c], "%v", c)
				}
				charges, refunds := 0, 0
				for _, purchase := range slices.Concat(p.with...) {
					charges++
					refunds += len(purchase.refunds)
				}
				require.Equal(t, tt.charges, charges)
				require.Equal(t, tt.refunds, refunds)
			}
		})
	}
}

func TestWithoutPostgreSQLItsPointsAreLeftOutAndNamed(t *testing.T) {
	for _, s := range planned(t, 1, 60, 20, true).strikes {
		require.NotEqual(t, database, s.victim)
		require.NotContains(t, string(s.point), "store: ")
	}
	for _, what := range []string{begin, record, reserve, settleWrite} {
		require.Contains(t, leftOut(), string(at(what, before)))
		require.Contains(t, leftOut(), string(at(what, after)))
	}
}

func TestASeedDecidesEverything(t *testing.T) {
	describe := func(p *plan) (text []string) {
		for i, s := range p.strikes {
			text = append(text, fmt.Sprint(s, s.delay))
			for _, one := range p.with[i] {
				text = append(text, fmt.Sprint(one.charge, one.order, one.async, len(one.refunds)))
			}
		}
		return text
	}
	one, again, other := planned(t, 7, 60, 20, false), planned(t, 7, 60, 20, false), planned(t, 8, 60, 20, false)
	require.Equal(t, describe(one), describe(again))
	require.NotEqual(t, describe(one), describe(other))
}

func TestTooLittleLoadIsAnError(t *testing.T) {
	for _, tt := range []struct{ charges, refunds int }{{0, 0}, {20, 20}, {300, 5}} {
		_, err := newPlan(rand.New(rand.NewPCG(1, 0)), tt.charges, tt.refunds, false)
		require.ErrorContains(t, err, "too few to reach every point")
	}
}
