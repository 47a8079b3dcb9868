package processor

import (
	"errors"
	"regexp"

	"github.com/florinpay/florin/payment"
)

// Event is a notification that a processor has sent: there is news of a payment or a refund. It says of which one, and on purpose
// not what the news is: the workflow asks the processor.
type Event struct {
	// ID and Type are the processor's own.
	ID   string
	Type string
	// MerchantID and one of PaymentID and RefundID are Florin's, by the metadata of what the event is about. All are
	// empty where that is nothing of ours.
	MerchantID string
	PaymentID  string
	RefundID   string
}

// What Florin's own ids look like; payment.PaymentID and payment.RefundID make them.
var (
	merchantIDs = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	paymentIDs  = regexp.MustCompile(`^pay_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	refundIDs   = regexp.MustCompile(`^ref_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	eventWords  = regexp.MustCompile(`^[!-~]{1,255}$`)
)

// ErrNoEvent is returned for a body that is not an event.
var ErrNoEvent = errors.New("want JSON with the event's id and type, each of 1 to 255 printable characters")

// Checked keeps of an event what can be true: anybody may write anything into metadata, so ids that Florin would not
// give make it an event about nothing of ours. ErrNoEvent where id or type are missing.
func (e Event) Checked() (Event, error) {
	if !eventWords.MatchString(e.ID) || !eventWords.MatchString(e.Type) {
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
