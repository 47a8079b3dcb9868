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
		{"bad request", 400, "", plain, processor.NotExecuted, false, payment.ClassInvalidRequest},
		{"unauthorized", 401, "", plain, processor.NotExecuted, false, payment.ClassAuthentication},
		{"forbidden", 403, "", plain, processor.NotExecuted, false, payment.ClassPermission},
		{"not found", 404, "", plain, processor.NotExecuted, false, payment.ClassConfig},
		{"method not allowed", 405, "", plain, processor.NotExecuted, false, payment.ClassInvalidRequest},
		{"not acceptable", 406, "", plain, processor.NotExecuted, false, payment.ClassInvalidRequest},
		{"request timeout", 408, "", plain, processor.Ambiguous, true, payment.ClassOutcomeUnknown},
		{"state conflict", 409, "", plain, processor.Ambiguous, false, payment.ClassStateConflict},
		{"state conflict with a code", 409, "already_captured", drafted, processor.Ambiguous, false, payment.ClassStateConflict},
		{"key in flight", 409, "in_flight", drafted, processor.Ambiguous, true, payment.ClassOutcomeUnknown},
		{"in flight, but not here", 400, "in_flight", drafted, processor.NotExecuted, false, payment.ClassInvalidRequest},
		{"state conflict by its code", 400, "already_captured", namesStates, processor.Ambiguous, false, payment.ClassStateConflict},
		{"state conflict, but of the server", 500, "already_captured", namesStates, processor.Ambiguous, true, payment.ClassUnavailable},
		{"another code", 400, "amount_invalid", namesStates, processor.NotExecuted, false, payment.ClassInvalidRequest},
		{"gone", 410, "", plain, processor.NotExecuted, false, payment.ClassInvalidRequest},
		{"length required", 411, "", plain, processor.NotExecuted, false, payment.ClassInvalidRequest},
		{"too large", 413, "", plain, processor.NotExecuted, false, payment.ClassInvalidRequest},
		{"URI too long", 414, "", plain, processor.NotExecuted, false, payment.ClassInvalidRequest},
		{"media type", 415, "", plain, processor.NotExecuted, false, payment.ClassInvalidRequest},
		{"unprocessable", 422, "", plain, processor.NotExecuted, false, payment.ClassInvalidRequest},
		{"unprocessable with a code", 422, "amount_invalid", drafted, processor.NotExecuted, false, payment.ClassInvalidRequest},
		{"locked", 423, "", plain, processor.NotExecuted, true, payment.ClassUnavailable},
		{"failed dependency", 424, "", plain, processor.Ambiguous, true, payment.ClassOutcomeUnknown},
		{"too early", 425, "", plain, processor.NotExecuted, true, payment.ClassUnavailable},
		{"rate limited", 429, "", plain, processor.NotExecuted, true, payment.ClassRateLimited},
		{"headers too large", 431, "", plain, processor.NotExecuted, false, payment.ClassInvalidRequest},
		{"client closed request", 499, "", plain, processor.Ambiguous, true, payment.ClassOutcomeUnknown},

		{"mismatch 400", 400, "mismatch", drafted, processor.Ambiguous, false, payment.ClassIdempotencyMismatch},
		{"mismatch 409", 409, "mismatch", drafted, processor.Ambiguous, false, payment.ClassIdempotencyMismatch},
		{"mismatch 422", 422, "mismatch", drafted, processor.Ambiguous, false, payment.ClassIdempotencyMismatch},

		{"internal", 500, "", plain, processor.Ambiguous, true, payment.ClassUnavailable},
		{"not implemented", 501, "", plain, processor.NotExecuted, false, payment.ClassConfig},
		{"bad gateway", 502, "", plain, processor.Ambiguous, true, payment.ClassUnavailable},
		{"unavailable", 503, "", plain, processor.Ambiguous, true, payment.ClassUnavailable},
		{"unavailable, documented", 503, "", documents503, processor.NotExecuted, true, payment.ClassUnavailable},
		{"gateway timeout", 504, "", plain, processor.Ambiguous, true, payment.ClassUnavailable},
		{"documents 503 only", 504, "", documents503, processor.Ambiguous, true, payment.ClassUnavailable},
		{"version", 505, "", plain, processor.NotExecuted, false, payment.ClassConfig},
		{"insufficient storage", 507, "", plain, processor.Ambiguous, true, payment.ClassUnavailable},
		{"network authentication", 511, "", plain, processor.Ambiguous, true, payment.ClassUnavailable},
		{"bandwidth", 509, "", plain, processor.Ambiguous, true, payment.ClassUnavailable},

		{"moved", 301, "", plain, processor.Ambiguous, false, payment.ClassConfig},
		{"found", 302, "", plain, processor.Ambiguous, false, payment.ClassConfig},
		{"see other", 303, "", plain, processor.Ambiguous, false, payment.ClassConfig},
		{"temporary redirect", 307, "", plain, processor.Ambiguous, false, payment.ClassConfig},
		{"permanent redirect", 308, "", plain, processor.Ambiguous, false, payment.ClassConfig},

		{"switching protocols", 101, "", plain, processor.Ambiguous, false, payment.ClassInvalidResponse},
		{"unexpected 2xx", 299, "", plain, processor.Ambiguous, false, payment.ClassInvalidResponse},
		{"not modified", 304, "", plain, processor.Ambiguous, false, payment.ClassInvalidResponse},
		{"teapot", 418, "", plain, processor.Ambiguous, false, payment.ClassInvalidResponse},
		{"unexpected 4xx", 460, "", plain, processor.Ambiguous, false, payment.ClassInvalidResponse},
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
