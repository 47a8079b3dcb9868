package processortest

// Scenarios about secrets in errors and about concurrent calls.

import (
	"bytes"
	"fmt"
	"maps"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/processor"
)

// All other scenarios check their errors for secrets, too: see rig.requireError.
var secretScenarios = []scenario{
	{name: "no error contains an API key or a card number that the processor repeats", doc: docClient, run: repeatedSecrets},
	{name: "the audit log contains the ids of an operation, and neither its payment method nor its texts", doc: docProfile,
		run: auditedOperations},
	{name: "the audit log contains the ids of a list", doc: docProfile, skip: skipWithoutAudit, run: auditedLists},
	{name: "concurrent calls each receive their own response", doc: docMapping, run: concurrentCalls},
}

func auditedOperations(t tester, p Protocol) {
	eachOperation(t, p, func(t tester, op operation) {
		var lines bytes.Buffer
		log := audit.New(zapcore.AddSync(&lines), audit.Options{})
		r := start(t, p, always(op.success(p)), func(o *httpclient.Options) { o.Audit = log })
		_, err := op.run(r)
		require.NoError(t, err)
		require.NoError(t, log.Close())
		for _, text := range []string{paymentMethod, "customer_1", "two books", keyOf("1")} {
			require.NotContains(t, lines.String(), text, "Profile.Audited names a field that is not the processor's own")
		}
		if len(p.Profile.Audited) > 0 {
			require.Contains(t, lines.String(), `"`+op.record(p, keyOf("1")).ID+`"`,
				"want Profile.Audited to name the path of the id in a response")
		}
	})
}

func skipWithoutAudit(p Protocol) string {
	if len(p.Profile.Audited) == 0 {
		return "the audit log contains no values of the protocol"
	}
	return ""
}

func auditedLists(t tester, p Protocol) {
	eachList(t, func(t tester, q query) {
		var lines bytes.Buffer
		log := audit.New(zapcore.AddSync(&lines), audit.Options{})
		r := start(t, p, always(q.success(p, Request{})), func(o *httpclient.Options) { o.Audit = log })
		_, err := q.list(r, processor.ListCall{})
		require.NoError(t, err)
		require.NoError(t, log.Close())
		record := q.subject.record(p, keyOf("1"))
		for _, id := range []string{record.ID, record.PaymentID} {
			if id != "" {
				require.Contains(t, lines.String(), `"`+id+`"`, "want Profile.Audited to name the path of the id in a list")
			}
		}
		require.NotContains(t, lines.String(), record.Reference)
	})
}

func repeatedSecrets(t tester, p Protocol) {
	secrets := map[string]func(received) string{
		"API key":                 func(got received) string { return "wrong key: " + got.Header.Get("Authorization") },
		"card number":             func(received) string { return cardNumber },
		"card number with spaces": func(received) string { return "card 4111 1111 1111 1111 12/27" },
	}
	for _, secret := range sorted(secrets) {
		text := secrets[secret]
		responses := map[string]func(received) Response{}
		for _, status := range []int{200, 302, 400, 401, 404, 500} {
			responses[fmt.Sprint(secret, " in the message of a ", status)] = func(got received) Response {
				return p.WriteError(status, "some_code", text(got))
			}
			responses[fmt.Sprint(secret, " in the code of a ", status)] = func(got received) Response {
				return p.WriteError(status, text(got), "")
			}
			responses[fmt.Sprint(secret, " as the body of a ", status)] = func(got received) Response {
				return Response{Status: status, Body: []byte(text(got))}
			}
		}
		eachOperation(t, p, func(t tester, op operation) {
			responses := maps.Clone(responses)
			responses[secret+" as the status of the record"] = func(got received) Response {
				record := op.record(p, keyOf("1"))
				record.Status = text(got)
				return op.response(p, record)
			}
			for _, name := range sorted(responses) {
				t.Run(name, func(t tester) {
					r := start(t, p, responses[name])
					_, err := op.run(r)
					r.requireError(err)
				})
			}
		})
		for _, q := range queries {
			q.withResponses(t, p, responses, func(r *rig) { q.requireError(r) })
		}
	}
}

func concurrentCalls(t tester, p Protocol) {
	const calls = 32
	record := func(reference string, nth int64) Record {
		record := charge.record(p, reference)
		record.ID, record.Amount, record.Captured = fmt.Sprintf("payment_%d", nth), nth, nth
		return record
	}
	r := start(t, p, func(got received) Response { return p.WritePayment(record(got.Reference, got.Amount)) },
		func(o *httpclient.Options) { o.MaxInFlight = calls })
	type outcome struct {
		processor.Result
		error
	}
	for i, got := range concurrently(calls, func(i int) outcome {
		call := chargeCall(callOptions{key: fmt.Sprintf("key-%d", i)})
		call.Amount = int64(i + 1)
		result, err := r.adapter.Charge(t.Context(), call)
		return outcome{Result: result, error: err}
	}) {
		require.NoError(t, got.error)
		want := charge.wantResult(p, record(fmt.Sprintf("key-%d", i), int64(i+1)), 1)
		want.RequestID = got.RequestID // the requests arrive in any order
		require.Equal(t, want, got.Result)
	}
	r.requireRequests(calls)
}
