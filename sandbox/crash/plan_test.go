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

func TestEveryPlanKillsAtEveryPoint(t *testing.T) {
	for _, tt := range []struct {
		name             string
		charges, refunds int
		sqlite           bool
		everyCell        bool // every victim is killed at every point
	}{
		{name: "the default load", charges: 300, refunds: 100, everyCell: true},
		{name: "the smallest load", charges: 60, refunds: 20},
		{name: "the default load with SQLite", charges: 300, refunds: 100, sqlite: true, everyCell: true},
		{name: "the smallest load with SQLite", charges: 60, refunds: 20, sqlite: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(50) {
				p := planned(t, seed, tt.charges, tt.refunds, tt.sqlite)
				points, killed := map[point]bool{}, map[cell]bool{}
				for i, k := range p.kills {
					points[k.point], killed[k.cell] = true, true
					require.NotEmpty(t, p.purchases[i], "a purchase reaches the point")
				}
				for _, c := range cells(tt.sqlite) {
					require.True(t, points[c.point], c.point)
					require.True(t, !tt.everyCell || killed[c], "%v", c)
				}
				charges, refunds := 0, 0
				for _, purchase := range slices.Concat(p.purchases...) {
					charges++
					refunds += len(purchase.refunds)
				}
				require.Equal(t, tt.charges, charges)
				require.Equal(t, tt.refunds, refunds)
			}
		})
	}
}

func TestPointsOfPostgreSQLAreSkippedAndListedWithSQLite(t *testing.T) {
	for _, k := range planned(t, 1, 60, 20, true).kills {
		require.NotEqual(t, database, k.victim)
		require.NotContains(t, string(k.point), "store: ")
	}
	for _, exchange := range []string{beginPayment, recordPayment, reserveRefund, recordRefund} {
		require.Contains(t, skippedWithSQLite(), string(at(exchange, before)))
		require.Contains(t, skippedWithSQLite(), string(at(exchange, after)))
	}
}

func TestEqualSeedsGiveEqualPlans(t *testing.T) {
	describe := func(p *plan) (text []string) {
		for i, k := range p.kills {
			text = append(text, fmt.Sprint(k, k.delay))
			for _, one := range p.purchases[i] {
				text = append(text, fmt.Sprint(one.charge, one.modification, one.async, len(one.refunds)))
			}
		}
		return text
	}
	first, same, other := planned(t, 7, 60, 20, false), planned(t, 7, 60, 20, false), planned(t, 8, 60, 20, false)
	require.Equal(t, describe(first), describe(same))
	require.NotEqual(t, describe(first), describe(other))
}

func TestTooFewChargesOrRefundsAreAnError(t *testing.T) {
	for _, tt := range []struct{ charges, refunds int }{
		{charges: 0, refunds: 0},
		{charges: 20, refunds: 20},
		{charges: 300, refunds: 5},
	} {
		_, err := newPlan(rand.New(rand.NewPCG(1, 0)), tt.charges, tt.refunds, false)
		require.ErrorContains(t, err, "too few to reach every point")
	}
}
