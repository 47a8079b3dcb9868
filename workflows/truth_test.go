package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/storetest"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// terms returns those of the tests with another grace period.
func termsWithGrace(grace time.Duration) activities.Terms {
	terms := testTerms
	terms.AbsenceProofAfter = activities.Duration(grace)
	return terms
}

// A capture that timed out and then got a 409 may still go through: the record that shows an authorized payment proves nothing
// before the grace period is over.
func TestCaptureConflictAfterALostResponseIsNotBelievedBeforeTheGracePeriod(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{
		charges: []response{chargeResponse(payment.Authorized)}, captures: []response{lostResponse, stateConflict},
		lookups: map[payment.Operation][]response{payment.OperationCharge: {
			chargeResponse(payment.Authorized), chargeResponse(payment.Authorized), chargeResponse(payment.Authorized), captureResponse(1250)}},
	}
	env := newEnvironmentWithTerms(t, p, termsWithGrace(30*time.Minute))
	update := captureAfter(env, time.Hour)
	c := finished(t, env, manualChargeRequest())
	require.Equal(t, payment.Succeeded, c.Status)
	require.Equal(t, c, update.charge(t), "the capture is not reported as not executed in between")
}

// A first send that is refused for the state of the payment was not executed, and cannot have caused that state.
func TestCaptureConflictOnTheFirstSendIsConcludedByOneLookup(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{
		charges: []response{chargeResponse(payment.Authorized)}, captures: []response{stateConflict}, voids: []response{chargeResponse(payment.Voided)},
		lookups: map[payment.Operation][]response{payment.OperationCharge: {chargeResponse(payment.Authorized)}},
	}
	env := newEnvironmentWithTerms(t, p, termsWithGrace(0))
	update := captureAfter(env, time.Hour)
	voidAfter(env, 2*time.Hour)
	require.Equal(t, payment.Voided, finished(t, env, manualChargeRequest()).Status)
	require.Equal(t, payment.Authorized, update.charge(t).Status)
}

// Without a grace period, a lost capture is not executed once the key of its last send has expired, and no earlier.
func TestLostCaptureWithoutAGracePeriodIsUnknownUntilItsKeyHasExpired(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{
		charges: []response{chargeResponse(payment.Authorized)}, captures: []response{lostResponse},
		lookups: chargeLookups(chargeResponse(payment.Authorized)),
	}
	terms := termsWithGrace(0)
	terms.KeyLifetime = terms.ScheduleToClose + activities.Duration(time.Minute)
	env := newEnvironmentWithTerms(t, p, terms)
	update := captureAfter(env, time.Hour)
	var unknown payment.Charge
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(payment.QueryStatus)
		unknown = decodeQuery[payment.Charge](t, value, err)
	}, time.Hour+time.Duration(terms.KeyLifetime))
	voidAfter(env, 10*time.Hour)
	p.voids = []response{chargeResponse(payment.Voided)}
	c := finished(t, env, manualChargeRequest())
	require.Equal(t, payment.Unknown, unknown.Status)
	require.Equal(t, payment.Authorized, update.charge(t).Status)
	require.Equal(t, payment.Voided, c.Status)
}

// Run 1 may have sent a capture before it was terminated. A refusal of run 2's capture proves nothing about that.
func TestCaptureRefusedAfterATerminatedRunIsLookedUp(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{
		captures: []response{forbidden},
		lookups:  map[payment.Operation][]response{payment.OperationCharge: {chargeResponse(payment.Authorized), captureResponse(1250)}},
	}
	env := newEnvironmentWithStore(t, p, testTerms, storeWithRequest(t, payment.Authorized, manualChargeRequest()))
	env.SetStartTime(baseTime.Add(time.Hour))
	update := captureAfter(env, time.Second)
	c := finished(t, env, manualChargeRequest())
	require.Equal(t, payment.Succeeded, c.Status)
	require.Equal(t, c, update.charge(t))
}

// An unknown outcome that a terminated run has left is that of a capture or a void: an authorized record proves nothing before the
// grace period is over.
func TestUnknownModificationOfATerminatedRunIsNotConcludedBeforeTheGracePeriod(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{captures: []response{stateConflict}, lookups: map[payment.Operation][]response{payment.OperationCharge: {
		chargeResponse(payment.Authorized), chargeResponse(payment.Authorized), captureResponse(1250)}}}
	env := newEnvironmentWithStore(t, p, termsWithGrace(30*time.Minute), storeWithRequest(t, payment.Unknown, manualChargeRequest()))
	env.SetStartTime(baseTime.Add(time.Hour))
	var between payment.Charge
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(payment.QueryStatus)
		between = decodeQuery[payment.Charge](t, value, err)
	}, 5*time.Second)
	require.Equal(t, payment.Succeeded, finished(t, env, manualChargeRequest()).Status)
	require.Equal(t, payment.Unknown, between.Status)
}

// Each modification has one key of its own, also across runs: a response to one must never be repeated to another.
func TestModificationsNeverShareAKeyAcrossRuns(t *testing.T) {
	t.Parallel()
	declined := response{result: processor.Result{Status: payment.Declined, Reference: "x", Decline: &payment.Decline{Code: "expired"}}}
	other := response{result: processor.Result{Status: payment.Declined, Reference: "x", Decline: &payment.Decline{Code: "expired", Message: "again"}}}
	db := storetest.New(t)
	first := &scriptedProcessor{
		charges: []response{chargeResponse(payment.Authorized)}, captures: []response{declined, other},
		lookups: map[payment.Operation][]response{payment.OperationCharge: {chargeResponse(payment.Authorized)}},
	}
	env := newEnvironmentWithStore(t, first, testTerms, db)
	captureAfter(env, time.Hour)
	captureAfter(env, 2*time.Hour)
	env.SetWorkflowRunTimeout(3 * time.Hour) // as if it was terminated
	execute(env, payment.WorkflowCharge, manualChargeRequest())

	second := &scriptedProcessor{
		captures: []response{captureResponse(1250)},
		lookups:  map[payment.Operation][]response{payment.OperationCharge: {chargeResponse(payment.Authorized)}},
	}
	env = newEnvironmentWithStore(t, second, testTerms, db)
	captureAfter(env, time.Hour)
	require.Equal(t, payment.Succeeded, runToEnd(t, env, db, manualChargeRequest()).Status)
	keys := map[string]int{}
	for _, call := range append(first.captureCalls, second.captureCalls...) {
		keys[call.Key]++
	}
	require.Len(t, keys, 3, "%v", keys)
}

// A modification that was cut off continues under its own key.
func TestCaptureThatWasCutOffContinuesUnderItsKey(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	first := &scriptedProcessor{
		charges: []response{chargeResponse(payment.Authorized)}, captures: []response{lostResponse},
		lookups: map[payment.Operation][]response{payment.OperationCharge: {chargeResponse(payment.Authorized)}},
	}
	env := newEnvironmentWithStore(t, first, testTerms, db)
	captureAfter(env, time.Hour)
	env.SetWorkflowRunTimeout(time.Hour + 20*time.Second) // as if it was terminated
	execute(env, payment.WorkflowCharge, manualChargeRequest())
	require.NotEmpty(t, first.captureCalls)

	second := &scriptedProcessor{
		captures: []response{captureResponse(1250)},
		lookups:  map[payment.Operation][]response{payment.OperationCharge: {chargeResponse(payment.Authorized)}},
	}
	env = newEnvironmentWithStore(t, second, testTerms, db)
	captureAfter(env, time.Hour)
	require.Equal(t, payment.Succeeded, runToEnd(t, env, db, manualChargeRequest()).Status)
	require.Equal(t, first.captureCalls[0].Key, second.captureCalls[0].Key)
}

// An ambiguous operation is looked up at once, however baseTime the processor asks to wait before it is sent again.
func TestAmbiguousChargeIsNotPutOffByALongRetryAfter(t *testing.T) {
	t.Parallel()
	busy := response{err: &processor.Error{Class: payment.ClassUnavailable, Certainty: processor.Ambiguous, Retry: true, RetryAfter: time.Hour, HTTPStatus: 503, Message: "busy"}}
	p := &scriptedProcessor{
		charges: []response{lostResponse, busy, chargeResponse(payment.Succeeded)},
		lookups: map[payment.Operation][]response{payment.OperationCharge: {notFound, notFound, chargeResponse(payment.Succeeded)}},
	}
	env := newEnvironmentWithTerms(t, p, termsWithGrace(0))
	began := env.Now()
	c := finished(t, env, chargeRequest())
	require.Equal(t, payment.Succeeded, c.Status)
	require.Less(t, env.Now().Sub(began), time.Minute)
	require.Len(t, p.chargeCalls, 2)
}

// It is sent again when the processor asked for it, if no lookup has found it until then.
func TestAmbiguousChargeIsSentAgainWhenTheProcessorAskedForIt(t *testing.T) {
	t.Parallel()
	busy := response{err: &processor.Error{Class: payment.ClassUnavailable, Certainty: processor.Ambiguous, Retry: true, RetryAfter: time.Hour, HTTPStatus: 503, Message: "busy"}}
	p := &scriptedProcessor{
		charges: []response{lostResponse, busy, chargeResponse(payment.Succeeded)},
		lookups: map[payment.Operation][]response{payment.OperationCharge: {notFound}},
	}
	env := newEnvironmentWithTerms(t, p, termsWithGrace(0))
	began := env.Now()
	var between payment.Charge
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(payment.QueryStatus)
		between = decodeQuery[payment.Charge](t, value, err)
	}, 30*time.Minute)
	c := finished(t, env, chargeRequest())
	require.Equal(t, payment.Unknown, between.Status)
	require.Equal(t, payment.Succeeded, c.Status)
	require.InDelta(t, time.Hour, env.Now().Sub(began), float64(30*time.Minute))
	require.GreaterOrEqual(t, env.Now().Sub(began), time.Hour)
}

// A decline that follows a lost response may be the processor's answer to a duplicate: one lookup decides.
func TestDeclineAfterALostResponseIsCheckedByALookup(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lookups []response
		want    payment.Status
	}{
		"the first send was executed":      {lookups: []response{chargeResponse(payment.Succeeded)}, want: payment.Succeeded},
		"the processor has nothing":        {lookups: []response{notFound}, want: payment.Declined},
		"the processor has the decline":    {lookups: []response{chargeResponse(payment.Declined)}, want: payment.Declined},
		"the first lookup gets no answer":  {lookups: []response{lostResponse, lostResponse, chargeResponse(payment.Succeeded)}, want: payment.Succeeded},
		"no answer, and then it is absent": {lookups: []response{lostResponse, notFound}, want: payment.Declined},
		"the first send is found pending, and then not at all": {
			lookups: []response{chargeResponse(payment.Pending), notFound, chargeResponse(payment.Succeeded)}, want: payment.Succeeded,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bare := response{result: processor.Result{Status: payment.Declined, Reference: chargeKey(), Decline: &payment.Decline{Code: "duplicate", Kind: payment.DeclineSoft}}}
			p := &scriptedProcessor{charges: []response{lostResponse, bare}, lookups: map[payment.Operation][]response{payment.OperationCharge: tt.lookups}}
			c := runCharge(t, p, chargeRequest())
			require.Equal(t, tt.want, c.Status)
			require.Equal(t, tt.want == payment.Declined, c.Decline != nil)
			require.NotEmpty(t, p.lookupCalls)
		})
	}
}

// A processor may have executed the first send, and fail to respond for a quarter of an hour.
func TestLookupsBeginBesideTheResends(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{charges: []response{lostResponse}, lookups: chargeLookups(notFound, notFound, chargeResponse(payment.Succeeded))}
	env := newEnvironmentWithTerms(t, p, termsWithGrace(0))
	began := env.Now()
	var afterTenSeconds payment.Charge
	env.RegisterDelayedCallback(func() { afterTenSeconds = queryCharge(t, env) }, 10*time.Second)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, payment.Unknown, afterTenSeconds.Status)
	require.Less(t, env.Now().Sub(began), 30*time.Second, "it was found by the third lookup")
	require.LessOrEqual(t, len(p.chargeCalls), 6)
}

func TestResendsBesideTheLookupsSlowDownAndEnd(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{charges: []response{lostResponse}, lookups: chargeLookups(lostResponse)}
	env := newEnvironmentWithTerms(t, p, termsWithGrace(0))
	var sends []int
	for _, after := range []time.Duration{time.Minute, 15 * time.Minute, time.Hour} {
		env.RegisterDelayedCallback(func() { sends = append(sends, len(p.chargeCalls)) }, after)
	}
	env.RegisterDelayedCallback(func() { p.lookups[payment.OperationCharge] = []response{chargeResponse(payment.Succeeded)} }, 2*time.Hour)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, sends, 3)
	require.InDelta(t, 6, sends[0], 2)
	require.InDelta(t, 34, sends[1], 4, "one every 30 seconds")
	require.Equal(t, sends[1], sends[2], "none after schedule_to_close")
}

// seenBefore is the decline with which a processor answers a request that it takes for a repetition.
func seenBefore(reference string) response {
	return response{result: processor.Result{
		Status: payment.Declined, Reference: reference, Decline: &payment.Decline{Code: "duplicate_transaction", Kind: payment.DeclineSoft},
	}}
}

func TestDeclineThatMeansSeenBeforeIsNoProof(t *testing.T) {
	t.Parallel()
	absent := func(n int) (lookups []response) {
		for range n {
			lookups = append(lookups, notFound)
		}
		return lookups
	}
	for name, tt := range map[string]struct {
		charges []response
		lookups []response
		grace   time.Duration
		want    payment.Status
		kind    payment.DeclineKind
	}{
		"on the first send, it is a hard decline": {
			charges: []response{seenBefore(chargeKey())}, want: payment.Declined, kind: payment.DeclineHard,
		},
		"after a lost response, the search finds the payment late": {
			charges: []response{lostResponse, seenBefore(chargeKey())},
			lookups: append(absent(5), chargeResponse(payment.Succeeded)), want: payment.Succeeded,
		},
		"after a lost response, the search finds the payment late, and absence is proof after an hour": {
			charges: []response{lostResponse, seenBefore(chargeKey())},
			lookups: append(absent(5), chargeResponse(payment.Succeeded)), grace: time.Hour, want: payment.Succeeded,
		},
		"after a lost response, the processor has nothing for an hour": {
			charges: []response{lostResponse, seenBefore(chargeKey())},
			lookups: absent(1), grace: time.Hour, want: payment.Declined, kind: payment.DeclineHard,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &scriptedProcessor{charges: tt.charges, lookups: chargeLookups(tt.lookups...)}
			env := newEnvironmentWithTerms(t, p, termsWithGrace(tt.grace))
			execute(env, payment.WorkflowCharge, chargeRequest())
			require.NoError(t, env.GetWorkflowError())
			var c payment.Charge
			require.NoError(t, env.GetWorkflowResult(&c))
			require.Equal(t, tt.want, c.Status)
			if tt.want == payment.Declined {
				require.Equal(t, tt.kind, c.Decline.Kind, "a retry that succeeds could be a second charge")
			}
		})
	}
}

func TestRefundThatWasSeenBeforeIsNotDeclined(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Succeeded, 0)
	key := payment.ProcessorKey(payment.RefundID("acme", "refund-1"), payment.OperationRefund, 0)
	p := &scriptedProcessor{
		refunds: []response{lostResponse, seenBefore(key)},
		lookups: refundLookups(notFound, notFound, refundResponse(payment.Succeeded, 500)),
	}
	env := newEnvironmentWithStore(t, p, termsWithGrace(0), db)
	execute(env, payment.WorkflowRefund, refundRequest(500))
	var r payment.Refund
	require.NoError(t, env.GetWorkflowResult(&r))
	require.Equal(t, payment.Succeeded, r.Status)
}

// The record of an authorized payment proves nothing about a capture in flight.
func TestCaptureThatWasSeenBeforeIsNotDeclined(t *testing.T) {
	t.Parallel()
	authorized := chargeResponse(payment.Authorized)
	p := &scriptedProcessor{
		charges: []response{authorized}, captures: []response{lostResponse, seenBefore(chargeKey())},
		lookups: chargeLookups(authorized, authorized, captureResponse(1250)),
	}
	env := newEnvironmentWithTerms(t, p, termsWithGrace(0))
	capture := &updateCallbacks{}
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(payment.UpdateCapture, "capture", capture, payment.CaptureRequest{})
	}, time.Hour)
	execute(env, payment.WorkflowCharge, manualChargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Succeeded, c.Status)
	require.EqualValues(t, 1250, c.CapturedAmount)
}

func TestDeclinedRefundAfterALostResponseIsCheckedByALookup(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Succeeded, 0)
	key := payment.ProcessorKey(payment.RefundID("acme", "refund-1"), payment.OperationRefund, 0)
	declined := response{result: processor.Result{Status: payment.Declined, Reference: key, Decline: &payment.Decline{Code: "already_refunded"}}}
	p := &scriptedProcessor{
		refunds: []response{lostResponse, declined},
		lookups: map[payment.Operation][]response{payment.OperationRefund: {refundResponse(payment.Succeeded, 500)}},
	}
	env := newEnvironmentWithStore(t, p, testTerms, db)
	execute(env, payment.WorkflowRefund, refundRequest(500))
	var r payment.Refund
	require.NoError(t, env.GetWorkflowResult(&r))
	require.Equal(t, payment.Succeeded, r.Status)
}

// The customer, who has to act, can pay the same payment with another card after a decline.
func TestDeclineThatCanStillSucceedIsVoidedBeforeItIsReported(t *testing.T) {
	t.Parallel()
	acts, open := chargeResponse(payment.RequiresAction), chargeResponse(payment.Declined)
	open.result.CanStillSucceed = true
	closed, succeeded, voided := chargeResponse(payment.Declined), chargeResponse(payment.Succeeded), chargeResponse(payment.Voided)
	for name, tt := range map[string]struct {
		charge  response
		lookups []response
		voids   []response
		want    payment.Status
		sent    int
	}{
		"it is voided": {
			charge: acts, lookups: []response{acts, open}, voids: []response{voided}, want: payment.Declined, sent: 1,
		},
		"the customer pays before the void": {
			charge: acts, lookups: []response{open, succeeded}, voids: []response{stateConflict}, want: payment.Succeeded, sent: 1,
		},
		"the void has no response, and the processor has voided it": {
			charge: acts, lookups: []response{open, voided}, voids: []response{lostResponse, forbidden}, want: payment.Declined, sent: 2,
		},
		"the void has no response, and the processor reports the decline, which is final now": {
			charge: acts, lookups: []response{open, closed}, voids: []response{lostResponse, forbidden}, want: payment.Declined, sent: 2,
		},
		"the void has no response, and the customer pays": {
			charge: acts, lookups: []response{open, open, succeeded}, voids: []response{lostResponse, forbidden}, want: payment.Succeeded, sent: 2,
		},
		"the void is refused for two days": {
			charge: acts, lookups: []response{open}, voids: []response{forbidden, forbidden, voided}, want: payment.Declined, sent: 3,
		},
		"it is declined at once, so that the customer does not know it": {charge: open, want: payment.Declined},
		"the decline is final": {charge: acts, lookups: []response{closed}, want: payment.Declined},
	} {
		t.Run(name, func(t *testing.T) {
			p := &scriptedProcessor{charges: []response{tt.charge}, lookups: chargeLookups(tt.lookups...), voids: tt.voids}
			c := runCharge(t, p, chargeRequest())
			require.Equal(t, tt.want, c.Status)
			require.Len(t, p.voidCalls, tt.sent)
			if tt.want == payment.Declined {
				require.Equal(t, "insufficient_funds", c.Decline.Code)
			} else {
				require.Nil(t, c.Decline)
			}
		})
	}
}

func TestAuthorizationThatFollowsADeclineIsAdopted(t *testing.T) {
	t.Parallel()
	open, authorized := chargeResponse(payment.Declined), chargeResponse(payment.Authorized)
	open.result.CanStillSucceed = true
	p, db := &scriptedProcessor{
		charges: []response{chargeResponse(payment.RequiresAction)}, lookups: chargeLookups(open, authorized),
		voids: []response{stateConflict}, captures: []response{captureResponse(1250)},
	}, storetest.New(t)
	env := newEnvironmentWithStore(t, p, testTerms, db)
	var between payment.Charge
	env.RegisterDelayedCallback(func() { between = queryCharge(t, env) }, time.Hour)
	captureAfter(env, 2*time.Hour)
	require.Equal(t, payment.Succeeded, runToEnd(t, env, db, manualChargeRequest()).Status)
	require.Equal(t, []any{payment.Authorized, (*payment.Decline)(nil), (*payment.Failure)(nil)}, []any{between.Status, between.Decline, between.Failure})
}

// A run that was terminated has sent the void of a decline that can still succeed.
func TestVoidOfADeclineContinuesInTheNextRun(t *testing.T) {
	t.Parallel()
	for want, found := range map[payment.Status]response{
		payment.Declined: chargeResponse(payment.Voided), payment.Succeeded: chargeResponse(payment.Succeeded),
	} {
		db := storeWithPayment(t, payment.RequiresAction, 0)
		stored, err := db.Payment(t.Context(), "acme", "order-1")
		require.NoError(t, err)
		stored.Decline = &payment.Decline{Code: "insufficient_funds", Kind: payment.DeclineSoft}
		stored.Modification = &payment.Modification{
			Operation: payment.OperationVoid, Reason: "decline", StatusBefore: payment.RequiresAction, BeganAt: baseTime, RunID: "terminated",
		}
		_, err = db.RecordPayment(t.Context(), stored, activities.Cause{By: "test"})
		require.NoError(t, err)
		p := &scriptedProcessor{lookups: chargeLookups(found)}
		env := newEnvironmentWithStore(t, p, termsWithGrace(0), db)
		env.SetStartTime(baseTime.Add(time.Hour))
		c := finished(t, env, chargeRequest())
		require.Equal(t, want, c.Status)
		require.Equal(t, want == payment.Declined, c.Decline != nil)
		require.Empty(t, p.voidCalls)
	}
}

// What says that it took nothing, and has captured something, is a conflict whatever it calls itself.
func TestRecordThatContradictsItselfIsConflicted(t *testing.T) {
	t.Parallel()
	for _, status := range []payment.Status{payment.Declined, payment.Voided, payment.Authorized} {
		a := chargeResponse(status)
		a.result.CapturedAmount = 1250
		req := chargeRequest()
		if status != payment.Declined {
			req = manualChargeRequest()
		}
		c := runCharge(t, &scriptedProcessor{charges: []response{a}}, req)
		require.Equal(t, payment.Conflicted, c.Status, status)
		require.Zero(t, c.CapturedAmount, "the captured amount of a payment that is not succeeded is not trusted")
	}
}

// An operator's typo, the id of another payment, is refused and changes nothing.
func TestResolutionWithTheIDOfAnotherPaymentIsRefused(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Succeeded, 0) // order-1 is ch_1
	req := chargeRequest()
	req.IdempotencyKey = "order-2"
	p := &scriptedProcessor{charges: []response{lostResponse}, lookups: map[payment.Operation][]response{payment.OperationCharge: {notFound}}}
	ours, theirs := chargeResponse(payment.Succeeded), chargeResponse(payment.Succeeded)
	ours.result.ID, ours.result.Reference = "ch_2", payment.ProcessorKey(payment.PaymentID("acme", "order-2"), payment.OperationCharge, 0)
	p.named = map[string]response{"ch_1": theirs, "ch_2": ours}
	env := newEnvironmentWithStore(t, p, termsWithGrace(0), db)
	typo, right := &updateCallbacks{}, &updateCallbacks{}
	resolve := func(update *updateCallbacks, id string, after time.Duration) {
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflow(payment.UpdateResolve, id, update, payment.Resolution{
				Status: payment.Succeeded, Evidence: "dashboard", By: "jane", ProcessorID: id,
			})
		}, after)
	}
	resolve(typo, "ch_1", time.Hour)
	resolve(right, "ch_2", 2*time.Hour)
	execute(env, payment.WorkflowCharge, req)
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Succeeded, c.Status)
	require.Equal(t, "ch_2", c.ProcessorPaymentID)
	require.ErrorContains(t, typo.err, "ch_1")
	require.NoError(t, right.err)
}

// What could not be read leaves its reason with the payment that needs an operator.
func TestReconciliationKeepsWhyTheProcessorsResponsesDidNotHelp(t *testing.T) {
	t.Parallel()
	unreadable := response{err: &processor.Error{Class: payment.ClassInvalidResponse, Certainty: processor.Ambiguous, Retry: true, HTTPStatus: 200, Code: "", Message: "the response has no id"}}
	p := &scriptedProcessor{charges: []response{lostResponse}, lookups: map[payment.Operation][]response{payment.OperationCharge: {unreadable}}}
	env := newEnvironmentWithTerms(t, p, termsWithGrace(0))
	var c payment.Charge
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(payment.QueryStatus)
		c = decodeQuery[payment.Charge](t, value, err)
		env.UpdateWorkflowNoRejection(payment.UpdateResolve, "resolve", t, payment.Resolution{Status: payment.Failed, Evidence: "dashboard", By: "jane"})
	}, 30*time.Hour)
	finished(t, env, chargeRequest())
	require.Equal(t, payment.NeedsReconciliation, c.Status)
	require.Contains(t, c.Failure.Message, "the response has no id")
}

func TestNothingIsSentAfterSendBy(t *testing.T) {
	t.Parallel()
	limited := func(after time.Duration) response {
		return response{err: &processor.Error{Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true, RetryAfter: after, HTTPStatus: 429, Message: "slow down"}}
	}
	for name, tt := range map[string]struct {
		sendBy  time.Duration // after the start; 0: none
		charges []response
		sends   int
		class   payment.FailureClass
		within  time.Duration
	}{
		"a Retry-After beyond it fails at once":          {sendBy: time.Minute, charges: []response{limited(time.Hour)}, sends: 1, class: payment.ClassRateLimited, within: time.Second},
		"a Retry-After beyond the processor's own limit": {charges: []response{limited(time.Hour)}, sends: 1, class: payment.ClassRateLimited, within: time.Second},
		"it has passed already":                          {sendBy: -time.Second, sends: 0, class: payment.ClassNotSent, within: time.Second},
		"retries end with it":                            {sendBy: 10 * time.Second, charges: []response{errorResponse(payment.ClassNotSent, processor.NotExecuted, true)}, sends: 4, class: payment.ClassNotSent, within: 11 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			p := &scriptedProcessor{charges: tt.charges}
			terms := testTerms
			terms.SendWithin = 0 // as long as schedule_to_close
			env := newEnvironmentWithTerms(t, p, terms)
			began := env.Now()
			req := chargeRequest()
			if tt.sendBy != 0 {
				req.SendBy = began.Add(tt.sendBy)
			}
			c := finished(t, env, req)
			require.Equal(t, payment.Failed, c.Status)
			require.Equal(t, tt.class, c.Failure.Class, c.Failure.Message)
			require.LessOrEqual(t, len(p.chargeCalls), tt.sends)
			require.LessOrEqual(t, env.Now().Sub(began), tt.within)
		})
	}
}

// stored2 is a store that has the payment of a request, with the processor's id.
func storeWithRequest(t *testing.T, status payment.Status, req payment.ChargeRequest) *store.Store {
	t.Helper()
	db := storetest.New(t)
	c, _, err := db.BeginPayment(t.Context(), payment.Charge{
		PaymentID: payment.PaymentID("acme", "order-1"), MerchantID: "acme", IdempotencyKey: "order-1", Amount: req.Amount, Currency: req.Currency,
		Processor: "sim", PaymentMethod: req.PaymentMethod, CreatedAt: baseTime, UpdatedAt: baseTime,
	}, req.Fingerprint())
	require.NoError(t, err)
	for _, to := range []payment.Status{payment.Authorized, status} {
		if c.Status == to {
			continue
		}
		c.Status, c.ProcessorPaymentID, c.UpdatedAt = to, "ch_1", baseTime
		c.Modification = &payment.Modification{
			RunID:     "another run",
			Operation: payment.OperationCapture, Amount: 1250, StatusBefore: payment.Authorized, BeganAt: baseTime.Add(time.Minute),
		}
		if to == payment.Unknown {
			c.Failure = &payment.Failure{Class: payment.ClassOutcomeUnknown, Message: "lost"}
		}
		c, err = db.RecordPayment(t.Context(), c, activities.Cause{By: "test"})
		require.NoError(t, err)
	}
	return db
}

// finished runs the charge to its end and returns its result.
// A refund that was found is not declined because a later lookup does not find it.
func TestDeclineOfARefundThatWasFoundDoesNotCount(t *testing.T) {
	t.Parallel()
	key := payment.ProcessorKey(payment.RefundID("acme", "refund-1"), payment.OperationRefund, 0)
	declined := response{result: processor.Result{Status: payment.Declined, Reference: key, Decline: &payment.Decline{Code: "duplicate"}}}
	env := newRefundEnvironment(t, &scriptedProcessor{
		refunds: []response{lostResponse, declined},
		lookups: refundLookups(refundResponse(payment.Pending, 500), notFound, refundResponse(payment.Succeeded, 500)),
	})
	execute(env, payment.WorkflowRefund, refundRequest(500))
	var r payment.Refund
	require.NoError(t, env.GetWorkflowResult(&r))
	require.Equal(t, payment.Succeeded, r.Status)
}

// Only a record that was read says something about a capture: a payment that is not found says nothing.
func TestDeclinedCaptureAfterALostResponse(t *testing.T) {
	t.Parallel()
	withID := chargeResponse(payment.Declined)
	for name, tt := range map[string]struct {
		declined response
		lookups  []response
		want     payment.Status
	}{
		"the payment is not found, and then captured": {
			declined: declinedModification, lookups: []response{notFound, captureResponse(1250)}, want: payment.Succeeded,
		},
		"the payment is authorized, whatever the decline says": {
			declined: withID, lookups: []response{chargeResponse(payment.Authorized)}, want: payment.Voided,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &scriptedProcessor{
				charges: []response{chargeResponse(payment.Authorized)}, captures: []response{lostResponse, tt.declined},
				voids: []response{chargeResponse(payment.Voided)}, lookups: chargeLookups(tt.lookups...),
			}
			env := newEnvironment(t, p)
			captureAfter(env, time.Hour)
			voidAfter(env, 50*time.Hour)
			require.Equal(t, tt.want, finished(t, env, manualChargeRequest()).Status)
		})
	}
}

// A reset run does not know what the run before it has sent since. The store does: it has the modification in flight, or its outcome.
func TestRunThatWasResetContinuesTheStoredModification(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stored func(*payment.Charge, time.Time)
		// amount is what this run is asked to capture.
		amount int64
		want   int64
	}{
		"the same capture is in flight": {amount: 1250, want: 1250, stored: func(c *payment.Charge, now time.Time) {
			c.Status, c.Failure = payment.Unknown, &payment.Failure{Class: payment.ClassOutcomeUnknown, Message: "lost"}
			c.Modification = &payment.Modification{RunID: "another run", Operation: payment.OperationCapture, Amount: 1250, StatusBefore: payment.Authorized, BeganAt: now}
		}},
		"another capture is in flight": {amount: 1000, want: 500, stored: func(c *payment.Charge, now time.Time) {
			c.Modification = &payment.Modification{RunID: "another run", Operation: payment.OperationCapture, Amount: 500, StatusBefore: payment.Authorized, BeganAt: now}
		}},
		"the payment was captured": {amount: 1000, want: 500, stored: func(c *payment.Charge, _ time.Time) {
			c.Status, c.CapturedAmount, c.Modifications = payment.Succeeded, 500, 1
		}},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.New(t)
			p := &scriptedProcessor{
				charges: []response{chargeResponse(payment.Authorized)}, captures: []response{stateConflict},
				lookups: chargeLookups(chargeResponse(payment.Authorized), captureResponse(tt.want)),
			}
			env := newEnvironmentWithStore(t, p, testTerms, db)
			env.RegisterDelayedCallback(func() {
				c, err := db.Payment(t.Context(), "acme", "order-1")
				require.NoError(t, err)
				tt.stored(&c, env.Now().UTC())
				_, err = db.RecordPayment(t.Context(), c, activities.Cause{By: "other run"})
				require.NoError(t, err)
			}, time.Minute)
			update := captureAfter(env, time.Hour, partialCapture(tt.amount))
			c := finished(t, env, manualChargeRequest())
			require.Equal(t, []any{payment.Succeeded, tt.want}, []any{c.Status, c.CapturedAmount})
			require.NotEqual(t, payment.Authorized, update.charge(t).Status, "the capture is not reported as not executed")
		})
	}
}

func finished(t *testing.T, env *testsuite.TestWorkflowEnvironment, req payment.ChargeRequest) payment.Charge {
	t.Helper()
	execute(env, payment.WorkflowCharge, req)
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	return c
}

// An operator resolves "declined" while the void of an open decline is unknown: the record says declined AND still payable.
func TestDeclineThatCanStillSucceedIsNotResolvedAsDeclined(t *testing.T) {
	t.Parallel()
	acts, open := chargeResponse(payment.RequiresAction), chargeResponse(payment.Declined)
	open.result.CanStillSucceed = true
	p := &scriptedProcessor{charges: []response{acts}, lookups: chargeLookups(acts, open), voids: []response{lostResponse}}
	env := newEnvironmentWithTerms(t, p, termsWithGrace(time.Hour))
	r := payment.Resolution{Status: payment.Declined, Evidence: "requires_payment_method in the dashboard", By: "jane"}
	resolve := resolveAfter(env, 30*time.Second, "1", r)
	env.SetWorkflowRunTimeout(100 * time.Second)
	execute(env, payment.WorkflowCharge, chargeRequest())
	c := queryCharge(t, env)
	require.ErrorContains(t, resolve.err, "according to the processor the payment is declined")
	require.NotEqual(t, payment.Declined, c.Status, "the customer can still pay it")
}

// Authorized record, capture in flight (lost): operator resolves failed; the capture goes through.
func TestAuthorizedPaymentIsNotResolvedAsFailed(t *testing.T) {
	t.Parallel()
	p := authorizingProcessor(chargeResponse(payment.Authorized))
	p.captures = []response{lostResponse}
	env := newEnvironmentWithTerms(t, p, termsWithGrace(time.Hour))
	captureAfter(env, time.Hour)
	r := payment.Resolution{Status: payment.Failed, Evidence: "not captured in the dashboard", By: "jane"}
	resolve := resolveAfter(env, time.Hour+30*time.Second, "1", r)
	env.SetWorkflowRunTimeout(2 * time.Hour)
	execute(env, payment.WorkflowCharge, manualChargeRequest())
	c := queryCharge(t, env)
	require.ErrorContains(t, resolve.err, "according to the processor the payment is authorized")
	require.NotEqual(t, payment.Failed, c.Status)
}

// Refund: unknown; operator says failed; the lookup finds a succeeded refund of another amount.
func TestRefundThatNeedsReconciliationIsNotResolvedAsFailedIfTheProcessorHasIt(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Succeeded, 0)
	p := &scriptedProcessor{refunds: []response{stateConflict}, lookups: refundLookups(lostResponse)}
	env := newEnvironmentWithStore(t, p, termsWithGrace(0), db)
	env.RegisterDelayedCallback(func() { p.lookups[payment.OperationRefund] = []response{refundResponse(payment.Succeeded, 600)} }, 72*time.Hour)
	r := payment.Resolution{Status: payment.Failed, Evidence: "no refund of 5.00 in the dashboard", By: "jane"}
	resolve := resolveAfter(env, 72*time.Hour+time.Second, "1", r)
	env.SetWorkflowRunTimeout(80 * time.Hour)
	execute(env, payment.WorkflowRefund, refundRequest(500))
	stored, err := db.Refund(t.Context(), "acme", "refund-1")
	require.NoError(t, err)
	require.ErrorContains(t, resolve.err, "the processor has something else")
	require.Equal(t, payment.NeedsReconciliation, stored.Status)
	require.Equal(t, "re_1", stored.ProcessorRefundID)
	require.Contains(t, stored.Failure.Message, "6.00 USD instead of 5.00 USD")
}

func TestUnknownRefundIsNotResolvedAsFailedIfTheProcessorHasIt(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Succeeded, 0)
	p := &scriptedProcessor{refunds: []response{stateConflict}, lookups: refundLookups(lostResponse)}
	env := newEnvironmentWithStore(t, p, termsWithGrace(0), db)
	env.RegisterDelayedCallback(func() { p.lookups[payment.OperationRefund] = []response{refundResponse(payment.Succeeded, 600)} }, time.Hour)
	r := payment.Resolution{Status: payment.Failed, Evidence: "no refund of 5.00 in the dashboard", By: "jane"}
	resolve := resolveAfter(env, time.Hour+time.Second, "1", r)
	env.SetWorkflowRunTimeout(80 * time.Hour)
	execute(env, payment.WorkflowRefund, refundRequest(500))
	stored, err := db.Refund(t.Context(), "acme", "refund-1")
	require.NoError(t, err)
	require.ErrorContains(t, resolve.err, "the processor has something else")
	require.Equal(t, payment.NeedsReconciliation, stored.Status)
	require.Equal(t, "re_1", stored.ProcessorRefundID)
	require.Contains(t, stored.Failure.Message, "6.00 USD instead of 5.00 USD")
}

// A capture in flight, a new run; its client sends the update again before the run has read the store.
func TestCaptureIsNotRefusedBeforeTheNextRunHasReadTheStore(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{captures: []response{captureResponse(1250)},
		lookups: chargeLookups(chargeResponse(payment.Authorized), captureResponse(1250))}
	env := newEnvironmentWithStore(t, p, testTerms, storeWithRequest(t, payment.Unknown, manualChargeRequest()))
	env.SetStartTime(baseTime.Add(time.Hour))
	update := captureAfter(env, 0)
	finished(t, env, manualChargeRequest())
	require.NoError(t, update.err)
}

// Canceling a workflow is known to its run only: the next run would leave an authorization that was to be voided.
func TestCancellationIsNotForgottenByTheNextRun(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{charges: []response{stateConflict}, lookups: chargeLookups(lostResponse), voids: []response{chargeResponse(payment.Voided)}}
	env := newEnvironmentWithTerms(t, p, termsWithGrace(0))
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Minute)
	env.RegisterDelayedCallback(func() { env.SetContinueAsNewSuggested(true) }, 2*time.Minute)
	env.RegisterDelayedCallback(func() { p.lookups = chargeLookups(chargeResponse(payment.Authorized)) }, time.Hour)
	execute(env, payment.WorkflowCharge, manualChargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Voided, c.Status)
}

// An operator resolved a refund as succeeded without the processor's id (it was made otherwise); the record of the request fails.
func TestRefundResolvedWithoutAnIDIsNotFailedByARecheck(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Succeeded, 0)
	before := refundToReserve("before", 1250)
	before.Status = payment.Processing
	before, _, _, err := db.ReserveRefund(t.Context(), before, "fingerprint")
	require.NoError(t, err)
	before.Status = payment.Succeeded // without_processor_id
	_, err = db.SettleRefund(t.Context(), before, activities.Cause{By: "operator:jane", Evidence: map[string]string{"without_processor_id": "true"}})
	require.NoError(t, err)
	_, _ = runRecheck(t, db, recheckRefund, []response{refundLookedUp(payment.Declined, 1250)})
	refund, err := db.Refund(t.Context(), "acme", "before")
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, refund.Status)
}

// A resend that ends without an error of its own (worker killed) ends all resends.
func TestResendWithoutAResponseIsRepeated(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{charges: []response{lostResponse, lostResponse, lostResponse, {panics: true}, chargeResponse(payment.Succeeded)},
		lookups: chargeLookups(notFound)}
	env := newEnvironmentWithTerms(t, p, termsWithGrace(0))
	env.SetWorkflowRunTimeout(10 * time.Hour)
	execute(env, payment.WorkflowCharge, chargeRequest())
	c := queryCharge(t, env)
	require.Equal(t, payment.Succeeded, c.Status)
}

func TestResolutionIsNotRefusedBeforeTheNextRunHasReadTheStore(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{captures: []response{stateConflict}, lookups: chargeLookups(lostResponse, lostResponse, captureResponse(1250))}
	env := newEnvironmentWithStore(t, p, testTerms, storeWithRequest(t, payment.Unknown, manualChargeRequest()))
	env.SetStartTime(baseTime.Add(time.Hour))
	resolution := byJane
	resolution.CapturedAmount = 1250
	resolve := resolveAfter(env, 0, "1", resolution)
	finished(t, env, manualChargeRequest())
	require.NoError(t, resolve.err)
}

// The customer acts again after an open decline whose void was refused: the decline stays on the payment.
func TestDeclineIsForgottenWhenTheCustomerActsAgain(t *testing.T) {
	t.Parallel()
	acts, open := chargeResponse(payment.RequiresAction), chargeResponse(payment.Declined)
	open.result.CanStillSucceed = true
	p := &scriptedProcessor{charges: []response{acts}, lookups: chargeLookups(open, acts), voids: []response{stateConflict}}
	env := newEnvironment(t, p)
	env.SetWorkflowRunTimeout(time.Hour)
	execute(env, payment.WorkflowCharge, chargeRequest())
	c := queryCharge(t, env)
	require.Nil(t, c.Decline)
}
