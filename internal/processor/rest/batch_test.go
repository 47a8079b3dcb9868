package rest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Each charge of a batch ends as the same charge on its own does.
func TestSimulatorExecutesABatchAsSingleCharges(t *testing.T) {
	tokens := []string{"tok_visa", "tok_success", "tok_pending", "tok_requires_action", "tok_insufficient_funds", "tok_declined_200",
		"tok_declined_422", "tok_declined_open", "tok_400", "tok_403", "tok_404", "tok_422", "tok_501", "tok_mismatch", "tok_500_twice",
		"tok_503_then_ok", "tok_409_in_flight", "tok_423", "tok_429_retry_after", "tok_429_object", "tok_408", "tok_424", "tok_malformed_200",
		"tok_empty_200", "tok_200_html", "tok_302", "tok_418", "tok_id_control", "tok_wrong_amount", "tok_wrong_currency"}
	var calls []processor.ChargeCall
	for _, token := range tokens {
		calls = append(calls, chargeAs(token, token))
	}
	manual := chargeAs("manual", "tok_visa")
	manual.Capture = payment.CaptureManual
	calls = append(calls, manual)
	together, statuses := simulated(t)
	items := together.ChargeBatch(t.Context(), calls)
	require.Len(t, items, len(calls))
	require.Equal(t, []int{200}, statuses("batch"))
	for i, call := range calls {
		single, _ := simulated(t) // each its own: refusals slow a client down
		want, err := single.Charge(t.Context(), call)
		got := items[i]
		require.Equal(t, err == nil, got.Err == nil, call.PaymentMethod)
		want.RequestID, got.Result.RequestID = "", ""
		require.Equal(t, want, got.Result, call.PaymentMethod)
		if err == nil {
			continue
		}
		var wanted *processor.Error
		require.ErrorAs(t, err, &wanted)
		require.Equal(t, []any{wanted.Class, wanted.Certainty, wanted.Retry, wanted.RetryAfter, wanted.Code},
			[]any{got.Err.Class, got.Err.Certainty, got.Err.Retry, got.Err.RetryAfter, got.Err.Code}, call.PaymentMethod)
	}
}

func TestChargeOfABatchIsRepeatedUnderItsKeyInABatchOrOnItsOwn(t *testing.T) {
	p, _ := simulated(t)
	calls := []processor.ChargeCall{chargeAs("a", "tok_visa"), chargeAs("b", "tok_success")}
	items := p.ChargeBatch(t.Context(), calls)
	again := p.ChargeBatch(t.Context(), []processor.ChargeCall{calls[1], calls[0]})
	one, err := p.Charge(t.Context(), calls[0])
	require.NoError(t, err)
	require.Equal(t, []string{items[1].Result.ID, items[0].Result.ID, items[0].Result.ID},
		[]string{again[0].Result.ID, again[1].Result.ID, one.ID})
}

func TestChargeWhoseItemTheResponseLacksIsAmbiguous(t *testing.T) {
	p, _ := simulated(t)
	items := p.ChargeBatch(t.Context(), []processor.ChargeCall{
		chargeAs("lost", "tok_reset_after_charge"), chargeAs("not executed", "tok_timeout_before_charge"), chargeAs("paid", "tok_visa")})
	for _, item := range items[:2] {
		require.Equal(t, []any{processor.Ambiguous, payment.ClassOutcomeUnknown, true}, []any{item.Err.Certainty, item.Err.Class, item.Err.Retry})
	}
	require.Nil(t, items[2].Err)
	require.Equal(t, payment.Succeeded, items[2].Result.Status)
}

func TestLostResponseToABatchLeavesEachChargeAmbiguousAndExecuted(t *testing.T) {
	p, _ := simulated(t, func(o *simulator.Options) { o.Faults = simulator.Rates{"batch_lost": 1} })
	calls := []processor.ChargeCall{chargeAs("a", "tok_success"), chargeAs("b", "tok_success")}
	for i, item := range p.ChargeBatch(t.Context(), calls) {
		require.Equal(t, []any{processor.Ambiguous, payment.ClassOutcomeUnknown, true}, []any{item.Err.Certainty, item.Err.Class, item.Err.Retry})
		found, ok, err := p.Lookup(t.Context(), processor.LookupCall{Operation: payment.OperationCharge, Reference: calls[i].Key})
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, payment.Succeeded, found.Status)
	}
}

func TestBatchThatIsTooLargeIsSentInSeveralRequests(t *testing.T) {
	p, statuses := simulated(t)
	var calls []processor.ChargeCall
	for i := range 30 {
		call := chargeAs(fmt.Sprint("large-", i), "tok_success")
		call.Metadata = map[string]string{}
		for j := range 40 {
			call.Metadata[fmt.Sprint("note-", j)] = strings.Repeat("x", 500)
		}
		calls = append(calls, call)
	}
	for _, item := range p.ChargeBatch(t.Context(), calls) {
		require.Nil(t, item.Err)
	}
	require.Equal(t, []int{200, 200, 200}, statuses("batch"))

	p, statuses = simulated(t)
	calls = nil
	for i := range 150 {
		calls = append(calls, chargeAs(fmt.Sprint("many-", i), "tok_success"))
	}
	for i, item := range p.ChargeBatch(t.Context(), calls) {
		require.Nil(t, item.Err)
		require.Equal(t, calls[i].Key, item.Result.Reference)
	}
	require.Equal(t, []int{200, 200}, statuses("batch"))
	require.Empty(t, p.ChargeBatch(t.Context(), nil))
}

func TestBatchRequestAndResponse(t *testing.T) {
	call := chargeCall
	f := start(t, 200, `{"items":[{"key":"`+key+`","status":200,"payment":`+paid("succeeded", "")+`,"error":null}]}`)
	items := f.ChargeBatch(t.Context(), []processor.ChargeCall{call})
	require.Nil(t, items[0].Err)
	require.Equal(t, []any{"ch_1", payment.Succeeded, "req_1"}, []any{items[0].Result.ID, items[0].Result.Status, items[0].Result.RequestID})
	sent := <-f.seen
	require.Equal(t, []string{"POST", "/batches"}, []string{sent.method, sent.uri})
	require.JSONEq(t, `{"items":[{"key":"`+key+`","charge":{"card_token":"tok_visa","amount":1250,"currency":"USD","capture":true,
		"reference":"`+key+`","metadata":{"order":"1","florin_payment_id":"pay_1","florin_merchant_id":"acme"}}}]}`, sent.body)
	for name, body := range map[string]string{
		"no items": `{}`, "null": `null`, "a list": `[]`, "HTML": `<html>`, "null items": `{"items":null}`,
		"an item twice":        `{"items":[{"key":"` + key + `","status":200},{"key":"` + key + `","status":200}]}`,
		"no item":              `{"items":[]}`,
		"another's item":       `{"items":[{"key":"another","status":200,"payment":` + paid("succeeded", "") + `}]}`,
		"no status":            `{"items":[{"key":"` + key + `","payment":` + paid("succeeded", "") + `}]}`,
		"no payment":           `{"items":[{"key":"` + key + `","status":200}]}`,
		"error with 200":       `{"items":[{"key":"` + key + `","status":200,"error":{"code":"no"}}]}`,
		"payment and error":    `{"items":[{"key":"` + key + `","status":200,"payment":` + paid("succeeded", "") + `,"error":{"code":"no"}}]}`,
		"payment of no amount": `{"items":[{"key":"` + key + `","status":200,"payment":{"id":"ch_1","status":"succeeded"}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			item := start(t, 200, body).ChargeBatch(t.Context(), []processor.ChargeCall{call})[0]
			require.Zero(t, item.Result)
			require.NotNil(t, item.Err)
			require.Equal(t, processor.Ambiguous, item.Err.Certainty)
			require.NotContains(t, item.Err.Error(), key)
		})
	}
}

func TestBatchNeedsAClientThatSendsThem(t *testing.T) {
	for _, item := range New(nil).ChargeBatch(t.Context(), []processor.ChargeCall{chargeCall}) {
		require.Equal(t, processor.NotExecuted, item.Err.Certainty)
	}
	require.Equal(t, processor.Ambiguous, itemOf(processor.Result{}, errors.New("other")).Err.Certainty)
}
