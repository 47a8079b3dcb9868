package replaytest

import historypb "go.temporal.io/api/history/v1"

// pair is an event and the call that it comes of. One of them may be missing.
type pair struct {
	event *historypb.HistoryEvent
	call  *call
}

// missing is what a missing counterpart counts, in differing leaves: rather two that differ much than one that is missing.
const missing = 1000

// align pairs the events of a workflow task with calls of the same kind, in their order, so that the fewest leaves differ.
// There may be more calls than events: the SDK refuses some by itself, as a child workflow of a cancelled context.
func align(events []*historypb.HistoryEvent, calls []call, differ func(*historypb.HistoryEvent, *call) int) []pair {
	// best[i][j] is the least that events[i:] and calls[j:] can differ.
	best := make([][]int, len(events)+1)
	for i := len(events); i >= 0; i-- {
		best[i] = make([]int, len(calls)+1)
		for j := len(calls); j >= 0; j-- {
			best[i][j] = (len(events) - i + len(calls) - j) * missing
			if i < len(events) && j < len(calls) {
				best[i][j] = min(differ(events[i], &calls[j])+best[i+1][j+1], missing+best[i+1][j], missing+best[i][j+1])
			}
		}
	}
	var pairs []pair
	for i, j := 0, 0; i < len(events) || j < len(calls); {
		switch {
		case i < len(events) && j < len(calls) && best[i][j] == differ(events[i], &calls[j])+best[i+1][j+1]:
			pairs = append(pairs, pair{events[i], &calls[j]})
			i, j = i+1, j+1
		case i < len(events) && best[i][j] == missing+best[i+1][j]:
			pairs = append(pairs, pair{event: events[i]})
			i++
		default:
			pairs = append(pairs, pair{call: &calls[j]})
			j++
		}
	}
	return pairs
}
