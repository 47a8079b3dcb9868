package payment

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// namespace is the namespace of all derived UUIDs (RFC 9562, section 5.5). If it changed, every payment would get another id and
// another key at its processor, and a repeated request would charge again.
var namespace = uuid.MustParse("6f1d8c1e-5b0a-5c5e-9d35-0f1a7c9b2e64")

// PaymentID returns the id of the payment with this idempotency key: "pay_" and a UUID of version 5, 40 characters. It is
// derived, so a caller knows it before the first call, and after a lost response.
func PaymentID(merchantID, idempotencyKey string) string {
	return "pay_" + derive("payment", merchantID, idempotencyKey)
}

// RefundID returns the id of the refund with this idempotency key: "ref_" and a UUID of version 5, 40 characters.
func RefundID(merchantID, idempotencyKey string) string {
	return "ref_" + derive("refund", merchantID, idempotencyKey)
}

// Identity names a payment among all payments, or a refund among all refunds. Its id is derived from it, and cannot be reversed.
type Identity struct {
	MerchantID     string `json:"merchant_id"`
	IdempotencyKey string `json:"idempotency_key"`
}

// IsPaymentID reports whether id has the form of a [PaymentID].
func IsPaymentID(id string) bool { return isDerivedID(id, "pay_") }

// IsRefundID reports whether id has the form of a [RefundID].
func IsRefundID(id string) bool { return isDerivedID(id, "ref_") }

func isDerivedID(id, prefix string) bool {
	id, ok := strings.CutPrefix(id, prefix)
	return ok && len(id) == 36 && isName(id, 36)
}

// Operation is a kind of operation at a processor.
type Operation string

// The operations that move money.
const (
	// OperationCharge takes an amount, or authorizes it.
	OperationCharge Operation = "charge"
	// OperationCapture takes an authorized amount, or a part of it.
	OperationCapture Operation = "capture"
	// OperationVoid releases an authorized amount, or cancels a pending payment.
	OperationVoid Operation = "void"
	// OperationRefund returns a captured amount, or a part of it.
	OperationRefund Operation = "refund"
)

// ProcessorKey returns the idempotency key of an operation at the processor, a UUID of version 5. The key is also the operation's
// reference there. id is a [PaymentID] or a [RefundID]. sequence distinguishes several operations of one kind on one payment:
// charges and refunds have sequence 0.
//
// The key contains no run id, time or attempt number, so every retry sends the same key, also after a restart and from another
// worker. Its 36 characters fit into the limit of every known processor (Square allows 45).
func ProcessorKey(id string, operation Operation, sequence int) string {
	return derive("processor-key", id, string(operation), strconv.Itoa(sequence))
}

func derive(parts ...string) string {
	return uuid.NewSHA1(namespace, lengthPrefixed(parts...)).String()
}

// lengthPrefixed joins the parts, each preceded by its length in bytes as a varint, so that different lists have different
// results.
func lengthPrefixed(parts ...string) []byte {
	var out []byte
	for _, p := range parts {
		out = binary.AppendUvarint(out, uint64(len(p)))
		out = append(out, p...)
	}
	return out
}

// Fingerprint returns a hash of all fields but SendBy: 64 hexadecimal digits of SHA-256. Two requests with the same idempotency key
// are the same purchase if and only if their fingerprints are equal. An omitted Capture equals [CaptureAutomatic]; every other field
// counts as it is.
//
// The store keeps the fingerprint forever. The payment method cannot be read from it. docs/idempotency.md describes the hashed
// bytes, for services in other languages.
func (r ChargeRequest) Fingerprint() string {
	if r.Capture == "" {
		r.Capture = CaptureAutomatic
	}
	return fingerprint("charge/v1", r.Metadata, r.MerchantID, r.IdempotencyKey, strconv.FormatInt(r.Amount, 10),
		r.Currency, r.PaymentMethod, string(r.Capture), r.Processor, r.CustomerID, r.Description)
}

// Fingerprint returns a hash of all fields but SendBy, as [ChargeRequest.Fingerprint] does.
func (r RefundRequest) Fingerprint() string {
	amount := "0" // no valid amount is 0
	if r.Amount != nil {
		amount = strconv.FormatInt(*r.Amount, 10)
	}
	return fingerprint("refund/v1", r.Metadata, r.MerchantID, r.IdempotencyKey, r.PaymentID, amount, r.Currency, r.Reason)
}

func fingerprint(version string, metadata map[string]string, fields ...string) string {
	parts := append([]string{version}, fields...)
	for _, k := range sortedKeys(metadata) {
		parts = append(parts, k, metadata[k])
	}
	sum := sha256.Sum256(lengthPrefixed(parts...))
	return hex.EncodeToString(sum[:])
}

// sortedKeys returns the keys in the same order in every run of a workflow.
//
//workflowcheck:ignore // the order of the iteration is random, but the keys are sorted before they are used
func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
