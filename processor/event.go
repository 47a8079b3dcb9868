package processor

import (
	"errors"
	"regexp"

	"github.com/florinpay/florin/payment"
)

// Event is a notification of a processor that a payment or a refund has changed. It identifies the payment or refund but
// deliberately has no status: the workflow looks up the status at the processor.
type Event struct {
	// ID and Type are the processor's own.
	ID   string
	Type string
	// MerchantID and either PaymentID or RefundID are Florin's, from the metadata of the object that changed. All are empty
	// if the object was not created by Florin.
	MerchantID string
	PaymentID  string
	RefundID   string
}

// The formats of Florin's ids, as [payment.PaymentID] and [payment.RefundID] generate them, and of a processor's event ids and
// types.
var (
	merchantIDs = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	paymentIDs  = regexp.MustCompile(`^pay_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	refundIDs   = regexp.MustCompile(`^ref_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	eventFields = regexp.MustCompile(`^[!-~]{1,255}$`)
)

// ErrNoEvent is returned for a body that is not an event.
var ErrNoEvent = errors.New("want JSON with the event's id and type, each of 1 to 255 printable characters")

// Checked returns the event with only those Florin ids that have the right format. Metadata can contain anything, because others
// may write it, too; an event with invalid ids counts as one about an object that Florin did not create. Checked returns
// [ErrNoEvent] if ID or Type is missing or not printable.
func (e Event) Checked() (Event, error) {
	if !eventFields.MatchString(e.ID) || !eventFields.MatchString(e.Type) {
		return Event{}, ErrNoEvent
	}
	checked := Event{ID: e.ID, Type: e.Type}
	if !merchantIDs.MatchString(e.MerchantID) || payment.ContainsCardNumber(e.MerchantID) {
		return checked, nil
	}
	switch {
	case refundIDs.MatchString(e.RefundID):
		checked.MerchantID, checked.RefundID = e.MerchantID, e.RefundID
	case paymentIDs.MatchString(e.PaymentID):
		checked.MerchantID, checked.PaymentID = e.MerchantID, e.PaymentID
	}
	return checked, nil
}
