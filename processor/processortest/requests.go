package processortest

// Scenarios about the requests that an adapter sends.

import (
	"fmt"
	"maps"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var requestScenarios = []scenario{
	{name: "each operation is one request with exactly the values of the call", doc: docMapping, run: requestValues},
	{name: "a charge captures at once or only authorizes, as the call says", doc: docMapping, skip: skipWithoutAuthorizations,
		run: captureModes},
	{name: "charges and refunds carry Florin's ids and the caller's metadata", doc: docMapping, skip: skipWithoutMetadata,
		run: metadataIsSent},
	{name: "a payment id never changes the path of the request", doc: docMapping, run: idsInPaths},
	{name: "a list request carries its creation time, cursor and limit", doc: docMapping, run: listParameters},
}

func requestValues(t tester, p Protocol) {
	want := map[Operation]ParsedRequest{
		Charge: {Operation: Charge, Amount: amount, Currency: currency, Reference: keyOf("1"),
			PaymentMethod: paymentMethod},
		Capture: {Operation: Capture, Amount: captured, PaymentID: processorPaymentID},
		Void:    {Operation: Void, PaymentID: processorPaymentID},
		Refund:  {Operation: Refund, Amount: refunded, PaymentID: processorPaymentID, Reference: keyOf("1")},
	}
	eachOperation(t, p, func(t tester, op operation) {
		r := start(t, p, always(op.success(p)))
		_, err := op.run(r)
		got := r.onlyRequest().ParsedRequest
		require.NoError(t, err)
		if op.Operation != Charge {
			require.Contains(t, []string{"", currency}, got.Currency,
				"the currency is optional, because it follows from the payment")
			got.Currency = ""
		}
		if op.Operation == Capture || op.Operation == Void {
			got.Reference = "" // optional: captures and voids are not looked up
		}
		require.Equal(t, want[op.Operation], got)
	})
	for _, q := range lookupQueries {
		t.Run(q.name, func(t tester) {
			r := start(t, p, func(got received) Response { return q.success(p, got.Request) })
			_, _, err := q.run(r)
			for _, got := range r.sent() {
				require.Equal(t, q.Operation, got.Operation)
				require.True(t, got.ParsedRequest.Reference == keyOf("1") ||
					got.ParsedRequest.PaymentID == processorPaymentID, "parsed request: %+v", got.ParsedRequest)
			}
			require.NoError(t, err)
		})
	}
}

func skipWithoutAuthorizations(p Protocol) string {
	if statusName(p.PaymentStatuses, payment.Authorized) == "" {
		return "the protocol has no status for an authorized payment"
	}
	return ""
}

func captureModes(t tester, p Protocol) {
	for mode, manual := range map[payment.Capture]bool{"": false, payment.CaptureAutomatic: false,
		payment.CaptureManual: true} {
		record := charge.record(p, keyOf("1"))
		if manual {
			record.Captured, record.Status = 0, statusName(p.PaymentStatuses, payment.Authorized)
		}
		r := start(t, p, always(p.WritePayment(record)))
		call := chargeCall(callOptions{key: keyOf("1")})
		call.Capture = mode
		got := r.requireResult(r.adapter.Charge(t.Context(), call))
		require.Equal(t, manual, r.onlyRequest().ManualCapture, "capture %q", mode)
		require.Equal(t, record.Captured, got.CapturedAmount)
	}
}

func skipWithoutMetadata(p Protocol) string {
	if p.ParseMetadata == nil {
		return "the protocol has no metadata"
	}
	return ""
}

func metadataIsSent(t tester, p Protocol) {
	const prefix = payment.ReservedMetadataPrefix
	for _, tc := range []struct {
		operation
		florin map[string]string
	}{
		{operation: charge, florin: map[string]string{prefix + "payment_id": paymentID, prefix + "merchant_id": merchantID}},
		{operation: refund, florin: map[string]string{prefix + "refund_id": refundID, prefix + "merchant_id": merchantID}},
	} {
		t.Run(string(tc.Operation), func(t tester) {
			r := start(t, p, always(tc.success(p)))
			_, err := tc.run(r)
			got := p.ParseMetadata(r.onlyRequest().Request)
			require.NoError(t, err)
			require.Subset(t, got, tc.florin)
			require.Subset(t, got, callerMetadata(), "metadata of the caller")
		})
	}
	t.Run("the caller cannot override Florin's ids, and its map is not modified", func(t tester) {
		r := start(t, p, always(charge.success(p)))
		call := chargeCall(callOptions{key: keyOf("1")})
		call.Metadata[prefix+"merchant_id"] = "another"
		before := maps.Clone(call.Metadata)
		_, err := r.adapter.Charge(t.Context(), call)
		require.Equal(t, merchantID, p.ParseMetadata(r.onlyRequest().Request)[prefix+"merchant_id"])
		require.NoError(t, err)
		require.Equal(t, before, call.Metadata)
	})
}

func idsInPaths(t tester, p Protocol) {
	for _, id := range []string{"", ".", "..", "../payment_2", "payment_1/../payment_2", "a/b", "a?b=c", "a#b", "%2e%2e",
		"a b", "a&b"} {
		for _, op := range []operation{capture, void, refund} {
			t.Run(fmt.Sprintf("%s of %q", op.Operation, id), func(t tester) {
				r := start(t, p, always(op.success(p)))
				_, err := op.call(t.Context(), r.adapter, callOptions{key: keyOf("1"), payment: id})
				sent := r.sent()
				if id == "" || len(sent) == 0 {
					r.requireRequests(0)
					e := r.requireError(err)
					require.Equal(t, []any{processor.NotExecuted, false}, []any{e.Certainty, e.Retry}, "%v", err)
					return
				}
				require.Equal(t, op.Operation, sent[0].Operation)
				require.Equal(t, id, sent[0].ParsedRequest.PaymentID)
			})
		}
		t.Run(fmt.Sprintf("lookup of a refund of %q", id), func(t tester) {
			r := start(t, p, func(got received) Response { return lookupRefund.success(p, got.Request) })
			_, found, err := r.adapter.Lookup(t.Context(), processor.LookupCall{
				Operation: payment.OperationRefund, Reference: keyOf("1"), ProcessorPaymentID: id})
			for _, got := range r.sent() {
				require.Equal(t, LookupRefund, got.Operation)
				require.Contains(t, []string{"", id}, got.ParsedRequest.PaymentID)
			}
			require.NotEqual(t, found, err != nil, "the refund exists: the lookup must find it or return an error")
		})
	}
}

// listSlack is how much earlier than asked a list may begin, for a protocol whose times are coarser.
const listSlack = 2 * time.Second

func listParameters(t tester, p Protocol) {
	eachList(t, func(t tester, q query) {
		whole := time.Date(2026, 1, 15, 12, 0, 0, 0, time.FixedZone("", 3600))
		for _, created := range []time.Time{whole, whole.Add(1), whole.Add(time.Second - 1)} {
			r := start(t, p, always(p.WritePage(nil, "")))
			_, err := q.list(r, processor.ListCall{CreatedAfter: created, Cursor: processorPaymentID, Limit: 7})
			require.NoError(t, err)
			got := r.onlyRequest().ParsedRequest
			require.Equal(t, []any{q.Operation, processorPaymentID, 7}, []any{got.Operation, got.Cursor, got.Limit})
			require.False(t, got.CreatedAfter.After(created), "created after %s: excludes what was created since %s", got.CreatedAfter, created)
			require.WithinDuration(t, created, got.CreatedAfter, listSlack)
		}
		r := start(t, p, always(p.WritePage(nil, "")))
		_, err := q.list(r, processor.ListCall{})
		require.NoError(t, err)
		require.Equal(t, ParsedRequest{Operation: q.Operation}, r.onlyRequest().ParsedRequest)
	})
}
