package main

import (
	"fmt"
	"math"
	"time"
)

// What a build costs, in bytes of source code: a package also has the cost of starting a compiler, and the link at the end, which uses one
// core, costs a part of all packages. In a build that was watched, the CPU time was proportional to the bytes, but for Go's own packages at
// the beginning, see the test.
const (
	bytesPerPackage = 2 << 10
	linkShare       = 0.015
)

// The speed is that after the part skipped: the first packages are small and wait for each other, and their files are read for the first
// time. It is known well enough after the part known.
const (
	skipped = 0.03
	known   = 0.06
)

// estimate says how long a build still takes, by how fast it has been so far.
type estimate struct {
	costs    map[string]int64
	cores    int
	total    float64
	packages int
	// begun is the cost of the packages whose compilation has begun.
	begun float64
	// latest are the costs of the latest of them, as many as are compiled at once: half of that is done.
	latest []float64
	// from is the part that was done when the speed began to count, fromAfter the beginning.
	from      float64
	fromAfter time.Duration
	// first is the first estimate of the whole time, made firstAfter the beginning.
	first, firstAfter time.Duration
	// milestones counts those that isMilestone has reported.
	milestones int
}

func newEstimate(bytes map[string]int64, cores int) *estimate {
	e := &estimate{costs: bytes, cores: cores}
	for _, n := range bytes {
		e.total += float64(n + bytesPerPackage)
	}
	return e
}

// started reports that the compilation of a package has begun.
func (e *estimate) started(name string) {
	cost := float64(e.costs[name] + bytesPerPackage)
	e.packages++
	e.begun += cost
	if e.latest = append(e.latest, cost); len(e.latest) > e.cores {
		e.latest = e.latest[1:]
	}
}

// done is the part of the packages' cost that is done.
func (e *estimate) done() float64 {
	done := e.begun
	for _, cost := range e.latest {
		done -= cost / 2
	}
	return done / e.total
}

// remaining returns how long the build still takes, elapsed after it has begun. It returns false until the speed is known.
func (e *estimate) remaining(elapsed time.Duration) (time.Duration, bool) {
	done := e.done()
	if e.from == 0 && done >= skipped {
		e.from, e.fromAfter = done, elapsed
	}
	if done < known || done == e.from {
		return 0, false
	}
	whole := float64(elapsed-e.fromAfter) / (done - e.from)
	left := time.Duration(whole * (1 - done + float64(e.cores)*linkShare))
	if e.first == 0 {
		e.first, e.firstAfter = elapsed+left, elapsed
	}
	return left, true
}

// isMilestone reports, ten times in a build, that it is time for a line where the progress cannot be shown in place.
func (e *estimate) isMilestone() bool {
	if e.done() < known+float64(e.milestones)*(1-known)/10 {
		return false
	}
	e.milestones++
	return true
}

// forDisplay rounds a duration to what is known about it.
func forDisplay(d time.Duration) string {
	if d < 90*time.Second {
		return fmt.Sprintf("%d seconds", max(10, 10*int(math.Round(d.Seconds()/10))))
	}
	return fmt.Sprintf("%d minutes", int(math.Round(d.Minutes())))
}
