package processor

import (
	"fmt"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/payment"
)

// Certainty says what a call proves about money.
type Certainty string

const (
	// Answered: the processor told the business outcome. Of errors, only a decline is.
	Answered Certainty = "answered"
	// NotExecuted: provably nothing happened at the processor.
	NotExecuted Certainty = "not_executed"
	// Ambiguous: it may or may not have happened.
	Ambiguous Certainty = "ambiguous"
)

// maxWords is how many bytes of another system's words are kept.
const maxWords = 200

// Error is a call that was not the success it asked for: a decline, or no business outcome at all.
type Error struct {
	Class     payment.FailureClass
	Certainty Certainty
	// Retry says whether the same call, with the same key, may be sent again.
	Retry bool
	// RetryAfter is how long the processor, or our own limiter, asks to wait at least. 0: nothing was said.
	RetryAfter time.Duration
	// HTTPStatus is 0 where no answer came.
	HTTPStatus int
	// Code is the processor's own error code.
	Code string
	// Message is the processor's words or the transport's, without secrets.
	Message string
	// Decline is set exactly where Certainty is Answered; Class is empty then.
	Decline *payment.Decline
	// RequestID is the processor's name for the request.
	RequestID string
	// KeyHash names the idempotency key as the audit log does, without giving it away.
	KeyHash string
	// Took and Sends are those of Answer; 0 where the call was stopped before it was sent.
	Took  time.Duration
	Sends int
	// Err is the cause, if the transport had one.
	Err error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Class))
	if e.Decline != nil {
		b.WriteString("declined")
	}
	if e.HTTPStatus != 0 {
		fmt.Fprintf(&b, ": HTTP %d", e.HTTPStatus)
	}
	if e.Code != "" {
		fmt.Fprintf(&b, " (%s)", e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	return b.String()
}

// withheld stands for words that must not be kept.
const withheld = "(withheld: looks like a card number or a secret)"

// Clip bounds what another system's words may take in a message or a history, and keeps card numbers and secrets
// out of it. What it returns is valid UTF-8, or Temporal could not store it.
func Clip(s string) string {
	if audit.Sensitive(s) {
		return withheld
	}
	return strings.ToValidUTF8(s[:min(len(s), maxWords)], "")
}

func (e *Error) Unwrap() error { return e.Err }
