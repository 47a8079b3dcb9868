package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAllInvalidFlagsOfARefundAreReportedTogether(t *testing.T) {
	problems := refused(t, "refund", "--payment", "order-1", "--amount", "12.505", "--currency", "USD")
	require.Contains(t, problems["amount"], "rounding it would change the sum")
	require.Contains(t, problems["payment_id"], "want the payment_id of a charge")
	require.Contains(t, problems, "merchant_id")
	require.Contains(t, problems, "idempotency_key")
	require.Len(t, problems, 4)
}

// Regression test: --amount 0 became a request without an amount, which refunded the whole remaining amount.
func TestRefundOfZeroIsRefused(t *testing.T) {
	for _, amount := range []string{"0", "0.00", "00"} {
		problems := refused(t, "refund", "--merchant", "acme", "--key", "refund-1", "--charge-key", "order-1", "--amount", amount, "--currency", "USD")
		require.Equal(t, map[string]string{"amount": `"` + amount + `": must be above 0`}, problems)
	}
}

func TestRefundAmountNeedsACurrency(t *testing.T) {
	problems := refused(t, "refund", "--merchant", "acme", "--key", "refund-1", "--charge-key", "order-1", "--amount", "5.00")
	require.Contains(t, problems["currency"], `unknown currency ""`)
	require.Len(t, problems, 1)
}
