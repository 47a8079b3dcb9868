package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/settlement"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// corpus is a day of payments, and the differences between them and their file. All payments follow from their number, so that none has to
// be kept in memory.
type corpus struct {
	size    int
	seed    uint64
	planted map[int]payment.DivergenceKind
}

const (
	minPayments = 2000
	// plantedOfEach is how many differences of each kind there are among the payments, one in so many.
	plantedOfEach = 20_000
)

var (
	day        = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	currencies = []string{"USD", "EUR", "JPY", "BHD"}
)

// kinds are the planted differences, and which payments can have each.
var kinds = []struct {
	kind payment.DivergenceKind
	fits func(p paid) bool
}{
	{settlement.KindMissingHere, paid.isPlain},
	{settlement.KindMissingThere, paid.isPlain},
	{settlement.KindAmount, paid.isPlain},
	{settlement.KindCurrency, paid.isPlain},
	{settlement.KindDuplicateReference, paid.isPlain},
	{settlement.KindUnreadable, paid.isPlain},
	{settlement.KindRefundMissingHere, paid.isPlain},
	{settlement.KindStatus, func(p paid) bool { return p.status == payment.Declined }},
	{settlement.KindCaptured, func(p paid) bool { return p.captured < p.amount && p.status == payment.Succeeded }},
	{settlement.KindRefunded, func(p paid) bool { return len(p.refunds) == 1 && p.refunds[0].style == byPayment }},
	{settlement.KindRefundMissingThere, func(p paid) bool { return len(p.refunds) == 1 }},
	{settlement.KindRefundStatus, func(p paid) bool { return len(p.refunds) == 1 && p.refunds[0].style == byReference }},
}

func newCorpus(size int, seed uint64) corpus {
	c := corpus{size: size, seed: seed, planted: map[int]payment.DivergenceKind{}}
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // reproducible
	for _, k := range kinds {
		for planted := 0; planted < max(2, size/plantedOfEach); {
			// Near the ends of the day, what is missing is unexplained.
			n := size/10 + r.IntN(size*8/10)
			if _, taken := c.planted[n]; taken || !k.fits(c.payment(n)) {
				continue
			}
			c.planted[n] = k.kind
			planted++
		}
	}
	return c
}

// paid is a stored payment.
type paid struct {
	id, merchant, key, processorID, currency string
	status                                   payment.Status
	amount, captured                         int64
	createdAt                                time.Time
	refunds                                  []refunded
}

// refunded is a stored refund.
type refunded struct {
	id, key, processorID string
	status               payment.Status
	amount               int64
	style                style
}

// style is how the file names a refund.
type style int

const (
	byReference style = iota
	byID
	byPayment
)

func (p paid) isPlain() bool {
	return p.status == payment.Succeeded && p.captured == p.amount && len(p.refunds) == 0
}

// payment returns the payment with a number from 0 to size - 1.
func (c corpus) payment(n int) paid {
	p := paid{
		merchant: fmt.Sprintf("merchant-%02d", n%50), key: fmt.Sprintf("order-%d", n), processorID: fmt.Sprintf("ch_%016d", n),
		currency: currencies[n/7%len(currencies)], status: payment.Succeeded, amount: 1000 + int64(n)*7919%10_000_000,
		createdAt: day.Add(time.Duration(float64(24*time.Hour) * float64(n) / float64(c.size))).Truncate(time.Microsecond),
	}
	p.id = payment.PaymentID(p.merchant, p.key)
	p.captured = p.amount
	switch {
	case n%20 == 0:
		p.status, p.captured = payment.Declined, 0
	case n%50 == 7:
		p.captured = p.amount / 2
	case n%25 == 3:
		for i := range 1 + n/25%2 {
			r := refunded{
				key: fmt.Sprintf("refund-%d-%d", n, i), processorID: fmt.Sprintf("re_%016d_%d", n, i), status: payment.Succeeded,
				amount: p.amount/4 + int64(i), style: style(n / 50 % 3),
			}
			r.id = payment.RefundID(p.merchant, r.key)
			if c.planted[n] == settlement.KindRefundStatus {
				r.status = payment.Failed
			}
			p.refunds = append(p.refunds, r)
		}
	}
	return p
}

// identity is what a finding about the payment with a number is found by.
func (c corpus) identity(n int) string {
	if c.planted[n] == settlement.KindMissingHere {
		return foreign(n)
	}
	return c.payment(n).id
}

func foreign(n int) string { return fmt.Sprintf("foreign-%d", n) }

// mapping says what the columns of the file are, and arguments how its values are to be read.
const mapping = "reference=Order reference,id=Transaction,amount=Gross,currency=Currency,type=Kind,created=Booked"

// arguments are those of the starter for the file.
func arguments(path string) []string {
	return []string{
		"reconcile", "file", path, "--json", "--processor", environment.ProcessorName, "--map", mapping, "--thousands", ",",
		"--value", "type:SALE=charge", "--value", "type:PAYOUT=ignore",
	}
}

// write writes the file, as a spreadsheet would: with a byte order mark, CRLF, separators of thousands, and line breaks in quotes. It returns
// the number of lines.
func (c corpus) write(out io.Writer) (lines int, err error) {
	w := bufio.NewWriterSize(out, 1<<20)
	fmt.Fprint(w, "\ufeffOrder reference;Transaction;Note;Kind;Gross;Currency;Booked\r\n")
	for n := range c.size {
		p := c.payment(n)
		note := ""
		if n%1000 == 0 {
			note = "\"first line;\r\nsecond \"\"line\"\"\""
		}
		line := func(reference, id, kind, gross, currency string) {
			lines++
			fmt.Fprintf(w, "%s;%s;%s;%s;%s;%s;%s\r\n", reference, id, note, kind, gross, currency, p.createdAt.Format("2006-01-02 15:04:05"))
		}
		c.writePayment(p, c.planted[n], n, line)
		if n%100_000 == 99_999 {
			line("", fmt.Sprint("po_", n), "PAYOUT", "-"+decimal(p.amount, p.currency), p.currency)
		}
	}
	return lines, w.Flush()
}

// writePayment writes the lines of a payment and its refunds.
func (c corpus) writePayment(p paid, planted payment.DivergenceKind, n int, line func(reference, id, kind, gross, currency string)) {
	reference := payment.ProcessorKey(p.id, payment.OperationCharge, 0)
	amount, currency := decimal(p.captured, p.currency), p.currency
	switch planted {
	case settlement.KindMissingHere:
		line(foreign(n), "ch_"+foreign(n), "SALE", amount, currency)
	case settlement.KindAmount:
		amount = decimal(p.captured+1, currency)
	case settlement.KindCaptured, settlement.KindStatus:
		amount = decimal(p.amount, currency)
	case settlement.KindCurrency:
		currency = map[string]string{"USD": "EUR", "EUR": "USD", "JPY": "KRW", "BHD": "KWD"}[currency]
	case settlement.KindDuplicateReference:
		line(reference, p.processorID+"_2", "SALE", amount, currency)
	case settlement.KindUnreadable:
		currency = "XXX"
	case settlement.KindRefundMissingHere:
		line(reference, "re_"+foreign(n), "Refund", "-"+amount, currency)
	default: // in the refunds, or what the file lacks
	}
	if (p.status == payment.Succeeded || planted == settlement.KindStatus) && planted != settlement.KindMissingThere {
		line(reference, p.processorID, "SALE", amount, currency)
	}
	for _, r := range p.refunds {
		amount := r.amount
		switch planted {
		case settlement.KindRefundMissingThere:
			continue
		case settlement.KindRefunded:
			amount++
		default:
		}
		text := "-" + decimal(amount, currency)
		switch r.style {
		case byReference:
			line(payment.ProcessorKey(r.id, payment.OperationRefund, 0), r.processorID, "refund", text, currency)
		case byID:
			line(reference, r.processorID, "REFUND", text, currency)
		case byPayment:
			line(reference, "", "refund", text, currency)
		}
	}
}

// decimal returns an amount in major units, with separators of thousands.
func decimal(amount int64, currency string) string {
	whole, fraction, point := strings.Cut(payment.Money{Amount: amount, Currency: currency}.Decimal(), ".")
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	if point {
		return whole + "." + fraction
	}
	return whole
}
