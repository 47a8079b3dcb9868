package activities

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func TestOperatorsListAndAcknowledgeDivergences(t *testing.T) {
	env, p := newPayments(t)
	value, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase, Start{})
	paid := decode[BeginResult](t, value, err).Charge
	divergence := payment.Divergence{
		PaymentID: paid.PaymentID, MerchantID: paid.MerchantID, Kind: payment.DivergenceDispute, StatusHere: paid.Status, DetectedBy: "event",
	}
	_, err = p.Store.RecordDivergence(t.Context(), divergence)
	require.NoError(t, err)

	value, err = env.ExecuteActivity(p.ListDivergences, payment.DivergenceFilter{Open: true})
	page := decode[payment.DivergencePage](t, value, err)
	require.Len(t, page.Divergences, 1)
	id := page.Divergences[0].DivergenceID
	require.Equal(t, divergence.ID(), id)
	_, err = env.ExecuteActivity(p.ListDivergences, payment.DivergenceFilter{Kind: "paid"})
	requireRefusal(t, err, payment.ErrInvalidRequest)

	for range 2 {
		value, err = env.ExecuteActivity(p.AcknowledgeDivergence, payment.Acknowledgement{DivergenceID: id, By: "jane"})
		require.Equal(t, "jane", decode[payment.Divergence](t, value, err).AcknowledgedBy)
	}
	_, err = env.ExecuteActivity(p.AcknowledgeDivergence, payment.Acknowledgement{DivergenceID: id})
	requireRefusal(t, err, payment.ErrInvalidRequest)
	_, err = env.ExecuteActivity(p.AcknowledgeDivergence, payment.Acknowledgement{DivergenceID: "div_9", By: "jane"})
	requireRefusal(t, err, payment.ErrNotFound)
	require.NoError(t, p.Store.Close())
	_, err = env.ExecuteActivity(p.AcknowledgeDivergence, payment.Acknowledgement{DivergenceID: id, By: "jane"})
	requireRetried(t, err)
}

// The processor of a payment was removed from the configuration: the payment cannot be looked up.
func TestPaymentOfAProcessorThatIsNoLongerConfiguredIsNotRechecked(t *testing.T) {
	env, p := newPayments(t)
	value, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase, Start{})
	paid := decode[BeginResult](t, value, err).Charge
	paid.Status = payment.Declined
	_, err = p.Store.RecordPayment(t.Context(), paid, Cause{By: "test"})
	require.NoError(t, err)
	req := payment.RecheckRequest{MerchantID: paid.MerchantID, IdempotencyKey: paid.IdempotencyKey}

	value, err = env.ExecuteActivity(p.BeginRecheck, req)
	target := decode[RecheckTarget](t, value, err)
	require.Empty(t, target.Skip)
	require.Equal(t, "one", target.Terms.Processor)
	delete(p.Terms, "one")
	value, err = env.ExecuteActivity(p.BeginRecheck, req)
	require.Contains(t, decode[RecheckTarget](t, value, err).Skip, `"one" is no longer configured`)
}

// A refund that ends while both sides are compared is no divergence.
func TestRefundThatEndsDuringTheComparisonIsNoDivergence(t *testing.T) {
	env, p := newPayments(t)
	value, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase, Start{})
	paid := decode[BeginResult](t, value, err).Charge
	paid.Status, paid.CapturedAmount, paid.ProcessorPaymentID = payment.Succeeded, paid.Amount, "ch_1"
	paid, err = p.Store.RecordPayment(t.Context(), paid, Cause{By: "test"})
	require.NoError(t, err)
	refund, _, _, err := p.Store.ReserveRefund(t.Context(), payment.Refund{
		RefundID: payment.RefundID(paid.MerchantID, "r"), MerchantID: paid.MerchantID, IdempotencyKey: "r", PaymentID: paid.PaymentID, Amount: 100,
	}, "fingerprint")
	require.NoError(t, err)
	before, err := p.Store.Payment(t.Context(), paid.MerchantID, paid.IdempotencyKey)
	require.NoError(t, err)
	refund.Status, refund.ProcessorRefundID = payment.Succeeded, "re_1"
	_, err = p.Store.SettleRefund(t.Context(), refund, Cause{By: "test"})
	require.NoError(t, err)

	there := processor.Result{
		ID: "ch_1", Status: payment.Succeeded, Amount: paid.Amount, Currency: paid.Currency, CapturedAmount: paid.Amount, RefundedAmount: 100,
		Reference: payment.ProcessorKey(paid.PaymentID, payment.OperationCharge, 0),
	}
	out, err := finder{store: p.Store, by: byLookup}.recordPayment(t.Context(), before, there)
	require.NoError(t, err)
	require.Empty(t, out.Recorded)
	require.Empty(t, out.Unconfirmed)
	there.RefundedAmount = 150
	out, err = finder{store: p.Store, by: byLookup}.recordPayment(t.Context(), before, there)
	require.NoError(t, err)
	require.Len(t, out.Recorded, 1)
	require.Equal(t, payment.DivergenceRefunded, out.Recorded[0].Kind)
}
