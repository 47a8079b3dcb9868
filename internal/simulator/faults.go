package simulator

// Faults, and the script that decides which request of an idempotency key meets which fault.

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// LongRetryAfter is the Retry-After of tok_429_long. It is long enough for a worker to end its activity and wait in a
// durable timer of the workflow.
const LongRetryAfter = 8 * time.Second

// hugeBodySize is the size of tok_huge_body's response in bytes: 11 MiB.
const hugeBodySize = 11 << 20

// fault returns the response that the client gets instead of the normal one. normal is the zero response if the
// operation was not executed.
type fault func(normal response, now time.Time) response

// step is what happens on one request: whether the operation is executed, and which fault the client meets.
type step struct {
	executes bool
	fault    fault // nil: the client gets the normal response
}

var noFault = step{executes: true}

// before is a fault in place of the execution: this request moves no money.
func before(f fault) step { return step{executes: false, fault: f} }

// after is a fault after the execution: money has moved, but the client does not get the normal response.
func after(f fault) step { return step{executes: true, fault: f} }

// play calls execute, unless the fault strikes before the execution, and applies the fault to its response. An error
// of execute is returned without the fault.
func (st step) play(now time.Time, execute func() (response, error)) (resp response, err error) {
	if st.executes {
		if resp, err = execute(); err != nil {
			return response{}, err
		}
	}
	if st.fault == nil {
		return resp, nil
	}
	return st.fault(resp, now), nil
}

// script has the step of the nth request with one idempotency key. After the last step there are no more faults, or
// the last step repeats forever.
type script struct {
	steps   []step
	forever bool
}

// first plays its steps on the first requests; later requests meet no fault.
func first(steps ...step) script { return script{steps: steps} }

// always plays its steps on the first requests and repeats the last step forever.
func always(steps ...step) script { return script{steps: steps, forever: true} }

func (sc script) at(nth int) step {
	switch {
	case nth <= len(sc.steps):
		return sc.steps[nth-1]
	case sc.forever:
		return sc.steps[len(sc.steps)-1]
	default:
		return noFault
	}
}

// faultCodes has the error code of each simulated HTTP status.
var faultCodes = map[int]string{
	http.StatusBadRequest:          "invalid_request",
	http.StatusUnauthorized:        "unauthorized",
	http.StatusForbidden:           "forbidden",
	http.StatusNotFound:            "not_found",
	http.StatusRequestTimeout:      "request_timeout",
	http.StatusConflict:            "idempotency_in_flight",
	http.StatusTeapot:              "teapot",
	http.StatusUnprocessableEntity: "invalid_request",
	http.StatusLocked:              "locked",
	http.StatusFailedDependency:    "failed_dependency",
	http.StatusTooEarly:            "too_early",
	http.StatusTooManyRequests:     "rate_limited",
	http.StatusInternalServerError: "internal_error",
	http.StatusNotImplemented:      "not_implemented",
	http.StatusServiceUnavailable:  "unavailable",
	http.StatusGatewayTimeout:      "gateway_timeout",
}

func respondWith(status int) fault {
	return respondWithError(status, faultCodes[status], fmt.Sprintf("a simulated %d", status))
}

func respondWithError(status int, code, message string) fault {
	p := refuse(status, code, message)
	return func(response, time.Time) response { return p.response() }
}

// rateLimited responds 429 with the given Retry-After header.
func rateLimited(retryAfter string) fault {
	return func(normal response, now time.Time) response {
		resp := respondWith(http.StatusTooManyRequests)(normal, now)
		resp.header = map[string]string{"Retry-After": retryAfter}
		return resp
	}
}

func rateLimitedFor(d time.Duration) fault { return rateLimited(strconv.Itoa(int(d / time.Second))) }

// rateLimitedUntilDate responds 429 with an HTTP date in Retry-After. It sets the Date header from the same clock, so
// that the two headers are exactly two seconds apart.
func rateLimitedUntilDate(normal response, now time.Time) response {
	resp := respondWith(http.StatusTooManyRequests)(normal, now)
	resp.header = map[string]string{
		"Date":        now.UTC().Format(http.TimeFormat),
		"Retry-After": now.UTC().Add(2 * time.Second).Format(http.TimeFormat),
	}
	return resp
}

// locked responds 429 because another request is using the object, not because of a rate limit.
func locked(normal response, now time.Time) response {
	resp := respondWithError(http.StatusTooManyRequests, "lock_timeout", "another request is using this payment")(normal, now)
	resp.header = map[string]string{"Retry-After": "1"}
	return resp
}

// duplicate declines a request because there is a payment like it already.
func duplicate(response, time.Time) response {
	refusal := refuse(http.StatusPaymentRequired, "card_declined", "the card was declined: duplicate_transaction")
	refusal.DeclineCode, refusal.DeclineKind = "duplicate_transaction", "hard"
	return refusal.response()
}

// controlInID puts a BEL in front of the id.
func controlInID(normal response, _ time.Time) response {
	normal.body = bytes.Replace(normal.body, []byte(`"id":"`), []byte(`"id":"\u0007`), 1)
	return normal
}

func noResponse(response, time.Time) response { return response{delivery: deliverNothing} }

func connectionReset(response, time.Time) response { return response{delivery: deliverReset} }

// truncatedBody sends half of the body and closes the connection.
func truncatedBody(normal response, _ time.Time) response {
	normal.delivery = deliverTruncated
	return normal
}

// malformedJSON is a complete HTTP response whose body is half of the JSON document.
func malformedJSON(normal response, _ time.Time) response {
	normal.body = normal.body[:len(normal.body)/2]
	return normal
}

func emptyBody(response, time.Time) response { return response{status: http.StatusOK} }

func htmlPage(response, time.Time) response {
	return response{
		status: http.StatusOK,
		header: map[string]string{"Content-Type": "text/html; charset=utf-8"},
		body:   []byte("<!doctype html><title>Maintenance</title><p>We will be back soon."),
	}
}

// hugeBody adds hugeBodySize blanks before the end of the JSON document. A client should stop reading at its limit.
func hugeBody(normal response, _ time.Time) response {
	end := len(normal.body) - 1
	normal.body = append(append(normal.body[:end:end], bytes.Repeat([]byte{' '}, hugeBodySize)...), '}')
	return normal
}

func redirect(response, time.Time) response {
	return response{status: http.StatusFound, header: map[string]string{"Location": "/"}}
}
