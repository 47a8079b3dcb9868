package processortest_test

// The batches of Acme: POST /batches takes the forms of several charges.

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// acmeMaxBatch is how many charges POST /batches takes.
const acmeMaxBatch = 5

// ChargeBatch implements [processor.Batcher].
func (a *acme) ChargeBatch(ctx context.Context, calls []processor.ChargeCall) (items []processor.BatchItem) {
	for some := range slices.Chunk(calls, acmeMaxBatch) {
		items = append(items, a.chargeBatch(ctx, some, encodeAcmeBatch, decodeAcmeBatch)...)
	}
	return items
}

// chargeBatch makes the charges in one request.
func (a *acme) chargeBatch(ctx context.Context, calls []processor.ChargeCall, encode func([]processor.Call) ([]byte, error),
	decode func([]byte) (map[string]processor.Answer, error)) []processor.BatchItem {
	batch := processor.BatchCall{Path: "/batches", Encode: encode, Decode: decode}
	results, items := make([]processor.Result, len(calls)), make([]processor.BatchItem, len(calls))
	for i, call := range calls {
		part := acmeCharge(call)
		part.Decode = decodeAcme(acmeStates, &results[i])
		batch.Parts = append(batch.Parts, part)
	}
	client, ok := a.client.(processor.BatchClient)
	if !ok {
		for i := range items {
			items[i].Err = &processor.Error{Class: payment.ClassConfig, Certainty: processor.NotExecuted,
				Message: "the client sends no batches"}
		}
		return items
	}
	for i, got := range client.DoBatch(ctx, batch) {
		result, err := acmeOutcome(batch.Parts[i], results[i], got.Answer, got.Err)
		errors.As(err, &items[i].Err)
		items[i].Result = result
	}
	return items
}

// acmeItem is a charge of a batch.
type acmeItem struct {
	Key  string `json:"key"`
	Form string `json:"form"`
}

func encodeAcmeBatch(parts []processor.Call) ([]byte, error) {
	items := []acmeItem{}
	for _, part := range parts {
		items = append(items, acmeItem{Key: part.Key, Form: string(part.Body)})
	}
	return json.Marshal(items)
}

// decodeAcmeBatch reads the response to each charge. A response with a charge twice proves nothing about any of them.
func decodeAcmeBatch(body []byte) (map[string]processor.Answer, error) {
	results, err := readAcmeBatch(body)
	if err != nil {
		return nil, err
	}
	answers := map[string]processor.Answer{}
	for _, r := range results {
		if _, twice := answers[r.Key]; twice {
			return nil, errors.New("the batch has a charge twice")
		}
		answers[r.Key] = r.answer()
	}
	return answers, nil
}

type acmeResult struct {
	Key        string          `json:"key"`
	Code       int             `json:"code"`
	RetryAfter string          `json:"retry_after"`
	Body       json.RawMessage `json:"body"`
}

// answer returns the response to the charge as if it had been sent on its own.
func (r acmeResult) answer() processor.Answer {
	return processor.Answer{Status: r.Code, Body: r.Body, Header: http.Header{"Retry-After": {r.RetryAfter}}}
}

func readAcmeBatch(body []byte) ([]acmeResult, error) {
	var batch struct {
		Results []acmeResult `json:"results"`
	}
	if processor.DecodeJSON(body, &batch) != nil || batch.Results == nil {
		return nil, errors.New("the response is not a batch")
	}
	return batch.Results, nil
}
