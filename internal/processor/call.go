package processor

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/florinpay/florin/payment"
)

// Call is one request.
type Call struct {
	Method string
	// Path is below the base URL and begins with "/", with what is not ours in it escaped; Query is appended to it.
	Path  string
	Query url.Values
	// Body is nil for none; ContentType is application/json unless given.
	Body        []byte
	ContentType string
	// Header has what this processor wants beside our own headers, which it cannot replace.
	Header http.Header
	// Key is the idempotency key. Methods that may be repeated without one are GET, HEAD, OPTIONS, PUT and DELETE
	// (RFC 9110 section 9.2.2); every other needs it.
	Key string
	// KeyFirstUsed is no later than the first send under Key. Zero: this is the first.
	KeyFirstUsed time.Time
	// Operation and PaymentID say in the audit log and in metrics what the call is for; Reference is the key of the
	// operation that a lookup is about.
	Operation string
	PaymentID string
	Reference string
	// Decode reads the body of a success. What it refuses cannot be believed: the money may have moved. It may be
	// called once for each attempt. Nil takes every body.
	Decode func(body []byte) error
	// Cached lets the answer come from the cache, as far as the processor's own headers allow: for lists only,
	// never for the state of a payment.
	Cached bool
}

// Answer is an HTTP answer of any status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Truncated says that the body did not come through whole, or is larger than we take.
	Truncated  bool
	RetryAfter time.Duration
	RequestID  string
	// Took is the time on the wire, from the request for a connection to the last byte of the answer.
	Took time.Duration
	// Sends is how often the request was written: net/http itself sends it again where a connection that it had
	// kept turns out to be closed. 0: the answer comes from the cache.
	Sends int
}

// check refuses a call that could not be repeated safely, or that would go elsewhere, before anything is sent.
func (c *Client) check(call Call) *Error {
	switch {
	case !strings.HasPrefix(call.Path, "/") || leadsElsewhere(call.Path):
		return refuse("the path of a call has to begin with a slash, and have neither ? nor # nor . nor .. as a part")
	case call.Key != "":
		return c.profile.checkKey(call.Key, call.KeyFirstUsed)
	case !repeatable(call.Method):
		return refuse("a call that moves money needs an idempotency key")
	}
	return nil
}

// leadsElsewhere holds for a path that names something else than it says.
func leadsElsewhere(path string) bool {
	return strings.ContainsAny(path, "?#") || strings.Contains(path, "/./") || strings.Contains(path, "/../") ||
		strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..")
}

func repeatable(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	default:
		return false
	}
}

// CodeKeyExpired is the code of the error for a key that the processor no longer remembers.
const CodeKeyExpired = "key_expired"

// checkKey refuses a key that the processor would not take, and one that it has forgotten by now: what was done
// under that would be done again. Such a key was used before, so the call is not known to have done nothing. No
// message repeats the key.
func (p Profile) checkKey(key string, firstUsed time.Time) *Error {
	switch {
	case !fitsHeader(key):
		return refuse("the idempotency key has a character that no header may have")
	case p.KeyMaxLength > 0 && len(key) > p.KeyMaxLength:
		return refuse(fmt.Sprintf("the idempotency key has %d characters: the processor takes %d", len(key), p.KeyMaxLength))
	}
	if p.KeyAllows != nil {
		for i, r := range key {
			if !p.KeyAllows(r) {
				return refuse(fmt.Sprintf("the idempotency key has a character at %d that the processor does not take", i))
			}
		}
	}
	if age := time.Since(firstUsed); p.KeyLifetime > 0 && !firstUsed.IsZero() && age >= p.KeyLifetime {
		return &Error{Class: payment.ClassOutcomeUnknown, Certainty: Ambiguous, Code: CodeKeyExpired, KeyHash: hashKey(key),
			Message: fmt.Sprintf("the idempotency key was first used %s ago, and the processor forgets keys after %s: not sent, look it up",
				age.Round(time.Second), p.KeyLifetime)}
	}
	return nil
}

func refuse(message string) *Error {
	return &Error{Class: payment.ClassConfig, Certainty: NotExecuted, Message: message}
}

// fitsHeader holds for what net/http sends as the value of a header.
func fitsHeader(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
