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

// What every client sends.
const (
	path     = "/charges"
	key      = "8a7c5d8e-0000-5000-8000-000000000001"
	apiKey   = "sk_bench_0123456789"
	jsonType = "application/json"
	timeout  = 20 * time.Second
	// retries is the number of retries of clients that have no default. It equals the default of Florin's client.
	retries = 4
)

// chargeCall is the charge that Florin's client makes. It is created once, so that creating it is not measured.
var chargeCall = processor.ChargeCall{
	Key: key, PaymentID: "pay_1", MerchantID: "acme", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
	Metadata: map[string]string{"order": "1"},
}

// chargeBody and record are the request and response of the REST protocol, with the fields that package rest has.
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

// chargeWith makes the charge with net/http, as a program does without a client library.
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
	return readResponse(resp)
}

func setHeaders(h http.Header) {
	h.Set("Authorization", "Bearer "+apiKey)
	h.Set("Accept", jsonType)
	h.Set("Content-Type", jsonType)
	h.Set("Idempotency-Key", key)
}

// readResponse reads and closes the body, and returns an error unless the response is the expected one.
func readResponse(resp *http.Response) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: want 200", resp.StatusCode)
	}
	var got record
	if err := json.Unmarshal(body, &got); err != nil {
		return err
	}
	return checkResponse(got.ID, resp.Header.Get("X-Request-Id"))
}

// newTransport returns a copy of net/http's default transport, with connections of its own.
func newTransport() http.RoundTripper {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	return transport.Clone()
}

// shouldRetry reports whether a client without a retry condition of its own retries after a response with this status.
func shouldRetry(status int) bool {
	return status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}
