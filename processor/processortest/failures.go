package processortest

// What an adapter makes of an answer that brings no outcome, and of no answer.

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var failures = []scenario{
	{"each HTTP status means what it means for money", nil, statusesOfHTTP},
	{"the processor's own words and its name for the request are in the error", nil, wordsAreKept},
	{"a payment that is in no state for the call may be so by our own doing", lacksConflict, conflicts},
	{"Retry-After is told", nil, retryAfterIsTold},
	{"the processor's own header says whether to try again, and nothing about money", lacksRetryHeader, retryHeader},
	{"a redirect is never followed", nil, redirects},
	{"a connection that breaks after the request is ambiguous", nil, brokenConnections},
	{"no answer in time is ambiguous", nil, slowAnswers},
	{"a caller that gives up while the request is under way learns nothing about money", nil, givenUp},
	{"a refused connection has done nothing", nil, refusedConnection},
}

// meaning is what an answer says about a call that moves money.
type meaning struct {
	status    int
	certainty processor.Certainty
	retry     bool
	class     payment.FailureClass
}

// meanings are the rows of the design's outcomes that an HTTP status decides: what Florin believes, in the words of
// its design and not of its code.
func meanings(p processor.Profile) []meaning {
	const notExecuted, ambiguous = processor.NotExecuted, processor.Ambiguous
	unavailable := meaning{503, ambiguous, true, payment.ClassUnavailable}
	if p.Unavailable503NotExecuted {
		unavailable.certainty = notExecuted
	}
	return []meaning{
		{101, ambiguous, false, payment.ClassInvalidResponse},
		{300, ambiguous, false, payment.ClassInvalidResponse},
		{301, ambiguous, false, payment.ClassConfig},
		{302, ambiguous, false, payment.ClassConfig},
		{303, ambiguous, false, payment.ClassConfig},
		{304, ambiguous, false, payment.ClassInvalidResponse},
		{307, ambiguous, false, payment.ClassConfig},
		{308, ambiguous, false, payment.ClassConfig},
		{400, notExecuted, false, payment.ClassInvalidRequest},
		{401, notExecuted, false, payment.ClassAuthentication},
		{402, ambiguous, false, payment.ClassInvalidResponse},
		{403, notExecuted, false, payment.ClassPermission},
		{404, notExecuted, false, payment.ClassConfig},
		{405, notExecuted, false, payment.ClassInvalidRequest},
		{406, notExecuted, false, payment.ClassInvalidRequest},
		{407, ambiguous, false, payment.ClassInvalidResponse},
		{408, ambiguous, true, payment.ClassOutcomeUnknown},
		{409, ambiguous, false, payment.ClassStateConflict},
		{410, notExecuted, false, payment.ClassInvalidRequest},
		{411, notExecuted, false, payment.ClassInvalidRequest},
		{412, ambiguous, false, payment.ClassInvalidResponse},
		{413, notExecuted, false, payment.ClassInvalidRequest},
		{414, notExecuted, false, payment.ClassInvalidRequest},
		{415, notExecuted, false, payment.ClassInvalidRequest},
		{418, ambiguous, false, payment.ClassInvalidResponse},
		{422, notExecuted, false, payment.ClassInvalidRequest},
		{423, notExecuted, true, payment.ClassUnavailable},
		{424, ambiguous, true, payment.ClassOutcomeUnknown},
		{425, notExecuted, true, payment.ClassUnavailable},
		{429, notExecuted, true, payment.ClassRateLimited},
		{431, notExecuted, false, payment.ClassInvalidRequest},
		{451, ambiguous, false, payment.ClassInvalidResponse},
		{499, ambiguous, true, payment.ClassOutcomeUnknown},
		{500, ambiguous, true, payment.ClassUnavailable},
		{501, notExecuted, false, payment.ClassConfig},
		{502, ambiguous, true, payment.ClassUnavailable},
		unavailable,
		{504, ambiguous, true, payment.ClassUnavailable},
		{505, notExecuted, false, payment.ClassConfig},
		{507, ambiguous, true, payment.ClassUnavailable},
		{520, ambiguous, true, payment.ClassUnavailable},
		{524, ambiguous, true, payment.ClassUnavailable},
		{599, ambiguous, true, payment.ClassUnavailable},
	}
}

func statusesOfHTTP(t tester, p Protocol) {
	eachMove(t, p, func(t tester, m money) {
		for _, want := range meanings(p.Profile) {
			bodies := map[string]Answer{
				"an empty body":        {Status: want.status},
				"a gateway's page":     {Status: want.status, Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<html>" + cardNumber + "</html>")},
				"the protocol's error": p.Error(want.status, "some_code", "some words"),
				// A gateway repeats to the caller what was to become of it.
				"a success in its body": {Status: want.status, Body: m.honest(p).Body},
			}
			if want.status == http.StatusPaymentRequired {
				delete(bodies, "the protocol's error") // a decline, by any code
			}
			for _, what := range sorted(bodies) {
				t.Run(fmt.Sprintf("%d with %s", want.status, what), func(t tester) {
					r := start(t, p, always(bodies[what]))
					got, err := m.make(r)
					require.Zero(t, got)
					e := r.ends(err, want.certainty, want.retry, want.class)
					require.Equal(t, want.status, e.HTTPStatus)
					if want.status == http.StatusUnauthorized {
						r.times(2) // once more, with a fresh API key
						return
					}
					r.once()
				})
			}
		}
	})
	for _, q := range questions {
		answers := map[string]func(received) Answer{}
		for _, m := range meanings(p.Profile) {
			answers[fmt.Sprint(m.status, " with an empty body")] = always(Answer{Status: m.status})
			// Also of a 402: what declines a payment is no answer to the question what became of it.
			answers[fmt.Sprint(m.status, " with the protocol's error")] = always(p.Error(m.status, "some_code", "some words"))
		}
		q.instead(t, p, answers, func(r *rig) { q.fails(r) })
	}
}

func wordsAreKept(t tester, p Protocol) {
	eachMove(t, p, func(t tester, m money) {
		for _, status := range []int{400, 403, 409, 422, 429, 500, 503} {
			r := start(t, p, always(p.Error(status, "some_code", "some words")))
			_, err := m.make(r)
			e := r.refused(err)
			require.Equal(t, []any{status, "some_code", "some words", requestID(1)}, []any{e.HTTPStatus, e.Code, e.Message, e.RequestID})
		}
	})
}

func lacksConflict(p Protocol) string {
	if p.Conflict == nil {
		return "the protocol says that by a 409"
	}
	return ""
}

func conflicts(t tester, p Protocol) {
	eachMove(t, p, func(t tester, m money) {
		r := start(t, p, always(p.Conflict()))
		_, err := m.make(r)
		r.once()
		r.ends(err, processor.Ambiguous, false, payment.ClassStateConflict)
	})
}

func retryAfterIsTold(t tester, p Protocol) {
	for _, status := range []int{429, 503} {
		a := p.Error(status, "some_code", "slow down")
		a.Header = a.Header.Clone()
		if a.Header == nil {
			a.Header = http.Header{}
		}
		a.Header.Set("Retry-After", "7")
		eachMove(t, p, func(t tester, m money) {
			r := start(t, p, always(a))
			_, err := m.make(r)
			r.once()
			require.Equal(t, 7*time.Second, r.refused(err).RetryAfter)
		})
		for _, q := range questions {
			q.instead(t, p, map[string]func(received) Answer{fmt.Sprint(status): always(a)}, func(r *rig) {
				require.Equal(r, 7*time.Second, q.fails(r).RetryAfter)
			})
		}
	}
}

func lacksRetryHeader(p Protocol) string {
	if p.Profile.RetryHeader == "" {
		return "the processor has no such header"
	}
	return ""
}

func retryHeader(t tester, p Protocol) {
	for _, tc := range []struct {
		status    int
		says      string
		certainty processor.Certainty
		retry     bool
	}{
		{400, "true", processor.NotExecuted, true},
		{400, "perhaps", processor.NotExecuted, false},
		{500, "false", processor.Ambiguous, false},
		{500, "", processor.Ambiguous, true},
	} {
		a := Answer{Status: tc.status, Header: http.Header{p.Profile.RetryHeader: {tc.says}}}
		eachMove(t, p, func(t tester, m money) {
			r := start(t, p, always(a))
			_, err := m.make(r)
			r.once()
			e := r.refused(err)
			require.Equal(t, []any{tc.certainty, tc.retry}, []any{e.Certainty, e.Retry}, "%d and %s: %s", tc.status, p.Profile.RetryHeader, tc.says)
		})
	}
}

func redirects(t tester, p Protocol) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		back := func(got received) Answer {
			return Answer{Status: status, Header: http.Header{"Location": {basePath + got.Path + "?" + got.Query.Encode()}}}
		}
		eachMove(t, p, func(t tester, m money) {
			r := start(t, p, back)
			_, err := m.make(r)
			r.once()
			r.ends(err, processor.Ambiguous, false, payment.ClassConfig)
		})
		for _, q := range questions {
			r := start(t, p, back)
			q.fails(r)
			r.once()
		}
	}
}

func brokenConnections(t tester, p Protocol) {
	for name, manner := range map[string]func(http.ResponseWriter, *http.Request){
		"reset": reset, "closed": drop, "closed within the header": breakOff,
	} {
		a := Answer{deliver: manner}
		eachMove(t, p, func(t tester, m money) {
			r := start(t, p, always(a))
			got, err := m.make(r)
			r.once()
			require.Zero(t, got)
			e := r.ends(err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
			require.Zero(t, e.HTTPStatus, name)
		})
		for _, q := range questions {
			q.instead(t, p, map[string]func(received) Answer{name: always(a)}, func(r *rig) { q.fails(r) })
		}
	}
}

// slowTimeout has to be long enough for a busy machine to send a request within it.
const slowTimeout = time.Second

func slowAnswers(t tester, p Protocol) {
	slow := func(o *httpclient.Options) { o.AttemptTimeout = slowTimeout }
	var rigs []*rig
	for range len(moves) + len(questions) {
		rigs = append(rigs, start(t, p, always(Answer{deliver: hang}), slow))
	}
	// All at once: each of them takes the whole time.
	errs := concurrently(len(rigs), func(i int) error {
		if i < len(moves) {
			_, err := moves[i].make(rigs[i])
			return err
		}
		_, _, err := questions[i-len(moves)].ask(rigs[i])
		return err
	})
	for i, err := range errs {
		rigs[i].once()
		if i < len(moves) {
			rigs[i].ends(err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
			continue
		}
		rigs[i].refused(err)
	}
}

func givenUp(t tester, p Protocol) {
	eachMove(t, p, func(t tester, m money) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := start(t, p, always(Answer{deliver: func(w http.ResponseWriter, req *http.Request) {
			cancel()
			hang(w, req)
		}}))
		_, err := m.do(ctx, r.adapter, how{key: keyOf("1"), payment: theirID})
		r.once()
		r.ends(err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)

		_, err = m.do(ctx, r.adapter, how{key: keyOf("1"), payment: theirID})
		r.once() // a call that was given up before is not sent
		require.Equal(t, processor.NotExecuted, r.refused(err).Certainty)
	})
}

func refusedConnection(t tester, p Protocol) {
	nobody := "http://" + held(t)
	toNobody := func(o *httpclient.Options) { o.BaseURL = nobody }
	eachMove(t, p, func(t tester, m money) {
		r := start(t, p, always(m.honest(p)), toNobody)
		_, err := m.make(r)
		r.ends(err, processor.NotExecuted, true, payment.ClassNotSent)
	})
	for _, q := range questions {
		q.fails(start(t, p, always(Answer{Status: 200}), toNobody))
	}
}

// held is an address where nobody listens, and nobody will: its port is that of the calling end of a connection.
func held(t tester) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}
