package workflows

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// fault is what goes wrong with a call to the processor, and whether the processor has executed it.
type fault string

const (
	faultNone                   fault = "responds"
	faultResponseLost           fault = "response lost"
	faultRequestLost            fault = "request lost"
	faultRequestDelayed         fault = "request delayed"   // in the network, so that a repeat may overtake it
	faultExecutionDelayed       fault = "execution delayed" // in the processor, which refuses a repeat while the first is in flight
	fault500Executed            fault = "executed, then 500"
	fault500NotExecuted         fault = "500, not executed"
	faultMalformedResponse      fault = "executed, malformed response"
	faultRedirectExecuted       fault = "executed, then a redirect"
	faultRedirectNotExecuted    fault = "redirect, not executed"
	faultUnreachable            fault = "unreachable"
	faultRateLimit              fault = "429"
	faultLongRateLimit          fault = "429 with a long Retry-After"
	faultForbidden              fault = "403"
	faultConflict               fault = "409, not executed"
	faultSeenBefore             fault = "declined as seen before, not executed" // whatever was executed before, under any key
	faultLostSeenBefore         fault = "response lost, all repeats are declined as seen before"
	faultWorkerCrashExecuted    fault = "executed, then the worker crashes"
	faultWorkerCrashNotExecuted fault = "worker crashes, not executed"
	faultTerminationExecuted    fault = "executed, then the workflow is terminated"
	faultTerminationNotExecuted fault = "workflow is terminated, not executed"
)

// decision is what the processor decides about an operation that it executes.
type decision string

const (
	decisionApprove              decision = "approves"
	decisionDecline              decision = "declines"
	decisionDeclineWithoutRecord decision = "declines, without a record"
	decisionApproveLater         decision = "pending, approves"
	decisionDeclineLater         decision = "pending, declines"
	decisionApproveAfterAction   decision = "requires action, approves"
	decisionDeclineAfterAction   decision = "requires action, declines"
	// decisionDeclineOpen: the customer may pay after the decline, until the payment is voided.
	decisionDeclineOpen decision = "requires action, declines, can still succeed"
)

// isDeferred reports whether the processor first responds that the operation is pending or requires action.
func (d decision) isDeferred() bool {
	switch d {
	case decisionApproveLater, decisionDeclineLater, decisionApproveAfterAction, decisionDeclineAfterAction, decisionDeclineOpen:
		return true
	default:
		return false
	}
}

// behavior is how the processor, and the network before it, treat one call, or all calls for a while.
type behavior struct {
	Fault    fault
	Decision decision
	// DecidesAfter is after how long a deferred decision is made.
	DecidesAfter time.Duration
	// PaysAfter is how long after a decline that can still succeed the customer pays; 0: never.
	PaysAfter time.Duration
	// Lasts is how long all calls are treated like this; 0: it is one call.
	Lasts time.Duration
	// Meanwhile happens after the processor has responded, and before the response arrives.
	Meanwhile *externalAction
}

func (b behavior) String() string {
	s := string(b.Fault)
	if b.Decision != "" {
		s += " (" + string(b.Decision)
		if b.Decision.isDeferred() {
			s += " after " + formatDuration(b.DecidesAfter)
		}
		if b.Decision == decisionDeclineOpen && b.PaysAfter > 0 {
			s += ", paid after " + formatDuration(b.PaysAfter)
		}
		s += ")"
	}
	if b.Lasts > 0 {
		s += " for " + formatDuration(b.Lasts)
	}
	if b.Meanwhile != nil {
		s += ", meanwhile " + b.Meanwhile.String()
	}
	return s
}

// script is how the calls of one run are treated, in order. Calls after the last one are approved.
type script struct {
	behaviors []behavior
	// until is when the first of the behaviors ends, once it has begun and if it lasts.
	until time.Time
}

func (s *script) next(now time.Time) behavior {
	if len(s.behaviors) == 0 {
		return behavior{Fault: faultNone, Decision: decisionApprove}
	}
	b := s.behaviors[0]
	switch {
	case b.Lasts == 0:
		s.behaviors = s.behaviors[1:]
	case s.until.IsZero():
		s.until = now.Add(b.Lasts)
	case now.After(s.until):
		s.behaviors, s.until = s.behaviors[1:], time.Time{}
		return s.next(now)
	}
	return b
}

// What the model processor promises. modelTerms rely on it.
const (
	// modelKeyLifetime has one minute of allowance for clock skew.
	modelKeyLifetime = 24*time.Hour + time.Minute
	// modelDelay is how late a delayed request is executed.
	modelDelay = 20 * time.Second
)

// traits are properties of a processor that do not change during a sequence.
type traits struct {
	// LookupLag is how old the records are that a lookup returns. With modelDelay it is less than the grace period of the
	// terms.
	LookupLag time.Duration
	// Replays409 and Replays500: a repeat under the same key gets the stored 409 or 500, whatever has changed since.
	Replays409, Replays500 bool
	// CannotVoidPending: only an authorized payment can be voided.
	CannotVoidPending bool
	// NeverProvesAbsence: the processor does not promise when a lookup finds a record.
	NeverProvesAbsence bool
	// LagsEveryOther: only every other lookup is that old. What was read is then followed by an outdated record.
	LagsEveryOther bool
	// CompleteRefundLists: a lookup of a refund reads a complete list, which is never old.
	CompleteRefundLists bool
}

// GoString implements fmt.GoStringer, for the log of rapid.
func (t traits) GoString() string {
	return fmt.Sprintf("lookup lag %s, replays 409: %t, replays 500: %t, cannot void pending: %t, never proves absence: %t, "+
		"lags every other lookup: %t, complete refund lists: %t", formatDuration(t.LookupLag), t.Replays409, t.Replays500,
		t.CannotVoidPending, t.NeverProvesAbsence, t.LagsEveryOther, t.CompleteRefundLists)
}

// state is the state of an entry from a point in time on.
type state struct {
	at       time.Time
	status   payment.Status
	captured int64
	// open: it is declined, and the customer can still pay.
	open bool
}

// entry is the record of a payment or a refund at the processor.
type entry struct {
	id, reference string
	// payment is the processor's id of the payment that a refund is of.
	payment string
	amount  int64
	// states are in the order of time. Those in the future are deferred decisions.
	states []state
	// changedInDashboard: the merchant has captured or voided the payment in the processor's dashboard.
	changedInDashboard bool
	// approved is the state of a payment once the customer has paid it.
	approved state
	// pendingCapture is the key of a capture that was accepted, capturedBy when it is executed or declined.
	pendingCapture string
	capturedBy     time.Time
}

// setStates appends the states, and removes the future ones that they replace.
func (e *entry) setStates(states ...state) {
	e.states = slices.DeleteFunc(e.states, func(s state) bool { return s.at.After(states[0].at) })
	e.states = append(e.states, states...)
}

// stateAt returns the state at a point in time; ok is false before the entry existed.
func (e *entry) stateAt(at time.Time) (found state, ok bool) {
	for _, s := range e.states {
		if !s.at.After(at) {
			found, ok = s, true
		}
	}
	return found, ok
}

// storedResponse is what the processor keeps under an idempotency key.
type storedResponse struct {
	at      time.Time
	payload string
	result  processor.Result
	err     *processor.Error
}

// delayedRequest is a request that the processor has not executed yet.
type delayedRequest struct {
	at  time.Time
	key string
	// inFlight: the processor has received it, so that it refuses a repeat.
	inFlight bool
	execute  func()
}

// modelProcessor is the model of a correct processor: it executes no key twice, and its lookups are never older than it
// promises. Faults only affect the requests and responses on their way.
type modelProcessor struct {
	processor.Processor
	traits

	mu  sync.Mutex
	now func() time.Time
	// executingAt is the time of the delayed request that is being executed; zero for all others.
	executingAt time.Time
	// charges and refunds are the records, by reference.
	charges map[string]*entry
	refunds map[string]*entry
	keys    map[string]storedResponse
	delayed []delayedRequest
	// seenBefore are the keys whose repeats are declined as seen before.
	seenBefore map[string]bool
	// executed are the payments and refunds that were executed, by Florin's ids.
	executed map[string]bool
	// captures are the amounts that Florin asked to capture, and voids the times of its voids, by the processor's id of
	// the payment.
	captures map[string][]int64
	voids    map[string][]time.Time

	calls, lookups script
	// lookupsMade counts the lookups.
	lookupsMade int
	// wasReported reports whether Florin has reported the payment with a reference by a time, so that the customer may act.
	wasReported func(reference string, by time.Time) bool
	// act performs an action on the running workflow, and returns once it has been handled.
	act func(externalAction)
	// stopWorker makes the activities in flight end without a result.
	stopWorker func()
	log        func(format string, args ...any)
	// violation reports a call that a correct caller never makes, or a second execution.
	violation func(format string, args ...any)
	// prefix makes the ids of this processor unique in the store that the sequences share.
	prefix string
	// responses counts the results that were returned.
	responses int
}

func newModelProcessor(prefix string, t traits) *modelProcessor {
	return &modelProcessor{
		traits: t, prefix: prefix, charges: map[string]*entry{}, refunds: map[string]*entry{}, keys: map[string]storedResponse{},
		seenBefore: map[string]bool{}, executed: map[string]bool{}, captures: map[string][]int64{}, voids: map[string][]time.Time{},
	}
}

// executeDelayed executes the delayed requests that are due.
func (p *modelProcessor) executeDelayed() {
	for i := 0; i < len(p.delayed); {
		d := p.delayed[i]
		if d.at.After(p.now()) {
			i++
			continue
		}
		p.delayed = slices.Delete(p.delayed, i, i+1)
		p.executingAt = d.at
		d.execute()
		p.executingAt = time.Time{}
	}
}

// clock returns the time at which the current request is executed.
func (p *modelProcessor) clock() time.Time {
	if !p.executingAt.IsZero() {
		return p.executingAt
	}
	return p.now()
}

func modelError(class payment.FailureClass, certainty processor.Certainty, retry bool, status int) *processor.Error {
	return &processor.Error{Class: class, Certainty: certainty, Retry: retry, HTTPStatus: status, Message: "model processor"}
}

var (
	errLost     = modelError(payment.ClassOutcomeUnknown, processor.Ambiguous, true, 0)
	err500      = modelError(payment.ClassUnavailable, processor.Ambiguous, true, 500)
	errConflict = modelError(payment.ClassStateConflict, processor.Ambiguous, false, 409)
	errMismatch = modelError(payment.ClassIdempotencyMismatch, processor.Ambiguous, false, 422)
	errInvalid  = modelError(payment.ClassInvalidRequest, processor.NotExecuted, false, 400)
)

// handle handles a call that changes something: the script determines its fault, and execute its result.
func (p *modelProcessor) handle(
	name, key, payload string, execute func(b behavior) (processor.Result, *processor.Error),
) (processor.Result, error) {
	p.mu.Lock()
	p.executeDelayed()
	b := p.calls.next(p.now())
	do := func() (processor.Result, *processor.Error) {
		return p.executeOnce(key, payload, b, execute)
	}
	var result processor.Result
	var err *processor.Error
	switch b.Fault {
	case faultNone:
		result, err = do()
	case faultResponseLost:
		do()
		err = errLost
	case faultRequestLost:
		err = errLost
	case faultRequestDelayed, faultExecutionDelayed:
		p.delayed = append(p.delayed, delayedRequest{
			at: p.now().Add(modelDelay), key: key, inFlight: b.Fault == faultExecutionDelayed, execute: func() { do() },
		})
		err = errLost
	case fault500Executed:
		if _, err = do(); err == nil {
			p.keep500(key, payload, err500)
		}
		err = err500
	case fault500NotExecuted:
		if p.Replays500 && p.keys[key].payload == "" {
			p.keys[key] = storedResponse{at: p.now(), payload: payload, err: err500}
		}
		err = err500
	case faultMalformedResponse:
		do()
		err = modelError(payment.ClassInvalidResponse, processor.Ambiguous, true, 200)
	case faultRedirectExecuted:
		do()
		err = modelError(payment.ClassConfig, processor.Ambiguous, false, 302)
	case faultRedirectNotExecuted:
		err = modelError(payment.ClassConfig, processor.Ambiguous, false, 302)
	case faultUnreachable:
		err = modelError(payment.ClassNotSent, processor.NotExecuted, true, 0)
	case faultRateLimit:
		err = modelError(payment.ClassRateLimited, processor.NotExecuted, true, 429)
	case faultLongRateLimit:
		err = modelError(payment.ClassRateLimited, processor.NotExecuted, true, 429)
		err.RetryAfter = modelLongRetryAfter
	case faultForbidden:
		err = modelError(payment.ClassPermission, processor.NotExecuted, false, 403)
	case faultConflict:
		err = errConflict
	case faultSeenBefore:
		result = declineAsSeenBefore(key)
	case faultLostSeenBefore:
		do()
		p.seenBefore[key] = true
		err = errLost
	case faultWorkerCrashExecuted, faultTerminationExecuted:
		do()
	case faultWorkerCrashNotExecuted, faultTerminationNotExecuted:
	}
	p.log("processor: %s, key %s: %s: returns %s", name, shortKey(key), b, describeResult(result, err))
	p.mu.Unlock()

	if b.Meanwhile != nil {
		p.act(*b.Meanwhile)
	}
	switch b.Fault {
	case faultWorkerCrashExecuted, faultWorkerCrashNotExecuted:
		panic("the worker crashes")
	case faultTerminationExecuted, faultTerminationNotExecuted:
		p.stopWorker()
		return processor.Result{}, errLost
	default:
	}
	if err != nil {
		return processor.Result{}, err
	}
	return result, nil
}

func describeResult(result processor.Result, err *processor.Error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("error %v", err)
	case result.Status == "":
		return "nothing"
	default:
		return string(result.Status)
	}
}

// keep500 stores the 500 as the response under the key, if the processor replays it.
func (p *modelProcessor) keep500(key, payload string, err *processor.Error) {
	if p.Replays500 {
		p.keys[key] = storedResponse{at: p.clock(), payload: payload, err: err}
	}
}

// executeOnce executes a request, unless the processor has executed one under the same key within the key lifetime.
func (p *modelProcessor) executeOnce(
	key, payload string, b behavior, execute func(b behavior) (processor.Result, *processor.Error),
) (processor.Result, *processor.Error) {
	if slices.ContainsFunc(p.delayed, func(d delayedRequest) bool { return d.key == key && d.inFlight }) {
		return processor.Result{}, modelError(payment.ClassOutcomeUnknown, processor.Ambiguous, true, 409)
	}
	if p.seenBefore[key] {
		return declineAsSeenBefore(key), nil
	}
	if kept, ok := p.keys[key]; ok && p.clock().Before(kept.at.Add(modelKeyLifetime)) {
		if kept.payload != payload {
			return processor.Result{}, errMismatch
		}
		return kept.result, kept.err
	}
	result, err := execute(b)
	if err == nil || p.Replays409 && err == errConflict {
		p.keys[key] = storedResponse{at: p.clock(), payload: payload, result: result, err: err}
	}
	return result, err
}

// declineAsSeenBefore is a decline because there seems to be such a request already. It is not stored under the key.
func declineAsSeenBefore(key string) processor.Result {
	return processor.Result{Status: payment.Declined, Reference: key, Decline: modelSeenBefore}
}

// markExecuted records that a payment or refund was executed, which may happen only once.
func (p *modelProcessor) markExecuted(id string) {
	if p.executed[id] {
		p.violation("the processor executed %s a second time", id)
	}
	p.executed[id] = true
}

// decide returns the states of an entry: the current one, and a later one if the decision is deferred.
func (p *modelProcessor) decide(b behavior, approved, declined state) []state {
	approved.at, declined.at = p.clock(), p.clock()
	undecided := state{at: p.clock(), status: payment.Pending}
	switch b.Decision {
	case decisionApproveAfterAction, decisionDeclineAfterAction, decisionDeclineOpen:
		undecided.status = payment.RequiresAction
	default:
	}
	switch b.Decision {
	case decisionDecline, decisionDeclineWithoutRecord:
		return []state{declined}
	case decisionApproveLater, decisionApproveAfterAction:
		approved.at = p.clock().Add(b.DecidesAfter)
		return []state{undecided, approved}
	case decisionDeclineLater, decisionDeclineAfterAction, decisionDeclineOpen:
		declined.at = p.clock().Add(b.DecidesAfter)
		declined.open = b.Decision == decisionDeclineOpen && declined.status == payment.Declined
		return []state{undecided, declined}
	default:
		return []state{approved}
	}
}

// Charge implements processor.Processor.
func (p *modelProcessor) Charge(_ context.Context, call processor.ChargeCall) (processor.Result, error) {
	payload := fmt.Sprint("charge ", call.Amount, call.Currency, call.PaymentMethod, call.Capture)
	return p.handle("charge", call.Key, payload, func(b behavior) (processor.Result, *processor.Error) {
		if b.Decision == decisionDeclineWithoutRecord {
			return processor.Result{Status: payment.Declined, Reference: call.Key, Decline: modelDecline}, nil
		}
		p.markExecuted(call.PaymentID)
		approved := state{status: payment.Succeeded, captured: call.Amount}
		if call.Capture == payment.CaptureManual {
			approved = state{status: payment.Authorized}
		}
		e := &entry{
			id: fmt.Sprintf("ch_%s_%d", p.prefix, len(p.charges)+1), reference: call.Key, amount: call.Amount, approved: approved,
		}
		e.setStates(p.decide(b, approved, state{status: payment.Declined})...)
		p.charges[call.Key] = e
		if b.Decision == decisionDeclineOpen && b.PaysAfter > 0 {
			p.delayed = append(p.delayed, delayedRequest{
				at: p.clock().Add(b.DecidesAfter + b.PaysAfter), execute: func() { p.payDeclined(e) },
			})
		}
		return p.result(e, p.clock()), nil
	})
}

var (
	modelDecline = &payment.Decline{Code: "declined", Kind: payment.DeclineSoft}
	// modelSeenBefore has a code that testProfile recognizes.
	modelSeenBefore = &payment.Decline{Code: "duplicate_transaction", Kind: payment.DeclineSoft}
)

// Capture implements processor.Processor.
func (p *modelProcessor) Capture(_ context.Context, call processor.CaptureCall) (processor.Result, error) {
	p.recordCall(func() { p.captures[call.ProcessorPaymentID] = append(p.captures[call.ProcessorPaymentID], call.Amount) })
	name := fmt.Sprint("capture ", call.Amount)
	return p.handle(name, call.Key, name, func(b behavior) (processor.Result, *processor.Error) {
		e := p.payment(call.ProcessorPaymentID)
		p.checkPendingCapture(e, name, call.Key)
		switch now, _ := e.stateAt(p.clock()); {
		case now.status != payment.Authorized:
			return processor.Result{}, errConflict
		case call.Amount > e.amount:
			return processor.Result{}, errInvalid
		case b.Decision == decisionDecline, b.Decision == decisionDeclineWithoutRecord:
			return processor.Result{Status: payment.Declined, Reference: "of the modification", Decline: modelDecline}, nil
		}
		e.setStates(p.decide(b, state{status: payment.Succeeded, captured: call.Amount}, state{status: payment.Authorized})...)
		if now, _ := e.stateAt(p.clock()); now.status == payment.Pending {
			e.pendingCapture, e.capturedBy = call.Key, p.clock().Add(b.DecidesAfter)
		}
		return p.result(e, p.clock()), nil
	})
}

// Void implements processor.Processor. A deferred void is executed after modelDelay; the response has the status before it.
func (p *modelProcessor) Void(_ context.Context, call processor.VoidCall) (processor.Result, error) {
	p.recordCall(func() { p.voids[call.ProcessorPaymentID] = append(p.voids[call.ProcessorPaymentID], p.clock()) })
	return p.handle("void", call.Key, "void", func(b behavior) (processor.Result, *processor.Error) {
		e := p.payment(call.ProcessorPaymentID)
		p.checkPendingCapture(e, "void", call.Key)
		switch now, _ := e.stateAt(p.clock()); {
		case !p.canVoid(now):
			return processor.Result{}, errConflict
		case b.Decision == decisionDecline, b.Decision == decisionDeclineWithoutRecord:
			return processor.Result{Status: payment.Declined, Reference: "of the modification", Decline: modelDecline}, nil
		case b.Decision == decisionApprove:
			e.setStates(state{at: p.clock(), status: payment.Voided})
		default:
			now.at = p.clock()
			e.setStates(now, state{at: p.clock().Add(modelDelay), status: payment.Voided})
		}
		return p.result(e, p.clock()), nil
	})
}

// checkPendingCapture reports a capture or void under another key than that of the pending capture: its outcome is not known yet.
func (p *modelProcessor) checkPendingCapture(e *entry, name, key string) {
	if e.pendingCapture != "" && e.pendingCapture != key && p.clock().Before(e.capturedBy) && !e.changedInDashboard {
		p.violation("a %s was sent while a capture is pending", name)
	}
}

func (p *modelProcessor) canVoid(now state) bool {
	return now.status == payment.Authorized || now.open ||
		!p.CannotVoidPending && (now.status == payment.RequiresAction || now.status == payment.Pending)
}

// Refund implements processor.Processor.
func (p *modelProcessor) Refund(_ context.Context, call processor.RefundCall) (processor.Result, error) {
	payload := fmt.Sprint("refund ", call.ProcessorPaymentID, call.Amount)
	return p.handle(fmt.Sprint("refund ", call.Amount), call.Key, payload, func(b behavior) (processor.Result, *processor.Error) {
		if b.Decision == decisionDeclineWithoutRecord {
			return processor.Result{Status: payment.Declined, Reference: call.Key, Decline: modelDecline}, nil
		}
		charge, _ := p.payment(call.ProcessorPaymentID).stateAt(p.clock())
		if refunded := p.refundedAmount(call.ProcessorPaymentID); charge.captured-refunded < call.Amount {
			p.violation("a refund of %d was sent for a payment with %d captured and %d refunded", call.Amount, charge.captured, refunded)
			return processor.Result{}, errInvalid
		}
		p.markExecuted(call.RefundID)
		e := &entry{
			id: fmt.Sprintf("re_%s_%d", p.prefix, len(p.refunds)+1), reference: call.Key,
			payment: call.ProcessorPaymentID, amount: call.Amount,
		}
		e.setStates(p.decide(b, state{status: payment.Succeeded}, state{status: payment.Declined})...)
		// A refund never requires action, and its decline is final.
		for i, s := range e.states {
			if s.status == payment.RequiresAction {
				e.states[i].status = payment.Pending
			}
			e.states[i].open = false
		}
		p.refunds[call.Key] = e
		return p.result(e, p.clock()), nil
	})
}

// Lookup implements processor.Processor.
func (p *modelProcessor) Lookup(_ context.Context, call processor.LookupCall) (processor.Result, bool, error) {
	p.mu.Lock()
	p.executeDelayed()
	b := p.lookups.next(p.now())
	e := p.charges[call.Reference]
	if call.Operation == payment.OperationRefund {
		e = p.refunds[call.Reference]
	}
	p.lookupsMade++
	asOf := p.now().Add(-p.LookupLag)
	if p.LagsEveryOther && p.lookupsMade%2 == 1 || p.CompleteRefundLists && call.Operation == payment.OperationRefund {
		asOf = p.now()
	}
	result, found := processor.Result{}, false
	if e != nil {
		if _, found = e.stateAt(asOf); found {
			result = p.result(e, asOf)
		}
	}
	record := "no record"
	if found {
		record = string(result.Status)
	}
	p.log("processor: lookup, reference %s: %s: %s", shortKey(call.Reference), b.Fault, record)
	p.mu.Unlock()
	if b.Meanwhile != nil {
		p.act(*b.Meanwhile)
	}
	switch b.Fault {
	case faultNone:
		return result, found, nil
	case faultTerminationExecuted, faultTerminationNotExecuted:
		p.stopWorker()
		return processor.Result{}, false, errLost
	default:
		return processor.Result{}, false, err500
	}
}

// recordCall runs record under the lock. Calls are recorded whatever their fault is.
func (p *modelProcessor) recordCall(record func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	record()
}

func (p *modelProcessor) payment(id string) *entry {
	for _, e := range p.charges {
		if e.id == id {
			return e
		}
	}
	p.violation("a call was sent for the payment %q, which does not exist", id)
	return &entry{}
}

// refundedAmount is what was refunded of a payment, with the refunds that are pending or will be approved.
func (p *modelProcessor) refundedAmount(id string) (sum int64) {
	for _, e := range p.refunds {
		if last := e.states[len(e.states)-1]; e.payment == id && last.status != payment.Declined {
			sum += e.amount
		}
	}
	return sum
}

// result returns the record of an entry as it was at a point in time.
func (p *modelProcessor) result(e *entry, at time.Time) processor.Result {
	s, _ := e.stateAt(at)
	p.responses++
	r := processor.Result{
		ID: e.id, Status: s.status, Amount: e.amount, Currency: "USD", CapturedAmount: s.captured, Reference: e.reference,
		RequestID: fmt.Sprint("req_", p.responses),
	}
	if s.status == payment.Declined {
		r.Decline, r.CanStillSucceed = modelDecline, s.open
	}
	return r
}

// captureInDashboard is a capture by the merchant, without Florin. It reports whether the payment could be captured.
func (p *modelProcessor) captureInDashboard(reference string, amount int64) bool {
	return p.changeInDashboard(reference, func(e *entry, now state) bool {
		if amount > e.amount || now.status != payment.Authorized {
			return false
		}
		e.setStates(state{at: p.now(), status: payment.Succeeded, captured: amount})
		return true
	})
}

// voidInDashboard is a void by the merchant, without Florin. It reports whether the payment could be voided.
func (p *modelProcessor) voidInDashboard(reference string) bool {
	return p.changeInDashboard(reference, func(e *entry, now state) bool {
		if !p.canVoid(now) {
			return false
		}
		e.setStates(state{at: p.now(), status: payment.Voided})
		return true
	})
}

// customerPays lets the customer pay a declined payment now. It reports whether that is possible.
func (p *modelProcessor) customerPays(reference string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.executeDelayed()
	e := p.charges[reference]
	return e != nil && p.payDeclined(e)
}

// payDeclined reports whether the customer has paid: the payment is declined, can still succeed, and was reported.
func (p *modelProcessor) payDeclined(e *entry) bool {
	if now, _ := e.stateAt(p.clock()); !now.open || !p.wasReported(e.reference, p.clock()) {
		return false
	}
	paid := e.approved
	paid.at = p.clock()
	p.log("the customer pays %s", shortKey(e.reference))
	e.setStates(paid)
	return true
}

// wasOpen reports whether the payment was declined, by the given time, in a way in which it could still succeed.
func (e *entry) wasOpen(at time.Time) bool {
	return slices.ContainsFunc(e.states, func(s state) bool { return s.open && !s.at.After(at) })
}

func (p *modelProcessor) changeInDashboard(reference string, change func(e *entry, now state) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.executeDelayed()
	e := p.charges[reference]
	if e == nil {
		return false
	}
	now, _ := e.stateAt(p.now())
	if !change(e, now) {
		return false
	}
	e.changedInDashboard = true
	return true
}

// readDashboard returns what an operator sees in the processor's dashboard; the status is empty if there is no record.
// final is false while the record may still change, or appear.
func (p *modelProcessor) readDashboard(entries map[string]*entry, reference string) (s state, final bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.executeDelayed()
	if len(p.delayed) > 0 {
		return state{}, false
	}
	e := entries[reference]
	if e == nil {
		return state{}, true
	}
	s, _ = e.stateAt(p.now())
	return s, s.status == payment.Succeeded || s.status == payment.Declined && !s.open || s.status == payment.Voided
}

// shortKey is enough of an idempotency key or reference to recognize it in the log.
func shortKey(key string) string { return key[:min(len(key), 8)] }
