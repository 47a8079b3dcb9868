package simulator

// How often random faults strike, and how slow answers are: the two settings and their spelling on a command line.

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rates gives random faults their probability, 0 to 1 each and together. Names: 401, 409, 429, 500, 503, network
// (a TCP reset) and timeout (no answer).
type Rates map[string]float64

// ParseRates reads "500=0.15,429=0.05,network=0.05". The empty string means no faults.
func ParseRates(s string) (Rates, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	rates := Rates{}
	for part := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return nil, fmt.Errorf(`faults: %q is not of the form name=probability, as in "500=0.15"`, part)
		}
		if _, twice := rates[name]; twice {
			return nil, fmt.Errorf("faults: %q is given twice", name)
		}
		p, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("faults: %q: %q is not a number between 0 and 1", part, value)
		}
		rates[name] = p
	}
	if err := rates.validate(); err != nil {
		return nil, err
	}
	return rates, nil
}

func (r Rates) validate() error {
	sum := 0.0
	for _, name := range r.names() {
		if _, known := randomFaults[name]; !known {
			return fmt.Errorf("faults: %q is unknown; allowed are %s", name,
				strings.Join(slices.Sorted(maps.Keys(randomFaults)), ", "))
		}
		if p := r[name]; !(p >= 0 && p <= 1) { // this way round NaN is refused too
			return fmt.Errorf("faults: %s=%v: a probability is between 0 and 1", name, p)
		}
		sum += r[name]
	}
	if sum > 1+1e-9 {
		return fmt.Errorf("faults: the probabilities add up to %v; together they must not exceed 1", sum)
	}
	return nil
}

// names are sorted, because a draw walks them and must not depend on map order.
func (r Rates) names() []string { return slices.Sorted(maps.Keys(r)) }

// String is the form that ParseRates reads.
func (r Rates) String() string {
	parts := make([]string, 0, len(r))
	for _, name := range r.names() {
		parts = append(parts, name+"="+strconv.FormatFloat(r[name], 'g', -1, 64))
	}
	return strings.Join(parts, ",")
}

// LatencyRange is how long answers take, spread evenly from Min to Max. Zero: as fast as possible.
type LatencyRange struct {
	Min, Max time.Duration
}

// ParseLatency reads "50ms-200ms", or "50ms" for a fixed latency. The empty string means none.
func ParseLatency(s string) (LatencyRange, error) {
	if strings.TrimSpace(s) == "" {
		return LatencyRange{}, nil
	}
	least, most, isRange := strings.Cut(s, "-")
	if !isRange {
		most = least
	}
	var l LatencyRange
	var errLeast, errMost error
	l.Min, errLeast = time.ParseDuration(strings.TrimSpace(least))
	l.Max, errMost = time.ParseDuration(strings.TrimSpace(most))
	if errLeast != nil || errMost != nil {
		return LatencyRange{}, fmt.Errorf(`latency: %q is not a duration or a range of them; write "50ms" or "50ms-200ms"`, s)
	}
	if err := l.validate(); err != nil {
		return LatencyRange{}, err
	}
	return l, nil
}

func (l LatencyRange) validate() error {
	if l.Min < 0 || l.Max < l.Min {
		return fmt.Errorf("latency: %s-%s: the least must not be negative, nor above the most", l.Min, l.Max)
	}
	return nil
}

// String is the form that ParseLatency reads.
func (l LatencyRange) String() string {
	if l.Min == l.Max {
		return l.Min.String()
	}
	return l.Min.String() + "-" + l.Max.String()
}
