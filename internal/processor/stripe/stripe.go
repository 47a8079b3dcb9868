// Package stripe is the adapter for Stripe's PaymentIntents and Refunds. It uses stripe-go, with Florin's HTTP client as its
// transport (transport.go). answer.go reads responses, codes.go classifies Stripe's error and decline codes, and currency.go
// converts amounts.
package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v85"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// BaseURL is the URL of Stripe's API.
const BaseURL = stripe.APIURL

// Adapter returns the adapter under the name "stripe".
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

// Profile returns Stripe's profile, with these sources:
//   - Keys have at most 255 characters and may be removed once they are 24 hours old. A repeated key returns the first
//     response, even if it was a 500: https://docs.stripe.com/api/idempotent_requests
//   - The header Stripe-Should-Retry says whether to retry: https://docs.stripe.com/error-low-level
//   - A 429 with the code lock_timeout is about one object, not about the rate of requests:
//     https://docs.stripe.com/rate-limits
//   - A search may miss a payment for a minute after its creation, and for an hour during an outage:
//     https://docs.stripe.com/search. So "not found" never proves anything: AbsenceProofAfter is zero.
//   - The list of a payment's refunds is not a search: it has "all refunds you created", see https://docs.stripe.com/api/refunds/list
func Profile() processor.Profile {
	return processor.Profile{
		KeyLifetime:  24 * time.Hour,
		KeyMaxLength: 255,
		RetryHeader:  "Stripe-Should-Retry",
		Refusal:      readRefusal,
		InFlight:     isInFlight,
		Mismatch:     isMismatch,
		Conflict:     isConflict,
		ObjectLevel:  func(_ int, code string) bool { return code == lockTimeout },
		SeenBefore:   func(code string) bool { return code == string(stripe.DeclineCodeDuplicateTransaction) },

		RefundListsComplete: true,
		Limits:              limits,
		Audited:             audited(),
	}
}

// limits are from https://docs.stripe.com/metadata and https://docs.stripe.com/api/payment_intents/create. Stripe would read a key
// with a bracket as a nested parameter.
var limits = processor.Limits{
	MetadataPairs:       maxMetadata - ownMetadata,
	MetadataKeyLength:   40,
	MetadataValueLength: 500,
	MetadataKeyAllows:   func(r rune) bool { return r != '[' && r != ']' },
	DescriptionLength:   1000,
	Amount: func(m payment.Money) error {
		_, err := toStripe(m.Amount, m.Currency)
		return err
	},
}

// Numbers of pairs. Florin adds three: the payment or refund, the merchant and the reference.
const (
	maxMetadata = 50
	ownMetadata = 3
)

// Processor implements [processor.Processor] for Stripe.
type Processor struct{ api *stripe.Client }

var _ processor.Processor = (*Processor)(nil)

// New returns an adapter that sends its requests through client, which must have been built with [Profile].
func New(client processor.Client) *Processor { return &Processor{api: newAPI(client)} }

// Charge implements [processor.Processor]. One request creates and confirms the payment. It is on-session: a payment that
// needs 3-D Secure becomes requires_action, for the merchant's page to handle, instead of being declined. Payment methods that
// redirect the customer are excluded, because Florin has no page to return to.
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
		Metadata:    withReference(call.AllMetadata(), call.Key),
	}
	return doOne(ctx, processor.Call{
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: string(payment.OperationCharge),
		PaymentID: call.PaymentID,
	}, readPayment, func(ctx context.Context) error {
		_, err := p.api.V1PaymentIntents.Create(ctx, params)
		return err
	})
}

// Capture implements [processor.Processor].
func (p *Processor) Capture(ctx context.Context, call processor.CaptureCall) (processor.Result, error) {
	amount, err := toStripe(call.Amount, call.Currency)
	if err = errors.Join(err, checkID(call.ProcessorPaymentID)); err != nil {
		return processor.Result{}, invalid(err)
	}
	return doOne(ctx, processor.Call{
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: string(payment.OperationCapture),
		PaymentID: call.PaymentID,
	}, readPayment, func(ctx context.Context) error {
		_, err := p.api.V1PaymentIntents.Capture(ctx, call.ProcessorPaymentID,
			&stripe.PaymentIntentCaptureParams{AmountToCapture: stripe.Int64(amount)})
		return err
	})
}

// Void implements [processor.Processor]. It cancels the payment, also one whose last attempt failed. To a payment that has succeeded,
// or is canceled already, Stripe responds with payment_intent_unexpected_state, which is a state conflict:
// https://docs.stripe.com/api/payment_intents/cancel.
func (p *Processor) Void(ctx context.Context, call processor.VoidCall) (processor.Result, error) {
	if err := checkID(call.ProcessorPaymentID); err != nil {
		return processor.Result{}, invalid(err)
	}
	return doOne(ctx, processor.Call{
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: string(payment.OperationVoid), PaymentID: call.PaymentID,
	}, readVoided, func(ctx context.Context) error {
		_, err := p.api.V1PaymentIntents.Cancel(ctx, call.ProcessorPaymentID, nil)
		return err
	})
}

// Refund implements [processor.Processor].
func (p *Processor) Refund(ctx context.Context, call processor.RefundCall) (processor.Result, error) {
	amount, err := toStripe(call.Amount, call.Currency)
	if err = errors.Join(err, checkID(call.ProcessorPaymentID)); err != nil {
		return processor.Result{}, invalid(err)
	}
	params := &stripe.RefundCreateParams{
		PaymentIntent: stripe.String(call.ProcessorPaymentID),
		Amount:        stripe.Int64(amount),
		Metadata:      withReference(call.AllMetadata(), call.Key),
	}
	return doOne(ctx, processor.Call{
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: string(payment.OperationRefund), PaymentID: call.RefundID,
	}, readRefund, func(ctx context.Context) error {
		_, err := p.api.V1Refunds.Create(ctx, params)
		return err
	})
}

// Lookup implements [processor.Processor].
func (p *Processor) Lookup(ctx context.Context, call processor.LookupCall) (result processor.Result, found bool, err error) {
	switch {
	case call.ID != "":
		return p.lookupByID(ctx, call)
	case call.Operation == payment.OperationRefund:
		return p.lookupRefund(ctx, call)
	default:
		return p.lookupPayment(ctx, call)
	}
}

// lookupByID retrieves the payment or refund with the id that an operator has named. It may not be Florin's.
func (p *Processor) lookupByID(ctx context.Context, call processor.LookupCall) (result processor.Result, found bool, err error) {
	if err := checkID(call.ID); err != nil {
		return processor.Result{}, false, invalid(err)
	}
	described := processor.Call{Operation: operationLookup, Reference: call.Reference}
	if call.Operation == payment.OperationRefund {
		result, err = doOne(ctx, described, readAnyRefund, func(ctx context.Context) error {
			_, err := p.api.V1Refunds.Retrieve(ctx, call.ID, &stripe.RefundRetrieveParams{})
			return err
		})
	} else {
		params := &stripe.PaymentIntentRetrieveParams{}
		params.AddExpand("latest_charge")
		result, err = doOne(ctx, described, readAnyPayment, func(ctx context.Context) error {
			_, err := p.api.V1PaymentIntents.Retrieve(ctx, call.ID, params)
			return err
		})
	}
	var refused *processor.Error
	switch {
	case err == nil && result.ID != call.ID:
		return processor.Result{}, false, errors.New("the response is about another id than requested")
	case err == nil:
		return result, true, nil
	case errors.As(err, &refused) && refused.HTTPStatus == http.StatusNotFound && refused.Code == string(stripe.ErrorCodeResourceMissing):
		return processor.Result{}, false, nil
	default:
		return processor.Result{}, false, err
	}
}

// lookupPayment retrieves the payment by its id. If the id is not known, it is found by the reference first; the payment is
// retrieved even then, because the status in a search result may be as old as the search index. A payment with a known id exists,
// so a 404 for it is an error.
func (p *Processor) lookupPayment(ctx context.Context,
	call processor.LookupCall) (result processor.Result, found bool, err error) {
	id := call.ProcessorPaymentID
	if id == "" {
		if id, err = p.find(ctx, call); err != nil || id == "" {
			return processor.Result{}, false, err
		}
	}
	if err := checkID(id); err != nil {
		return processor.Result{}, false, invalid(err)
	}
	params := &stripe.PaymentIntentRetrieveParams{}
	params.AddExpand("latest_charge")
	result, err = doOne(ctx, processor.Call{Operation: operationLookup, Reference: call.Reference},
		func(intent *paymentIntent) (processor.Result, error) {
			result, err := readPayment(intent)
			if err == nil && result.Reference != call.Reference {
				err = errors.New("the payment does not have the requested reference")
			}
			return result, err
		}, func(ctx context.Context) error {
			_, err := p.api.V1PaymentIntents.Retrieve(ctx, id, params)
			return err
		})
	return result, err == nil, err
}

// Operation names of lookups and lists in the audit log and in metrics.
const (
	operationLookup = "lookup"
	operationList   = "list"
)

// find returns the id of the payment with the reference, or "" if there is none. If the search does not find it, or is not
// available to the account, as in India (https://docs.stripe.com/api/payment_intents/search), find looks through the payments that
// were created around the time of the call.
func (p *Processor) find(ctx context.Context, call processor.LookupCall) (id string, err error) {
	id, unavailable := p.search(ctx, call.Reference)
	if call.NotBefore.IsZero() || id != "" || unavailable != nil && !isUnavailable(unavailable) {
		return id, unavailable
	}
	id, complete, err := p.scan(ctx, call)
	if err == nil && id == "" && !complete {
		err = unavailable // only a search can find the payment
	}
	return id, err
}

// isUnavailable reports whether Stripe refuses the search as such. Other errors, such as an outage, may pass.
func isUnavailable(err error) bool {
	var refused *processor.Error
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.HTTPStatus {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound:
		return true
	default:
		return false
	}
}

// Limits of a scan. The payment is created by the first request that reaches Stripe, normally the first of all: later ones are
// needed only if Stripe is not reachable. clockSkew allows for a clock that differs from Stripe's.
const (
	scanWindow   = time.Hour
	clockSkew    = 5 * time.Minute
	maxScanPages = 20
)

// scan looks for the reference in the list of payments that were created between NotBefore and scanWindow later. complete is false
// if the payment may be missing: it may have been created later, or there are more payments than scan reads.
func (p *Processor) scan(ctx context.Context, call processor.LookupCall) (id string, complete bool, err error) {
	end := call.NotBefore.Add(scanWindow)
	params := &stripe.PaymentIntentListParams{CreatedRange: &stripe.RangeQueryParams{
		GreaterThanOrEqual: call.NotBefore.Add(-clockSkew).Unix(), LesserThanOrEqual: end.Unix()}}
	params.Single, params.Limit = true, stripe.Int64(maxPageSize)
	for range maxScanPages {
		var list page[*paymentIntent]
		var matching string
		_, err = do(ctx, processor.Call{Operation: operationLookup, Reference: call.Reference,
			Decode: func(body []byte) (err error) {
				if list, err = readPage[*paymentIntent](body); err == nil {
					matching, err = onlyPayment(list.Data, call.Reference, id)
				}
				return err
			}}, func(ctx context.Context) error { return p.api.V1PaymentIntents.List(ctx, params).Err() })
		if err != nil {
			return "", false, err
		}
		if id = matching; !list.HasMore {
			return id, time.Now().Before(end), nil
		}
		params.StartingAfter = stripe.String(list.next())
	}
	return id, false, nil
}

// search returns the id of the payment with the reference, or "" if there is none. Several matching payments are a double
// charge. Results without a match show that Stripe searched for something else. Both need a decision of an operator, so search
// returns an error, and the response counts as malformed.
func (p *Processor) search(ctx context.Context, reference string) (id string, err error) {
	params := &stripe.PaymentIntentSearchParams{}
	params.Single = true
	params.Query = fmt.Sprintf("metadata['%s']:'%s'", metadataReference,
		strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(reference))
	_, err = do(ctx, processor.Call{Operation: operationLookup, Reference: reference, Decode: func(body []byte) error {
		list, err := readPage[*paymentIntent](body)
		if err != nil || len(list.Data) == 0 {
			return err
		}
		matching := slices.DeleteFunc(list.Data, func(intent *paymentIntent) bool {
			return intent.Metadata[metadataReference] != reference
		})
		if len(matching) != 1 || list.HasMore {
			return fmt.Errorf("%d payments have the requested reference: want 1", len(matching))
		}
		if !isID(matching[0].ID) {
			return errIncomplete // an empty id would mean "not found"
		}
		id = matching[0].ID
		return nil
	}}, func(ctx context.Context) error { return p.api.V1PaymentIntents.Search(ctx, params).Err() })
	return id, err
}

// Limits of lists. maxPageSize is from https://docs.stripe.com/api/pagination; maxPages limits how many refunds of one payment
// are read.
const (
	maxPageSize = 100
	maxPages    = 100
)

// lookupRefund reads all refunds of the payment, because Stripe has no search for refunds.
func (p *Processor) lookupRefund(ctx context.Context,
	call processor.LookupCall) (result processor.Result, found bool, err error) {
	if err := checkID(call.ProcessorPaymentID); err != nil {
		return processor.Result{}, false, invalid(fmt.Errorf("a refund can only be looked up by its payment: %w", err))
	}
	params := &stripe.RefundListParams{PaymentIntent: stripe.String(call.ProcessorPaymentID)}
	params.Single, params.Limit = true, stripe.Int64(maxPageSize)
	var answer processor.Answer
	for range maxPages {
		var list page[*refund]
		var matching processor.Result
		answer, err = do(ctx, processor.Call{Operation: operationLookup, Reference: call.Reference,
			Decode: func(body []byte) (err error) {
				if list, err = readPage[*refund](body); err == nil {
					matching, err = onlyRefund(list.Data, call.Reference, found)
				}
				return err
			}}, func(ctx context.Context) error { return p.api.V1Refunds.List(ctx, params).Err() })
		if err != nil {
			return processor.Result{}, false, err
		}
		if matching.ID != "" {
			result, found = matching, true
			result.RequestID = answer.RequestID
		}
		if !list.HasMore {
			return result, found, nil
		}
		params.StartingAfter = stripe.String(list.next())
	}
	return processor.Result{}, false, processor.Malformed(answer,
		fmt.Sprintf("the payment has more than %d refunds", maxPages*maxPageSize))
}

// List implements [processor.Processor], newest first. The page includes payments and refunds that Florin did not make: they have
// no reference.
func (p *Processor) List(ctx context.Context, call processor.ListCall) (page processor.Page, err error) {
	created, after, limit := listParams(call)
	send := func(ctx context.Context) error {
		params := &stripe.PaymentIntentListParams{CreatedRange: created}
		params.Single, params.StartingAfter, params.Limit = true, after, limit
		params.AddExpand("data.latest_charge")
		return p.api.V1PaymentIntents.List(ctx, params).Err()
	}
	if call.Operation == payment.OperationRefund {
		send = func(ctx context.Context) error {
			params := &stripe.RefundListParams{CreatedRange: created}
			params.Single, params.StartingAfter, params.Limit = true, after, limit
			return p.api.V1Refunds.List(ctx, params).Err()
		}
	}
	_, err = do(ctx, processor.Call{Operation: operationList, Cached: true, Decode: func(body []byte) (err error) {
		page, err = readListed(body, call)
		return err
	}}, send)
	if err != nil {
		return processor.Page{}, err
	}
	return page, nil
}

// doOne sends a request whose response is one payment or refund, and reads it. The response is read in Decode, before the
// client classifies the call, so that retries and the audit log treat a malformed response as ambiguous. The value that
// stripe-go decodes is not used.
func doOne[T any](ctx context.Context, call processor.Call, read func(*T) (processor.Result, error),
	send func(context.Context) error) (processor.Result, error) {
	var result processor.Result
	call.Decode = func(body []byte) (err error) {
		object := new(T)
		if err := processor.DecodeJSON(body, object); err != nil {
			return err
		}
		result, err = read(object)
		return err
	}
	answer, err := do(ctx, call, send)
	switch {
	case err != nil:
		return processor.Result{}, err
	case answer.Decline != nil:
		return declined(call, answer), nil
	}
	result.RequestID = answer.RequestID
	return result, nil
}

// invalid returns the error for a call from which no request can be built.
func invalid(err error) *processor.Error {
	return &processor.Error{Class: payment.ClassInvalidRequest, Certainty: processor.NotExecuted,
		Message: processor.Clip(err.Error()), Err: err}
}

// checkID returns an error for an id that is not in Stripe's format, so that it cannot change the path of a request.
func checkID(id string) error {
	if !isID(id) {
		return fmt.Errorf("processor_payment_id %q: want Stripe's id of the payment, such as pi_3MtwBwLkdIwHu7ix28a3tqPa",
			processor.Clip(id))
	}
	return nil
}

// optional returns nil for an empty value, which omits the parameter.
func optional(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

// withReference adds the key of the call, by which a search finds the object.
func withReference(metadata map[string]string, key string) map[string]string {
	metadata[metadataReference] = key
	return metadata
}
