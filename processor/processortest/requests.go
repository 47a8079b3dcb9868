package processortest

// What an adapter asks the processor for.

import (
	"maps"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var requests = []scenario{
	{"each call is one request, which asks for exactly what the call says", nil, asksForWhatItSays},
	{"a charge takes the money, or only holds it, as the call says", lacksHolds, takesOrHolds},
	{"what Florin calls the payment, and whose it is, travels with it", lacksMetadata, metadataTravels},
	{"an id names one payment, and never another path", nil, idsAreNoPaths},
	{"a list asks for what is new, page by page", nil, asksForPages},
}

func asksForWhatItSays(t tester, p Protocol) {
	want := map[Operation]Asked{
		Charge:  {Operation: Charge, Amount: amount, Currency: currency, Reference: keyOf("1"), PaymentMethod: paymentMethod},
		Capture: {Operation: Capture, Amount: captured, PaymentID: theirID},
		Void:    {Operation: Void, PaymentID: theirID},
		Refund:  {Operation: Refund, Amount: refunded, PaymentID: theirID, Reference: keyOf("1")},
	}
	eachMove(t, p, func(t tester, m money) {
		r := start(t, p, always(m.honest(p)))
		_, err := m.make(r)
		got := r.once().Asked
		require.NoError(t, err)
		if m.Operation != Charge {
			require.Contains(t, []string{"", currency}, got.Currency, "the currency follows from the payment")
			got.Currency = ""
		}
		if m.Operation == Capture || m.Operation == Void {
			got.Reference = "" // nobody looks these up
		}
		require.Equal(t, want[m.Operation], got)
	})
	for _, q := range lookupsAll {
		t.Run(q.name, func(t tester) {
			r := start(t, p, func(got received) Answer { return q.honest(p, got.Request) })
			_, _, err := q.ask(r)
			for _, got := range r.sent() {
				require.Equal(t, q.Operation, got.Operation)
				require.True(t, got.Asked.Reference == keyOf("1") || got.Asked.PaymentID == theirID, "asked for %+v", got.Asked)
			}
			require.NoError(t, err)
		})
	}
}

func lacksHolds(p Protocol) string {
	if word(p.PaymentStatuses, payment.Authorized) == "" {
		return "the protocol has no word for money that is only held"
	}
	return ""
}

func takesOrHolds(t tester, p Protocol) {
	for mode, manual := range map[payment.Capture]bool{"": false, payment.CaptureAutomatic: false, payment.CaptureManual: true} {
		record := charge.record(p, keyOf("1"))
		if manual {
			record.Captured, record.Status = 0, word(p.PaymentStatuses, payment.Authorized)
		}
		r := start(t, p, always(p.Payment(record)))
		call := chargeCall(how{key: keyOf("1")})
		call.Capture = mode
		got := r.answered(r.adapter.Charge(t.Context(), call))
		require.Equal(t, manual, r.once().Manual, "capture %q", mode)
		require.Equal(t, record.Captured, got.CapturedAmount)
	}
}

func lacksMetadata(p Protocol) string {
	if p.Metadata == nil {
		return "the protocol keeps no metadata"
	}
	return ""
}

func metadataTravels(t tester, p Protocol) {
	const prefix = payment.ReservedMetadataPrefix
	for _, tc := range []struct {
		money
		ours map[string]string
	}{
		{charge, map[string]string{prefix + "payment_id": paymentID, prefix + "merchant_id": merchantID}},
		{refund, map[string]string{prefix + "refund_id": refundID, prefix + "merchant_id": merchantID}},
	} {
		t.Run(string(tc.Operation), func(t tester) {
			r := start(t, p, always(tc.honest(p)))
			_, err := tc.make(r)
			got := p.Metadata(r.once().Request)
			require.NoError(t, err)
			require.Subset(t, got, tc.ours)
			require.Subset(t, got, ownMetadata(), "the caller's own")
		})
	}
	t.Run("a caller cannot forge it, and keeps its map", func(t tester) {
		r := start(t, p, always(charge.honest(p)))
		call := chargeCall(how{key: keyOf("1")})
		call.Metadata[prefix+"merchant_id"] = "another"
		before := maps.Clone(call.Metadata)
		_, err := r.adapter.Charge(t.Context(), call)
		require.Equal(t, merchantID, p.Metadata(r.once().Request)[prefix+"merchant_id"])
		require.NoError(t, err)
		require.Equal(t, before, call.Metadata)
	})
}

func idsAreNoPaths(t tester, p Protocol) {
	for _, id := range []string{"", ".", "..", "../payment_2", "payment_1/../payment_2", "a/b", "a?b=c", "a#b", "%2e%2e", "a b", "a&b"} {
		for _, m := range []money{capture, void, refund} {
			t.Run(string(m.Operation)+" of "+id, func(t tester) {
				r := start(t, p, always(m.honest(p)))
				_, err := m.do(t.Context(), r.adapter, how{key: keyOf("1"), payment: id})
				sent := r.sent()
				if id == "" || len(sent) == 0 {
					r.times(0)
					e := r.refused(err)
					require.Equal(t, []any{processor.NotExecuted, false}, []any{e.Certainty, e.Retry}, "%v", err)
					return
				}
				require.Equal(t, m.Operation, sent[0].Operation)
				require.Equal(t, id, sent[0].Asked.PaymentID)
			})
		}
		t.Run("lookup of a refund of "+id, func(t tester) {
			r := start(t, p, func(got received) Answer { return lookupRefund.honest(p, got.Request) })
			_, found, err := r.adapter.Lookup(t.Context(), processor.LookupCall{
				Operation: payment.OperationRefund, Reference: keyOf("1"), ProcessorPaymentID: id})
			for _, got := range r.sent() {
				require.Equal(t, LookupRefund, got.Operation)
				require.Contains(t, []string{"", id}, got.Asked.PaymentID)
			}
			require.NotEqual(t, found, err != nil, "the refund is there: it is found, or it is an error that it cannot be")
		})
	}
}

func asksForPages(t tester, p Protocol) {
	created := time.Date(2026, 1, 15, 12, 0, 0, 0, time.FixedZone("", 3600))
	r := start(t, p, always(p.Page(nil, "")))
	_, err := r.adapter.List(t.Context(), processor.ListCall{CreatedAfter: created, Cursor: theirID, Limit: 7})
	require.NoError(t, err)
	got := r.once().Asked
	require.Equal(t, []any{List, theirID, 7}, []any{got.Operation, got.Cursor, got.Limit})
	require.True(t, got.CreatedAfter.Equal(created), "asked for what is newer than %s, not %s", got.CreatedAfter, created)

	r = start(t, p, always(p.Page(nil, "")))
	_, err = r.adapter.List(t.Context(), processor.ListCall{})
	require.NoError(t, err)
	require.Equal(t, Asked{Operation: List}, r.once().Asked)
}
