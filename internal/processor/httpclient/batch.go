package httpclient

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/internal/processor/classify"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var _ processor.BatchClient = (*Client)(nil)

// operationBatch is the operation of a whole batch, in the audit log and in metrics. In metrics, those of its parts begin with
// partPrefix, so that requests can be counted without them.
const (
	operationBatch = "batch"
	partPrefix     = "batch_"
)

// DoBatch implements [processor.BatchClient]. The audit log has a record of the whole request and one of each part.
func (c *Client) DoBatch(ctx context.Context, batch processor.BatchCall) []processor.BatchAnswer {
	answers := make([]processor.BatchAnswer, len(batch.Parts))
	var sent []int
	var parts []processor.Call
	known := map[string]bool{}
	for i, part := range batch.Parts {
		failed := c.check(part)
		if failed == nil && (part.Key == "" || known[part.Key]) {
			failed = refuse("a part of a batch needs an idempotency key that no other part has")
		}
		if failed != nil {
			answers[i].Err = failed
			c.observedPart(retry.WithAttemptOf(ctx, part.Key), part, processor.Answer{}, failed, 0)
			continue
		}
		known[part.Key] = true
		sent, parts = append(sent, i), append(parts, part)
	}
	if len(parts) == 0 {
		return answers
	}
	began := time.Now()
	whole, byKey, failed := c.sendBatch(ctx, batch, parts)
	waited := time.Since(began) - whole.Took
	judged := make([]processor.Answer, len(parts))
	for j, part := range parts {
		i := sent[j]
		answer, err := c.judgePart(part, whole, byKey, failed)
		withholdKeys(parts, err)
		ctx := retry.WithAttemptOf(ctx, part.Key)
		c.observedPart(ctx, part, answer, err, waited)
		if whole.Took > 0 {
			part.Method, part.Path = http.MethodPost, batch.Path
			c.record(ctx, began, part, answer, err)
		}
		answers[i] = processor.BatchAnswer{Answer: answer, Err: orNil(err)}
		judged[j] = answer
	}
	if failed == nil {
		c.reportParts(judged)
	}
	return answers
}

// observedPart reports a part to the observer. The whole request is reported on its own, with how often it was sent.
func (c *Client) observedPart(ctx context.Context, part processor.Call, a processor.Answer, failed *processor.Error, waited time.Duration) {
	part.Operation, a.Sends = partPrefix+part.Operation, min(a.Sends, 1)
	c.observed(ctx, part, a, failed, waited, nil)
}

// sendBatch sends the parts in one request, and returns the response to it and, if it was read, those to the parts by their keys.
func (c *Client) sendBatch(
	ctx context.Context, batch processor.BatchCall, parts []processor.Call,
) (whole processor.Answer, byKey map[string]processor.Answer, failed *processor.Error) {
	body, err := batch.Encode(parts)
	if err != nil {
		return whole, nil, refuse("the batch cannot be written: " + processor.Clip(err.Error()))
	}
	whole, failed = c.attempt(ctx, processor.Call{
		Method: http.MethodPost, Path: batch.Path, Body: body, Key: batchKey(parts), Operation: operationBatch,
		Decode: func(body []byte) (err error) {
			byKey, err = batch.Decode(body)
			return err
		},
	}, time.Time{})
	if failed == nil && whole.Decline != nil {
		failed = processor.Malformed(whole, "the response to a batch is a decline")
	}
	withholdKeys(parts, failed)
	return whole, byKey, failed
}

// withholdKeys is [withholdKey] for all parts: the response to one may quote the key of another. failed may be nil.
func withholdKeys(parts []processor.Call, failed *processor.Error) {
	for _, part := range parts {
		withholdKey(part, failed)
	}
}

// batchKey returns the idempotency key of a request: it allows net/http to send the request again if a kept connection turns out
// to be closed, which is safe because each part has its own key. The same parts have the same key.
func batchKey(parts []processor.Call) string {
	sum := sha256.New()
	for _, part := range parts {
		sum.Write([]byte(part.Key + "\n"))
	}
	return "batch-" + hex.EncodeToString(sum.Sum(nil)[:15])
}

// judgePart returns the answer to a part, and what it means. failed is why the request has no valid response as a whole.
func (c *Client) judgePart(
	part processor.Call, whole processor.Answer, byKey map[string]processor.Answer, failed *processor.Error,
) (processor.Answer, *processor.Error) {
	if failed != nil {
		whole.Decline = nil
		own := *failed
		return whole, &own
	}
	answer, ok := byKey[part.Key]
	if !ok || answer.Status < 200 || answer.Status > 599 {
		return processor.Answer{Status: whole.Status, RequestID: whole.RequestID, Took: whole.Took, Sends: whole.Sends}, &processor.Error{
			Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Retry: true, HTTPStatus: whole.Status, RequestID: whole.RequestID,
			Message: "the response to the batch lacks this charge",
		}
	}
	answer.RequestID, answer.Took, answer.Sends = whole.RequestID, whole.Took, whole.Sends
	answer.RetryAfter = ratelimit.ParseRetryAfter(answer.Header, time.Now())
	failed = c.judge(part, &answer)
	return answer, failed
}

// reportParts lets parts that the processor could not execute count as calls of their own would. They slow the other calls down
// once: it was one request.
func (c *Client) reportParts(answers []processor.Answer) {
	var slows *processor.Answer
	for _, a := range answers {
		if a.Status != http.StatusTooManyRequests && a.Status < http.StatusInternalServerError {
			continue
		}
		objectLevel := classify.ObjectLevel(a, c.profile)
		if passed, err := c.breaker.Allow(); err == nil {
			passed.Report(breaker.Outcome{Status: a.Status, ObjectLevel: objectLevel, Took: a.Took})
		}
		isBackpressure := a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable && a.RetryAfter > 0
		if isBackpressure && !objectLevel && (slows == nil || a.RetryAfter > slows.RetryAfter) {
			slows = &a
		}
	}
	if slows != nil {
		c.applyBackpressure(*slows, false)
	}
}
