package ratelimit

import "time"

// meter measures how many events there are per second. It has two counters, so that it costs the same at any rate.
type meter struct {
	// began is when the current second began.
	began             time.Time
	current, previous float64
}

func (m *meter) add(now time.Time) {
	m.advance(now)
	m.current++
}

// shortest is the shortest time over which a meter measures.
const shortest = 100 * time.Millisecond

// perSecond returns the number of events in the last second, for which it takes those of the second before the current one as evenly
// distributed. After a second without events, it is the rate since the first one.
func (m *meter) perSecond(now time.Time) float64 {
	m.advance(now)
	elapsed := now.Sub(m.began)
	if m.previous == 0 {
		return m.current / max(elapsed, shortest).Seconds()
	}
	return m.current + m.previous*(time.Second-elapsed).Seconds()
}

// advance begins a new second if the current one is over.
func (m *meter) advance(now time.Time) {
	switch age := now.Sub(m.began); {
	case age < time.Second:
	case age < 2*time.Second:
		m.began = m.began.Add(time.Second)
		m.previous, m.current = m.current, 0
	default:
		*m = meter{began: now}
	}
}
