package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// callResult is what a call to Florin's client returned to a caller: a value or a refusal.
type callResult[T any] struct {
	call    string
	value   T
	refusal error
}

// callResults are the results of all calls about one payment or refund.
type callResults[T any] struct {
	mu         sync.Mutex
	all        []callResult[T]
	unanswered []string
}

func (r *callResults[T]) add(result callResult[T]) {
	if result.call == "start" && result.refusal == nil {
		return // A started workflow claims nothing about the payment.
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, result)
}

func (r *callResults[T]) addUnanswered(problem string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unanswered = append(r.unanswered, problem)
}

// refusals are the errors of package florin that mean that the operation was refused. Any other error leaves the outcome
// unknown.
var refusals = []error{
	florin.ErrIdempotencyMismatch, florin.ErrInvalidRequest, florin.ErrPaymentNotFound, florin.ErrPaymentNotRefundable,
	florin.ErrRefundExceedsCaptured, florin.ErrNotCapturable, florin.ErrNotVoidable, florin.ErrCaptureExceedsAuthorized,
}

func isRefusal(err error) bool {
	return slices.ContainsFunc(refusals, func(known error) bool { return errors.Is(err, known) })
}

// contradiction describes how the result of a call about a charge contradicts the charge's final state. It returns "" if it
// does not.
func contradiction(result callResult[payment.Charge], final payment.Charge) string {
	got := result.value
	switch {
	case result.refusal == nil && !leadsTo(payment.PaymentTransitions, got.Status, final.Status):
		return fmt.Sprintf("%s returned %s, but the charge is %s", result.call, got.Status, final.Status)
	case result.refusal == nil && got.Status.Final() &&
		(got.CapturedAmount != final.CapturedAmount || got.ProcessorPaymentID != final.ProcessorPaymentID):
		return fmt.Sprintf("%s returned %s with %d captured as %q, but the charge has %d captured as %q",
			result.call, got.Status, got.CapturedAmount, got.ProcessorPaymentID, final.CapturedAmount, final.ProcessorPaymentID)
	case result.refusal == nil:
		return ""
	case errors.Is(result.refusal, florin.ErrNotCapturable) && result.call == "capture":
		if final.Status == payment.Succeeded {
			return fmt.Sprintf("capture was refused (%v), but the money was captured", result.refusal)
		}
		return ""
	case errors.Is(result.refusal, florin.ErrNotVoidable) && result.call == "void":
		if final.Status == payment.Voided {
			return fmt.Sprintf("void was refused (%v), but the charge is voided", result.refusal)
		}
		return ""
	default:
		return fmt.Sprintf("%s was refused: %v", result.call, result.refusal)
	}
}

// refundContradiction is contradiction for refunds. The status of final is empty if the workflow failed. mayExceed reports
// whether the refunds of the payment together exceed the captured amount, failedLate whether the processor itself has reported
// that the refund failed after it had succeeded.
func refundContradiction(result callResult[payment.Refund], final payment.Refund, mayExceed, failedLate bool) string {
	got := result.value
	switch {
	case result.refusal == nil && final.Status == "" && mayExceed && (got.Status == payment.Processing || got.Status == payment.Failed):
		return "" // The workflow itself reports that it refunded nothing.
	case result.refusal == nil && final.Status == "":
		return fmt.Sprintf("%s returned %s, but its workflow failed", result.call, got.Status)
	case result.refusal == nil && got.Status == payment.Succeeded && final.Status == payment.Failed && !failedLate:
		return fmt.Sprintf("%s returned %s, but the refund is %s, and the processor did not report that it failed later",
			result.call, got.Status, final.Status)
	case result.refusal == nil && !leadsTo(payment.RefundTransitions, got.Status, final.Status):
		return fmt.Sprintf("%s returned %s, but the refund is %s", result.call, got.Status, final.Status)
	case result.refusal == nil && got.Status == payment.Succeeded &&
		(got.Amount != final.Amount || got.ProcessorRefundID != final.ProcessorRefundID):
		return fmt.Sprintf("%s returned %d as %q, but the refund is %d as %q",
			result.call, got.Amount, got.ProcessorRefundID, final.Amount, final.ProcessorRefundID)
	case result.refusal == nil:
		return ""
	case errors.Is(result.refusal, florin.ErrRefundExceedsCaptured) && mayExceed && final.Status == "":
		return ""
	default:
		return fmt.Sprintf("%s was refused (%v), but the refund is %q", result.call, result.refusal, final.Status)
	}
}

// leadsTo reports whether one status is another, or can become it in any number of transitions.
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
