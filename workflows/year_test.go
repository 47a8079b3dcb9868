package workflows

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/storetest"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/replaytest"
)

const (
	year = 365 * day
	// suggestedAfter is when a Temporal server suggests to continue as new, in events, and longestHistory what a run may have then.
	suggestedAfter = 4096
	longestHistory = 5000
)

// historyLength estimates the number of events in the history of a run from what the run does. It is never too low: see
// TestHistoryLengthIsNotUnderestimated.
type historyLength struct{ timers, activities, localActivities, updates, signals atomic.Int64 }

// Each event that wakes the workflow costs a workflow task, which is three events.
func (l *historyLength) events() int {
	const task = 3
	return int(1 + task + 2 + // the start, the end, and the request to cancel it
		l.timers.Load()*(2+task) + // started and fired, or canceled
		l.activities.Load()*(3+task) + // scheduled, started, ended
		l.localActivities.Load()*5 + // the marker, and what may go with it: search attributes, the marker that it was no reset, an update
		l.updates.Load()*(2+task) + // accepted and completed
		l.signals.Load()*(1+task))
}

// waiting is a payment or a refund that waits for a year, and what happens then.
type waiting struct {
	name      string
	request   any
	processor func() *scriptedProcessor
	terms     func(*activities.Terms)
	// eventsEvery is how often the processor sends an event; 0: never.
	eventsEvery time.Duration
	// afterAYear changes what the processor responds, or sends an update.
	afterAYear func(env *testsuite.TestWorkflowEnvironment, p *scriptedProcessor)
	want       payment.Status
	// maxLookups allows for the first, fast lookups of each run.
	maxLookups int
}

// yearsOfWaiting are payments and refunds in each status in which they can wait.
func yearsOfWaiting() []waiting {
	authorized, pending := chargeResponse(payment.Authorized), chargeResponse(payment.Pending)
	acts, succeeded := chargeResponse(payment.RequiresAction), chargeResponse(payment.Succeeded)
	found := func(r response) func(*testsuite.TestWorkflowEnvironment, *scriptedProcessor) {
		return func(_ *testsuite.TestWorkflowEnvironment, p *scriptedProcessor) {
			p.lookups[payment.OperationCharge] = []response{r}
		}
	}
	captured := func(p *scriptedProcessor) *scriptedProcessor {
		p.captures = []response{captureResponse(1250)}
		return p
	}
	capture := func(env *testsuite.TestWorkflowEnvironment, _ *scriptedProcessor) {
		env.UpdateWorkflow(payment.UpdateCapture, "capture", &updateCallbacks{}, payment.CaptureRequest{})
	}
	forever := func(t *activities.Terms) { t.AuthorizationFor = 0 }
	return []waiting{
		{
			name: "authorized, and captured in the end", request: manualChargeRequest(),
			processor: func() *scriptedProcessor { return captured(authorizingProcessor(authorized)) }, terms: forever,
			afterAYear: capture, want: payment.Succeeded, maxLookups: 370,
		},
		{
			name: "authorized, with an event every hour", request: manualChargeRequest(), eventsEvery: time.Hour,
			processor: func() *scriptedProcessor { return captured(authorizingProcessor(authorized)) }, terms: forever,
			afterAYear: capture, want: payment.Succeeded, maxLookups: 365*24 + 1000,
		},
		{
			name: "authorized, with an event every ten minutes", request: manualChargeRequest(), eventsEvery: 10 * time.Minute,
			processor: func() *scriptedProcessor { return captured(authorizingProcessor(authorized)) }, terms: forever,
			afterAYear: capture, want: payment.Succeeded, maxLookups: 365*24 + 1000,
		},
		{
			name: "authorized, and refused to be voided every day since its deadline", request: manualChargeRequest(),
			processor: func() *scriptedProcessor {
				p := captured(authorizingProcessor(authorized))
				p.voids = []response{forbidden}
				return p
			},
			afterAYear: capture, want: payment.Succeeded, maxLookups: 2 * 370,
		},
		{
			name: "pending, and cannot be voided", request: chargeRequest(),
			processor: func() *scriptedProcessor {
				return &scriptedProcessor{charges: []response{pending}, voids: []response{stateConflict}, lookups: chargeLookups(pending)}
			},
			afterAYear: found(succeeded), want: payment.Succeeded, maxLookups: 2000,
		},
		{
			name: "pending, looked up every minute on the first day, and cannot be voided", request: chargeRequest(),
			processor: func() *scriptedProcessor {
				return &scriptedProcessor{charges: []response{pending}, voids: []response{stateConflict}, lookups: chargeLookups(pending)}
			},
			terms: func(t *activities.Terms) {
				t.Pending.Max, t.Pending.For = activities.Duration(time.Minute), activities.Duration(day)
			},
			afterAYear: found(succeeded), want: payment.Succeeded, maxLookups: 1440 + 3*370,
		},
		{
			name: "the customer does not act, and it cannot be voided", request: chargeRequest(),
			processor: func() *scriptedProcessor {
				return &scriptedProcessor{charges: []response{acts}, voids: []response{stateConflict}, lookups: chargeLookups(acts)}
			},
			afterAYear: found(succeeded), want: payment.Succeeded, maxLookups: 2000,
		},
		{
			name: "unknown, and needs reconciliation", request: chargeRequest(),
			processor: func() *scriptedProcessor {
				return &scriptedProcessor{charges: []response{lostResponse}, lookups: chargeLookups(lostResponse)}
			},
			afterAYear: found(succeeded), want: payment.Succeeded, maxLookups: 700,
		},
		{
			name: "unknown for the whole year, and looked up every hour", request: chargeRequest(),
			processor: func() *scriptedProcessor {
				return &scriptedProcessor{charges: []response{lostResponse}, lookups: chargeLookups(notFound)}
			},
			terms: func(t *activities.Terms) {
				t.AbsenceProofAfter, t.Resolve.Max, t.Resolve.For = 0, activities.Duration(time.Hour), activities.Duration(2*year)
			},
			afterAYear: found(succeeded), want: payment.Succeeded, maxLookups: 365*24 + 1000,
		},
		{
			name: "a capture without a response", request: manualChargeRequest(),
			processor: func() *scriptedProcessor {
				p := authorizingProcessor(lostResponse)
				p.captures = []response{lostResponse}
				return p
			},
			terms: forever, afterAYear: found(captureResponse(1250)), want: payment.Succeeded, maxLookups: 700,
		},
		{
			name: "a refund that is pending", request: refundRequest(500),
			processor: func() *scriptedProcessor {
				return &scriptedProcessor{refunds: []response{refundResponse(payment.Pending, 500)}, lookups: refundLookups(refundResponse(payment.Pending, 500))}
			},
			afterAYear: func(_ *testsuite.TestWorkflowEnvironment, p *scriptedProcessor) {
				p.lookups[payment.OperationRefund] = []response{refundResponse(payment.Succeeded, 500)}
			},
			want: payment.Succeeded, maxLookups: 1100,
		},
		{
			name: "a refund that needs reconciliation", request: refundRequest(500),
			processor: func() *scriptedProcessor {
				return &scriptedProcessor{refunds: []response{lostResponse}, lookups: refundLookups(lostResponse)}
			},
			afterAYear: func(_ *testsuite.TestWorkflowEnvironment, p *scriptedProcessor) {
				p.lookups[payment.OperationRefund] = []response{refundResponse(payment.Succeeded, 500)}
			},
			want: payment.Succeeded, maxLookups: 700,
		},
	}
}

// yearResult is what a year of waiting cost.
type yearResult struct {
	runs, maxEvents, lookups int
	status                   payment.Status
}

func TestPaymentsThatWaitForAYear(t *testing.T) {
	t.Parallel()
	table := yearsOfWaiting()
	results := make([]yearResult, len(table))
	t.Run("of", func(t *testing.T) {
		for i, w := range table {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				results[i] = w.wait(t)
				require.Equal(t, w.want, results[i].status)
				require.LessOrEqual(t, results[i].maxEvents, longestHistory)
				require.LessOrEqual(t, results[i].lookups, w.maxLookups)
			})
		}
	})
	var total yearResult
	lost := 0
	for i, r := range results {
		total.runs += r.runs
		total.lookups += r.lookups
		total.maxEvents = max(total.maxEvents, r.maxEvents)
		if r.status != table[i].want {
			lost++
		}
	}
	t.Logf("year: statuses=%d runs=%d max_events=%d lookups=%d lost=%d", len(table), total.runs, total.maxEvents, total.lookups, lost)
}

// wait runs the workflow for a year, in as many runs as it takes, and then until it has ended.
func (w waiting) wait(t *testing.T) (result yearResult) {
	p, terms, db := w.processor(), testTerms, storetest.New(t)
	name := payment.WorkflowCharge
	if _, isRefund := w.request.(payment.RefundRequest); isRefund {
		db, name = storeWithPayment(t, payment.Succeeded, 0), payment.WorkflowRefund
	}
	if w.terms != nil {
		w.terms(&terms)
	}
	began := baseTime.Add(day)
	for now := began; ; {
		env, length := newEnvironmentWithStore(t, p, terms, db), &historyLength{}
		env.SetStartTime(now)
		count(env, length)
		if left := began.Add(year).Sub(now); left > 0 {
			env.RegisterDelayedCallback(func() {
				length.updates.Add(1)
				w.afterAYear(env, p)
			}, left)
		}
		if w.eventsEvery > 0 {
			w.sendEvents(env, length, began.Add(year))
		}
		execute(env, name, w.request)
		require.True(t, env.IsWorkflowCompleted())
		result.runs++
		result.maxEvents = max(result.maxEvents, length.events())
		var continued *workflow.ContinueAsNewError
		if err := env.GetWorkflowError(); errors.As(err, &continued) {
			require.Equal(t, name, continued.WorkflowType.Name)
			require.Less(t, result.runs, 1000)
			now = env.Now()
			continue
		} else if err != nil {
			require.NoError(t, err)
		}
		result.lookups, result.status = len(p.lookupCalls), storedStatus(t, db, w.request)
		return result
	}
}

// sendEvents sends an event again and again, until the given time or the end of the run.
func (w waiting) sendEvents(env *testsuite.TestWorkflowEnvironment, length *historyLength, until time.Time) {
	var send func()
	send = func() {
		if env.IsWorkflowCompleted() || env.Now().After(until) {
			return
		}
		length.signals.Add(1)
		env.SignalWorkflow(payment.SignalProcessorEvent, payment.ProcessorEvent{ID: "evt", Type: "payment.updated"})
		env.RegisterDelayedCallback(send, w.eventsEvery)
	}
	env.RegisterDelayedCallback(send, w.eventsEvery)
}

// count counts what the run does, and suggests to continue as new when a server would.
func count(env *testsuite.TestWorkflowEnvironment, length *historyLength) {
	suggest := func() {
		if length.events() >= suggestedAfter {
			env.SetContinueAsNewSuggested(true)
		}
	}
	env.SetOnTimerScheduledListener(func(string, time.Duration) {
		length.timers.Add(1)
		suggest()
	})
	env.SetOnActivityStartedListener(func(*activity.Info, context.Context, converter.EncodedValues) {
		length.activities.Add(1)
		suggest()
	})
	env.SetOnLocalActivityStartedListener(func(*activity.Info, context.Context, []any) {
		length.localActivities.Add(1)
		suggest()
	})
}

func storedStatus(t *testing.T, db *store.Store, request any) payment.Status {
	t.Helper()
	switch req := request.(type) {
	case payment.ChargeRequest:
		c, err := db.Payment(t.Context(), req.MerchantID, req.IdempotencyKey)
		require.NoError(t, err)
		return c.Status
	case payment.RefundRequest:
		r, err := db.Refund(t.Context(), req.MerchantID, req.IdempotencyKey)
		require.NoError(t, err)
		return r.Status
	default:
		panic(fmt.Sprintf("%T", request))
	}
}

func TestHistoryLengthIsNotUnderestimated(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/histories/*.json.gz")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		h, err := replaytest.Read(file)
		require.NoError(t, err)
		var length historyLength
		for _, event := range h.GetEvents() {
			switch event.GetEventType() {
			case enumspb.EVENT_TYPE_TIMER_STARTED:
				length.timers.Add(1)
			case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
				length.activities.Add(1)
			case enumspb.EVENT_TYPE_MARKER_RECORDED:
				if event.GetMarkerRecordedEventAttributes().GetMarkerName() == "LocalActivity" {
					length.localActivities.Add(1)
				}
			case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
				length.updates.Add(1)
			case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
				length.signals.Add(1)
			default:
			}
		}
		require.GreaterOrEqual(t, length.events(), len(h.GetEvents()), file)
	}
}
