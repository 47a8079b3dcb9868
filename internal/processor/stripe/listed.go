package stripe

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stripe/stripe-go/v85"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// listed is a payment or a refund of a list. What identifies it is read field by field, so that it is known if the rest is
// unreadable.
type listed struct {
	ID       string
	value    jsontext.Value
	fields   map[string]jsontext.Value
	metadata map[string]jsontext.Value
}

func (o *listed) id() string { return o.ID }

// UnmarshalJSON implements [encoding/json.Unmarshaler]. It returns an error only for a value that is not an object.
func (o *listed) UnmarshalJSON(value []byte) error {
	*o = listed{value: jsontext.Value(value).Clone()}
	if err := processor.DecodeJSON(o.value, &o.fields); err != nil {
		return err
	}
	_ = processor.DecodeJSON(o.fields["metadata"], &o.metadata)
	o.ID = text(o.fields["id"])
	return nil
}

// text returns a value that is a string, and "" for any other.
func text(value jsontext.Value) (s string) {
	_ = processor.DecodeJSON(value, &s)
	return s
}

// maxCreated is the last second of the year 9999.
const maxCreated = 253402300799

// record reads the object.
func (o *listed) record(operation payment.Operation) processor.Record {
	r := processor.Record{OwnID: text(o.metadata[processor.MetadataPaymentID])}
	if operation == payment.OperationRefund {
		r.OwnID, r.ProcessorPaymentID = text(o.metadata[processor.MetadataRefundID]), text(o.fields["payment_intent"])
	}
	var created int64
	if processor.DecodeJSON(o.fields["created"], &created) == nil && created > 0 && created <= maxCreated {
		r.CreatedAt = time.Unix(created, 0)
	}
	var err error
	if r.Result, err = o.result(operation); err != nil {
		r.Result = processor.Result{Reference: text(o.metadata[metadataReference])}
		if isID(o.ID) {
			r.ID = o.ID
		}
	}
	return r.Listed(err)
}

// result reads a payment or a refund that may not be Florin's. Its texts are not checked yet.
func (o *listed) result(operation payment.Operation) (processor.Result, error) {
	if operation == payment.OperationRefund {
		var object refund
		if err := processor.DecodeJSON(o.value, &object); err != nil {
			return processor.Result{}, err
		}
		return object.result()
	}
	var object paymentIntent
	if err := processor.DecodeJSON(o.value, &object); err != nil {
		return processor.Result{}, err
	}
	return object.result()
}

// listParams are the parameters that the lists of payments and of refunds have in common. Stripe's times are in whole seconds, so
// that the list begins with the second of CreatedAfter.
func listParams(call processor.ListCall) (created *stripe.RangeQueryParams, after *string, limit *int64) {
	if !call.CreatedAfter.IsZero() {
		created = &stripe.RangeQueryParams{GreaterThanOrEqual: call.CreatedAfter.Unix()}
	}
	if call.Limit > 0 {
		limit = stripe.Int64(int64(min(call.Limit, maxPageSize)))
	}
	return created, optional(call.Cursor), limit
}

// readListed reads one page of a list.
func readListed(body []byte, call processor.ListCall) (processor.Page, error) {
	list, err := readPage[*listed](body)
	if err != nil {
		return processor.Page{}, err
	}
	page := processor.Page{Records: make([]processor.Record, len(list.Data)), Next: list.next()}
	if page.Next != "" && page.Next == call.Cursor {
		return processor.Page{}, errors.New("the page ends with the record after which it should begin")
	}
	for i, object := range list.Data {
		page.Records[i] = object.record(call.Operation)
	}
	return page, nil
}
