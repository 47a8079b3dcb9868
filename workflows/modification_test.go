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
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

const day = 24 * time.Hour

func manual() payment.ChargeRequest {
	req := chargeRequest()
	req.Capture = payment.CaptureManual
	return req
}

// holding is a processor that holds the money. Its lookups say the given, the last for ever: held, if there is none.
func holding(lookups ...answer) *scripted {
	if len(lookups) == 0 {
		lookups = []answer{charged(payment.Authorized)}
	}
	return &scripted{charges: []answer{charged(payment.Authorized)}, voids: []answer{charged(payment.Voided)},
		lookups: map[payment.Operation][]answer{payment.OperationCharge: lookups}}
}

func part(amount int64) payment.CaptureRequest { return payment.CaptureRequest{Amount: &amount} }

func captureAfter(env *testsuite.TestWorkflowEnvironment, d time.Duration, args ...any) *updateCallbacks {
	return orderAfter(env, d, payment.UpdateCapture, args...)
}

func voidAfter(env *testsuite.TestWorkflowEnvironment, d time.Duration) *updateCallbacks {
	return orderAfter(env, d, payment.UpdateVoid)
}

// orders tells the updates of one test apart.
var orders int

func orderAfter(env *testsuite.TestWorkflowEnvironment, d time.Duration, update string, args ...any) *updateCallbacks {
	told := &updateCallbacks{}
	orders++
	id := fmt.Sprint(update, "-", orders)
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(update, id, told, args...) }, d)
	return told
}

// charge is the payment that an update or the workflow has returned.
func (u *updateCallbacks) charge(t *testing.T) payment.Charge {
	t.Helper()
	require.NoError(t, u.err)
	c, ok := u.value.(payment.Charge)
	require.True(t, ok, "the update was never answered")
	return c
}

func (u *updateCallbacks) refused(t *testing.T, code payment.RefusalCode, reason string) {
	t.Helper()
	var application *temporal.ApplicationError
	require.ErrorAs(t, u.err, &application)
	require.EqualValues(t, code, application.Type())
	require.Contains(t, application.Message(), reason)
	require.False(t, u.accepted)
}

// ended runs the charge to its end, checks that its result is what is stored, and returns it.
func ended(t *testing.T, env *testsuite.TestWorkflowEnvironment, books *store.Store, req payment.ChargeRequest) payment.Charge {
	t.Helper()
	env.ExecuteWorkflow(payment.WorkflowCharge, req)
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	stored, err := books.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.Equal(t, stored, c, "the result is what is stored")
	return c
}

func TestACaptureEndsAsTheProcessorsAnswersSay(t *testing.T) {
	held := charged(payment.Authorized)
	for name, tt := range map[string]struct {
		asked    []any
		captures []answer
		lookups  []answer
		// status, captured and class of the failure are what the update says.
		status   payment.Status
		captured int64
		class    payment.FailureClass
		sends    int
	}{
		"all of it":                 {nil, []answer{captured(1250)}, nil, payment.Succeeded, 1250, "", 1},
		"all of it, by no amount":   {[]any{payment.CaptureRequest{}}, []answer{captured(1250)}, nil, payment.Succeeded, 1250, "", 1},
		"a part":                    {[]any{part(1000)}, []answer{captured(1000)}, nil, payment.Succeeded, 1000, "", 1},
		"another part than asked":   {[]any{part(1000)}, []answer{captured(1001)}, nil, payment.Conflicted, 0, payment.ClassInvalidResponse, 1},
		"500 is retried":            {nil, []answer{ambiguous500, captured(1250)}, nil, payment.Succeeded, 1250, "", 2},
		"403 did nothing":           {nil, []answer{forbidden}, nil, payment.Authorized, 0, payment.ClassPermission, 1},
		"a decline did nothing":     {nil, []answer{declinedOrder}, nil, payment.Authorized, 0, payment.ClassStateConflict, 1},
		"lost, then refused: taken": {[]any{part(1000)}, []answer{lostAnswer, forbidden}, []answer{held, captured(1000)}, payment.Succeeded, 1000, "", 2},
		"lost, then refused: not taken, once that is proof":   {nil, []answer{lostAnswer, forbidden}, nil, payment.Authorized, 0, payment.ClassPermission, 2},
		"a conflict: it was taken":                            {nil, []answer{stateConflict}, []answer{captured(1250)}, payment.Succeeded, 1250, "", 1},
		"a conflict: another part was taken":                  {nil, []answer{stateConflict}, []answer{captured(7)}, payment.Conflicted, 0, payment.ClassInvalidResponse, 1},
		"a conflict: it was voided":                           {nil, []answer{stateConflict}, []answer{charged(payment.Voided)}, payment.Voided, 0, "", 1},
		"a conflict, and still held":                          {nil, []answer{stateConflict}, nil, payment.Authorized, 0, payment.ClassStateConflict, 1},
		"answered as held: looked up until it is taken":       {nil, []answer{held}, []answer{held, held, captured(1250)}, payment.Succeeded, 1250, "", 1},
		"answered as held: not taken, once that is proof":     {nil, []answer{held}, nil, payment.Authorized, 0, payment.ClassInvalidResponse, 1},
		"pending is an outcome":                               {nil, []answer{charged(payment.Pending)}, []answer{captured(1250)}, payment.Pending, 0, "", 1},
		"no record at all is no proof: the payment was there": {nil, []answer{stateConflict}, []answer{absent, absent, absent, absent, absent, absent, absent, captured(1250)}, payment.Succeeded, 1250, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			p, books := holding(tt.lookups...), newStore(t)
			p.captures = tt.captures
			env := newEnvironmentOver(t, p, testTerms, books)
			told := captureAfter(env, time.Hour, tt.asked...)
			ended(t, env, books, manual())
			c := told.charge(t)
			require.Equal(t, []any{tt.status, tt.captured, tt.class}, []any{c.Status, c.CapturedAmount, classOf(c)})
			require.Len(t, p.captureCalls, tt.sends)
			for _, call := range p.captureCalls {
				require.Equal(t, payment.ProcessorKey(c.PaymentID, payment.OperationCapture, 2), call.Key, "every send has the same idempotency key")
				require.Equal(t, "ch_1", call.ProcessorPaymentID)
			}
		})
	}
}

// declinedOrder is the answer of an adapter to a capture that was declined: there is no record of it.
var declinedOrder = answer{result: processor.Result{
	Status: payment.Declined, Reference: "of the order", Decline: &payment.Decline{Code: "expired", Kind: payment.DeclineHard},
}}

func classOf(c payment.Charge) payment.FailureClass {
	if c.Failure == nil {
		return ""
	}
	return c.Failure.Class
}

func TestAVoidEndsAsTheProcessorsAnswersSay(t *testing.T) {
	for name, tt := range map[string]struct {
		waits   payment.Status
		voids   []answer
		lookups []answer
		status  payment.Status
		class   payment.FailureClass
		sends   int
	}{
		"held money is let go":                   {payment.Authorized, []answer{charged(payment.Voided)}, nil, payment.Voided, "", 1},
		"a required action is called off":        {payment.RequiresAction, []answer{charged(payment.Voided)}, nil, payment.Voided, "", 1},
		"pending is called off":                  {payment.Pending, []answer{ambiguous500, charged(payment.Voided)}, nil, payment.Voided, "", 2},
		"a conflict: it was taken":               {payment.Authorized, []answer{stateConflict}, []answer{captured(1000)}, payment.Succeeded, "", 1},
		"a conflict: it was voided":              {payment.Authorized, []answer{stateConflict}, []answer{charged(payment.Voided)}, payment.Voided, "", 1},
		"pending that cannot be called off":      {payment.Pending, []answer{stateConflict}, []answer{charged(payment.Pending)}, payment.Pending, payment.ClassStateConflict, 1},
		"pending that is held meanwhile":         {payment.Pending, []answer{stateConflict}, []answer{charged(payment.Authorized)}, payment.Pending, payment.ClassStateConflict, 1},
		"403 did nothing":                        {payment.Authorized, []answer{forbidden}, nil, payment.Authorized, payment.ClassPermission, 1},
		"an action that turned into a decline":   {payment.RequiresAction, []answer{stateConflict}, []answer{charged(payment.Declined)}, payment.Declined, "", 1},
		"lost, then refused, and in fact let go": {payment.Authorized, []answer{lostAnswer, forbidden}, []answer{charged(payment.Voided)}, payment.Voided, "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.lookups == nil {
				tt.lookups = []answer{charged(tt.waits)}
			}
			// Only what is looked up after the void is of interest.
			p, books := holding(charged(tt.waits)), newStore(t)
			p.charges, p.voids = []answer{charged(tt.waits)}, tt.voids
			env := newEnvironmentOver(t, p, testTerms, books)
			env.RegisterDelayedCallback(func() { p.lookups[payment.OperationCharge] = tt.lookups }, time.Hour)
			told := voidAfter(env, time.Hour)
			env.RegisterDelayedCallback(func() { p.voids = []answer{charged(payment.Voided)} }, 2*time.Hour)
			ended(t, env, books, manual())
			c := told.charge(t)
			require.Equal(t, []any{tt.status, tt.class}, []any{c.Status, classOf(c)})
			var sends int
			for _, call := range p.voidCalls {
				if call.Key == payment.ProcessorKey(c.PaymentID, payment.OperationVoid, 2) {
					sends++
				}
			}
			require.Equal(t, tt.sends, sends)
		})
	}
}

func TestAnOrderThatCannotBeIsRefused(t *testing.T) {
	slow := func(p *scripted) { p.charges = []answer{lostAnswer, charged(payment.Authorized)} }
	for name, tt := range map[string]struct {
		first  func(env *testsuite.TestWorkflowEnvironment)
		p      func(*scripted)
		after  time.Duration
		update string
		args   []any
		kind   payment.RefusalCode
		reason string
	}{
		"more than is held":          {after: time.Hour, update: payment.UpdateCapture, args: []any{part(1251)}, kind: payment.ErrCaptureExceedsAuthorized, reason: "capture of 12.51 USD exceeds the authorized 12.50 USD"},
		"another currency":           {after: time.Hour, update: payment.UpdateCapture, args: []any{payment.CaptureRequest{Currency: "EUR"}}, kind: payment.ErrInvalidRequest, reason: `currency: "EUR": the payment is in USD`},
		"nothing":                    {after: time.Hour, update: payment.UpdateCapture, args: []any{part(0)}, kind: payment.ErrInvalidRequest, reason: "amount"},
		"capture of what is at work": {p: slow, update: payment.UpdateCapture, kind: payment.ErrNotCapturable, reason: "the payment is processing"},
		"void of what is at work":    {p: slow, update: payment.UpdateVoid, kind: payment.ErrNotVoidable, reason: "the payment is processing"},
		"capture of what is pending": {p: func(p *scripted) { p.charges = []answer{charged(payment.Pending)} }, after: time.Second, update: payment.UpdateCapture, kind: payment.ErrNotCapturable, reason: "the payment is pending: only a payment that is authorized can be captured"},
		"capture of what is unknown": {p: func(p *scripted) { p.charges = []answer{stateConflict} }, after: time.Second, update: payment.UpdateCapture, kind: payment.ErrNotCapturable, reason: "the payment is unknown"},
		"void of what is unknown":    {p: func(p *scripted) { p.charges = []answer{stateConflict} }, after: time.Second, update: payment.UpdateVoid, kind: payment.ErrNotVoidable, reason: "the payment is unknown"},
		"void during a capture":      {first: duringALostCapture, after: time.Hour, update: payment.UpdateVoid, kind: payment.ErrNotVoidable, reason: "another modification is in flight: capture 10.00 USD"},
		"another capture during one": {first: duringALostCapture, after: time.Hour, update: payment.UpdateCapture, args: []any{part(999)}, kind: payment.ErrNotCapturable, reason: "another modification is in flight: capture 10.00 USD"},
		"capture during a void":      {first: duringALostVoid, after: time.Hour, update: payment.UpdateCapture, kind: payment.ErrNotCapturable, reason: "another modification is in flight: void"},
	} {
		t.Run(name, func(t *testing.T) {
			p, books := holding(), newStore(t)
			p.captures, p.voids = []answer{lostAnswer, captured(1000)}, []answer{lostAnswer, charged(payment.Voided)}
			if tt.p != nil {
				tt.p(p)
			}
			env := newEnvironmentOver(t, p, testTerms, books)
			if tt.first != nil {
				tt.first(env)
			}
			told := orderAfter(env, tt.after, tt.update, tt.args...)
			ended(t, env, books, manual())
			told.refused(t, tt.kind, tt.reason)
		})
	}
}

func duringALostCapture(env *testsuite.TestWorkflowEnvironment) {
	captureAfter(env, time.Hour, part(1000))
}
func duringALostVoid(env *testsuite.TestWorkflowEnvironment) { voidAfter(env, time.Hour) }

func TestTheSameOrderTwiceIsOne(t *testing.T) {
	for name, order := range map[string]func(env *testsuite.TestWorkflowEnvironment, d time.Duration) *updateCallbacks{
		payment.UpdateCapture: func(env *testsuite.TestWorkflowEnvironment, d time.Duration) *updateCallbacks {
			return captureAfter(env, d, part(1000))
		},
		payment.UpdateVoid: voidAfter,
	} {
		t.Run(name, func(t *testing.T) {
			p, books := holding(), newStore(t)
			p.captures, p.voids = []answer{lostAnswer, captured(1000)}, []answer{lostAnswer, charged(payment.Voided)}
			env := newEnvironmentOver(t, p, testTerms, books)
			first, second, third := order(env, time.Hour), order(env, time.Hour), order(env, time.Hour+500*time.Millisecond)
			want := ended(t, env, books, manual())
			for _, told := range []*updateCallbacks{first, second, third} {
				require.Equal(t, want, told.charge(t))
			}
			require.Len(t, append(keysOf(p.captureCalls), keysOfVoids(p.voidCalls)...), 2, "the first send and its retry")
		})
	}
}

func keysOf(calls []processor.CaptureCall) (keys []string) {
	for _, call := range calls {
		keys = append(keys, call.Key)
	}
	return keys
}

func keysOfVoids(calls []processor.VoidCall) (keys []string) {
	for _, call := range calls {
		keys = append(keys, call.Key)
	}
	return keys
}

func TestAnOrderThatDidNothingMayBeFollowedByAnother(t *testing.T) {
	p, books := holding(), newStore(t)
	p.captures = []answer{forbidden, captured(1000)}
	env := newEnvironmentOver(t, p, testTerms, books)
	first, second := captureAfter(env, time.Hour), captureAfter(env, 2*time.Hour, part(1000))
	c := ended(t, env, books, manual())
	require.Equal(t, payment.Authorized, first.charge(t).Status)
	require.Equal(t, c, second.charge(t))
	require.Equal(t, []any{payment.Succeeded, int64(1000), payment.FailureClass("")}, []any{c.Status, c.CapturedAmount, classOf(c)})
	require.Equal(t, []string{
		payment.ProcessorKey(c.PaymentID, payment.OperationCapture, 2), payment.ProcessorKey(c.PaymentID, payment.OperationCapture, 4),
	}, keysOf(p.captureCalls), "another amount under the first key would be another request")
}

// The retries end without an answer, the record says that nothing was taken: only another send makes that certain.
func TestALostCaptureIsSentAgainWhileItsKeyLives(t *testing.T) {
	p, books := holding(), newStore(t)
	p.captures = []answer{lostAnswer}
	terms := testTerms
	terms.AbsenceProofAfter = 0
	env := newEnvironmentOver(t, p, terms, books)
	told := captureAfter(env, time.Hour)
	env.RegisterDelayedCallback(func() { p.captures = []answer{captured(1250)} }, 3*time.Hour)
	c := ended(t, env, books, manual())
	require.Equal(t, c, told.charge(t))
	require.Equal(t, payment.Succeeded, c.Status)
	require.Greater(t, len(p.captureCalls), 20)
	for _, call := range p.captureCalls {
		require.Equal(t, p.captureCalls[0], call)
	}
}

// Nothing that was sent a day ago still arrives: what the record says then is how it is.
func TestALostCaptureIsGivenUpWithItsKey(t *testing.T) {
	p, books := holding(), newStore(t)
	p.captures = []answer{lostAnswer}
	terms := testTerms
	terms.AbsenceProofAfter = 0
	env := newEnvironmentOver(t, p, terms, books)
	first := captureAfter(env, time.Hour)
	env.RegisterDelayedCallback(func() { p.captures = []answer{captured(1000)} }, 26*time.Hour)
	second := captureAfter(env, 27*time.Hour, part(1000))
	c := ended(t, env, books, manual())
	require.Equal(t, []any{payment.Authorized, payment.ClassOutcomeUnknown}, []any{first.charge(t).Status, classOf(first.charge(t))})
	require.Contains(t, first.charge(t).Failure.Message, "according to the processor the payment is authorized")
	require.Equal(t, c, second.charge(t))
	require.Equal(t, int64(1000), c.CapturedAmount)
}

func TestACaptureThatNobodyCanTellOfIsResolvedByHand(t *testing.T) {
	p, books := holding(lostAnswer), newStore(t)
	p.captures = []answer{stateConflict}
	env := newEnvironmentOver(t, p, testTerms, books)
	told := captureAfter(env, time.Hour, part(1000))
	said := byJane
	said.CapturedAmount = 1000
	word := resolveAfter(env, 72*time.Hour, "1", said)
	c := ended(t, env, books, manual())
	require.Equal(t, payment.NeedsReconciliation, told.charge(t).Status)
	require.Equal(t, c, word.charge(t))
	require.Equal(t, []any{payment.Succeeded, int64(1000)}, []any{c.Status, c.CapturedAmount})
}

func TestACaptureThatIsResolvedAsNotDoneMayBeAskedForAgain(t *testing.T) {
	p, books := holding(lostAnswer), newStore(t)
	p.captures = []answer{stateConflict, captured(1250)}
	env := newEnvironmentOver(t, p, testTerms, books)
	captureAfter(env, time.Hour, part(1000))
	said := byJane
	said.Status = payment.Authorized
	word := resolveAfter(env, 72*time.Hour, "1", said)
	again := captureAfter(env, 73*time.Hour)
	c := ended(t, env, books, manual())
	require.Equal(t, payment.Authorized, word.charge(t).Status)
	require.Equal(t, c, again.charge(t))
	require.Equal(t, int64(1250), c.CapturedAmount)
}

func TestAnOperatorCannotSayThatMoneyIsHeldWhichNobodyCanTake(t *testing.T) {
	p := lost()
	p.voids = []answer{charged(payment.Voided)}
	env := newEnvironmentOver(t, p, testTerms, newStore(t))
	said := byJane
	said.Status = payment.Authorized
	nobody := resolveAfter(env, 72*time.Hour, "1", said)
	said.ProcessorID = "ch_1"
	somebody := resolveAfter(env, 73*time.Hour, "2", said)
	told := voidAfter(env, 74*time.Hour)
	env.ExecuteWorkflow(payment.WorkflowCharge, manual())
	require.NoError(t, env.GetWorkflowError())
	nobody.refused(t, payment.ErrInvalidRequest, "processor_id: is missing")
	require.Equal(t, payment.Authorized, somebody.charge(t).Status)
	require.Equal(t, payment.Voided, told.charge(t).Status)
}

func TestMoneyThatNobodyTakesIsLetGoInTheEnd(t *testing.T) {
	pending := charged(payment.Pending)
	for name, tt := range map[string]struct {
		waits   payment.Status
		voids   []answer
		lookups []answer // from the end on
		want    payment.Status
		after   time.Duration
	}{
		"held":                                     {payment.Authorized, []answer{charged(payment.Voided)}, nil, payment.Expired, 7 * day},
		"held, and the processor was faster":       {payment.Authorized, []answer{stateConflict}, []answer{charged(payment.Voided)}, payment.Expired, 7 * day},
		"held, and taken by somebody else":         {payment.Authorized, []answer{stateConflict}, []answer{captured(7)}, payment.Succeeded, 7 * day},
		"held, and the processor is away":          {payment.Authorized, []answer{forbidden, forbidden, charged(payment.Voided)}, nil, payment.Expired, 9 * day},
		"nobody has acted":                         {payment.RequiresAction, []answer{charged(payment.Voided)}, nil, payment.Expired, 7 * day},
		"pending, and cannot be called off: truth": {payment.Pending, []answer{stateConflict}, []answer{pending, pending, captured(1250)}, payment.Conflicted, 7 * day},
	} {
		t.Run(name, func(t *testing.T) {
			p, books := holding(charged(tt.waits)), newStore(t)
			p.charges, p.voids = []answer{charged(tt.waits)}, tt.voids
			env := newEnvironmentOver(t, p, testTerms, books)
			began := env.Now()
			if tt.lookups != nil {
				env.RegisterDelayedCallback(func() { p.lookups[payment.OperationCharge] = tt.lookups }, 7*day-time.Second)
			}
			c := ended(t, env, books, manual())
			require.Equal(t, tt.want, c.Status)
			require.InDelta(t, tt.after, env.Now().Sub(began), float64(time.Minute))
			require.NotEmpty(t, p.voidCalls)
		})
	}
}

func TestCancellingLetsGoOfWhatIsHeld(t *testing.T) {
	t.Run("held", func(t *testing.T) {
		p, books := holding(), newStore(t)
		env := newEnvironmentOver(t, p, testTerms, books)
		env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
		require.Equal(t, payment.Voided, ended(t, env, books, manual()).Status)
		require.Empty(t, p.captureCalls)
	})
	t.Run("a capture that is under way is not given up", func(t *testing.T) {
		p, books := holding(), newStore(t)
		p.captures = []answer{lostAnswer, captured(1250)}
		env := newEnvironmentOver(t, p, testTerms, books)
		told := captureAfter(env, time.Hour)
		env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
		require.Equal(t, payment.Succeeded, ended(t, env, books, manual()).Status)
		require.Equal(t, payment.Succeeded, told.charge(t).Status)
		require.Empty(t, p.voidCalls)
	})
	t.Run("what cannot be called off goes on", func(t *testing.T) {
		p, books := holding(charged(payment.Pending)), newStore(t)
		p.charges, p.voids = []answer{charged(payment.Pending)}, []answer{stateConflict}
		env := newEnvironmentOver(t, p, testTerms, books)
		env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
		env.RegisterDelayedCallback(func() { p.lookups[payment.OperationCharge] = []answer{charged(payment.Succeeded)} }, 48*time.Hour)
		require.Equal(t, payment.Succeeded, ended(t, env, books, chargeRequest()).Status)
		require.Len(t, p.voidCalls, 1, "once is enough")
	})
}

func TestWhatSomebodyDoesAtTheProcessorIsFound(t *testing.T) {
	t.Run("at once, by its event", func(t *testing.T) {
		p, books := holding(captured(1000)), newStore(t)
		env := newEnvironmentOver(t, p, testTerms, books)
		began := env.Now()
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(payment.SignalProcessorEvent, nil) }, time.Hour)
		c := ended(t, env, books, manual())
		require.Equal(t, []any{payment.Succeeded, int64(1000)}, []any{c.Status, c.CapturedAmount})
		require.Equal(t, time.Hour, env.Now().Sub(began))
	})
	t.Run("within a day, without", func(t *testing.T) {
		p, books := holding(charged(payment.Authorized), charged(payment.Voided)), newStore(t)
		env := newEnvironmentOver(t, p, testTerms, books)
		began := env.Now()
		require.Equal(t, payment.Voided, ended(t, env, books, manual()).Status)
		require.Equal(t, 2*day, env.Now().Sub(began))
		require.Len(t, p.lookupCalls, 2)
	})
}

// An earlier workflow was terminated while the money was held, perhaps in the middle of an order.
func TestHeldMoneyOfAStoppedWorkflowIsLookedAfterAgain(t *testing.T) {
	holds := func(t *testing.T) *store.Store {
		t.Helper()
		books := newStore(t)
		c, _, err := books.BeginPayment(t.Context(), payment.Charge{
			PaymentID: payment.PaymentID("acme", "order-1"), MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD",
			Processor: "sim", PaymentMethod: "tok_visa", CreatedAt: long, UpdatedAt: long,
		}, manual().Fingerprint())
		require.NoError(t, err)
		c.Status, c.ProcessorPaymentID, c.UpdatedAt = payment.Authorized, "ch_1", long
		_, err = books.RecordPayment(t.Context(), c, activities.Cause{By: "test"})
		require.NoError(t, err)
		return books
	}
	for name, tt := range map[string]struct {
		p     *scripted
		order func(env *testsuite.TestWorkflowEnvironment) *updateCallbacks
		want  payment.Status
		after time.Duration
	}{
		"a capture had gone through":             {p: holding(captured(7)), want: payment.Succeeded, after: 2 * time.Second},
		"a void had gone through":                {p: holding(charged(payment.Voided)), want: payment.Voided, after: 2 * time.Second},
		"the deadline is that of the first":      {p: holding(), want: payment.Expired, after: 7*day - time.Hour},
		"a capture goes on under the same key":   {p: &scripted{captures: []answer{captured(1250)}, lookups: holding().lookups}, order: func(env *testsuite.TestWorkflowEnvironment) *updateCallbacks { return captureAfter(env, time.Second) }, want: payment.Succeeded, after: time.Second},
		"another capture than the one under way": {p: &scripted{captures: []answer{refused(payment.ClassIdempotencyMismatch, processor.Ambiguous, false)}, lookups: holding(captured(1250)).lookups}, order: func(env *testsuite.TestWorkflowEnvironment) *updateCallbacks { return captureAfter(env, time.Second) }, want: payment.Succeeded, after: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			books := holds(t)
			env := newEnvironmentOver(t, tt.p, testTerms, books)
			env.SetStartTime(long.Add(time.Hour))
			var told *updateCallbacks
			if tt.order != nil {
				told = tt.order(env)
			}
			c := ended(t, env, books, manual())
			require.Equal(t, tt.want, c.Status)
			require.InDelta(t, tt.after, env.Now().Sub(long.Add(time.Hour)), float64(time.Second))
			require.Empty(t, tt.p.chargeCalls)
			if told != nil {
				require.Equal(t, c, told.charge(t))
				require.Equal(t, []string{payment.ProcessorKey(c.PaymentID, payment.OperationCapture, 2)}, keysOf(tt.p.captureCalls))
			}
		})
	}
}

// The store says unknown, and has the processor's id: it was an order whose answer was lost. The charge is not sent again,
// because the processor would repeat its first answer, which may not be true any more.
func TestAChargeThatTheProcessorAcknowledgedIsNotSentAgain(t *testing.T) {
	books := stored(t, payment.Pending, 0)
	c, err := books.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	c.Status = payment.Unknown
	_, err = books.RecordPayment(t.Context(), c, activities.Cause{By: "test"})
	require.NoError(t, err)
	p := &scripted{lookups: map[payment.Operation][]answer{payment.OperationCharge: {absent, absent, absent, absent, absent, absent, absent, absent, charged(payment.Voided)}}}
	require.Equal(t, payment.Voided, run(t, p, books, time.Hour).Status, "absence proves nothing of what was there")
	require.Empty(t, p.chargeCalls)
}

func TestEachStepOfACaptureIsInTheStore(t *testing.T) {
	p, books := holding(charged(payment.Authorized), captured(1000)), newStore(t)
	p.captures = []answer{lostAnswer, forbidden}
	env := newEnvironmentOver(t, p, testTerms, books)
	captureAfter(env, time.Hour, part(1000))
	c := ended(t, env, books, manual())
	events, err := books.Events(t.Context(), c.PaymentID)
	require.NoError(t, err)
	var moves []string
	for _, e := range events {
		moves = append(moves, fmt.Sprint(e.To, " by ", e.Cause.By, ", ", e.Amount))
	}
	require.Equal(t, []string{
		"processing by request, 0", "authorized by processor, 0", "unknown by processor, 0", "succeeded by lookup, 1000",
	}, moves)
}

func TestAPartlyCapturedPaymentGivesBackWhatWasTakenAndNoMore(t *testing.T) {
	books := newStore(t)
	p := holding()
	p.captures = []answer{captured(1000)}
	env := newEnvironmentOver(t, p, testTerms, books)
	captureAfter(env, time.Hour, part(1000))
	ended(t, env, books, manual())
	for _, tt := range []struct {
		key    string
		amount int64
		kind   payment.RefusalCode
	}{{"too-much", 1001, payment.ErrRefundExceedsCaptured}, {"all", 1000, ""}} {
		req := refundRequest(tt.amount)
		req.IdempotencyKey = tt.key
		back := refunded(payment.Succeeded, tt.amount)
		back.result.Reference = payment.ProcessorKey(payment.RefundID("acme", tt.key), payment.OperationRefund, 0)
		env := newEnvironmentOver(t, &scripted{refunds: []answer{back}}, testTerms, books)
		env.ExecuteWorkflow(payment.WorkflowRefund, req)
		if tt.kind != "" {
			var application *temporal.ApplicationError
			require.ErrorAs(t, env.GetWorkflowError(), &application)
			require.EqualValues(t, tt.kind, application.Type())
			continue
		}
		require.NoError(t, env.GetWorkflowError())
	}
	c, err := books.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.EqualValues(t, 1000, c.RefundedAmount)
}

// The order is given while the processor is asked for news: what it answers then is of before the order.
func TestAnOrderThatIsGivenDuringALookupWaitsForItsAnswer(t *testing.T) {
	for _, tt := range []struct{ news, want answer }{
		{charged(payment.Authorized), captured(1000)},
		{charged(payment.Voided), charged(payment.Voided)},
		{captured(7), captured(7)},
	} {
		t.Run(fmt.Sprint(tt.news.result.Status, " ", tt.news.result.CapturedAmount), func(t *testing.T) {
			p, books := holding(), newStore(t)
			p.captures = []answer{captured(1000)}
			env := newEnvironmentOver(t, p, testTerms, books)
			env.OnActivity(payment.ActivityProcessorLookup, mock.Anything, mock.Anything).
				Return(activities.LookupResult{Found: true, Result: tt.news.result}, nil).After(time.Minute)
			env.RegisterDelayedCallback(func() { env.SignalWorkflow(payment.SignalProcessorEvent, nil) }, time.Hour)
			told := captureAfter(env, time.Hour+time.Second, part(1000))
			c := ended(t, env, books, manual())
			require.Equal(t, c, told.charge(t))
			require.Equal(t, []any{tt.want.result.Status, tt.want.result.CapturedAmount}, []any{c.Status, c.CapturedAmount})
		})
	}
}
