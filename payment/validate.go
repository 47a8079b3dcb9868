package payment

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of a request: numbers of characters, except maxMetadataPairs. They are part of the API.
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

// ReservedMetadataPrefix is the prefix of the metadata keys that Florin itself sends to a processor. Requests must not contain
// them.
const ReservedMetadataPrefix = "florin_"

// FieldError is an invalid field of a request.
type FieldError struct {
	// Field is the name in JSON, such as "amount" or "metadata.order".
	Field string `json:"field"`
	// Problem names the invalid value, unless it may be secret, and what would be valid. It never contains a card number.
	Problem string `json:"problem"`
}

// Error returns field and problem in one line.
func (e FieldError) Error() string { return e.Field + ": " + e.Problem }

// InvalidRequestError is the error of a request, a capture or a resolution that is refused because of its fields. In Temporal it
// is the detail of the application error of type [ErrInvalidRequest].
type InvalidRequestError struct {
	// Fields are all invalid fields, in the order of the request's fields.
	Fields []FieldError `json:"fields"`
}

// Error returns all invalid fields in one line.
func (e *InvalidRequestError) Error() string {
	problems := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		problems[i] = f.Error()
	}
	return "invalid request: " + strings.Join(problems, "; ")
}

// Unwrap returns [ErrInvalidRequest].
func (e *InvalidRequestError) Unwrap() error { return ErrInvalidRequest }

// Validate checks the fields. It returns nil or an [*InvalidRequestError] that lists every invalid field. A field that contains
// what looks like a card number is invalid. Whether Processor is configured is not checked.
func (r ChargeRequest) Validate() error { return r.validate(newKeys) }

// ValidateBegun is [ChargeRequest.Validate] for a payment that may have begun with an earlier release: those accepted every printable ASCII
// character except "/" in an idempotency key. Such a payment goes on under its key, and repeating its request returns it.
func (r ChargeRequest) ValidateBegun() error { return r.validate(begunKeys) }

func (r ChargeRequest) validate(keys keyRule) error {
	var v validator
	v.identity(r.MerchantID, r.IdempotencyKey, keys)
	switch {
	case r.Amount <= 0:
		v.add("amount", "%s: must be above 0, in minor units", quoteAmount(r.Amount))
	case r.Amount > MaxAmount:
		v.add("amount", "%s: must be at most %d minor units", quoteAmount(r.Amount), MaxAmount)
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

// Validate checks the fields, as [ChargeRequest.Validate] does. Whether the payment exists and can be refunded is not checked.
func (r RefundRequest) Validate() error { return r.validate(newKeys) }

// ValidateBegun is [RefundRequest.Validate] for a refund that may have begun with an earlier release, as [ChargeRequest.ValidateBegun].
func (r RefundRequest) ValidateBegun() error { return r.validate(begunKeys) }

func (r RefundRequest) validate(keys keyRule) error {
	var v validator
	v.identity(r.MerchantID, r.IdempotencyKey, keys)
	if !IsPaymentID(r.PaymentID) {
		v.add("payment_id", "%s: want the payment_id of a charge, pay_ and a UUID", quote(r.PaymentID))
	}
	v.optionalAmount(r.Amount, "refund all that is left")
	v.optionalCurrency(r.Currency)
	v.text("reason", r.Reason, maxReason)
	v.metadata(r.Metadata)
	return v.err()
}

// Validate checks the fields, as [ChargeRequest.Validate] does. Whether the payment is authorized, and for how much, is not
// checked.
func (r CaptureRequest) Validate() error {
	var v validator
	v.optionalAmount(r.Amount, "capture the whole authorized amount")
	v.optionalCurrency(r.Currency)
	return v.err()
}

// validator collects the invalid fields of a request.
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

// keyRule is which characters an idempotency key may have.
type keyRule struct {
	accepts func(key string) bool
	want    string
}

var (
	// newKeys are harmless where keys are printed, such as in a terminal, on a page and in a shell command.
	newKeys = keyRule{isKey, "of A-Z a-z 0-9 . _ - : @ + = , ~ and blanks inside"}
	// begunKeys are those that earlier releases accepted.
	begunKeys = keyRule{
		func(key string) bool { return isPrintable(key) && !strings.Contains(key, "/") }, "printable ASCII characters without /",
	}
)

func (v *validator) identity(merchantID, idempotencyKey string, keys keyRule) {
	if !isName(merchantID, maxMerchantID) {
		v.add("merchant_id", "%s: want 1 to %d of A-Z a-z 0-9 . _ -", quote(merchantID), maxMerchantID)
	} else if ContainsCardNumber(merchantID) {
		v.add("merchant_id", "looks like a card number")
	}
	switch {
	case ContainsCardNumber(idempotencyKey):
		v.add("idempotency_key", "looks like a card number: want a name of your own for the purchase")
	case idempotencyKey == "" || len(idempotencyKey) > maxIdempotencyKey || !keys.accepts(idempotencyKey):
		v.add("idempotency_key", "%s: want 1 to %d %s", quote(idempotencyKey), maxIdempotencyKey, keys.want)
	case strings.Trim(idempotencyKey, " ") != idempotencyKey:
		v.add("idempotency_key", "%s: begins or ends with a blank: without it, it would be the key of another purchase", quote(idempotencyKey))
	}
}

// optionalAmount checks an amount that may be omitted. ifOmitted is what that means.
func (v *validator) optionalAmount(amount *int64, ifOmitted string) {
	switch {
	case amount == nil:
	case *amount <= 0:
		v.add("amount", "%s: must be above 0, or omitted to %s", quoteAmount(*amount), ifOmitted)
	case *amount > MaxAmount:
		v.add("amount", "%s: must be at most %d minor units", quoteAmount(*amount), MaxAmount)
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

// paymentMethod checks a token without quoting it: it may be a card number.
func (v *validator) paymentMethod(token string) {
	switch {
	case token == "":
		v.add("payment_method", "is missing: want a token of the processor's vault")
	case LooksLikeCardNumber(token) || ContainsCardNumber(token):
		v.add("payment_method", "looks like a card number: send a token of the processor's vault instead")
	case len(token) > maxPaymentMethod || !isPrintable(token):
		v.add("payment_method", "want at most %d printable ASCII characters", maxPaymentMethod)
	}
}

// processor checks the name of a processor. An empty name means the configured default.
func (v *validator) processor(processor string) {
	switch {
	case processor == "":
	case !isName(processor, maxProcessor) || ContainsCardNumber(processor):
		v.add("processor", "%s: want the name of a configured processor, 1 to %d of A-Z a-z 0-9 . _ -", quote(processor), maxProcessor)
	}
}

// text checks a free text. The limit is in characters.
func (v *validator) text(field, value string, limit int) {
	switch {
	case !utf8.ValidString(value):
		v.add(field, "is not valid UTF-8")
	case utf8.RuneCountInString(value) > limit:
		v.add(field, "has %d characters: want at most %d", utf8.RuneCountInString(value), limit)
	case strings.ContainsFunc(value, unicode.IsControl):
		v.add(field, "contains a control character, such as a line break or NUL")
	case ContainsCardNumber(value):
		v.add(field, "contains what looks like a card number")
	}
}

func (v *validator) metadata(pairs map[string]string) {
	if len(pairs) > maxMetadataPairs {
		v.add("metadata", "has %d pairs: want at most %d", len(pairs), maxMetadataPairs)
		return
	}
	for _, key := range sortedKeys(pairs) {
		switch {
		case key == "" || len(key) > maxMetadataKey || !isPrintable(key):
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

// isName reports whether s has 1 to limit characters of A-Z a-z 0-9 . _ -
func isName(s string, limit int) bool {
	return s != "" && len(s) <= limit && consistsOf(s, "._-")
}

// isKey reports whether s consists of A-Z a-z 0-9 . _ - : @ + = , ~ and blanks.
func isKey(s string) bool { return consistsOf(s, "._-:@+=,~ ") }

// consistsOf reports whether s consists of ASCII letters, digits and the other characters.
func consistsOf(s, others string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(others, c) >= 0:
		default:
			return false
		}
	}
	return true
}

// isPrintable reports whether s consists of printable ASCII characters, including the space.
func isPrintable(s string) bool {
	for _, c := range []byte(s) {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}
