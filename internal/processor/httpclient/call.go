package httpclient

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// check refuses a call that could not be repeated safely, or whose path names another resource than it seems to, before
// anything is sent.
func (c *Client) check(call processor.Call) *processor.Error {
	switch {
	case !strings.HasPrefix(call.Path, "/") || isUnclean(call.Path):
		return refuse("the path of a call has to begin with a slash, and must contain neither ? nor # nor a part that is empty, . or ..")
	case call.Key != "":
		return checkKey(c.profile, call.Key, call.KeyFirstUsed)
	case !repeatable(call.Method):
		return refuse("a call that moves money needs an idempotency key")
	}
	return nil
}

// isUnclean reports whether the path contains a query, a fragment, dot segments or, where an id is missing, an empty segment. A
// slash at its end is allowed: some APIs require it.
func isUnclean(path string) bool {
	return strings.ContainsAny(path, "?#") || strings.Contains(path, "//") || strings.Contains(path, "/./") ||
		strings.Contains(path, "/../") || strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..")
}

// repeatable reports whether a request may be sent again without an idempotency key (RFC 9110, section 9.2.2).
func repeatable(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	default:
		return false
	}
}

// movesMoney reports whether a call may change anything at the processor. A lookup does not, also while the processor is paused.
func movesMoney(call processor.Call) bool {
	switch call.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return call.Key != ""
	default:
		return true
	}
}

// checkKey refuses a key that the processor would not accept, and one that it no longer keeps: a resend under that would execute
// the operation a second time. The error for the latter is ambiguous, since the key was used before. No message contains the
// key.
func checkKey(p processor.Profile, key string, firstUsed time.Time) *processor.Error {
	switch {
	case !httpguts.ValidHeaderFieldValue(key):
		return refuse("the idempotency key has a character that an HTTP header cannot carry")
	case p.KeyMaxLength > 0 && len(key) > p.KeyMaxLength:
		return refuse(fmt.Sprintf("the idempotency key has %d characters: the processor accepts at most %d", len(key), p.KeyMaxLength))
	}
	if p.KeyAllows != nil {
		for i, r := range key {
			if !p.KeyAllows(r) {
				return refuse(fmt.Sprintf("the character at %d of the idempotency key is not one that the processor accepts", i))
			}
		}
	}
	if age := time.Since(firstUsed); p.KeyLifetime > 0 && !firstUsed.IsZero() && age >= p.KeyLifetime {
		return &processor.Error{Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Code: processor.CodeKeyExpired,
			Message: fmt.Sprintf("the idempotency key was first used %s ago, and the processor keeps keys for %s: not sent, look it up",
				age.Round(time.Second), p.KeyLifetime)}
	}
	return nil
}

func refuse(message string) *processor.Error {
	return &processor.Error{Class: payment.ClassConfig, Certainty: processor.NotExecuted, Message: message}
}
