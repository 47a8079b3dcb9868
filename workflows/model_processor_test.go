package workflows

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// delivery is what becomes of a request and its answer on their way.
type delivery string

const (
	answers        delivery = "answers"
	losesAnswer    delivery = "loses the answer"
	losesCall      delivery = "loses the request"
	isLate         delivery = "gets the request late" // in the network, so that a repeat may overtake it
	isSlow         delivery = "works on it for long"  // a repeat is in flight
	breaks         delivery = "breaks after it: 500"
	breaksFirst    delivery = "breaks before it: 500"
	garbles        delivery = "garbles the answer"
	redirects      delivery = "redirects, and did it"
	redirectsFirst delivery = "redirects, and did nothing"
	away           delivery = "cannot be reached"
	limits         delivery = "limits: 429"
	limitsLong     delivery = "limits: 429 for longer than a retry waits"
	forbids        delivery = "forbids: 403"
	conflicts      delivery = "answers 409 for nothing"
	killsAfter     delivery = "does it while the worker dies"
	killsBefore    delivery = "has nothing when the worker dies"
	stopsAfter     delivery = "does it while the workflow is terminated"
	stopsBefore    delivery = "has nothing when the workflow is terminated"
)

// ending is what the processor decides once it works on a request.
type ending string

const (
	approves      ending = "yes"
	declines      ending = "no"
	declinesBlank ending = "no, and keeps no record"
	defersYes     ending = "later: yes"
	defersNo      ending = "later: no"
	asksYes       ending = "after the customer's action: yes"
	asksNo        ending = "after the customer's action: no"
)

// turn is what happens to one call, or to all calls of a while.
type turn struct {
	Delivery delivery
	Ending   ending
	// Later is after how long a deferred decision is made.
	Later time.Duration
	// Lasts is for how long the turn is that of all calls; 0 is of one.
	Lasts time.Duration
	// Meanwhile happens while the answer is on its way.
	Meanwhile *act
}

func (t turn) String() string {
	s := string(t.Delivery) + " (" + string(t.Ending) + ")"
	if t.Later > 0 && (strings.HasPrefix(string(t.Ending), "later") || strings.HasPrefix(string(t.Ending), "after")) {
		s += " in " + short(t.Later)
	}
	if t.Lasts > 0 {
		s += " for " + short(t.Lasts)
	}
	if t.Meanwhile != nil {
		s += ", meanwhile " + t.Meanwhile.what()
	}
	return s
}

// script is the turns of a run's calls. A call after the last is simply answered.
type script struct {
	turns []turn
	until time.Time
}

func (s *script) next(now time.Time) turn {
	if len(s.turns) == 0 {
		return turn{Delivery: answers, Ending: approves}
	}
	t := s.turns[0]
	switch {
	case t.Lasts == 0:
		s.turns = s.turns[1:]
	case s.until.IsZero():
		s.until = now.Add(t.Lasts)
	case now.After(s.until):
		s.turns, s.until = s.turns[1:], time.Time{}
		return s.next(now)
	}
	return t
}

// These are what the model processor promises; modelTerms hold Florin to it.
const (
	modelKeyLife = 24*time.Hour + time.Minute // a minute for clocks that differ
	modelLate    = 20 * time.Second
)

// habits are those of one processor: they do not change during a sequence.
type habits struct {
	// Lag is how far its lookups are behind. With modelLate it is less than the grace of the terms.
	Lag time.Duration
	// ReplaysRefusals: a repeat gets the stored 409, and ReplaysBreaks the stored 500, whatever has changed since.
	ReplaysRefusals, ReplaysBreaks bool
	// Firm: what is pending cannot be voided.
	Firm bool
	// ProvesNothing: it does not promise when a record can be seen.
	ProvesNothing bool
}

// state is where an entry stands from a moment on.
type state struct {
	at       time.Time
	status   payment.Status
	captured int64
}

// entry is a payment or a refund in the ledger. A state in the future is what will become of it.
type entry struct {
	id, reference string
	payment       string // of a refund: the processor's id of the payment
	amount        int64
	states        []state
	// byHand: a human has captured or voided it.
	byHand bool
}

// set makes states the entry's future.
func (e *entry) set(states ...state) {
	e.states = slices.DeleteFunc(e.states, func(s state) bool { return s.at.After(states[0].at) })
	e.states = append(e.states, states...)
}

// as is where the entry stands, or stood; false before there was one.
func (e *entry) as(at time.Time) (found state, ok bool) {
	for _, s := range e.states {
		if !s.at.After(at) {
			found, ok = s, true
		}
	}
	return found, ok
}

// remembered is what the processor has stored of a key.
type remembered struct {
	at      time.Time
	payload string
	result  processor.Result
	err     *processor.Error
}

// arriving is a request that the processor has not executed yet.
type arriving struct {
	at      time.Time
	key     string
	reached bool // the processor has it, so that a repeat is in flight
	execute func()
}

// ledger is the model of a processor, and correct: no key is executed twice, no lookup is behind for longer than it
// promises. Only the ways to and from it are bad.
type ledger struct {
	processor.Processor
	habits

	mu      sync.Mutex
	now     func() time.Time
	then    time.Time         // of the late request that is worked on
	charges map[string]*entry // by reference
	refunds map[string]*entry
	keys    map[string]remembered
	arrives []arriving
	// made are the payments and refunds of Florin, by its ids, that the processor has made.
	made map[string]bool
	// captures are the amounts that Florin has asked to take, and voids the voids, by the processor's id of the payment.
	captures map[string][]int64
	voids    map[string][]time.Time

	calls, lookups script
	// during does an act on the running workflow, and stop tells its worker to stay silent.
	during func(act)
	stop   func()
	log    func(format string, args ...any)
	// wrong reports a processor that was led to do wrong.
	wrong func(format string, args ...any)
	// prefix makes ids of this ledger differ from those of all others in one store; requests counts them.
	prefix   string
	requests int
}

func newLedger(prefix string, h habits) *ledger {
	return &ledger{
		habits: h, prefix: prefix, charges: map[string]*entry{}, refunds: map[string]*entry{}, keys: map[string]remembered{},
		made: map[string]bool{}, captures: map[string][]int64{}, voids: map[string][]time.Time{},
	}
}

// arrive executes what has arrived meanwhile.
func (l *ledger) arrive() {
	for i := 0; i < len(l.arrives); {
		a := l.arrives[i]
		if a.at.After(l.now()) {
			i++
			continue
		}
		l.arrives = slices.Delete(l.arrives, i, i+1)
		l.then = a.at
		a.execute()
		l.then = time.Time{}
	}
}

// time is what the processor's clock shows while it works on a request.
func (l *ledger) time() time.Time {
	if !l.then.IsZero() {
		return l.then
	}
	return l.now()
}

func broken(class payment.FailureClass, certainty processor.Certainty, retry bool, status int) *processor.Error {
	return &processor.Error{Class: class, Certainty: certainty, Retry: retry, HTTPStatus: status, Message: "model"}
}

var (
	errLost     = broken(payment.ClassOutcomeUnknown, processor.Ambiguous, true, 0)
	err500      = broken(payment.ClassUnavailable, processor.Ambiguous, true, 500)
	errConflict = broken(payment.ClassStateConflict, processor.Ambiguous, false, 409)
	errMismatch = broken(payment.ClassIdempotencyMismatch, processor.Ambiguous, false, 422)
	errInvalid  = broken(payment.ClassInvalidRequest, processor.NotExecuted, false, 400)
)

// move is a call that moves money: what is decided is execute's, how it is delivered the script's.
func (l *ledger) move(name, key, payload string, execute func(t turn) (processor.Result, *processor.Error)) (processor.Result, error) {
	l.mu.Lock()
	l.arrive()
	t := l.calls.next(l.now())
	do := func() (processor.Result, *processor.Error) {
		return l.once(key, payload, t, execute)
	}
	var result processor.Result
	var err *processor.Error
	switch t.Delivery {
	case answers:
		result, err = do()
	case losesAnswer:
		do()
		err = errLost
	case losesCall:
		err = errLost
	case isLate, isSlow:
		l.arrives = append(l.arrives, arriving{at: l.now().Add(modelLate), key: key, reached: t.Delivery == isSlow, execute: func() { do() }})
		err = errLost
	case breaks:
		if _, err = do(); err == nil {
			l.replay(key, payload, err500)
		}
		err = err500
	case breaksFirst:
		if l.ReplaysBreaks && l.keys[key].payload == "" {
			l.keys[key] = remembered{at: l.now(), payload: payload, err: err500}
		}
		err = err500
	case garbles:
		do()
		err = broken(payment.ClassInvalidResponse, processor.Ambiguous, true, 200)
	case redirects:
		do()
		err = broken(payment.ClassConfig, processor.Ambiguous, false, 302)
	case redirectsFirst:
		err = broken(payment.ClassConfig, processor.Ambiguous, false, 302)
	case away:
		err = broken(payment.ClassNotSent, processor.NotExecuted, true, 0)
	case limits:
		err = broken(payment.ClassRateLimited, processor.NotExecuted, true, 429)
	case limitsLong:
		err = broken(payment.ClassRateLimited, processor.NotExecuted, true, 429)
		err.RetryAfter = modelLongRetry
	case forbids:
		err = broken(payment.ClassPermission, processor.NotExecuted, false, 403)
	case conflicts:
		err = errConflict
	case killsAfter, stopsAfter:
		do()
	case killsBefore, stopsBefore:
	}
	said := "said " + string(result.Status)
	if err != nil {
		said = "said " + err.Error()
	}
	l.log("processor: %s under %s: %s: %s", name, l.short(key), t, said)
	l.mu.Unlock()

	if t.Meanwhile != nil {
		l.during(*t.Meanwhile)
	}
	switch t.Delivery {
	case killsAfter, killsBefore:
		panic("the worker dies")
	case stopsAfter, stopsBefore:
		l.stop()
		return processor.Result{}, errLost
	default:
	}
	if err != nil {
		return processor.Result{}, err
	}
	return result, nil
}

// replay stores the breaking of a request as its answer, where the processor does so.
func (l *ledger) replay(key, payload string, err *processor.Error) {
	if l.ReplaysBreaks {
		l.keys[key] = remembered{at: l.time(), payload: payload, err: err}
	}
}

// once executes a key at most once while it is remembered.
func (l *ledger) once(key, payload string, t turn, execute func(t turn) (processor.Result, *processor.Error)) (processor.Result, *processor.Error) {
	if slices.ContainsFunc(l.arrives, func(a arriving) bool { return a.key == key && a.reached }) {
		return processor.Result{}, broken(payment.ClassOutcomeUnknown, processor.Ambiguous, true, 409)
	}
	if known, ok := l.keys[key]; ok && l.time().Before(known.at.Add(modelKeyLife)) {
		if known.payload != payload {
			return processor.Result{}, errMismatch
		}
		return known.result, known.err
	}
	result, err := execute(t)
	if err == nil || l.ReplaysRefusals && err == errConflict {
		l.keys[key] = remembered{at: l.time(), payload: payload, result: result, err: err}
	}
	return result, err
}

// make notes that money moves for a payment or a refund, which it may do once.
func (l *ledger) make(id string) {
	if l.made[id] {
		l.wrong("the processor moved money for %s a second time", id)
	}
	l.made[id] = true
}

// decided is what becomes of an entry: what it is now, and later.
func (l *ledger) decided(t turn, yes, no state) []state {
	yes.at, no.at = l.time(), l.time()
	waits := state{at: l.time(), status: payment.Pending}
	switch t.Ending {
	case asksYes, asksNo:
		waits.status = payment.RequiresAction
	default:
	}
	switch t.Ending {
	case declines, declinesBlank:
		return []state{no}
	case defersYes, asksYes:
		yes.at = l.time().Add(t.Later)
		return []state{waits, yes}
	case defersNo, asksNo:
		no.at = l.time().Add(t.Later)
		return []state{waits, no}
	default:
		return []state{yes}
	}
}

// Charge implements processor.Processor.
func (l *ledger) Charge(_ context.Context, call processor.ChargeCall) (processor.Result, error) {
	payload := fmt.Sprint("charge ", call.Amount, call.Currency, call.PaymentMethod, call.Capture)
	return l.move("charge", call.Key, payload, func(t turn) (processor.Result, *processor.Error) {
		if t.Ending == declinesBlank {
			return processor.Result{Status: payment.Declined, Reference: call.Key, Decline: no}, nil
		}
		l.make(call.PaymentID)
		yes := state{status: payment.Succeeded, captured: call.Amount}
		if call.Capture == payment.CaptureManual {
			yes = state{status: payment.Authorized}
		}
		e := &entry{id: fmt.Sprintf("ch_%s_%d", l.prefix, len(l.charges)+1), reference: call.Key, amount: call.Amount}
		e.set(l.decided(t, yes, state{status: payment.Declined})...)
		l.charges[call.Key] = e
		return l.show(e, l.time()), nil
	})
}

var no = &payment.Decline{Code: "no", Kind: payment.DeclineSoft}

// Capture implements processor.Processor.
func (l *ledger) Capture(_ context.Context, call processor.CaptureCall) (processor.Result, error) {
	l.asked(func() { l.captures[call.ProcessorPaymentID] = append(l.captures[call.ProcessorPaymentID], call.Amount) })
	return l.move(fmt.Sprint("capture ", call.Amount), call.Key, fmt.Sprint("capture ", call.Amount), func(t turn) (processor.Result, *processor.Error) {
		e := l.payment(call.ProcessorPaymentID)
		switch now, _ := e.as(l.time()); {
		case now.status != payment.Authorized:
			return processor.Result{}, errConflict
		case call.Amount > e.amount:
			return processor.Result{}, errInvalid
		case t.Ending == declines, t.Ending == declinesBlank:
			return processor.Result{Status: payment.Declined, Reference: "of the order", Decline: no}, nil
		}
		e.set(l.decided(t, state{status: payment.Succeeded, captured: call.Amount}, state{status: payment.Authorized})...)
		return l.show(e, l.time()), nil
	})
}

// Void implements processor.Processor. One that is deferred is done in a moment, and answered with what still is.
func (l *ledger) Void(_ context.Context, call processor.VoidCall) (processor.Result, error) {
	l.asked(func() { l.voids[call.ProcessorPaymentID] = append(l.voids[call.ProcessorPaymentID], l.time()) })
	return l.move("void", call.Key, "void", func(t turn) (processor.Result, *processor.Error) {
		e := l.payment(call.ProcessorPaymentID)
		switch now, _ := e.as(l.time()); {
		case !voidable(now.status, l.Firm):
			return processor.Result{}, errConflict
		case t.Ending == declines, t.Ending == declinesBlank:
			return processor.Result{Status: payment.Declined, Reference: "of the order", Decline: no}, nil
		case t.Ending == approves:
			e.set(state{at: l.time(), status: payment.Voided})
		default:
			e.set(state{at: l.time(), status: now.status}, state{at: l.time().Add(modelLate), status: payment.Voided})
		}
		return l.show(e, l.time()), nil
	})
}

func voidable(status payment.Status, firm bool) bool {
	return status == payment.Authorized || !firm && (status == payment.RequiresAction || status == payment.Pending)
}

// Refund implements processor.Processor.
func (l *ledger) Refund(_ context.Context, call processor.RefundCall) (processor.Result, error) {
	return l.move(fmt.Sprint("refund ", call.Amount), call.Key, fmt.Sprint("refund ", call.ProcessorPaymentID, call.Amount), func(t turn) (processor.Result, *processor.Error) {
		if t.Ending == declinesBlank {
			return processor.Result{Status: payment.Declined, Reference: call.Key, Decline: no}, nil
		}
		paid, _ := l.payment(call.ProcessorPaymentID).as(l.time())
		if back := l.given(call.ProcessorPaymentID); paid.captured-back < call.Amount {
			l.wrong("asked to refund %d where %d were captured and %d are given back", call.Amount, paid.captured, back)
			return processor.Result{}, errInvalid
		}
		l.make(call.RefundID)
		e := &entry{id: fmt.Sprintf("re_%s_%d", l.prefix, len(l.refunds)+1), reference: call.Key, payment: call.ProcessorPaymentID, amount: call.Amount}
		e.set(l.decided(t, state{status: payment.Succeeded}, state{status: payment.Declined})...)
		if s, _ := e.as(l.time()); s.status == payment.RequiresAction {
			e.states[0].status = payment.Pending
		}
		l.refunds[call.Key] = e
		return l.show(e, l.time()), nil
	})
}

// Lookup implements processor.Processor.
func (l *ledger) Lookup(_ context.Context, call processor.LookupCall) (processor.Result, bool, error) {
	l.mu.Lock()
	l.arrive()
	t := l.lookups.next(l.now())
	e := l.charges[call.Reference]
	if call.Operation == payment.OperationRefund {
		e = l.refunds[call.Reference]
	}
	said, found := processor.Result{}, false
	if e != nil {
		if _, found = e.as(l.now().Add(-l.Lag)); found {
			said = l.show(e, l.now().Add(-l.Lag))
		}
	}
	l.log("processor: look up %s: %s: %t %s", l.short(call.Reference), t.Delivery, found, said.Status)
	l.mu.Unlock()
	if t.Meanwhile != nil {
		l.during(*t.Meanwhile)
	}
	switch t.Delivery {
	case answers:
		return said, found, nil
	case stopsAfter, stopsBefore:
		l.stop()
		return processor.Result{}, false, errLost
	default:
		return processor.Result{}, false, err500
	}
}

// asked notes what was asked for, whatever comes of it.
func (l *ledger) asked(note func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	note()
}

func (l *ledger) payment(id string) *entry {
	for _, e := range l.charges {
		if e.id == id {
			return e
		}
	}
	l.wrong("asked for a payment %q that there is not", id)
	return &entry{}
}

// given is what has left, or will leave, of a payment.
func (l *ledger) given(id string) (sum int64) {
	for _, e := range l.refunds {
		if last := e.states[len(e.states)-1]; e.payment == id && last.status != payment.Declined {
			sum += e.amount
		}
	}
	return sum
}

func (l *ledger) show(e *entry, at time.Time) processor.Result {
	s, _ := e.as(at)
	l.requests++
	r := processor.Result{
		ID: e.id, Status: s.status, Amount: e.amount, Currency: "USD", CapturedAmount: s.captured, Reference: e.reference,
		RequestID: fmt.Sprint("req_", l.requests),
	}
	if s.status == payment.Declined {
		r.Decline = no
	}
	return r
}

// byHand is what a human does in the processor's dashboard: takes amount of what is held, or lets it go, with 0.
func (l *ledger) byHand(reference string, amount int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrive()
	e := l.charges[reference]
	if e == nil {
		return false
	}
	now, _ := e.as(l.now())
	switch {
	case amount == 0 && voidable(now.status, l.Firm):
		e.set(state{at: l.now(), status: payment.Voided})
	case amount > 0 && amount <= e.amount && now.status == payment.Authorized:
		e.set(state{at: l.now(), status: payment.Succeeded, captured: amount})
	default:
		return false
	}
	e.byHand = true
	return true
}

// truth is what an honest operator sees in the dashboard; an empty status for no record. over is false while something
// may still happen to it.
func (l *ledger) truth(references map[string]*entry, reference string) (s state, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrive()
	if len(l.arrives) > 0 {
		return state{}, false
	}
	e := references[reference]
	if e == nil {
		return state{}, true
	}
	s, _ = e.as(l.now())
	return s, s.status == payment.Succeeded || s.status == payment.Declined || s.status == payment.Voided
}

func (l *ledger) short(key string) string { return key[:min(len(key), 8)] }
