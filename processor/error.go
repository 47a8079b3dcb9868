package processor

import (
	"fmt"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/printable"
	"github.com/florinpay/florin/internal/sensitive"
	"github.com/florinpay/florin/payment"
)

// Certainty is what a call proves about money.
type Certainty string

// Everything that follows from a call, such as whether it may be reported as failed, depends on which of these it is.
const (
	// Answered means that the processor has given a business outcome. It is the certainty of results, never of an [*Error].
	Answered Certainty = "answered"
	// NotExecuted means that provably nothing was executed.
	NotExecuted Certainty = "not_executed"
	// Ambiguous means that the operation may or may not have been executed.
	Ambiguous Certainty = "ambiguous"
)

// Error is a call without a business outcome. Its texts contain no secrets.
type Error struct {
	Class payment.FailureClass
	// Certainty is [NotExecuted] or [Ambiguous].
	Certainty Certainty
	// Retry reports whether the same call, under the same key, may be sent again.
	Retry bool
	// RetryAfter is the minimum wait that the processor or our own limiter asks for. 0: none.
	RetryAfter time.Duration
	// HTTPStatus is 0 if no response arrived.
	HTTPStatus int
	// Code is the processor's error code.
	Code string
	// Message is the processor's message, or a description of the network failure.
	Message string
	// RequestID is the processor's id of the request.
	RequestID string
	// Err is the underlying network error, if there is one.
	Err error
}

// Error returns class, status, code and message in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Class))
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

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Malformed returns the error for a 2xx response that cannot be trusted, such as one whose body lacks an id. The operation
// may have been executed, so the error is [Ambiguous]: the call is sent again under the same key, and finally looked up.
func Malformed(a Answer, problem string) *Error {
	return &Error{
		Class:      payment.ClassInvalidResponse,
		Certainty:  Ambiguous,
		Retry:      true,
		HTTPStatus: a.Status,
		Message:    problem,
		RequestID:  a.RequestID,
	}
}

// MaxClipped is the maximum number of bytes that [Clip] returns.
const MaxClipped = 200

// Withheld replaces a text that must not be stored.
const Withheld = "(withheld: looks like a card number or a secret)"

// Clip makes a processor's text fit for errors, logs, terminals and histories: one line of valid UTF-8 of at most [MaxClipped] bytes, with
// a space for each control character and without invisible ones, or [Withheld] if the text contains what looks like a card number or a
// secret. Adapters clip every free text that they put into a [Result], and every code with [ClipCode].
func Clip(s string) string {
	if isSensitive(s) {
		return Withheld
	}
	return printable.Clean(s, MaxClipped)
}

// isSensitive reports whether s contains what looks like a card number or a secret, also if invisible characters hide it.
func isSensitive(s string) bool {
	return sensitive.Text(s) || !printable.IsClean(s) && sensitive.Text(printable.Clean(s, len(s)))
}
