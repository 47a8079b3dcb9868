package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
)

// report sums the rounds up. Ratios are of one round each, because what slows one variant down slows its neighbours, too.
func report(ctx context.Context, out io.Writer, t client.Client, variants []variant, rounds [][]round) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nvariant\tcharges/s\tp50\tp99\tTemporal CPU\tour CPU\tevents\tactions\tof bare (median, all)")
	var events int
	for v, one := range variants {
		spent, err := costOf(ctx, t, rounds[0][v].sample)
		if err != nil {
			return err
		}
		if v == asynchronous {
			events = spent.events
		}
		low, middle, high := spread(ratios(rounds, v, bare))
		fmt.Fprintf(table, "%s\t%.0f\t%s\t%s\t%s\t%s\t%d\t%d\t%.2f (%.2f–%.2f)\n", one.name,
			median(each(rounds, v, func(r round) float64 { return r.perSecond })),
			middleOf(rounds, v, func(r round) time.Duration { return r.p50 }),
			middleOf(rounds, v, func(r round) time.Duration { return r.p99 }),
			middleOf(rounds, v, func(r round) time.Duration { return r.cpu }),
			middleOf(rounds, v, func(r round) time.Duration { return r.ours }),
			spent.events, spent.actions, middle, low, high)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(variants) > onPostgres {
		low, middle, high := spread(ratios(rounds, onPostgres, asynchronous))
		fmt.Fprintf(out, "store on PostgreSQL, of on SQLite: %.2f (%.2f–%.2f)\n", middle, low, high)
	}
	_, async, _ := spread(ratios(rounds, asynchronous, bare))
	_, sync, _ := spread(ratios(rounds, synchronous, bare))
	low, middle, high := spread(ratios(rounds, asynchronous, bareOnTwoQueues))
	fmt.Fprintf(out, "asynchronous, of bare with a queue for its calls, as ours have: %.2f (%.2f–%.2f)\n", middle, low, high)
	low, observed, high := spread(ratios(rounds, asynchronous, unobserved))
	fmt.Fprintf(out, "observability: %.2f of the throughput without it (%.2f–%.2f)\n\n", observed, low, high)
	fmt.Fprintf(out, "bench: async_ratio=%.2f sync_ratio=%.2f observability_cost=%.2f events=%d\n", async, sync, 1-observed, events)
	return nil
}

func each(rounds [][]round, v int, value func(round) float64) (values []float64) {
	for _, r := range rounds {
		values = append(values, value(r[v]))
	}
	return values
}

func middleOf(rounds [][]round, v int, value func(round) time.Duration) time.Duration {
	middle := median(each(rounds, v, func(r round) float64 { return float64(value(r)) }))
	return time.Duration(middle).Round(100 * time.Microsecond)
}

// ratios are those of the throughput of one variant to another's, round by round.
func ratios(rounds [][]round, v, of int) (values []float64) {
	for _, r := range rounds {
		values = append(values, r[v].perSecond/r[of].perSecond)
	}
	return values
}

func median(values []float64) float64 { _, middle, _ := spread(values); return middle }

func spread(values []float64) (low, middle, high float64) {
	values = slices.Sorted(slices.Values(values))
	return values[0], values[len(values)/2], values[len(values)-1]
}

// cost is what a workflow costs whoever runs Temporal, and whoever pays for it.
type cost struct {
	events int
	// actions as Temporal Cloud bills them, https://docs.temporal.io/cloud/actions.
	actions int
}

// billed are the events that are an action each.
var billed = map[enumspb.EventType]bool{
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:         true,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:        true,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: true,
	enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:            true,
	enumspb.EVENT_TYPE_TIMER_STARTED:                      true,
	enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:  true,
}

// costOf counts. The local activities of one workflow task are one action together.
func costOf(ctx context.Context, t client.Client, workflowID string) (c cost, err error) {
	events := t.GetWorkflowHistory(ctx, workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	tasks := map[int64]bool{}
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return c, fmt.Errorf("history of %s: %w", workflowID, err)
		}
		c.events++
		if billed[event.GetEventType()] {
			c.actions++
		}
		if marker := event.GetMarkerRecordedEventAttributes(); marker != nil && !tasks[marker.GetWorkflowTaskCompletedEventId()] {
			tasks[marker.GetWorkflowTaskCompletedEventId()] = true
			c.actions++
		}
	}
	return c, nil
}
