package processor

import (
	"errors"
	"regexp"

	"github.com/florinpay/florin/payment"
)

// Event is a processor's notification that a payment or a refund has changed. It names the payment or refund. What has changed is not
// taken from it: the workflow looks that up at the processor.
type Event struct {
	// ID and Type are the processor's. Neither is empty.
	ID   string
	Type string
	// MerchantID and either PaymentID or RefundID are Florin's, from the metadata of the payment or refund. All three are
	// empty if the event is about nothing that Florin made.
	MerchantID string
	PaymentID  string
	RefundID   string
	// Dispute is true for an event about a dispute: the customer's bank takes the money of a payment back, or may do so. A dispute
	// has no metadata of Florin's, so the payment is known by ProcessorPaymentID only. It is empty if the event does not contain
	// it, and for other events.
	Dispute            bool
	ProcessorPaymentID string
	// DisputeID is the processor's id of the dispute; empty if the event does not contain it, and for other events.
	DisputeID string
	// Record is the payment or refund with a final status, as the event contains it: its ID, status and amounts. It spares the lookup if
	// Florin has the same already, and changes nothing otherwise. Nil if the event does not contain all of it, or is of a type that may
	// be about something else than the record's status.
	Record *Result
}

// The forms of Florin's IDs, which payment.PaymentID and payment.RefundID create, and of the processor's texts.
var (
	merchantIDs = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	paymentIDs  = regexp.MustCompile(`^pay_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	refundIDs   = regexp.MustCompile(`^ref_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	eventTexts  = regexp.MustCompile(`^[!-~]{1,255}$`)
)

// ErrNoEvent is the error of [Adapter.ReadEvent] for a body that is not an event.
var ErrNoEvent = errors.New("want JSON with the event's id and type, each of 1 to 255 printable characters")

// Checked validates an event that was read from a body; every ReadEvent returns its result. It removes IDs that Florin cannot
// have created, because metadata may contain any text: such an event is about nothing that Florin made. It returns [ErrNoEvent]
// if the ID or the type is missing or not printable.
func (e Event) Checked() (Event, error) {
	if !eventTexts.MatchString(e.ID) || !eventTexts.MatchString(e.Type) {
		return Event{}, ErrNoEvent
	}
	checked := Event{ID: e.ID, Type: e.Type, Dispute: e.Dispute}
	if e.Dispute {
		checked.ProcessorPaymentID, checked.DisputeID = checkedID(e.ProcessorPaymentID), checkedID(e.DisputeID)
		return checked, nil
	}
	if !merchantIDs.MatchString(e.MerchantID) || payment.ContainsCardNumber(e.MerchantID) {
		return checked, nil
	}
	switch {
	case refundIDs.MatchString(e.RefundID):
		checked.MerchantID, checked.RefundID = e.MerchantID, e.RefundID
	case paymentIDs.MatchString(e.PaymentID):
		checked.MerchantID, checked.PaymentID = e.MerchantID, e.PaymentID
	default:
		return checked, nil
	}
	if e.Record != nil && e.Record.Status.Final() {
		r := Result{ID: e.Record.ID, Status: e.Record.Status, Amount: e.Record.Amount, Currency: e.Record.Currency,
			CapturedAmount: e.Record.CapturedAmount, RefundedAmount: e.Record.RefundedAmount, RefundedUnknown: e.Record.RefundedUnknown,
			CanStillSucceed: e.Record.CanStillSucceed}
		if r, err := r.Checked(); err == nil {
			checked.Record = &r
		}
	}
	return checked, nil
}

// checkedID returns a processor's id, or nothing if it is not printable or looks like a card number.
func checkedID(id string) string {
	if !ids.MatchString(id) || payment.ContainsCardNumber(id) {
		return ""
	}
	return id
}
