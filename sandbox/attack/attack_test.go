package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin/payment"
)

// Attacks on a target that is made weak on purpose succeed: otherwise, that they are repelled would prove nothing.
func TestAttacksSucceedOnAWeakTarget(t *testing.T) {
	ctx := t.Context()
	florin, err := newTarget(ctx, "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, florin.stop()) })
	require.NoError(t, florin.startOpen(ctx))
	for _, tt := range []struct {
		name string
		try  func(context.Context, *target) (result, error)
		// queue has a worker that executes the activity, whoever has scheduled it.
		queue, activity string
		f               any
		saw             string
	}{
		{
			name: "a worker that writes the store from the queue of the workflows", try: forgeStandalone, queue: "payments", activity: "RecordPayment",
			f: func(context.Context, payment.Charge, json.RawMessage) error { return nil },
		},
		{
			name: "the same, scheduled by workflows", try: forgeFromWorkflows, queue: "payments", activity: "SettleRefund",
			f: func(context.Context, json.RawMessage, json.RawMessage) error { return nil },
		},
		{
			name: "a worker that reads for everyone", try: sqlInFilters, queue: "weak", activity: "AcknowledgeDivergence",
			f:   func(context.Context, json.RawMessage) (string, error) { return "payment_id", nil },
			saw: "returns 1 records",
		},
		{
			name: "a database that answers with its errors", try: sqlInFilters, queue: "weak", activity: "GetRefund",
			f:   func(context.Context, string, string) error { return errors.New(`near "OR": syntax error`) },
			saw: "the error has SQL",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			weak := worker.New(florin.temporal, tt.queue, worker.Options{DisableWorkflowWorker: true, MaxConcurrentActivityTaskPollers: 64})
			weak.RegisterActivityWithOptions(tt.f, activity.RegisterOptions{Name: tt.activity})
			target := *florin
			if tt.queue == "weak" {
				target.reads = tt.queue
				weak.RegisterDynamicActivity(florin.forwardRead, activity.DynamicRegisterOptions{})
			}
			require.NoError(t, weak.Start())
			t.Cleanup(weak.Stop)
			for range 50 { // Temporal gives some of the tasks of a queue that both have to the worker of the target
				r, err := tt.try(ctx, &target)
				require.NoError(t, err)
				if r.succeeded {
					require.Contains(t, r.saw, tt.saw)
					return
				}
			}
			require.Fail(t, "the attack does not succeed")
		})
	}
}

// forwardRead is the dynamic activity of a weak worker: what the worker does not answer itself, the worker of the target answers.
func (t *target) forwardRead(ctx context.Context, args converter.EncodedValues) (json.RawMessage, error) {
	var first, second converter.RawValue
	if err := args.Get(&first, &second); err != nil {
		return nil, err
	}
	forwarded := []any{first}
	if second.Payload() != nil {
		forwarded = append(forwarded, second)
	}
	var answer json.RawMessage
	err := t.read(ctx, activity.GetInfo(ctx).ActivityType.Name, &answer, forwarded...)
	return answer, err
}

func TestTableCountsWhatWasTried(t *testing.T) {
	won := attack{name: "won", try: func(context.Context, *target) (result, error) { return succeeded("money"), nil }}
	lost := attack{name: "lost", try: func(context.Context, *target) (result, error) { return repelled("nothing"), nil }}
	failed := attack{name: "failed", try: func(context.Context, *target) (result, error) { return result{}, errors.New("no network") }}
	limit := attack{name: "limit", try: won.try, documented: true}
	for _, tt := range []struct {
		name    string
		attacks []attack
		last    string
		err     string
	}{
		{name: "repelled", attacks: []attack{lost, lost}, last: "attack: tried=2 succeeded=0"},
		{name: "succeeded", attacks: []attack{won, lost}, last: "attack: tried=2 succeeded=1", err: "an attack succeeded"},
		{name: "could not be tried", attacks: []attack{failed, lost}, last: "attack: tried=1 succeeded=0", err: "failed: could not be tried: no network"},
		{name: "a documented limit", attacks: []attack{limit, lost}, last: "attack: tried=1 succeeded=0"},
		{name: "nothing", last: "attack: tried=0 succeeded=0", err: "no attack was tried"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			table := table{out: &out}
			for _, a := range tt.attacks {
				table.try(t.Context(), nil, a)
			}
			err := table.end()
			require.True(t, strings.HasSuffix(out.String(), tt.last+"\n"), out.String())
			if tt.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.err)
			}
		})
	}
}

func TestForeignMarkupIsFoundOnPages(t *testing.T) {
	for _, page := range []string{
		"[evil](https://evil.example)", "![x](https://evil.example/p.png)", "<img src=x>", "see https://evil.example", "WWW.evil.example",
		"`starter void --merchant evil`", "``starter void evil``", "`{workflowId}`", "{runId}", "\x1b[2J", "\u202e", "a\u200bb", "a\rb", "# evil", "&#96;",
		"[evil]: https://evil.example", "\u2028", "`rm -rf evil`",
	} {
		require.NotEmpty(t, foreign(page), "%q", page)
	}
	for _, page := range []string{
		"**authorized** `order-1`: `starter void --payment-id pay_1`", `\[evil\]\(https\://evil.example\)`, `\{workflowId\}`, "`evil`", `\<img\>`,
		"See [the runbook](https://github.com/florinpay/florin/blob/main/docs/runbook.md#an-outcome).", "- one\n- two\n", `\# evil`, `\&\#96\;`,
	} {
		require.Empty(t, foreign(page), "%q", page)
	}
}

func TestCardsPassTheCheckOfCardNumbers(t *testing.T) {
	made := &cards{}
	for range 20 {
		require.True(t, payment.ContainsCardNumber(made.next()))
		require.True(t, payment.ContainsCardNumber(made.spaced()))
	}
}

// The proofs are written by the description alone; this is the example of docs/security.md.
func TestRequestIsHashedAsDescribed(t *testing.T) {
	r := request{"start", "Charge", "charge/acme/order-1", "", []any{chargeOf("acme", "order-1", "tok_visa")}}
	const want = `["start","Charge","charge/acme/order-1","",{"amount":1250,"currency":"USD","idempotency_key":"order-1","merchant_id":"acme","payment_method":"tok_visa"}]`
	require.Equal(t, want, string(canonical(append([]any{r.kind, r.name, r.workflowID, r.updateID}, r.args...))))
	require.Equal(t, r.digest(), request{r.kind, r.name, r.workflowID, r.updateID, append(r.args, object{})}.digest())
	docs, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	require.Contains(t, string(docs), want)
}
