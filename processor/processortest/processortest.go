// Package processortest is a conformance suite for adapters: it tests what every [processor.Processor] must do, whatever
// protocol it speaks. The adapter's own test describes the protocol in a [Protocol] and calls [Run]:
//
//	func TestAcmeConforms(t *testing.T) { processortest.Run(t, acmeProtocol()) }
//
// docs/adapters.md shows a complete example.
//
// The scenarios know no path and no field of a protocol. A scripted server on a real socket parses the adapter's
// requests with the protocol's Parse functions and writes its responses with the protocol's Write functions.
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

// Protocol describes an adapter and the server side of its protocol: how a processor parses requests and writes responses.
// The functions are called concurrently. A field that may be nil documents what nil means; scenarios that need it are then
// skipped, with the reason.
type Protocol struct {
	// New returns the adapter under test. Its client is built with Profile.
	New     func(processor.Client) processor.Processor
	Profile processor.Profile

	// PaymentStatuses and RefundStatuses are all statuses of the protocol and what each means in Florin. The keys are the
	// values of [Record.Status] that the Write functions accept. If the protocol expresses a status by two fields, the key
	// may be any name for the combination.
	PaymentStatuses map[string]payment.Status
	RefundStatuses  map[string]payment.Status

	// ParseRequest parses a request of the adapter. It returns an error for a request that the protocol does not define,
	// which fails the scenario.
	ParseRequest func(Request) (ParsedRequest, error)
	// ParseMetadata returns the metadata that a charge or a refund asks the processor to store. Nil: the protocol has no
	// metadata, so its payments cannot be related to a merchant.
	ParseMetadata func(Request) map[string]string

	// WritePayment writes the response to a charge, a capture or a void.
	WritePayment func(Record) Response
	// WriteRefund writes the response to a refund.
	WriteRefund func(Record) Response
	// WriteLookup writes the response to one request of a lookup. Without records it writes the protocol's regular "not
	// found" response.
	WriteLookup func(Request, []Record) Response
	// WriteNotFound writes all other "not found" responses of the protocol. Nil: there are none.
	WriteNotFound func(Request) []Response
	// WritePage writes one page of a list of payments or of refunds: refunds have a PaymentID. next is the ID of the page's last
	// record if more pages follow, otherwise empty. A protocol with its own cursors uses it as the cursor.
	WritePage func(records []Record, next string) Response
	// ListsHaveNoTimes is true if the records of the protocol do not say when they were created.
	ListsHaveNoTimes bool
	// ETags is true if the adapter revalidates lists with ETags, so that an unchanged page may be answered with 304.
	ETags bool

	// Declines are the ways to decline a charge or a capture with a response that is not a success. Records whose status
	// means [payment.Declined] are tested in addition. Nil: there are none.
	Declines []Decline
	// OpenDeclines are the keys of PaymentStatuses that mean a declined payment which the customer could still pay, see
	// [processor.Result.CanStillSucceed]. A processor without them sets DeclinesAreFinal instead: each adapter has to answer the question.
	OpenDeclines     []string
	DeclinesAreFinal bool
	// RefundDeclines are the ways to decline a refund. Nil: there are none.
	RefundDeclines []Decline

	// WriteError writes a response that is not a success. The code may be unknown to the adapter.
	WriteError func(status int, code, message string) Response
	// WriteInFlight writes "a request with this key is still in progress". Nil: the protocol has no such response.
	WriteInFlight func() Response
	// WriteMismatch writes "this key was used with another payload". Nil: the protocol has no such response.
	WriteMismatch func() Response
	// WriteConflict writes "the payment is not in a state for this operation" with a status other than 409. Nil: the
	// protocol always uses 409.
	WriteConflict func() Response
	// WriteObjectLevel writes a 429 or 5xx response about one object, such as a lock on a payment, which says nothing about
	// the processor. Nil: the protocol has no such response.
	WriteObjectLevel func() Response

	// ParseBatch returns the charges of a request that ParseRequest returns as a [Batch], in its order: each as the request that
	// it would be on its own, with its idempotency key in the header Idempotency-Key. Nil: Profile.MaxBatch is 0.
	ParseBatch func(Request) ([]Request, error)
	// WriteBatch writes the response to such a request, with exactly these items in this order: it may lack a charge, or contain one
	// twice. Nil: Profile.MaxBatch is 0.
	WriteBatch func([]BatchItem) Response
}

// Operation is the kind of a request.
type Operation string

// The operations, lookups and lists that the adapter sends.
const (
	Charge       Operation = "charge"
	Capture      Operation = "capture"
	Void         Operation = "void"
	Refund       Operation = "refund"
	LookupCharge Operation = "lookup of a charge"
	LookupRefund Operation = "lookup of a refund"
	List         Operation = "list"
	ListRefunds  Operation = "list of refunds"
	// Batch is a request with several charges, see [processor.Batcher]. Its other fields in [ParsedRequest] are zero.
	Batch Operation = "batch"
)

// Request is an HTTP request that the server received.
type Request struct {
	Method string
	// Path is relative to the base URL and escaped as it was sent.
	Path   string
	Query  url.Values
	Header http.Header
	Body   []byte
}

// ParsedRequest is the content of a request in Florin's terms. A field that the request does not contain is zero.
type ParsedRequest struct {
	Operation Operation
	// PaymentID is the processor's id of the payment that is captured, voided, refunded or looked up.
	PaymentID string
	// Amount is in minor units of Currency (ISO 4217, upper case), however the protocol writes them.
	Amount   int64
	Currency string
	// Reference is the reference of the charge or the refund that is made or looked up.
	Reference     string
	PaymentMethod string
	// ManualCapture is true for a charge that only authorizes the amount.
	ManualCapture bool
	// CreatedAfter, Cursor and Limit are the parameters of a list, of payments or of refunds. CreatedAfter is a time as the
	// request has it, whether or not the protocol includes what was created at that very time.
	CreatedAfter time.Time
	Cursor       string
	Limit        int
}

// Record is a payment or a refund at the processor. The Write functions omit every field that is zero.
type Record struct {
	ID string
	// PaymentID is the ID of the refunded payment; empty if the record is a payment.
	PaymentID string
	// Status is a key of [Protocol.PaymentStatuses] or [Protocol.RefundStatuses], or a status that the protocol does not have.
	Status string
	// Amount, Captured and Refunded are in minor units of Currency (ISO 4217, upper case).
	Amount, Captured, Refunded int64
	Currency                   string
	Reference                  string
	// MerchantID and OwnID, which is Florin's id of the payment or refund, are stored in the metadata; empty if the protocol has
	// none.
	MerchantID, OwnID string
	// CreatedAt is when the processor created the record. It has no fraction of a second.
	CreatedAt time.Time
}

// Response is an HTTP response of the server. Its Content-Type is application/json unless Header sets another. The server
// adds the header X-Request-Id.
type Response struct {
	Status int
	Header http.Header
	Body   []byte

	// handler, if set, replaces the other fields.
	handler http.HandlerFunc
}

// BatchItem is the response to one charge of a batch.
type BatchItem struct {
	// Key is the idempotency key of the charge.
	Key string
	// Response is the response to the charge as if it had been sent on its own: that of WritePayment or of another function that
	// writes the response to a charge. It may have the header Retry-After in addition.
	Response Response
}

// Decline is a way to decline an operation.
type Decline struct {
	// Name names the subtest.
	Name string
	// Write writes the response. The record is the one that a success would contain.
	Write func(Record) Response
	// Want is the decline that the adapter must return.
	Want payment.Decline
}

// Run tests the adapter of a protocol. Each scenario is a subtest, named by the rule: what must hold. The first line of a failure is
// the rule and the section of Florin's documentation that it comes from. A scenario that does not apply to the protocol is skipped
// with the reason.
func Run(t *testing.T, p Protocol) {
	t.Helper()
	require.NoError(t, p.check())
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) { s.in(testingT{t}, p) })
	}
}

// check returns an error that names the first required field that is missing.
func (p Protocol) check() error {
	missing := map[string]bool{
		"New": p.New == nil, "ParseRequest": p.ParseRequest == nil, "WritePayment": p.WritePayment == nil,
		"WriteRefund": p.WriteRefund == nil,
		"WriteLookup": p.WriteLookup == nil, "WritePage": p.WritePage == nil, "WriteError": p.WriteError == nil,
	}
	for _, name := range sorted(missing) {
		if missing[name] {
			return fmt.Errorf("processortest: Protocol.%s is required", name)
		}
	}
	if statusName(p.PaymentStatuses, payment.Succeeded) == "" || statusName(p.RefundStatuses, payment.Succeeded) == "" {
		return errors.New("processortest: PaymentStatuses and RefundStatuses need a status that means succeeded")
	}
	if p.DeclinesAreFinal != (len(p.OpenDeclines) == 0) {
		return errors.New("processortest: Protocol needs either OpenDeclines or DeclinesAreFinal: can a declined payment still be paid?")
	}
	for _, name := range p.OpenDeclines {
		if p.PaymentStatuses[name] != payment.Declined {
			return fmt.Errorf("processortest: OpenDeclines: %q is not declined in PaymentStatuses", name)
		}
	}
	if len(p.OpenDeclines) > 0 && statusName(p.PaymentStatuses, payment.Voided) == "" {
		return errors.New("processortest: OpenDeclines need a status in PaymentStatuses that means voided")
	}
	return p.checkBatches()
}

// checkBatches returns an error if the adapter, its profile and the protocol disagree about whether there are batches: the
// scenarios about them would be skipped, or could not pass.
func (p Protocol) checkBatches() error {
	// New is not called with nil: it may keep client.(processor.BatchClient).
	_, isBatcher := p.New(struct{ processor.BatchClient }{}).(processor.Batcher)
	switch {
	case p.Profile.MaxBatch == 0 && isBatcher:
		return errors.New("processortest: the adapter is a processor.Batcher: Profile.MaxBatch must be above 0")
	case p.Profile.MaxBatch == 0:
		return nil
	case p.Profile.MaxBatch < 2:
		return fmt.Errorf("processortest: Profile.MaxBatch %d: want 0, or at least 2", p.Profile.MaxBatch)
	case !isBatcher:
		return errors.New("processortest: Profile.MaxBatch is for an adapter that is a processor.Batcher")
	case p.ParseBatch == nil || p.WriteBatch == nil:
		return errors.New("processortest: Protocol.ParseBatch and Protocol.WriteBatch are required with Profile.MaxBatch")
	}
	return nil
}

// statusName returns the protocol's first name for a status, in alphabetical order, or "" if it has none.
func statusName(statuses map[string]payment.Status, status payment.Status) string {
	for _, name := range sorted(statuses) {
		if statuses[name] == status {
			return name
		}
	}
	return ""
}
