package simulator

// The settings of random faults and latency, and how they are written on the command line.

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rates maps the names of random faults to their probabilities. Each probability, and their sum, is between 0 and 1. [FaultNames]
// describes the names.
type Rates map[string]float64

// FaultNames describes the names that [Rates] accepts, for users.
const FaultNames = "Of each request: 401, 409, 429, 429_fraction (Retry-After: 0.5), 429_object (about one object, not a rate limit), " +
	"500, 503, id_control (a control character in the id), network (a TCP reset) and timeout (no response). " +
	"Of each batch: " + batchLost + " (a TCP reset after all items were executed). " +
	"Of each charge with " + plainToken + ": any token of the table, whose behavior the charge, its lookups, captures and refunds get."

// isToken reports whether the name of a random fault is a token.
func isToken(name string) bool {
	_, known := behaviorByToken[name]
	return known
}

// ParseRates parses rates such as "500=0.15,429=0.05,tok_duplicate_after_timeout=0.02". The empty string means no faults.
func ParseRates(s string) (Rates, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	rates := Rates{}
	for part := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return nil, fmt.Errorf(`faults: %q is not of the form name=probability, such as "500=0.15"`, part)
		}
		if _, duplicate := rates[name]; duplicate {
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
		if _, known := randomFaults[name]; !known && !isToken(name) {
			return fmt.Errorf("faults: %q is unknown: use a token or one of %s", name,
				strings.Join(slices.Sorted(maps.Keys(randomFaults)), ", "))
		}
		if p := r[name]; !(p >= 0 && p <= 1) { // unlike p < 0 || p > 1, this refuses NaN too
			return fmt.Errorf("faults: %s=%v: a probability must be between 0 and 1", name, p)
		}
		sum += r[name]
	}
	if sum > 1+1e-9 {
		return fmt.Errorf("faults: the probabilities add up to %v: their sum must not exceed 1", sum)
	}
	return nil
}

// names returns the sorted names: a draw iterates over them and must not depend on map order.
func (r Rates) names() []string { return slices.Sorted(maps.Keys(r)) }

// String returns the form that [ParseRates] parses.
func (r Rates) String() string {
	parts := make([]string, 0, len(r))
	for _, name := range r.names() {
		parts = append(parts, name+"="+strconv.FormatFloat(r[name], 'g', -1, 64))
	}
	return strings.Join(parts, ",")
}

// LatencyRange is the range of the latency of responses, uniformly distributed. Zero adds no latency.
type LatencyRange struct {
	Min, Max time.Duration
}

// ParseLatency parses a range such as "50ms-200ms", or a fixed latency such as "50ms". The empty string means none.
func ParseLatency(s string) (LatencyRange, error) {
	if strings.TrimSpace(s) == "" {
		return LatencyRange{}, nil
	}
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	var l LatencyRange
	var errMin, errMax error
	l.Min, errMin = time.ParseDuration(strings.TrimSpace(low))
	l.Max, errMax = time.ParseDuration(strings.TrimSpace(high))
	if errMin != nil || errMax != nil {
		return LatencyRange{}, fmt.Errorf(`latency: %q is not a duration or a range of durations, such as "50ms" or "50ms-200ms"`, s)
	}
	if err := l.validate(); err != nil {
		return LatencyRange{}, err
	}
	return l, nil
}

func (l LatencyRange) validate() error {
	if l.Min < 0 || l.Max < l.Min {
		return fmt.Errorf("latency: %s-%s: the minimum must not be negative or above the maximum", l.Min, l.Max)
	}
	return nil
}

// String returns the form that [ParseLatency] parses.
func (l LatencyRange) String() string {
	if l.Min == l.Max {
		return l.Min.String()
	}
	return l.Min.String() + "-" + l.Max.String()
}
