// Package classify determines what a processor's response, or its absence, proves about money. The table of outcomes is the map
// verdicts; the functions around it handle what a status alone does not decide.
package classify

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// verdict is what an HTTP status proves about an operation.
type verdict struct {
	certainty processor.Certainty
	retry     bool
	class     payment.FailureClass
}

// verdicts classifies, by status, the responses that bring no business outcome. A status that is not listed is ambiguous: 5xx
// are retried, anything else is looked up.
var verdicts = map[int]verdict{
	http.StatusBadRequest:                  {processor.NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusUnauthorized:                {processor.NotExecuted, false, payment.ClassAuthentication},
	http.StatusForbidden:                   {processor.NotExecuted, false, payment.ClassPermission},
	http.StatusNotFound:                    {processor.NotExecuted, false, payment.ClassConfig},
	http.StatusMethodNotAllowed:            {processor.NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusNotAcceptable:               {processor.NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusRequestTimeout:              {processor.Ambiguous, true, payment.ClassOutcomeUnknown},
	http.StatusConflict:                    {processor.Ambiguous, false, payment.ClassStateConflict},
	http.StatusGone:                        {processor.NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusLengthRequired:              {processor.NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusRequestEntityTooLarge:       {processor.NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusRequestURITooLong:           {processor.NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusUnsupportedMediaType:        {processor.NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusUnprocessableEntity:         {processor.NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusLocked:                      {processor.NotExecuted, true, payment.ClassUnavailable},
	http.StatusFailedDependency:            {processor.Ambiguous, true, payment.ClassOutcomeUnknown},
	http.StatusTooEarly:                    {processor.NotExecuted, true, payment.ClassUnavailable},
	http.StatusTooManyRequests:             {processor.NotExecuted, true, payment.ClassRateLimited},
	http.StatusRequestHeaderFieldsTooLarge: {processor.NotExecuted, false, payment.ClassInvalidRequest},
	statusClientClosedRequest:              {processor.Ambiguous, true, payment.ClassOutcomeUnknown},
	http.StatusNotImplemented:              {processor.NotExecuted, false, payment.ClassConfig},
	http.StatusServiceUnavailable:          {processor.Ambiguous, true, payment.ClassUnavailable},
	http.StatusHTTPVersionNotSupported:     {processor.NotExecuted, false, payment.ClassConfig},
	http.StatusMovedPermanently:            {processor.Ambiguous, false, payment.ClassConfig},
	http.StatusFound:                       {processor.Ambiguous, false, payment.ClassConfig},
	http.StatusSeeOther:                    {processor.Ambiguous, false, payment.ClassConfig},
	http.StatusTemporaryRedirect:           {processor.Ambiguous, false, payment.ClassConfig},
	http.StatusPermanentRedirect:           {processor.Ambiguous, false, payment.ClassConfig},
}

// statusClientClosedRequest is a status of nginx: its client, which may be a proxy in front of the processor, closed the
// connection.
const statusClientClosedRequest = 499

// Response classifies a response that is not a success by the processor's profile. A decline is returned as such, with a nil
// error.
func Response(a processor.Answer, p processor.Profile) (*payment.Decline, *processor.Error) {
	var refusal processor.Refusal
	if p.Refusal != nil {
		refusal = p.Refusal(a)
	}
	v := verdictOf(a, refusal.Code, p)
	switch {
	case refusal.Decline != nil && a.Sends <= 1:
		return refusal.Decline, nil
	case a.Sends > 1 && (refusal.Decline != nil || v.class == payment.ClassStateConflict):
		// An earlier send had no response, and may be the reason: sending it again under the same key shows whether it was.
		v = verdict{processor.Ambiguous, true, payment.ClassOutcomeUnknown}
	}
	e := &processor.Error{
		Class:      v.class,
		Certainty:  v.certainty,
		Retry:      v.retry,
		RetryAfter: a.RetryAfter,
		HTTPStatus: a.Status,
		Code:       processor.Clip(refusal.Code),
		Message:    processor.Clip(refusal.Message),
		RequestID:  a.RequestID,
	}
	if e.Message == "" {
		e.Message = http.StatusText(a.Status)
	}
	if a.Sends > 1 {
		// The response is to the last send. The outcome of the earlier ones is unknown.
		e.Certainty = processor.Ambiguous
	}
	switch a.Header.Get(p.RetryHeader) {
	case "true":
		e.Retry = true
	case "false":
		e.Retry = false
	}
	return nil, e
}

func verdictOf(a processor.Answer, code string, p processor.Profile) verdict {
	switch {
	case p.Mismatch != nil && p.Mismatch(a.Status, code):
		// Never retried, and never sent under a new key: money may have moved under the key when it was used before.
		return verdict{processor.Ambiguous, false, payment.ClassIdempotencyMismatch}
	case p.InFlight != nil && p.InFlight(a.Status, code):
		return verdict{processor.Ambiguous, true, payment.ClassOutcomeUnknown}
	case p.Conflict != nil && a.Status < http.StatusInternalServerError && p.Conflict(a.Status, code):
		return verdict{processor.Ambiguous, false, payment.ClassStateConflict}
	case a.Truncated && decidedByBody(a.Status):
		return verdict{processor.Ambiguous, true, payment.ClassInvalidResponse}
	case a.Status == http.StatusServiceUnavailable && p.Unavailable503NotExecuted:
		return verdict{processor.NotExecuted, true, payment.ClassUnavailable}
	}
	if v, ok := verdicts[a.Status]; ok {
		return v
	}
	if a.Status >= 500 {
		return verdict{processor.Ambiguous, true, payment.ClassUnavailable}
	}
	return verdict{processor.Ambiguous, false, payment.ClassInvalidResponse}
}

// ObjectLevel reports whether a 429 or 5xx is about one object, so that the circuit breaker must not count it against the processor.
func ObjectLevel(a processor.Answer, p processor.Profile) bool {
	if p.ObjectLevel == nil || a.Truncated || a.Status != http.StatusTooManyRequests && a.Status < http.StatusInternalServerError {
		return false
	}
	code := ""
	if p.Refusal != nil {
		code = p.Refusal(a).Code
	}
	return p.ObjectLevel(a.Status, code)
}

// decidedByBody reports whether the code in the body changes what the status means.
func decidedByBody(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusPaymentRequired, http.StatusConflict, http.StatusUnprocessableEntity:
		return true
	default:
		return false
	}
}

// NetworkError classifies a call without a response. written reports whether any byte of the request may have been sent.
func NetworkError(err error, written bool) *processor.Error {
	e := &processor.Error{Class: payment.ClassNotSent, Certainty: processor.NotExecuted, Retry: true, Err: err, Message: Describe(err)}
	switch {
	case written:
		e.Class, e.Certainty = payment.ClassOutcomeUnknown, processor.Ambiguous
	case isCertificateError(err):
		e.Class, e.Retry = payment.ClassConfig, false
	}
	return e
}

// isCertificateError reports whether a certificate could not be verified: crypto/tls wraps every x509 error of a client's
// handshake in this one type.
func isCertificateError(err error) bool {
	var invalid *tls.CertificateVerificationError
	return errors.As(err, &invalid)
}

// Describe returns what went wrong on the network, without addresses.
func Describe(err error) string {
	var timeout interface{ Timeout() bool }
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "no response in time"
	case errors.Is(err, context.Canceled):
		return "the call was canceled"
	case errors.As(err, &dns):
		return "the processor's host name does not resolve"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the response"
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error()
	}
	// It may quote what the other side sent.
	return processor.Clip(err.Error())
}
