package divergence

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func TestPaymentIsComparedWithItsProcessorsRecord(t *testing.T) {
	record := func(status payment.Status, captured, refunded int64) processor.Result {
		return processor.Result{ID: "ch_1", Status: status, Amount: 1250, Currency: "USD", CapturedAmount: captured, RefundedAmount: refunded}
	}
	another := func(change func(*processor.Result)) processor.Result {
		r := record(payment.Succeeded, 1250, 0)
		change(&r)
		return r
	}
	status := func(there payment.Status, captured string, mayLag bool) []Contradiction {
		return []Contradiction{{Kind: payment.DivergenceStatus, StatusThere: there, Evidence: map[string]string{"captured_there": captured}, MayLag: mayLag}}
	}
	other := func(kind payment.DivergenceKind, mayLag bool, evidence map[string]string) []Contradiction {
		return []Contradiction{{Kind: kind, StatusThere: payment.Succeeded, Evidence: evidence, MayLag: mayLag}}
	}
	for name, tt := range map[string]struct {
		here               payment.Status
		captured, refunded int64
		// open is the sum of the refunds in flight here.
		open  int64
		there processor.Result
		want  []Contradiction
	}{
		"the same":                         {here: payment.Succeeded, captured: 1250, there: record(payment.Succeeded, 1250, 0)},
		"captured in part in both":         {here: payment.Succeeded, captured: 500, there: record(payment.Succeeded, 500, 0)},
		"refunded in both":                 {here: payment.Succeeded, captured: 1250, refunded: 400, there: record(payment.Succeeded, 1250, 400)},
		"voided in both":                   {here: payment.Voided, there: record(payment.Voided, 0, 0)},
		"expired here, voided there":       {here: payment.Expired, there: record(payment.Voided, 0, 0)},
		"declined in both":                 {here: payment.Declined, there: record(payment.Declined, 0, 0)},
		"declined here, canceled there":    {here: payment.Declined, there: record(payment.Voided, 0, 0)},
		"failed here, declined there":      {here: payment.Failed, there: record(payment.Declined, 0, 0)},
		"conflicted: known to contradict":  {here: payment.Conflicted, captured: 0, there: record(payment.Succeeded, 900, 900)},
		"own refund executed, not known":   {here: payment.Succeeded, captured: 1250, open: 300, there: record(payment.Succeeded, 1250, 300)},
		"own refund not executed yet":      {here: payment.Succeeded, captured: 1250, open: 300, there: record(payment.Succeeded, 1250, 0)},
		"one of two own refunds executed":  {here: payment.Succeeded, captured: 1250, refunded: 100, open: 500, there: record(payment.Succeeded, 1250, 300)},
		"refunded amount is not in record": {here: payment.Succeeded, captured: 1250, refunded: 400, there: another(func(r *processor.Result) { r.RefundedUnknown = true })},

		"declined here, paid there":         {here: payment.Declined, there: record(payment.Succeeded, 1250, 0), want: status(payment.Succeeded, "12.50 USD", false)},
		"declined here, paid and refunded":  {here: payment.Declined, there: record(payment.Succeeded, 1250, 1250), want: status(payment.Succeeded, "12.50 USD", false)},
		"failed here, paid there":           {here: payment.Failed, there: record(payment.Succeeded, 1250, 0), want: status(payment.Succeeded, "12.50 USD", false)},
		"voided here, captured there":       {here: payment.Voided, there: record(payment.Succeeded, 500, 0), want: status(payment.Succeeded, "5.00 USD", false)},
		"succeeded here, voided there":      {here: payment.Succeeded, captured: 1250, there: record(payment.Voided, 0, 0), want: status(payment.Voided, "0.00 USD", false)},
		"succeeded here, declined there":    {here: payment.Succeeded, captured: 1250, there: record(payment.Declined, 0, 0), want: status(payment.Declined, "0.00 USD", false)},
		"succeeded here, pending there":     {here: payment.Succeeded, captured: 1250, there: record(payment.Pending, 0, 0), want: status(payment.Pending, "0.00 USD", true)},
		"succeeded here, authorized there":  {here: payment.Succeeded, captured: 1250, there: record(payment.Authorized, 0, 0), want: status(payment.Authorized, "0.00 USD", true)},
		"voided here, authorized there":     {here: payment.Voided, there: record(payment.Authorized, 0, 0), want: status(payment.Authorized, "0.00 USD", true)},
		"declined here, still to be paid":   {here: payment.Declined, there: record(payment.RequiresAction, 0, 0), want: status(payment.RequiresAction, "0.00 USD", true)},
		"voided in both, but with captured": {here: payment.Voided, there: record(payment.Voided, 500, 0), want: []Contradiction{{Kind: payment.DivergenceCaptured, StatusThere: payment.Voided, Evidence: map[string]string{"captured_here": "0.00 USD", "captured_there": "5.00 USD"}}}},

		"another amount": {here: payment.Succeeded, captured: 1250, there: another(func(r *processor.Result) { r.Amount = 1300 }),
			want: other(payment.DivergenceAmount, false, map[string]string{"amount_here": "12.50 USD", "amount_there": "13.00 USD"})},
		"another currency": {here: payment.Succeeded, captured: 1250, there: another(func(r *processor.Result) { r.Currency = "EUR" }),
			want: other(payment.DivergenceCurrency, false, map[string]string{"amount_here": "12.50 USD", "amount_there": "12.50 EUR"})},
		"another amount in another currency": {here: payment.Succeeded, captured: 1250, there: another(func(r *processor.Result) { r.Amount, r.Currency = 1300, "EUR" }),
			want: other(payment.DivergenceAmount, false, map[string]string{"amount_here": "12.50 USD", "amount_there": "13.00 EUR"})},
		"captured less": {here: payment.Succeeded, captured: 1250, there: record(payment.Succeeded, 900, 0),
			want: other(payment.DivergenceCaptured, false, map[string]string{"captured_here": "12.50 USD", "captured_there": "9.00 USD"})},
		"refunded in the dashboard": {here: payment.Succeeded, captured: 1250, there: record(payment.Succeeded, 1250, 1250),
			want: other(payment.DivergenceRefunded, false, map[string]string{"refunded_only_there": "12.50 USD"})},
		"refunded in the dashboard, and by Florin": {here: payment.Succeeded, captured: 1250, refunded: 100, open: 50, there: record(payment.Succeeded, 1250, 250),
			want: other(payment.DivergenceRefunded, false, map[string]string{"refunded_only_there": "1.00 USD"})},
		"refunded here only": {here: payment.Succeeded, captured: 1250, refunded: 400, there: record(payment.Succeeded, 1250, 100),
			want: other(payment.DivergenceRefunded, true, map[string]string{"refunded_only_here": "3.00 USD"})},
		"another payment under the same reference": {here: payment.Succeeded, captured: 1250, there: another(func(r *processor.Result) { r.ID = "ch_2" }),
			want: other(payment.DivergenceStatus, false, map[string]string{
				"processor_payment_id_here": "ch_1", "processor_payment_id_there": "ch_2", "captured_there": "12.50 USD",
			})},
	} {
		t.Run(name, func(t *testing.T) {
			c := payment.Charge{
				Status: tt.here, Amount: 1250, Currency: "USD", CapturedAmount: tt.captured, RefundedAmount: tt.refunded, ProcessorPaymentID: "ch_1",
			}
			require.Equal(t, tt.want, OfPayment(c, tt.open, tt.there))
		})
	}
	failed := payment.Charge{Status: payment.Failed, Amount: 1250, Currency: "USD"} // the processor has never responded
	require.Empty(t, OfPayment(failed, 0, record(payment.Declined, 0, 0)))
	require.Len(t, OfPayment(failed, 0, record(payment.Succeeded, 1250, 0)), 1)
}

func TestRefundIsComparedWithItsProcessorsRecord(t *testing.T) {
	divergence := func(kind payment.DivergenceKind, there payment.Status, mayLag bool, evidence map[string]string) []Contradiction {
		return []Contradiction{{Kind: kind, StatusThere: there, MayLag: mayLag, Evidence: evidence}}
	}
	for name, tt := range map[string]struct {
		here       payment.Status
		there      payment.Status
		change     func(*processor.Result)
		want       []Contradiction
		failedLate bool
	}{
		"succeeded in both":            {here: payment.Succeeded, there: payment.Succeeded},
		"declined in both":             {here: payment.Declined, there: payment.Declined},
		"failed here, declined there":  {here: payment.Failed, there: payment.Declined},
		"succeeded, and failed since":  {here: payment.Succeeded, there: payment.Declined, failedLate: true},
		"succeeded, and voided since":  {here: payment.Succeeded, there: payment.Voided, failedLate: true},
		"failed here, executed there":  {here: payment.Failed, there: payment.Succeeded, want: divergence(payment.DivergenceRefundStatus, payment.Succeeded, false, nil)},
		"declined, and executed there": {here: payment.Declined, there: payment.Succeeded, want: divergence(payment.DivergenceRefundStatus, payment.Succeeded, false, nil)},
		"succeeded, and pending there": {here: payment.Succeeded, there: payment.Pending, want: divergence(payment.DivergenceRefundStatus, payment.Pending, true, nil)},
		"failed, and pending there":    {here: payment.Failed, there: payment.Pending, want: divergence(payment.DivergenceRefundStatus, payment.Pending, true, nil)},
		"another amount": {here: payment.Succeeded, there: payment.Succeeded, change: func(r *processor.Result) { r.Amount = 500 },
			want: divergence(payment.DivergenceAmount, payment.Succeeded, false, map[string]string{"amount_here": "4.00 USD", "amount_there": "5.00 USD"})},
		"another refund under the same reference, which has failed": {here: payment.Succeeded, there: payment.Declined, change: func(r *processor.Result) { r.ID = "re_2" },
			want: divergence(payment.DivergenceRefundStatus, payment.Declined, false, map[string]string{
				"processor_refund_id_here": "re_1", "processor_refund_id_there": "re_2",
			})},
	} {
		t.Run(name, func(t *testing.T) {
			there := processor.Result{ID: "re_1", Status: tt.there, Amount: 400, Currency: "USD"}
			if tt.change != nil {
				tt.change(&there)
			}
			got, failedLate := OfRefund(payment.Refund{Status: tt.here, Amount: 400, Currency: "USD", ProcessorRefundID: "re_1"}, there)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.failedLate, failedLate)
		})
	}
}
