package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// answer is what a caller was told: a value, or a refusal.
type answer[T any] struct {
	call    string
	value   T
	refusal error
}

// answers are all that was told about one payment or refund.
type answers[T any] struct {
	mu         sync.Mutex
	told       []answer[T]
	unanswered []string
}

func (a *answers[T]) add(one answer[T]) {
	if one.call == "start" && one.refusal == nil {
		return // it tells nothing
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, one)
}

func (a *answers[T]) missing(problem string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unanswered = append(a.unanswered, problem)
}

// refusals are answers of package florin that are no outcome.
var refusals = []error{
	florin.ErrIdempotencyMismatch, florin.ErrInvalidRequest, florin.ErrPaymentNotFound, florin.ErrPaymentNotRefundable,
	florin.ErrRefundExceedsCaptured, florin.ErrNotCapturable, florin.ErrNotVoidable, florin.ErrCaptureExceedsAuthorized,
}

func isRefusal(err error) bool {
	return slices.ContainsFunc(refusals, func(known error) bool { return errors.Is(err, known) })
}

// contradiction is what is wrong with an answer about a charge, given how it ended; empty if nothing is.
func contradiction(a answer[payment.Charge], final payment.Charge) string {
	told := a.value
	switch {
	case a.refusal == nil && !leadsTo(payment.PaymentTransitions, told.Status, final.Status):
		return fmt.Sprintf("%s told %s, but it is %s", a.call, told.Status, final.Status)
	case a.refusal == nil && told.Status.Final() && (told.CapturedAmount != final.CapturedAmount || told.ProcessorPaymentID != final.ProcessorPaymentID):
		return fmt.Sprintf("%s told %s with %d captured as %q, but it is %d as %q",
			a.call, told.Status, told.CapturedAmount, told.ProcessorPaymentID, final.CapturedAmount, final.ProcessorPaymentID)
	case a.refusal == nil:
		return ""
	case errors.Is(a.refusal, florin.ErrNotCapturable) && a.call == "capture":
		if final.Status == payment.Succeeded {
			return fmt.Sprintf("capture was refused (%v), but the money was taken", a.refusal)
		}
		return ""
	case errors.Is(a.refusal, florin.ErrNotVoidable) && a.call == "void":
		if final.Status == payment.Voided {
			return fmt.Sprintf("void was refused (%v), but it is voided", a.refusal)
		}
		return ""
	default:
		return fmt.Sprintf("%s was refused: %v", a.call, a.refusal)
	}
}

// refundContradiction is contradiction for refunds. mayExceed: the refunds of the payment ask for more than there is.
func refundContradiction(a answer[payment.Refund], final payment.Refund, mayExceed bool) string {
	switch {
	case a.refusal == nil && final.Status == "" && mayExceed && (a.value.Status == payment.Processing || a.value.Status == payment.Failed):
		return "" // the workflow says of itself that nothing was given back
	case a.refusal == nil && final.Status == "":
		return fmt.Sprintf("%s told %s, but its workflow failed", a.call, a.value.Status)
	case a.refusal == nil && !leadsTo(payment.RefundTransitions, a.value.Status, final.Status):
		return fmt.Sprintf("%s told %s, but it is %s", a.call, a.value.Status, final.Status)
	case a.refusal == nil && a.value.Status == payment.Succeeded && (a.value.Amount != final.Amount || a.value.ProcessorRefundID != final.ProcessorRefundID):
		return fmt.Sprintf("%s told %d as %q, but it is %d as %q", a.call, a.value.Amount, a.value.ProcessorRefundID, final.Amount, final.ProcessorRefundID)
	case a.refusal == nil:
		return ""
	case errors.Is(a.refusal, florin.ErrRefundExceedsCaptured) && mayExceed && final.Status == "":
		return ""
	default:
		return fmt.Sprintf("%s was refused (%v), but it is %q", a.call, a.refusal, final.Status)
	}
}

// leadsTo reports whether one status may become another, in any number of moves.
func leadsTo(transitions map[payment.Status][]payment.Status, from, to payment.Status) bool {
	seen := map[payment.Status]bool{}
	next := []payment.Status{from}
	for len(next) > 0 {
		status := next[0]
		next = next[1:]
		if status == to {
			return true
		}
		if !seen[status] {
			seen[status] = true
			next = append(next, transitions[status]...)
		}
	}
	return false
}
