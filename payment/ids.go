package payment

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"

	"github.com/google/uuid"
)

// idSpace is the UUIDv5 namespace of everything that Florin derives. Changing it would name every payment
// anew and charge it again.
var idSpace = uuid.MustParse("6f1d8c1e-5b0a-5c5e-9d35-0f1a7c9b2e64")

// PaymentID derives the id of a purchase, so that a caller that lost the answer can still name the payment.
func PaymentID(merchantID, idempotencyKey string) string {
	return "pay_" + derive("payment", merchantID, idempotencyKey)
}

// RefundID derives the id of a refund.
func RefundID(merchantID, idempotencyKey string) string {
	return "ref_" + derive("refund", merchantID, idempotencyKey)
}

// Operation is what a processor is asked to do.
type Operation string

// The operations that move money.
const (
	OperationCharge  Operation = "charge"
	OperationCapture Operation = "capture"
	OperationVoid    Operation = "void"
	OperationRefund  Operation = "refund"
)

// ProcessorKey derives the idempotency key, and the reference, of one operation at the processor. id is a
// payment or refund id; sequence tells several operations of one kind apart. 36 characters fit every
// processor known to us (Square allows 45). No run id, time or attempt number goes into it: a retry, a
// restart or a second worker always sends the same one.
func ProcessorKey(id string, operation Operation, sequence int) string {
	return derive("processor-key", id, string(operation), strconv.Itoa(sequence))
}

func derive(parts ...string) string {
	return uuid.NewSHA1(idSpace, lengthPrefixed(parts...)).String()
}

// lengthPrefixed joins parts so that no two different lists give the same bytes.
func lengthPrefixed(parts ...string) []byte {
	var out []byte
	for _, p := range parts {
		out = binary.AppendUvarint(out, uint64(len(p)))
		out = append(out, p...)
	}
	return out
}

// Fingerprint names the content of the request: two requests under one idempotency key are the same
// purchase exactly if their fingerprints are equal. A default that is spelled out is the same as one left
// out. 64 hexadecimal digits; the payment method cannot be read back from it.
func (r ChargeRequest) Fingerprint() string {
	if r.Capture == "" {
		r.Capture = CaptureAutomatic
	}
	return fingerprint("charge/v1", r.Metadata, r.MerchantID, r.IdempotencyKey, strconv.FormatInt(r.Amount, 10),
		r.Currency, r.PaymentMethod, string(r.Capture), r.Processor, r.CustomerID, r.Description)
}

// Fingerprint is ChargeRequest.Fingerprint for refunds.
func (r RefundRequest) Fingerprint() string {
	amount := "0" // no amount can be it
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

// sortedKeys makes the order of a map the same in every run of a workflow.
//
//workflowcheck:ignore // the map is walked in any order, but nobody sees its keys before they are sorted
func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
