package payment

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of what a request may hold; contract of the API.
const (
	maxMerchantID     = 64
	maxIdempotencyKey = 180
	maxPaymentMethod  = 255
	maxProcessor      = 64
	maxCustomerID     = 255
	maxDescription    = 1000
	maxReason         = 500
	maxMetadataPairs  = 50
	maxMetadataKey    = 40
	maxMetadataValue  = 500
)

// ReservedMetadataPrefix begins the metadata keys that Florin itself sends to a processor.
const ReservedMetadataPrefix = "florin_"

// FieldError is one thing wrong with a request.
type FieldError struct {
	// Field is its name as in JSON, such as "amount" or "metadata.order".
	Field string `json:"field"`
	// Problem names the wrong value, unless it may be secret, and what would be right.
	Problem string `json:"problem"`
}

func (e FieldError) Error() string { return e.Field + ": " + e.Problem }

// InvalidRequestError lists everything that is wrong with a request, in the order of its fields. Nothing
// was started.
type InvalidRequestError struct {
	Fields []FieldError `json:"fields"`
}

func (e *InvalidRequestError) Error() string {
	problems := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		problems[i] = f.Error()
	}
	return "invalid request: " + strings.Join(problems, "; ")
}

// Unwrap returns [ErrInvalidRequest].
func (e *InvalidRequestError) Unwrap() error { return ErrInvalidRequest }

// Validate returns nil or an *InvalidRequestError that lists every bad field.
func (r ChargeRequest) Validate() error {
	var v validator
	v.identity(r.MerchantID, r.IdempotencyKey)
	switch {
	case r.Amount <= 0:
		v.add("amount", "%s: must be above 0, in minor units", number(r.Amount))
	case r.Amount > MaxAmount:
		v.add("amount", "%s: must be at most %d minor units", number(r.Amount), MaxAmount)
	}
	if _, err := Exponent(r.Currency); err != nil {
		v.add("currency", "%v", err)
	}
	v.paymentMethod(r.PaymentMethod)
	switch r.Capture {
	case "", CaptureAutomatic, CaptureManual:
	default:
		v.add("capture", "%s: want %q or %q", quote(string(r.Capture)), CaptureAutomatic, CaptureManual)
	}
	v.processor(r.Processor)
	v.text("customer_id", r.CustomerID, maxCustomerID)
	v.text("description", r.Description, maxDescription)
	v.metadata(r.Metadata)
	return v.err()
}

// Validate returns nil or an *InvalidRequestError that lists every bad field.
func (r RefundRequest) Validate() error {
	var v validator
	v.identity(r.MerchantID, r.IdempotencyKey)
	if id, ok := strings.CutPrefix(r.PaymentID, "pay_"); !ok || len(id) != 36 || !printable(id) {
		v.add("payment_id", "%s: want the payment_id of a charge, pay_ and a UUID", quote(r.PaymentID))
	}
	v.part(r.Amount, "refund all that is left")
	v.optionalCurrency(r.Currency)
	v.text("reason", r.Reason, maxReason)
	v.metadata(r.Metadata)
	return v.err()
}

// Validate returns nil or an *InvalidRequestError. Whether so much is held, only the payment can tell.
func (r CaptureRequest) Validate() error {
	var v validator
	v.part(r.Amount, "capture all that is held")
	v.optionalCurrency(r.Currency)
	return v.err()
}

type validator struct{ fields []FieldError }

func (v *validator) add(field, format string, args ...any) {
	v.fields = append(v.fields, FieldError{field, fmt.Sprintf(format, args...)})
}

func (v *validator) err() error {
	if len(v.fields) == 0 {
		return nil
	}
	return &InvalidRequestError{v.fields}
}

func (v *validator) identity(merchantID, idempotencyKey string) {
	if !name(merchantID, maxMerchantID) {
		v.add("merchant_id", "%s: want 1 to %d of A-Z a-z 0-9 . _ -", quote(merchantID), maxMerchantID)
	} else if ContainsCardNumber(merchantID) {
		v.add("merchant_id", "looks like a card number")
	}
	switch {
	case ContainsCardNumber(idempotencyKey):
		v.add("idempotency_key", "looks like a card number: use your own name for the purchase")
	case idempotencyKey == "" || len(idempotencyKey) > maxIdempotencyKey || !printable(idempotencyKey) || strings.Contains(idempotencyKey, "/"):
		v.add("idempotency_key", "%s: want 1 to %d printable ASCII characters without /", quote(idempotencyKey), maxIdempotencyKey)
	}
}

// part is an amount that may be left out: then it is all of something.
func (v *validator) part(amount *int64, all string) {
	switch {
	case amount == nil:
	case *amount <= 0:
		v.add("amount", "%s: must be above 0, or left out to %s", number(*amount), all)
	case *amount > MaxAmount:
		v.add("amount", "%s: must be at most %d minor units", number(*amount), MaxAmount)
	}
}

func (v *validator) optionalCurrency(currency string) {
	if currency == "" {
		return
	}
	if _, err := Exponent(currency); err != nil {
		v.add("currency", "%v", err)
	}
}

// paymentMethod never quotes the value: it may be a card number.
func (v *validator) paymentMethod(token string) {
	switch {
	case token == "":
		v.add("payment_method", "is missing: want a token of the processor's vault")
	case LooksLikeCardNumber(token) || ContainsCardNumber(token):
		v.add("payment_method", "looks like a card number: send a token of the processor's vault instead")
	case len(token) > maxPaymentMethod || !printable(token):
		v.add("payment_method", "want at most %d printable ASCII characters", maxPaymentMethod)
	}
}

// processor accepts an empty name: the configured default is meant.
func (v *validator) processor(processor string) {
	switch {
	case processor == "":
	case !name(processor, maxProcessor) || ContainsCardNumber(processor):
		v.add("processor", "%s: want the name of a configured processor, 1 to %d of A-Z a-z 0-9 . _ -", quote(processor), maxProcessor)
	}
}

func (v *validator) text(field, value string, limit int) {
	switch {
	case !utf8.ValidString(value):
		v.add(field, "is not UTF-8")
	case utf8.RuneCountInString(value) > limit:
		v.add(field, "has %d characters: at most %d", utf8.RuneCountInString(value), limit)
	case ContainsCardNumber(value):
		v.add(field, "has what looks like a card number in it")
	}
}

func (v *validator) metadata(pairs map[string]string) {
	if len(pairs) > maxMetadataPairs {
		v.add("metadata", "has %d pairs: at most %d", len(pairs), maxMetadataPairs)
		return
	}
	for _, key := range sortedKeys(pairs) {
		switch {
		case key == "" || len(key) > maxMetadataKey || !printable(key):
			v.add("metadata", "key %s: want 1 to %d printable ASCII characters", quote(key), maxMetadataKey)
		case strings.HasPrefix(key, ReservedMetadataPrefix):
			v.add("metadata", "key %s: keys that begin with %s are Florin's own", quote(key), ReservedMetadataPrefix)
		case ContainsCardNumber(key):
			v.add("metadata", "a key looks like a card number")
		default:
			v.text("metadata."+key, pairs[key], maxMetadataValue)
		}
	}
}

func name(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

func printable(s string) bool {
	for _, c := range []byte(s) {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}
