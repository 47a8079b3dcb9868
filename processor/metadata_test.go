package processor

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlorinsMetadataReplacesForgedMetadataAndLeavesTheCallUnchanged(t *testing.T) {
	metadata := map[string]string{"order": "1", "florin_merchant_id": "another", "florin_payment_id": "another"}
	charge := ChargeCall{PaymentID: "pay_1", MerchantID: "acme", Metadata: metadata}
	require.Equal(t, map[string]string{"order": "1", "florin_merchant_id": "acme", "florin_payment_id": "pay_1"}, charge.AllMetadata())
	require.Equal(t, "another", metadata["florin_merchant_id"])

	refund := RefundCall{RefundID: "ref_1", MerchantID: "acme"}
	require.Equal(t, map[string]string{"florin_merchant_id": "acme", "florin_refund_id": "ref_1"}, refund.AllMetadata())
}
