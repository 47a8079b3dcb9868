// Package processortest is the conformance suite for adapters: it tests what every [processor.Processor] has to do, whatever
// protocol it speaks. The adapter's test describes the protocol once and calls [Run]:
//
//	func TestAdapterConforms(t *testing.T) { processortest.Run(t, protocol()) }
//
// The scenarios know no path and no field of the protocol. A scripted server on a real socket writes its responses with the
// writers of the [Protocol], and reads requests with its readers. docs/adapters.md explains how to write one;
// examples/ownprocessor has one.
package processortest

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Protocol is an adapter together with the processor's side of its protocol: readers of requests and writers of responses. Both
// are called concurrently. A field that may be nil documents what nil means; the scenarios that need it are then skipped.
type Protocol struct {
	// New returns the adapter on a client that has Profile, see [processor.Adapter].
	New     func(processor.Client) processor.Processor
	Profile processor.Profile

	// PaymentStatuses and RefundStatuses are all statuses of the protocol, with their meaning. The names are those that the
	// writers use: if the protocol expresses a status by two fields, a name may stand for the pair.
	PaymentStatuses map[string]payment.Status
	RefundStatuses  map[string]payment.Status

	// Read returns what a request asks for. An error fails the scenario: the protocol has no such request.
	Read func(Request) (Asked, error)
	// Metadata returns the metadata in the request of a charge or a refund. Nil: the protocol has no metadata, so records have
	// no merchant.
	Metadata func(Request) map[string]string

	// Payment writes the response to a charge, a capture or a void; Refund writes the response to a refund.
	Payment func(Record) Answer
	Refund  func(Record) Answer
	// Found writes the response to a lookup that finds the records. Without records, it is the response that means "not found".
	Found func(Request, []Record) Answer
	// NotFound returns all other responses that mean "not found". Nil: there are no others.
	NotFound func(Request) []Answer
	// Page writes one page of a list. If there are more pages, next is the ID of the last record, which a protocol with
	// opaque cursors may use as the cursor; otherwise it is empty.
	Page func(records []Record, next string) Answer
	// ETags reports whether the adapter allows lists to be cached, see [processor.Call.Cached].
	ETags bool

	// Declines are the responses that decline a charge or a capture, RefundDeclines those that decline a refund, in addition
	// to records with a declined status. Nil: there are none.
	Declines       []Decline
	RefundDeclines []Decline

	// Error writes a response that is not a success. The code may be one that the protocol does not have.
	Error func(status int, code, message string) Answer
	// InFlight writes the response while another request with the same key is in flight. Nil: the protocol has none.
	InFlight func() Answer
	// Mismatch writes the response to a key that was used with another body. Nil: the protocol has none.
	Mismatch func() Answer
	// Conflict writes a response, other than a 409, that means "the payment is not in a state for this". Nil: the protocol
	// has none.
	Conflict func() Answer
}

// Operation is what a request asks for.
type Operation string

// The operations.
const (
	Charge       Operation = "charge"
	Capture      Operation = "capture"
	Void         Operation = "void"
	Refund       Operation = "refund"
	LookupCharge Operation = "lookup of a charge"
	LookupRefund Operation = "lookup of a refund"
	List         Operation = "list"
)

// Request is what the server received.
type Request struct {
	Method string
	// Path is below the base URL, escaped as it was sent.
	Path   string
	Query  url.Values
	Header http.Header
	Body   []byte
}

// Asked is what a request asks for, in Florin's terms. Fields that the request does not have are empty.
type Asked struct {
	Operation Operation
	// PaymentID is the processor's ID of the payment to capture, void, refund or look up.
	PaymentID string
	Amount    int64
	// Currency is in upper case, whatever the protocol uses.
	Currency string
	// Reference is the reference of the charge or refund, or the one to look up.
	Reference     string
	PaymentMethod string
	// Manual reports whether a charge only authorizes the amount, see [payment.CaptureManual].
	Manual       bool
	CreatedAfter time.Time
	Cursor       string
	Limit        int
}

// Record is a payment or a refund at the processor. A writer omits fields that are empty or 0.
type Record struct {
	ID string
	// PaymentID is the ID of the payment that a refund belongs to.
	PaymentID string
	// Status is one of the names in PaymentStatuses or RefundStatuses, or one that the protocol does not have.
	Status string
	// Amount, Captured and Refunded are in minor units of Currency, which is in upper case.
	Amount, Captured, Refunded int64
	Currency                   string
	Reference                  string
	// MerchantID is the florin_merchant_id of the metadata; empty if the protocol has no metadata.
	MerchantID string
}

// Answer is the server's response. Content-Type is application/json unless Header has another one; the server adds X-Request-Id.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte

	// deliver, if set, writes the response instead.
	deliver func(http.ResponseWriter, *http.Request)
}

// Decline is a response that declines an operation.
type Decline struct {
	// Says describes it in the name of the subtest.
	Says string
	// Answer writes it. The record is the one of a success.
	Answer func(Record) Answer
	// Want is the decline that the adapter must return.
	Want payment.Decline
}

// Run tests the adapter of a protocol. Each scenario is a subtest. A scenario that does not apply to the protocol is skipped with
// the reason.
func Run(t *testing.T, p Protocol) {
	t.Helper()
	require.NoError(t, p.check())
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) { s.in(test{t}, p) })
	}
}

// check returns an error if a required field is missing.
func (p Protocol) check() error {
	missing := map[string]bool{
		"New": p.New == nil, "Read": p.Read == nil, "Payment": p.Payment == nil, "Refund": p.Refund == nil, "Found": p.Found == nil,
		"Page": p.Page == nil, "Error": p.Error == nil,
	}
	for _, name := range sorted(missing) {
		if missing[name] {
			return fmt.Errorf("processortest: Protocol.%s is nil", name)
		}
	}
	if word(p.PaymentStatuses, payment.Succeeded) == "" || word(p.RefundStatuses, payment.Succeeded) == "" {
		return errors.New("processortest: PaymentStatuses and RefundStatuses each need a name for succeeded")
	}
	return nil
}

// word returns the first of the protocol's names for a status, or "" if it has none.
func word(statuses map[string]payment.Status, status payment.Status) string {
	for _, w := range sorted(statuses) {
		if statuses[w] == status {
			return w
		}
	}
	return ""
}
