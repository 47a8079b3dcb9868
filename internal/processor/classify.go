package processor

import (
	"crypto/tls"
	"errors"
	"net/http"

	"github.com/florinpay/florin/payment"
)

// verdict is what an HTTP status says about a call that moves money.
type verdict struct {
	certainty Certainty
	retry     bool
	class     payment.FailureClass
}

// verdicts is the classification of answers that bring no business outcome, status by status. A status that
// is not listed is ambiguous: 5xx are retried (the last row below), anything else is looked up.
var verdicts = map[int]verdict{
	http.StatusBadRequest:                  {NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusUnauthorized:                {NotExecuted, false, payment.ClassAuthentication},
	http.StatusForbidden:                   {NotExecuted, false, payment.ClassPermission},
	http.StatusNotFound:                    {NotExecuted, false, payment.ClassConfig},
	http.StatusMethodNotAllowed:            {NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusNotAcceptable:               {NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusRequestTimeout:              {Ambiguous, true, payment.ClassOutcomeUnknown},
	http.StatusConflict:                    {Ambiguous, false, payment.ClassStateConflict},
	http.StatusGone:                        {NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusLengthRequired:              {NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusRequestEntityTooLarge:       {NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusRequestURITooLong:           {NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusUnsupportedMediaType:        {NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusUnprocessableEntity:         {NotExecuted, false, payment.ClassInvalidRequest},
	http.StatusLocked:                      {NotExecuted, true, payment.ClassUnavailable},
	http.StatusFailedDependency:            {Ambiguous, true, payment.ClassOutcomeUnknown},
	http.StatusTooEarly:                    {NotExecuted, true, payment.ClassUnavailable},
	http.StatusTooManyRequests:             {NotExecuted, true, payment.ClassRateLimited},
	http.StatusRequestHeaderFieldsTooLarge: {NotExecuted, false, payment.ClassInvalidRequest},
	statusClientClosedRequest:              {Ambiguous, true, payment.ClassOutcomeUnknown},
	http.StatusNotImplemented:              {NotExecuted, false, payment.ClassConfig},
	http.StatusServiceUnavailable:          {Ambiguous, true, payment.ClassUnavailable},
	http.StatusHTTPVersionNotSupported:     {NotExecuted, false, payment.ClassConfig},
	http.StatusMovedPermanently:            {Ambiguous, false, payment.ClassConfig},
	http.StatusFound:                       {Ambiguous, false, payment.ClassConfig},
	http.StatusSeeOther:                    {Ambiguous, false, payment.ClassConfig},
	http.StatusTemporaryRedirect:           {Ambiguous, false, payment.ClassConfig},
	http.StatusPermanentRedirect:           {Ambiguous, false, payment.ClassConfig},
}

// statusClientClosedRequest is nginx's: the client, here perhaps a proxy, went away.
const statusClientClosedRequest = 499

// classify turns an answer that is no success into an error.
func classify(a Answer, p Profile) *Error {
	var refusal Refusal
	if p.Refusal != nil {
		refusal = p.Refusal(a)
	}
	e := &Error{
		RetryAfter: a.RetryAfter,
		HTTPStatus: a.Status,
		Code:       Clip(refusal.Code),
		Message:    Clip(refusal.Message),
		RequestID:  a.RequestID,
		Took:       a.Took,
		Sends:      a.Sends,
	}
	if e.Message == "" {
		e.Message = http.StatusText(a.Status)
	}
	if refusal.Decline != nil {
		e.Certainty, e.Decline = Answered, refusal.Decline
		return e
	}
	v := verdictOf(a, refusal.Code, p)
	e.Class, e.Certainty, e.Retry = v.class, v.certainty, v.retry
	if a.Sends > 1 {
		// The answer is to the last send. What became of the ones before it, nobody knows.
		e.Certainty = Ambiguous
	}
	switch a.Header.Get(p.RetryHeader) {
	case "true":
		e.Retry = true
	case "false":
		e.Retry = false
	}
	return e
}

func verdictOf(a Answer, code string, p Profile) verdict {
	switch {
	case p.Mismatch != nil && p.Mismatch(a.Status, code):
		// Never retried and never under a new key. The key was used before, so money may have moved under it.
		return verdict{Ambiguous, false, payment.ClassIdempotencyMismatch}
	case p.InFlight != nil && p.InFlight(a.Status, code):
		return verdict{Ambiguous, true, payment.ClassOutcomeUnknown}
	case p.Conflict != nil && a.Status < http.StatusInternalServerError && p.Conflict(a.Status, code):
		return verdict{Ambiguous, false, payment.ClassStateConflict}
	case a.Truncated && decidedByBody(a.Status):
		return verdict{Ambiguous, true, payment.ClassInvalidResponse}
	case a.Status == http.StatusServiceUnavailable && p.Unavailable503NotExecuted:
		return verdict{NotExecuted, true, payment.ClassUnavailable}
	}
	if v, ok := verdicts[a.Status]; ok {
		return v
	}
	if a.Status >= 500 {
		return verdict{Ambiguous, true, payment.ClassUnavailable}
	}
	return verdict{Ambiguous, false, payment.ClassInvalidResponse}
}

// decidedByBody lists the statuses that mean different things by the code in their body.
func decidedByBody(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusPaymentRequired, http.StatusConflict, http.StatusUnprocessableEntity:
		return true
	default:
		return false
	}
}

// Malformed is a 2xx whose body cannot be believed: the money may have moved, so it is asked for again
// under the same key, and looked up in the end.
func Malformed(a Answer, problem string) *Error {
	return &Error{
		Class:      payment.ClassInvalidResponse,
		Certainty:  Ambiguous,
		Retry:      true,
		HTTPStatus: a.Status,
		Message:    problem,
		RequestID:  a.RequestID,
		Took:       a.Took,
		Sends:      a.Sends,
	}
}

// transportError classifies a call that brought no answer by what happened on the wire: written says
// whether any byte of the request may have left.
func transportError(err error, written bool) *Error {
	e := &Error{Class: payment.ClassNotSent, Certainty: NotExecuted, Retry: true, Err: err, Message: transportMessage(err)}
	switch {
	case written:
		e.Class, e.Certainty = payment.ClassOutcomeUnknown, Ambiguous
	case isCertificateError(err):
		e.Class, e.Retry = payment.ClassConfig, false
	}
	return e
}

// isCertificateError holds for a certificate that does not verify. crypto/tls wraps every x509 error of a
// client's handshake in this one type.
func isCertificateError(err error) bool {
	var invalid *tls.CertificateVerificationError
	return errors.As(err, &invalid)
}
