// Package stripe speaks Stripe's PaymentIntents and Refunds, on stripe-go over our own HTTP client (transport.go). What
// Stripe's words mean is in codes.go, what its answers are in answer.go, and how it counts money in currency.go.
package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v85"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// BaseURL is where Stripe's API is.
const BaseURL = stripe.APIURL

// Adapter returns the adapter for Stripe.
func Adapter() processor.Adapter {
	return processor.Adapter{
		Name:            "stripe",
		Profile:         Profile(),
		New:             func(c processor.Client) processor.Processor { return New(c) },
		BaseURL:         BaseURL,
		ReadEvent:       ReadEvent,
		SignatureHeader: SignatureHeader,
	}
}

// Profile is Stripe's. Keys may be forgotten once they are 24 hours old, have 255 characters at most, and bring back
// the first answer, also a 500: https://docs.stripe.com/api/idempotent_requests. Whether to try again Stripe says itself:
// https://docs.stripe.com/error-low-level. A payment may be found by its reference only a minute after it was made, and
// in an outage an hour (https://docs.stripe.com/search), so that it is not found proves nothing, ever.
func Profile() processor.Profile {
	return processor.Profile{
		KeyLifetime:  24 * time.Hour,
		KeyMaxLength: 255,
		RetryHeader:  "Stripe-Should-Retry",
		Refusal:      readRefusal,
		InFlight:     isInFlight,
		Mismatch:     isMismatch,
		Conflict:     isConflict,
	}
}

// Processor is the adapter.
type Processor struct{ api *stripe.Client }

var _ processor.Processor = (*Processor)(nil)

// New returns the adapter on a client that has its Profile.
func New(client processor.Client) *Processor { return &Processor{api: newAPI(client)} }

// Charge implements processor.Processor. The payment is made and confirmed in one request. The customer counts as
// present: a payment that needs 3-D Secure waits as requires_action for what the merchant's page does with it, instead
// of being declined. Ways to pay that would lead the customer to another page are left out: there is no way back.
func (p *Processor) Charge(ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
	amount, err := toStripe(call.Amount, call.Currency)
	if err != nil {
		return processor.Result{}, invalid(err)
	}
	capture := stripe.PaymentIntentCaptureMethodAutomatic
	if call.Capture == payment.CaptureManual {
		capture = stripe.PaymentIntentCaptureMethodManual
	}
	params := &stripe.PaymentIntentCreateParams{
		Amount:        stripe.Int64(amount),
		Currency:      stripe.String(strings.ToLower(call.Currency)),
		PaymentMethod: stripe.String(call.PaymentMethod),
		CaptureMethod: stripe.String(capture),
		Confirm:       stripe.Bool(true),
		AutomaticPaymentMethods: &stripe.PaymentIntentCreateAutomaticPaymentMethodsParams{
			Enabled:        stripe.Bool(true),
			AllowRedirects: stripe.String(stripe.PaymentIntentAutomaticPaymentMethodsAllowRedirectsNever),
		},
		Customer:    optional(call.CustomerID),
		Description: optional(call.Description),
		Metadata: metadata(call.Metadata, map[string]string{
			metadataReference: call.Key, metadataPaymentID: call.PaymentID, metadataMerchantID: call.MerchantID,
		}),
	}
	return one(ctx, processor.Call{
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: string(payment.OperationCharge), PaymentID: call.PaymentID,
	}, readPayment, func(ctx context.Context) (*stripe.PaymentIntent, error) {
		return p.api.V1PaymentIntents.Create(ctx, params)
	})
}

// Capture implements processor.Processor.
func (p *Processor) Capture(ctx context.Context, call processor.CaptureCall) (processor.Result, error) {
	amount, err := toStripe(call.Amount, call.Currency)
	if err = errors.Join(err, checkID(call.ProcessorPaymentID)); err != nil {
		return processor.Result{}, invalid(err)
	}
	return one(ctx, processor.Call{
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: string(payment.OperationCapture), PaymentID: call.PaymentID,
	}, readPayment, func(ctx context.Context) (*stripe.PaymentIntent, error) {
		return p.api.V1PaymentIntents.Capture(ctx, call.ProcessorPaymentID, &stripe.PaymentIntentCaptureParams{AmountToCapture: stripe.Int64(amount)})
	})
}

// Void implements processor.Processor.
func (p *Processor) Void(ctx context.Context, call processor.VoidCall) (processor.Result, error) {
	if err := checkID(call.ProcessorPaymentID); err != nil {
		return processor.Result{}, invalid(err)
	}
	return one(ctx, processor.Call{
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: string(payment.OperationVoid), PaymentID: call.PaymentID,
	}, readPayment, func(ctx context.Context) (*stripe.PaymentIntent, error) {
		return p.api.V1PaymentIntents.Cancel(ctx, call.ProcessorPaymentID, nil)
	})
}

// Refund implements processor.Processor.
func (p *Processor) Refund(ctx context.Context, call processor.RefundCall) (processor.Result, error) {
	amount, err := toStripe(call.Amount, call.Currency)
	if err = errors.Join(err, checkID(call.ProcessorPaymentID)); err != nil {
		return processor.Result{}, invalid(err)
	}
	params := &stripe.RefundCreateParams{
		PaymentIntent: stripe.String(call.ProcessorPaymentID),
		Amount:        stripe.Int64(amount),
		Metadata: metadata(call.Metadata, map[string]string{
			metadataReference: call.Key, metadataRefundID: call.RefundID, metadataMerchantID: call.MerchantID,
		}),
	}
	return one(ctx, processor.Call{
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: string(payment.OperationRefund), PaymentID: call.RefundID,
	}, readRefund, func(ctx context.Context) (*stripe.Refund, error) {
		return p.api.V1Refunds.Create(ctx, params)
	})
}

// Lookup implements processor.Processor.
func (p *Processor) Lookup(ctx context.Context, call processor.LookupCall) (result processor.Result, found bool, err error) {
	if call.Operation == payment.OperationRefund {
		return p.lookupRefund(ctx, call)
	}
	return p.lookupPayment(ctx, call)
}

// lookupPayment reads the payment itself, also where it has to be searched for first: what a search says of its state
// may be as old as the search's index. A payment whose id is known cannot be absent, so that it is not found is an
// error.
func (p *Processor) lookupPayment(ctx context.Context, call processor.LookupCall) (result processor.Result, found bool, err error) {
	id := call.ProcessorPaymentID
	if id == "" {
		if id, err = p.search(ctx, call.Reference); err != nil || id == "" {
			return processor.Result{}, false, err
		}
	}
	if err := checkID(id); err != nil {
		return processor.Result{}, false, invalid(err)
	}
	params := &stripe.PaymentIntentRetrieveParams{}
	params.AddExpand("latest_charge")
	result, err = one(ctx, processor.Call{Operation: operationLookup, Reference: call.Reference}, func(intent *stripe.PaymentIntent) (processor.Result, error) {
		result, err := readPayment(intent)
		if err == nil && result.Reference != call.Reference {
			err = errors.New("the payment has another reference than the one that was looked up")
		}
		return result, err
	}, func(ctx context.Context) (*stripe.PaymentIntent, error) {
		return p.api.V1PaymentIntents.Retrieve(ctx, id, params)
	})
	return result, err == nil, err
}

// The operations that move no money, for the audit log and metrics.
const (
	operationLookup = "lookup"
	operationList   = "list"
)

// search finds the id of the payment that has the reference; empty is none. Several would be a double charge, and none
// among others a search for something else: both are for a human, so they come back as an answer that cannot be
// believed.
func (p *Processor) search(ctx context.Context, reference string) (id string, err error) {
	params := &stripe.PaymentIntentSearchParams{}
	params.Single = true
	params.Query = fmt.Sprintf("metadata['%s']:'%s'", metadataReference, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(reference))
	_, err = do(ctx, processor.Call{Operation: operationLookup, Reference: reference, Decode: func(body []byte) error {
		list, err := readPage[stripe.PaymentIntent](body)
		if err != nil || len(list.Data) == 0 {
			return err
		}
		ours := slices.DeleteFunc(list.Data, func(intent *stripe.PaymentIntent) bool {
			return intent.Metadata[metadataReference] != reference
		})
		if len(ours) != 1 || list.HasMore {
			return fmt.Errorf("%d payments have the reference that was looked up", len(ours))
		}
		if !isID(ours[0].ID) {
			return errIncomplete // an empty id would say that there is no payment
		}
		id = ours[0].ID
		return nil
	}}, func(ctx context.Context) error { return p.api.V1PaymentIntents.Search(ctx, params).Err() })
	return id, err
}

// Limits of lists: https://docs.stripe.com/api/pagination. maxPages bounds how many refunds of one payment are read.
const (
	maxPageSize = 100
	maxPages    = 100
)

// lookupRefund reads all refunds of the payment: Stripe has no search for refunds.
func (p *Processor) lookupRefund(ctx context.Context, call processor.LookupCall) (result processor.Result, found bool, err error) {
	if err := checkID(call.ProcessorPaymentID); err != nil {
		return processor.Result{}, false, invalid(fmt.Errorf("a refund is found among those of its payment: %w", err))
	}
	params := &stripe.RefundListParams{PaymentIntent: stripe.String(call.ProcessorPaymentID)}
	params.Single, params.Limit = true, stripe.Int64(maxPageSize)
	var answer processor.Answer
	for range maxPages {
		var list page[stripe.Refund]
		var ours processor.Result
		answer, err = do(ctx, processor.Call{Operation: operationLookup, Reference: call.Reference, Decode: func(body []byte) (err error) {
			if list, err = readPage[stripe.Refund](body); err == nil {
				ours, err = onlyRefund(list.Data, call.Reference, found)
			}
			return err
		}}, func(ctx context.Context) error { return p.api.V1Refunds.List(ctx, params).Err() })
		if err != nil {
			return processor.Result{}, false, err
		}
		if ours.ID != "" {
			result, found = ours, true
			result.RequestID = answer.RequestID
		}
		if !list.HasMore {
			return result, found, nil
		}
		params.StartingAfter = stripe.String(list.Data[len(list.Data)-1].ID)
	}
	return processor.Result{}, false, processor.Malformed(answer, fmt.Sprintf("the payment has more than %d refunds", maxPages*maxPageSize))
}

// List implements processor.Processor: newest first, and with payments that somebody else made at Stripe. Those have
// no reference; one of them that cannot be read is left out.
func (p *Processor) List(ctx context.Context, call processor.ListCall) (result processor.Page, err error) {
	params := &stripe.PaymentIntentListParams{}
	params.Single = true
	params.AddExpand("data.latest_charge")
	params.StartingAfter = optional(call.Cursor)
	if call.Limit > 0 {
		params.Limit = stripe.Int64(int64(min(call.Limit, maxPageSize)))
	}
	if !call.CreatedAfter.IsZero() {
		params.CreatedRange = &stripe.RangeQueryParams{GreaterThanOrEqual: call.CreatedAfter.Unix()}
	}
	_, err = do(ctx, processor.Call{Operation: operationList, Cached: true, Decode: func(body []byte) error {
		list, err := readPage[stripe.PaymentIntent](body)
		if err != nil {
			return err
		}
		result = processor.Page{Payments: make([]processor.Result, 0, len(list.Data))}
		for i, intent := range list.Data {
			paid, err := readAnyPayment(intent)
			switch {
			case err == nil:
				result.Payments = append(result.Payments, paid)
			case intent.Metadata[metadataReference] != "":
				return fmt.Errorf("payment %d of the page: %w", i, err)
			}
		}
		if list.HasMore {
			result.Next = list.Data[len(list.Data)-1].ID
		}
		return nil
	}}, func(ctx context.Context) error { return p.api.V1PaymentIntents.List(ctx, params).Err() })
	if err != nil {
		return processor.Page{}, err
	}
	return result, nil
}

// one asks for one payment or refund and reads it. The answer is read while the client still judges it, so that its
// retries and its audit log know of one that cannot be believed; what stripe-go reads of it is not needed again.
func one[T any](ctx context.Context, call processor.Call, read func(*T) (processor.Result, error), ask func(context.Context) (*T, error)) (processor.Result, error) {
	var result processor.Result
	call.Decode = func(body []byte) (err error) {
		object := new(T)
		if json.Unmarshal(body, object) != nil {
			return errors.New("the answer is not whole JSON, or not of Stripe")
		}
		result, err = read(object)
		return err
	}
	answer, err := do(ctx, call, func(ctx context.Context) error {
		_, err := ask(ctx)
		return err
	})
	switch {
	case err != nil:
		return processor.Result{}, err
	case answer.Decline != nil:
		return declined(call, answer), nil
	}
	result.RequestID = answer.RequestID
	return result, nil
}

// invalid is the error for a call that Stripe could not be asked.
func invalid(err error) *processor.Error {
	return &processor.Error{Class: payment.ClassInvalidRequest, Certainty: processor.NotExecuted, Message: processor.Clip(err.Error()), Err: err}
}

// checkID keeps what is no id of Stripe's from becoming a part of a path.
func checkID(id string) error {
	if !isID(id) {
		return fmt.Errorf("processor_payment_id %q: want Stripe's id of the payment, such as pi_3MtwBwLkdIwHu7ix28a3tqPa", processor.Clip(id))
	}
	return nil
}

// optional is nil for a parameter that is left out.
func optional(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

// metadata is the caller's with our own on top.
func metadata(theirs, ours map[string]string) map[string]string {
	all := make(map[string]string, len(theirs)+len(ours))
	maps.Copy(all, theirs)
	maps.Copy(all, ours)
	return all
}
