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

// stages are where the time of a charge goes, by the events of its workflow.
var stages = []struct {
	name     string
	from, to enumspb.EventType
	// last selects the last events of the types instead of the first.
	last bool
}{
	{name: "the workflow waits for a worker", from: enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, to: enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED},
	{name: "the workflow begins, with a first attempt if one is possible", from: enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED, to: enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED},
	{name: "a call in the queue waits for a worker", from: enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, to: enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED},
	{name: "that call", from: enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED, to: enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED},
	{name: "the result waits for the worker", from: enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, to: enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED, last: true},
	{name: "the workflow ends", from: enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED, to: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, last: true},
}

// printStages prints the p50 and the p95 of each stage of the workflows.
func printStages(ctx context.Context, out io.Writer, temporal client.Client, workflowIDs []string) error {
	durations := make([][]time.Duration, len(stages))
	for _, id := range workflowIDs {
		first, last := map[enumspb.EventType]time.Time{}, map[enumspb.EventType]time.Time{}
		events := temporal.GetWorkflowHistory(ctx, id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			event, err := events.Next()
			if err != nil {
				return err
			}
			at := event.GetEventTime().AsTime()
			if _, seen := first[event.GetEventType()]; !seen {
				first[event.GetEventType()] = at
			}
			last[event.GetEventType()] = at
		}
		for i, s := range stages {
			at := first
			if s.last {
				at = last
			}
			if from, to := at[s.from], at[s.to]; !from.IsZero() && !to.Before(from) { // as far as the charge has come
				durations[i] = append(durations[i], to.Sub(from))
			}
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, s := range stages {
		if len(durations[i]) == 0 {
			continue
		}
		slices.Sort(durations[i])
		fmt.Fprintf(table, "  %s\t%d of %d\tp50 %s\tp95 %s\n", s.name, len(durations[i]), len(workflowIDs),
			p50(durations[i]).Round(time.Millisecond), p95(durations[i]).Round(time.Millisecond))
	}
	return table.Flush()
}
