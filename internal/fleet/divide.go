package fleet

import (
	"cmp"
	"math"
	"slices"

	"github.com/florinpay/florin/internal/store"
)

const (
	// idlePart is the part of the rate that is divided equally, whatever the demand: a worker without demand can make its first call at
	// once.
	idlePart = 0.02
	// tolerance is how far shares may be from their targets, as a part of the targets, before rate is moved from one worker to another:
	// what moves is not used meanwhile.
	tolerance = 0.25
	// smallest is the lowest rate that is worth a share, in calls per second. What is below it comes from rounding.
	smallest = 1e-6
)

// member is a worker among which a rate is divided.
type member struct {
	name string
	// demand is how many calls it has to make, in calls per second.
	demand float64
	// held is the share that no other worker may use at present.
	held store.Rate
}

// plan is how a rate is best divided.
type plan struct {
	// rate and burst are what all shares may add up to.
	rate  float64
	burst int
	// targets are the best shares, one for each member.
	targets []store.Rate
}

// divide divides a limit among members so that together they stay within limit.PerSecond+limit.Burst calls in any second.
//
// The rate goes to the members in proportion to their demand, and what is not in demand to all equally; each has at least a small part.
// The burst is divided equally. A worker cannot make less than one call at once, so with more members than limit.Burst they have a burst
// of one each, and the sum of the rates is lower by the excess. If that cost more than half of the rate, only the members with the highest
// demand get a share.
func divide(limit store.Rate, members []member) plan {
	p := plan{rate: limit.PerSecond, burst: limit.Burst, targets: make([]store.Rate, len(members))}
	sharing := byNeed(members)
	sharing = sharing[:min(len(sharing), limit.Burst+int(limit.PerSecond/2))]
	if excess := len(sharing) - limit.Burst; excess > 0 {
		p.rate, p.burst = limit.PerSecond-float64(excess), len(sharing)
	}
	slices.SortFunc(sharing, func(a, b int) int { return cmp.Compare(members[a].name, members[b].name) }) // the same for every worker
	n := float64(len(sharing))
	demand := 0.0
	for _, i := range sharing {
		demand += members[i].demand
	}
	equal := p.rate * idlePart / n
	rest := p.rate * (1 - idlePart)
	for at, i := range sharing {
		rate := equal + members[i].demand + (rest-demand)/n
		if demand >= rest {
			rate = equal + rest*members[i].demand/demand
		}
		burst := p.burst / len(sharing)
		if at < p.burst%len(sharing) {
			burst++
		}
		p.targets[i] = store.Rate{PerSecond: rate, Burst: burst}
	}
	return p
}

// byNeed returns the indices of the members, those with the highest demand first. A member that has a share keeps it against one whose
// demand is about the same.
func byNeed(members []member) []int {
	need := func(m member) float64 {
		if m.held.PerSecond > 0 {
			return m.demand * (1 + tolerance)
		}
		return m.demand
	}
	indices := make([]int, len(members))
	for i := range indices {
		indices[i] = i
	}
	slices.SortStableFunc(indices, func(a, b int) int {
		return cmp.Or(cmp.Compare(need(members[b]), need(members[a])), cmp.Compare(members[b].held.PerSecond, members[a].held.PerSecond),
			cmp.Compare(members[a].name, members[b].name))
	})
	return indices
}

// balanced reports whether every share is so close to its target that nothing has to move.
func (p plan) balanced(members []member) bool {
	for i, m := range members {
		target := p.targets[i]
		if math.Abs(m.held.PerSecond-target.PerSecond) > tolerance*target.PerSecond || m.held.Burst == 0 != (target.Burst == 0) {
			return false
		}
	}
	return true
}

// grant returns what members[own], which uses its held share, may use from now on. others is the sum of the shares that are reserved for
// other workers: nothing is granted that one of them may still use. So a share grows only after the others have made room. wanted is
// what would be granted if there were room, and what is granted if nothing has to move: then none comes.
//
// If more is reserved than the limit allows, because the limit was lowered, no share grows.
func grant(limit store.Rate, members []member, own int, others store.Rate) (granted, wanted store.Rate) {
	p := divide(limit, members)
	using, wanted := members[own].held, p.targets[own]
	balanced := p.balanced(members) && wanted.Burst > 0
	if balanced {
		wanted.PerSecond = max(wanted.PerSecond, using.PerSecond)
	}
	granted.Burst = min(wanted.Burst, max(p.burst-others.Burst, min(using.Burst, wanted.Burst)))
	total := limit.PerSecond + float64(limit.Burst)
	room := min(p.rate-others.PerSecond, total-others.PerSecond-float64(others.Burst+granted.Burst))
	granted.PerSecond = min(wanted.PerSecond, max(room, min(using.PerSecond, p.rate/float64(len(members)))))
	if granted.Burst == 0 || granted.PerSecond < smallest {
		return store.Rate{}, wanted
	}
	if balanced {
		return granted, granted
	}
	return granted, wanted
}
