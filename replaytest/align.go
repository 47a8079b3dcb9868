package replaytest

import historypb "go.temporal.io/api/history/v1"

// pair is a recorded event and the call that made it during the replay. One of them may be missing.
type pair struct {
	event *historypb.HistoryEvent
	call  *call
}

// missingCost is the cost of an event or a call without a counterpart, in differing leaves. It is high, so that two that
// differ a lot are still paired.
const missingCost = 1000

// align pairs the events of one workflow task with the calls of the same kind. It keeps the order of both and minimizes the
// number of differing leaves. There may be more calls than events: the SDK rejects some calls itself, for example a child
// workflow on a canceled context.
func align(events []*historypb.HistoryEvent, calls []call, cost func(*historypb.HistoryEvent, *call) int) []pair {
	// best[i][j] is the lowest total cost of pairing events[i:] with calls[j:].
	best := make([][]int, len(events)+1)
	for i := len(events); i >= 0; i-- {
		best[i] = make([]int, len(calls)+1)
		for j := len(calls); j >= 0; j-- {
			best[i][j] = (len(events) - i + len(calls) - j) * missingCost
			if i < len(events) && j < len(calls) {
				best[i][j] = min(cost(events[i], &calls[j])+best[i+1][j+1], missingCost+best[i+1][j], missingCost+best[i][j+1])
			}
		}
	}
	var pairs []pair
	for i, j := 0, 0; i < len(events) || j < len(calls); {
		switch {
		case i < len(events) && j < len(calls) && best[i][j] == cost(events[i], &calls[j])+best[i+1][j+1]:
			pairs = append(pairs, pair{event: events[i], call: &calls[j]})
			i, j = i+1, j+1
		case i < len(events) && best[i][j] == missingCost+best[i+1][j]:
			pairs = append(pairs, pair{event: events[i]})
			i++
		default:
			pairs = append(pairs, pair{call: &calls[j]})
			j++
		}
	}
	return pairs
}
