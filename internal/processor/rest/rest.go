// Package rest speaks the REST processor protocol: POST /charges, POST /refunds, and both by reference. The
// simulator serves it, and so can any gateway that a team puts before its processors.
package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// The metadata by which a payment at the processor names the payment in Florin.
const (
	metadataPaymentID  = payment.ReservedMetadataPrefix + "payment_id"
	metadataMerchantID = payment.ReservedMetadataPrefix + "merchant_id"
	metadataRefundID   = payment.ReservedMetadataPrefix + "refund_id"
)

// Adapter returns the adapter of the protocol.
func Adapter() processor.Adapter {
	return processor.Adapter{
		Name:            "rest",
		Profile:         Profile(),
		New:             func(c processor.Client) processor.Processor { return New(c) },
		ReadEvent:       ReadEvent,
		SignatureHeader: SignatureHeader,
	}
}

// Profile is the protocol's. The lifetime of keys is each processor's own; 24 h is the default.
func Profile() processor.Profile {
	return processor.Profile{
		KeyLifetime:  24 * time.Hour,
		KeyMaxLength: 255,
		Refusal:      refusal,
		// draft-ietf-httpapi-idempotency-key-header, section 2.7.
		InFlight: func(status int, code string) bool {
			return status == http.StatusConflict && code == "idempotency_in_flight"
		},
		Mismatch: func(_ int, code string) bool { return code == "idempotency_mismatch" },
	}
}

// Processor is the adapter.
type Processor struct{ client processor.Client }

var _ processor.Processor = (*Processor)(nil)

// New returns the adapter on a client that has its Profile.
func New(client processor.Client) *Processor { return &Processor{client: client} }

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
	return p.post(ctx, post{
		operation: payment.OperationCharge, path: "/charges", key: call.Key, firstUsed: call.KeyFirstUsed, paymentID: call.PaymentID,
		read: ownPayment,
		body: chargeBody{
			CardToken: call.PaymentMethod,
			Amount:    call.Amount,
			Currency:  call.Currency,
			Capture:   call.Capture != payment.CaptureManual,
			Reference: call.Key,
			Metadata: metadata(call.Metadata, map[string]string{
				metadataPaymentID: call.PaymentID, metadataMerchantID: call.MerchantID,
			}),
		},
	})
}

type captureBody struct {
	Amount int64 `json:"amount"`
}

// Capture implements processor.Processor.
func (p *Processor) Capture(ctx context.Context, call processor.CaptureCall) (processor.Result, error) {
	if err := checkID(call.ProcessorPaymentID); err != nil {
		return processor.Result{}, err
	}
	return p.post(ctx, post{
		operation: payment.OperationCapture, path: paymentPath(call.ProcessorPaymentID) + "/capture", key: call.Key,
		firstUsed: call.KeyFirstUsed, paymentID: call.PaymentID, read: ownPayment, body: captureBody{call.Amount},
	})
}

// Void implements processor.Processor.
func (p *Processor) Void(ctx context.Context, call processor.VoidCall) (processor.Result, error) {
	if err := checkID(call.ProcessorPaymentID); err != nil {
		return processor.Result{}, err
	}
	return p.post(ctx, post{
		operation: payment.OperationVoid, path: paymentPath(call.ProcessorPaymentID) + "/void", key: call.Key,
		firstUsed: call.KeyFirstUsed, paymentID: call.PaymentID, read: ownPayment, body: struct{}{},
	})
}

// paymentPath keeps an id that passed checkID from naming anything but one payment.
func paymentPath(id string) string { return "/payments/" + url.PathEscape(id) }

// checkID refuses an id that names no payment, and one that would be cleaned out of a path.
func checkID(id string) error {
	if !sane(id) || id == "." || id == ".." {
		return invalid("processor_payment_id: want the id of a payment, as its charge answered it", nil)
	}
	return nil
}

// invalid is a call that cannot be put into a request.
func invalid(message string, cause error) *processor.Error {
	return &processor.Error{Class: payment.ClassInvalidRequest, Certainty: processor.NotExecuted, Message: message, Err: cause}
}

type refundBody struct {
	PaymentID string            `json:"payment_id"`
	Amount    int64             `json:"amount"`
	Reference string            `json:"reference"`
	Metadata  map[string]string `json:"metadata"`
}

// Refund implements processor.Processor.
func (p *Processor) Refund(ctx context.Context, call processor.RefundCall) (processor.Result, error) {
	if err := checkID(call.ProcessorPaymentID); err != nil {
		return processor.Result{}, err
	}
	return p.post(ctx, post{
		operation: payment.OperationRefund, path: "/refunds", key: call.Key, firstUsed: call.KeyFirstUsed, paymentID: call.RefundID,
		read: ownRefund,
		body: refundBody{
			PaymentID: call.ProcessorPaymentID,
			Amount:    call.Amount,
			Reference: call.Key,
			Metadata: metadata(call.Metadata, map[string]string{
				metadataRefundID: call.RefundID, metadataMerchantID: call.MerchantID,
			}),
		},
	})
}

// notFoundCodes are the protocol's own.
var notFoundCodes = map[string]bool{"payment_not_found": true, "refund_not_found": true}

// Lookup implements processor.Processor. "Not found" is only what the protocol itself says: an empty list, or a
// 404 with its code; a gateway's 404 is no answer.
func (p *Processor) Lookup(ctx context.Context, call processor.LookupCall) (result processor.Result, found bool, err error) {
	path, read := "/payments", ownPayment
	if call.Operation == payment.OperationRefund {
		path, read = "/refunds", ownRefund
	}
	answer, err := p.client.Do(ctx, processor.Call{
		Method: http.MethodGet, Path: path, Query: url.Values{"reference": {call.Reference}}, Operation: "lookup", Reference: call.Reference,
		Decode: func(body []byte) error {
			var list list
			if err := list.decode(body); err != nil {
				return err
			}
			var err error
			result, found, err = list.only(read, call.Reference)
			return err
		},
	})
	var refused *processor.Error
	switch {
	case err == nil && found:
		result.RequestID = answer.RequestID
		return result, true, nil
	case err == nil:
		return processor.Result{}, false, nil
	case errors.As(err, &refused) && refused.HTTPStatus == http.StatusNotFound && notFoundCodes[refused.Code]:
		return processor.Result{}, false, nil
	default:
		return processor.Result{}, false, err
	}
}

// List implements processor.Processor: also payments that somebody else made, who may have given them no reference.
func (p *Processor) List(ctx context.Context, call processor.ListCall) (page processor.Page, err error) {
	query := url.Values{}
	if !call.CreatedAfter.IsZero() {
		query.Set("created_after", call.CreatedAfter.UTC().Format(time.RFC3339Nano))
	}
	if call.Cursor != "" {
		query.Set("cursor", call.Cursor)
	}
	if call.Limit > 0 {
		query.Set("limit", strconv.Itoa(call.Limit))
	}
	_, err = p.client.Do(ctx, processor.Call{
		Method: http.MethodGet, Path: "/payments", Query: query, Operation: "list", Cached: true,
		Decode: func(body []byte) error {
			var list list
			if err := list.decode(body); err != nil {
				return err
			}
			if list.NextCursor != "" && list.NextCursor == call.Cursor {
				return errors.New("the page names itself as the next one")
			}
			page = processor.Page{Payments: make([]processor.Result, len(list.Data)), Next: list.NextCursor}
			for i, r := range list.Data {
				var err error
				if page.Payments[i], err = anyPayment(r); err != nil {
					return fmt.Errorf("payment %d of the page: %w", i, err)
				}
			}
			return nil
		},
	})
	if err != nil {
		return processor.Page{}, err
	}
	return page, nil
}

// post is a call that moves money: it reads the record of what it makes.
type post struct {
	operation payment.Operation
	path, key string
	firstUsed time.Time
	paymentID string
	read      reader
	body      any
}

// post sends a call that moves money and reads its answer.
func (p *Processor) post(ctx context.Context, call post) (processor.Result, error) {
	body, err := json.Marshal(call.body)
	if err != nil {
		return processor.Result{}, invalid("the request cannot be written as JSON", err)
	}
	made := made{read: call.read}
	answer, err := p.client.Do(ctx, processor.Call{
		Method: http.MethodPost, Path: call.path, Body: body, Key: call.key, KeyFirstUsed: call.firstUsed,
		Operation: string(call.operation), PaymentID: call.paymentID,
		Decode: made.decode,
	})
	switch {
	case err != nil:
		return processor.Result{}, err
	case answer.Decline != nil:
		return answer.Declined(call.key), nil
	}
	made.result.RequestID = answer.RequestID
	return made.result, nil
}

// made is what a call made, by the one record of its answer.
type made struct {
	read   reader
	record record
	result processor.Result
}

// decode reads it anew in each attempt.
func (m *made) decode(body []byte) (err error) {
	m.record = record{}
	if json.Unmarshal(body, &m.record) != nil {
		return errors.New("the answer is not whole JSON")
	}
	m.result, err = m.read(m.record)
	return err
}

// metadata is the caller's with our own on top.
func metadata(theirs, ours map[string]string) map[string]string {
	all := make(map[string]string, len(theirs)+len(ours))
	maps.Copy(all, theirs)
	maps.Copy(all, ours)
	return all
}
