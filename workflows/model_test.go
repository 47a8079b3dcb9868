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
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"pgregory.net/rapid"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// modelTerms fit the model processor: a record is seen, and a late request has arrived, before absence is proof. Lookups
// are rarer than in testTerms: months pass in every sequence.
var modelTerms = activities.Terms{
	Processor:         "sim",
	StartToClose:      activities.Duration(30 * time.Second),
	ScheduleToClose:   activities.Duration(15 * time.Minute),
	KeyLifetime:       activities.Duration(24 * time.Hour),
	RetryInitial:      activities.Duration(time.Second),
	RetryMax:          activities.Duration(30 * time.Second),
	RetryMultiplier:   2,
	AbsenceProofAfter: activities.Duration(10 * time.Minute),
	Resolve:           activities.Poll{Initial: activities.Duration(2 * time.Second), Max: activities.Duration(2 * time.Hour), For: activities.Duration(24 * time.Hour)},
	AuthorizationFor:  activities.Duration(7 * day),
	Pending:           activities.Poll{Initial: activities.Duration(5 * time.Second), Max: activities.Duration(12 * time.Hour), For: activities.Duration(7 * day)},
}

// Both are so small that what production draws around them is always the same: a sequence that failed fails again.
var modelBackoff = retry.Backoff{Strategy: retry.Fixed, Initial: 1, Max: 1}

const (
	modelLongRetry    = time.Millisecond
	modelLongestRetry = modelLongRetry / 2
)

// actKind is what somebody does to a running workflow, or at the processor.
type actKind string

const (
	captures     actKind = "capture"
	voids        actKind = "void"
	cancels      actKind = "cancel"
	tellsEvent   actKind = "processor-event"
	resolves     actKind = "resolve"
	asksOutcome  actKind = "outcome"
	asksAnother  actKind = "outcome of another request"
	takesByHand  actKind = "capture at the processor"
	letsGoByHand actKind = "void at the processor"
)

// everything is the amount of a capture that names none.
const everything = 0

// act is one of them, so long after the workflow began.
type act struct {
	Kind   actKind
	Amount int64 // of a capture
	At     time.Duration
}

func (a act) what() string {
	if a.Kind == captures || a.Kind == takesByHand {
		return fmt.Sprint(a.Kind, " ", a.Amount)
	}
	return string(a.Kind)
}

// episode is one workflow, from its start until it ends or is terminated.
type episode struct {
	// Refund is of the payment under the key Of; otherwise it is a charge.
	Refund  bool
	Key, Of int
	// Again: the request is that which the key was used for first. Otherwise it may be another one.
	Again  bool
	Amount int64
	Manual bool
	// Gap passes before it, and it is terminated after Lasts.
	Gap, Lasts time.Duration
	Calls      []turn
	Lookups    []turn
	Acts       []act
}

// plan is a sequence of runs. The steps are logged as they happen.
type plan []episode

// GoString implements fmt.GoStringer, for rapid's log.
func (p plan) GoString() string { return fmt.Sprintf("%d runs", len(p)) }

var (
	genAct = rapid.Custom(func(t *rapid.T) act {
		return act{
			Kind: rapid.SampledFrom([]actKind{captures, captures, captures, voids, tellsEvent, resolves, resolves, cancels, asksOutcome, asksAnother,
				takesByHand, letsGoByHand}).Draw(t, "kind"),
			Amount: rapid.SampledFrom([]int64{everything, 400, 1000, 1001}).Draw(t, "amount"),
			At:     rapid.SampledFrom([]time.Duration{time.Second, 0, 30 * time.Second, 5 * time.Minute, time.Hour, 20 * time.Hour, 3 * day}).Draw(t, "at"),
		}
	})
	genMeanwhile = rapid.Custom(func(t *rapid.T) *act {
		if rapid.IntRange(0, 4).Draw(t, "meanwhile") < 4 {
			return nil
		}
		a := genAct.Draw(t, "act")
		return &a
	})
	genCall = rapid.Custom(func(t *rapid.T) turn {
		c := turn{
			Delivery: rapid.SampledFrom([]delivery{answers, answers, answers, answers, losesAnswer, losesAnswer, losesCall, isLate, isSlow, breaks,
				breaksFirst, garbles, redirects, redirectsFirst, away, limits, limitsLong, forbids, conflicts, killsAfter, killsBefore, stopsAfter, stopsAfter, stopsBefore}).Draw(t, "delivery"),
			Ending: rapid.SampledFrom([]ending{approves, approves, approves, approves, declines, declinesBlank, defersYes, defersNo, asksYes, asksNo}).Draw(t, "ending"),
			Later:  rapid.SampledFrom([]time.Duration{10 * time.Second, 2 * time.Hour, 50 * time.Hour}).Draw(t, "later"),
			Lasts:  rapid.SampledFrom([]time.Duration{0, 0, 0, 0, 10 * time.Minute, 30 * time.Hour}).Draw(t, "lasts"),
		}
		if c.Delivery == limitsLong || c.Delivery == answers {
			c.Lasts = 0
		}
		if c.Lasts == 0 {
			c.Meanwhile = genMeanwhile.Draw(t, "meanwhile")
		}
		return c
	})
	genLookup = rapid.Custom(func(t *rapid.T) turn {
		c := turn{
			Delivery: rapid.SampledFrom([]delivery{answers, answers, answers, losesAnswer, losesAnswer, stopsBefore}).Draw(t, "delivery"),
			Lasts:    rapid.SampledFrom([]time.Duration{0, 10 * time.Minute, 30 * time.Hour, 4 * day}).Draw(t, "lasts"),
		}
		if c.Lasts == 0 {
			c.Meanwhile = genMeanwhile.Draw(t, "meanwhile")
		}
		return c
	})
	genHabits = rapid.Custom(func(t *rapid.T) habits {
		return habits{
			Lag:             rapid.SampledFrom([]time.Duration{0, 3 * time.Minute, 9 * time.Minute}).Draw(t, "lag"),
			ReplaysRefusals: rapid.Bool().Draw(t, "replays refusals"),
			ReplaysBreaks:   rapid.Bool().Draw(t, "replays 500"),
			Firm:            rapid.Bool().Draw(t, "firm"),
			ProvesNothing:   rapid.IntRange(0, 3).Draw(t, "proves nothing") == 3,
		}
	})
)

// focus is what a sequence is mostly about.
type focus int

const (
	onAnything focus = iota
	onOrders         // for a payment that is held
	onRefunds        // of a payment that was taken
)

func genEpisode(on focus) *rapid.Generator[episode] {
	oneOf := func(weights ...int) *rapid.Generator[bool] {
		return rapid.Map(rapid.IntRange(1, 10), func(n int) bool { return n > 10-weights[on] })
	}
	return rapid.Custom(func(t *rapid.T) episode {
		return episode{
			Refund:  oneOf(3, 1, 9).Draw(t, "refund"),
			Key:     rapid.SampledFrom([]int{1, 1, 1, 1, 2, 3}).Draw(t, "key"),
			Of:      rapid.SampledFrom([]int{1, 1, 1, 1, 2}).Draw(t, "of"),
			Again:   oneOf(8, 9, 8).Draw(t, "again"),
			Amount:  rapid.SampledFrom([]int64{1000, 600, 400, 0, 1001}).Draw(t, "amount"),
			Manual:  oneOf(5, 9, 3).Draw(t, "manual"),
			Gap:     rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 3 * time.Hour, 30 * time.Hour, 8 * day}).Draw(t, "gap"),
			Lasts:   rapid.SampledFrom([]time.Duration{modelYear, modelYear, 40 * time.Second, 7 * time.Minute, 5 * time.Hour, 3 * day}).Draw(t, "lasts"),
			Calls:   rapid.SliceOfN(genCall, 0, 4).Draw(t, "calls"),
			Lookups: rapid.SliceOfN(genLookup, 0, 3).Draw(t, "lookups"),
			Acts:    rapid.SliceOfN(genAct, 0, 6).Draw(t, "acts"),
		}
	})
}

func genPlan(on focus) *rapid.Generator[plan] {
	return rapid.Custom(func(t *rapid.T) plan {
		p := plan(rapid.SliceOfN(genEpisode(on), 1, 8).Draw(t, "episodes"))
		switch on {
		case onOrders:
			p[0].Refund, p[0].Manual, p[0].Calls = false, true, append([]turn{{Delivery: answers, Ending: approves}}, p[0].Calls...)
		case onRefunds:
			p[0] = episode{Key: 1, Amount: 1000, Lasts: modelYear}
		default:
		}
		return p
	})
}

// modelYear is longer than any payment may stay open once its processor is well.
const modelYear = 365 * day

// rig is what the sequences run on. A deliberate mistake changes one part of it.
type rig struct {
	terms activities.Terms
	// processor is the adapter over the model.
	processor func(*ledger) processor.Processor
	// alter takes the place of activities.
	alter func(env *testsuite.TestWorkflowEnvironment, keeping *activities.Payments)
}

func soundRig() rig {
	return rig{
		terms:     modelTerms,
		processor: func(l *ledger) processor.Processor { return l },
		alter:     func(*testsuite.TestWorkflowEnvironment, *activities.Payments) {},
	}
}

// modelSteps and modelRuns count what the model test has done.
var modelSteps, modelRuns atomic.Int64

// merchants gives each sequence its own part of the one store.
var merchants atomic.Int64

// model plays sequences, and knows what must hold.
type model struct {
	rig
	t      logger
	ctx    context.Context
	books  *store.Store
	ledger *ledger
	// merchant owns everything in the sequence.
	merchant string
	// clock is everybody's, and only goes forward; began is when it started. The store takes the time at which something
	// begins from the machine, so each workflow has a clock that is ahead of or behind this one by its skew.
	clock, began time.Time
	skews        map[string]time.Duration

	charges map[string]payment.ChargeRequest // by idempotency key, those that the store knows
	refunds map[string]payment.RefundRequest
	// begun is when a payment was made known.
	begun map[string]time.Time
	// accepted are the captures that were, by payment; mayVoid has those that somebody wanted voided.
	accepted map[string][]int64
	mayVoid  map[string]bool
	// told are the final outcomes that somebody has heard of.
	told map[string]outcomeOf

	// env is the running workflow's, and stopped says that its worker is gone.
	env     *testsuite.TestWorkflowEnvironment
	skew    time.Duration
	stopped atomic.Bool
	mu      sync.Mutex
	wrongs  []string
	updates int
}

// outcomeOf is what must never change.
type outcomeOf struct {
	status payment.Status
	amount int64
}

// draw draws a sequence and plays it.
func draw(ctx context.Context, t *rapid.T, books *store.Store, r rig, on focus) (wrong string) {
	h := genHabits.Draw(t, "processor")
	return play(ctx, t, books, r, h, genPlan(on).Draw(t, "plan"))
}

// play plays a sequence and returns the first thing that was wrong.
func play(ctx context.Context, t logger, books *store.Store, r rig, h habits, p plan) (wrong string) {
	merchant := fmt.Sprint("m", merchants.Add(1))
	m := &model{
		rig: r, t: t, ctx: ctx, books: books, merchant: merchant, clock: long, began: long, skews: map[string]time.Duration{},
		charges: map[string]payment.ChargeRequest{}, refunds: map[string]payment.RefundRequest{}, begun: map[string]time.Time{},
		accepted: map[string][]int64{}, mayVoid: map[string]bool{}, told: map[string]outcomeOf{},
	}
	if h.ProvesNothing {
		m.terms.AbsenceProofAfter = 0
	}
	m.ledger = newLedger(merchant, h)
	m.ledger.now = m.now
	m.ledger.log, m.ledger.wrong = m.logf, m.wrong
	m.ledger.stop = func() { m.stopped.Store(true) }
	for _, e := range p {
		if m.run(e); m.check() {
			return m.wrongs[0]
		}
	}
	if m.drain() {
		return m.wrongs[0]
	}
	return ""
}

// logger is a *testing.T or a *rapid.T.
type logger interface {
	Logf(format string, args ...any)
}

// drain lets everything that is open end, with a processor that is well and an operator who sees to it, and reports whether anything was wrong.
func (m *model) drain() bool {
	last := func(key int) episode {
		return episode{Key: key, Lasts: modelYear, Acts: []act{{Kind: resolves, At: 20 * day}, {Kind: resolves, At: 40 * day}}}
	}
	for key := range 4 {
		if c, ok := m.charges[name("order", key)]; ok && !m.payment(c).Status.Final() {
			m.logf("%s is left to itself", c.IdempotencyKey)
			m.charge(last(key), c)
			m.must(m.payment(c).Status.Final(), "%s never ends: %s", c.IdempotencyKey, m.payment(c).Status)
		}
		if r, ok := m.refunds[name("back", key)]; ok && !m.refund(r).Status.Final() {
			m.logf("%s is left to itself", r.IdempotencyKey)
			m.giveBack(last(key), r)
			m.must(m.refund(r).Status.Final(), "%s never ends: %s", r.IdempotencyKey, m.refund(r).Status)
		}
	}
	m.clock = m.clock.Add(modelYear)
	return m.check()
}

func name(what string, key int) string { return fmt.Sprint(what, "-", key) }

func (m *model) now() time.Time {
	if m.env == nil {
		return m.clock
	}
	return m.env.Now().Add(m.skew)
}

func (m *model) logf(format string, args ...any) {
	modelSteps.Add(1)
	m.t.Logf("%9s  %s", short(m.now().Sub(m.began)), fmt.Sprintf(format, args...))
}

// short is a duration as one reads it in a log.
func short(d time.Duration) string {
	text := d.Truncate(time.Second).String()
	if d >= day {
		text = fmt.Sprintf("%dd%s", d/day, (d % day).Truncate(time.Second))
	}
	return text
}

// wrong notes what must not be. It may be called from anywhere.
func (m *model) wrong(format string, args ...any) {
	m.mu.Lock()
	m.wrongs = append(m.wrongs, fmt.Sprintf(format, args...))
	m.mu.Unlock()
	m.logf("WRONG: "+format, args...)
}

func (m *model) must(holds bool, format string, args ...any) {
	if !holds {
		m.wrong(format, args...)
	}
}

func (m *model) works(err error) { m.must(err == nil, "the store fails: %v", err) }

func (m *model) payment(req payment.ChargeRequest) payment.Charge {
	c, err := m.books.Payment(m.ctx, m.merchant, req.IdempotencyKey)
	m.works(err)
	return c
}

func (m *model) refund(req payment.RefundRequest) payment.Refund {
	r, err := m.books.Refund(m.ctx, m.merchant, req.IdempotencyKey)
	m.works(err)
	return r
}

// run makes the request of a run and starts its workflow.
func (m *model) run(r episode) {
	m.clock = m.clock.Add(r.Gap)
	if r.Refund {
		key := name("back", r.Key)
		req, known := m.refunds[key]
		if !known || !r.Again {
			req = payment.RefundRequest{MerchantID: m.merchant, IdempotencyKey: key, PaymentID: payment.PaymentID(m.merchant, name("order", r.Of))}
			if r.Amount > 0 {
				req.Amount = &r.Amount
			}
		}
		m.giveBack(r, req)
		return
	}
	key := name("order", r.Key)
	req, known := m.charges[key]
	if !known || !r.Again {
		req = payment.ChargeRequest{MerchantID: m.merchant, IdempotencyKey: key, Amount: 1000, Currency: "USD", PaymentMethod: "tok_visa"}
		if !r.Manual && r.Amount == 600 {
			req.Amount = 600
		}
		if r.Manual {
			req.Capture = payment.CaptureManual
		}
	}
	m.charge(r, req)
}

func (m *model) charge(r episode, req payment.ChargeRequest) {
	first, known := m.charges[req.IdempotencyKey]
	id := payment.PaymentID(m.merchant, req.IdempotencyKey)
	w := working{
		id: id, what: fmt.Sprintf("charge %s: %s %s", req.IdempotencyKey, req.Money(), req.Capture), known: known, reference: payment.ProcessorKey(id, payment.OperationCharge, 0), charge: &req,
	}
	if known && first.Fingerprint() != req.Fingerprint() {
		w.refusal = payment.ErrIdempotencyMismatch
	}
	if !known {
		m.charges[req.IdempotencyKey], m.begun[id] = req, m.clock
	}
	m.execute(w, r, payment.WorkflowCharge, req)
}

func (m *model) giveBack(r episode, req payment.RefundRequest) {
	first, known := m.refunds[req.IdempotencyKey]
	id := payment.RefundID(m.merchant, req.IdempotencyKey)
	amount := "all"
	if req.Amount != nil {
		amount = fmt.Sprint(*req.Amount)
	}
	w := working{
		id: id, what: fmt.Sprintf("refund %s: %s of %s", req.IdempotencyKey, amount, m.keyOf(req.PaymentID)), known: known,
		reference: payment.ProcessorKey(id, payment.OperationRefund, 0),
	}
	switch {
	case known && first.Fingerprint() != req.Fingerprint():
		w.refusal = payment.ErrIdempotencyMismatch
	case !known:
		if w.refusal = m.refundable(req); w.refusal == "" {
			m.refunds[req.IdempotencyKey] = req
		}
	}
	m.execute(w, r, payment.WorkflowRefund, req)
}

func (m *model) keyOf(paymentID string) string {
	for key := range m.charges {
		if payment.PaymentID(m.merchant, key) == paymentID {
			return key
		}
	}
	return "nothing"
}

// refundable is why a new refund has to be refused, if it has.
func (m *model) refundable(req payment.RefundRequest) payment.RefusalCode {
	of, ok := m.charges[m.keyOf(req.PaymentID)]
	if !ok {
		return payment.ErrPaymentNotFound
	}
	c := m.payment(of)
	back, reserved := m.backOf(c)
	switch left := c.CapturedAmount - back - reserved; {
	case c.Status != payment.Succeeded, c.ProcessorPaymentID == "": // which nobody has told us
		return payment.ErrPaymentNotRefundable
	case left == 0, req.Amount != nil && *req.Amount > left:
		return payment.ErrRefundExceedsCaptured
	}
	return ""
}

// backOf is what was, and what may still be, given back of a payment.
func (m *model) backOf(c payment.Charge) (back, reserved int64) {
	refunds, err := m.books.Refunds(m.ctx, m.merchant, c.PaymentID)
	m.works(err)
	for _, r := range refunds {
		switch r.Status {
		case payment.Succeeded:
			back += r.Amount
		case payment.Declined, payment.Failed:
		default:
			reserved += r.Amount
		}
	}
	return back, reserved
}

// working is a workflow at work.
type working struct {
	id, what, reference string
	// known: the store has it already.
	known bool
	// refusal is the error that the workflow has to end with.
	refusal payment.RefusalCode
	// charge is nil for a refund.
	charge *payment.ChargeRequest
}

// execute runs one workflow until it ends or is terminated, and checks what it says.
func (m *model) execute(w working, r episode, workflowType string, req any) {
	modelRuns.Add(1)
	m.logf("--- %s (terminated after %s; calls %v; lookups %v)", w.what, short(r.Lasts), r.Calls, r.Lookups)
	before := m.snapshot()

	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.SetWorkflowRunTimeout(r.Lasts)
	if !w.known {
		m.skews[w.id] = time.Until(m.clock)
	}
	env.SetStartTime(m.clock.Add(-m.skews[w.id]))
	Register(env)
	keeping := &activities.Payments{Store: m.books, Default: "sim", Processors: map[string]activities.Terms{"sim": m.terms}}
	keeping.Register(env)
	m.register(env, activities.NewProcessor(m.processor(m.ledger), modelBackoff, modelLongestRetry))
	m.alter(env, keeping)
	m.env, m.skew = env, m.skews[w.id]
	m.stopped.Store(false)
	m.ledger.calls, m.ledger.lookups = script{turns: r.Calls}, script{turns: r.Lookups}
	m.ledger.during = func(a act) {
		done := make(chan struct{})
		env.RegisterDelayedCallback(func() {
			defer close(done)
			m.act(w, a)
		}, 0)
		<-done
	}
	for i, a := range r.Acts {
		at := a.At + time.Duration(i)*1370*time.Millisecond + 530*time.Millisecond
		if a.Kind == cancels && a.At == 0 {
			at = 0 // before the workflow begins
		}
		// No two things happen at the same moment, or while an activity runs, which takes real time: which came first would
		// be left to chance.
		env.RegisterDelayedCallback(func() { m.act(w, a) }, at)
	}
	env.ExecuteWorkflow(workflowType, req)

	var timeout *temporal.TimeoutError
	var refused *temporal.ApplicationError
	switch err := env.GetWorkflowError(); {
	case err == nil && w.refusal == "":
		m.hear(w, result(env, w))
	case errors.As(err, &timeout):
		value, queryErr := env.QueryWorkflow(payment.QueryStatus)
		m.works(queryErr)
		m.waits(w, value)
	case errors.As(err, &refused) && refused.Type() == string(w.refusal):
		m.logf("refused: %s", w.refusal)
		m.must(before == m.snapshot(), "a refusal has changed something: before\n%s\nafter\n%s", before, m.snapshot())
	default:
		m.wrong("%s ended with error %v, want %q", w.what, err, w.refusal)
	}
	m.clock, m.env = m.now(), nil
}

// register makes the calls to the processor ones that end without a word once the worker is gone.
func (m *model) register(env *testsuite.TestWorkflowEnvironment, calls *activities.Processor) {
	env.RegisterActivityWithOptions(until(&m.stopped, calls.ProcessorCharge), activity.RegisterOptions{Name: payment.ActivityProcessorCharge})
	env.RegisterActivityWithOptions(until(&m.stopped, calls.ProcessorCapture), activity.RegisterOptions{Name: payment.ActivityProcessorCapture})
	env.RegisterActivityWithOptions(until(&m.stopped, calls.ProcessorVoid), activity.RegisterOptions{Name: payment.ActivityProcessorVoid})
	env.RegisterActivityWithOptions(until(&m.stopped, calls.ProcessorRefund), activity.RegisterOptions{Name: payment.ActivityProcessorRefund})
	env.RegisterActivityWithOptions(until(&m.stopped, calls.ProcessorLookup), activity.RegisterOptions{Name: payment.ActivityProcessorLookup})
}

func until[C, R any](stopped *atomic.Bool, call func(context.Context, C) (R, error)) func(context.Context, C) (R, error) {
	return func(ctx context.Context, c C) (R, error) {
		result, err := call(ctx, c)
		if stopped.Load() {
			return result, activity.ErrResultPending
		}
		return result, err
	}
}

// result is what a workflow returned.
func result(env *testsuite.TestWorkflowEnvironment, w working) any {
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

// waits checks a workflow that was terminated: it said what the store says.
func (m *model) waits(w working, value interface{ Get(any) error }) {
	var said struct{ Status payment.Status }
	m.works(value.Get(&said))
	status := m.stored(w)
	m.logf("terminated: %s", status)
	if !m.stopped.Load() && said.Status != status {
		m.wrong("%s said it is %s, and the store has %s", w.what, said.Status, status)
	}
}

// stored is the status that the store has of what is worked on.
func (m *model) stored(w working) payment.Status {
	if w.charge != nil {
		return m.payment(*w.charge).Status
	}
	for _, r := range m.refunds {
		if payment.RefundID(m.merchant, r.IdempotencyKey) == w.id {
			return m.refund(r).Status
		}
	}
	return ""
}

// act does something to the running workflow, or at its processor.
func (m *model) act(w working, a act) {
	env := m.env
	m.updates++
	told := &ear{m: m, w: w, act: a}
	update := func(name string, args ...any) {
		m.logf("%s, update %d", a.what(), m.updates)
		told.number = m.updates
		env.UpdateWorkflow(name, fmt.Sprint("update-", m.updates), told, args...)
	}
	order := w.charge != nil && w.refusal == ""
	switch {
	case a.Kind == captures && order:
		req := payment.CaptureRequest{}
		if a.Amount != everything {
			req.Amount = &a.Amount
		}
		update(payment.UpdateCapture, req)
	case a.Kind == voids && order:
		update(payment.UpdateVoid)
	case a.Kind == cancels:
		m.logf("cancel")
		m.mayVoid[w.id] = true
		env.CancelWorkflow()
	case a.Kind == tellsEvent:
		m.logf("processor-event")
		env.SignalWorkflow(payment.SignalProcessorEvent, nil)
	case a.Kind == resolves && w.refusal == "":
		if said, ok := m.honest(w); ok {
			m.logf("an operator says it is %s", said.Status)
			update(payment.UpdateResolve, said)
		}
	case a.Kind == asksOutcome && w.refusal == "":
		update(payment.UpdateOutcome)
	case a.Kind == asksAnother && w.refusal == "":
		update(payment.UpdateOutcome, payment.OutcomeRequest{Fingerprint: "of another request"})
	case a.Kind == takesByHand && order && a.Amount > 0, a.Kind == letsGoByHand && order:
		amount := a.Amount
		if a.Kind == letsGoByHand {
			amount = 0
		}
		if m.ledger.byHand(w.reference, amount) {
			m.logf("%s", a.what())
		}
	}
}

// honest is what an operator says who looks at the processor, and says nothing while it may still change.
func (m *model) honest(w working) (payment.Resolution, bool) {
	references := m.ledger.charges
	if w.charge == nil {
		references = m.ledger.refunds
	}
	truth, over := m.ledger.truth(references, w.reference)
	if truth.status == "" {
		truth.status = payment.Failed
	}
	said := payment.Resolution{Status: truth.status, Evidence: "the dashboard", By: "jane"}
	if w.charge != nil && said.Status == payment.Succeeded {
		said.CapturedAmount = truth.captured
	}
	return said, over
}

// ear hears what becomes of an update.
type ear struct {
	m      *model
	w      working
	act    act
	number int
}

// refusals are why an update may be refused.
var refusals = map[actKind][]payment.RefusalCode{
	captures:    {payment.ErrNotCapturable, payment.ErrCaptureExceedsAuthorized},
	voids:       {payment.ErrNotVoidable},
	resolves:    {payment.ErrNotResolvable},
	asksAnother: {payment.ErrIdempotencyMismatch},
}

// Accept implements the callbacks of an update.
func (e *ear) Accept() {
	switch e.act.Kind {
	case captures:
		if e.asked() > e.w.charge.Amount {
			e.m.wrong("a capture of %d of %d was accepted", e.asked(), e.w.charge.Amount)
		}
		e.m.accepted[e.w.id] = append(e.m.accepted[e.w.id], e.asked())
	case voids:
		e.m.mayVoid[e.w.id] = true
	case asksAnother:
		e.m.wrong("another request was accepted under a used key")
	default:
	}
}

// asked is the amount that a capture asks for.
func (e *ear) asked() int64 {
	if e.act.Amount == everything {
		return e.w.charge.Amount
	}
	return e.act.Amount
}

// Reject implements the callbacks of an update.
func (e *ear) Reject(err error) {
	e.m.logf("update %d refused: %v", e.number, err)
	var refused *temporal.ApplicationError
	if !errors.As(err, &refused) || !slices.Contains(refusals[e.act.Kind], payment.RefusalCode(refused.Type())) {
		e.m.wrong("%s was refused with %v", e.act.what(), err)
	}
}

// Complete implements the callbacks of an update.
func (e *ear) Complete(value any, err error) {
	var refused *temporal.ApplicationError
	switch {
	case err == nil:
		e.m.logf("update %d answered", e.number)
		e.m.hear(e.w, value)
		c, ok := value.(payment.Charge)
		_, has := e.m.entry(e.m.ledger.charges, e.w.reference)
		if ok && e.act.Kind == captures && c.Status == payment.Succeeded && c.CapturedAmount != e.asked() && (has == nil || !has.byHand) {
			e.m.wrong("a capture of %d was answered with %d", e.asked(), c.CapturedAmount)
		}
	case errors.As(err, &refused) && e.act.Kind == resolves && refused.Type() == string(payment.ErrNotResolvable):
		e.m.logf("update %d not taken: %v", e.number, err)
	default:
		e.m.wrong("%s failed: %v", e.act.what(), err)
	}
}

// hear checks what somebody is told: the store has it, and it is the truth.
func (m *model) hear(w working, value any) {
	switch v := value.(type) {
	case payment.Charge:
		m.logf("told: %s, captured %d %s", v.Status, v.CapturedAmount, v.Failure)
		if stored, err := m.books.Payment(m.ctx, m.merchant, v.IdempotencyKey); err != nil || stored.Status != v.Status || stored.CapturedAmount != v.CapturedAmount {
			m.wrong("told %s %d, and the store has %s %d (%v)", v.Status, v.CapturedAmount, stored.Status, stored.CapturedAmount, err)
		}
		m.trueCharge(v)
	case payment.Refund:
		m.logf("told: %s %d %s", v.Status, v.Amount, v.Failure)
		if stored, err := m.books.Refund(m.ctx, m.merchant, v.IdempotencyKey); err != nil || stored.Status != v.Status || stored.Amount != v.Amount {
			m.wrong("told %s %d, and the store has %s %d (%v)", v.Status, v.Amount, stored.Status, stored.Amount, err)
		}
		m.trueRefund(v)
	default:
		m.wrong("%s told %v", w.what, value)
	}
}

// final notes an outcome that somebody may have heard of. It stays.
func (m *model) final(id string, is outcomeOf) {
	if was, ok := m.told[id]; ok && was != is {
		m.wrong("it was %s %d, and has become %s %d", was.status, was.amount, is.status, is.amount)
	}
	m.told[id] = is
}

// trueCharge compares a final payment with the processor's ledger.
func (m *model) trueCharge(c payment.Charge) {
	if !c.Status.Final() {
		return
	}
	m.final(c.PaymentID, outcomeOf{c.Status, c.CapturedAmount})
	is, e := m.entry(m.ledger.charges, payment.ProcessorKey(c.PaymentID, payment.OperationCharge, 0))
	agrees := false
	switch c.Status {
	case payment.Succeeded:
		agrees = is.status == payment.Succeeded && is.captured == c.CapturedAmount
	case payment.Failed:
		agrees = e == nil
	case payment.Declined:
		agrees = e == nil || is.status == payment.Declined
	case payment.Voided, payment.Expired:
		agrees = is.status == payment.Voided
	case payment.Conflicted:
		// It was not done as asked: by a human, or by one of two orders that both were accepted.
		asked := slices.Compact(slices.Sorted(slices.Values(m.accepted[c.PaymentID])))
		agrees = e != nil && (e.byHand || len(asked) > 1)
	default:
	}
	if !agrees {
		m.wrong("the payment is %s with %d captured, and the processor has %q with %d", c.Status, c.CapturedAmount, is.status, is.captured)
	}
}

// trueRefund compares a final refund with the processor's ledger.
func (m *model) trueRefund(r payment.Refund) {
	if !r.Status.Final() {
		return
	}
	m.final(r.RefundID, outcomeOf{r.Status, r.Amount})
	is, e := m.entry(m.ledger.refunds, payment.ProcessorKey(r.RefundID, payment.OperationRefund, 0))
	agrees := false
	switch r.Status {
	case payment.Succeeded:
		agrees = is.status == payment.Succeeded && e.amount == r.Amount
	case payment.Failed:
		agrees = e == nil
	case payment.Declined:
		agrees = e == nil || is.status == payment.Declined
	default:
	}
	if !agrees {
		m.wrong("the refund of %d is %s, and the processor has %q", r.Amount, r.Status, is.status)
	}
}

// entry is what the processor has now.
func (m *model) entry(entries map[string]*entry, reference string) (state, *entry) {
	m.ledger.mu.Lock()
	defer m.ledger.mu.Unlock()
	m.ledger.arrive()
	e := entries[reference]
	if e == nil {
		return state{}, nil
	}
	is, _ := e.as(m.now())
	return is, e
}

// check is of what holds after each run, whatever has happened. It reports whether anything was wrong so far.
func (m *model) check() bool {
	for _, req := range m.charges {
		c := m.payment(req)
		back, reserved := m.backOf(c)
		m.must(back == c.RefundedAmount, "%d were refunded, and the payment says %d", back, c.RefundedAmount)
		m.must(back+reserved <= c.CapturedAmount && c.CapturedAmount <= c.Amount, "%d refunded + %d reserved, %d captured, %d authorized",
			back, reserved, c.CapturedAmount, c.Amount)
		m.legal(c.PaymentID, payment.PaymentTransitions)
		m.trueCharge(c)
		m.orderly(c)
	}
	for _, req := range m.refunds {
		r := m.refund(req)
		m.legal(r.RefundID, payment.RefundTransitions)
		m.trueRefund(r)
	}
	return len(m.wrongs) > 0
}

// legal checks the moves that the store has seen.
func (m *model) legal(id string, transitions map[payment.Status][]payment.Status) {
	events, err := m.books.Events(m.ctx, id)
	m.works(err)
	at := payment.Status("")
	for _, e := range events {
		m.must(e.From == at, "an event from %s after one to %s", e.From, at)
		m.must(at == "" && e.To == payment.Processing || slices.Contains(transitions[at], e.To) || at == e.To && !at.Final(),
			"an event from %s to %s", at, e.To)
		at = e.To
	}
}

// orderly: nothing was asked of the processor that nobody has ordered, and no more has left it than it took.
func (m *model) orderly(c payment.Charge) {
	e := m.ledger.charges[payment.ProcessorKey(c.PaymentID, payment.OperationCharge, 0)]
	if e == nil {
		return
	}
	is, _ := e.as(m.now())
	m.must(m.ledger.given(e.id) <= is.captured, "the processor gave back %d of %d", m.ledger.given(e.id), is.captured)
	for _, amount := range m.ledger.captures[e.id] {
		m.must(slices.Contains(m.accepted[c.PaymentID], amount), "a capture of %d was sent that nobody has ordered", amount)
	}
	for _, at := range m.ledger.voids[e.id] {
		m.must(m.mayVoid[c.PaymentID] || !at.Before(m.begun[c.PaymentID].Add(7*day)), "a void was sent that nobody has ordered")
	}
}

// snapshot is everything that a refusal must leave as it is.
func (m *model) snapshot() string {
	var b strings.Builder
	page, err := m.books.Payments(m.ctx, payment.Filter{MerchantID: m.merchant, Limit: 100})
	m.works(err)
	for _, c := range page.Payments {
		refunds, err := m.books.Refunds(m.ctx, m.merchant, c.PaymentID)
		m.works(err)
		text, err := json.Marshal([]any{c, refunds})
		m.works(err)
		fmt.Fprintf(&b, "%s\n", text)
	}
	fmt.Fprint(&b, len(m.ledger.made), len(m.ledger.keys), m.ledger.requests)
	return b.String()
}

// TestTheBooksAndTheProcessorAgreeWhateverFails plays random sequences of requests, orders, failures, terminations and
// human deeds. -rapid.checks plays more of them.
func TestTheBooksAndTheProcessorAgreeWhateverFails(t *testing.T) {
	for name, on := range map[string]focus{"anything": onAnything, "orders": onOrders, "refunds": onRefunds} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			books := newStore(t)
			rapid.Check(t, func(rt *rapid.T) {
				if wrong := draw(t.Context(), rt, books, soundRig(), on); wrong != "" {
					rt.Fatal(wrong)
				}
			})
			t.Logf("%d workflows, %d steps so far", modelRuns.Load(), modelSteps.Load())
		})
	}
}

// Sequences that the model test has found, made as short as they can be.
func TestWhatTheModelTestHasFound(t *testing.T) {
	authorizes := turn{Delivery: answers, Ending: approves}
	for name, p := range map[string]plan{
		// The processor's id of the payment is not known then, and the refund was sent for none.
		"what an operator has resolved is refunded, or refused": {
			{Key: 1, Lasts: 5 * time.Minute, Calls: []turn{{Delivery: redirects}}, Lookups: []turn{{Delivery: losesAnswer, Lasts: time.Hour}}, Acts: []act{{Kind: resolves, At: time.Minute}}},
			{Refund: true, Key: 1, Of: 1, Amount: 400, Gap: time.Second, Lasts: modelYear},
		},
		// Of which he does not say how much was captured.
		"an operator's word does not make a part the whole": {
			{
				Key: 1, Manual: true, Lasts: modelYear, Calls: []turn{authorizes}, Lookups: []turn{{Delivery: losesAnswer, Lasts: day}},
				Acts: []act{{Kind: takesByHand, Amount: 400, At: time.Minute}, {Kind: voids, At: 5 * time.Minute}, {Kind: resolves, At: time.Hour}},
			},
		},
		// A repeat after it executes, and its answer is lost: the word was true when it was given.
		"an operator's word is of no use once a call was sent again": {
			{Key: 1, Lasts: 5 * time.Minute, Calls: []turn{{Delivery: redirectsFirst}}, Acts: []act{}},
			{Key: 1, Again: true, Gap: time.Second, Lasts: modelYear, Calls: []turn{
				{Delivery: away, Meanwhile: &act{Kind: resolves}}, {Delivery: redirects},
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Empty(t, play(t.Context(), t, newStore(t), soundRig(), habits{}, p))
		})
	}
}
