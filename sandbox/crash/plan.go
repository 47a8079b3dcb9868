package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// plan is all that a seed decides: what is killed in which order, and what is bought meanwhile.
type plan struct {
	strikes []*strike
	// with is bought as soon as the strike of the same number is armed: the first one of each surely comes to its point.
	with [][]*purchase
}

// chargesPerKill spreads the kills over the charges, where that is enough for one kill at each point.
const chargesPerKill = 3

// newPlan strikes each point once, then each cell of the matrix that is left, and then goes on at random.
func newPlan(random *rand.Rand, charges, refunds int, sqlite bool) (*plan, error) {
	points := map[point]bool{}
	for _, c := range cells(sqlite) {
		points[c.point] = true
	}
	order := orderOf(random, cells(sqlite), min(charges, max(len(points), charges/chargesPerKill)), refunds)
	for _, c := range order {
		delete(points, c.point)
	}
	if len(points) > 0 {
		return nil, fmt.Errorf("%d charges and %d refunds are too few to reach every point: %d would be left out; with 60 and 20 there is one for each",
			charges, refunds, len(points))
	}
	p := &plan{with: make([][]*purchase, len(order))}
	draw := &drawer{random: random, refunds: refunds}
	for i, c := range order {
		p.strikes = append(p.strikes, newStrike(c, time.Duration(random.IntN(300))*time.Millisecond))
		draw.hurry = i > len(order)*2/3
		p.with[i] = append(p.with[i], draw.purchase(c.needs))
	}
	for n := len(order); n < charges; n++ {
		i := random.IntN(len(order))
		draw.hurry = i > len(order)*2/3
		p.with[i] = append(p.with[i], draw.purchase(anyPurchase))
	}
	draw.spreadRefunds(p.with)
	return p, nil
}

// orderOf are the cells to strike: not more of those that take a refund than there are refunds.
func orderOf(random *rand.Rand, all []cell, kills, refunds int) (order []cell) {
	take := func(c cell) bool {
		if len(order) == kills || c.needs.refunds() > refunds {
			return false
		}
		refunds -= c.needs.refunds()
		order = append(order, c)
		return true
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var left []cell
	seen := map[point]bool{}
	for _, c := range all {
		if seen[c.point] || !take(c) {
			left = append(left, c)
			continue
		}
		seen[c.point] = true
	}
	for _, c := range left {
		take(c)
	}
	for tries := 0; len(order) < kills && tries < 100*kills; tries++ {
		take(all[random.IntN(len(all))])
	}
	return order
}

// refunds is how many a purchase of this kind has at least.
func (n need) refunds() int {
	if n == aRefund || n == aRefundLookup {
		return 1
	}
	return 0
}
