package workflows

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/storetest"
	"github.com/florinpay/florin/payment"
)

var byJane = payment.Resolution{Status: payment.Succeeded, Evidence: "ch_1 in the dashboard", By: "jane", ProcessorID: "ch_1"}

// unresponsiveProcessor responds to the charge with a conflict, and never to a lookup: the outcome stays unknown.
// byJaneAs is another decision of jane's, without the processor's id.
func byJaneAs(status payment.Status) payment.Resolution {
	r := byJane
	r.Status, r.ProcessorID, r.WithoutProcessorID = status, "", status == payment.Succeeded
	return r
}

func unresponsiveProcessor() *scriptedProcessor {
	return &scriptedProcessor{charges: []response{stateConflict}, lookups: chargeLookups(lostResponse)}
}

func resolveAfter(env *testsuite.TestWorkflowEnvironment, d time.Duration, id string, r payment.Resolution) *updateCallbacks {
	resolve := &updateCallbacks{}
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(payment.UpdateResolve, id, resolve, r) }, d)
	return resolve
}

func TestOperatorResolvesAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		after    time.Duration
		status   payment.Status
		captured int64
	}{
		"as succeeded, while it is unknown":               {after: time.Minute, status: payment.Succeeded, captured: 1250},
		"as failed, while it needs reconciliation":        {after: 72 * time.Hour, status: payment.Failed},
		"as declined, while it needs reconciliation":      {after: 72 * time.Hour, status: payment.Declined},
		"as voided, since it was voided at the processor": {after: 72 * time.Hour, status: payment.Voided},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.New(t)
			env := newEnvironmentWithStore(t, unresponsiveProcessor(), testTerms, db)
			resolution := byJaneAs(tt.status)
			resolve := resolveAfter(env, tt.after, "1", resolution)
			execute(env, payment.WorkflowCharge, chargeRequest())
			require.NoError(t, env.GetWorkflowError())
			require.NoError(t, resolve.err)
			var c payment.Charge
			require.NoError(t, env.GetWorkflowResult(&c))
			require.Equal(t, c, resolve.value)
			require.Equal(t, []any{tt.status, tt.captured}, []any{c.Status, c.CapturedAmount})
			require.Equal(t, tt.status == payment.Declined, c.Decline != nil)
			events, err := db.Events(t.Context(), c.PaymentID)
			require.NoError(t, err)
			want := activities.Cause{By: "operator:jane", Evidence: map[string]string{"evidence": resolution.Evidence, "lookup": "no response"}}
			if resolution.WithoutProcessorID {
				want.Evidence["without_processor_id"] = "true"
			}
			require.Equal(t, want, events[len(events)-1].Cause)
		})
	}
}

// What an operator has read in a dashboard may be outdated, or about another payment.
func TestResolutionIsCheckedByALookup(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		resolved payment.Status
		lookup   response
		want     payment.Status
		refused  bool
	}{
		"failed, and the processor has it":       {resolved: payment.Failed, lookup: chargeResponse(payment.Succeeded), want: payment.Succeeded, refused: true},
		"declined, and the processor has it":     {resolved: payment.Declined, lookup: chargeResponse(payment.Succeeded), want: payment.Succeeded, refused: true},
		"succeeded, and the processor agrees":    {resolved: payment.Succeeded, lookup: chargeResponse(payment.Succeeded), want: payment.Succeeded},
		"succeeded, and the processor declined":  {resolved: payment.Succeeded, lookup: chargeResponse(payment.Declined), want: payment.Declined, refused: true},
		"failed, and the processor has nothing":  {resolved: payment.Failed, lookup: notFound, want: payment.Failed},
		"failed, and the processor is not there": {resolved: payment.Failed, lookup: lostResponse, want: payment.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			p := unresponsiveProcessor()
			env := newEnvironmentWithTerms(t, p, termsWithGrace(0))
			env.RegisterDelayedCallback(func() { p.lookups[payment.OperationCharge] = []response{tt.lookup} }, 72*time.Hour)
			resolution := byJaneAs(tt.resolved)
			resolve := resolveAfter(env, 72*time.Hour+time.Second, "1", resolution)
			execute(env, payment.WorkflowCharge, chargeRequest())
			require.NoError(t, env.GetWorkflowError())
			var c payment.Charge
			require.NoError(t, env.GetWorkflowResult(&c))
			require.Equal(t, tt.want, c.Status)
			if tt.refused {
				var refused *temporal.ApplicationError
				require.ErrorAs(t, resolve.err, &refused)
				require.EqualValues(t, payment.ErrNotResolvable, refused.Type())
				require.Contains(t, refused.Message(), "the processor has responded meanwhile")
			} else {
				require.NoError(t, resolve.err)
			}
		})
	}
}

func TestResolvingARefundAsFailedReleasesItsReservation(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Succeeded, 250)
	p := &scriptedProcessor{refunds: []response{stateConflict}, lookups: refundLookups(lostResponse)}
	env := newEnvironmentWithStore(t, p, testTerms, db)
	resolution := byJaneAs(payment.Failed)
	resolve := resolveAfter(env, time.Hour, "1", resolution)
	execute(env, payment.WorkflowRefund, refundRequest(500))
	require.NoError(t, env.GetWorkflowError())
	require.NoError(t, resolve.err)
	_, _, created, err := db.ReserveRefund(t.Context(), refundToReserve("all", 1000), "fingerprint")
	require.NoError(t, err)
	require.True(t, created)
}

func TestResolutionOfAPendingPaymentAndInvalidResolutionsAreRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		resolution payment.Resolution
		code       payment.RefusalCode
	}{
		"the payment is pending": {
			resolution: byJane,
			code:       payment.ErrNotResolvable,
		},
		"no evidence": {
			resolution: payment.Resolution{Status: payment.Failed, By: "jane"},
			code:       payment.ErrInvalidRequest,
		},
		"no operator": {
			resolution: payment.Resolution{Status: payment.Failed, Evidence: "x"},
			code:       payment.ErrInvalidRequest,
		},
		"a status that is not an outcome": {
			resolution: payment.Resolution{Status: payment.Pending, Evidence: "x", By: "jane"},
			code:       payment.ErrInvalidRequest,
		},
		"a card number in the evidence": {
			resolution: payment.Resolution{Status: payment.Failed, Evidence: "4111111111111111", By: "jane"},
			code:       payment.ErrInvalidRequest,
		},
	} {
		t.Run(name, func(t *testing.T) {
			pending := chargeResponse(payment.Pending)
			env := newEnvironment(t, &scriptedProcessor{
				charges: []response{pending},
				lookups: chargeLookups(pending, pending, chargeResponse(payment.Succeeded)),
			})
			resolve := resolveAfter(env, 10*time.Second, "1", tt.resolution)
			execute(env, payment.WorkflowCharge, chargeRequest())
			require.NoError(t, env.GetWorkflowError())
			var application *temporal.ApplicationError
			require.ErrorAs(t, resolve.err, &application)
			require.EqualValues(t, tt.code, application.Type())
			require.False(t, resolve.accepted)
		})
	}
}

// The resolution arrives during a lookup.
func TestOutcomeFromALookupInFlightTakesPrecedenceOverAResolution(t *testing.T) {
	t.Parallel()
	env := newEnvironment(t, unresponsiveProcessor())
	env.OnActivity(payment.ActivityProcessorLookup, mock.Anything, mock.Anything).
		Return(activities.LookupResult{Found: true, Result: chargeResponse(payment.Declined).result}, nil).After(time.Minute)
	resolve := resolveAfter(env, 30*time.Second, "1", byJane)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Declined, c.Status)
	require.ErrorContains(t, resolve.err, "it is declined: the processor has responded meanwhile, or the operation was sent again")
}

func TestProcessorEventTriggersOneLookupAndItsContentIsNotTrusted(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{
		charges: []response{chargeResponse(payment.Pending)},
		lookups: chargeLookups(chargeResponse(payment.Succeeded)),
	}
	env := newEnvironment(t, p)
	began := env.Now()
	env.RegisterDelayedCallback(func() {
		for range 3 {
			env.SignalWorkflow(payment.SignalProcessorEvent, map[string]string{"status": "declined"})
		}
	}, time.Second)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Succeeded, c.Status, "the status comes from the lookup, not from the event")
	require.Len(t, p.lookupCalls, 1)
	require.Equal(t, time.Second, env.Now().Sub(began), "without the event it would take 5 s")
}

func TestResolutionThatContradictsThePaymentOrRefundIsRefused(t *testing.T) {
	t.Parallel()
	tooMuch, ofRefund, withoutID := byJane, byJane, byJane
	tooMuch.CapturedAmount, ofRefund.CapturedAmount, withoutID.ProcessorID = 1251, 1, ""
	for name, tt := range map[string]struct {
		request    any
		resolution payment.Resolution
		problem    string
	}{
		"a captured amount above the payment's": {
			request: chargeRequest(), resolution: tooMuch,
			problem: "captured_amount: 1251 exceeds the payment's amount of 1250",
		},
		"a manual capture without a captured amount": {
			request: manualChargeRequest(), resolution: byJane,
			problem: "captured_amount: is missing",
		},
		"a payment without the processor's id": {
			request: chargeRequest(), resolution: withoutID,
			problem: "processor_id: is missing: without it, the payment cannot be refunded: give it, or set without_processor_id",
		},
		"a refund without the processor's id": {
			request: refundRequest(500), resolution: withoutID,
			problem: "processor_id: is missing",
		},
		"a refund with a captured amount": {
			request: refundRequest(500), resolution: ofRefund,
			problem: "captured_amount: a refund captures nothing",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := unresponsiveProcessor()
			p.refunds, p.lookups[payment.OperationRefund] = []response{stateConflict}, []response{lostResponse}
			workflow, db := payment.WorkflowCharge, storetest.New(t)
			if _, ok := tt.request.(payment.RefundRequest); ok {
				workflow, db = payment.WorkflowRefund, storeWithPayment(t, payment.Succeeded, 0)
			}
			env := newEnvironmentWithStore(t, p, testTerms, db)
			resolve := resolveAfter(env, time.Hour, "1", tt.resolution)
			env.SetWorkflowRunTimeout(2 * time.Hour)
			execute(env, workflow, tt.request)
			resolve.requireRefused(t, payment.ErrInvalidRequest, tt.problem)
		})
	}
}

func TestResolutionWithoutTheProcessorsIDHasToSaySo(t *testing.T) {
	t.Parallel()
	withoutID := byJane
	withoutID.ProcessorID, withoutID.WithoutProcessorID = "", true
	for name, request := range map[string]any{payment.WorkflowCharge: chargeRequest(), payment.WorkflowRefund: refundRequest(500)} {
		t.Run(name, func(t *testing.T) {
			p := unresponsiveProcessor()
			p.refunds, p.lookups[payment.OperationRefund] = []response{stateConflict}, []response{lostResponse}
			db := storetest.New(t)
			if name == payment.WorkflowRefund {
				db = storeWithPayment(t, payment.Succeeded, 0)
			}
			env := newEnvironmentWithStore(t, p, testTerms, db)
			resolve := resolveAfter(env, time.Hour, "1", withoutID)
			execute(env, name, request)
			require.NoError(t, env.GetWorkflowError())
			require.NoError(t, resolve.err)
			var got struct{ Status payment.Status }
			require.NoError(t, env.GetWorkflowResult(&got))
			require.Equal(t, payment.Succeeded, got.Status)
		})
	}
}

// The id that an operator has named is looked up, and taken only if the processor has it for this payment or refund.
func TestResolutionMayNameTheProcessorsRecord(t *testing.T) {
	t.Parallel()
	charge, refund := chargeResponse(payment.Succeeded), refundResponse(payment.Succeeded, 500)
	charge.result.ID, refund.result.ID = "ch_7", "re_7"
	another, anotherRefund, other := charge, refund, charge
	another.result.Reference, anotherRefund.result.Reference, other.result.ID = "of another payment", "of another refund", "ch_8"
	for name, tt := range map[string]struct {
		request  any
		id       string
		named    map[string]response
		code     payment.RefusalCode
		problem  string
		recorded string
	}{
		"a payment":                   {request: chargeRequest(), id: "ch_7", named: map[string]response{"ch_7": charge}, recorded: "ch_7"},
		"a refund":                    {request: refundRequest(500), id: "re_7", named: map[string]response{"re_7": refund}, recorded: "re_7"},
		"another payment":             {chargeRequest(), "ch_7", map[string]response{"ch_7": another}, payment.ErrInvalidRequest, "it is something else", ""},
		"another refund":              {refundRequest(500), "re_7", map[string]response{"re_7": anotherRefund}, payment.ErrInvalidRequest, "it is something else", ""},
		"a response about another id": {chargeRequest(), "ch_7", map[string]response{"ch_7": other}, payment.ErrInvalidRequest, "it is something else", ""},
		"no payment":                  {chargeRequest(), "ch_7", map[string]response{"ch_7": notFound}, payment.ErrInvalidRequest, "has nothing under this id", ""},
		"no response":                 {chargeRequest(), "ch_7", nil, payment.ErrNotResolvable, "resolve it again later, or without an id", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := unresponsiveProcessor()
			p.refunds, p.lookups[payment.OperationRefund], p.named = []response{stateConflict}, []response{lostResponse}, tt.named
			workflow, db := payment.WorkflowCharge, storetest.New(t)
			if _, ok := tt.request.(payment.RefundRequest); ok {
				workflow, db = payment.WorkflowRefund, storeWithPayment(t, payment.Succeeded, 0)
			}
			env := newEnvironmentWithStore(t, p, testTerms, db)
			env.SetWorkflowRunTimeout(2 * time.Hour)
			resolution := byJane
			resolution.ProcessorID = tt.id
			resolve := resolveAfter(env, time.Hour, "1", resolution)
			execute(env, workflow, tt.request)
			if tt.recorded == "" {
				var refused *temporal.ApplicationError
				require.ErrorAs(t, resolve.err, &refused)
				require.EqualValues(t, tt.code, refused.Type())
				require.Contains(t, refused.Message(), tt.problem)
				return
			}
			require.NoError(t, env.GetWorkflowError())
			require.NoError(t, resolve.err)
			c, err := db.Payment(t.Context(), "acme", "order-1")
			require.NoError(t, err)
			recorded := c.ProcessorPaymentID
			if workflow == payment.WorkflowRefund {
				r, err := db.Refund(t.Context(), "acme", refundRequest(500).IdempotencyKey)
				require.NoError(t, err)
				recorded = r.ProcessorRefundID
			}
			require.Equal(t, tt.recorded, recorded)
		})
	}
}

// Updates that only wait for the outcome must not use up those that Temporal allows.
func TestUpdatesThatWaitForTheOutcomeLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	env := newEnvironment(t, unresponsiveProcessor())
	var waiting []*updateCallbacks
	for i := range 20 {
		u := &updateCallbacks{}
		waiting = append(waiting, u)
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflow(payment.UpdateOutcome, fmt.Sprintf("ever new %d", i), u, payment.OutcomeRequest{})
		}, time.Minute)
	}
	own := &updateCallbacks{}
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(payment.UpdateOutcome, chargeRequest().Fingerprint(), own, payment.OutcomeRequest{})
	}, 2*time.Minute)
	resolve := resolveAfter(env, time.Hour, "resolve", byJaneAs(payment.Failed))
	var later []*updateCallbacks
	for i := range 200 { // once there is an outcome, they end at once
		u := &updateCallbacks{}
		later = append(later, u)
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflow(payment.UpdateOutcome, fmt.Sprintf("later %d", i), u, payment.OutcomeRequest{})
		}, 30*time.Minute)
	}
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	require.NoError(t, resolve.err)
	require.NoError(t, own.err)
	accepted := 0
	for _, u := range append(waiting, later...) {
		if u.err == nil {
			accepted++
			continue
		}
		u.requireRefused(t, payment.ErrTooManyUpdates, "repeat one under its own update ID")
	}
	require.Equal(t, maxOutcomesWaiting, accepted)
}

// Callers who repeat a capture under ever new update IDs must not keep an operator out.
func TestCapturesThatWaitLeaveRoomForAResolution(t *testing.T) {
	t.Parallel()
	p, db := authorizingProcessor(lostResponse), storetest.New(t)
	p.captures = []response{stateConflict}
	env := newEnvironmentWithStore(t, p, testTerms, db)
	var captures []*updateCallbacks
	for i := range 15 {
		u := &updateCallbacks{}
		captures = append(captures, u)
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflow(payment.UpdateCapture, fmt.Sprintf("ever new %d", i), u, payment.CaptureRequest{})
		}, time.Hour+time.Duration(i)*time.Millisecond)
	}
	resolution := byJane
	resolution.CapturedAmount = 1250
	resolve := resolveAfter(env, 72*time.Hour, "resolve", resolution)
	runToEnd(t, env, db, manualChargeRequest())
	require.NoError(t, resolve.err)
	waited := 0
	for _, u := range captures {
		if u.err == nil {
			waited++
			continue
		}
		u.requireRefused(t, payment.ErrTooManyUpdates, "repeat one under its own update ID")
	}
	require.Equal(t, maxModificationsWaiting, waited)
}
