package demo

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// draw shows the rows until the returned function is called: on a terminal as a table that changes in place,
// otherwise as a line for each row that has ended.
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
					r.observe(ctx, env)
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

// redraw moves the cursor up over the table and writes it again, clearing what is left of each line.
func redraw(out io.Writer, rows []*row) {
	text := table(rows)
	fmt.Fprintf(out, "\x1b[%dA%s", strings.Count(text, "\n"), strings.ReplaceAll(text, "\n", "\x1b[K\n"))
}

func table(rows []*row) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tAMOUNT\tSTATUS\tATTEMPTS\tSECONDS\tSHOWS")
	for _, r := range rows {
		r.mu.Lock()
		took := r.took
		if took == 0 && !r.began.IsZero() {
			took = time.Since(r.began)
		}
		amount := "all that is left"
		if r.money.Amount > 0 {
			amount = r.money.String()
		}
		what := "charge"
		if r.step.Refund != nil {
			what = "refund"
		}
		fmt.Fprintf(w, "%s %s\t%s\t%s\t%d\t%.1f\t%s\n", what, r.step.key(), amount, r.status, r.attempts, took.Seconds(), r.step.Shows)
		r.mu.Unlock()
	}
	_ = w.Flush() // a strings.Builder never fails
	return text.String()
}

// observe brings a running row up to date. That Temporal could not say is left to the next time.
func (r *row) observe(ctx context.Context, env *environment.Environment) {
	r.mu.Lock()
	running := r.took == 0 && !r.began.IsZero()
	r.mu.Unlock()
	if !running {
		return
	}
	sent := attempts(ctx, env, r.step.workflowID())
	status := r.status
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

// attempts counts how often the workflow called the processor to move money: what its history says of the
// calls that ended, and what is pending. It is decoration: 0 where Temporal does not say.
func attempts(ctx context.Context, env *environment.Environment, workflowID string) int {
	sends, sum := map[int64]bool{}, 0
	events := env.Temporal.GetWorkflowHistory(ctx, workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return sum
		}
		if scheduled := event.GetActivityTaskScheduledEventAttributes(); scheduled != nil {
			sends[event.GetEventId()] = movesMoney(scheduled.GetActivityType().GetName())
		}
		if started := event.GetActivityTaskStartedEventAttributes(); started != nil && sends[started.GetScheduledEventId()] {
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

func movesMoney(activity string) bool {
	switch activity {
	case payment.ActivityProcessorCharge, payment.ActivityProcessorCapture, payment.ActivityProcessorVoid, payment.ActivityProcessorRefund:
		return true
	default:
		return false
	}
}
