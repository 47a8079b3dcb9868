package rest

import (
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// listQuery returns the parameters of a list request. The protocol does not say whether created_after includes the time itself,
// nor how exact a processor's times are. So the list begins a whole second earlier, which is right in any case.
func listQuery(call processor.ListCall) url.Values {
	query := url.Values{}
	if !call.CreatedAfter.IsZero() {
		query.Set("created_after", call.CreatedAfter.UTC().Truncate(time.Second).Add(-time.Second).Format(time.RFC3339))
	}
	if call.Cursor != "" {
		query.Set("cursor", call.Cursor)
	}
	if call.Limit > 0 {
		query.Set("limit", strconv.Itoa(call.Limit))
	}
	return query
}

// readPage reads one page of a list, whose records are read one by one: one that cannot be read must not hide the others. cursor
// is that of the page itself.
func readPage(body []byte, operation payment.Operation, cursor string) (processor.Page, error) {
	var list list[jsontext.Value]
	if err := list.decode(body); err != nil {
		return processor.Page{}, err
	}
	if list.NextCursor != "" && list.NextCursor == cursor {
		return processor.Page{}, errors.New("next_cursor is the cursor of the page itself")
	}
	page := processor.Page{Records: make([]processor.Record, len(list.Data)), Next: list.NextCursor}
	for i, item := range list.Data {
		if item.Kind() != '{' {
			return processor.Page{}, errors.New("the list has a record that is not an object")
		}
		page.Records[i] = readListed(item, operation)
	}
	return page, nil
}

// readListed reads a record of a list. What identifies it is read field by field, so that it is known if the rest is unreadable.
func readListed(item jsontext.Value, operation payment.Operation) processor.Record {
	var fields, metadata map[string]jsontext.Value
	_ = processor.DecodeJSON(item, &fields) // item is an object
	_ = processor.DecodeJSON(fields["metadata"], &metadata)
	created, _ := time.Parse(time.RFC3339, text(fields["created_at"])) // zero if it is missing
	listed := processor.Record{CreatedAt: created, OwnID: text(metadata[processor.MetadataPaymentID])}
	if operation == payment.OperationRefund {
		listed.OwnID, listed.ProcessorPaymentID = text(metadata[processor.MetadataRefundID]), text(fields["payment_id"])
	}
	var r record
	err := processor.DecodeJSON(item, &r)
	if err == nil {
		listed.Result, err = r.listed(operation)
	}
	if err != nil {
		listed.Result = processor.Result{ID: text(fields["id"]), Reference: text(fields["reference"])}
	}
	return listed.Listed(err)
}

// listed reads a payment or a refund that may not be Florin's. Its texts are not checked yet.
func (r record) listed(operation payment.Operation) (processor.Result, error) {
	if operation == payment.OperationRefund {
		return r.result(refundStatuses)
	}
	return r.payment()
}

// text returns a value that is a string, and "" for any other.
func text(value jsontext.Value) (s string) {
	_ = processor.DecodeJSON(value, &s)
	return s
}
