package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// plan is everything that the seed decides: which process is killed at which point, in which order, and which purchases
// are made meanwhile.
type plan struct {
	kills []*kill
	// purchases[i] are made as soon as kills[i] is armed. The first one of them is certain to reach its point.
	purchases [][]*purchase
}

// chargesPerKill is the number of charges for each kill, unless that gives fewer kills than there are points.
const chargesPerKill = 3

// newPlan plans one kill at each point, then one for each remaining cell of the matrix, then kills of random cells.
func newPlan(random *rand.Rand, charges, refunds int, sqlite bool) (*plan, error) {
	unreached := map[point]bool{}
	for _, c := range cells(sqlite) {
		unreached[c.point] = true
	}
	chosen := chooseCells(random, cells(sqlite), min(charges, max(len(unreached), charges/chargesPerKill)), refunds)
	for _, c := range chosen {
		delete(unreached, c.point)
	}
	if len(unreached) > 0 {
		return nil, fmt.Errorf("%d charges and %d refunds are too few to reach every point: "+
			"%d points are not reached; want at least 60 charges and 20 refunds",
			charges, refunds, len(unreached))
	}
	p := &plan{purchases: make([][]*purchase, len(chosen))}
	g := &generator{random: random, refundsLeft: refunds}
	for i, c := range chosen {
		p.kills = append(p.kills, newKill(c, time.Duration(random.IntN(300))*time.Millisecond))
		g.skipSlow = i > len(chosen)*2/3
		p.purchases[i] = append(p.purchases[i], g.purchase(c.needs))
	}
	for n := len(chosen); n < charges; n++ {
		i := random.IntN(len(chosen))
		g.skipSlow = i > len(chosen)*2/3
		p.purchases[i] = append(p.purchases[i], g.purchase(anyPurchase))
	}
	g.distributeRefunds(p.purchases)
	return p, nil
}

// chooseCells returns the cells to kill at, in order. It chooses no more cells that need a refund than there are refunds.
func chooseCells(random *rand.Rand, all []cell, kills, refunds int) (chosen []cell) {
	choose := func(c cell) bool {
		if len(chosen) == kills || c.needs.refunds() > refunds {
			return false
		}
		refunds -= c.needs.refunds()
		chosen = append(chosen, c)
		return true
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var rest []cell
	covered := map[point]bool{}
	for _, c := range all {
		if covered[c.point] || !choose(c) {
			rest = append(rest, c)
			continue
		}
		covered[c.point] = true
	}
	for _, c := range rest {
		choose(c)
	}
	for tries := 0; len(chosen) < kills && tries < 100*kills; tries++ {
		choose(all[random.IntN(len(all))])
	}
	return chosen
}

// refunds is the number of refunds that a purchase with this need has at least.
func (n need) refunds() int {
	switch n {
	case needRefund, needInlineRefund, needQueuedRefund, needRefundLookup:
		return 1
	default:
		return 0
	}
}
