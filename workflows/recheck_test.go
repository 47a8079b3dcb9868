package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var (
	recheckCharge = payment.RecheckRequest{MerchantID: "acme", IdempotencyKey: "order-1"}
	// recheckRefund is about the refund that storeWithPayment stores.
	recheckRefund = payment.RecheckRequest{MerchantID: "acme", IdempotencyKey: "before", Refund: true}
)

// recheckRun is a run of Recheck in a test environment.
type recheckRun struct {
	*testsuite.TestWorkflowEnvironment
	processor *scriptedProcessor
	store     *store.Store
	// took is how long the run took.
	took time.Duration
}

// runRecheck runs Recheck. Events arrive after the given times.
func runRecheck(
	t *testing.T, db *store.Store, req payment.RecheckRequest, responses []response, eventsAfter ...time.Duration,
) (recheckRun, payment.Recheck) {
	t.Helper()
	p := &scriptedProcessor{lookups: map[payment.Operation][]response{payment.OperationCharge: responses, payment.OperationRefund: responses}}
	r := recheckRun{TestWorkflowEnvironment: newEnvironmentWithStore(t, p, testTerms, db), processor: p, store: db}
	if req.Earlier.Lookups > 0 {
		r.SetContinuedExecutionRunID("the run before")
	}
	for _, after := range append(eventsAfter, 0) {
		r.RegisterDelayedCallback(func() { r.SignalWorkflow(payment.SignalProcessorEvent, payment.ProcessorEvent{ID: "evt_1", Type: "t"}) }, after)
	}
	began := r.Now()
	execute(r.TestWorkflowEnvironment, payment.WorkflowRecheck, req)
	require.True(t, r.IsWorkflowCompleted())
	require.NoError(t, r.GetWorkflowError())
	var result payment.Recheck
	require.NoError(t, r.GetWorkflowResult(&result))
	r.took = r.Now().Sub(began)
	return r, result
}

func (r recheckRun) lookups() int { return len(r.processor.lookupCalls) }

func (r recheckRun) divergences(t *testing.T) []payment.Divergence {
	t.Helper()
	page, err := r.store.Divergences(t.Context(), payment.DivergenceFilter{})
	require.NoError(t, err)
	return page.Divergences
}

// refundResponse is a response with the processor's record of the refund that storeWithPayment stores.
func refundLookedUp(status payment.Status, amount int64) response {
	r := processor.Result{
		ID: "re_before", Status: status, Amount: amount, Currency: "USD", RequestID: "req_7",
		Reference: payment.ProcessorKey(payment.RefundID("acme", "before"), payment.OperationRefund, 0),
	}
	if status == payment.Declined {
		r.Decline = &payment.Decline{Code: "account_closed", Kind: payment.DeclineHard}
	}
	return response{result: r}
}

func TestRecheckWithoutAContradictionChangesNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		here     payment.Status
		response response
	}{
		"the same":                        {here: payment.Succeeded, response: chargeResponse(payment.Succeeded)},
		"declined in both":                {here: payment.Declined, response: chargeResponse(payment.Declined)},
		"declined, and canceled there":    {here: payment.Declined, response: chargeResponse(payment.Voided)},
		"no record of a failed payment":   {here: payment.Failed, response: notFound},
		"no record, because lookups lag":  {here: payment.Succeeded, response: notFound},
		"conflicted: is known to operate": {here: payment.Conflicted, response: chargeResponse(payment.Succeeded)},
	} {
		t.Run(name, func(t *testing.T) {
			db := storeWithPayment(t, tt.here, 0)
			before, err := db.Payment(t.Context(), "acme", "order-1")
			require.NoError(t, err)
			r, result := runRecheck(t, db, recheckCharge, []response{tt.response})
			require.Equal(t, payment.Recheck{Lookups: 1}, result)
			require.Empty(t, r.divergences(t))
			after, err := db.Payment(t.Context(), "acme", "order-1")
			require.NoError(t, err)
			require.Equal(t, before, after)
			require.Equal(t, []processor.LookupCall{{
				Operation: payment.OperationCharge, Reference: chargeKey(), ProcessorPaymentID: "ch_1", NotBefore: before.CreatedAt,
			}}, r.processor.lookupCalls)
		})
	}
}

func TestRecheckRecordsAContradictionOnce(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Declined, 0)
	r, result := runRecheck(t, db, recheckCharge, []response{chargeResponse(payment.Succeeded)}, 10*time.Second)
	require.Equal(t, 2, r.lookups(), "the event that came later causes another lookup")
	recorded := r.divergences(t)
	require.Len(t, recorded, 1)
	require.Equal(t, payment.Recheck{Lookups: 2, Divergences: []string{recorded[0].DivergenceID}}, result)
	require.Equal(t, payment.DivergenceStatus, recorded[0].Kind)
	require.Equal(t, payment.Declined, recorded[0].StatusHere)
	require.Equal(t, "succeeded", recorded[0].StatusThere)
	require.Equal(t, "lookup", recorded[0].DetectedBy)
	require.Equal(t, map[string]string{"captured_there": "12.50 USD", payment.EvidenceRequestID: "req_1"}, recorded[0].Evidence)
	stored, err := db.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.Equal(t, payment.Declined, stored.Status, "Florin's own state does not change")

	_, again := runRecheck(t, db, recheckCharge, []response{chargeResponse(payment.Succeeded)})
	require.Equal(t, payment.Recheck{Lookups: 1}, again)
	require.Len(t, r.divergences(t), 1)
}

func TestRefundInTheDashboardIsADivergenceAndAnOwnRefundIsNot(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Succeeded, 400)
	_, _, _, err := db.ReserveRefund(t.Context(), refundToReserve("in flight", 300), "fingerprint")
	require.NoError(t, err)
	refunded := func(amount int64) response {
		there := chargeResponse(payment.Succeeded)
		there.result.RefundedAmount = amount
		return there
	}
	for _, amount := range []int64{400, 700} {
		r, _ := runRecheck(t, db, recheckCharge, []response{refunded(amount)})
		require.Empty(t, r.divergences(t), amount)
	}
	r, _ := runRecheck(t, db, recheckCharge, []response{refunded(1250)})
	require.Len(t, r.divergences(t), 1)
	require.Equal(t, payment.DivergenceRefunded, r.divergences(t)[0].Kind)
	require.Equal(t, "5.50 USD", r.divergences(t)[0].Evidence["refunded_only_there"])
}

func TestRefundThatFailsLateBecomesFailedAndItsAmountCanBeRefundedAgain(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Succeeded, 1250)
	var transitions []store.Transition
	db.SetObserver(func(t store.Transition) { transitions = append(transitions, t) })
	r, result := runRecheck(t, db, recheckRefund, []response{refundLookedUp(payment.Declined, 1250)}, 10*time.Second)
	require.Equal(t, payment.Recheck{Lookups: 2, FailedLate: true}, result)
	require.Empty(t, r.divergences(t), "a late failure is a transition")
	require.Equal(t, "ch_1", r.processor.lookupCalls[0].ProcessorPaymentID)

	refund, err := db.Refund(t.Context(), "acme", "before")
	require.NoError(t, err)
	require.Equal(t, payment.Failed, refund.Status)
	require.Equal(t, payment.ClassStateConflict, refund.Failure.Class)
	require.Equal(t, "account_closed", refund.Failure.ProcessorCode)
	paid, err := db.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.Zero(t, paid.RefundedAmount)
	require.Len(t, transitions, 1)
	require.Equal(t, []payment.Status{payment.Succeeded, payment.Failed}, []payment.Status{transitions[0].From, transitions[0].To})
	events, err := db.Events(t.Context(), refund.RefundID)
	require.NoError(t, err)
	require.Equal(t, store.Cause{By: "lookup", Evidence: map[string]string{"request_id": "req_7"}}, events[len(events)-1].Cause)
	_, _, created, err := db.ReserveRefund(t.Context(), refundToReserve("again", 1250), "fingerprint")
	require.NoError(t, err)
	require.True(t, created)
}

func TestRefundWithAnotherStatusIsADivergenceOfTheRefund(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Succeeded, 400)
	runRecheck(t, db, recheckRefund, []response{refundLookedUp(payment.Declined, 400)})
	r, _ := runRecheck(t, db, recheckRefund, []response{refundLookedUp(payment.Succeeded, 400)})
	recorded := r.divergences(t)
	require.Len(t, recorded, 1)
	require.Equal(t, payment.DivergenceRefundStatus, recorded[0].Kind)
	require.Equal(t, payment.RefundID("acme", "before"), recorded[0].RefundID)
	require.Equal(t, payment.Failed, recorded[0].StatusHere)
}

// A lookup right after a success may still say "pending". The next one decides.
func TestContradictionOfALaggingRecordIsConfirmedByAnotherLookup(t *testing.T) {
	t.Parallel()
	pending, succeeded := chargeResponse(payment.Pending), chargeResponse(payment.Succeeded)
	for name, tt := range map[string]struct {
		responses []response
		want      []string // statuses there of the recorded divergences
	}{
		"the record was not up to date":       {responses: []response{pending, succeeded}},
		"the record was not up to date twice": {responses: []response{chargeResponse(payment.Authorized), pending, succeeded}},
		"the record stays":                    {responses: []response{pending, pending}, want: []string{"pending"}},
		"no record in between":                {responses: []response{pending, notFound}},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := runRecheck(t, storeWithPayment(t, payment.Succeeded, 0), recheckCharge, tt.responses)
			require.Equal(t, len(tt.responses), r.lookups())
			var got []string
			for _, d := range r.divergences(t) {
				got = append(got, d.StatusThere)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestEventsCauseFewLookups(t *testing.T) {
	t.Parallel()
	same := []response{chargeResponse(payment.Succeeded)}
	for name, tt := range map[string]struct {
		events  []time.Duration
		lookups int
		took    time.Duration
	}{
		"one event":                       {lookups: 1, took: collectFor + time.Minute},
		"several about the same change":   {events: []time.Duration{0, 0, time.Second}, lookups: 1, took: collectFor + time.Minute},
		"more during the pause":           {events: []time.Duration{10 * time.Second, 11 * time.Second, 50 * time.Second}, lookups: 2, took: collectFor + 3*time.Minute},
		"more during each pause":          {events: []time.Duration{10 * time.Second, 2 * time.Minute}, lookups: 3, took: collectFor + 7*time.Minute},
		"one just before the pause's end": {events: []time.Duration{collectFor + 59*time.Second}, lookups: 2, took: collectFor + 3*time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := runRecheck(t, storeWithPayment(t, payment.Succeeded, 0), recheckCharge, same, tt.events...)
			require.Equal(t, tt.lookups, r.lookups())
			require.WithinDuration(t, time.Time{}.Add(tt.took), time.Time{}.Add(r.took), time.Second)
		})
	}
	require.Equal(t, time.Hour, pauseAfter(7))
	require.Equal(t, time.Hour, pauseAfter(1<<40))
}

// The history must not grow without a limit if an event arrives every second.
func TestRecheckContinuesAsNewAfterManyLookups(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{lookups: chargeLookups(chargeResponse(payment.Succeeded))}
	env := newEnvironmentWithStore(t, p, testTerms, storeWithPayment(t, payment.Succeeded, 0))
	for i := range 2 * maxRounds {
		env.RegisterDelayedCallback(func() {
			env.SignalWorkflow(payment.SignalProcessorEvent, payment.ProcessorEvent{ID: "evt", Type: "t"})
		}, time.Duration(i)*30*time.Minute)
	}
	for _, after := range []time.Duration{0, 10 * time.Second, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute} {
		env.RegisterDelayedCallback(func() {
			env.SignalWorkflow(payment.SignalProcessorEvent, payment.ProcessorEvent{ID: "evt", Type: "t"})
		}, after)
	}
	execute(env, payment.WorkflowRecheck, recheckCharge)
	var continued *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &continued)
	require.Len(t, p.lookupCalls, maxRounds)
	var next payment.RecheckRequest
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(continued.Input, &next))
	want := recheckCharge
	want.Earlier.Lookups = maxRounds
	require.Equal(t, want, next)

	r, result := runRecheck(t, storeWithPayment(t, payment.Succeeded, 0), next, []response{chargeResponse(payment.Succeeded)})
	require.Equal(t, payment.Recheck{Lookups: maxRounds + 1}, result)
	require.WithinDuration(t, time.Time{}.Add(longestPause), time.Time{}.Add(r.took), time.Second, "the pause does not begin again")
}

func TestLookupWithoutAResponseIsRepeatedForADay(t *testing.T) {
	t.Parallel()
	failing := errorResponse(payment.ClassUnavailable, processor.NotExecuted, false)
	db := storeWithPayment(t, payment.Declined, 0)
	r, result := runRecheck(t, db, recheckCharge, []response{failing, failing, failing, chargeResponse(payment.Succeeded)})
	require.Equal(t, 1, result.Lookups)
	require.Len(t, r.divergences(t), 1)
	require.Equal(t, 4, r.lookups())

	r, result = runRecheck(t, db, recheckCharge, []response{failing})
	require.Zero(t, result)
	require.InDelta(t, (24 * time.Hour).Hours(), r.took.Hours(), 1.1)
	require.Less(t, r.lookups(), 35)

	r, _ = runRecheck(t, db, recheckCharge, []response{
		errorResponse(payment.ClassUnavailable, processor.NotExecuted, true), chargeResponse(payment.Declined),
	})
	require.Less(t, r.took, 2*time.Minute, "what may be retried at once is")
}

func TestRecheckLooksUpOnlyWhatIsFinal(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status payment.Status
		req    payment.RecheckRequest
	}{
		"pending":        {status: payment.Pending, req: recheckCharge},
		"unknown":        {status: payment.Unknown, req: recheckCharge},
		"not stored":     {status: payment.Succeeded, req: payment.RecheckRequest{MerchantID: "acme", IdempotencyKey: "order-2"}},
		"another's":      {status: payment.Succeeded, req: payment.RecheckRequest{MerchantID: "globex", IdempotencyKey: "order-1"}},
		"unknown refund": {status: payment.Succeeded, req: payment.RecheckRequest{MerchantID: "acme", IdempotencyKey: "order-1", Refund: true}},
	} {
		t.Run(name, func(t *testing.T) {
			r, result := runRecheck(t, storeWithPayment(t, tt.status, 0), tt.req, nil)
			require.Zero(t, result)
			require.Zero(t, r.lookups())
		})
	}
}
