package httpclient

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func TestUnacceptableKeyIsNotSent(t *testing.T) {
	s := &script{handlers: []http.HandlerFunc{status(200)}}
	c := newClient(t, serve(t, s.serve).URL)
	c.profile = processor.Profile{KeyMaxLength: 45,
		KeyAllows: func(r rune) bool { return r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' }}
	for name, tc := range map[string]struct{ key, problem string }{
		"one character too long": {key: strings.Repeat("k", 46), problem: "46 characters: the processor accepts at most 45"},
		"upper case":             {key: "abcD", problem: "character at 3"},
		"not ASCII":              {key: "abcé", problem: "character at 3"},
		"line break":             {key: "abc\n", problem: "an HTTP header cannot carry"},
		"card numbers, too long": {key: strings.Repeat("4111111111111111", 3), problem: "48 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			call := charge()
			call.Key = tc.key
			_, err := c.Do(t.Context(), call)
			var e *processor.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, []any{processor.NotExecuted, false, payment.ClassConfig}, []any{e.Certainty, e.Retry, e.Class})
			require.ErrorContains(t, err, tc.problem)
			require.NotContains(t, err.Error(), tc.key)
		})
	}
	require.Zero(t, s.calls.Load())

	call := charge()
	call.Key = strings.Repeat("k", 45)
	_, err := c.Do(t.Context(), call)
	require.NoError(t, err)
}

func TestExpiredKeyIsNotSent(t *testing.T) {
	for name, tc := range map[string]struct {
		lifetime time.Duration
		age      time.Duration
		sent     bool
	}{
		"not expired":              {lifetime: 24 * time.Hour, age: 24*time.Hour - time.Nanosecond, sent: true},
		"expired":                  {lifetime: 24 * time.Hour, age: 24 * time.Hour, sent: false},
		"kept forever":             {lifetime: 0, age: 10000 * time.Hour, sent: true},
		"first used in the future": {lifetime: 24 * time.Hour, age: -time.Hour, sent: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{handlers: []http.HandlerFunc{status(200)}}
				c := retrying(t, s, nil)
				c.profile.KeyLifetime = tc.lifetime
				call := charge()
				call.KeyFirstUsed = time.Now().Add(-tc.age)
				_, err := c.Do(t.Context(), call)
				if tc.sent {
					require.NoError(t, err)
					return
				}
				var e *processor.Error
				require.ErrorAs(t, err, &e)
				// Ambiguous, because an earlier send may have been executed.
				require.Equal(t, []any{processor.CodeKeyExpired, processor.Ambiguous, false},
					[]any{e.Code, e.Certainty, e.Retry})
				require.NotContains(t, err.Error(), testKey)
				require.Zero(t, s.calls.Load())
			})
		})
	}
}

func TestIdempotentMethodsNeedNoKey(t *testing.T) {
	s := &script{handlers: []http.HandlerFunc{status(200)}}
	c := newClient(t, serve(t, s.serve).URL)
	for method, needs := range map[string]bool{
		"GET": false, "HEAD": false, "OPTIONS": false, "PUT": false, "DELETE": false,
		"POST": true, "PATCH": true, "CONNECT": true, "INVENTED": true,
	} {
		_, err := c.Do(t.Context(), processor.Call{Method: method, Path: "/"})
		if needs {
			require.ErrorContains(t, err, "needs an idempotency key", method)
		} else {
			require.NoError(t, err, method)
		}
	}
}

func TestDeclineOfALookupIsAmbiguous(t *testing.T) {
	s := &script{handlers: []http.HandlerFunc{status(402)}}
	c := newClient(t, serve(t, s.serve).URL)
	c.profile.Refusal = func(processor.Answer) processor.Refusal {
		return processor.Refusal{Decline: &payment.Decline{Code: "lost_card"}}
	}
	declined, err := answer(t, c, charge())
	require.Nil(t, err)
	require.Equal(t, "lost_card", declined.Decline.Code)
	lookedUp, err := answer(t, c, processor.Call{Method: http.MethodGet, Path: "/payments"})
	require.Equal(t, []any{processor.Ambiguous, payment.ClassInvalidResponse}, []any{err.Certainty, err.Class})
	require.Nil(t, lookedUp.Decline)
}

func TestErrorDoesNotContainAKeyThatTheProcessorQuotes(t *testing.T) {
	s := &script{handlers: []http.HandlerFunc{status(400)}}
	c := newClient(t, serve(t, s.serve).URL)
	c.profile.Refusal = func(processor.Answer) processor.Refusal {
		return processor.Refusal{Message: "key " + testKey + " was refused"}
	}
	_, err := c.Do(t.Context(), charge())
	require.ErrorContains(t, err, processor.Withheld)
	require.NotContains(t, err.Error(), testKey)
}
