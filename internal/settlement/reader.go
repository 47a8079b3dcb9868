package settlement

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/florinpay/florin/payment"
)

// Reader reads the lines of a settlement file.
type Reader struct {
	format  Format
	records records
	columns map[Field]int
	// Lines, Ignored and Outside are as in [Summary].
	Lines, Ignored, Outside int64
	// first and until are the range of the times of the lines so far.
	first, until time.Time
	// fees and nets are the sums of the lines so far.
	fees, nets map[string]int64
}

// parsed is a line, and what is only summed up.
type parsed struct {
	Line
	// until is the end of the time at which the line was created.
	until    time.Time
	fee, net int64
	ignore   bool
}

// delimiters are those that are tried, in this order.
var delimiters = []byte{',', ';', '\t', '|'}

// NewReader reads the header of a settlement file. It returns an error that names the existing columns if one is missing.
func NewReader(in io.Reader, f Format) (*Reader, error) {
	r := &Reader{format: f, records: records{in: bufio.NewReaderSize(in, 64<<10)}, fees: map[string]int64{}, nets: map[string]int64{}}
	var header physical
	for len(bytes.TrimSpace(header.text)) == 0 {
		var err error
		header, err = r.records.physical()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errors.New("the file is empty: want a header with the names of the columns")
		case err != nil:
			return nil, err
		case header.tooLong:
			return nil, fmt.Errorf("line %d, the header, is longer than %d bytes", header.number, maxLine)
		case header.number == 1 && (bytes.HasPrefix(header.text, []byte("\xff\xfe")) || bytes.HasPrefix(header.text, []byte("\xfe\xff"))):
			return nil, errors.New("the file is in UTF-16: save it as UTF-8")
		case header.number == 1:
			header.text = bytes.TrimPrefix(header.text, []byte("\ufeff"))
		}
	}
	candidates := delimiters
	if f.Delimiter != 0 {
		candidates = []byte{f.Delimiter}
	}
	var problem error
	most := 0
	for _, delimiter := range candidates {
		p := parser{delimiter: delimiter}
		p.feed(header.text)
		names, fault := p.finish(0)
		if p.state == quoted {
			fault = "the header has a quote that is not closed"
		}
		columns, err := find(f.Columns, names)
		switch {
		case fault != "":
			err = errors.New(fault)
		case err == nil:
			r.columns, r.records.delimiter, r.records.columns = columns, delimiter, len(names)
			return r, nil
		}
		if len(p.fields) > most || problem == nil { // the error of the delimiter that fits best
			problem, most = fmt.Errorf("line %d: %w", header.number, err), len(p.fields)
		}
	}
	return nil, problem
}

// find returns the positions of the columns.
func find(columns map[Field]string, names []string) (map[Field]int, error) {
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
	}
	found := map[Field]int{}
	for _, field := range fields {
		column, ok := columns[field]
		if !ok {
			continue
		}
		at := slices.Index(names, column)
		switch {
		case at < 0:
			shownNames := make([]string, len(names))
			for i, name := range names {
				shownNames[i] = show(name)
			}
			return nil, fmt.Errorf("no column %q for %s: the file has %s", column, field, strings.Join(shownNames, ", "))
		case slices.Contains(names[at+1:], column):
			return nil, fmt.Errorf("two columns %q for %s", column, field)
		}
		found[field] = at
	}
	return found, nil
}

// Next returns the next line, or io.EOF. It skips those with a type to ignore, and those created outside a range, each end of which may be
// zero.
func (r *Reader) Next(from, to time.Time) (Line, error) {
	for {
		rec, err := r.records.next()
		if err != nil {
			return Line{}, err
		}
		if r.isHeader(rec) {
			continue
		}
		r.Lines++
		line := r.parse(rec)
		switch at := line.CreatedAt; {
		case line.ignore:
			r.Ignored++
			continue
		case !at.IsZero() && (!from.IsZero() && at.Before(from) || !to.IsZero() && !at.Before(to)):
			r.Outside++
			continue
		case !at.IsZero():
			if r.first.IsZero() || at.Before(r.first) {
				r.first = at
			}
			if line.until.After(r.until) {
				r.until = line.until
			}
		}
		r.fees[line.Currency] += line.fee
		r.nets[line.Currency] += line.net
		return line.Line, nil
	}
}

// isHeader reports whether a record is the header once more: several files may be one after the other.
func (r *Reader) isHeader(rec record) bool {
	for field, name := range r.format.Columns {
		if strings.TrimPrefix(r.cell(rec, field), "\ufeff") != name {
			return false
		}
	}
	return rec.fault == ""
}

// cell returns a value of a record; empty if the record lacks it, or the column is not mapped.
func (r *Reader) cell(rec record, field Field) string {
	at, ok := r.columns[field]
	if !ok || at >= len(rec.fields) {
		return ""
	}
	return strings.TrimSpace(rec.fields[at])
}

// parse reads the fields of a record. An unreadable line has those that could be read.
func (r *Reader) parse(rec record) parsed {
	line := parsed{Line: Line{Number: rec.number}}
	var faults []string
	fail := func(field Field, err error) {
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", field, err))
		}
	}
	for _, name := range []struct {
		field Field
		into  *string
	}{{FieldReference, &line.Reference}, {FieldID, &line.ID}, {FieldPayment, &line.PaymentID}} {
		if *name.into = r.cell(rec, name.field); len(*name.into) > maxName {
			*name.into = ""
			fail(name.field, fmt.Errorf("is longer than %d bytes", maxName))
		}
	}
	line.Reference = reference(line.Reference)
	if rec.fault != "" {
		line.Unreadable = rec.fault
		return line
	}
	kind := ""
	if r.has(FieldType) {
		var err error
		kind, err = r.format.lineType(r.cell(rec, FieldType))
		fail(FieldType, err)
	}
	if line.ignore = kind == TypeIgnore; line.ignore {
		return line
	}
	line.Refund = kind == TypeRefund
	if r.has(FieldStatus) {
		var err error
		line.Status, err = r.format.lineStatus(r.cell(rec, FieldStatus))
		fail(FieldStatus, err)
	}
	if r.has(FieldCreated) {
		var err error
		line.CreatedAt, line.until, err = r.format.time(r.cell(rec, FieldCreated))
		fail(FieldCreated, err)
	}
	if line.Reference == "" && line.ID == "" && line.PaymentID == "" {
		faults = append(faults, "the line has neither a reference nor an id")
	}
	line.Currency = strings.ToUpper(r.cell(rec, FieldCurrency))
	if _, err := payment.Exponent(line.Currency); err != nil {
		fail(FieldCurrency, fmt.Errorf("unknown currency %s", show(line.Currency)))
	} else {
		amount, negative, err := r.format.amount(r.cell(rec, FieldAmount), line.Currency)
		fail(FieldAmount, err)
		switch line.Amount = amount; {
		case negative && !r.has(FieldType):
			line.Refund = true
		case negative && kind == TypeCharge && amount != 0:
			fail(FieldAmount, fmt.Errorf("%s is negative, and the line is no refund", show(r.cell(rec, FieldAmount))))
		}
		line.fee = r.optional(rec, FieldFee, line.Currency, fail)
		line.net = r.optional(rec, FieldNet, line.Currency, fail)
	}
	if len(faults) > 0 {
		return parsed{Line: Line{
			Number: line.Number, Reference: line.Reference, ID: line.ID, PaymentID: line.PaymentID, Refund: line.Refund,
			Unreadable: strings.Join(faults, "; "),
		}}
	}
	return line
}

// HasTimes reports whether the file says when its lines were created.
func (r *Reader) HasTimes() bool { return r.has(FieldCreated) }

func (r *Reader) has(field Field) bool {
	_, ok := r.columns[field]
	return ok
}

// optional reads an amount that may be missing.
func (r *Reader) optional(rec record, field Field, currency string, fail func(Field, error)) int64 {
	cell := r.cell(rec, field)
	if cell == "" {
		return 0
	}
	amount, negative, err := r.format.amount(cell, currency)
	fail(field, err)
	if negative {
		return -amount
	}
	return amount
}

// maxName is the longest reference or id, in bytes. It is that of the store.
const maxName = 255

// reference returns the reference at the processor that a text of the file means: Florin's ids mean those of their operations.
func reference(text string) string {
	switch {
	case payment.IsPaymentID(text):
		return payment.ProcessorKey(text, payment.OperationCharge, 0)
	case payment.IsRefundID(text):
		return payment.ProcessorKey(text, payment.OperationRefund, 0)
	case len(text) == 36 && uuid.Validate(text) == nil:
		return strings.ToLower(text)
	default:
		return text
	}
}
