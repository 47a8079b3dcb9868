package workflows

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/storetest"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

const day = 24 * time.Hour

func manualChargeRequest() payment.ChargeRequest {
	req := chargeRequest()
	req.Capture = payment.CaptureManual
	return req
}

// authorizingProcessor authorizes the charge and voids it on request. Its lookups return these responses, by default that
// the payment is authorized.
func authorizingProcessor(lookups ...response) *scriptedProcessor {
	if len(lookups) == 0 {
		lookups = []response{chargeResponse(payment.Authorized)}
	}
	return &scriptedProcessor{
		charges: []response{chargeResponse(payment.Authorized)},
		voids:   []response{chargeResponse(payment.Voided)},
		lookups: chargeLookups(lookups...),
	}
}

func partialCapture(amount int64) payment.CaptureRequest {
	return payment.CaptureRequest{Amount: &amount}
}

func captureAfter(env *testsuite.TestWorkflowEnvironment, d time.Duration, args ...any) *updateCallbacks {
	return updateAfter(env, d, payment.UpdateCapture, args...)
}

func voidAfter(env *testsuite.TestWorkflowEnvironment, d time.Duration) *updateCallbacks {
	return updateAfter(env, d, payment.UpdateVoid)
}

// updateCount makes the ids of the updates unique.
var updateCount atomic.Int64

func updateAfter(env *testsuite.TestWorkflowEnvironment, d time.Duration, name string, args ...any) *updateCallbacks {
	update := &updateCallbacks{}
	id := fmt.Sprint(name, "-", updateCount.Add(1))
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(name, id, update, args...) }, d)
	return update
}

// charge returns the payment that the update has returned.
func (u *updateCallbacks) charge(t *testing.T) payment.Charge {
	t.Helper()
	require.NoError(t, u.err)
	c, ok := u.value.(payment.Charge)
	require.True(t, ok, "the update did not complete")
	return c
}

func (u *updateCallbacks) requireRefused(t *testing.T, code payment.RefusalCode, reason string) {
	t.Helper()
	var application *temporal.ApplicationError
	require.ErrorAs(t, u.err, &application)
	require.EqualValues(t, code, application.Type())
	require.Contains(t, application.Message(), reason)
	require.False(t, u.accepted)
}

// runToEnd runs the charge until its workflow ends, checks that its result is what is stored, and returns it.
func runToEnd(t *testing.T, env *testsuite.TestWorkflowEnvironment, db *store.Store, req payment.ChargeRequest) payment.Charge {
	t.Helper()
	execute(env, payment.WorkflowCharge, req)
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	stored, err := db.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.Equal(t, stored, c, "the result is what is stored")
	return c
}

func TestCaptureEndsAsTheProcessorResponds(t *testing.T) {
	t.Parallel()
	authorized := chargeResponse(payment.Authorized)
	for name, tt := range map[string]struct {
		// args are those of the update: without any, all is captured.
		args     []any
		captures []response
		lookups  []response
		// status, captured and class are in the payment that the update returns.
		status   payment.Status
		captured int64
		class    payment.FailureClass
		sends    int
	}{
		"the whole amount, without arguments": {
			captures: []response{captureResponse(1250)},
			status:   payment.Succeeded, captured: 1250, sends: 1,
		},
		"the whole amount, without an amount": {
			args: []any{payment.CaptureRequest{}}, captures: []response{captureResponse(1250)},
			status: payment.Succeeded, captured: 1250, sends: 1,
		},
		"a part": {
			args: []any{partialCapture(1000)}, captures: []response{captureResponse(1000)},
			status: payment.Succeeded, captured: 1000, sends: 1,
		},
		"the processor captures another part than requested": {
			args: []any{partialCapture(1000)}, captures: []response{captureResponse(1001)},
			status: payment.Conflicted, class: payment.ClassInvalidResponse, sends: 1,
		},
		"500 is retried": {
			captures: []response{ambiguous500, captureResponse(1250)},
			status:   payment.Succeeded, captured: 1250, sends: 2,
		},
		"403 leaves the payment authorized": {
			captures: []response{forbidden},
			status:   payment.Authorized, class: payment.ClassPermission, sends: 1,
		},
		"a decline leaves the payment authorized": {
			captures: []response{declinedModification},
			status:   payment.Authorized, class: payment.ClassStateConflict, sends: 1,
		},
		"a lost response, then a refusal: a lookup finds the capture": {
			args:     []any{partialCapture(1000)},
			captures: []response{lostResponse, forbidden}, lookups: []response{authorized, captureResponse(1000)},
			status: payment.Succeeded, captured: 1000, sends: 2,
		},
		"a lost response, then a refusal: still authorized after the grace period": {
			captures: []response{lostResponse, forbidden},
			status:   payment.Authorized, class: payment.ClassPermission, sends: 2,
		},
		"a state conflict, because it was captured": {
			captures: []response{stateConflict}, lookups: []response{captureResponse(1250)},
			status: payment.Succeeded, captured: 1250, sends: 1,
		},
		"a state conflict, because another part was captured": {
			captures: []response{stateConflict}, lookups: []response{captureResponse(7)},
			status: payment.Conflicted, class: payment.ClassInvalidResponse, sends: 1,
		},
		"a state conflict, because it was voided": {
			captures: []response{stateConflict}, lookups: []response{chargeResponse(payment.Voided)},
			status: payment.Voided, sends: 1,
		},
		"a state conflict, and still authorized": {
			captures: []response{stateConflict},
			status:   payment.Authorized, class: payment.ClassStateConflict, sends: 1,
		},
		"accepted, but still authorized: polled until a lookup finds the capture": {
			captures: []response{authorized}, lookups: []response{authorized, authorized, captureResponse(1250)},
			status: payment.Succeeded, captured: 1250, sends: 1,
		},
		"accepted, but still authorized after the grace period": {
			captures: []response{authorized},
			status:   payment.Authorized, class: payment.ClassInvalidResponse, sends: 1,
		},
		"pending is an outcome": {
			captures: []response{chargeResponse(payment.Pending)}, lookups: []response{captureResponse(1250)},
			status: payment.Pending, sends: 1,
		},
		"absence is no proof, because the processor has acknowledged the payment": {
			captures: []response{stateConflict},
			lookups:  []response{notFound, notFound, notFound, notFound, notFound, notFound, notFound, captureResponse(1250)},
			status:   payment.Succeeded, captured: 1250, sends: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, db := authorizingProcessor(tt.lookups...), storetest.New(t)
			p.captures = tt.captures
			env := newEnvironmentWithStore(t, p, testTerms, db)
			capture := captureAfter(env, time.Hour, tt.args...)
			runToEnd(t, env, db, manualChargeRequest())
			c := capture.charge(t)
			require.Equal(t, []any{tt.status, tt.captured, tt.class}, []any{c.Status, c.CapturedAmount, failureClass(c)})
			require.Len(t, p.captureCalls, tt.sends)
			key := payment.ProcessorKey(c.PaymentID, payment.OperationCapture, 0)
			for _, call := range p.captureCalls {
				require.Equal(t, key, call.Key, "every send has the same idempotency key")
				require.Equal(t, "ch_1", call.ProcessorPaymentID)
			}
		})
	}
}

// declinedModification is an adapter's response to a declined capture or void: the processor keeps no record of it.
var declinedModification = response{result: processor.Result{
	Status: payment.Declined, Reference: "of the modification", Decline: &payment.Decline{Code: "expired", Kind: payment.DeclineHard},
}}

// failureClass is empty for a payment without a failure.
func failureClass(c payment.Charge) payment.FailureClass {
	if c.Failure == nil {
		return ""
	}
	return c.Failure.Class
}

func TestVoidEndsAsTheProcessorResponds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		// before is the status in which the payment waits.
		before payment.Status
		voids  []response
		// lookups are those after the void; by default the payment is still in its status before.
		lookups []response
		// status and class are in the payment that the update returns.
		status payment.Status
		class  payment.FailureClass
		sends  int
	}{
		"an authorized payment is voided": {
			before: payment.Authorized, voids: []response{chargeResponse(payment.Voided)},
			status: payment.Voided, sends: 1,
		},
		"a payment that requires action is voided": {
			before: payment.RequiresAction, voids: []response{chargeResponse(payment.Voided)},
			status: payment.Voided, sends: 1,
		},
		"a pending payment is voided": {
			before: payment.Pending, voids: []response{ambiguous500, chargeResponse(payment.Voided)},
			status: payment.Voided, sends: 2,
		},
		"a state conflict, because it was captured": {
			before: payment.Authorized, voids: []response{stateConflict}, lookups: []response{captureResponse(1000)},
			status: payment.Succeeded, sends: 1,
		},
		"a state conflict, because it was voided": {
			before: payment.Authorized, voids: []response{stateConflict}, lookups: []response{chargeResponse(payment.Voided)},
			status: payment.Voided, sends: 1,
		},
		"a pending payment that the processor cannot void": {
			before: payment.Pending, voids: []response{stateConflict}, lookups: []response{chargeResponse(payment.Pending)},
			status: payment.Pending, class: payment.ClassStateConflict, sends: 1,
		},
		"a pending payment that is authorized meanwhile": {
			before: payment.Pending, voids: []response{stateConflict}, lookups: []response{chargeResponse(payment.Authorized)},
			status: payment.Authorized, class: payment.ClassStateConflict, sends: 1,
		},
		"403 leaves the payment authorized": {
			before: payment.Authorized, voids: []response{forbidden},
			status: payment.Authorized, class: payment.ClassPermission, sends: 1,
		},
		"a payment that requires action is declined meanwhile": {
			before: payment.RequiresAction, voids: []response{stateConflict}, lookups: []response{chargeResponse(payment.Declined)},
			status: payment.Declined, sends: 1,
		},
		"a lost response, then a refusal: a lookup finds that it was voided": {
			before: payment.Authorized, voids: []response{lostResponse, forbidden}, lookups: []response{chargeResponse(payment.Voided)},
			status: payment.Voided, sends: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.lookups == nil {
				tt.lookups = []response{chargeResponse(tt.before)}
			}
			p, db := authorizingProcessor(chargeResponse(tt.before)), storetest.New(t)
			p.charges, p.voids = []response{chargeResponse(tt.before)}, tt.voids
			env := newEnvironmentWithStore(t, p, testTerms, db)
			env.RegisterDelayedCallback(func() { p.lookups[payment.OperationCharge] = tt.lookups }, time.Hour)
			void := voidAfter(env, time.Hour)
			// The void at the deadline succeeds, so that the workflow ends.
			env.RegisterDelayedCallback(func() { p.voids = []response{chargeResponse(payment.Voided)} }, 2*time.Hour)
			runToEnd(t, env, db, manualChargeRequest())
			c := void.charge(t)
			require.Equal(t, []any{tt.status, tt.class}, []any{c.Status, failureClass(c)})
			var sends int
			for _, call := range p.voidCalls {
				if call.Key == payment.ProcessorKey(c.PaymentID, payment.OperationVoid, 0) {
					sends++
				}
			}
			require.Equal(t, tt.sends, sends)
		})
	}
}

func TestModificationThatIsNotPossibleIsRefused(t *testing.T) {
	t.Parallel()
	chargesWith := func(responses ...response) func(*scriptedProcessor) {
		return func(p *scriptedProcessor) { p.charges = responses }
	}
	processing := chargesWith(lostResponse, chargeResponse(payment.Authorized))
	pending := chargesWith(chargeResponse(payment.Pending))
	unknown := chargesWith(stateConflict)
	for name, tt := range map[string]struct {
		// prepare changes the processor; by default it authorizes the charge.
		prepare func(*scriptedProcessor)
		// first requests a modification that is in flight when the update arrives.
		first func(env *testsuite.TestWorkflowEnvironment)
		after time.Duration
		// early: the update arrives before the payment was read from the store, so that it is accepted first.
		early  bool
		update string
		args   []any
		code   payment.RefusalCode
		reason string
	}{
		"capture of more than is authorized": {
			after: time.Hour, update: payment.UpdateCapture, args: []any{partialCapture(1251)},
			code: payment.ErrCaptureExceedsAuthorized, reason: "capture of 12.51 USD exceeds the authorized 12.50 USD",
		},
		"capture in another currency": {
			after: time.Hour, update: payment.UpdateCapture, args: []any{payment.CaptureRequest{Currency: "EUR"}},
			code: payment.ErrInvalidRequest, reason: `currency: "EUR": the payment is in USD`,
		},
		"capture of nothing": {
			after: time.Hour, update: payment.UpdateCapture, args: []any{partialCapture(0)},
			code: payment.ErrInvalidRequest, reason: "amount",
		},
		"capture of a payment that is processing": {
			prepare: processing, early: true, update: payment.UpdateCapture,
			code: payment.ErrNotCapturable, reason: "the payment is processing",
		},
		"void of a payment that is processing": {
			prepare: processing, early: true, update: payment.UpdateVoid,
			code: payment.ErrNotVoidable, reason: "the payment is processing",
		},
		"capture of a pending payment": {
			prepare: pending, after: time.Second, update: payment.UpdateCapture,
			code: payment.ErrNotCapturable, reason: "the payment is pending: only a payment that is authorized can be captured",
		},
		"capture of a payment with an unknown outcome": {
			prepare: unknown, after: time.Second, update: payment.UpdateCapture,
			code: payment.ErrNotCapturable, reason: "the payment is unknown",
		},
		"void of a payment with an unknown outcome": {
			prepare: unknown, after: time.Second, update: payment.UpdateVoid,
			code: payment.ErrNotVoidable, reason: "the payment is unknown",
		},
		"void while a capture is in flight": {
			first: captureWithUnknownOutcome, after: time.Hour, update: payment.UpdateVoid,
			code: payment.ErrNotVoidable, reason: "another modification is in flight: capture 10.00 USD",
		},
		"capture of another amount while a capture is in flight": {
			first: captureWithUnknownOutcome, after: time.Hour, update: payment.UpdateCapture, args: []any{partialCapture(999)},
			code: payment.ErrNotCapturable, reason: "another modification is in flight: capture 10.00 USD",
		},
		"capture while a void is in flight": {
			first: voidWithUnknownOutcome, after: time.Hour, update: payment.UpdateCapture,
			code: payment.ErrNotCapturable, reason: "another modification is in flight: void",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, db := authorizingProcessor(), storetest.New(t)
			p.captures, p.voids = []response{lostResponse, captureResponse(1000)}, []response{lostResponse, chargeResponse(payment.Voided)}
			if tt.prepare != nil {
				tt.prepare(p)
			}
			env := newEnvironmentWithStore(t, p, testTerms, db)
			if tt.first != nil {
				tt.first(env)
			}
			update := updateAfter(env, tt.after, tt.update, tt.args...)
			runToEnd(t, env, db, manualChargeRequest())
			require.Equal(t, tt.early, update.accepted)
			update.accepted = false
			update.requireRefused(t, tt.code, tt.reason)
		})
	}
}

func captureWithUnknownOutcome(env *testsuite.TestWorkflowEnvironment) {
	captureAfter(env, time.Hour, partialCapture(1000))
}

func voidWithUnknownOutcome(env *testsuite.TestWorkflowEnvironment) { voidAfter(env, time.Hour) }

func TestRepeatedModificationIsExecutedOnce(t *testing.T) {
	t.Parallel()
	for name, modifyAfter := range map[string]func(env *testsuite.TestWorkflowEnvironment, d time.Duration) *updateCallbacks{
		payment.UpdateCapture: func(env *testsuite.TestWorkflowEnvironment, d time.Duration) *updateCallbacks {
			return captureAfter(env, d, partialCapture(1000))
		},
		payment.UpdateVoid: voidAfter,
	} {
		t.Run(name, func(t *testing.T) {
			p, db := authorizingProcessor(), storetest.New(t)
			p.captures, p.voids = []response{lostResponse, captureResponse(1000)}, []response{lostResponse, chargeResponse(payment.Voided)}
			env := newEnvironmentWithStore(t, p, testTerms, db)
			first, second := modifyAfter(env, time.Hour), modifyAfter(env, time.Hour)
			third := modifyAfter(env, time.Hour+500*time.Millisecond)
			want := runToEnd(t, env, db, manualChargeRequest())
			for _, update := range []*updateCallbacks{first, second, third} {
				require.Equal(t, want, update.charge(t))
			}
			require.Len(t, append(captureKeys(p.captureCalls), voidKeys(p.voidCalls)...), 2, "the first send and its retry")
		})
	}
}

func captureKeys(calls []processor.CaptureCall) (keys []string) {
	for _, call := range calls {
		keys = append(keys, call.Key)
	}
	return keys
}

func voidKeys(calls []processor.VoidCall) (keys []string) {
	for _, call := range calls {
		keys = append(keys, call.Key)
	}
	return keys
}

func TestCaptureAfterARefusedCaptureHasANewKey(t *testing.T) {
	t.Parallel()
	p, db := authorizingProcessor(), storetest.New(t)
	p.captures = []response{forbidden, captureResponse(1000)}
	env := newEnvironmentWithStore(t, p, testTerms, db)
	first, second := captureAfter(env, time.Hour), captureAfter(env, 2*time.Hour, partialCapture(1000))
	c := runToEnd(t, env, db, manualChargeRequest())
	require.Equal(t, payment.Authorized, first.charge(t).Status)
	require.Equal(t, c, second.charge(t))
	require.Equal(t, []any{payment.Succeeded, int64(1000), payment.FailureClass("")}, []any{c.Status, c.CapturedAmount, failureClass(c)})
	require.Equal(t, []string{
		payment.ProcessorKey(c.PaymentID, payment.OperationCapture, 0), payment.ProcessorKey(c.PaymentID, payment.OperationCapture, 1),
	}, captureKeys(p.captureCalls), "the processor would refuse another amount under the first key")
}

// The retries end without a response, and the processor's record shows no capture. Only another send under the same key gives
// certainty.
func TestCaptureWithAnUnknownOutcomeIsSentAgainWithinTheKeyLifetime(t *testing.T) {
	t.Parallel()
	p, db := authorizingProcessor(), storetest.New(t)
	p.captures = []response{lostResponse}
	terms := testTerms
	terms.AbsenceProofAfter = 0
	env := newEnvironmentWithStore(t, p, terms, db)
	capture := captureAfter(env, time.Hour)
	env.RegisterDelayedCallback(func() { p.captures = []response{captureResponse(1250)} }, 3*time.Hour)
	c := runToEnd(t, env, db, manualChargeRequest())
	require.Equal(t, c, capture.charge(t))
	require.Equal(t, payment.Succeeded, c.Status)
	require.Greater(t, len(p.captureCalls), 20)
	for _, call := range p.captureCalls {
		require.Equal(t, p.captureCalls[0], call)
	}
}

// A request that was sent a day ago does not arrive any more: if the processor's record then shows no capture, there is none.
func TestCaptureWithAnUnknownOutcomeCountsAsNotExecutedAfterTheKeyLifetime(t *testing.T) {
	t.Parallel()
	p, db := authorizingProcessor(), storetest.New(t)
	p.captures = []response{lostResponse}
	env := newEnvironmentWithStore(t, p, termsWithGrace(2*time.Hour), db)
	first := captureAfter(env, time.Hour)
	env.RegisterDelayedCallback(func() { p.captures = []response{captureResponse(1000)} }, 28*time.Hour)
	second := captureAfter(env, 29*time.Hour, partialCapture(1000))
	c := runToEnd(t, env, db, manualChargeRequest())
	require.Equal(t, payment.NeedsReconciliation, first.charge(t).Status, "within the key lifetime each send may be executed")
	require.Equal(t, c, second.charge(t))
	require.Equal(t, int64(1000), c.CapturedAmount)
}

func TestOperatorResolvesACaptureWithAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	p, db := authorizingProcessor(lostResponse), storetest.New(t)
	p.captures = []response{stateConflict}
	env := newEnvironmentWithStore(t, p, testTerms, db)
	capture := captureAfter(env, time.Hour, partialCapture(1000))
	resolution := byJane
	resolution.CapturedAmount = 1000
	resolve := resolveAfter(env, 72*time.Hour, "1", resolution)
	c := runToEnd(t, env, db, manualChargeRequest())
	require.Equal(t, payment.NeedsReconciliation, capture.charge(t).Status)
	require.Equal(t, c, resolve.charge(t))
	require.Equal(t, []any{payment.Succeeded, int64(1000)}, []any{c.Status, c.CapturedAmount})
}

func TestCaptureThatIsResolvedAsNotExecutedMayBeRequestedAgain(t *testing.T) {
	t.Parallel()
	p, db := authorizingProcessor(lostResponse), storetest.New(t)
	p.captures = []response{stateConflict, captureResponse(1250)}
	env := newEnvironmentWithStore(t, p, testTerms, db)
	captureAfter(env, time.Hour, partialCapture(1000))
	resolution := byJane
	resolution.Status = payment.Authorized
	resolve := resolveAfter(env, 72*time.Hour, "1", resolution)
	again := captureAfter(env, 73*time.Hour)
	c := runToEnd(t, env, db, manualChargeRequest())
	require.Equal(t, payment.Authorized, resolve.charge(t).Status)
	require.Equal(t, c, again.charge(t))
	require.Equal(t, int64(1250), c.CapturedAmount)
}

// Without the processor's id, the payment could be neither captured nor voided.
func TestResolvingAsAuthorizedRequiresTheProcessorsID(t *testing.T) {
	t.Parallel()
	p := unresponsiveProcessor()
	p.voids = []response{chargeResponse(payment.Voided)}
	p.named = map[string]response{"ch_1": chargeResponse(payment.Authorized)}
	env := newEnvironmentWithStore(t, p, testTerms, storetest.New(t))
	resolution := byJane
	resolution.Status, resolution.ProcessorID = payment.Authorized, ""
	withoutID := resolveAfter(env, 72*time.Hour, "1", resolution)
	resolution.ProcessorID = "ch_1"
	withID := resolveAfter(env, 73*time.Hour, "2", resolution)
	void := voidAfter(env, 74*time.Hour)
	execute(env, payment.WorkflowCharge, manualChargeRequest())
	require.NoError(t, env.GetWorkflowError())
	withoutID.requireRefused(t, payment.ErrInvalidRequest, "processor_id: is missing")
	require.Equal(t, payment.Authorized, withID.charge(t).Status)
	require.Equal(t, payment.Voided, void.charge(t).Status)
}

func TestWaitingPaymentIsVoidedAtItsDeadline(t *testing.T) {
	t.Parallel()
	pending := chargeResponse(payment.Pending)
	for name, tt := range map[string]struct {
		// waits is the status in which the payment waits.
		waits payment.Status
		voids []response
		// lookups are those after the deadline.
		lookups []response
		want    payment.Status
		after   time.Duration
	}{
		"authorized": {
			waits: payment.Authorized, voids: []response{chargeResponse(payment.Voided)},
			want: payment.Expired, after: 7 * day,
		},
		"authorized, and voided by the processor just before": {
			waits: payment.Authorized, voids: []response{stateConflict}, lookups: []response{chargeResponse(payment.Voided)},
			want: payment.Expired, after: 7 * day,
		},
		"authorized, and captured at the processor just before": {
			waits: payment.Authorized, voids: []response{stateConflict}, lookups: []response{captureResponse(7)},
			want: payment.Succeeded, after: 7 * day,
		},
		"authorized, and the void is refused on two days": {
			waits: payment.Authorized, voids: []response{forbidden, forbidden, chargeResponse(payment.Voided)},
			want: payment.Expired, after: 9 * day,
		},
		"the customer has not acted": {
			waits: payment.RequiresAction, voids: []response{chargeResponse(payment.Voided)},
			want: payment.Expired, after: 7 * day,
		},
		"pending, cannot be voided, and is captured in the end": {
			waits: payment.Pending, voids: []response{stateConflict}, lookups: []response{pending, pending, captureResponse(1250)},
			// The lookups continue at the pace of before, after an early one.
			want: payment.Conflicted, after: 7*day + 15*time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, db := authorizingProcessor(chargeResponse(tt.waits)), storetest.New(t)
			p.charges, p.voids = []response{chargeResponse(tt.waits)}, tt.voids
			env := newEnvironmentWithStore(t, p, testTerms, db)
			began := env.Now()
			if tt.lookups != nil {
				env.RegisterDelayedCallback(func() { p.lookups[payment.OperationCharge] = tt.lookups }, 7*day-time.Second)
			}
			c := runToEnd(t, env, db, manualChargeRequest())
			require.Equal(t, tt.want, c.Status)
			require.InDelta(t, tt.after, env.Now().Sub(began), float64(time.Minute))
			require.NotEmpty(t, p.voidCalls)
		})
	}
}

func TestCancelingTheWorkflowVoidsAWaitingPayment(t *testing.T) {
	t.Parallel()
	t.Run("an authorized payment is voided", func(t *testing.T) {
		p, db := authorizingProcessor(), storetest.New(t)
		env := newEnvironmentWithStore(t, p, testTerms, db)
		env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
		require.Equal(t, payment.Voided, runToEnd(t, env, db, manualChargeRequest()).Status)
		require.Empty(t, p.captureCalls)
	})
	t.Run("a capture in flight is completed", func(t *testing.T) {
		p, db := authorizingProcessor(), storetest.New(t)
		p.captures = []response{lostResponse, captureResponse(1250)}
		env := newEnvironmentWithStore(t, p, testTerms, db)
		capture := captureAfter(env, time.Hour)
		env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
		require.Equal(t, payment.Succeeded, runToEnd(t, env, db, manualChargeRequest()).Status)
		require.Equal(t, payment.Succeeded, capture.charge(t).Status)
		require.Empty(t, p.voidCalls)
	})
	t.Run("a pending payment that cannot be voided is polled on", func(t *testing.T) {
		p, db := authorizingProcessor(chargeResponse(payment.Pending)), storetest.New(t)
		p.charges, p.voids = []response{chargeResponse(payment.Pending)}, []response{stateConflict}
		env := newEnvironmentWithStore(t, p, testTerms, db)
		env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
		env.RegisterDelayedCallback(func() {
			p.lookups[payment.OperationCharge] = []response{chargeResponse(payment.Succeeded)}
		}, 48*time.Hour)
		require.Equal(t, payment.Succeeded, runToEnd(t, env, db, chargeRequest()).Status)
		require.Len(t, p.voidCalls, 1, "one cancellation causes one void")
	})
}

func TestChangeMadeAtTheProcessorIsFound(t *testing.T) {
	t.Parallel()
	t.Run("immediately after a processor event", func(t *testing.T) {
		p, db := authorizingProcessor(captureResponse(1000)), storetest.New(t)
		env := newEnvironmentWithStore(t, p, testTerms, db)
		began := env.Now()
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(payment.SignalProcessorEvent, nil) }, time.Hour)
		c := runToEnd(t, env, db, manualChargeRequest())
		require.Equal(t, []any{payment.Succeeded, int64(1000)}, []any{c.Status, c.CapturedAmount})
		require.Equal(t, time.Hour, env.Now().Sub(began))
	})
	t.Run("by the daily lookup without an event", func(t *testing.T) {
		p, db := authorizingProcessor(chargeResponse(payment.Authorized), chargeResponse(payment.Voided)), storetest.New(t)
		env := newEnvironmentWithStore(t, p, testTerms, db)
		began := env.Now()
		require.Equal(t, payment.Voided, runToEnd(t, env, db, manualChargeRequest()).Status)
		require.Equal(t, 2*day, env.Now().Sub(began))
		require.Len(t, p.lookupCalls, 2)
	})
}

// An earlier workflow was terminated while the payment was authorized, perhaps while a modification was in flight.
func TestResumedWorkflowContinuesAnAuthorizedPayment(t *testing.T) {
	t.Parallel()
	storeWithAuthorized := func(t *testing.T) *store.Store {
		t.Helper()
		db := storetest.New(t)
		c, _, err := db.BeginPayment(t.Context(), payment.Charge{
			PaymentID: payment.PaymentID("acme", "order-1"), MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD",
			Processor: "sim", PaymentMethod: "tok_visa", CreatedAt: baseTime, UpdatedAt: baseTime,
		}, manualChargeRequest().Fingerprint())
		require.NoError(t, err)
		c.Status, c.ProcessorPaymentID, c.UpdatedAt = payment.Authorized, "ch_1", baseTime
		_, err = db.RecordPayment(t.Context(), c, activities.Cause{By: "test"})
		require.NoError(t, err)
		return db
	}
	captureAgain := func(env *testsuite.TestWorkflowEnvironment) *updateCallbacks { return captureAfter(env, time.Second) }
	idempotencyMismatch := errorResponse(payment.ClassIdempotencyMismatch, processor.Ambiguous, false)
	for name, tt := range map[string]struct {
		p *scriptedProcessor
		// modify requests a modification of the resumed payment.
		modify func(env *testsuite.TestWorkflowEnvironment) *updateCallbacks
		want   payment.Status
		after  time.Duration
	}{
		"an early lookup finds that it was captured": {
			p: authorizingProcessor(captureResponse(7)), want: payment.Succeeded, after: 2 * time.Second,
		},
		"an early lookup finds that it was voided": {
			p: authorizingProcessor(chargeResponse(payment.Voided)), want: payment.Voided, after: 2 * time.Second,
		},
		"the deadline of the earlier workflow still applies": {
			p: authorizingProcessor(), want: payment.Expired, after: 7*day - time.Hour,
		},
		"the same capture continues under the same key": {
			p:      &scriptedProcessor{captures: []response{captureResponse(1250)}, lookups: chargeLookups(chargeResponse(payment.Authorized))},
			modify: captureAgain, want: payment.Succeeded, after: time.Second,
		},
		"another capture than the one that was in flight": {
			p:      &scriptedProcessor{captures: []response{idempotencyMismatch}, lookups: chargeLookups(captureResponse(1250))},
			modify: captureAgain, want: payment.Succeeded, after: 3 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := storeWithAuthorized(t)
			env := newEnvironmentWithStore(t, tt.p, testTerms, db)
			env.SetStartTime(baseTime.Add(time.Hour))
			var modification *updateCallbacks
			if tt.modify != nil {
				modification = tt.modify(env)
			}
			c := runToEnd(t, env, db, manualChargeRequest())
			require.Equal(t, tt.want, c.Status)
			require.InDelta(t, tt.after, env.Now().Sub(baseTime.Add(time.Hour)), float64(time.Second))
			require.Empty(t, tt.p.chargeCalls)
			if modification != nil {
				require.Equal(t, c, modification.charge(t))
				require.Equal(t, []string{payment.ProcessorKey(c.PaymentID, payment.OperationCapture, 0)}, captureKeys(tt.p.captureCalls))
			}
		})
	}
}

// The stored payment is unknown and has the processor's id: the unknown outcome is that of a modification. The charge is
// not sent again, because the processor would repeat its first response, which may be outdated.
func TestChargeThatTheProcessorHasAcknowledgedIsNotSentAgain(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Pending, 0)
	c, err := db.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	c.Status = payment.Unknown
	_, err = db.RecordPayment(t.Context(), c, activities.Cause{By: "test"})
	require.NoError(t, err)
	p := &scriptedProcessor{lookups: chargeLookups(
		notFound, notFound, notFound, notFound, notFound, notFound, notFound, notFound, chargeResponse(payment.Voided))}
	require.Equal(t, payment.Voided, resumeCharge(t, p, db, time.Hour).Status, "absence is no proof of a payment that was acknowledged")
	require.Empty(t, p.chargeCalls)
}

func TestEveryTransitionOfACaptureIsStored(t *testing.T) {
	t.Parallel()
	p, db := authorizingProcessor(chargeResponse(payment.Authorized), captureResponse(1000)), storetest.New(t)
	p.captures = []response{lostResponse, forbidden}
	env := newEnvironmentWithStore(t, p, testTerms, db)
	captureAfter(env, time.Hour, partialCapture(1000))
	c := runToEnd(t, env, db, manualChargeRequest())
	events, err := db.Events(t.Context(), c.PaymentID)
	require.NoError(t, err)
	var transitions []string
	for _, e := range events {
		transitions = append(transitions, fmt.Sprint(e.To, " by ", e.Cause.By, ", ", e.Amount))
	}
	require.Equal(t, []string{
		"processing by request, 0", "authorized by processor, 0", "authorized by workflow, 0", "unknown by processor, 0", "succeeded by lookup, 1000",
	}, transitions)
}

func TestRefundOfAPartialCaptureIsLimitedToTheCapturedAmount(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	p := authorizingProcessor()
	p.captures = []response{captureResponse(1000)}
	env := newEnvironmentWithStore(t, p, testTerms, db)
	captureAfter(env, time.Hour, partialCapture(1000))
	runToEnd(t, env, db, manualChargeRequest())
	for _, tt := range []struct {
		key    string
		amount int64
		// refusal is empty for a refund that succeeds.
		refusal payment.RefusalCode
	}{
		{key: "too-much", amount: 1001, refusal: payment.ErrRefundExceedsCaptured},
		{key: "all", amount: 1000},
	} {
		req := refundRequest(tt.amount)
		req.IdempotencyKey = tt.key
		succeeded := refundResponse(payment.Succeeded, tt.amount)
		succeeded.result.Reference = payment.ProcessorKey(payment.RefundID("acme", tt.key), payment.OperationRefund, 0)
		env := newEnvironmentWithStore(t, &scriptedProcessor{refunds: []response{succeeded}}, testTerms, db)
		execute(env, payment.WorkflowRefund, req)
		if tt.refusal != "" {
			var application *temporal.ApplicationError
			require.ErrorAs(t, env.GetWorkflowError(), &application)
			require.EqualValues(t, tt.refusal, application.Type())
			continue
		}
		require.NoError(t, env.GetWorkflowError())
	}
	c, err := db.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.EqualValues(t, 1000, c.RefundedAmount)
}

// queryCharge returns the current state of the payment.
func queryCharge(t *testing.T, env *testsuite.TestWorkflowEnvironment) payment.Charge {
	t.Helper()
	value, err := env.QueryWorkflow(payment.QueryStatus)
	return decodeQuery[payment.Charge](t, value, err)
}

// A processor accepts a capture and executes it later. Until then, a record without the capture may be outdated.
func TestPendingCaptureStaysInFlight(t *testing.T) {
	t.Parallel()
	authorized, pending := chargeResponse(payment.Authorized), chargeResponse(payment.Pending)
	for name, tt := range map[string]struct {
		lookups []response
		grace   time.Duration
		want    payment.Status
		failure payment.FailureClass
	}{
		"an outdated record in between": {
			lookups: []response{authorized, pending, authorized, captureResponse(1250)}, grace: 2 * time.Hour, want: payment.Succeeded,
		},
		"an outdated record in between, and absence is never proof": {
			lookups: []response{authorized, authorized, captureResponse(1250)}, want: payment.Succeeded,
		},
		"the capture fails in the end": {
			lookups: []response{pending, authorized}, grace: 2 * time.Minute, want: payment.Expired, failure: payment.ClassStateConflict,
		},
		"it is pending for longer than a payment may be": {
			lookups: append(slices.Repeat([]response{pending}, 300), captureResponse(1250)), want: payment.Succeeded,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, db := authorizingProcessor(tt.lookups...), storetest.New(t)
			p.captures, p.voids = []response{pending}, []response{chargeResponse(payment.Voided)}
			env := newEnvironmentWithStore(t, p, termsWithGrace(tt.grace), db)
			capture := captureAfter(env, time.Hour)
			void := voidAfter(env, time.Hour+time.Second)
			var failure payment.FailureClass
			env.RegisterDelayedCallback(func() {
				c := queryCharge(t, env)
				require.Equal(t, payment.Pending, c.Status)
				require.NotNil(t, c.Modification)
			}, time.Hour+time.Second)
			env.RegisterDelayedCallback(func() {
				if c := queryCharge(t, env); c.Status == payment.Authorized {
					failure = failureClass(c)
				}
			}, 48*time.Hour)
			c := runToEnd(t, env, db, manualChargeRequest())
			require.Equal(t, payment.Pending, capture.charge(t).Status, "the caller does not wait for it")
			void.requireRefused(t, payment.ErrNotVoidable, "another modification is in flight")
			require.Equal(t, tt.want, c.Status)
			require.Equal(t, tt.failure, failure)
			require.Len(t, p.captureCalls, 1)
		})
	}
}

// A capture is requested while a lookup is in flight, whose response describes the payment before the capture.
func TestCaptureRequestedDuringALookupWaitsForTheLookup(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ lookup, want response }{
		"still authorized": {lookup: chargeResponse(payment.Authorized), want: captureResponse(1000)},
		"voided":           {lookup: chargeResponse(payment.Voided), want: chargeResponse(payment.Voided)},
		"captured":         {lookup: captureResponse(7), want: captureResponse(7)},
	} {
		t.Run(name, func(t *testing.T) {
			p, db := authorizingProcessor(), storetest.New(t)
			p.captures = []response{captureResponse(1000)}
			env := newEnvironmentWithStore(t, p, testTerms, db)
			env.OnActivity(payment.ActivityProcessorLookup, mock.Anything, mock.Anything).
				Return(activities.LookupResult{Found: true, Result: tt.lookup.result}, nil).After(time.Minute)
			env.RegisterDelayedCallback(func() { env.SignalWorkflow(payment.SignalProcessorEvent, nil) }, time.Hour)
			capture := captureAfter(env, time.Hour+time.Second, partialCapture(1000))
			c := runToEnd(t, env, db, manualChargeRequest())
			require.Equal(t, c, capture.charge(t))
			require.Equal(t, []any{tt.want.result.Status, tt.want.result.CapturedAmount}, []any{c.Status, c.CapturedAmount})
		})
	}
}
