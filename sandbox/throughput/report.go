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

// report prints a table of the medians over all rounds, and a last line that a script can parse. A ratio is taken within each
// round before the median, because other load on the machine slows down all variants of the same round.
func report(ctx context.Context, out io.Writer, variants []variant, rounds [][]round) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nvariant\tcharges/s\tp50\tp99\tTemporal CPU\town CPU\tevents\tactions\t"+
		"throughput ÷ bare (quartiles)\tCPU ÷ bare")
	var inline cost
	for v, current := range variants {
		spent, err := costOf(ctx, current.temporal, rounds[0][v].sample)
		if err != nil {
			return err
		}
		if v == inlineEager {
			inline = spent
		}
		sorted := latencies(rounds, v)
		cpuRatio := median(each(rounds, func(r []round) float64 {
			return float64(r[v].temporalCPU+r[v].ownCPU) / float64(r[bare].temporalCPU+r[bare].ownCPU)
		}))
		fmt.Fprintf(table, "%s\t%.0f\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%.2f\n", current.name,
			median(each(rounds, func(r []round) float64 { return r[v].perSecond })),
			sorted[len(sorted)/2].Round(100*time.Microsecond), sorted[len(sorted)*99/100].Round(100*time.Microsecond),
			medianDuration(rounds, func(r []round) time.Duration { return r[v].temporalCPU }),
			medianDuration(rounds, func(r []round) time.Duration { return r[v].ownCPU }),
			spent.events, spent.actions, formatQuartiles(ratios(rounds, v, bare)), cpuRatio)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(variants) > onPostgres {
		fmt.Fprintf(out, "throughput with the store on PostgreSQL ÷ on SQLite: %s\n",
			formatQuartiles(ratios(rounds, onPostgres, inlineEager)))
	}
	fmt.Fprintf(out, "throughput of a bare workflow without compression, as Florin connects, ÷ bare: %s\n", formatQuartiles(ratios(rounds, bareUncompressed, bare)))
	ofTwoQueues := ratios(rounds, queuedAsync, bareOnTwoQueues)
	fmt.Fprintf(out, "throughput of Florin, queued, asynchronous ÷ bare with a second queue, as Florin has: %s\n", formatQuartiles(ofTwoQueues))
	fmt.Fprintf(out, "throughput with callers authorized ÷ without: asynchronous %s, synchronous %s\n",
		formatQuartiles(ratios(rounds, authorized, inlineEager)), formatQuartiles(ratios(rounds, authorizedSync, inlineSync)))
	observed := ratios(rounds, inlineEager, unobserved)
	fmt.Fprintf(out, "throughput with observability ÷ without: %s\n\n", formatQuartiles(observed))
	ratio := func(v int) float64 { return median(ratios(rounds, v, bare)) }
	fmt.Fprintf(out, "bench: inline_eager=%.2f inline_sync=%.2f inline_async=%.2f queued_async=%.2f queued_vs_own_queue=%.2f "+
		"observability_cost=%.2f authorized_ratio=%.2f events=%d actions=%d\n",
		ratio(inlineEager), ratio(inlineSync), ratio(inlineAsync), ratio(queuedAsync), median(ofTwoQueues), 1-median(observed),
		median(ratios(rounds, authorized, inlineEager)), inline.events, inline.actions)
	return nil
}

// formatQuartiles formats the median, with the first and third quartile in parentheses.
func formatQuartiles(values []float64) string {
	low, middle, high := quartiles(values)
	return fmt.Sprintf("%.2f (%.2f–%.2f)", middle, low, high)
}

// each returns a value of each round.
func each(rounds [][]round, value func([]round) float64) (values []float64) {
	for _, r := range rounds {
		values = append(values, value(r))
	}
	return values
}

// medianDuration returns the median of a duration over the rounds.
func medianDuration(rounds [][]round, value func([]round) time.Duration) time.Duration {
	middle := median(each(rounds, func(r []round) float64 { return float64(value(r)) }))
	return time.Duration(middle).Round(100 * time.Microsecond)
}

// latencies returns the latencies of a variant in all rounds, sorted.
func latencies(rounds [][]round, v int) (all []time.Duration) {
	for _, r := range rounds {
		all = append(all, r[v].latencies...)
	}
	slices.Sort(all)
	return all
}

// ratios returns the throughput of a variant divided by that of the base variant, for each round.
func ratios(rounds [][]round, v, base int) []float64 {
	return each(rounds, func(r []round) float64 { return r[v].perSecond / r[base].perSecond })
}

func median(values []float64) float64 { _, middle, _ := quartiles(values); return middle }

// quartiles returns the first quartile, the median and the third quartile.
func quartiles(values []float64) (low, middle, high float64) {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/4], values[len(values)/2], values[len(values)*3/4]
}

// cost is what one workflow costs: events and bytes of its history, and actions.
type cost struct {
	events int
	bytes  int64
	// actions are what Temporal Cloud bills: https://docs.temporal.io/cloud/actions.
	actions int
}

// billed are the event types that count as one action each.
var billed = map[enumspb.EventType]bool{
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:         true,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:        true,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: true,
	enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:            true,
	enumspb.EVENT_TYPE_TIMER_STARTED:                      true,
	enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:  true,
}

// costOf counts the events and actions of a workflow. All local activities of one workflow task together are one action.
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
	described, err := t.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return c, fmt.Errorf("describing %s: %w", workflowID, err)
	}
	c.bytes = described.GetWorkflowExecutionInfo().GetHistorySizeBytes()
	return c, nil
}
