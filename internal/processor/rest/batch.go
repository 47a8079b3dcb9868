package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

const (
	// maxBatch is how many charges POST /batches takes.
	maxBatch = 100
	// maxBatchSize bounds the charges of one request, in bytes. The response repeats their metadata, and the client does not read
	// one of more than a MiB.
	maxBatchSize = 256 << 10
)

var _ processor.Batcher = (*Processor)(nil)

// ChargeBatch implements [processor.Batcher] by POST /batches, which not every processor of the protocol has.
func (p *Processor) ChargeBatch(ctx context.Context, calls []processor.ChargeCall) []processor.BatchItem {
	items := make([]processor.BatchItem, len(calls))
	client, ok := p.client.(processor.BatchClient)
	if !ok {
		for i := range items {
			items[i].Err = invalid("the client of the adapter sends no batches", nil)
		}
		return items
	}
	var b batch
	for i, call := range calls {
		c := charge{index: i, operation: chargeOperation(call)}
		var err error
		if c.call, c.decoder, err = c.operation.call(); err != nil {
			items[i] = itemOf(processor.Result{}, err)
			continue
		}
		if len(b.charges) > 0 && (b.size+len(c.call.Body) > maxBatchSize || len(b.charges) == maxBatch) {
			b.send(ctx, client, items)
			b = batch{}
		}
		b.charges, b.size = append(b.charges, c), b.size+len(c.call.Body)
	}
	b.send(ctx, client, items)
	return items
}

// charge is one charge of a batch.
type charge struct {
	// index is that of its call and of its item.
	index     int
	operation operation
	call      processor.Call
	decoder   *recordDecoder
}

// batch is one request, whose charges have bodies of size bytes.
type batch struct {
	charges []charge
	size    int
}

// send sends the request and sets the items of its charges. It does nothing for an empty batch.
func (b batch) send(ctx context.Context, client processor.BatchClient, items []processor.BatchItem) {
	if len(b.charges) == 0 {
		return
	}
	parts := make([]processor.Call, len(b.charges))
	for i, c := range b.charges {
		parts[i] = c.call
	}
	answers := client.DoBatch(ctx, processor.BatchCall{Path: "/batches", Parts: parts, Encode: encodeBatch, Decode: decodeBatch})
	for i, c := range b.charges {
		items[c.index] = itemOf(c.decoder.outcome(c.operation, answers[i].Answer, answers[i].Err))
	}
}

func itemOf(result processor.Result, err error) processor.BatchItem {
	if err == nil {
		return processor.BatchItem{Result: result}
	}
	e := &processor.Error{Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Retry: true, Message: "an error of another type", Err: err}
	errors.As(err, &e)
	return processor.BatchItem{Err: e}
}

// batchItem is an item of the request and, without the charge, of the response.
type batchItem struct {
	Key    string         `json:"key"`
	Charge jsontext.Value `json:"charge"`
}

func encodeBatch(parts []processor.Call) ([]byte, error) {
	items := make([]batchItem, len(parts))
	for i, part := range parts {
		items[i] = batchItem{Key: part.Key, Charge: part.Body}
	}
	return json.Marshal(map[string]any{"items": items})
}

// decodeBatch reads {"items": [{"key", "status", "payment" or "error", "retry_after"}]}. An item without a payment and an error
// has an empty body, which proves nothing.
func decodeBatch(body []byte) (map[string]processor.Answer, error) {
	var batch struct {
		Items []struct {
			Key        string         `json:"key"`
			Status     int            `json:"status"`
			Payment    jsontext.Value `json:"payment"`
			Error      jsontext.Value `json:"error"`
			RetryAfter string         `json:"retry_after"`
		} `json:"items"`
	}
	if processor.DecodeJSON(body, &batch) != nil || batch.Items == nil {
		return nil, errors.New("the response is not a list with items")
	}
	answers := make(map[string]processor.Answer, len(batch.Items))
	for _, item := range batch.Items {
		if _, known := answers[item.Key]; known {
			return nil, errors.New("the response has an item twice")
		}
		answer := processor.Answer{Status: item.Status, Body: item.Payment}
		if item.Error.Kind() == '{' {
			answer.Body = append(append([]byte(`{"error":`), item.Error...), '}')
		}
		if item.RetryAfter != "" {
			answer.Header = http.Header{"Retry-After": {item.RetryAfter}}
		}
		answers[item.Key] = answer
	}
	return answers, nil
}
