package audit

import (
	"strings"

	"github.com/florinpay/florin/payment"
)

// allowed lists the fields whose values are written: amounts, times, flags, values from a closed set, and IDs that a processor
// assigns. Deliberately not in the list are:
//   - "reference": it is the idempotency key;
//   - "message": a processor may repeat any input in it;
//   - "param": it may be a name that a customer chose;
//   - "reason": it is the merchant's own text;
//   - "request_log_url": it leads to the unredacted request.
var allowed = []string{
	"id", "status", "code", "type", "created_at", "next_cursor",
	"amount", "currency", "capture", "captured_amount", "refunded_amount",
	"payment_id", "decline_code", "decline_kind", "can_still_succeed",
	payment.ReservedMetadataPrefix + "payment_id",
	payment.ReservedMetadataPrefix + "merchant_id",
	payment.ReservedMetadataPrefix + "refund_id",

	// Fields of the Stripe API.
	"object", "livemode", "created", "canceled_at", "has_more", "expand",
	"amount_received", "amount_capturable", "amount_to_capture", "amount_captured", "amount_refunded",
	"capture_method", "confirmation_method", "payment_method_types", "setup_future_usage", "confirm", "off_session",
	"payment_intent", "charge", "latest_charge", "balance_transaction",
	"captured", "paid", "refunded", "disputed", "cancellation_reason", "failure_code", "failure_reason",
	"network_status", "network_decline_code", "advice_code", "network_advice_code",
}

// isClosed reports whether only Florin's own metadata is written of the fields inside the named one. In metadata, the
// merchant's customers choose the names: a "code" there is not the processor's. In the others, an "id" or a "code"
// identifies a payment method or a person.
func isClosed(name string) bool {
	switch name {
	case "metadata", "payment_method", "payment_method_options", "card", "source", "customer":
		return true
	}
	return false
}

// allowList returns the names of the fields whose values are written. The value is true if this also applies inside closed
// fields.
func allowList(more []string) map[string]bool {
	list := make(map[string]bool, len(allowed)+len(more))
	for _, name := range allowed {
		list[name] = strings.HasPrefix(name, payment.ReservedMetadataPrefix)
	}
	for _, name := range more {
		// An empty or unprintable name is never written, so it cannot be allowed.
		if name != "" && isPrintable(name) {
			list[name] = true
		}
	}
	return list
}

// isIdentifier reports whether a name looks like a field of a protocol. Any other name may itself be content, for example
// the key of a map by card number.
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
