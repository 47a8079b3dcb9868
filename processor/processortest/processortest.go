// Package processortest proves an adapter: what every processor.Processor has to do, whatever protocol it speaks. The
// adapter's own test describes the protocol once and calls Run; docs/adapters.md shows one.
//
// The scenarios know no JSON, no form and no path. A scripted server on a real socket writes its answers with the
// protocol's writers, and understands requests with its readers.
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

// Protocol is an adapter, and how a processor that speaks its protocol reads and writes. Readers and writers are called
// concurrently. A function that may be nil says what nil means; the scenarios that need it are then skipped by name.
type Protocol struct {
	// New makes the adapter on a client that has Profile.
	New     func(processor.Client) processor.Processor
	Profile processor.Profile

	// PaymentStatuses and RefundStatuses are all words that the protocol has for a status, and what each of them means.
	// A word is the writers' own: where a status is told by two fields, it may be a name for the pair.
	PaymentStatuses map[string]payment.Status
	RefundStatuses  map[string]payment.Status

	// Read tells what a request asks for. Its error fails the scenario: there is no such request in the protocol.
	Read func(Request) (Asked, error)
	// Metadata are the pairs that a charge or a refund asks to be kept with it. Nil: the protocol has none, and so it
	// cannot tell whose a payment is.
	Metadata func(Request) map[string]string

	// Payment answers a charge, a capture and a void; Refund answers a refund.
	Payment func(Record) Answer
	Refund  func(Record) Answer
	// Found answers what a lookup asks for. No records is the protocol's own word that there are none.
	Found func(Request, []Record) Answer
	// NotFound are other words for that. Nil: there are no others.
	NotFound func(Request) []Answer
	// Page is a page of a list. next is the id of its last record where more follow, and empty where none do; a protocol
	// with cursors of its own takes it for one.
	Page func(records []Record, next string) Answer
	// ETags: the adapter lets a list that has not changed be answered with 304. False: it reads every page anew.
	ETags bool

	// Declines are ways to refuse a charge or a capture, RefundDeclines a refund, beside the records that are declined.
	// Nil: there are none.
	Declines       []Decline
	RefundDeclines []Decline

	// Error is an answer that is no success. The code may be one that nobody knows.
	Error func(status int, code, message string) Answer
	// InFlight says that a request with the same key is still being worked on. Nil: the protocol never does.
	InFlight func() Answer
	// Mismatch says that the key was used with another payload. Nil: the protocol never does.
	Mismatch func() Answer
	// Conflict says, in another way than by a 409, that the payment is not in a state for the call. Nil: there is no other.
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

// Asked is what a request asks for, in Florin's terms. What it does not say is empty.
type Asked struct {
	Operation Operation
	// PaymentID is the processor's, of the payment that is captured, voided, refunded or looked up.
	PaymentID string
	Amount    int64
	// Currency is in upper case, however the protocol has it.
	Currency string
	// Reference is that of the charge or refund, or the one that is looked up.
	Reference     string
	PaymentMethod string
	// Manual holds for a charge that only holds the money.
	Manual       bool
	CreatedAfter time.Time
	Cursor       string
	Limit        int
}

// Record is a payment or a refund at the processor. A writer leaves a field out that is empty or 0.
type Record struct {
	ID string
	// PaymentID is the payment that a refund is of.
	PaymentID string
	// Status is one of the protocol's words, or one that it does not have.
	Status string
	// Amount, Captured and Refunded are in minor units of Currency, which is in upper case.
	Amount, Captured, Refunded int64
	Currency                   string
	Reference                  string
	// MerchantID is of the metadata; empty where the protocol has none.
	MerchantID string
}

// Answer is what the server sends. Content-Type is application/json unless the header says otherwise; the server adds
// X-Request-Id.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte

	// deliver takes the place of all that.
	deliver func(http.ResponseWriter, *http.Request)
}

// Decline is a way to refuse a payment.
type Decline struct {
	// Says names it in the scenario.
	Says string
	// Answer writes it. The record is the one that would be answered otherwise.
	Answer func(Record) Answer
	// Want is what the adapter has to make of it.
	Want payment.Decline
}

// Run proves the adapter of a protocol. Each scenario is a subtest; one that the protocol has no use for is skipped and
// says why.
func Run(t *testing.T, p Protocol) {
	t.Helper()
	require.NoError(t, p.check())
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) { s.in(test{t}, p) })
	}
}

// check names what a protocol cannot do without.
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
		return errors.New("processortest: the protocol has no word for a success")
	}
	return nil
}

// word is the first of the protocol's words for a status; empty if it has none.
func word(statuses map[string]payment.Status, status payment.Status) string {
	for _, w := range sorted(statuses) {
		if statuses[w] == status {
			return w
		}
	}
	return ""
}
