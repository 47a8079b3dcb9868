package httpclient

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/processor"
)

// record writes one request and its outcome to the audit log.
func (c *Client) record(ctx context.Context, began time.Time, call processor.Call, a processor.Answer, failed *processor.Error) {
	if c.audit == nil {
		return
	}
	key := call.Key
	if key == "" {
		key = call.Reference
	}
	r := audit.Record{
		Time:      began,
		Processor: c.name,
		Operation: call.Operation,
		PaymentID: cmp.Or(call.PaymentID, audit.PaymentID(ctx)),
		Attempt:   retry.Attempt(ctx),
		Method:    call.Method,
		Path:      call.Path,
		Key:       key,
		KeyHash:   hashKey(key),
		Status:    a.Status,
		Duration:  a.Took,
		Sends:     a.Sends,
		Certainty: string(processor.Answered),
		RequestID: a.RequestID,
		Request:   call.Body,
		// Empty means JSON in audit.Record, too.
		RequestType: call.ContentType,
		Answer:      a.Body,
		Fields:      c.audited,
	}
	if failed != nil {
		r.Certainty = string(failed.Certainty)
		if a.Status == 0 {
			// Our own message. The processor's is in the body.
			r.Error = failed.Message
		}
	}
	c.audit.Write(r)
}

// hashKey returns a short hash of an idempotency key, which does not reveal the key. An operator who has the key can find its
// audit records.
func hashKey(key string) string {
	if key == "" {
		return ""
	}
	var buffer [256]byte // on the stack
	sum := sha256.Sum256(append(buffer[:0], key...))
	return string(hex.AppendEncode(buffer[:0], sum[:8]))
}
