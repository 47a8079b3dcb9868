package processortest

// Idempotency keys: what keeps a repeat from moving the money again.

import (
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var keys = []scenario{
	{"the idempotency key is sent, exactly as the call has it", nil, keyIsSent},
	{"a repeat is the same request under the same key, byte for byte", nil, repeatIsTheSame},
	{"a call without a key is not sent", nil, noKeyNoCall},
	{"a key that the processor would not take is not sent", nil, badKey},
	{"a key that the processor has forgotten is not sent, and nobody knows what it did", lacksLifetime, forgottenKey},
	{"a key that is still in use is asked for again", lacksInFlight, keyInFlight},
	{"a key that was used for something else is never sent again", lacksMismatch, keyMismatch},
	{"a refused API key is replaced once, under the same idempotency key", nil, freshAPIKey},
}

func keyOnWire(r Request) string { return r.Header.Get("Idempotency-Key") }

func keyIsSent(t tester, p Protocol) {
	longest := strings.Repeat("k", 200)
	if p.Profile.KeyMaxLength > 0 {
		longest = strings.Repeat("k", p.Profile.KeyMaxLength)
	}
	eachMove(t, p, func(t tester, m money) {
		for _, key := range []string{keyOf("1"), payment.ProcessorKey(paymentID, payment.OperationCharge, 0), longest} {
			r := start(t, p, always(m.answer(p, m.record(p, key))))
			_, err := m.do(t.Context(), r.adapter, how{key: key, payment: theirID})
			require.Equal(t, key, keyOnWire(r.once().Request))
			require.NoError(t, err)
		}
	})
}

func repeatIsTheSame(t tester, p Protocol) {
	eachMove(t, p, func(t tester, m money) {
		r := start(t, p, always(p.Error(http.StatusInternalServerError, "", "")))
		call := how{key: keyOf("1"), payment: theirID}
		for range 10 {
			_, err := m.do(t.Context(), r.adapter, call)
			r.ends(err, processor.Ambiguous, true, payment.ClassUnavailable)
			call.firstUsed = time.Now()
		}
		sent := r.times(10)
		for _, again := range sent {
			require.Equal(t, keyOf("1"), keyOnWire(again.Request))
			require.Equal(t, sent[0].Method+" "+sent[0].Path, again.Method+" "+again.Path)
			require.Equal(t, string(sent[0].Body), string(again.Body))
		}
	})
}

func noKeyNoCall(t tester, p Protocol) {
	eachMove(t, p, func(t tester, m money) {
		r := start(t, p, always(m.honest(p)))
		_, err := m.do(t.Context(), r.adapter, how{payment: theirID})
		r.times(0)
		r.ends(err, processor.NotExecuted, false, payment.ClassConfig)
	})
}

func badKey(t tester, p Protocol) {
	bad := map[string]string{"a line break": keyOf("1") + "\n"}
	if most := p.Profile.KeyMaxLength; most > 0 {
		bad["too long"] = strings.Repeat("k", most+1)
	}
	if allows := p.Profile.KeyAllows; allows != nil {
		for c := '!'; c <= '~'; c++ {
			if !allows(c) {
				bad["a character that the profile does not allow"] = keyOf("1") + string(c)
			}
		}
	}
	eachMove(t, p, func(t tester, m money) {
		for _, what := range sorted(bad) {
			r := start(t, p, always(m.honest(p)))
			_, err := m.do(t.Context(), r.adapter, how{key: bad[what], payment: theirID})
			r.times(0)
			r.ends(err, processor.NotExecuted, false, payment.ClassConfig)
		}
	})
}

func lacksLifetime(p Protocol) string {
	if p.Profile.KeyLifetime == 0 {
		return "the processor remembers keys for ever"
	}
	return ""
}

func forgottenKey(t tester, p Protocol) {
	life := p.Profile.KeyLifetime
	eachMove(t, p, func(t tester, m money) {
		r := start(t, p, always(m.honest(p)))
		_, err := m.do(t.Context(), r.adapter, how{key: keyOf("1"), payment: theirID, firstUsed: time.Now().Add(-life - time.Second)})
		r.times(0)
		e := r.ends(err, processor.Ambiguous, false, payment.ClassOutcomeUnknown)
		require.Equal(t, processor.CodeKeyExpired, e.Code)

		_, err = m.do(t.Context(), r.adapter, how{key: keyOf("1"), payment: theirID, firstUsed: time.Now().Add(-life / 2)})
		require.NoError(t, err, "a key that is still remembered")
		r.once()
	})
}

func lacksInFlight(p Protocol) string {
	if p.InFlight == nil {
		return "the protocol has no word for a key in use"
	}
	return ""
}

func keyInFlight(t tester, p Protocol) {
	eachMove(t, p, func(t tester, m money) {
		r := start(t, p, always(p.InFlight()))
		_, err := m.make(r)
		r.once()
		r.ends(err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
	})
}

func lacksMismatch(p Protocol) string {
	if p.Mismatch == nil {
		return "the protocol has no word for a key that was used for something else"
	}
	return ""
}

func keyMismatch(t tester, p Protocol) {
	eachMove(t, p, func(t tester, m money) {
		r := start(t, p, always(p.Mismatch()))
		_, err := m.make(r)
		r.once()
		r.ends(err, processor.Ambiguous, false, payment.ClassIdempotencyMismatch)
	})
}

func freshAPIKey(t tester, p Protocol) {
	refuseFirst := func(honest func(received) Answer) func(received) Answer {
		return func(got received) Answer {
			if got.nth == 1 {
				return p.Error(http.StatusUnauthorized, "some_code", "who are you?")
			}
			return honest(got)
		}
	}
	check := func(t tester, sent []received) {
		require.GreaterOrEqual(t, len(sent), 2)
		require.Equal(t, "Bearer "+ourKey+"-1", sent[0].Header.Get("Authorization"))
		require.Equal(t, "Bearer "+ourKey+"-2", sent[1].Header.Get("Authorization"))
		require.Equal(t, keyOnWire(sent[0].Request), keyOnWire(sent[1].Request))
		require.Equal(t, sent[0].Path+"?"+sent[0].Query.Encode(), sent[1].Path+"?"+sent[1].Query.Encode())
		require.Equal(t, string(sent[0].Body), string(sent[1].Body))
	}
	eachMove(t, p, func(t tester, m money) {
		r := start(t, p, refuseFirst(always(m.honest(p))))
		got := r.answered(m.make(r))
		require.Equal(t, m.result(p, m.record(p, keyOf("1")), 2), got)
		check(t, r.times(2))
	})
	for _, q := range questions {
		t.Run(q.name, func(t tester) {
			r := start(t, p, refuseFirst(func(got received) Answer { return q.honest(p, got.Request) }))
			_, found, err := q.ask(r)
			require.NoError(t, err)
			require.True(t, found)
			check(t, r.sent())
		})
	}
}
