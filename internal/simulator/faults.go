package simulator

// What can go wrong with a request: the faults, and the script that says on which request of a key which one strikes.

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// LongRetryAfter is what tok_429_long asks for: long enough for a client to leave its activity for a durable timer.
const LongRetryAfter = 8 * time.Second

const hugeBody = 11 << 20

// fault replaces the honest answer, which is empty where nothing was executed.
type fault func(honest answer, now time.Time) answer

// step is what happens to one request: whether it is executed, and what its caller gets instead of the honest answer.
type step struct {
	executes bool
	fault    fault // nil: the honest answer
}

var honestly = step{executes: true}

func before(f fault) step { return step{executes: false, fault: f} }
func after(f fault) step  { return step{executes: true, fault: f} }

// play runs next unless the fault strikes before it. An execution that was refused is reported as it is.
func (st step) play(now time.Time, next func() (answer, error)) (honest answer, err error) {
	if st.executes {
		if honest, err = next(); err != nil {
			return answer{}, err
		}
	}
	if st.fault == nil {
		return honest, nil
	}
	return st.fault(honest, now), nil
}

// script gives the nth request of an idempotency key its step. After the last step all goes well, or the last one
// repeats for ever.
type script struct {
	steps   []step
	forever bool
}

func first(steps ...step) script  { return script{steps: steps} }
func always(steps ...step) script { return script{steps: steps, forever: true} }

func (sc script) at(nth int) step {
	switch {
	case nth <= len(sc.steps):
		return sc.steps[nth-1]
	case sc.forever:
		return sc.steps[len(sc.steps)-1]
	default:
		return honestly
	}
}

// faultCodes are the error codes of answers that are faults.
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

func failing(status int) fault {
	p := refuse(status, faultCodes[status], fmt.Sprintf("a simulated %d", status))
	return func(answer, time.Time) answer { return p.answer() }
}

func refusing(status int, code, message string) fault {
	p := refuse(status, code, message)
	return func(answer, time.Time) answer { return p.answer() }
}

// limited is a 429 with that Retry-After.
func limited(retryAfter string) fault {
	return func(honest answer, now time.Time) answer {
		a := failing(http.StatusTooManyRequests)(honest, now)
		a.header = map[string]string{"Retry-After": retryAfter}
		return a
	}
}

func limitedFor(d time.Duration) fault { return limited(strconv.Itoa(int(d / time.Second))) }

// limitedUntilDate sends Date from the same clock, so that the two are exactly two seconds apart.
func limitedUntilDate(honest answer, now time.Time) answer {
	a := failing(http.StatusTooManyRequests)(honest, now)
	a.header = map[string]string{
		"Date":        now.UTC().Format(http.TimeFormat),
		"Retry-After": now.UTC().Add(2 * time.Second).Format(http.TimeFormat),
	}
	return a
}

func hanging(answer, time.Time) answer   { return answer{manner: hung} }
func resetting(answer, time.Time) answer { return answer{manner: reset} }

func cutOff(honest answer, _ time.Time) answer {
	honest.manner = truncated
	return honest
}

// malformed is a complete HTTP answer with half of the JSON.
func malformed(honest answer, _ time.Time) answer {
	honest.body = honest.body[:len(honest.body)/2]
	return honest
}

func empty(answer, time.Time) answer { return answer{status: http.StatusOK} }

func html(answer, time.Time) answer {
	return answer{
		status: http.StatusOK,
		header: map[string]string{"Content-Type": "text/html; charset=utf-8"},
		body:   []byte("<!doctype html><title>Maintenance</title><p>We will be back soon."),
	}
}

// huge is the honest answer with so many blanks before its end that no sane client reads it all.
func huge(honest answer, _ time.Time) answer {
	end := len(honest.body) - 1
	honest.body = append(append(honest.body[:end:end], bytes.Repeat([]byte{' '}, hugeBody)...), '}')
	return honest
}

func redirecting(answer, time.Time) answer {
	return answer{status: http.StatusFound, header: map[string]string{"Location": "/"}}
}
