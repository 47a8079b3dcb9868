package activities

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestLookupIsAboutThePaymentOfItsWorkflow(t *testing.T) {
	for workflowID, want := range map[string]string{
		payment.ChargeWorkflowID("acme", "order-1"):    payment.PaymentID("acme", "order-1"),
		payment.RefundWorkflowID("acme", "order 1 %#"): payment.RefundID("acme", "order 1 %#"),
		"":                     "",
		"another/acme/order-1": "",
	} {
		require.Equal(t, want, subjectOf(workflowID), workflowID)
	}
}
