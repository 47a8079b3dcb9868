package activities

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
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
