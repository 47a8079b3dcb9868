package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"pgregory.net/rapid"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/storetest"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// The model test plays random sequences of charges and refunds against a model of the processor, in
// model_processor_test.go. Calls fail in all ways, workflows are terminated and started again, callers capture, void and
// cancel, operators resolve outcomes, and the merchant changes payments in the processor's dashboard. After each workflow
// the store, the results of the workflow and the processor have to agree. model_mistakes_test.go checks that the model
// test finds planted mistakes.

// modelTerms fit the model processor: absence is proof only once a lookup finds every record and a delayed request has
// been executed. Lookups are rarer than in testTerms, because months pass in every sequence.
var modelTerms = activities.Terms{
	Processor:         "sim",
	StartToClose:      activities.Duration(30 * time.Second),
	ScheduleToClose:   activities.Duration(15 * time.Minute),
	KeyLifetime:       activities.Duration(24 * time.Hour),
	RetryInitial:      activities.Duration(time.Second),
	RetryMax:          activities.Duration(30 * time.Second),
	RetryMultiplier:   2,
	AbsenceProofAfter: activities.Duration(10 * time.Minute),
	Resolve: activities.Poll{
		Initial: activities.Duration(2 * time.Second), Max: activities.Duration(2 * time.Hour),
		For: activities.Duration(24 * time.Hour),
	},
	AuthorizationFor: activities.Duration(7 * day),
	Pending: activities.Poll{
		Initial: activities.Duration(5 * time.Second), Max: activities.Duration(12 * time.Hour), For: activities.Duration(7 * day),
	},
}

// modelBackoff and modelLongRetryAfter are so small that the random jitter of production is rounded away: a sequence that
// failed once fails every time.
var modelBackoff = retry.Backoff{Strategy: retry.Fixed, Initial: 1, Max: 1}

const (
	// modelLongRetryAfter exceeds modelLongestRetry, the longest wait of the retry policy, so that the workflow waits for it.
	modelLongRetryAfter = time.Millisecond
	modelLongestRetry   = modelLongRetryAfter / 2
)

// actionKind is what a caller or an operator does to a running workflow, or the merchant in the processor's dashboard.
type actionKind string

const (
	actionCapture             actionKind = "capture"
	actionVoid                actionKind = "void"
	actionCancel              actionKind = "cancel"
	actionProcessorEvent      actionKind = "processor event"
	actionResolve             actionKind = "resolve"
	actionOutcome             actionKind = "outcome"
	actionOutcomeOtherRequest actionKind = "outcome of another request"
	actionDashboardCapture    actionKind = "capture in the dashboard"
	actionDashboardVoid       actionKind = "void in the dashboard"
	actionCustomerPays        actionKind = "the customer pays after a decline"
)

// wholeAmount is the amount of a capture that names none.
const wholeAmount = 0

// externalAction is one action from outside of the workflow.
type externalAction struct {
	Kind actionKind
	// Amount is that of a capture.
	Amount int64
	// At is the time since the start of the workflow.
	At time.Duration
}

func (a externalAction) String() string {
	switch {
	case a.Kind != actionCapture && a.Kind != actionDashboardCapture:
		return string(a.Kind)
	case a.Amount == wholeAmount:
		return string(a.Kind) + " of the whole amount"
	default:
		return fmt.Sprint(a.Kind, " of ", a.Amount)
	}
}

// plannedRun is one workflow, from its start until it ends or is terminated.
type plannedRun struct {
	// Refund: it is a refund, under the idempotency key refund-Key, of the payment order-Payment. Otherwise it is the
	// charge order-Key.
	Refund       bool
	Key, Payment int
	// Repeat: if the key was used before, the request is the same again. Otherwise it may be another one.
	Repeat bool
	Amount int64
	Manual bool
	// Inline: the worker makes the first attempt inline.
	Inline bool
	// Pause is the time before the start. The workflow is terminated after TerminateAfter.
	Pause, TerminateAfter time.Duration
	Calls                 []behavior
	Lookups               []behavior
	Actions               []externalAction
	// Events is when the processor sends events.
	Events []time.Duration
	// ContinueAfter is after how many lookups Temporal suggests to continue as new: in the first run, in the one after it, …
	ContinueAfter []int
}

// plan is a sequence of runs.
type plan []plannedRun

// GoString implements fmt.GoStringer: rapid logs what it draws, and the runs are logged step by step.
func (p plan) GoString() string { return fmt.Sprintf("%d runs", len(p)) }

// The generators. The order of the draws determines which sequence a seed produces.
var (
	genAction = rapid.Custom(func(t *rapid.T) externalAction {
		return externalAction{
			Kind: rapid.SampledFrom([]actionKind{
				actionCapture, actionCapture, actionCapture, actionVoid, actionProcessorEvent, actionResolve, actionResolve, actionCancel,
				actionOutcome, actionOutcomeOtherRequest, actionDashboardCapture, actionDashboardVoid, actionCustomerPays,
			}).Draw(t, "kind"),
			Amount: rapid.SampledFrom([]int64{wholeAmount, 400, 1000, 1001}).Draw(t, "amount"),
			At: rapid.SampledFrom([]time.Duration{
				time.Second, 0, 30 * time.Second, 5 * time.Minute, time.Hour, 20 * time.Hour, 3 * day,
			}).Draw(t, "at"),
		}
	})
	genMeanwhile = rapid.Custom(func(t *rapid.T) *externalAction {
		if rapid.IntRange(0, 4).Draw(t, "meanwhile") < 4 {
			return nil
		}
		a := genAction.Draw(t, "action")
		return &a
	})
	genCall = rapid.Custom(func(t *rapid.T) behavior {
		b := behavior{
			Fault: rapid.SampledFrom([]fault{
				faultNone, faultNone, faultNone, faultNone, faultResponseLost, faultResponseLost, faultRequestLost, faultRequestDelayed,
				faultExecutionDelayed, fault500Executed, fault500NotExecuted, faultMalformedResponse, faultRedirectExecuted,
				faultRedirectNotExecuted, faultUnreachable, faultRateLimit, faultLongRateLimit, faultForbidden, faultConflict,
				faultWorkerCrashExecuted, faultWorkerCrashNotExecuted, faultTerminationExecuted, faultTerminationExecuted,
				faultTerminationNotExecuted, faultSeenBefore, faultLostSeenBefore, faultLostSeenBefore,
			}).Draw(t, "fault"),
			Decision: rapid.SampledFrom([]decision{
				decisionApprove, decisionApprove, decisionApprove, decisionApprove, decisionDecline, decisionDeclineWithoutRecord,
				decisionApproveLater, decisionDeclineLater, decisionApproveAfterAction, decisionDeclineAfterAction, decisionDeclineOpen,
				decisionDeclineOpen,
			}).Draw(t, "decision"),
			PaysAfter: rapid.SampledFrom([]time.Duration{
				0, 0, time.Second, 4 * time.Second, 20 * time.Minute, 30 * time.Hour,
			}).Draw(t, "pays after"),
			DecidesAfter: rapid.SampledFrom([]time.Duration{10 * time.Second, 2 * time.Hour, 50 * time.Hour}).Draw(t, "decides after"),
			Lasts:        rapid.SampledFrom([]time.Duration{0, 0, 0, 0, 10 * time.Minute, 30 * time.Hour}).Draw(t, "lasts"),
		}
		if b.Fault == faultLongRateLimit || b.Fault == faultNone {
			b.Lasts = 0
		}
		if b.Lasts == 0 {
			b.Meanwhile = genMeanwhile.Draw(t, "meanwhile")
		}
		return b
	})
	genLookup = rapid.Custom(func(t *rapid.T) behavior {
		b := behavior{
			Fault: rapid.SampledFrom([]fault{
				faultNone, faultNone, faultNone, faultResponseLost, faultResponseLost, faultTerminationNotExecuted,
			}).Draw(t, "fault"),
			Lasts: rapid.SampledFrom([]time.Duration{0, 10 * time.Minute, 30 * time.Hour, 4 * day}).Draw(t, "lasts"),
		}
		if b.Lasts == 0 {
			b.Meanwhile = genMeanwhile.Draw(t, "meanwhile")
		}
		return b
	})
	genEvent = rapid.Map(rapid.Int64Range(0, int64(7*day/time.Second)), func(n int64) time.Duration {
		return time.Duration(n) * time.Second
	})
	genTraits = rapid.Custom(func(t *rapid.T) traits {
		return traits{
			LookupLag:          rapid.SampledFrom([]time.Duration{0, 3 * time.Minute, 9 * time.Minute}).Draw(t, "lookup lag"),
			Replays409:         rapid.Bool().Draw(t, "replays 409"),
			Replays500:         rapid.Bool().Draw(t, "replays 500"),
			CannotVoidPending:  rapid.Bool().Draw(t, "cannot void pending"),
			NeverProvesAbsence: rapid.IntRange(0, 3).Draw(t, "never proves absence") == 3,

			LagsEveryOther:      rapid.Bool().Draw(t, "lags every other"),
			CompleteRefundLists: rapid.Bool().Draw(t, "complete refund lists"),
		}
	})
)

// focus is what most runs of a sequence are about.
type focus int

const (
	focusAnything focus = iota
	focusModifications
	focusRefunds
	// focusContinued: modifications, of workflows that continue as new.
	focusContinued
	// focusUnknown: charges without a response, of workflows that continue as new before a lookup has found them.
	focusUnknown
)

func genRun(on focus) *rapid.Generator[plannedRun] {
	// tenths draws true in so many of ten cases, by focus.
	tenths := func(weights ...int) *rapid.Generator[bool] {
		return rapid.Map(rapid.IntRange(1, 10), func(n int) bool { return n > 10-weights[on] })
	}
	continueAfter := rapid.SliceOfN(rapid.IntRange(0, 5), 0, 2)
	if on == focusContinued {
		continueAfter = rapid.SliceOfN(rapid.IntRange(0, 2), 1, 4)
	}
	return rapid.Custom(func(t *rapid.T) plannedRun {
		return plannedRun{
			Refund:  tenths(3, 1, 9, 1, 1).Draw(t, "refund"),
			Key:     rapid.SampledFrom([]int{1, 1, 1, 1, 2, 3}).Draw(t, "key"),
			Payment: rapid.SampledFrom([]int{1, 1, 1, 1, 2}).Draw(t, "payment"),
			Repeat:  tenths(8, 9, 8, 9, 9).Draw(t, "repeat"),
			Amount:  rapid.SampledFrom([]int64{1000, 600, 400, 0, 1001}).Draw(t, "amount"),
			Manual:  tenths(5, 9, 3, 9, 2).Draw(t, "manual"),
			Inline:  tenths(5, 5, 5, 3, 5).Draw(t, "inline"),
			Pause:   rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 3 * time.Hour, 30 * time.Hour, 8 * day}).Draw(t, "pause"),
			TerminateAfter: rapid.SampledFrom([]time.Duration{
				modelYear, modelYear, 40 * time.Second, 7 * time.Minute, 5 * time.Hour, 3 * day,
			}).Draw(t, "terminate after"),
			Calls:   rapid.SliceOfN(genCall, 0, 4).Draw(t, "calls"),
			Lookups: rapid.SliceOfN(genLookup, 0, 3).Draw(t, "lookups"),
			Actions: rapid.SliceOfN(genAction, 0, 6).Draw(t, "actions"),
			Events:  rapid.SliceOfN(genEvent, 0, 2).Draw(t, "events"),

			ContinueAfter: continueAfter.Draw(t, "continue after"),
		}
	})
}

func genPlan(on focus) *rapid.Generator[plan] {
	return rapid.Custom(func(t *rapid.T) plan {
		p := plan(rapid.SliceOfN(genRun(on), 1, 8).Draw(t, "runs"))
		switch on {
		case focusModifications, focusContinued: // of a payment that is authorized first
			p[0].Refund, p[0].Manual = false, true
			p[0].Calls = append([]behavior{{Fault: faultNone, Decision: decisionApprove}}, p[0].Calls...)
		case focusUnknown:
			lost := behavior{Fault: faultResponseLost, Decision: decisionApprove}
			p[0].Refund, p[0].ContinueAfter = false, []int{1}
			p[0].Calls = append([]behavior{lost, lost, lost}, p[0].Calls...)
			p[0].Lookups = append([]behavior{lost, lost}, p[0].Lookups...)
		case focusRefunds: // of a payment that is captured first
			p[0] = plannedRun{Key: 1, Amount: 1000, TerminateAfter: modelYear}
		default:
		}
		return p
	})
}

// modelYear is longer than a payment takes to become final once its processor works normally.
const modelYear = 365 * day

// setup is what the sequences run on. A planted mistake changes one part of it.
type setup struct {
	terms activities.Terms
	// profile is that of the adapter, which is the adapter to the model processor.
	profile processor.Profile
	adapter func(*modelProcessor) processor.Processor
	// replaceActivities may replace some of the store's activities. continued reports that the run continues another one as new.
	replaceActivities func(env *testsuite.TestWorkflowEnvironment, storeActivities *activities.Payments, continued bool)
}

func correctSetup() setup {
	return setup{
		terms:             modelTerms,
		profile:           testProfile,
		adapter:           func(p *modelProcessor) processor.Processor { return p },
		replaceActivities: func(*testsuite.TestWorkflowEnvironment, *activities.Payments, bool) {},
	}
}

// modelSteps and modelRuns count the log lines and the workflows of all sequences.
var modelSteps, modelRuns atomic.Int64

// merchants numbers the sequences: each has a merchant of its own in the store that they share.
var merchants atomic.Int64

// model plays one sequence and checks what must hold.
type model struct {
	setup
	t   logger
	ctx context.Context
	db  *store.Store
	// proc is the processor.
	proc     *modelProcessor
	merchant string
	// clock is the time of the sequence, which only moves forward; began is when it started. The store takes the time at
	// which a payment begins from the machine's clock, so each workflow has a clock of its own: skews are by how much it
	// is behind, by the id of the payment or refund.
	clock, began time.Time
	skews        map[string]time.Duration

	// charges and refunds are the requests that were accepted, by idempotency key.
	charges map[string]payment.ChargeRequest
	refunds map[string]payment.RefundRequest
	// beganAt is when a payment began, by its id.
	beganAt map[string]time.Time
	// acceptedCaptures are the amounts of accepted captures, by the id of the payment. voidRequested has the payments
	// that a caller has voided or canceled.
	acceptedCaptures map[string][]int64
	voidRequested    map[string]bool
	// finals are the final outcomes that were seen, by the id of the payment or refund.
	finals map[string]finalOutcome

	// env and skew are those of the running workflow; stopped reports that its worker has stopped.
	env        *testsuite.TestWorkflowEnvironment
	skew       time.Duration
	stopped    atomic.Bool
	mu         sync.Mutex
	violations []string
	updates    int
	// beginning reports that the running workflow begins: it does not know the payment or refund yet. waiting is how many accepted captures
	// and voids have not completed.
	beginning atomic.Bool
	waiting   int
	// canceled is the first cancellation of the running workflow; nil: it was not canceled.
	canceled *cancellation
	// sendAgain are the actions whose updates ended because the workflow continued in a new run.
	sendAgain []externalAction
}

// cancellation is that of a workflow, with the number of voids that the processor had received.
type cancellation struct{ voids int }

// finalOutcome is what must never change: the amount is the captured one of a payment, and that of a refund.
type finalOutcome struct {
	status payment.Status
	amount int64
}

// playRandom draws a sequence, plays it and returns the first violation; empty if there is none.
func playRandom(ctx context.Context, t *rapid.T, db *store.Store, s setup, on focus) (violation string) {
	processorTraits := genTraits.Draw(t, "processor")
	return play(ctx, t, db, s, processorTraits, genPlan(on).Draw(t, "plan"))
}

// play plays a sequence and returns the first violation; empty if there is none.
func play(ctx context.Context, t logger, db *store.Store, s setup, processorTraits traits, p plan) (violation string) {
	merchant := fmt.Sprint("m", merchants.Add(1))
	m := &model{
		setup: s, t: t, ctx: ctx, db: db, merchant: merchant, clock: baseTime, began: baseTime, skews: map[string]time.Duration{},
		charges: map[string]payment.ChargeRequest{}, refunds: map[string]payment.RefundRequest{}, beganAt: map[string]time.Time{},
		acceptedCaptures: map[string][]int64{}, voidRequested: map[string]bool{}, finals: map[string]finalOutcome{},
	}
	if processorTraits.NeverProvesAbsence {
		m.terms.AbsenceProofAfter = 0
	}
	m.terms.CompleteRefundLists = processorTraits.CompleteRefundLists
	m.proc = newModelProcessor(merchant, processorTraits)
	m.proc.now = m.now
	m.proc.log, m.proc.violation = m.logf, m.violation
	m.proc.wasReported = m.wasReported
	m.proc.stopWorker = func() { m.stopped.Store(true) }
	for _, r := range p {
		if m.run(r); m.checkAll() {
			return m.violations[0]
		}
	}
	if m.finishAll() {
		return m.violations[0]
	}
	return ""
}

// logger is a *testing.T or a *rapid.T.
type logger interface {
	Logf(format string, args ...any)
}

// finishAll runs every payment and refund that is not final until it is, and reports whether there was any violation. The
// processor works normally, and an operator resolves unknown outcomes.
func (m *model) finishAll() bool {
	lastRun := func(key int) plannedRun {
		return plannedRun{Key: key, TerminateAfter: modelYear, Actions: []externalAction{
			{Kind: actionResolve, At: 20 * day}, {Kind: actionResolve, At: 40 * day},
		}}
	}
	for key := range 4 {
		if c, ok := m.charges[orderKey(key)]; ok && !m.payment(c).Status.Final() {
			m.logf("%s is run until it is final", c.IdempotencyKey)
			m.charge(lastRun(key), c)
			m.must(m.payment(c).Status.Final(), "%s does not become final: it is %s", c.IdempotencyKey, m.payment(c).Status)
		}
		if r, ok := m.refunds[refundKey(key)]; ok && !m.storedRefund(r).Status.Final() {
			m.logf("%s is run until it is final", r.IdempotencyKey)
			m.refund(lastRun(key), r)
			m.must(m.storedRefund(r).Status.Final(), "%s does not become final: it is %s", r.IdempotencyKey, m.storedRefund(r).Status)
		}
	}
	m.clock = m.clock.Add(modelYear)
	return m.checkAll()
}

func orderKey(key int) string  { return fmt.Sprint("order-", key) }
func refundKey(key int) string { return fmt.Sprint("refund-", key) }

func (m *model) now() time.Time {
	if m.env == nil {
		return m.clock
	}
	return m.env.Now().Add(m.skew)
}

// logf logs with the time since the sequence began.
func (m *model) logf(format string, args ...any) {
	modelSteps.Add(1)
	m.t.Logf("%9s  %s", formatDuration(m.now().Sub(m.began)), fmt.Sprintf(format, args...))
}

// formatDuration returns a duration with days, in whole seconds.
func formatDuration(d time.Duration) string {
	days, rest := d/day, (d % day).Truncate(time.Second)
	switch {
	case days == 0:
		return rest.String()
	case rest == 0:
		return fmt.Sprintf("%dd", days)
	default:
		return fmt.Sprintf("%dd%s", days, rest)
	}
}

// violation records something that must not happen. It is safe for concurrent use.
func (m *model) violation(format string, args ...any) {
	m.mu.Lock()
	m.violations = append(m.violations, fmt.Sprintf(format, args...))
	m.mu.Unlock()
	m.logf("VIOLATION: "+format, args...)
}

// must records a violation unless ok.
func (m *model) must(ok bool, format string, args ...any) {
	if !ok {
		m.violation(format, args...)
	}
}

func (m *model) mustSucceed(err error) { m.must(err == nil, "the store or a query failed: %v", err) }

// payment returns the stored payment.
func (m *model) payment(req payment.ChargeRequest) payment.Charge {
	c, err := m.db.Payment(m.ctx, m.merchant, req.IdempotencyKey)
	m.mustSucceed(err)
	return c
}

// storedRefund returns the stored refund.
func (m *model) storedRefund(req payment.RefundRequest) payment.Refund {
	r, err := m.db.Refund(m.ctx, m.merchant, req.IdempotencyKey)
	m.mustSucceed(err)
	return r
}

// run makes the request of a planned run and runs its workflow.
func (m *model) run(r plannedRun) {
	m.clock = m.clock.Add(r.Pause)
	if r.Refund {
		key := refundKey(r.Key)
		req, known := m.refunds[key]
		if !known || !r.Repeat {
			paymentID := payment.PaymentID(m.merchant, orderKey(r.Payment))
			req = payment.RefundRequest{MerchantID: m.merchant, IdempotencyKey: key, PaymentID: paymentID}
			if r.Amount > 0 {
				req.Amount = &r.Amount
			}
		}
		m.refund(r, req)
		return
	}
	key := orderKey(r.Key)
	req, known := m.charges[key]
	if !known || !r.Repeat {
		req = payment.ChargeRequest{
			MerchantID: m.merchant, IdempotencyKey: key, Amount: 1000, Currency: "USD", PaymentMethod: "tok_visa",
		}
		if !r.Manual && r.Amount == 600 {
			req.Amount = 600
		}
		if r.Manual {
			req.Capture = payment.CaptureManual
		}
	}
	m.charge(r, req)
}

func (m *model) charge(r plannedRun, req payment.ChargeRequest) {
	first, known := m.charges[req.IdempotencyKey]
	id := payment.PaymentID(m.merchant, req.IdempotencyKey)
	capture := "with automatic capture"
	if req.Capture == payment.CaptureManual {
		capture = "with manual capture"
	}
	w := running{
		id: id, title: fmt.Sprintf("charge %s: %s %s", req.IdempotencyKey, req.Money(), capture), known: known,
		reference: payment.ProcessorKey(id, payment.OperationCharge, 0), charge: &req,
	}
	if known && first.Fingerprint() != req.Fingerprint() {
		w.refusal = payment.ErrIdempotencyMismatch
	}
	if !known {
		m.charges[req.IdempotencyKey], m.beganAt[id] = req, m.clock
	}
	m.runWorkflow(w, r, payment.WorkflowCharge, req)
}

func (m *model) refund(r plannedRun, req payment.RefundRequest) {
	first, known := m.refunds[req.IdempotencyKey]
	id := payment.RefundID(m.merchant, req.IdempotencyKey)
	amount := "all"
	if req.Amount != nil {
		amount = fmt.Sprint(*req.Amount)
	}
	w := running{
		id: id, title: fmt.Sprintf("refund %s: %s of %s", req.IdempotencyKey, amount, m.keyOf(req.PaymentID)), known: known,
		reference: payment.ProcessorKey(id, payment.OperationRefund, 0),
	}
	switch {
	case known && first.Fingerprint() != req.Fingerprint():
		w.refusal = payment.ErrIdempotencyMismatch
	case !known:
		if w.refusal = m.refundRefusal(req); w.refusal == "" {
			m.refunds[req.IdempotencyKey] = req
		}
	}
	m.runWorkflow(w, r, payment.WorkflowRefund, req)
}

// keyOf returns the idempotency key of a payment.
func (m *model) keyOf(paymentID string) string {
	for key := range m.charges {
		if payment.PaymentID(m.merchant, key) == paymentID {
			return key
		}
	}
	return "an unknown payment"
}

// refundRefusal returns why a new refund must be refused; empty if it must be accepted.
func (m *model) refundRefusal(req payment.RefundRequest) payment.RefusalCode {
	charge, ok := m.charges[m.keyOf(req.PaymentID)]
	if !ok {
		return payment.ErrPaymentNotFound
	}
	c := m.payment(charge)
	refunded, reserved := m.refundsOf(c)
	switch remaining := c.CapturedAmount - refunded - reserved; {
	case c.Status != payment.Succeeded, c.ProcessorPaymentID == "": // an operator may resolve it without the processor's id
		return payment.ErrPaymentNotRefundable
	case remaining == 0, req.Amount != nil && *req.Amount > remaining:
		return payment.ErrRefundExceedsCaptured
	}
	return ""
}

// refundsOf returns the refunded amount of a payment, and that of its refunds which may still succeed.
func (m *model) refundsOf(c payment.Charge) (refunded, reserved int64) {
	refunds, err := m.db.Refunds(m.ctx, m.merchant, c.PaymentID)
	m.mustSucceed(err)
	for _, r := range refunds {
		switch r.Status {
		case payment.Succeeded:
			refunded += r.Amount
		case payment.Declined, payment.Failed:
		default:
			reserved += r.Amount
		}
	}
	return refunded, reserved
}

// running is the running workflow.
type running struct {
	// id is that of the payment or refund, reference that of its record at the processor.
	id, title, reference string
	// known: the store has the payment or refund already.
	known bool
	// refusal is the error that the workflow has to end with; empty if it must not fail.
	refusal payment.RefusalCode
	// charge is nil for a refund.
	charge *payment.ChargeRequest
}

// runWorkflow runs a workflow until it ends or is terminated, and checks its result.
func (m *model) runWorkflow(w running, r plannedRun, workflowType string, req any) {
	end := "terminated after " + formatDuration(r.TerminateAfter)
	if r.TerminateAfter == modelYear {
		end = "not terminated"
	}
	if r.Inline {
		end += ", first attempt inline"
	}
	m.logf("=== %s; %s", w.title, end)
	m.logScript("calls", r.Calls)
	m.logScript("lookups", r.Lookups)
	before := m.snapshot()
	if !w.known {
		m.skews[w.id] = time.Until(m.clock)
	}
	m.stopped.Store(false)
	m.canceled, m.waiting = nil, 0
	m.proc.calls, m.proc.lookups = script{behaviors: r.Calls}, script{behaviors: r.Lookups}
	env := m.runUntilEnd(w, r, workflowType, req)

	var timeout *temporal.TimeoutError
	var lost *temporal.PanicError
	var refused *temporal.ApplicationError
	switch err := env.GetWorkflowError(); {
	case err == nil && w.refusal == "":
		m.checkReturned(w, result(env, w))
	case errors.As(err, &lost) && m.stopped.Load():
		m.logf("terminated in its first workflow task")
	case errors.As(err, &timeout):
		m.logf("terminated")
		m.checkQuery(env, w)
		m.must(m.canceled == nil || m.stopped.Load() || m.storedStatus(w) != payment.Authorized || m.voidsOf(w) > m.canceled.voids,
			"%s: the workflow was canceled, but no void was sent for the authorized payment", w.title)
	case errors.As(err, &refused) && refused.Type() == string(w.refusal):
		m.logf("refused: %s", w.refusal)
		m.must(before == m.snapshot(), "a refusal has changed something: before\n%s\nafter\n%s", before, m.snapshot())
	default:
		m.violation("%s ended with the error %v, want %q", w.title, err, w.refusal)
	}
	m.clock, m.env = m.now(), nil
}

// runUntilEnd runs a workflow, in as many runs as it takes, and returns the environment of the last one.
func (m *model) runUntilEnd(w running, r plannedRun, workflowType string, req any) *testsuite.TestWorkflowEnvironment {
	began, planned := m.clock, r.schedule()
	for n := 0; ; n++ {
		elapsed := m.clock.Sub(began)
		env := m.newEnvironment(w, max(r.TerminateAfter-elapsed, time.Second), r.Inline, n > 0)
		if n < len(r.ContinueAfter) {
			suggestContinueAsNew(env, r.ContinueAfter[n])
		}
		for _, p := range planned {
			if !p.done && (n == 0 || p.action.Kind != actionCancel || p.at > 0) {
				env.RegisterDelayedCallback(func() {
					p.done = true
					m.act(w, p.action)
				}, max(p.at-elapsed, 0))
			}
		}
		for i, a := range m.sendAgain {
			env.RegisterDelayedCallback(func() { m.act(w, a) }, time.Duration(i+1)*110*time.Millisecond)
		}
		m.sendAgain = nil
		execute(env, workflowType, req)
		var continued *workflow.ContinueAsNewError
		if !errors.As(env.GetWorkflowError(), &continued) {
			return env
		}
		m.logf("--- continues as new")
		m.must(continued.WorkflowType.Name == workflowType, "%s continues as %s", w.title, continued.WorkflowType.Name)
		m.must(n < len(r.ContinueAfter), "%s continues as new, which was not suggested", w.title)
		m.checkQuery(env, w)
		m.clock, m.env = m.now(), nil
	}
}

// plannedAction is an action with its time since the start of the first run.
type plannedAction struct {
	action externalAction
	at     time.Duration
	done   bool
}

// schedule returns the actions and events of a run. No two happen at the same time, and none while an activity runs, which takes
// real time: chance would decide which one comes first.
func (r plannedRun) schedule() (planned []*plannedAction) {
	for i, a := range r.Actions {
		at := a.At + time.Duration(i)*1370*time.Millisecond + 530*time.Millisecond
		if a.Kind == actionCancel && a.At == 0 {
			at = 0 // before the workflow starts
		}
		planned = append(planned, &plannedAction{action: a, at: at})
	}
	for i, at := range r.Events {
		planned = append(planned, &plannedAction{
			action: externalAction{Kind: actionProcessorEvent}, at: at + time.Duration(i)*13*time.Millisecond + 771*time.Millisecond,
		})
	}
	return planned
}

// suggestContinueAsNew lets Temporal suggest to continue as new after a number of lookups.
func suggestContinueAsNew(env *testsuite.TestWorkflowEnvironment, after int) {
	if after == 0 {
		env.SetContinueAsNewSuggested(true)
		return
	}
	lookups := 0
	env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
		if info.ActivityType.Name != payment.ActivityProcessorLookup {
			return
		}
		if lookups++; lookups == after {
			env.SetContinueAsNewSuggested(true)
		}
	})
}

// newEnvironment returns an environment for a run that begins now. continued reports that it continues another one as new.
func (m *model) newEnvironment(w running, timeout time.Duration, inline, continued bool) *testsuite.TestWorkflowEnvironment {
	modelRuns.Add(1)
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(10 * time.Minute)
	env.SetWorkflowRunTimeout(timeout)
	env.SetStartTime(m.clock.Add(-m.skews[w.id]))
	Register(env)
	storeActivities := &activities.Payments{Store: m.db, Default: "sim", Terms: map[string]activities.Terms{"sim": m.terms}}
	processorActivities := activities.NewProcessor(m.adapter(m.proc), m.profile, modelBackoff, modelLongestRetry, activities.Guard{})
	if inline {
		storeActivities.Inline = activities.NewInline(map[string]activities.FirstAttempts{"sim": {Processor: processorActivities}}, 1)
		env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{&stoppingWorker{model: m}}})
	}
	storeActivities.RegisterWrites(env)
	m.registerProcessor(env, processorActivities)
	m.replaceActivities(env, storeActivities, continued)
	m.env, m.skew = env, m.skews[w.id]
	m.proc.act = func(a externalAction) {
		done := make(chan struct{})
		env.RegisterDelayedCallback(func() {
			defer close(done)
			m.act(w, a)
		}, 0)
		<-done
	}
	return env
}

// stoppingWorker ends a local activity during which the worker has stopped, and with it the run: its workflow task is lost.
type stoppingWorker struct {
	interceptor.WorkerInterceptorBase
	model *model
}

func (s *stoppingWorker) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &stoppingActivity{ActivityInboundInterceptorBase: interceptor.ActivityInboundInterceptorBase{Next: next}, model: s.model}
}

type stoppingActivity struct {
	interceptor.ActivityInboundInterceptorBase
	model *model
}

func (s *stoppingActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	if !info.IsLocalActivity {
		return s.Next.ExecuteActivity(ctx, in)
	}
	name := info.ActivityType.Name
	s.model.beginning.Store(name == payment.ActivityChargeInline || name == payment.ActivityRefundInline)
	defer s.model.beginning.Store(false)
	result, err := s.Next.ExecuteActivity(ctx, in)
	if s.model.stopped.Load() {
		return nil, temporal.NewCanceledError()
	}
	return result, err
}

func (m *model) logScript(what string, behaviors []behavior) {
	for i, b := range behaviors {
		m.logf("    planned %s, %d of %d: %s", what, i+1, len(behaviors), b)
	}
}

// registerProcessor registers the processor's activities. They do not complete any more once the worker has stopped.
func (m *model) registerProcessor(env *testsuite.TestWorkflowEnvironment, p *activities.Processor) {
	named := func(name string) activity.RegisterOptions { return activity.RegisterOptions{Name: name} }
	env.RegisterActivityWithOptions(unlessStoppedAfter(&m.stopped, p.ProcessorCharge), named(payment.ActivityProcessorCharge))
	env.RegisterActivityWithOptions(unlessStopped(&m.stopped, p.ProcessorCapture), named(payment.ActivityProcessorCapture))
	env.RegisterActivityWithOptions(unlessStopped(&m.stopped, p.ProcessorVoid), named(payment.ActivityProcessorVoid))
	env.RegisterActivityWithOptions(unlessStoppedAfter(&m.stopped, p.ProcessorRefund), named(payment.ActivityProcessorRefund))
	env.RegisterActivityWithOptions(unlessStopped(&m.stopped, p.ProcessorLookup), named(payment.ActivityProcessorLookup))
}

func unlessStoppedAfter[C, R any](
	stopped *atomic.Bool, call func(context.Context, C, activities.Before) (R, error),
) func(context.Context, C, activities.Before) (R, error) {
	return func(ctx context.Context, c C, before activities.Before) (R, error) {
		return unlessStopped(stopped, func(ctx context.Context, c C) (R, error) { return call(ctx, c, before) })(ctx, c)
	}
}

func unlessStopped[C, R any](stopped *atomic.Bool, call func(context.Context, C) (R, error)) func(context.Context, C) (R, error) {
	return func(ctx context.Context, c C) (R, error) {
		result, err := call(ctx, c)
		if stopped.Load() {
			return result, activity.ErrResultPending
		}
		return result, err
	}
}

// result returns the payment or refund that the workflow has returned, or the error of decoding it.
func result(env *testsuite.TestWorkflowEnvironment, w running) any {
	if w.charge != nil {
		var c payment.Charge
		if err := env.GetWorkflowResult(&c); err != nil {
			return err
		}
		return c
	}
	var r payment.Refund
	if err := env.GetWorkflowResult(&r); err != nil {
		return err
	}
	return r
}

// checkQuery checks the query of a run that was terminated, or continues as new: it must return the stored status. A workflow
// whose worker has stopped cannot know what was stored.
func (m *model) checkQuery(env *testsuite.TestWorkflowEnvironment, w running) {
	value, err := env.QueryWorkflow(payment.QueryStatus)
	m.mustSucceed(err)
	var queried struct{ Status payment.Status }
	m.mustSucceed(value.Get(&queried))
	stored := m.storedStatus(w)
	if stored == "" {
		m.logf("it was not stored yet")
	} else {
		m.logf("it is %s", stored)
	}
	if !m.stopped.Load() && queried.Status != stored {
		m.violation("%s: the query returned %s, but the store has %s", w.title, queried.Status, stored)
	}
}

// storedStatus returns the stored status of the payment or refund; empty if there is none.
func (m *model) storedStatus(w running) payment.Status {
	if w.charge != nil {
		return m.payment(*w.charge).Status
	}
	for _, r := range m.refunds {
		if payment.RefundID(m.merchant, r.IdempotencyKey) == w.id {
			return m.storedRefund(r).Status
		}
	}
	return ""
}

// act performs an external action. Actions that make no sense for this workflow are skipped.
func (m *model) act(w running, a externalAction) {
	env := m.env
	m.updates++
	observer := &updateObserver{m: m, w: w, action: a, early: m.beginning.Load()}
	update := func(name string, args ...any) {
		m.logf("update %d: %s", m.updates, a)
		observer.number = m.updates
		env.UpdateWorkflow(name, fmt.Sprint("update-", m.updates), observer, args...)
	}
	modifiable := w.charge != nil && w.refusal == ""
	switch {
	case a.Kind == actionCapture && modifiable:
		req := payment.CaptureRequest{}
		if a.Amount != wholeAmount {
			req.Amount = &a.Amount
		}
		update(payment.UpdateCapture, req)
	case a.Kind == actionVoid && modifiable:
		update(payment.UpdateVoid)
	case a.Kind == actionCancel:
		m.logf("cancel")
		m.voidRequested[w.id] = true
		if m.canceled == nil {
			m.canceled = &cancellation{voids: m.voidsOf(w)}
		}
		env.CancelWorkflow()
	case a.Kind == actionProcessorEvent:
		m.logf("processor event")
		env.SignalWorkflow(payment.SignalProcessorEvent, nil)
	case a.Kind == actionResolve && w.refusal == "":
		if resolution, ok := m.correctResolution(w); ok {
			m.logf("the operator resolves it as %s", resolution.Status)
			update(payment.UpdateResolve, resolution)
		}
	case a.Kind == actionOutcome && w.refusal == "":
		update(payment.UpdateOutcome)
	case a.Kind == actionOutcomeOtherRequest && w.refusal == "":
		update(payment.UpdateOutcome, payment.OutcomeRequest{Fingerprint: "of another request"})
	case a.Kind == actionDashboardCapture && modifiable && a.Amount > 0:
		if m.proc.captureInDashboard(w.reference, a.Amount) {
			m.logf("%s", a)
		}
	case a.Kind == actionDashboardVoid && modifiable:
		if m.proc.voidInDashboard(w.reference) {
			m.logf("%s", a)
		}
	case a.Kind == actionCustomerPays && w.charge != nil:
		if m.proc.customerPays(w.reference) {
			m.logf("%s", a)
		}
	}
}

// wasReported reports whether the store had the processor's id of the payment with a reference by a time, before the payment was
// final: the customer may have been asked to act.
func (m *model) wasReported(reference string, by time.Time) bool {
	for key := range m.charges {
		id := payment.PaymentID(m.merchant, key)
		if payment.ProcessorKey(id, payment.OperationCharge, 0) != reference {
			continue
		}
		events, err := m.db.Events(m.ctx, id)
		m.mustSucceed(err)
		return slices.ContainsFunc(events, func(e store.Event) bool {
			return !e.To.Final() && e.ProcessorID != "" && !e.At.Add(m.skews[id]).After(by)
		})
	}
	return false
}

// correctResolution is the resolution of an operator who reads the processor's dashboard. ok is false while the record
// may still change.
func (m *model) correctResolution(w running) (resolution payment.Resolution, ok bool) {
	entries := m.proc.charges
	if w.charge == nil {
		entries = m.proc.refunds
	}
	seen, final := m.proc.readDashboard(entries, w.reference)
	if seen.status == "" {
		seen.status = payment.Failed
	}
	resolution = payment.Resolution{
		Status: seen.status, Evidence: "the dashboard", By: "jane", WithoutProcessorID: seen.status == payment.Succeeded,
	}
	if w.charge != nil && resolution.Status == payment.Succeeded {
		resolution.CapturedAmount = seen.captured
	}
	return resolution, final
}

// updateObserver checks how one update ends: it implements the callbacks of the test environment.
type updateObserver struct {
	m      *model
	w      running
	action externalAction
	number int
	// early: the workflow did not know the payment or refund yet. It accepts the update, and may refuse it once it does.
	early bool
}

// allowedRefusals are the reasons with which an update may be rejected.
var allowedRefusals = map[actionKind][]payment.RefusalCode{
	actionCapture:             {payment.ErrNotCapturable, payment.ErrCaptureExceedsAuthorized},
	actionVoid:                {payment.ErrNotVoidable},
	actionResolve:             {payment.ErrNotResolvable},
	actionOutcomeOtherRequest: {payment.ErrIdempotencyMismatch},
}

// Accept checks an update that the workflow has accepted.
func (o *updateObserver) Accept() {
	if o.action.Kind == actionCapture || o.action.Kind == actionVoid {
		o.m.waiting++
	}
	switch o.action.Kind {
	case actionCapture:
		if !o.early && o.captureAmount() > o.w.charge.Amount {
			o.m.violation("a capture of %d of the authorized %d was accepted", o.captureAmount(), o.w.charge.Amount)
		}
		o.m.acceptedCaptures[o.w.id] = append(o.m.acceptedCaptures[o.w.id], o.captureAmount())
	case actionVoid:
		o.m.voidRequested[o.w.id] = true
	case actionOutcomeOtherRequest:
		o.m.violation("the outcome was returned for another request under the same key")
	default:
	}
}

// captureAmount is the amount that a capture requests.
func (o *updateObserver) captureAmount() int64 {
	if o.action.Amount == wholeAmount {
		return o.w.charge.Amount
	}
	return o.action.Amount
}

// Reject checks an update that the workflow has rejected.
func (o *updateObserver) Reject(err error) {
	o.m.logf("update %d is rejected: %v", o.number, err)
	var refused *temporal.ApplicationError
	switch {
	case errors.As(err, &refused) && slices.Contains(allowedRefusals[o.action.Kind], payment.RefusalCode(refused.Type())):
	case refused != nil && refused.Type() == string(payment.ErrTooManyUpdates) && o.m.waiting >= maxModificationsWaiting:
	default:
		o.m.violation("%s was rejected with the error %v", o.action, err)
	}
}

// Complete checks the result of an update.
func (o *updateObserver) Complete(value any, err error) {
	if o.action.Kind == actionCapture || o.action.Kind == actionVoid {
		o.m.waiting--
	}
	var refused *temporal.ApplicationError
	switch {
	case o.early && errors.As(err, &refused) && slices.Contains(allowedRefusals[o.action.Kind], payment.RefusalCode(refused.Type())):
		o.m.logf("update %d is refused: %v", o.number, err)
		if captures := o.m.acceptedCaptures[o.w.id]; o.action.Kind == actionCapture {
			i := slices.Index(captures, o.captureAmount())
			o.m.acceptedCaptures[o.w.id] = slices.Delete(captures, i, i+1)
		}
	case err == nil:
		o.m.logf("update %d completes", o.number)
		o.m.checkReturned(o.w, value)
		c, ok := value.(payment.Charge)
		_, e := o.m.entry(o.m.proc.charges, o.w.reference)
		if ok && o.action.Kind == actionCapture && c.Status == payment.Succeeded && c.CapturedAmount != o.captureAmount() &&
			(e == nil || !e.changedInDashboard) {
			o.m.violation("a capture of %d returned that %d were captured", o.captureAmount(), c.CapturedAmount)
		}
	case errors.As(err, &refused) && refused.Type() == payment.ErrorContinued:
		o.m.logf("update %d is to be sent again: %v", o.number, err)
		o.m.sendAgain = append(o.m.sendAgain, o.action)
	case errors.As(err, &refused) && o.action.Kind == actionResolve && refused.Type() == string(payment.ErrNotResolvable):
		o.m.logf("update %d is not applied: %v", o.number, err)
	default:
		o.m.violation("%s failed: %v", o.action, err)
	}
}

// checkReturned checks what a workflow or an update has returned: it must be stored, and a final outcome must agree with the
// processor.
func (m *model) checkReturned(w running, value any) {
	switch v := value.(type) {
	case payment.Charge:
		m.logf("returned: payment %s, %d captured%s", v.Status, v.CapturedAmount, describeFailure(v.Failure))
		stored, err := m.db.Payment(m.ctx, m.merchant, v.IdempotencyKey)
		if err != nil || stored.Status != v.Status || stored.CapturedAmount != v.CapturedAmount {
			m.violation("the payment was returned as %s with %d captured, but stored as %s with %d captured (error: %v)",
				v.Status, v.CapturedAmount, stored.Status, stored.CapturedAmount, err)
		}
		m.checkFinalCharge(v)
	case payment.Refund:
		m.logf("returned: refund %s, amount %d%s", v.Status, v.Amount, describeFailure(v.Failure))
		stored, err := m.db.Refund(m.ctx, m.merchant, v.IdempotencyKey)
		if err != nil || stored.Status != v.Status || stored.Amount != v.Amount {
			m.violation("the refund was returned as %s with the amount %d, but stored as %s with the amount %d (error: %v)",
				v.Status, v.Amount, stored.Status, stored.Amount, err)
		}
		m.checkFinalRefund(v)
	default:
		m.violation("%s returned %v", w.title, value)
	}
}

func describeFailure(f *payment.Failure) string {
	if f == nil {
		return ""
	}
	return fmt.Sprintf(", failure %s", f)
}

// checkUnchanged records a final outcome. It must not change any more.
func (m *model) checkUnchanged(id string, now finalOutcome) {
	if before, ok := m.finals[id]; ok && before != now {
		m.violation("the final outcome was %s with %d, and is now %s with %d", before.status, before.amount, now.status, now.amount)
	}
	m.finals[id] = now
}

// checkFinalCharge compares a payment, if it is final, with the processor's record.
func (m *model) checkFinalCharge(c payment.Charge) {
	if !c.Status.Final() {
		return
	}
	m.checkUnchanged(c.PaymentID, finalOutcome{status: c.Status, amount: c.CapturedAmount})
	now, e := m.entry(m.proc.charges, payment.ProcessorKey(c.PaymentID, payment.OperationCharge, 0))
	agrees := false
	switch c.Status {
	case payment.Succeeded:
		agrees = now.status == payment.Succeeded && now.captured == c.CapturedAmount
	case payment.Failed:
		agrees = e == nil
	case payment.Declined:
		// What could still succeed was voided before.
		agrees = e == nil || now.status == payment.Declined && !(now.open && m.wasReported(e.reference, m.now())) ||
			now.status == payment.Voided && e.wasOpen(m.now())
	case payment.Voided, payment.Expired:
		agrees = now.status == payment.Voided
	case payment.Conflicted:
		// The merchant has changed it in the dashboard, or two different captures were accepted.
		amounts := slices.Compact(slices.Sorted(slices.Values(m.acceptedCaptures[c.PaymentID])))
		agrees = e != nil && (e.changedInDashboard || len(amounts) > 1)
	default:
	}
	if !agrees {
		m.violation("the payment is %s with %d captured, but at the processor it is %s with %d captured",
			c.Status, c.CapturedAmount, describeStatus(now.status), now.captured)
	}
}

// checkFinalRefund compares a refund, if it is final, with the processor's record.
func (m *model) checkFinalRefund(r payment.Refund) {
	if !r.Status.Final() {
		return
	}
	m.checkUnchanged(r.RefundID, finalOutcome{status: r.Status, amount: r.Amount})
	now, e := m.entry(m.proc.refunds, payment.ProcessorKey(r.RefundID, payment.OperationRefund, 0))
	agrees := false
	switch r.Status {
	case payment.Succeeded:
		agrees = now.status == payment.Succeeded && e.amount == r.Amount
	case payment.Failed:
		agrees = e == nil
	case payment.Declined:
		agrees = e == nil || now.status == payment.Declined
	default:
	}
	if !agrees {
		m.violation("the refund of %d is %s, but at the processor it is %s", r.Amount, r.Status, describeStatus(now.status))
	}
}

func describeStatus(status payment.Status) string {
	if status == "" {
		return "without a record"
	}
	return string(status)
}

// entry returns the processor's record and its current state; nil if there is none.
func (m *model) entry(entries map[string]*entry, reference string) (state, *entry) {
	m.proc.mu.Lock()
	defer m.proc.mu.Unlock()
	m.proc.executeDelayed()
	e := entries[reference]
	if e == nil {
		return state{}, nil
	}
	now, _ := e.stateAt(m.now())
	return now, e
}

// voidsOf returns how many voids of the payment the processor has received.
func (m *model) voidsOf(w running) int {
	m.proc.mu.Lock()
	defer m.proc.mu.Unlock()
	if e := m.proc.charges[w.reference]; e != nil {
		return len(m.proc.voids[e.id])
	}
	return 0
}

// checkAll checks what must hold after each run, whatever has happened, and reports whether there was any violation so far.
func (m *model) checkAll() bool {
	for _, req := range m.charges {
		c := m.payment(req)
		refunded, reserved := m.refundsOf(c)
		m.must(refunded == c.RefundedAmount,
			"%d were refunded, but the refunded amount of the payment is %d", refunded, c.RefundedAmount)
		m.must(refunded+reserved <= c.CapturedAmount && c.CapturedAmount <= c.Amount,
			"%d are refunded and %d reserved of %d captured, and the payment's amount is %d",
			refunded, reserved, c.CapturedAmount, c.Amount)
		m.checkTransitions(c.PaymentID, payment.PaymentTransitions)
		m.checkFinalCharge(c)
		m.checkCalls(c)
	}
	for _, req := range m.refunds {
		r := m.storedRefund(req)
		m.checkTransitions(r.RefundID, payment.RefundTransitions)
		m.checkFinalRefund(r)
	}
	return len(m.violations) > 0
}

// checkTransitions checks that the stored transitions are legal and without a gap.
func (m *model) checkTransitions(id string, transitions map[payment.Status][]payment.Status) {
	events, err := m.db.Events(m.ctx, id)
	m.mustSucceed(err)
	current := payment.Status("")
	for _, e := range events {
		m.must(e.From == current, "an event from %s follows one to %s", e.From, current)
		first, unchanged := current == "" && e.To == payment.Processing, current == e.To && !current.Final()
		m.must(first || unchanged || slices.Contains(transitions[current], e.To),
			"an event from %s to %s is not a legal transition", current, e.To)
		current = e.To
	}
}

// checkCalls checks that every capture and void that was sent was requested by a caller, or is the void at a deadline or of a
// payment that is declined and could still succeed, and that no more was refunded than captured.
func (m *model) checkCalls(c payment.Charge) {
	e := m.proc.charges[payment.ProcessorKey(c.PaymentID, payment.OperationCharge, 0)]
	if e == nil {
		return
	}
	now, _ := e.stateAt(m.now())
	refunded := m.proc.refundedAmount(e.id)
	m.must(refunded <= now.captured, "the processor refunded %d of %d captured", refunded, now.captured)
	for _, amount := range m.proc.captures[e.id] {
		m.must(slices.Contains(m.acceptedCaptures[c.PaymentID], amount),
			"a capture of %d was sent that no caller has requested", amount)
	}
	for _, at := range m.proc.voids[e.id] {
		// The store keeps microseconds.
		m.must(m.voidRequested[c.PaymentID] || e.wasOpen(at) || !at.Before(m.beganAt[c.PaymentID].Add(7*day-time.Microsecond)),
			"a void was sent before the deadline that no caller has requested")
	}
}

// snapshot returns everything that a refusal must not change.
func (m *model) snapshot() string {
	var b strings.Builder
	page, err := m.db.Payments(m.ctx, payment.Filter{MerchantID: m.merchant, Limit: 100})
	m.mustSucceed(err)
	for _, c := range page.Payments {
		refunds, err := m.db.Refunds(m.ctx, m.merchant, c.PaymentID)
		m.mustSucceed(err)
		text, err := json.Marshal([]any{c, refunds})
		m.mustSucceed(err)
		fmt.Fprintf(&b, "%s\n", text)
	}
	fmt.Fprint(&b, len(m.proc.executed), len(m.proc.keys), m.proc.responses)
	return b.String()
}

// TestStoreAndProcessorAgreeAfterRandomFailures is the model test. The flag -rapid.checks sets the number of sequences.
func TestStoreAndProcessorAgreeAfterRandomFailures(t *testing.T) {
	t.Parallel()
	for name, on := range map[string]focus{
		"anything": focusAnything, "modifications": focusModifications, "refunds": focusRefunds, "continued": focusContinued,
		"unknown": focusUnknown,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			rapid.Check(t, func(rt *rapid.T) {
				if violation := playRandom(t.Context(), rt, db, correctSetup(), on); violation != "" {
					rt.Fatal(violation)
				}
			})
			t.Logf("all sequences so far: %d workflows, %d steps", modelRuns.Load(), modelSteps.Load())
		})
	}
}

// Sequences with which the model test has found bugs, reduced to what is needed.
func TestSequencesThatFoundBugs(t *testing.T) {
	t.Parallel()
	approved := behavior{Fault: faultNone, Decision: decisionApprove}
	for name, p := range map[string]plan{
		// An operator has resolved the payment without the processor's id, and the refund was sent without one.
		"refund of a payment without the processor's id is refused": {
			{
				Key: 1, TerminateAfter: 5 * time.Minute, Calls: []behavior{{Fault: faultRedirectExecuted}},
				Lookups: []behavior{{Fault: faultResponseLost, Lasts: time.Hour}},
				Actions: []externalAction{{Kind: actionResolve, At: time.Minute}},
			},
			{Refund: true, Key: 1, Payment: 1, Amount: 400, Pause: time.Second, TerminateAfter: modelYear},
		},
		// The resolution did not state the captured amount.
		"resolution of a partly captured payment does not count as the whole amount": {
			{
				Key: 1, Manual: true, TerminateAfter: modelYear, Calls: []behavior{approved},
				Lookups: []behavior{{Fault: faultResponseLost, Lasts: day}},
				Actions: []externalAction{
					{Kind: actionDashboardCapture, Amount: 400, At: time.Minute},
					{Kind: actionVoid, At: 5 * time.Minute},
					{Kind: actionResolve, At: time.Hour},
				},
			},
		},
		// The workflow continued as new while the outcome was unknown, and the next run was not canceled.
		"cancellation is not lost when the workflow continues as new": {
			{
				Key: 1, Manual: true, TerminateAfter: day, Calls: []behavior{{Fault: faultRedirectExecuted}},
				Lookups: []behavior{{Fault: faultResponseLost}}, Actions: []externalAction{{Kind: actionCancel, At: time.Second}},
				ContinueAfter: []int{0, 0},
			},
		},
		// The void that the first run had tried was not executed.
		"cancellation counts although an earlier run has tried to void": {
			{
				Key: 1, Manual: true, TerminateAfter: 7 * time.Minute,
				Calls: []behavior{{
					Fault: faultNone, Decision: decisionApproveLater, DecidesAfter: 10 * time.Second, Meanwhile: &externalAction{Kind: actionCancel},
				}, {Fault: faultConflict}},
				Lookups: []behavior{{Fault: faultTerminationNotExecuted, Lasts: 10 * time.Minute}},
			},
			{
				Key: 1, Manual: true, Repeat: true, Pause: time.Minute, TerminateAfter: 5 * time.Hour,
				Actions: []externalAction{{Kind: actionCancel, At: time.Second}}, ContinueAfter: []int{4},
			},
		},
		// A repeat was executed after the resolution, and its response was lost: the resolution was correct only when it
		// was made.
		"resolution is discarded once the operation was sent again": {
			{Key: 1, TerminateAfter: 5 * time.Minute, Calls: []behavior{{Fault: faultRedirectNotExecuted}}, Actions: []externalAction{}},
			{Key: 1, Repeat: true, Pause: time.Second, TerminateAfter: modelYear, Calls: []behavior{
				{Fault: faultUnreachable, Meanwhile: &externalAction{Kind: actionResolve}}, {Fault: faultRedirectExecuted},
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Empty(t, play(t.Context(), t, storetest.New(t), correctSetup(), traits{}, p))
		})
	}
}
