package processortest

// Scenarios about idempotency keys, which keep a repeated call from moving money again.

import (
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var keyScenarios = []scenario{
	{name: "the idempotency key is sent unchanged", doc: docClient, run: keyIsSent},
	{name: "a repeated call sends the same bytes under the same key", doc: docMapping, run: repeatedCall},
	{name: "a call without an idempotency key is not sent", doc: docClient, run: missingKey},
	{name: "an idempotency key that the processor would not accept is not sent", doc: docProfile, run: unacceptableKey},
	{name: "an expired idempotency key is not sent, and the outcome is ambiguous", doc: docProfile, skip: skipWithoutLifetime,
		run: expiredKey},
	{name: "a key that is still in flight is ambiguous and retryable", doc: docProfile, skip: skipWithoutInFlight, run: keyInFlight},
	{name: "a key that was used with another payload is ambiguous and not retryable", doc: docProfile, skip: skipWithoutMismatch,
		run: keyMismatch},
	{name: "a rejected API key is replaced once, under the same idempotency key", doc: docClient, run: rejectedAPIKey},
}

// sentKey returns the idempotency key of a request.
func sentKey(r Request) string { return r.Header.Get("Idempotency-Key") }

func keyIsSent(t tester, p Protocol) {
	longest := strings.Repeat("k", 200)
	if p.Profile.KeyMaxLength > 0 {
		longest = strings.Repeat("k", p.Profile.KeyMaxLength)
	}
	eachOperation(t, p, func(t tester, op operation) {
		for _, key := range []string{keyOf("1"), payment.ProcessorKey(paymentID, payment.OperationCharge, 0), longest} {
			r := start(t, p, always(op.response(p, op.record(p, key))))
			_, err := op.call(t.Context(), r.adapter, callOptions{key: key, payment: processorPaymentID})
			require.Equal(t, key, sentKey(r.onlyRequest().Request))
			require.NoError(t, err)
		}
	})
}

func repeatedCall(t tester, p Protocol) {
	eachOperation(t, p, func(t tester, op operation) {
		r := start(t, p, always(p.WriteError(http.StatusInternalServerError, "", "")))
		call := callOptions{key: keyOf("1"), payment: processorPaymentID}
		for range 10 {
			_, err := op.call(t.Context(), r.adapter, call)
			r.requireFailure(err, processor.Ambiguous, true, payment.ClassUnavailable)
			call.firstUsed = time.Now()
		}
		sent := r.requireRequests(10)
		for _, repeat := range sent {
			require.Equal(t, keyOf("1"), sentKey(repeat.Request))
			require.Equal(t, sent[0].Method+" "+sent[0].Path, repeat.Method+" "+repeat.Path)
			require.Equal(t, string(sent[0].Body), string(repeat.Body))
		}
	})
}

func missingKey(t tester, p Protocol) {
	eachOperation(t, p, func(t tester, op operation) {
		r := start(t, p, always(op.success(p)))
		_, err := op.call(t.Context(), r.adapter, callOptions{payment: processorPaymentID})
		r.requireRequests(0)
		r.requireFailure(err, processor.NotExecuted, false, payment.ClassConfig)
	})
}

func unacceptableKey(t tester, p Protocol) {
	keys := map[string]string{"a line break": keyOf("1") + "\n"}
	if limit := p.Profile.KeyMaxLength; limit > 0 {
		keys["too long"] = strings.Repeat("k", limit+1)
	}
	if allows := p.Profile.KeyAllows; allows != nil {
		for c := '!'; c <= '~'; c++ {
			if !allows(c) {
				keys["a character that the profile does not allow"] = keyOf("1") + string(c)
			}
		}
	}
	eachOperation(t, p, func(t tester, op operation) {
		for _, name := range sorted(keys) {
			r := start(t, p, always(op.success(p)))
			_, err := op.call(t.Context(), r.adapter, callOptions{key: keys[name], payment: processorPaymentID})
			r.requireRequests(0)
			r.requireFailure(err, processor.NotExecuted, false, payment.ClassConfig)
		}
	})
}

func skipWithoutLifetime(p Protocol) string {
	if p.Profile.KeyLifetime == 0 {
		return "the processor keeps keys forever"
	}
	return ""
}

func expiredKey(t tester, p Protocol) {
	lifetime := p.Profile.KeyLifetime
	eachOperation(t, p, func(t tester, op operation) {
		r := start(t, p, always(op.success(p)))
		_, err := op.call(t.Context(), r.adapter,
			callOptions{key: keyOf("1"), payment: processorPaymentID, firstUsed: time.Now().Add(-lifetime - time.Second)})
		r.requireRequests(0)
		e := r.requireFailure(err, processor.Ambiguous, false, payment.ClassOutcomeUnknown)
		require.Equal(t, processor.CodeKeyExpired, e.Code)

		_, err = op.call(t.Context(), r.adapter,
			callOptions{key: keyOf("1"), payment: processorPaymentID, firstUsed: time.Now().Add(-lifetime / 2)})
		require.NoError(t, err, "a key that has not expired")
		r.onlyRequest()
	})
}

func skipWithoutInFlight(p Protocol) string {
	if p.WriteInFlight == nil {
		return "the protocol has no response for a key in flight"
	}
	return ""
}

func keyInFlight(t tester, p Protocol) {
	eachOperation(t, p, func(t tester, op operation) {
		r := start(t, p, always(p.WriteInFlight()))
		_, err := op.run(r)
		r.onlyRequest()
		r.requireFailure(err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
	})
}

func skipWithoutMismatch(p Protocol) string {
	if p.WriteMismatch == nil {
		return "the protocol has no response for a key that was used with another payload"
	}
	return ""
}

func keyMismatch(t tester, p Protocol) {
	eachOperation(t, p, func(t tester, op operation) {
		r := start(t, p, always(p.WriteMismatch()))
		_, err := op.run(r)
		r.onlyRequest()
		r.requireFailure(err, processor.Ambiguous, false, payment.ClassIdempotencyMismatch)
	})
}

func rejectedAPIKey(t tester, p Protocol) {
	rejectFirst := func(then func(received) Response) func(received) Response {
		return func(got received) Response {
			if got.nth == 1 {
				return p.WriteError(http.StatusUnauthorized, "some_code", "invalid API key")
			}
			return then(got)
		}
	}
	check := func(t tester, sent []received) {
		require.GreaterOrEqual(t, len(sent), 2)
		require.Equal(t, "Bearer "+apiKey+"-1", sent[0].Header.Get("Authorization"))
		require.Equal(t, "Bearer "+apiKey+"-2", sent[1].Header.Get("Authorization"))
		require.Equal(t, sentKey(sent[0].Request), sentKey(sent[1].Request))
		require.Equal(t, sent[0].Path+"?"+sent[0].Query.Encode(), sent[1].Path+"?"+sent[1].Query.Encode())
		require.Equal(t, string(sent[0].Body), string(sent[1].Body))
	}
	eachOperation(t, p, func(t tester, op operation) {
		r := start(t, p, rejectFirst(always(op.success(p))))
		got := r.requireResult(op.run(r))
		require.Equal(t, op.wantResult(p, op.record(p, keyOf("1")), 2), got)
		check(t, r.requireRequests(2))
	})
	for _, q := range queries {
		t.Run(q.name, func(t tester) {
			r := start(t, p, rejectFirst(func(got received) Response { return q.success(p, got.Request) }))
			_, found, err := q.run(r)
			require.NoError(t, err)
			require.True(t, found)
			check(t, r.sent())
		})
	}
}
