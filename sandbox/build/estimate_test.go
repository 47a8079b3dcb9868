package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// recording is a build: which package began when, and how much source code it has.
type recording struct {
	cores int
	bytes map[string]int64
	names []string
	began []time.Duration
	ended time.Duration
}

// steadily is the speed of a build whose packages take as long as their cost is.
func steadily(float64) float64 { return 1 }

// measured is what was seen: Go's own packages, with which a build begins, have more source code than work.
func measured(part float64) float64 {
	switch {
	case part < 0.03:
		return 0.5
	case part < 0.09:
		return 0.78
	default:
		return 1.02
	}
}

// until returns a speed at which the part before end takes slow times as long: the machine does something else, or packages wait for each
// other.
func until(end, slow float64) func(float64) float64 {
	return func(part float64) float64 {
		if part < end {
			return slow
		}
		return 1
	}
}

// record returns a build whose packages take as long as their cost is, times what slow returns for the part of the build at which they begin.
func record(cores int, slow func(part float64) float64) recording {
	r := recording{cores: cores, bytes: map[string]int64{}}
	free := make([]time.Duration, cores)
	for i := range 1900 {
		name := fmt.Sprint(i)
		r.bytes[name] = int64(10_000 + i%7*30_000)
		next := 0
		for core := range free {
			if free[core] < free[next] {
				next = core
			}
		}
		r.names, r.began = append(r.names, name), append(r.began, free[next])
		perByte := 4 * slow(float64(i)/1900)
		free[next] += time.Duration(perByte * float64(r.bytes[name]+bytesPerPackage) * float64(time.Microsecond))
		r.ended = max(r.ended, free[next])
	}
	return r
}

func TestEstimateIsRightWithinAThird(t *testing.T) {
	for name, r := range map[string]recording{
		"one core":                   record(1, steadily),
		"two cores":                  record(2, steadily),
		"eight cores":                record(8, steadily),
		"one core, as measured":      record(1, measured),
		"two cores, as measured":     record(2, measured),
		"eight cores, as measured":   record(8, measured),
		"a slow start":               record(2, until(0.02, 5)),
		"a machine that gets a rest": record(2, until(0.5, 1.3)),
	} {
		t.Run(name, func(t *testing.T) {
			e := newEstimate(r.bytes, r.cores)
			worst := 0.0
			for i, name := range r.names {
				e.started(name)
				if left, isKnown := e.remaining(r.began[i]); isKnown {
					worst = max(worst, math.Abs(float64(r.began[i]+left)/float64(r.ended)-1))
				}
			}
			t.Logf("the first after %s of %s; the worst is wrong by %.0f %%", forDisplay(e.firstAfter), forDisplay(r.ended), 100*worst)
			require.LessOrEqual(t, worst, 1.0/3)
			require.Less(t, e.firstAfter, r.ended/6)
		})
	}
}

func TestProgressIsShownInPlaceOnATerminalAndOtherwiseNowAndThen(t *testing.T) {
	r := record(2, steadily)
	for terminal, lines := range map[bool]int{true: 1, false: 10} {
		var out bytes.Buffer
		show, e := &display{out: &out, terminal: terminal}, newEstimate(r.bytes, r.cores)
		for i, name := range r.names {
			e.started(name)
			show.compiling(e, r.began[i])
		}
		show.end()
		text := out.String()
		require.Equal(t, lines, strings.Count(text, "\n"), text)
		require.Contains(t, text, ", about 6 minutes left")
		require.Equal(t, terminal, strings.Contains(text, "compiling package 1900 of 1900, about 10 seconds left"))
	}
}

func TestDurationsAreRoundedToWhatIsKnown(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "10 seconds", 14 * time.Second: "10 seconds", 76 * time.Second: "80 seconds", 100 * time.Second: "2 minutes",
		8*time.Minute + 40*time.Second: "9 minutes",
	} {
		require.Equal(t, want, forDisplay(d))
	}
}
