package classify

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var (
	plain   = processor.Profile{}
	drafted = processor.Profile{ // as the REST protocol
		InFlight: func(status int, code string) bool { return status == http.StatusConflict && code == "in_flight" },
		Mismatch: func(_ int, code string) bool { return code == "mismatch" },
	}
	documents503 = processor.Profile{Unavailable503NotExecuted: true}
	namesStates  = processor.Profile{Conflict: func(_ int, code string) bool { return code == "already_captured" }}
)

// classified is the error of a response whose body has the given code and message.
func classified(a processor.Answer, code, message string, p processor.Profile) *processor.Error {
	p.Refusal = func(processor.Answer) processor.Refusal { return processor.Refusal{Code: code, Message: message} }
	_, e := Response(a, p)
	return e
}

// Every status of the map verdicts, and those that the profile or the body decides.
func TestAnswersMeanWhatTheTableOfOutcomesSays(t *testing.T) {
	for _, tc := range []struct {
		name      string
		status    int
		code      string
		profile   processor.Profile
		certainty processor.Certainty
		retry     bool
		class     payment.FailureClass
	}{
		{name: "bad request", status: 400, profile: plain, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "unauthorized", status: 401, profile: plain, certainty: processor.NotExecuted, class: payment.ClassAuthentication},
		{name: "forbidden", status: 403, profile: plain, certainty: processor.NotExecuted, class: payment.ClassPermission},
		{name: "not found", status: 404, profile: plain, certainty: processor.NotExecuted, class: payment.ClassConfig},
		{name: "method not allowed", status: 405, profile: plain, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "not acceptable", status: 406, profile: plain, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "request timeout", status: 408, profile: plain, certainty: processor.Ambiguous, retry: true, class: payment.ClassOutcomeUnknown},
		{name: "state conflict", status: 409, profile: plain, certainty: processor.Ambiguous, class: payment.ClassStateConflict},
		{name: "state conflict with a code", status: 409, code: "already_captured", profile: drafted, certainty: processor.Ambiguous, class: payment.ClassStateConflict},
		{name: "key in flight", status: 409, code: "in_flight", profile: drafted, certainty: processor.Ambiguous, retry: true, class: payment.ClassOutcomeUnknown},
		{name: "in flight, but not here", status: 400, code: "in_flight", profile: drafted, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "state conflict by its code", status: 400, code: "already_captured", profile: namesStates, certainty: processor.Ambiguous, class: payment.ClassStateConflict},
		{name: "state conflict, but of the server", status: 500, code: "already_captured", profile: namesStates, certainty: processor.Ambiguous, retry: true, class: payment.ClassUnavailable},
		{name: "another code", status: 400, code: "amount_invalid", profile: namesStates, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "gone", status: 410, profile: plain, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "length required", status: 411, profile: plain, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "too large", status: 413, profile: plain, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "URI too long", status: 414, profile: plain, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "media type", status: 415, profile: plain, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "unprocessable", status: 422, profile: plain, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "unprocessable with a code", status: 422, code: "amount_invalid", profile: drafted, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "locked", status: 423, profile: plain, certainty: processor.NotExecuted, retry: true, class: payment.ClassUnavailable},
		{name: "failed dependency", status: 424, profile: plain, certainty: processor.Ambiguous, retry: true, class: payment.ClassOutcomeUnknown},
		{name: "too early", status: 425, profile: plain, certainty: processor.NotExecuted, retry: true, class: payment.ClassUnavailable},
		{name: "rate limited", status: 429, profile: plain, certainty: processor.NotExecuted, retry: true, class: payment.ClassRateLimited},
		{name: "headers too large", status: 431, profile: plain, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "client closed request", status: 499, profile: plain, certainty: processor.Ambiguous, retry: true, class: payment.ClassOutcomeUnknown},

		{name: "mismatch 400", status: 400, code: "mismatch", profile: drafted, certainty: processor.Ambiguous, class: payment.ClassIdempotencyMismatch},
		{name: "mismatch 409", status: 409, code: "mismatch", profile: drafted, certainty: processor.Ambiguous, class: payment.ClassIdempotencyMismatch},
		{name: "mismatch 422", status: 422, code: "mismatch", profile: drafted, certainty: processor.Ambiguous, class: payment.ClassIdempotencyMismatch},

		{name: "internal", status: 500, profile: plain, certainty: processor.Ambiguous, retry: true, class: payment.ClassUnavailable},
		{name: "not implemented", status: 501, profile: plain, certainty: processor.NotExecuted, class: payment.ClassConfig},
		{name: "bad gateway", status: 502, profile: plain, certainty: processor.Ambiguous, retry: true, class: payment.ClassUnavailable},
		{name: "unavailable", status: 503, profile: plain, certainty: processor.Ambiguous, retry: true, class: payment.ClassUnavailable},
		{name: "unavailable, documented", status: 503, profile: documents503, certainty: processor.NotExecuted, retry: true, class: payment.ClassUnavailable},
		{name: "gateway timeout", status: 504, profile: plain, certainty: processor.Ambiguous, retry: true, class: payment.ClassUnavailable},
		{name: "documents 503 only", status: 504, profile: documents503, certainty: processor.Ambiguous, retry: true, class: payment.ClassUnavailable},
		{name: "version", status: 505, profile: plain, certainty: processor.NotExecuted, class: payment.ClassConfig},
		{name: "insufficient storage", status: 507, profile: plain, certainty: processor.Ambiguous, retry: true, class: payment.ClassUnavailable},
		{name: "network authentication", status: 511, profile: plain, certainty: processor.Ambiguous, retry: true, class: payment.ClassUnavailable},
		{name: "bandwidth", status: 509, profile: plain, certainty: processor.Ambiguous, retry: true, class: payment.ClassUnavailable},

		{name: "moved", status: 301, profile: plain, certainty: processor.Ambiguous, class: payment.ClassConfig},
		{name: "found", status: 302, profile: plain, certainty: processor.Ambiguous, class: payment.ClassConfig},
		{name: "see other", status: 303, profile: plain, certainty: processor.Ambiguous, class: payment.ClassConfig},
		{name: "temporary redirect", status: 307, profile: plain, certainty: processor.Ambiguous, class: payment.ClassConfig},
		{name: "permanent redirect", status: 308, profile: plain, certainty: processor.Ambiguous, class: payment.ClassConfig},

		{name: "switching protocols", status: 101, profile: plain, certainty: processor.Ambiguous, class: payment.ClassInvalidResponse},
		{name: "unexpected 2xx", status: 299, profile: plain, certainty: processor.Ambiguous, class: payment.ClassInvalidResponse},
		{name: "not modified", status: 304, profile: plain, certainty: processor.Ambiguous, class: payment.ClassInvalidResponse},
		{name: "teapot", status: 418, profile: plain, certainty: processor.Ambiguous, class: payment.ClassInvalidResponse},
		{name: "unexpected 4xx", status: 460, profile: plain, certainty: processor.Ambiguous, class: payment.ClassInvalidResponse},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer := processor.Answer{Status: tc.status, RetryAfter: 7 * time.Second, RequestID: "req_1"}
			require.Equal(t, &processor.Error{
				Class: tc.class, Certainty: tc.certainty, Retry: tc.retry, RetryAfter: 7 * time.Second, HTTPStatus: tc.status,
				Code: tc.code, Message: "words", RequestID: "req_1",
			}, classified(answer, tc.code, "words", tc.profile))
		})
	}
}

func TestStatusesOfProxiesAreAmbiguous(t *testing.T) {
	for status := 520; status <= 599; status++ {
		e := classified(processor.Answer{Status: status}, "", "", plain)
		require.Equal(t, processor.Ambiguous, e.Certainty, status)
		require.True(t, e.Retry, status)
	}
}

// The classes that no retry policy may retry; see activities.NeverRetried.
func TestNoAnswerIsBothFinalByItsClassAndRetried(t *testing.T) {
	for status := 100; status < 1000; status++ {
		for _, truncated := range []bool{false, true} {
			for _, profile := range []processor.Profile{plain, drafted, documents503} {
				for _, code := range []string{"", "in_flight", "mismatch"} {
					e := classified(processor.Answer{Status: status, Truncated: truncated}, code, "", profile)
					require.Contains(t, payment.FailureClasses, e.Class)
					require.Contains(t, []processor.Certainty{processor.NotExecuted, processor.Ambiguous}, e.Certainty)
					switch e.Class {
					case payment.ClassInvalidRequest, payment.ClassIdempotencyMismatch, payment.ClassAuthentication,
						payment.ClassPermission, payment.ClassConfig, payment.ClassStateConflict:
						require.False(t, e.Retry, "%d %q", status, code)
					default:
					}
				}
			}
		}
	}
}

// Half a body may have lost the code that makes the difference.
func TestATruncatedBodyDecidesNothing(t *testing.T) {
	for _, status := range []int{400, 409, 422} {
		e := classified(processor.Answer{Status: status, Truncated: true}, "", "", drafted)
		require.Equal(t, processor.Ambiguous, e.Certainty, status)
		require.True(t, e.Retry, status)
		require.Equal(t, payment.ClassInvalidResponse, e.Class, status)
	}
	for _, status := range []int{401, 403, 404, 429, 500, 503} {
		require.Equal(t, classified(processor.Answer{Status: status}, "", "", drafted), classified(processor.Answer{Status: status, Truncated: true}, "", "", drafted))
	}
}

func TestASuccessThatCannotBeReadIsAmbiguous(t *testing.T) {
	require.Equal(t, &processor.Error{Class: payment.ClassInvalidResponse, Certainty: processor.Ambiguous, Retry: true, HTTPStatus: 200,
		Message: "no id", RequestID: "req_1"}, processor.Malformed(processor.Answer{Status: 200, RequestID: "req_1"}, "no id"))
}

func TestAnErrorReadsAsOneSentence(t *testing.T) {
	require.EqualError(t, classified(processor.Answer{Status: 429}, "slow", "slow down", plain), "rate_limited: HTTP 429 (slow): slow down")
	require.EqualError(t, classified(processor.Answer{Status: 502}, "", "", plain), "unavailable: HTTP 502: Bad Gateway")
	require.EqualError(t, classified(processor.Answer{Status: 599}, "", "", plain), "unavailable: HTTP 599")
	require.EqualError(t, &processor.Error{Class: payment.ClassNotSent}, "not_sent")
}
