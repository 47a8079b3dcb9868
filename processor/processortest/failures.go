package processortest

// Scenarios about responses without a business outcome, and about missing responses.

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var failureScenarios = []scenario{
	{name: "each HTTP status has the documented certainty, retry flag and failure class", doc: docClient, run: httpStatuses},
	{name: "an error contains the processor's code, message and request id", doc: docProfile, run: errorDetails},
	{name: "a state conflict is ambiguous, because an earlier attempt may have caused it", doc: docProfile, skip: skipWithoutConflict,
		run: conflicts},
	{name: "an error reports Retry-After", doc: docClient, run: retryAfter},
	{name: "a response about one object delays no other call and does not open the circuit breaker", doc: docProfile,
		skip: skipWithoutObjectLevel, run: objectLevel},
	{name: "the processor's retry header changes the retry flag, never the certainty", doc: docProfile, skip: skipWithoutRetryHeader,
		run: retryHeader},
	{name: "redirects are never followed", doc: docClient, run: redirects},
	{name: "a connection that breaks after the request was sent is ambiguous", doc: docClient, run: brokenConnections},
	{name: "a response timeout is ambiguous", doc: docClient, run: responseTimeout},
	{name: "a call that is canceled in flight is ambiguous", doc: docClient, run: canceledCall},
	{name: "a refused connection proves that nothing was executed", doc: docClient, run: refusedConnection},
}

// classification is what a response with a status proves about an operation.
type classification struct {
	status    int
	certainty processor.Certainty
	retry     bool
	class     payment.FailureClass
}

// classifications are the HTTP statuses that prove something by themselves. They repeat the table of package
// internal/processor/classify on purpose: a change of that table must be a decision, so it has to be made here, too.
func classifications(p processor.Profile) []classification {
	const notExecuted, ambiguous = processor.NotExecuted, processor.Ambiguous
	unavailable := classification{status: 503, certainty: ambiguous, retry: true, class: payment.ClassUnavailable}
	if p.Unavailable503NotExecuted {
		unavailable.certainty = notExecuted
	}
	return []classification{
		{status: 101, certainty: ambiguous, class: payment.ClassInvalidResponse},
		{status: 300, certainty: ambiguous, class: payment.ClassInvalidResponse},
		{status: 301, certainty: ambiguous, class: payment.ClassConfig},
		{status: 302, certainty: ambiguous, class: payment.ClassConfig},
		{status: 303, certainty: ambiguous, class: payment.ClassConfig},
		{status: 304, certainty: ambiguous, class: payment.ClassInvalidResponse},
		{status: 307, certainty: ambiguous, class: payment.ClassConfig},
		{status: 308, certainty: ambiguous, class: payment.ClassConfig},
		{status: 400, certainty: notExecuted, class: payment.ClassInvalidRequest},
		{status: 401, certainty: notExecuted, class: payment.ClassAuthentication},
		{status: 402, certainty: ambiguous, class: payment.ClassInvalidResponse},
		{status: 403, certainty: notExecuted, class: payment.ClassPermission},
		{status: 404, certainty: notExecuted, class: payment.ClassConfig},
		{status: 405, certainty: notExecuted, class: payment.ClassInvalidRequest},
		{status: 406, certainty: notExecuted, class: payment.ClassInvalidRequest},
		{status: 407, certainty: ambiguous, class: payment.ClassInvalidResponse},
		{status: 408, certainty: ambiguous, retry: true, class: payment.ClassOutcomeUnknown},
		{status: 409, certainty: ambiguous, class: payment.ClassStateConflict},
		{status: 410, certainty: notExecuted, class: payment.ClassInvalidRequest},
		{status: 411, certainty: notExecuted, class: payment.ClassInvalidRequest},
		{status: 412, certainty: ambiguous, class: payment.ClassInvalidResponse},
		{status: 413, certainty: notExecuted, class: payment.ClassInvalidRequest},
		{status: 414, certainty: notExecuted, class: payment.ClassInvalidRequest},
		{status: 415, certainty: notExecuted, class: payment.ClassInvalidRequest},
		{status: 418, certainty: ambiguous, class: payment.ClassInvalidResponse},
		{status: 422, certainty: notExecuted, class: payment.ClassInvalidRequest},
		{status: 423, certainty: notExecuted, retry: true, class: payment.ClassUnavailable},
		{status: 424, certainty: ambiguous, retry: true, class: payment.ClassOutcomeUnknown},
		{status: 425, certainty: notExecuted, retry: true, class: payment.ClassUnavailable},
		{status: 429, certainty: notExecuted, retry: true, class: payment.ClassRateLimited},
		{status: 431, certainty: notExecuted, class: payment.ClassInvalidRequest},
		{status: 451, certainty: ambiguous, class: payment.ClassInvalidResponse},
		{status: 499, certainty: ambiguous, retry: true, class: payment.ClassOutcomeUnknown},
		{status: 500, certainty: ambiguous, retry: true, class: payment.ClassUnavailable},
		{status: 501, certainty: notExecuted, class: payment.ClassConfig},
		{status: 502, certainty: ambiguous, retry: true, class: payment.ClassUnavailable},
		unavailable,
		{status: 504, certainty: ambiguous, retry: true, class: payment.ClassUnavailable},
		{status: 505, certainty: notExecuted, class: payment.ClassConfig},
		{status: 507, certainty: ambiguous, retry: true, class: payment.ClassUnavailable},
		{status: 520, certainty: ambiguous, retry: true, class: payment.ClassUnavailable},
		{status: 524, certainty: ambiguous, retry: true, class: payment.ClassUnavailable},
		{status: 599, certainty: ambiguous, retry: true, class: payment.ClassUnavailable},
	}
}

func httpStatuses(t tester, p Protocol) {
	eachOperation(t, p, func(t tester, op operation) {
		for _, want := range classifications(p.Profile) {
			responses := map[string]Response{
				"an empty body": {Status: want.status},
				"a gateway's page": {Status: want.status, Header: http.Header{"Content-Type": {"text/html"}},
					Body: []byte("<html>" + cardNumber + "</html>")},
				"the protocol's error": p.WriteError(want.status, "some_code", "some message"),
				// The status decides, whatever the body says.
				"the body of a success": {Status: want.status, Body: op.success(p).Body},
			}
			if want.status == http.StatusPaymentRequired {
				delete(responses, "the protocol's error") // may be a decline, whatever the code
			}
			for _, name := range sorted(responses) {
				t.Run(fmt.Sprintf("%d with %s", want.status, name), func(t tester) {
					r := start(t, p, always(responses[name]))
					got, err := op.run(r)
					require.Zero(t, got)
					e := r.requireFailure(err, want.certainty, want.retry, want.class)
					require.Equal(t, want.status, e.HTTPStatus)
					if want.status == http.StatusUnauthorized {
						r.requireRequests(2) // the client resends once with a fresh API key
						return
					}
					r.onlyRequest()
				})
			}
		}
	})
	for _, q := range queries {
		responses := map[string]func(received) Response{}
		for _, c := range classifications(p.Profile) {
			responses[fmt.Sprint(c.status, " with an empty body")] = always(Response{Status: c.status})
			// Includes 402: a lookup cannot be declined.
			responses[fmt.Sprint(c.status, " with the protocol's error")] = always(p.WriteError(c.status, "some_code",
				"some message"))
		}
		q.withResponses(t, p, responses, func(r *rig) { q.requireError(r) })
	}
}

func errorDetails(t tester, p Protocol) {
	eachOperation(t, p, func(t tester, op operation) {
		for _, status := range []int{400, 403, 409, 422, 429, 500, 503} {
			r := start(t, p, always(p.WriteError(status, "some_code", "some message")))
			_, err := op.run(r)
			e := r.requireError(err)
			require.Equal(t, []any{status, "some_code", "some message", requestID(1)},
				[]any{e.HTTPStatus, e.Code, e.Message, e.RequestID})
		}
	})
}

func skipWithoutConflict(p Protocol) string {
	if p.WriteConflict == nil {
		return "the protocol always uses 409 for a state conflict"
	}
	return ""
}

func conflicts(t tester, p Protocol) {
	eachOperation(t, p, func(t tester, op operation) {
		r := start(t, p, always(p.WriteConflict()))
		_, err := op.run(r)
		r.onlyRequest()
		r.requireFailure(err, processor.Ambiguous, false, payment.ClassStateConflict)
	})
}

// withRetryAfter returns the response with a Retry-After of seven seconds.
func withRetryAfter(response Response) Response {
	response.Header = response.Header.Clone()
	if response.Header == nil {
		response.Header = http.Header{}
	}
	response.Header.Set("Retry-After", "7")
	return response
}

func retryAfter(t tester, p Protocol) {
	for _, status := range []int{429, 503} {
		response := withRetryAfter(p.WriteError(status, "some_code", "slow down"))
		eachOperation(t, p, func(t tester, op operation) {
			r := start(t, p, always(response))
			_, err := op.run(r)
			r.onlyRequest()
			require.Equal(t, 7*time.Second, r.requireError(err).RetryAfter)
		})
		for _, q := range queries {
			q.withResponses(t, p, map[string]func(received) Response{fmt.Sprint(status): always(response)}, func(r *rig) {
				require.Equal(r, 7*time.Second, q.requireError(r).RetryAfter)
			})
		}
	}
}

func skipWithoutObjectLevel(p Protocol) string {
	if p.WriteObjectLevel == nil {
		return "the protocol has no 429 or 5xx about one object"
	}
	return ""
}

func objectLevel(t tester, p Protocol) {
	withBreaker := func(o *httpclient.Options) {
		var err error
		o.Breaker, err = breaker.New(breaker.Options{Window: time.Hour, MinCalls: 1, FailureRatio: 0.01, OpenFor: time.Hour,
			SlowCall: time.Hour, Probes: 1})
		require.NoError(t, err)
	}
	response := withRetryAfter(p.WriteObjectLevel())
	eachOperation(t, p, func(t tester, op operation) {
		r := start(t, p, always(response), withBreaker)
		for range 3 {
			_, err := op.run(r)
			e := r.requireError(err)
			require.Equal(t, response.Status, e.HTTPStatus)
			require.Equal(t, 7*time.Second, e.RetryAfter, "the call itself has to wait")
		}
		r.requireRequests(3)
	})
}

func skipWithoutRetryHeader(p Protocol) string {
	if p.Profile.RetryHeader == "" {
		return "the profile has no retry header"
	}
	return ""
}

func retryHeader(t tester, p Protocol) {
	for _, tc := range []struct {
		status    int
		value     string
		certainty processor.Certainty
		retry     bool
	}{
		{status: 400, value: "true", certainty: processor.NotExecuted, retry: true},
		{status: 400, value: "perhaps", certainty: processor.NotExecuted},
		{status: 500, value: "false", certainty: processor.Ambiguous},
		{status: 500, certainty: processor.Ambiguous, retry: true},
	} {
		response := Response{Status: tc.status, Header: http.Header{p.Profile.RetryHeader: {tc.value}}}
		eachOperation(t, p, func(t tester, op operation) {
			r := start(t, p, always(response))
			_, err := op.run(r)
			r.onlyRequest()
			e := r.requireError(err)
			require.Equal(t, []any{tc.certainty, tc.retry}, []any{e.Certainty, e.Retry}, "%d and %s: %s", tc.status,
				p.Profile.RetryHeader, tc.value)
		})
	}
}

func redirects(t tester, p Protocol) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		redirect := func(got received) Response {
			return Response{Status: status,
				Header: http.Header{"Location": {basePath + got.Path + "?" + got.Query.Encode()}}}
		}
		eachOperation(t, p, func(t tester, op operation) {
			r := start(t, p, redirect)
			_, err := op.run(r)
			r.onlyRequest()
			r.requireFailure(err, processor.Ambiguous, false, payment.ClassConfig)
		})
		for _, q := range queries {
			r := start(t, p, redirect)
			q.requireError(r)
			r.onlyRequest()
		}
	}
}

func brokenConnections(t tester, p Protocol) {
	for name, handler := range map[string]func(http.ResponseWriter, *http.Request){
		"reset": reset, "closed before the response": closeWithoutResponse, "closed within the header": closeWithinHeader,
	} {
		response := Response{handler: handler}
		eachOperation(t, p, func(t tester, op operation) {
			r := start(t, p, always(response))
			got, err := op.run(r)
			r.onlyRequest()
			require.Zero(t, got)
			e := r.requireFailure(err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
			require.Zero(t, e.HTTPStatus, name)
		})
		for _, q := range queries {
			q.withResponses(t, p, map[string]func(received) Response{name: always(response)},
				func(r *rig) { q.requireError(r) })
		}
	}
}

// shortTimeout is the attempt timeout of responseTimeout. It must suffice for a busy machine to send a request.
const shortTimeout = time.Second

func responseTimeout(t tester, p Protocol) {
	short := func(o *httpclient.Options) { o.AttemptTimeout = shortTimeout }
	var rigs []*rig
	for range len(operations) + len(queries) {
		rigs = append(rigs, start(t, p, always(Response{handler: hang}), short))
	}
	// Concurrently, because each call takes the whole timeout.
	errs := concurrently(len(rigs), func(i int) error {
		if i < len(operations) {
			_, err := operations[i].run(rigs[i])
			return err
		}
		_, _, err := queries[i-len(operations)].run(rigs[i])
		return err
	})
	for i, err := range errs {
		rigs[i].onlyRequest()
		if i < len(operations) {
			rigs[i].requireFailure(err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
			continue
		}
		rigs[i].requireError(err)
	}
}

func canceledCall(t tester, p Protocol) {
	eachOperation(t, p, func(t tester, op operation) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := start(t, p, always(Response{handler: func(w http.ResponseWriter, req *http.Request) {
			cancel()
			hang(w, req)
		}}))
		_, err := op.call(ctx, r.adapter, callOptions{key: keyOf("1"), payment: processorPaymentID})
		r.onlyRequest()
		r.requireFailure(err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)

		_, err = op.call(ctx, r.adapter, callOptions{key: keyOf("1"), payment: processorPaymentID})
		r.onlyRequest() // a call whose context is already canceled is not sent
		require.Equal(t, processor.NotExecuted, r.requireError(err).Certainty)
	})
}

func refusedConnection(t tester, p Protocol) {
	baseURL := "http://" + unreachableAddress(t)
	unreachable := func(o *httpclient.Options) { o.BaseURL = baseURL }
	eachOperation(t, p, func(t tester, op operation) {
		r := start(t, p, always(op.success(p)), unreachable)
		_, err := op.run(r)
		r.requireFailure(err, processor.NotExecuted, true, payment.ClassNotSent)
	})
	for _, q := range queries {
		q.requireError(start(t, p, always(Response{Status: 200}), unreachable))
	}
}

// unreachableAddress returns an address that refuses connections during the test: its port is the client's end of an open
// connection, so no other process can listen on it.
func unreachableAddress(t tester) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}
