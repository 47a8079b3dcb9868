package processortest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
	"github.com/florinpay/florin/processor/processortest"
)

// The names of the scenarios about batches.
const (
	batchValues      = "each charge of a batch is sent under its own key with exactly the values of its call"
	batchOrder       = "the outcomes of a batch are in the order of its calls, whatever the order of the response"
	batchDecline     = "a decline of one charge of a batch leaves the others as they are"
	batchError       = "an error of one charge of a batch is that of a single charge, and leaves the others as they are"
	batchDifferences = "an amount, currency or reference of a batch that differs from the call is reported unchanged"
	batchLacks       = "a charge that the response to a batch lacks is ambiguous"
	batchTwice       = "a charge that the response to a batch contains twice is ambiguous"
	batchMalformed   = "a malformed response to a batch leaves each charge ambiguous"
	batchFails       = "a batch that is refused or fails as a whole has for each charge the error of a single one"
	batchLost        = "a lost response to a batch leaves each charge ambiguous"
	batchRetryAfter  = "each charge of a batch reports Retry-After"
	batchRepeated    = "a batch that is sent again after a lost response charges once"
	batchUnsendable  = "a charge that must not be sent is left out of its batch, and the others are sent"
	batchTooLarge    = "a batch larger than Profile.MaxBatch is cut into several requests"
	batchSecrets     = "no error of a batch contains an API key, a card number or a payment method"
	batchAudited     = "the audit log contains the ids of a batch, and neither its payment methods nor its texts"
	batchConcurrent  = "concurrent batches each receive their own response"
)

// changeBatchCall returns an adapter that changes every charge of a batch before it is sent.
func changeBatchCall(change func(*processor.ChargeCall)) broken {
	return broken{chargeBatch: func(a *acme, ctx context.Context, calls []processor.ChargeCall) []processor.BatchItem {
		calls = slices.Clone(calls)
		for i := range calls {
			change(&calls[i])
		}
		return a.ChargeBatch(ctx, calls)
	}}
}

// changeItems returns an adapter that changes the items of every batch.
func changeItems(change func([]processor.ChargeCall, []processor.BatchItem)) broken {
	return broken{chargeBatch: func(a *acme, ctx context.Context, calls []processor.ChargeCall) []processor.BatchItem {
		items := a.ChargeBatch(ctx, calls)
		change(calls, items)
		return items
	}}
}

// changeItemError returns an adapter that changes every error of a charge of a batch.
func changeItemError(change func(processor.ChargeCall, *processor.Error)) broken {
	return changeItems(func(calls []processor.ChargeCall, items []processor.BatchItem) {
		for i := range items {
			if items[i].Err != nil {
				change(calls[i], items[i].Err)
			}
		}
	})
}

// likeFirst returns an adapter that reports the first of the items for which is returns true for each charge of the batch.
func likeFirst(is func(processor.BatchItem) bool) broken {
	return changeItems(func(_ []processor.ChargeCall, items []processor.BatchItem) {
		if i := slices.IndexFunc(items, is); i >= 0 {
			for j := range items {
				items[j] = items[i]
			}
		}
	})
}

// readBatch returns an adapter that reads the response to a batch with read.
func readBatch(read func(calls []processor.ChargeCall, body []byte) (map[string]processor.Answer, error)) broken {
	return broken{chargeBatch: func(a *acme, ctx context.Context, calls []processor.ChargeCall) []processor.BatchItem {
		return a.chargeBatch(ctx, calls, encodeAcmeBatch, func(body []byte) (map[string]processor.Answer, error) {
			return read(calls, body)
		})
	}}
}

// chargeOneByOne makes the charges of a batch in a request each.
func chargeOneByOne(ctx context.Context, a *acme, calls []processor.ChargeCall) []processor.BatchItem {
	items := make([]processor.BatchItem, len(calls))
	for i, call := range calls {
		result, err := a.Charge(ctx, call)
		errors.As(err, &items[i].Err)
		items[i].Result = result
	}
	return items
}

func batchDefects() []defect {
	var once sync.Once
	var first []processor.BatchItem
	isError := func(item processor.BatchItem) bool { return item.Err != nil }
	return []defect{
		{name: "makes the charges of a batch one by one", caughtBy: []string{batchValues}, broken: broken{chargeBatch: func(a *acme, ctx context.Context, calls []processor.ChargeCall) []processor.BatchItem {
			return chargeOneByOne(ctx, a, calls)
		}}},
		{name: "drops the metadata of a batch", caughtBy: []string{batchValues},
			broken: changeBatchCall(func(c *processor.ChargeCall) { c.Metadata = nil })},
		{name: "charges one card for a whole batch", caughtBy: []string{batchValues},
			broken: changeBatchCall(func(c *processor.ChargeCall) { c.PaymentMethod = "tok_1" })},
		{name: "captures although a call of a batch only authorizes", caughtBy: []string{batchValues},
			broken: changeBatchCall(func(c *processor.ChargeCall) { c.Capture = "" })},
		{name: "takes the items of a batch in the order of the response", caughtBy: []string{batchOrder, batchLacks},
			broken: readBatch(func(calls []processor.ChargeCall, body []byte) (map[string]processor.Answer, error) {
				results, err := readAcmeBatch(body)
				answers := map[string]processor.Answer{}
				for i, r := range results {
					answers[calls[i].Key] = r.answer()
				}
				return answers, err
			})},
		{name: "reports a decline for a whole batch", caughtBy: []string{batchDecline},
			broken: likeFirst(func(item processor.BatchItem) bool { return item.Result.Status == payment.Declined })},
		{name: "reports a decline in a batch as a success", caughtBy: []string{batchDecline},
			broken: changeItems(func(_ []processor.ChargeCall, items []processor.BatchItem) {
				for i := range items {
					if r := &items[i].Result; r.Status == payment.Declined {
						r.Status, r.Decline = payment.Succeeded, nil
					}
				}
			})},
		{name: "reports an error for a whole batch", caughtBy: []string{batchError, batchUnsendable}, broken: likeFirst(isError)},
		{name: "reports every error in a batch as retryable", caughtBy: []string{batchError, batchFails},
			broken: changeItemError(func(_ processor.ChargeCall, e *processor.Error) { e.Retry = true })},
		{name: "reports the amounts of a batch as those of its calls", caughtBy: []string{batchDifferences},
			broken: changeItems(func(calls []processor.ChargeCall, items []processor.BatchItem) {
				for i := range items {
					if items[i].Err == nil {
						items[i].Result.Amount = calls[i].Amount
					}
				}
			})},
		{name: "reports a charge that the response lacks as not executed", caughtBy: []string{batchLacks},
			broken: changeItemError(func(_ processor.ChargeCall, e *processor.Error) {
				if e.Class == payment.ClassOutcomeUnknown && e.HTTPStatus == http.StatusOK {
					e.Certainty = processor.NotExecuted
				}
			})},
		{name: "reports a charge that the response lacks as paid", caughtBy: []string{batchLacks},
			broken: changeItems(func(calls []processor.ChargeCall, items []processor.BatchItem) {
				for i := range items {
					if e := items[i].Err; e != nil && e.Class == payment.ClassOutcomeUnknown && e.HTTPStatus == http.StatusOK {
						items[i] = processor.BatchItem{Result: processor.Result{ID: "t", Status: payment.Succeeded, Amount: calls[i].Amount,
							Currency: calls[i].Currency, Reference: calls[i].Key}}
					}
				}
			})},
		{name: "takes the last of two items with one key", caughtBy: []string{batchTwice},
			broken: readBatch(func(_ []processor.ChargeCall, body []byte) (map[string]processor.Answer, error) {
				results, err := readAcmeBatch(body)
				answers := map[string]processor.Answer{}
				for _, r := range results {
					answers[r.Key] = r.answer()
				}
				return answers, err
			})},
		{name: "reports each charge of a malformed batch as not executed", caughtBy: []string{batchMalformed, batchTwice},
			broken: changeItemError(func(_ processor.ChargeCall, e *processor.Error) {
				if e.Class == payment.ClassInvalidResponse {
					e.Certainty = processor.NotExecuted
				}
			})},
		{name: "reads a batch with names in any case, and of a name that appears twice the last one",
			caughtBy: []string{batchMalformed},
			broken: readBatch(func(_ []processor.ChargeCall, body []byte) (map[string]processor.Answer, error) {
				var batch struct {
					Results []acmeResult `json:"results"`
				}
				err := json.Unmarshal(body, &batch)
				answers := map[string]processor.Answer{}
				for _, r := range batch.Results {
					answers[r.Key] = r.answer()
				}
				return answers, err
			})},
		{name: "reports a 500 to a batch as not executed", caughtBy: []string{batchFails, batchError, batchTooLarge},
			broken: changeItemError(func(_ processor.ChargeCall, e *processor.Error) {
				if e.HTTPStatus == http.StatusInternalServerError {
					e.Certainty = processor.NotExecuted
				}
			})},
		{name: "makes the charges of a refused batch one by one", caughtBy: []string{batchFails},
			broken: broken{chargeBatch: func(a *acme, ctx context.Context, calls []processor.ChargeCall) []processor.BatchItem {
				items := a.ChargeBatch(ctx, calls)
				if slices.ContainsFunc(items, func(item processor.BatchItem) bool { return item.Err == nil || item.Err.HTTPStatus != 400 }) {
					return items
				}
				return chargeOneByOne(ctx, a, calls)
			}}},
		{name: "reports a lost response to a batch as not executed", caughtBy: []string{batchLost, batchRepeated},
			broken: changeItemError(func(_ processor.ChargeCall, e *processor.Error) {
				if e.HTTPStatus == 0 {
					e.Certainty = processor.NotExecuted
				}
			})},
		{name: "sends a batch without a response again by itself", caughtBy: []string{batchLost},
			broken: broken{chargeBatch: func(a *acme, ctx context.Context, calls []processor.ChargeCall) []processor.BatchItem {
				items := a.ChargeBatch(ctx, calls)
				if slices.ContainsFunc(items, func(item processor.BatchItem) bool { return item.Err == nil || item.Err.HTTPStatus != 0 }) {
					return items
				}
				return a.ChargeBatch(ctx, calls)
			}}},
		{name: "drops the Retry-After of a batch", caughtBy: []string{batchRetryAfter},
			broken: changeItemError(func(_ processor.ChargeCall, e *processor.Error) { e.RetryAfter = 0 })},
		{name: "sends a batch again under other keys", caughtBy: []string{batchRepeated},
			broken: changeBatchCall(func(c *processor.ChargeCall) {
				if !c.KeyFirstUsed.IsZero() {
					c.Key += "-2"
				}
			})},
		{name: "sends a batch again with other bytes", caughtBy: []string{batchRepeated},
			broken: changeBatchCall(func(c *processor.ChargeCall) {
				if !c.KeyFirstUsed.IsZero() {
					c.MerchantID = "another"
				}
			})},
		{name: "drops the times of the first use of a batch's keys", caughtBy: []string{batchUnsendable},
			broken: changeBatchCall(func(c *processor.ChargeCall) { c.KeyFirstUsed = time.Time{} })},
		{name: "invents a key that a call of a batch lacks", caughtBy: []string{batchUnsendable},
			broken: changeBatchCall(func(c *processor.ChargeCall) {
				if c.Key == "" {
					c.Key = "invented"
				}
			})},
		{name: "sends a batch of any size", caughtBy: []string{batchTooLarge},
			broken: broken{chargeBatch: func(a *acme, ctx context.Context, calls []processor.ChargeCall) []processor.BatchItem {
				return a.chargeBatch(ctx, calls, encodeAcmeBatch, decodeAcmeBatch)
			}}},
		{name: "forgets the charges after the first request of a large batch", caughtBy: []string{batchTooLarge},
			broken: broken{chargeBatch: func(a *acme, ctx context.Context, calls []processor.ChargeCall) []processor.BatchItem {
				return a.ChargeBatch(ctx, calls[:min(len(calls), acmeMaxBatch)])
			}}},
		{name: "copies the payment method into the error of a batch", caughtBy: []string{batchSecrets},
			broken: changeItemError(func(c processor.ChargeCall, e *processor.Error) { e.Message += " for " + c.PaymentMethod })},
		{name: "its profile has the cards of a batch in the audit log", caughtBy: []string{batchAudited},
			broken: broken{chargeBatch: func(a *acme, ctx context.Context, calls []processor.ChargeCall) []processor.BatchItem {
				return a.chargeBatch(ctx, calls, func(parts []processor.Call) ([]byte, error) {
					items := []map[string]string{}
					for i, part := range parts {
						items = append(items, map[string]string{"key": part.Key, "form": string(part.Body), "id": calls[i].PaymentMethod})
					}
					return json.Marshal(items)
				}, decodeAcmeBatch)
			}},
			protocol: func(p *processortest.Protocol) {
				p.Profile.Audited = map[string]processor.Shape{"id": processor.ShapeID, "[].id": processor.ShapeID}
			}},
		{name: "returns the items of the first batch for every batch", caughtBy: []string{batchConcurrent},
			broken: broken{chargeBatch: func(a *acme, ctx context.Context, calls []processor.ChargeCall) []processor.BatchItem {
				once.Do(func() { first = a.ChargeBatch(ctx, calls) })
				return first
			}}},
	}
}
