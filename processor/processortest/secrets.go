package processortest

// Secrets, and many calls at once.

import (
	"fmt"
	"maps"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/processor"
)

// Every other scenario looks for secrets in each error that it sees, too.
var secrets = []scenario{
	{"what a processor repeats of our API key, or of a card number, is in no error", nil, repeatedSecrets},
	{"many calls at once each get their own answer", nil, manyAtOnce},
}

func repeatedSecrets(t tester, p Protocol) {
	whatWeSent := func(got received) string { return "wrong key: " + got.Header.Get("Authorization") }
	words := map[string]func(received) string{
		"API key":             whatWeSent,
		"card number":         func(received) string { return cardNumber },
		"card number, spaced": func(received) string { return "card 4111 1111 1111 1111 12/27" },
	}
	for _, what := range sorted(words) {
		in := map[string]func(received) Answer{}
		for _, status := range []int{200, 302, 400, 401, 404, 500} {
			in[fmt.Sprint(what, " in the message of a ", status)] = func(got received) Answer { return p.Error(status, "some_code", words[what](got)) }
			in[fmt.Sprint(what, " in the code of a ", status)] = func(got received) Answer { return p.Error(status, words[what](got), "") }
			in[fmt.Sprint(what, " as the body of a ", status)] = func(got received) Answer { return Answer{Status: status, Body: []byte(words[what](got))} }
		}
		eachMove(t, p, func(t tester, m money) {
			in := maps.Clone(in)
			in[what+" as the status"] = func(got received) Answer {
				record := m.record(p, keyOf("1"))
				record.Status = words[what](got)
				return m.answer(p, record)
			}
			for _, where := range sorted(in) {
				t.Run(where, func(t tester) {
					r := start(t, p, in[where])
					_, err := m.make(r)
					r.refused(err)
				})
			}
		})
		for _, q := range questions {
			q.instead(t, p, in, func(r *rig) { q.fails(r) })
		}
	}
}

func manyAtOnce(t tester, p Protocol) {
	const many = 32
	record := func(reference string, nth int64) Record {
		record := charge.record(p, reference)
		record.ID, record.Amount, record.Captured = fmt.Sprintf("payment_%d", nth), nth, nth
		return record
	}
	r := start(t, p, func(got received) Answer { return p.Payment(record(got.Asked.Reference, got.Amount)) },
		func(o *httpclient.Options) { o.MaxInFlight = many })
	type outcome struct {
		processor.Result
		error
	}
	for i, got := range concurrently(many, func(i int) outcome {
		call := chargeCall(how{key: fmt.Sprintf("key-%d", i)})
		call.Amount = int64(i + 1)
		result, err := r.adapter.Charge(t.Context(), call)
		return outcome{result, err}
	}) {
		require.NoError(t, got.error)
		want := charge.result(p, record(fmt.Sprintf("key-%d", i), int64(i+1)), 1)
		want.RequestID = got.RequestID
		require.Equal(t, want, got.Result)
	}
	r.times(many)
}
