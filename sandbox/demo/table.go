package demo

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/converter"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// draw writes the rows to out as a table: on a terminal it updates the table in place until stop is called, otherwise
// it writes the table once, when stop is called.
func draw(ctx context.Context, env *environment.Environment, rows []*row, out io.Writer, terminal bool) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if !terminal {
			<-quit
			fmt.Fprint(out, table(rows))
			return
		}
		ticks := time.NewTicker(200 * time.Millisecond)
		defer ticks.Stop()
		fmt.Fprint(out, table(rows))
		for {
			select {
			case <-quit:
				redraw(out, rows)
				return
			case <-ticks.C:
				for _, r := range rows {
					r.refresh(ctx, env)
				}
				redraw(out, rows)
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// redraw moves the cursor to the top of the table and writes the table again, clearing the rest of each line.
func redraw(out io.Writer, rows []*row) {
	text := table(rows)
	fmt.Fprintf(out, "\x1b[%dA%s", strings.Count(text, "\n"), strings.ReplaceAll(text, "\n", "\x1b[K\n"))
}

func table(rows []*row) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "OPERATION\tAMOUNT\tSTATUS\tATTEMPTS\tSECONDS\tDEMONSTRATES")
	for _, r := range rows {
		r.mu.Lock()
		took := r.took
		if took == 0 && !r.began.IsZero() {
			took = time.Since(r.began)
		}
		amount := "the rest"
		if r.money.Amount > 0 {
			amount = r.money.String()
		}
		operation := "charge"
		if r.step.Refund != nil {
			operation = "refund"
		}
		fmt.Fprintf(w, "%s %s\t%s\t%s\t%d\t%.1f\t%s\n", operation, r.step.key(), amount, r.status, r.attempts, took.Seconds(), r.step.Shows)
		r.mu.Unlock()
	}
	_ = w.Flush() // a strings.Builder never fails
	return text.String()
}

// refresh updates a row whose step is running. If Temporal does not answer, the row keeps its status until the next tick.
func (r *row) refresh(ctx context.Context, env *environment.Environment) {
	r.mu.Lock()
	running, status := r.took == 0 && !r.began.IsZero(), r.status
	r.mu.Unlock()
	if !running {
		return
	}
	sent := attempts(ctx, env, r.step.workflowID())
	if r.step.Charge != nil {
		if c, err := env.Florin.Get(ctx, r.step.merchant(), r.step.key()); err == nil {
			status = c.Status
		}
	} else if f, err := env.Florin.GetRefund(ctx, r.step.merchant(), r.step.key()); err == nil {
		status = f.Status
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.took == 0 {
		r.attempts, r.status = sent, status
	}
}

// attempts counts the workflow's calls to the processor that move money: those in its history, and those of pending
// activities. The count is informational: if Temporal does not answer, it is too low.
func attempts(ctx context.Context, env *environment.Environment, workflowID string) int {
	counted, sum := map[int64]bool{}, 0
	events := env.Temporal.GetWorkflowHistory(ctx, workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return sum
		}
		if marker := event.GetMarkerRecordedEventAttributes(); marker != nil && sentInline(marker.GetDetails()["result"]) {
			sum++
		}
		if scheduled := event.GetActivityTaskScheduledEventAttributes(); scheduled != nil {
			counted[event.GetEventId()] = movesMoney(scheduled.GetActivityType().GetName())
		}
		if started := event.GetActivityTaskStartedEventAttributes(); started != nil && counted[started.GetScheduledEventId()] {
			sum += int(started.GetAttempt())
		}
	}
	described, err := env.Temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return sum
	}
	for _, pending := range described.GetPendingActivities() {
		if movesMoney(pending.GetActivityType().GetName()) {
			sum += int(pending.GetAttempt())
		}
	}
	return sum
}

// sentInline reports whether this is the result of a local activity that has made a first attempt.
func sentInline(result *commonpb.Payloads) bool {
	var begun struct {
		First *activities.FirstAttempt `json:"first_attempt"`
	}
	return converter.GetDefaultDataConverter().FromPayloads(result, &begun) == nil && begun.First != nil
}

func movesMoney(activity string) bool {
	switch activity {
	case payment.ActivityProcessorCharge, payment.ActivityProcessorCapture, payment.ActivityProcessorVoid, payment.ActivityProcessorRefund:
		return true
	default:
		return false
	}
}
