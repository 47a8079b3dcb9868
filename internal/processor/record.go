package processor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/florinpay/florin/internal/processor/audit"
)

type attemptKey struct{}

// WithAttempt tells the calls made with ctx which attempt they are, for the audit log.
func WithAttempt(ctx context.Context, attempt int) context.Context {
	return context.WithValue(ctx, attemptKey{}, attempt)
}

// withAttempt is WithAttempt, but for what ctx says already.
func withAttempt(ctx context.Context, attempt int) context.Context {
	if attempt == attemptOf(ctx) {
		return ctx
	}
	return WithAttempt(ctx, attempt)
}

func attemptOf(ctx context.Context) int {
	attempt, ok := ctx.Value(attemptKey{}).(int)
	if !ok {
		return 1
	}
	return attempt
}

// record writes one request on the wire, and what came of it, to the audit log.
func (c *Client) record(ctx context.Context, began time.Time, call Call, a Answer, failed *Error) {
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
		PaymentID: call.PaymentID,
		Attempt:   attemptOf(ctx),
		Method:    call.Method,
		Path:      call.Path,
		Key:       key,
		KeyHash:   hashKey(key),
		Status:    a.Status,
		Duration:  a.Took,
		Sends:     a.Sends,
		Certainty: string(Answered),
		RequestID: a.RequestID,
		Request:   call.Body,
		// Empty is JSON there, too.
		RequestType: call.ContentType,
		Answer:      a.Body,
	}
	if failed != nil {
		r.Certainty = string(failed.Certainty)
		if a.Status == 0 {
			// Ours or the transport's words. The processor's are in the body.
			r.Error = failed.Message
		}
	}
	c.audit.Write(r)
}

// hashKey names an idempotency key without giving it away: who has one can find its records.
func hashKey(key string) string {
	if key == "" {
		return ""
	}
	var buffer [256]byte // on the stack
	sum := sha256.Sum256(append(buffer[:0], key...))
	return string(hex.AppendEncode(buffer[:0], sum[:8]))
}
