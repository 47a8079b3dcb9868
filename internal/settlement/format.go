package settlement

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/printable"
	"github.com/florinpay/florin/payment"
)

// Field is what a column of a settlement file means.
type Field string

// The fields. Amount, currency, and one of reference, id and payment are required.
const (
	FieldReference Field = "reference"
	FieldID        Field = "id"
	FieldPayment   Field = "payment"
	FieldAmount    Field = "amount"
	FieldCurrency  Field = "currency"
	FieldType      Field = "type"
	FieldStatus    Field = "status"
	FieldCreated   Field = "created"
	FieldFee       Field = "fee"
	FieldNet       Field = "net"
)

var fields = []Field{
	FieldReference, FieldID, FieldPayment, FieldAmount, FieldCurrency, FieldType, FieldStatus, FieldCreated, FieldFee, FieldNet,
}

// The types of lines.
const (
	TypeCharge = "charge"
	TypeRefund = "refund"
	// TypeIgnore is that of a line that is neither, such as a payout.
	TypeIgnore = "ignore"
)

// Format describes a settlement file.
type Format struct {
	// Columns are the names of the columns in the header.
	Columns map[Field]string
	// Types and Statuses are what the values in lower case of these columns mean. charge and refund, and the statuses of package payment, mean
	// themselves.
	Types    map[string]string
	Statuses map[string]payment.Status
	// Minor reports that amounts are in minor units of their currency. Otherwise they are in major units.
	Minor bool
	// Decimal is "." or ",". Thousands is what may separate thousands; empty: nothing.
	Decimal, Thousands string
	// Delimiter separates fields. 0: a comma, semicolon, tab or vertical bar, whichever the header has.
	Delimiter byte
	// Zone is that of times without one.
	Zone *time.Location
}

// Presets are formats of files that are documented by their processors, by name.
var Presets = map[string]Format{
	// Stripe's itemized reports "balance change from activity" and "payout reconciliation". The column payment_intent_id has to be selected
	// when the report is requested. gross is in the currency of the account's balance.
	"stripe": {
		Columns: map[Field]string{
			FieldID: "source_id", FieldPayment: "payment_intent_id", FieldAmount: "gross", FieldCurrency: "currency", FieldType: "reporting_category",
			FieldFee: "fee", FieldNet: "net", FieldCreated: "created_utc",
		},
		Types: map[string]string{
			"fee": TypeIgnore, "network_cost": TypeIgnore, "payout": TypeIgnore, "payout_reversal": TypeIgnore, "tax": TypeIgnore,
			"topup": TypeIgnore, "topup_reversal": TypeIgnore, "transfer": TypeIgnore, "transfer_reversal": TypeIgnore,
		},
	},
}

// NewFormat returns the format for a preset, which may be empty, a mapping such as "reference=Order,amount=Gross,currency=Currency", which
// replaces columns of the preset, and values such as "type:SALE=charge".
func NewFormat(preset, mapping string, values []string) (Format, error) {
	f := Format{Columns: map[Field]string{}, Types: map[string]string{}, Statuses: map[string]payment.Status{}, Decimal: ".", Zone: time.UTC}
	if preset != "" {
		p, ok := Presets[preset]
		if !ok {
			return f, fmt.Errorf("preset %q: want one of %v", preset, slices.Sorted(maps.Keys(Presets)))
		}
		maps.Copy(f.Columns, p.Columns)
		maps.Copy(f.Types, p.Types)
	}
	for pair := range strings.SplitSeq(mapping, ",") {
		if pair == "" {
			continue
		}
		field, column, ok := strings.Cut(pair, "=")
		switch {
		case !ok:
			return f, fmt.Errorf("mapping %q: want field=column", pair)
		case !slices.Contains(fields, Field(field)):
			return f, fmt.Errorf("mapping %q: unknown field %q: want one of %v", pair, field, fields)
		case column == "":
			delete(f.Columns, Field(field))
		default:
			f.Columns[Field(field)] = column
		}
	}
	for _, value := range values {
		if err := f.addValue(value); err != nil {
			return f, err
		}
	}
	return f, f.check()
}

func (f Format) addValue(value string) error {
	name, rest, colon := strings.Cut(value, ":")
	at := strings.LastIndex(rest, "=")
	if !colon || at < 1 {
		return fmt.Errorf("value %q: want type:VALUE=charge, refund or ignore, or status:VALUE=STATUS", value)
	}
	text, meaning := strings.ToLower(rest[:at]), rest[at+1:]
	_, isStatus := payment.PaymentTransitions[payment.Status(meaning)]
	switch {
	case name == string(FieldType) && slices.Contains([]string{TypeCharge, TypeRefund, TypeIgnore}, meaning):
		f.Types[text] = meaning
	case name == string(FieldType):
		return fmt.Errorf("value %q: want charge, refund or ignore after =", value)
	case name == string(FieldStatus) && isStatus:
		f.Statuses[text] = payment.Status(meaning)
	case name == string(FieldStatus):
		return fmt.Errorf("value %q: want a status after =, one of %v", value, slices.Sorted(maps.Keys(payment.PaymentTransitions)))
	default:
		return fmt.Errorf("value %q: only type and status have values", value)
	}
	return nil
}

func (f Format) check() error {
	var missing []Field
	for _, field := range []Field{FieldAmount, FieldCurrency} {
		if f.Columns[field] == "" {
			missing = append(missing, field)
		}
	}
	switch {
	case len(missing) > 0:
		return fmt.Errorf("the mapping lacks %v: want field=column for each", missing)
	case f.Columns[FieldReference] == "" && f.Columns[FieldID] == "" && f.Columns[FieldPayment] == "":
		return errors.New("the mapping lacks reference, id and payment: want field=column for one of them at least")
	default:
		return nil
	}
}

// lineType returns what the value of the column type means.
func (f Format) lineType(cell string) (string, error) {
	text := strings.ToLower(strings.TrimSpace(cell))
	if meaning, ok := f.Types[text]; ok {
		return meaning, nil
	}
	if text == TypeCharge || text == TypeRefund {
		return text, nil
	}
	return "", fmt.Errorf("unknown type %s: say what it means, such as --value %s", show(cell), strconv.Quote("type:"+shown(cell)+"=ignore"))
}

// lineStatus returns what the value of the column status means.
func (f Format) lineStatus(cell string) (payment.Status, error) {
	text := strings.ToLower(strings.TrimSpace(cell))
	if meaning, ok := f.Statuses[text]; ok {
		return meaning, nil
	}
	if _, ok := payment.PaymentTransitions[payment.Status(text)]; ok {
		return payment.Status(text), nil
	}
	return "", fmt.Errorf("unknown status %s: say what it means, such as --value %s", show(cell), strconv.Quote("status:"+shown(cell)+"=succeeded"))
}

// timeLayouts are the accepted forms of times, each with how long such a time lasts: a date is a day. Those with a slash are not among them: day and month
// cannot be distinguished.
var timeLayouts = []struct {
	layout string
	lasts  time.Duration
}{
	{time.RFC3339, time.Second}, {time.DateTime, time.Second}, {"2006-01-02T15:04:05", time.Second}, {"2006-01-02 15:04:05Z07:00", time.Second},
	{"2006-01-02 15:04", time.Minute}, {time.DateOnly, 0},
}

// time returns when the line was created. until is the end of that time: a date is a whole day.
func (f Format) time(cell string) (at, until time.Time, err error) {
	text := strings.TrimSpace(cell)
	if areDigits(text) && len(text) == 10 {
		seconds, err := strconv.ParseInt(text, 10, 64)
		at = time.Unix(seconds, 0).UTC()
		return at, at.Add(time.Second), err
	}
	for _, form := range timeLayouts {
		at, err := time.ParseInLocation(form.layout, text, f.Zone)
		switch {
		case err != nil:
		case at.UTC().Year() < 1970 || at.UTC().Year() > 9998:
			return at, at, fmt.Errorf("time %s: want a year from 1970", show(cell))
		case form.layout == time.DateOnly: // a day may have 23 or 25 hours
			return at.UTC(), at.AddDate(0, 0, 1).UTC(), nil
		default:
			return at.UTC(), at.Add(form.lasts).UTC(), nil
		}
	}
	return at, until, fmt.Errorf("time %s: want RFC 3339, 2026-11-22 08:00:00, 2026-11-22 or Unix seconds", show(cell))
}

// maxShown limits a text of the file in a reason, in bytes.
const maxShown = 60

// show quotes a text of the file for a reason. It never repeats a card number.
func show(text string) string {
	if payment.ContainsCardNumber(text) {
		return "(looks like a card number)"
	}
	return strconv.Quote(shown(text))
}

// shown is show without quotes.
func shown(text string) string {
	if payment.ContainsCardNumber(text) {
		return "…"
	}
	if len(text) > maxShown {
		return printable.Clean(text, maxShown) + "…"
	}
	return printable.Clean(text, maxShown)
}
