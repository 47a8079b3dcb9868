package audit

import (
	"strings"

	"github.com/florinpay/florin/payment"
)

// allowed are the fields whose values are written: amounts, times, flags, words from a closed set, and ids that a
// processor gives to what it did. Not among them, on purpose: "reference", which is the idempotency key; "message",
// in which a processor may repeat anything, and "param", which may be a name that a customer chose; "reason", which
// is the merchant's own text; "request_log_url", which leads to the request as it was.
var allowed = []string{
	"id", "status", "code", "type", "created_at", "next_cursor",
	"amount", "currency", "capture", "captured_amount", "refunded_amount",
	"payment_id", "decline_code", "decline_kind",
	payment.ReservedMetadataPrefix + "payment_id",
	payment.ReservedMetadataPrefix + "merchant_id",
	payment.ReservedMetadataPrefix + "refund_id",

	// Stripe's.
	"object", "livemode", "created", "canceled_at", "has_more", "expand",
	"amount_received", "amount_capturable", "amount_to_capture", "amount_captured", "amount_refunded",
	"capture_method", "confirmation_method", "payment_method_types", "setup_future_usage", "confirm", "off_session",
	"payment_intent", "charge", "latest_charge", "balance_transaction",
	"captured", "paid", "refunded", "disputed", "cancellation_reason", "failure_code", "failure_reason",
	"network_status", "network_decline_code", "advice_code", "network_advice_code",
}

// isClosed holds for the fields in which nothing is written but Florin's own metadata. In metadata the merchant's
// customers choose the names: a "code" in it is not the processor's. In the others an "id" or a "code" is a way
// to pay, or a person.
func isClosed(name string) bool {
	switch name {
	case "metadata", "payment_method", "payment_method_options", "card", "source", "customer":
		return true
	}
	return false
}

// allowList has the names whose values are written; true says: in closed fields as well.
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
