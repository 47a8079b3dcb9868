package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/florinpay/florin/processor"
)

// What every peer sends.
const (
	path     = "/charges"
	key      = "8a7c5d8e-0000-5000-8000-000000000001"
	apiKey   = "sk_bench_0123456789"
	jsonType = "application/json"
	timeout  = 20 * time.Second
	// retries is what the clients without a default get; the default of ours is as many.
	retries = 4
)

// chargeCall is there before the call: it is no part of what is measured.
var chargeCall = processor.ChargeCall{
	Key: key, PaymentID: "pay_1", MerchantID: "acme", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
	Metadata: map[string]string{"order": "1"},
}

// chargeBody and record are the protocol's, as package rest has them.
type chargeBody struct {
	CardToken string            `json:"card_token"`
	Amount    int64             `json:"amount"`
	Currency  string            `json:"currency"`
	Capture   bool              `json:"capture"`
	Reference string            `json:"reference"`
	Metadata  map[string]string `json:"metadata"`
}

type record struct {
	ID             string            `json:"id"`
	Status         string            `json:"status"`
	Amount         int64             `json:"amount"`
	Currency       string            `json:"currency"`
	CapturedAmount *int64            `json:"captured_amount"`
	RefundedAmount int64             `json:"refunded_amount"`
	Reference      string            `json:"reference"`
	DeclineCode    string            `json:"decline_code"`
	DeclineKind    string            `json:"decline_kind"`
	Metadata       map[string]string `json:"metadata"`
}

func newChargeBody() chargeBody {
	call := chargeCall
	metadata := make(map[string]string, len(call.Metadata)+2)
	maps.Copy(metadata, call.Metadata)
	metadata["florin_payment_id"] = call.PaymentID
	metadata["florin_merchant_id"] = call.MerchantID
	return chargeBody{
		CardToken: call.PaymentMethod, Amount: call.Amount, Currency: call.Currency, Capture: true, Reference: call.Key,
		Metadata: metadata,
	}
}

func marshalCharge() ([]byte, error) { return json.Marshal(newChargeBody()) }

// chargeWith is the call as one writes it by hand.
func chargeWith(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := marshalCharge()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	setHeaders(req.Header)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	return readAnswer(resp)
}

func setHeaders(h http.Header) {
	h.Set("Authorization", "Bearer "+apiKey)
	h.Set("Accept", jsonType)
	h.Set("Content-Type", jsonType)
	h.Set("Idempotency-Key", key)
}

func readAnswer(resp *http.Response) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	var read record
	if err := json.Unmarshal(body, &read); err != nil {
		return err
	}
	return checkAnswer(read.ID, resp.Header.Get("X-Request-Id"))
}

// newTransport is net/http's default, with connections of its own.
func newTransport() http.RoundTripper {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	return transport.Clone()
}

func shouldRetry(status int) bool {
	return status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}
