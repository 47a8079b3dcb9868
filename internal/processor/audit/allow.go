package audit

import (
	"strings"

	"github.com/florinpay/florin/payment"
)

// allowed are the fields whose values are written. Not among them, on purpose: "reference", which is the
// idempotency key, and "message", in which a processor may repeat anything.
var allowed = []string{
	"id", "status", "code", "type", "created_at", "next_cursor",
	"amount", "currency", "capture", "captured_amount", "refunded_amount",
	"payment_id", "decline_code", "decline_kind",
	payment.ReservedMetadataPrefix + "payment_id",
	payment.ReservedMetadataPrefix + "merchant_id",
	payment.ReservedMetadataPrefix + "refund_id",
}

// metadataField holds names that the merchant's customers choose: a "code" in it is not the processor's.
const metadataField = "metadata"

// allowList has the names whose values are written; true says: in metadata as well.
func allowList(more []string) map[string]bool {
	list := make(map[string]bool, len(allowed)+len(more))
	for _, name := range allowed {
		list[name] = strings.HasPrefix(name, payment.ReservedMetadataPrefix)
	}
	for _, name := range more {
		// What a line cannot hold, nothing can be called.
		if name != "" && isPrintable(name) {
			list[name] = true
		}
	}
	return list
}

// isIdentifier holds for the names of fields that protocols use. Any other may be content: a map of card
// numbers, say.
func isIdentifier(name string) bool {
	if name == "" || len(name) > 40 {
		return false
	}
	for _, c := range []byte(name) {
		if !isDigit(c) && c != '_' && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
