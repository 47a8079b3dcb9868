package processor

import (
	"maps"

	"github.com/florinpay/florin/payment"
)

// Florin's own metadata, which an adapter stores with each charge and refund at the processor. Events and lists are related to
// the payment by it.
const (
	MetadataMerchantID = payment.ReservedMetadataPrefix + "merchant_id"
	MetadataPaymentID  = payment.ReservedMetadataPrefix + "payment_id"
	MetadataRefundID   = payment.ReservedMetadataPrefix + "refund_id"
)

// AllMetadata returns the metadata to store at the processor: Metadata, and over it [MetadataPaymentID] and
// [MetadataMerchantID], which a caller therefore cannot forge. The map is the caller's to change.
func (c ChargeCall) AllMetadata() map[string]string {
	return withOwn(c.Metadata, MetadataPaymentID, c.PaymentID, c.MerchantID)
}

// AllMetadata returns the metadata to store at the processor: Metadata, and over it [MetadataRefundID] and
// [MetadataMerchantID], which a caller therefore cannot forge. The map is the caller's to change.
func (c RefundCall) AllMetadata() map[string]string {
	return withOwn(c.Metadata, MetadataRefundID, c.RefundID, c.MerchantID)
}

func withOwn(metadata map[string]string, idName, id, merchantID string) map[string]string {
	all := make(map[string]string, len(metadata)+2)
	maps.Copy(all, metadata)
	all[idName], all[MetadataMerchantID] = id, merchantID
	return all
}
