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
func report(ctx context.Context, out io.Writer, variants []variant, rounds [][]round) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nvariant\tcharges/s\tp50\tp99\tTemporal CPU\tour CPU\tevents\tactions\tof bare (middle half)\tCPU of bare")
	var events int
	for v, one := range variants {
		spent, err := costOf(ctx, one.temporal, rounds[0][v].sample)
		if err != nil {
			return err
		}
		if v == asynchronous {
			events = spent.events
		}
		took := latencies(rounds, v)
		_, cpu, _ := spread(each(rounds, func(r []round) float64 { return float64(r[v].cpu+r[v].ours) / float64(r[bare].cpu+r[bare].ours) }))
		fmt.Fprintf(table, "%s\t%.0f\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%.2f\n", one.name,
			median(each(rounds, func(r []round) float64 { return r[v].perSecond })),
			took[len(took)/2].Round(100*time.Microsecond), took[len(took)*99/100].Round(100*time.Microsecond),
			middleOf(rounds, func(r []round) time.Duration { return r[v].cpu }),
			middleOf(rounds, func(r []round) time.Duration { return r[v].ours }),
			spent.events, spent.actions, shown(ratios(rounds, v, bare)), cpu)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(variants) > onPostgres {
		fmt.Fprintf(out, "store on PostgreSQL, of on SQLite: %s\n", shown(ratios(rounds, onPostgres, asynchronous)))
	}
	fmt.Fprintf(out, "asynchronous, of bare with a queue for its calls, as ours have: %s\n", shown(ratios(rounds, asynchronous, bareOnTwoQueues)))
	observed := ratios(rounds, asynchronous, unobserved)
	fmt.Fprintf(out, "observability: %s of the throughput without it\n\n", shown(observed))
	fmt.Fprintf(out, "bench: async_ratio=%.2f sync_ratio=%.2f observability_cost=%.2f events=%d\n",
		median(ratios(rounds, asynchronous, bare)), median(ratios(rounds, synchronous, bare)), 1-median(observed), events)
	return nil
}

// shown is a median with the quarters beside it.
func shown(values []float64) string {
	low, middle, high := spread(values)
	return fmt.Sprintf("%.2f (%.2f–%.2f)", middle, low, high)
}

func each(rounds [][]round, value func([]round) float64) (values []float64) {
	for _, r := range rounds {
		values = append(values, value(r))
	}
	return values
}

func middleOf(rounds [][]round, value func([]round) time.Duration) time.Duration {
	middle := median(each(rounds, func(r []round) float64 { return float64(value(r)) }))
	return time.Duration(middle).Round(100 * time.Microsecond)
}

// latencies are all of a variant, sorted.
func latencies(rounds [][]round, v int) (took []time.Duration) {
	for _, r := range rounds {
		took = append(took, r[v].took...)
	}
	slices.Sort(took)
	return took
}

// ratios are those of the throughput of one variant to another's, round by round.
func ratios(rounds [][]round, v, of int) []float64 {
	return each(rounds, func(r []round) float64 { return r[v].perSecond / r[of].perSecond })
}

func median(values []float64) float64 { _, middle, _ := spread(values); return middle }

// spread is the median, between the quarters.
func spread(values []float64) (low, middle, high float64) {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/4], values[len(values)/2], values[len(values)*3/4]
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
