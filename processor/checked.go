package processor

import (
	"cmp"
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/florinpay/florin/payment"
)

// The texts of a processor that Florin stores. Anything else is not stored, because a database may refuse it after the money has
// moved: PostgreSQL refuses a NUL.
var (
	ids        = regexp.MustCompile(`^[!-~]{1,255}$`)
	currencies = regexp.MustCompile(`^[!-~]{1,16}$`)
	// references may have spaces: those of other systems do.
	references = regexp.MustCompile(`^[ -~]{0,255}$`)
	codes      = regexp.MustCompile(`^[ -~]{0,200}$`)
)

// errUnprintable does not quote the text, which may be anything.
var errUnprintable = errors.New("an id, currency, reference or code is missing, too long or not printable ASCII")

var errCanStillSucceed = errors.New("the payment can still succeed although it is not declined")

// Checked validates a result that was read from a record; every adapter passes its results through it, in Decode, so that a record
// with invalid texts, or with CanStillSucceed and another status than declined, makes the response malformed. The ID and the currency have to be printable ASCII without spaces, of at most
// 255 and 16 characters. The reference, the merchant and the codes of a decline have to be printable ASCII too, but may be empty:
// whether a reference must exist is for the adapter to check. The message of a decline is clipped, see [Clip].
func (r Result) Checked() (Result, error) {
	ok := ids.MatchString(r.ID) && currencies.MatchString(r.Currency) &&
		references.MatchString(r.Reference) && references.MatchString(r.MerchantID)
	if d := r.Decline; d != nil {
		ok = ok && codes.MatchString(d.Code) && codes.MatchString(d.NetworkCode) && codes.MatchString(d.AdviceCode)
		clipped := *d
		clipped.Message = Clip(d.Message)
		r.Decline = &clipped
	}
	switch {
	case !ok:
		return Result{}, errUnprintable
	case r.CanStillSucceed && r.Status != payment.Declined:
		return Result{}, errCanStillSucceed
	}
	return r, nil
}

// CheckedListed is [Result.Checked] for a record of a list, which may be another system's: a reference that Florin cannot have
// written is removed, and with it the merchant, instead of an error. Such a payment must not hide those of Florin.
func (r Result) CheckedListed() (Result, error) {
	if !references.MatchString(r.Reference) || r.Reference == "" && !references.MatchString(r.MerchantID) {
		r.Reference, r.MerchantID = "", ""
	}
	return r.Checked()
}

// Listed returns a record of a list as List has to report it; every adapter passes its records through it. err is why the adapter
// could not read the record, or nil. It must not quote the response.
//
// With an err, or if [Result.CheckedListed] refuses the result, the record becomes unreadable, with the reason in Unreadable: of
// the result, only ID and Reference stay. In any case Listed removes an ID, a Reference and a ProcessorPaymentID that cannot be
// stored, an OwnID that Florin cannot have created, a time that JSON cannot contain, and the reference of another system if it
// looks like a card number or a secret.
func (r Record) Listed(err error) Record {
	if isSensitive(r.Reference) {
		r.Reference, r.MerchantID = "", ""
	}
	result, problem := r.CheckedListed()
	if err == nil {
		err = problem
	}
	if err != nil {
		result = Result{}
		if ids.MatchString(r.ID) {
			result.ID = r.ID
		}
		if references.MatchString(r.Reference) {
			result.Reference = r.Reference
		}
		r.Unreadable = cmp.Or(ClipCode(err.Error()), "no reason given")
	}
	r.Result = result
	if !ids.MatchString(r.ProcessorPaymentID) {
		r.ProcessorPaymentID = ""
	}
	if !paymentIDs.MatchString(r.OwnID) && !refundIDs.MatchString(r.OwnID) {
		r.OwnID = ""
	}
	if r.CreatedAt = r.CreatedAt.UTC(); r.CreatedAt.Year() < 1970 || r.CreatedAt.Year() > 9999 {
		r.CreatedAt = time.Time{}
	}
	return r
}

// ClipCode makes a processor's code, such as that of a decline, fit for errors, logs and histories: it is [Clip], and a character
// that is not printable ASCII becomes a question mark. Codes are not refused as IDs are, because the decline is certain whatever
// its code is.
func ClipCode(s string) string {
	if isSensitive(s) {
		return Withheld
	}
	return Clip(strings.Map(func(r rune) rune {
		if r > '~' && !unicode.IsControl(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "")))
}
