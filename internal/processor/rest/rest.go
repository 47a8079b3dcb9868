// Package rest is the adapter for the REST processor protocol: POST /charges and POST /refunds, and lookups of both by
// reference. The simulator serves the protocol, and so can a gateway that a team puts in front of its processors.
package rest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Adapter returns the adapter under the name "rest".
func Adapter() processor.Adapter {
	return processor.Adapter{
		Name:            "rest",
		Profile:         Profile(),
		New:             func(c processor.Client) processor.Processor { return New(c) },
		ReadEvent:       ReadEvent,
		SignatureHeader: SignatureHeader,
	}
}

// Profile returns the profile of the protocol. The protocol does not define how long keys are kept: 24 h is the default, and
// the configuration of a processor may override it.
func Profile() processor.Profile {
	return processor.Profile{
		KeyLifetime:  24 * time.Hour,
		KeyMaxLength: 255,
		Refusal:      refusal,
		// draft-ietf-httpapi-idempotency-key-header, section 2.7.
		InFlight: func(status int, code string) bool {
			return status == http.StatusConflict && code == "idempotency_in_flight"
		},
		Mismatch:   func(_ int, code string) bool { return code == "idempotency_mismatch" },
		SeenBefore: func(code string) bool { return code == "duplicate_transaction" },
		// Another request is using the payment.
		ObjectLevel: func(_ int, code string) bool { return code == "lock_timeout" },
		Audited:     audited(),
	}
}

// audited are the fields that are defined or assigned by the protocol. Deliberately not among them are:
//   - "card_token";
//   - "reference": it is the idempotency key;
//   - "error.message": a processor may repeat any input in it;
//   - "next_cursor": it is opaque.
func audited() map[string]processor.Shape {
	fields := map[string]processor.Shape{
		"capture":            processor.ShapeBool,
		"error.code":         processor.ShapeCode,
		"error.decline_code": processor.ShapeCode,
		"error.decline_kind": processor.ShapeCode,
	}
	for _, record := range []string{"", "data[]."} {
		maps.Copy(fields, map[string]processor.Shape{
			record + "id":                processor.ShapeID,
			record + "payment_id":        processor.ShapeID,
			record + "status":            processor.ShapeCode,
			record + "amount":            processor.ShapeAmount,
			record + "captured_amount":   processor.ShapeAmount,
			record + "refunded_amount":   processor.ShapeAmount,
			record + "currency":          processor.ShapeCurrency,
			record + "decline_code":      processor.ShapeCode,
			record + "decline_kind":      processor.ShapeCode,
			record + "can_still_succeed": processor.ShapeBool,
			record + "created_at":        processor.ShapeTime,

			record + "metadata." + processor.MetadataPaymentID:  processor.ShapeID,
			record + "metadata." + processor.MetadataRefundID:   processor.ShapeID,
			record + "metadata." + processor.MetadataMerchantID: processor.ShapeCode,
		})
	}
	return fields
}

// Processor implements [processor.Processor] for the REST protocol.
type Processor struct{ client processor.Client }

var _ processor.Processor = (*Processor)(nil)

// New returns an adapter that sends its requests through client, which must have been built with [Profile].
func New(client processor.Client) *Processor { return &Processor{client: client} }

type chargeBody struct {
	CardToken string            `json:"card_token"`
	Amount    int64             `json:"amount"`
	Currency  string            `json:"currency"`
	Capture   bool              `json:"capture"`
	Reference string            `json:"reference"`
	Metadata  map[string]string `json:"metadata"`
}

// Charge implements [processor.Processor].
func (p *Processor) Charge(ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
	return p.execute(ctx, operation{
		kind: payment.OperationCharge, path: "/charges", key: call.Key, firstUsed: call.KeyFirstUsed,
		paymentID: call.PaymentID,
		read:      readPayment,
		body: chargeBody{
			CardToken: call.PaymentMethod,
			Amount:    call.Amount,
			Currency:  call.Currency,
			Capture:   call.Capture != payment.CaptureManual,
			Reference: call.Key,
			Metadata:  call.AllMetadata(),
		},
	})
}

type captureBody struct {
	Amount int64 `json:"amount"`
}

// Capture implements [processor.Processor].
func (p *Processor) Capture(ctx context.Context, call processor.CaptureCall) (processor.Result, error) {
	if err := checkID(call.ProcessorPaymentID); err != nil {
		return processor.Result{}, err
	}
	return p.execute(ctx, operation{
		kind: payment.OperationCapture, path: paymentPath(call.ProcessorPaymentID) + "/capture", key: call.Key,
		firstUsed: call.KeyFirstUsed, paymentID: call.PaymentID, read: readPayment, body: captureBody{call.Amount},
	})
}

// Void implements [processor.Processor].
func (p *Processor) Void(ctx context.Context, call processor.VoidCall) (processor.Result, error) {
	if err := checkID(call.ProcessorPaymentID); err != nil {
		return processor.Result{}, err
	}
	return p.execute(ctx, operation{
		kind: payment.OperationVoid, path: paymentPath(call.ProcessorPaymentID) + "/void", key: call.Key,
		firstUsed: call.KeyFirstUsed, paymentID: call.PaymentID, read: readPayment, body: struct{}{},
	})
}

// paymentPath returns the path of a payment. The id must have passed checkID.
func paymentPath(id string) string { return "/payments/" + url.PathEscape(id) }

// checkID returns an error for an id that cannot be a payment's, and for dot segments, which would change the path.
func checkID(id string) error {
	if id == "" || len(id) > 255 || id == "." || id == ".." {
		return invalid("processor_payment_id: want the id that the response to the charge contained", nil)
	}
	return nil
}

// invalid returns the error for a call from which no request can be built.
func invalid(message string, cause error) *processor.Error {
	return &processor.Error{Class: payment.ClassInvalidRequest, Certainty: processor.NotExecuted, Message: message,
		Err: cause}
}

type refundBody struct {
	PaymentID string            `json:"payment_id"`
	Amount    int64             `json:"amount"`
	Reference string            `json:"reference"`
	Metadata  map[string]string `json:"metadata"`
}

// Refund implements [processor.Processor].
func (p *Processor) Refund(ctx context.Context, call processor.RefundCall) (processor.Result, error) {
	if err := checkID(call.ProcessorPaymentID); err != nil {
		return processor.Result{}, err
	}
	return p.execute(ctx, operation{
		kind: payment.OperationRefund, path: "/refunds", key: call.Key, firstUsed: call.KeyFirstUsed,
		paymentID: call.RefundID,
		read:      readRefund,
		body: refundBody{
			PaymentID: call.ProcessorPaymentID,
			Amount:    call.Amount,
			Reference: call.Key,
			Metadata:  call.AllMetadata(),
		},
	})
}

// notFoundCodes are the error codes that mean "not found" with a 404.
var notFoundCodes = map[string]bool{"payment_not_found": true, "refund_not_found": true}

// Lookup implements [processor.Processor]. Only an empty list and a 404 with one of notFoundCodes mean "not found". Any other
// 404, such as a gateway's, is an error.
func (p *Processor) Lookup(ctx context.Context, call processor.LookupCall) (result processor.Result, found bool, err error) {
	path, read := "/payments", readPayment
	if call.Operation == payment.OperationRefund {
		path, read = "/refunds", readRefund
	}
	if call.ID != "" {
		return p.lookupByID(ctx, path, call)
	}
	answer, err := p.client.Do(ctx, processor.Call{
		Method: http.MethodGet, Path: path, Query: url.Values{"reference": {call.Reference}}, Operation: "lookup",
		Reference: call.Reference,
		Decode: func(body []byte) error {
			var list list[record]
			if err := list.decode(body); err != nil {
				return err
			}
			var err error
			result, found, err = only(list, read, call.Reference)
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

// lookupByID reads the record with the id that an operator has named. It may not be Florin's.
func (p *Processor) lookupByID(ctx context.Context, path string, call processor.LookupCall) (result processor.Result, found bool, err error) {
	if err := checkID(call.ID); err != nil {
		return processor.Result{}, false, err
	}
	answer, err := p.client.Do(ctx, processor.Call{
		Method: http.MethodGet, Path: path + "/" + url.PathEscape(call.ID), Operation: "lookup", Reference: call.Reference,
		Decode: func(body []byte) (err error) {
			var r record
			if err := processor.DecodeJSON(body, &r); err != nil {
				return err
			}
			if call.Operation == payment.OperationRefund {
				result, err = readAnyRefund(r)
			} else {
				result, err = readAnyPayment(r)
			}
			if err == nil && result.ID != call.ID {
				err = errors.New("the record has another id than requested")
			}
			return err
		},
	})
	var refused *processor.Error
	switch {
	case err == nil:
		result.RequestID = answer.RequestID
		return result, true, nil
	case errors.As(err, &refused) && refused.HTTPStatus == http.StatusNotFound && notFoundCodes[refused.Code]:
		return processor.Result{}, false, nil
	default:
		return processor.Result{}, false, err
	}
}

// List implements [processor.Processor]. The page includes payments and refunds that Florin did not make; they may have no
// reference.
func (p *Processor) List(ctx context.Context, call processor.ListCall) (page processor.Page, err error) {
	path := "/payments"
	if call.Operation == payment.OperationRefund {
		path = "/refunds"
	}
	_, err = p.client.Do(ctx, processor.Call{
		Method: http.MethodGet, Path: path, Query: listQuery(call), Operation: "list", Cached: true,
		Decode: func(body []byte) (err error) {
			page, err = readPage(body, call.Operation, call.Cursor)
			return err
		},
	})
	if err != nil {
		return processor.Page{}, err
	}
	return page, nil
}

// operation is a charge, capture, void or refund, as its request and the reader of its response.
type operation struct {
	kind      payment.Operation
	path, key string
	firstUsed time.Time
	paymentID string
	read      reader
	body      any
}

// execute sends an operation and reads the record in its response.
func (p *Processor) execute(ctx context.Context, op operation) (processor.Result, error) {
	body, err := json.Marshal(op.body)
	if err != nil {
		return processor.Result{}, invalid("the request cannot be encoded as JSON", err)
	}
	decoder := recordDecoder{read: op.read}
	answer, err := p.client.Do(ctx, processor.Call{
		Method: http.MethodPost, Path: op.path, Body: body, Key: op.key, KeyFirstUsed: op.firstUsed,
		Operation: string(op.kind), PaymentID: op.paymentID,
		Decode: decoder.decode,
	})
	switch {
	case err != nil:
		return processor.Result{}, err
	case answer.Decline != nil:
		return answer.Declined(op.key), nil
	}
	decoder.result.RequestID = answer.RequestID
	return decoder.result, nil
}

// recordDecoder decodes the record in the response to an operation.
type recordDecoder struct {
	read   reader
	record record
	result processor.Result
}

// decode replaces the record and the result of an earlier attempt.
func (d *recordDecoder) decode(body []byte) (err error) {
	d.record = record{}
	if err := processor.DecodeJSON(body, &d.record); err != nil {
		return err
	}
	d.result, err = d.read(d.record)
	return err
}
