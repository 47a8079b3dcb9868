package settlement

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/florinpay/florin/payment"
)

var errDamaged = errors.New("a temporary file is damaged")

// codec writes or reads the fields of a record, in the same order: each method does what reading says.
type codec struct {
	b       []byte
	reading bool
	err     error
}

func (c *codec) text(s *string) {
	if !c.reading {
		c.b = append(binary.AppendUvarint(c.b, uint64(len(*s))), *s...)
		return
	}
	size, n := binary.Uvarint(c.b)
	if n <= 0 || size > uint64(len(c.b)-n) {
		c.b, c.err = nil, errDamaged
		return
	}
	*s, c.b = string(c.b[n:n+int(size)]), c.b[n+int(size):]
}

func (c *codec) number(v *int64) {
	if !c.reading {
		c.b = binary.AppendVarint(c.b, *v)
		return
	}
	value, n := binary.Varint(c.b)
	if n <= 0 {
		c.b, c.err = nil, errDamaged
		return
	}
	*v, c.b = value, c.b[n:]
}

func (c *codec) flag(v *bool) {
	var n int64
	if *v {
		n = 1
	}
	c.number(&n)
	*v = n == 1
}

func (c *codec) status(s *payment.Status) {
	text := string(*s)
	c.text(&text)
	*s = payment.Status(text)
}

// time has microseconds, as the store.
func (c *codec) time(t *time.Time) {
	var micros int64
	if !t.IsZero() {
		micros = t.UnixMicro()
	}
	if c.number(&micros); c.reading && micros != 0 {
		*t = time.UnixMicro(micros).UTC()
	}
}

func (l *Line) fields(c *codec) {
	c.number(&l.Number)
	c.text(&l.Reference)
	c.text(&l.ID)
	c.text(&l.PaymentID)
	c.flag(&l.Refund)
	c.number(&l.Amount)
	c.text(&l.Currency)
	c.status(&l.Status)
	c.time(&l.CreatedAt)
	c.text(&l.Unreadable)
}

func (r *Record) fields(c *codec) {
	c.text(&r.PaymentID)
	c.text(&r.RefundID)
	c.text(&r.MerchantID)
	c.text(&r.IdempotencyKey)
	c.status(&r.Status)
	c.number(&r.Amount)
	c.number(&r.Captured)
	c.text(&r.Currency)
	c.text(&r.ProcessorID)
	c.time(&r.CreatedAt)
}

// owner is the stored payment, or one of its refunds, that a name means. It is empty if none does.
type owner struct{ paymentID, refundID string }

func (o *owner) fields(c *codec) {
	c.text(&o.paymentID)
	c.text(&o.refundID)
}

// named is a line and its owner so far.
type named struct {
	Line
	owner owner
}

func (n *named) fields(c *codec) {
	n.Line.fields(c)
	n.owner.fields(c)
}

type encodable interface{ fields(c *codec) }

func encode(v encodable) []byte {
	var c codec
	v.fields(&c)
	return c.b
}

func decode(b []byte, v encodable) error {
	c := codec{b: b, reading: true}
	v.fields(&c)
	return c.err
}
