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
	empty = processor.Profile{}
	keyed = processor.Profile{ // like the profile of the REST protocol
		InFlight: func(status int, code string) bool { return status == http.StatusConflict && code == "in_flight" },
		Mismatch: func(_ int, code string) bool { return code == "mismatch" },
	}
	safe503     = processor.Profile{Unavailable503NotExecuted: true}
	conflicting = processor.Profile{Conflict: func(_ int, code string) bool { return code == "already_captured" }}
)

// classified returns the error for a response whose body has the code and message.
func classified(a processor.Answer, code, message string, p processor.Profile) *processor.Error {
	p.Refusal = func(processor.Answer) processor.Refusal { return processor.Refusal{Code: code, Message: message} }
	_, e := Response(a, p)
	return e
}

// All statuses of the map verdicts, and those that the profile or the body decides.
func TestClassificationOfResponses(t *testing.T) {
	for _, tc := range []struct {
		name      string
		status    int
		code      string
		profile   processor.Profile
		certainty processor.Certainty
		retry     bool
		class     payment.FailureClass
	}{
		{name: "bad request", status: 400, profile: empty, certainty: processor.NotExecuted,
			class: payment.ClassInvalidRequest},
		{name: "unauthorized", status: 401, profile: empty, certainty: processor.NotExecuted,
			class: payment.ClassAuthentication},
		{name: "forbidden", status: 403, profile: empty, certainty: processor.NotExecuted, class: payment.ClassPermission},
		{name: "not found", status: 404, profile: empty, certainty: processor.NotExecuted, class: payment.ClassConfig},
		{name: "method not allowed", status: 405, profile: empty, certainty: processor.NotExecuted,
			class: payment.ClassInvalidRequest},
		{name: "not acceptable", status: 406, profile: empty, certainty: processor.NotExecuted,
			class: payment.ClassInvalidRequest},
		{name: "request timeout", status: 408, profile: empty, certainty: processor.Ambiguous, retry: true,
			class: payment.ClassOutcomeUnknown},
		{name: "state conflict", status: 409, profile: empty, certainty: processor.Ambiguous,
			class: payment.ClassStateConflict},
		{name: "state conflict with a code", status: 409, code: "already_captured", profile: keyed,
			certainty: processor.Ambiguous, class: payment.ClassStateConflict},
		{name: "key in flight", status: 409, code: "in_flight", profile: keyed, certainty: processor.Ambiguous,
			retry: true, class: payment.ClassOutcomeUnknown},
		{name: "code of a key in flight with another status", status: 400, code: "in_flight", profile: keyed,
			certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "state conflict by its code", status: 400, code: "already_captured", profile: conflicting,
			certainty: processor.Ambiguous, class: payment.ClassStateConflict},
		{name: "code of a state conflict with a 500", status: 500, code: "already_captured", profile: conflicting,
			certainty: processor.Ambiguous, retry: true, class: payment.ClassUnavailable},
		{name: "400 with another code", status: 400, code: "amount_invalid", profile: conflicting,
			certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "gone", status: 410, profile: empty, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "length required", status: 411, profile: empty, certainty: processor.NotExecuted,
			class: payment.ClassInvalidRequest},
		{name: "content too large", status: 413, profile: empty, certainty: processor.NotExecuted,
			class: payment.ClassInvalidRequest},
		{name: "URI too long", status: 414, profile: empty, certainty: processor.NotExecuted,
			class: payment.ClassInvalidRequest},
		{name: "unsupported media type", status: 415, profile: empty, certainty: processor.NotExecuted,
			class: payment.ClassInvalidRequest},
		{name: "unprocessable", status: 422, profile: empty, certainty: processor.NotExecuted,
			class: payment.ClassInvalidRequest},
		{name: "unprocessable with a code", status: 422, code: "amount_invalid", profile: keyed,
			certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "locked", status: 423, profile: empty, certainty: processor.NotExecuted, retry: true,
			class: payment.ClassUnavailable},
		{name: "failed dependency", status: 424, profile: empty, certainty: processor.Ambiguous, retry: true,
			class: payment.ClassOutcomeUnknown},
		{name: "too early", status: 425, profile: empty, certainty: processor.NotExecuted, retry: true,
			class: payment.ClassUnavailable},
		{name: "rate limited", status: 429, profile: empty, certainty: processor.NotExecuted, retry: true,
			class: payment.ClassRateLimited},
		{name: "headers too large", status: 431, profile: empty, certainty: processor.NotExecuted,
			class: payment.ClassInvalidRequest},
		{name: "client closed request", status: 499, profile: empty, certainty: processor.Ambiguous, retry: true,
			class: payment.ClassOutcomeUnknown},

		{name: "key mismatch with a 400", status: 400, code: "mismatch", profile: keyed, certainty: processor.Ambiguous,
			class: payment.ClassIdempotencyMismatch},
		{name: "key mismatch with a 409", status: 409, code: "mismatch", profile: keyed, certainty: processor.Ambiguous,
			class: payment.ClassIdempotencyMismatch},
		{name: "key mismatch with a 422", status: 422, code: "mismatch", profile: keyed, certainty: processor.Ambiguous,
			class: payment.ClassIdempotencyMismatch},

		{name: "internal server error", status: 500, profile: empty, certainty: processor.Ambiguous, retry: true,
			class: payment.ClassUnavailable},
		{name: "not implemented", status: 501, profile: empty, certainty: processor.NotExecuted, class: payment.ClassConfig},
		{name: "bad gateway", status: 502, profile: empty, certainty: processor.Ambiguous, retry: true,
			class: payment.ClassUnavailable},
		{name: "service unavailable", status: 503, profile: empty, certainty: processor.Ambiguous, retry: true,
			class: payment.ClassUnavailable},
		{name: "unavailable, documented as not executed", status: 503, profile: safe503,
			certainty: processor.NotExecuted, retry: true, class: payment.ClassUnavailable},
		{name: "gateway timeout", status: 504, profile: empty, certainty: processor.Ambiguous, retry: true,
			class: payment.ClassUnavailable},
		{name: "gateway timeout, 503 documented", status: 504, profile: safe503, certainty: processor.Ambiguous,
			retry: true, class: payment.ClassUnavailable},
		{name: "HTTP version not supported", status: 505, profile: empty, certainty: processor.NotExecuted,
			class: payment.ClassConfig},
		{name: "insufficient storage", status: 507, profile: empty, certainty: processor.Ambiguous, retry: true,
			class: payment.ClassUnavailable},
		{name: "network authentication required", status: 511, profile: empty, certainty: processor.Ambiguous,
			retry: true, class: payment.ClassUnavailable},
		{name: "bandwidth limit exceeded", status: 509, profile: empty, certainty: processor.Ambiguous, retry: true,
			class: payment.ClassUnavailable},

		{name: "moved permanently", status: 301, profile: empty, certainty: processor.Ambiguous, class: payment.ClassConfig},
		{name: "found", status: 302, profile: empty, certainty: processor.Ambiguous, class: payment.ClassConfig},
		{name: "see other", status: 303, profile: empty, certainty: processor.Ambiguous, class: payment.ClassConfig},
		{name: "temporary redirect", status: 307, profile: empty, certainty: processor.Ambiguous,
			class: payment.ClassConfig},
		{name: "permanent redirect", status: 308, profile: empty, certainty: processor.Ambiguous,
			class: payment.ClassConfig},

		{name: "switching protocols", status: 101, profile: empty, certainty: processor.Ambiguous,
			class: payment.ClassInvalidResponse},
		{name: "unexpected 2xx", status: 299, profile: empty, certainty: processor.Ambiguous,
			class: payment.ClassInvalidResponse},
		{name: "not modified", status: 304, profile: empty, certainty: processor.Ambiguous,
			class: payment.ClassInvalidResponse},
		{name: "teapot", status: 418, profile: empty, certainty: processor.Ambiguous, class: payment.ClassInvalidResponse},
		{name: "unexpected 4xx", status: 460, profile: empty, certainty: processor.Ambiguous,
			class: payment.ClassInvalidResponse},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer := processor.Answer{Status: tc.status, RetryAfter: 7 * time.Second, RequestID: "req_1"}
			require.Equal(t, &processor.Error{
				Class: tc.class, Certainty: tc.certainty, Retry: tc.retry, RetryAfter: 7 * time.Second,
				HTTPStatus: tc.status,
				Code:       tc.code, Message: "some message", RequestID: "req_1",
			}, classified(answer, tc.code, "some message", tc.profile))
		})
	}
}

func TestStatusesOfProxiesAreAmbiguous(t *testing.T) {
	for status := 520; status <= 599; status++ {
		e := classified(processor.Answer{Status: status}, "", "", empty)
		require.Equal(t, processor.Ambiguous, e.Certainty, status)
		require.True(t, e.Retry, status)
	}
}

// Temporal never retries errors of these classes: see activities.NeverRetried.
func TestClassesThatAreNeverRetriedAreNotRetryable(t *testing.T) {
	for status := 100; status < 1000; status++ {
		for _, truncated := range []bool{false, true} {
			for _, profile := range []processor.Profile{empty, keyed, safe503} {
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

// The missing part of the body may contain a code that changes the classification.
func TestTruncatedBodyIsAmbiguousIfItsCodeCouldMatter(t *testing.T) {
	for _, status := range []int{400, 409, 422} {
		e := classified(processor.Answer{Status: status, Truncated: true}, "", "", keyed)
		require.Equal(t, processor.Ambiguous, e.Certainty, status)
		require.True(t, e.Retry, status)
		require.Equal(t, payment.ClassInvalidResponse, e.Class, status)
	}
	for _, status := range []int{401, 403, 404, 429, 500, 503} {
		require.Equal(t, classified(processor.Answer{Status: status}, "", "", keyed),
			classified(processor.Answer{Status: status, Truncated: true}, "", "", keyed))
	}
}

func TestMalformedSuccessIsAmbiguous(t *testing.T) {
	require.Equal(t, &processor.Error{Class: payment.ClassInvalidResponse, Certainty: processor.Ambiguous, Retry: true,
		HTTPStatus: 200,
		Message:    "no id", RequestID: "req_1"},
		processor.Malformed(processor.Answer{Status: 200, RequestID: "req_1"}, "no id"))
}

func TestTextOfAnError(t *testing.T) {
	require.EqualError(t, classified(processor.Answer{Status: 429}, "slow", "slow down", empty),
		"rate_limited: HTTP 429 (slow): slow down")
	require.EqualError(t, classified(processor.Answer{Status: 502}, "", "", empty), "unavailable: HTTP 502: Bad Gateway")
	require.EqualError(t, classified(processor.Answer{Status: 599}, "", "", empty), "unavailable: HTTP 599")
	require.EqualError(t, &processor.Error{Class: payment.ClassNotSent}, "not_sent")
}

// The response is to the last of several sends. An earlier one may be the reason for a decline as a duplicate, or for a conflict.
func TestResponseToAnotherSendThanTheFirstConcludesNothing(t *testing.T) {
	declined := processor.Profile{Refusal: func(processor.Answer) processor.Refusal {
		return processor.Refusal{Decline: &payment.Decline{Code: "duplicate_transaction"}}
	}}
	for status, profile := range map[int]processor.Profile{http.StatusPaymentRequired: declined, http.StatusConflict: {}} {
		decline, err := Response(processor.Answer{Status: status, Sends: 2}, profile)
		require.Nil(t, decline)
		require.Equal(t, []any{processor.Ambiguous, true, payment.ClassOutcomeUnknown}, []any{err.Certainty, err.Retry, err.Class})
	}
	decline, _ := Response(processor.Answer{Status: http.StatusPaymentRequired, Sends: 1}, declined)
	require.NotNil(t, decline)
}
