package processor

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/florinpay/florin/payment"
)

// Client sends an adapter's requests to one processor. The worker builds it from the configuration and the adapter's
// [Profile]. It is safe for concurrent use.
type Client interface {
	// Do sends one request and waits for the response. It returns a nil error for a success, which Call.Decode has
	// accepted, and for a decline, which is in Answer.Decline. Every other ending is an [*Error]; the response, if one
	// arrived, is returned with it. In a worker, Do resends a request in two cases only, always under the same
	// idempotency key. After a 401 it reads the credentials again and resends once. And net/http resends by itself if a kept
	// connection turns out to be closed, at most twice: see Answer.Sends. Canceling ctx ends every wait at once.
	Do(ctx context.Context, call Call) (Answer, error)
}

// Call is one HTTP request. The client adds the base URL, credentials and the Idempotency-Key header.
type Call struct {
	// Method is any method of HTTP. Responses mean the same for all of them.
	Method string
	// Path is relative to the base URL and begins with "/". Parts that are not the adapter's own, such as ids, have to
	// be escaped with [url.PathEscape]. A path with a part that is empty, "." or ".." is not sent. Query is appended to it.
	Path  string
	Query url.Values
	// Body is nil for a request without one. ContentType defaults to application/json.
	Body        []byte
	ContentType string
	// Header has additional headers. It cannot replace those that the client sets.
	Header http.Header
	// Key is the idempotency key. Only GET, HEAD, OPTIONS, PUT and DELETE may be sent without one (RFC 9110, section 9.2.2). A
	// call without a Key counts as a read: a decline in response to it is malformed.
	Key string
	// KeyFirstUsed is a time no later than the first send under Key. Zero: this is the first send.
	KeyFirstUsed time.Time
	// Operation and PaymentID describe the call in the audit log, and Operation in metrics: charge, capture, void, refund,
	// lookup, list or, for a whole [BatchCall], batch. PaymentID is Florin's id of the payment or refund. Reference is the key of
	// the operation that a lookup is for.
	Operation string
	PaymentID string
	Reference string
	// Decode reads the body of a success. If it returns an error, the response is malformed and the call ambiguous. It
	// may be called once per attempt. Nil accepts every body.
	Decode func(body []byte) error
	// Cached allows a GET to be answered from the client's cache, as far as the response headers permit (RFC 9111). It is
	// for lists, never for the state of a payment.
	Cached bool
}

// CodeKeyExpired is the [Error.Code] of a call that was not sent because the processor no longer keeps its idempotency key. The
// error is ambiguous, since an earlier send under the key may have been executed.
const CodeKeyExpired = "key_expired"

// Answer is an HTTP response of any status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Decline is set if the profile's Refusal has read a decline in the response to an operation.
	Decline *payment.Decline
	// Truncated reports that the body did not arrive completely, or exceeds the size limit.
	Truncated  bool
	RetryAfter time.Duration
	// RequestID is the processor's id of the request, from the header X-Request-Id or Request-Id.
	RequestID string
	// Took is the time on the wire, from acquiring a connection to the last byte of the response.
	Took time.Duration
	// Sends is how often the request was written: net/http resends a request by itself if a kept connection turns out to
	// be closed. 0: nothing was sent, for example because the answer comes from the cache or the call was refused before.
	Sends int
}

// Declined returns the result of an operation that was declined, for the reference (the key) of its call. It must only be
// called if a.Decline is set.
func (a Answer) Declined(reference string) Result {
	return Result{Status: payment.Declined, Reference: reference, RequestID: a.RequestID, Decline: a.Decline}
}
