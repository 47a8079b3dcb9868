// Package rest speaks the REST processor protocol: POST /charges, POST /refunds, and both by reference. The
// simulator serves it, and so can any gateway that a team puts before its processors.
package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/florinpay/florin/internal/processor"
	"github.com/florinpay/florin/payment"
)

// The metadata by which a payment at the processor names the payment in Florin.
const (
	metadataPaymentID  = payment.ReservedMetadataPrefix + "payment_id"
	metadataMerchantID = payment.ReservedMetadataPrefix + "merchant_id"
	metadataRefundID   = payment.ReservedMetadataPrefix + "refund_id"
)

// Options are what one processor that speaks the protocol does in its own way.
type Options struct {
	// KeyLifetime is how long the processor keeps idempotency keys; 24 h unless it says otherwise.
	KeyLifetime time.Duration
	// AbsenceProofAfter is how long after a request it may still appear in a lookup.
	AbsenceProofAfter time.Duration
}

// New returns the adapter. It takes over the client.
func New(client *processor.Client, o Options) *Processor {
	return &Processor{client: client, profile: processor.Profile{
		KeyLifetime:       o.KeyLifetime,
		AbsenceProofAfter: o.AbsenceProofAfter,
		// draft-ietf-httpapi-idempotency-key-header, section 2.7.
		InFlight: func(status int, code string) bool {
			return status == http.StatusConflict && code == "idempotency_in_flight"
		},
		Mismatch: func(_ int, code string) bool { return code == "idempotency_mismatch" },
	}}
}

// Processor is the adapter.
type Processor struct {
	client  *processor.Client
	profile processor.Profile
}

var _ processor.Processor = (*Processor)(nil)

// Profile implements processor.Processor.
func (p *Processor) Profile() processor.Profile { return p.profile }

type chargeBody struct {
	CardToken string            `json:"card_token"`
	Amount    int64             `json:"amount"`
	Currency  string            `json:"currency"`
	Capture   bool              `json:"capture"`
	Reference string            `json:"reference"`
	Metadata  map[string]string `json:"metadata"`
}

// Charge implements processor.Processor.
func (p *Processor) Charge(ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
	return p.post(ctx, operation{payment.OperationCharge, "/charges", call.Key, call.PaymentID, chargeStatuses}, chargeBody{
		CardToken: call.PaymentMethod,
		Amount:    call.Amount,
		Currency:  call.Currency,
		Capture:   call.Capture != payment.CaptureManual,
		Reference: call.Key,
		Metadata: metadata(call.Metadata, map[string]string{
			metadataPaymentID: call.PaymentID, metadataMerchantID: call.MerchantID,
		}),
	})
}

type refundBody struct {
	PaymentID string            `json:"payment_id"`
	Amount    int64             `json:"amount"`
	Reference string            `json:"reference"`
	Metadata  map[string]string `json:"metadata"`
}

// Refund implements processor.Processor.
func (p *Processor) Refund(ctx context.Context, call processor.RefundCall) (processor.Result, error) {
	return p.post(ctx, operation{payment.OperationRefund, "/refunds", call.Key, call.RefundID, refundStatuses}, refundBody{
		PaymentID: call.ProcessorPaymentID,
		Amount:    call.Amount,
		Reference: call.Key,
		Metadata: metadata(call.Metadata, map[string]string{
			metadataRefundID: call.RefundID, metadataMerchantID: call.MerchantID,
		}),
	})
}

// notFoundCodes are the protocol's own.
var notFoundCodes = map[string]bool{"payment_not_found": true, "refund_not_found": true}

// Lookup implements processor.Processor. "Not found" is only what the protocol itself says: an empty list, or a
// 404 with its code; a gateway's 404 is no answer.
func (p *Processor) Lookup(ctx context.Context, call processor.LookupCall) (processor.Result, bool, error) {
	path, statuses := "/payments", chargeStatuses
	if call.Operation == payment.OperationRefund {
		path, statuses = "/refunds", refundStatuses
	}
	answer, err := p.client.Do(ctx, processor.Call{
		Method: http.MethodGet, Path: path, Query: url.Values{"reference": {call.Reference}}, Operation: "lookup",
	})
	if err != nil {
		return processor.Result{}, false, err
	}
	if answer.Status == http.StatusNotFound && notFoundCodes[readError(answer).Error.Code] {
		return processor.Result{}, false, nil
	}
	if answer.Status != http.StatusOK {
		return processor.Result{}, false, p.refusal(answer)
	}
	var list struct {
		Data *[]record `json:"data"`
	}
	if answer.Truncated || json.Unmarshal(answer.Body, &list) != nil || list.Data == nil {
		return processor.Result{}, false, processor.Malformed(answer, "the list of the lookup cannot be read")
	}
	if len(*list.Data) == 0 {
		return processor.Result{}, false, nil
	}
	return onlyRecord(answer, *list.Data, statuses, call.Reference)
}

// onlyRecord is the one with our reference. Several would be a double charge, and none among others a processor
// that does not search by reference: both are for a human, so they come back as an answer that cannot be believed.
func onlyRecord(answer processor.Answer, records []record, statuses map[string]payment.Status, reference string) (processor.Result, bool, error) {
	ours := slices.DeleteFunc(records, func(r record) bool { return r.Reference != reference })
	if len(ours) != 1 {
		return processor.Result{}, false, processor.Malformed(answer, fmt.Sprintf("%d records have the reference that was looked up", len(ours)))
	}
	result, ok := ours[0].result(statuses, answer.RequestID)
	if !ok {
		return processor.Result{}, false, processor.Malformed(answer, "the record that was found lacks an id, a known status, an amount or a reference")
	}
	return result, true, nil
}

// operation is a call that moves money: its statuses are those of what it makes.
type operation struct {
	kind      payment.Operation
	path, key string
	paymentID string
	statuses  map[string]payment.Status
}

// post sends a call that moves money and reads its answer.
func (p *Processor) post(ctx context.Context, op operation, body any) (processor.Result, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return processor.Result{}, &processor.Error{Class: payment.ClassInvalidRequest, Certainty: processor.NotExecuted,
			Message: "the request cannot be written as JSON", Err: err}
	}
	answer, err := p.client.Do(ctx, processor.Call{
		Method: http.MethodPost, Path: op.path, Body: encoded, Key: op.key, Operation: string(op.kind), PaymentID: op.paymentID,
	})
	if err != nil {
		return processor.Result{}, err
	}
	if answer.Status < 200 || answer.Status > 299 {
		if decline, ok := declined(answer); ok {
			return processor.Result{Status: payment.Declined, Reference: op.key, RequestID: answer.RequestID, Decline: decline}, nil
		}
		return processor.Result{}, p.refusal(answer)
	}
	var r record
	if answer.Truncated || json.Unmarshal(answer.Body, &r) != nil {
		return processor.Result{}, processor.Malformed(answer, "the answer is not whole JSON")
	}
	result, ok := r.result(op.statuses, answer.RequestID)
	if !ok {
		return processor.Result{}, processor.Malformed(answer, "the answer lacks an id, a known status, an amount or a reference")
	}
	return result, nil
}

// metadata is the caller's with our own on top.
func metadata(theirs, ours map[string]string) map[string]string {
	all := make(map[string]string, len(theirs)+len(ours))
	maps.Copy(all, theirs)
	maps.Copy(all, ours)
	return all
}
