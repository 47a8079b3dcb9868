package settlement

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/florinpay/florin/payment"
)

// Store reads what is stored. A *florin.Client is one.
type Store interface {
	List(ctx context.Context, f payment.Filter) (payment.Page, error)
	ListRefunds(ctx context.Context, f payment.RefundFilter) (payment.RefundPage, error)
}

// Options describe a comparison.
type Options struct {
	// Lines are those of the file. They are read from its first line on.
	Lines *Reader
	Store Store
	// Processor is the name of the configured processor that the file is of.
	Processor string
	// From and To are the range to compare: From <= created < To. A zero one is that of the lines. Lines outside are not compared.
	From, To time.Time
	// Margin is how near to an end of the range a payment or refund that the file lacks counts as unexplained and not as missing.
	Margin time.Duration
	// Lookback is how long before the range a payment may have been created that the file settles, such as one that was captured late.
	Lookback time.Duration
	// Dir is where temporary files are; empty: the system's directory for them.
	Dir string
	// Memory is how much of each of the sorted streams is kept in memory, in bytes; 0: 8 MB.
	Memory int
	// Report is called for each finding, in no particular order. Its error ends the comparison.
	Report func(Finding) error
	// Progress is called from time to time; nil: not at all.
	Progress func(Progress)
}

// Progress is how far a comparison is.
type Progress struct {
	// Lines, Payments and Refunds were read so far. The file is read first, then the payments, then the refunds.
	Lines, Payments, Refunds int64
	// Compared is the number of payments that were compared.
	Compared int64
}

// progressEvery is the number of lines, or of compared payments, between two calls of Progress.
const progressEvery = 10_000

// ErrNoRange is returned if neither the file nor the options say which time to compare.
var ErrNoRange = errors.New("the time to compare is unknown: map the column created, or give both ends of the range")

// The kinds of pairs in a sorter. Within a group, they are in this order.
const (
	ofOwner byte = iota
	ofPayment
	ofRefund
	ofLine
)

// comparison is a comparison that goes on.
type comparison struct {
	Options
	summary  Summary
	totals   map[string]*Totals
	progress Progress
	// stages find the owners of lines by their names, one after the other.
	stages []*stage
	// groups are the stored payments with their refunds and lines.
	groups *sorter
}

// stage finds the owners of lines by the names of one column.
type stage struct {
	// byReference reports that the names are references at the processor, and not the processor's ids.
	byReference bool
	nameOf      func(Line) string
	names       *sorter
}

// Compare compares a settlement file with the store. It returns the totals after all findings are reported. An error means that the comparison is
// not complete.
func Compare(ctx context.Context, o Options) (_ Summary, err error) {
	c := &comparison{
		Options: o, totals: map[string]*Totals{}, groups: newSorter(o.Dir, o.Memory),
		summary: Summary{Processor: o.Processor, Findings: map[payment.DivergenceKind]int64{}},
	}
	for _, column := range []struct {
		field Field
		stage
	}{
		{FieldReference, stage{byReference: true, nameOf: func(l Line) string { return l.Reference }}},
		{FieldID, stage{nameOf: func(l Line) string { return l.ID }}},
		{FieldPayment, stage{nameOf: func(l Line) string { return l.PaymentID }}},
	} {
		if o.Lines.has(column.field) {
			column.names = newSorter(o.Dir, o.Memory)
			c.stages = append(c.stages, &column.stage)
		}
	}
	defer func() {
		for _, s := range c.stages {
			err = errors.Join(err, s.names.close())
		}
		err = errors.Join(err, c.groups.close())
	}()
	for _, step := range []func(context.Context) error{c.readFile, c.readPayments, c.readRefunds, c.findOwners, c.compareGroups} {
		if err := step(ctx); err != nil {
			return Summary{}, err
		}
	}
	return c.complete(), nil
}

// readFile reads all lines, and then knows the range.
func (c *comparison) readFile(ctx context.Context) error {
	for {
		line, err := c.Lines.Next(c.From, c.To)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			sums := c.sums(line.Currency, line.Refund)
			sums.There += line.moved()
			err = c.pass(0, named{Line: line})
		}
		if err != nil {
			return err
		}
		if c.progress.Lines = c.Lines.Lines; c.Lines.Lines%progressEvery == 0 {
			c.advance()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	if c.From.IsZero() {
		c.From = c.Lines.first
	}
	if c.To.IsZero() {
		c.To = c.Lines.until
	}
	switch {
	case c.From.IsZero() || c.To.IsZero():
		return ErrNoRange
	case !c.From.Before(c.To):
		return fmt.Errorf("the range from %s to %s is empty", c.From.Format(time.RFC3339), c.To.Format(time.RFC3339))
	case c.Lines.Outside > 0 && c.Lines.Outside+c.Lines.Ignored == c.Lines.Lines: // nothing would be compared, and so nothing would differ
		return fmt.Errorf("no line of the file was created from %s to %s: %d lines were created outside: is the range misspelled?",
			c.From.Format(time.RFC3339), c.To.Format(time.RFC3339), c.Lines.Outside)
	}
	c.summary.From, c.summary.To = c.From, c.To
	c.advance()
	return nil
}

func (c *comparison) advance() {
	if c.Progress != nil {
		c.Progress(c.progress)
	}
}

// sums returns the sums of a currency. Those of an unreadable line, which has none, are not part of the result.
func (c *comparison) sums(currency string, refund bool) *Sums {
	totals := c.totals[currency]
	if totals == nil {
		totals = &Totals{Currency: currency}
		c.totals[currency] = totals
	}
	if refund {
		return &totals.Refunds
	}
	return &totals.Gross
}

// pass passes a line to the next stage that may find its owner, from the given one on. After the last one, it is passed to its owner.
func (c *comparison) pass(from int, line named) error {
	for _, s := range c.stages[from:] {
		if name := s.nameOf(line.Line); name != "" && line.mayFindBetter() {
			return s.names.add(key(name, ofLine, line.Number), encode(&line))
		}
	}
	if line.owner.paymentID == "" {
		return c.reportUnmatched(line.Line)
	}
	return c.groups.add(key(line.owner.paymentID, ofLine, line.Number), encode(&line))
}

// mayFindBetter reports whether another name may say more about the line's owner: a refund often has the reference of its payment.
func (n named) mayFindBetter() bool {
	return n.owner.paymentID == "" || n.Refund && n.owner.refundID == ""
}

// findOwners finds the stored payment or refund of each line.
func (c *comparison) findOwners(ctx context.Context) error {
	for i, s := range c.stages {
		var name []byte
		var ofThisName []owner // a payment and a refund may have the same id
		pairs := 0
		err := s.names.each(func(key, value []byte) error {
			if pairs++; pairs%progressEvery == 0 && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			of, kind := split(key)
			if string(of) != string(name) {
				name, ofThisName = append(name[:0], of...), ofThisName[:0]
			}
			if kind == ofOwner {
				var o owner
				err := decode(value, &o)
				if !slices.Contains(ofThisName, o) {
					ofThisName = append(ofThisName, o)
				}
				return err
			}
			var line named
			if err := decode(value, &line); err != nil {
				return err
			}
			for _, o := range ofThisName {
				line.consider(o)
			}
			return c.pass(i+1, line)
		})
		if err := errors.Join(err, s.names.close()); err != nil {
			return err
		}
	}
	return nil
}

// consider makes o the owner of the line if it is a better one. A charge is never that of a refund.
func (n *named) consider(o owner) {
	isUnreadable := n.Unreadable != "" // it may be either
	switch {
	case o.refundID != "" && !n.Refund && !isUnreadable:
	case n.owner.paymentID == "":
		n.owner = o
	case n.owner.paymentID == o.paymentID && n.owner.refundID == "" && n.Refund:
		n.owner = o
	}
}

// pageSize is the largest page of the store.
const pageSize = 500

// readPayments reads the payments that the lines may be about.
func (c *comparison) readPayments(ctx context.Context) error {
	filter := payment.Filter{Processor: c.Processor, CreatedFrom: c.readFrom(), CreatedBefore: c.To.Add(c.Margin), Limit: pageSize}
	for {
		page, err := readPage(ctx, func() (payment.Page, error) { return c.Store.List(ctx, filter) })
		if err != nil {
			return err
		}
		for _, p := range page.Payments {
			record := Record{
				PaymentID: p.PaymentID, MerchantID: p.MerchantID, IdempotencyKey: p.IdempotencyKey, Status: p.Status, Amount: p.Amount,
				Captured: p.CapturedAmount, Currency: p.Currency, ProcessorID: p.ProcessorPaymentID, CreatedAt: p.CreatedAt,
			}
			if err := errors.Join(c.nameOwner(owner{paymentID: p.PaymentID}, p.ProcessorPaymentID),
				c.groups.add(key(p.PaymentID, ofPayment, 0), encode(&record))); err != nil {
				return err
			}
		}
		c.progress.Payments += int64(len(page.Payments))
		c.advance()
		if filter.Cursor = page.Next; filter.Cursor == "" {
			c.summary.Payments = c.progress.Payments
			return nil
		}
	}
}

// readFrom is from when payments and refunds are read.
func (c *comparison) readFrom() time.Time { return c.From.Add(-max(c.Margin, c.Lookback)) }

// readRefunds reads the refunds that the lines may be about. Their payments may be older.
func (c *comparison) readRefunds(ctx context.Context) error {
	filter := payment.RefundFilter{Processor: c.Processor, CreatedFrom: c.readFrom(), CreatedBefore: c.To.Add(c.Margin), Limit: pageSize}
	for {
		page, err := readPage(ctx, func() (payment.RefundPage, error) { return c.Store.ListRefunds(ctx, filter) })
		if err != nil {
			return err
		}
		for i, r := range page.Refunds {
			record := Record{
				PaymentID: r.PaymentID, RefundID: r.RefundID, MerchantID: r.MerchantID, IdempotencyKey: r.IdempotencyKey, Status: r.Status,
				Amount: r.Amount, Currency: r.Currency, ProcessorID: r.ProcessorRefundID, CreatedAt: r.CreatedAt,
			}
			if err := errors.Join(
				c.nameOwner(owner{paymentID: r.PaymentID}, r.ProcessorPaymentID),
				c.nameOwner(owner{r.PaymentID, r.RefundID}, r.ProcessorRefundID),
				c.groups.add(key(r.PaymentID, ofRefund, c.progress.Refunds+int64(i)), encode(&record))); err != nil {
				return err
			}
		}
		c.progress.Refunds += int64(len(page.Refunds))
		c.advance()
		if filter.Cursor = page.Next; filter.Cursor == "" {
			c.summary.Refunds = c.progress.Refunds
			return nil
		}
	}
}

// nameOwner adds the names by which lines may refer to a payment or refund.
func (c *comparison) nameOwner(o owner, processorID string) error {
	reference := payment.ProcessorKey(o.paymentID, payment.OperationCharge, 0)
	if o.refundID != "" {
		reference = payment.ProcessorKey(o.refundID, payment.OperationRefund, 0)
	}
	encoded := encode(&o)
	for _, s := range c.stages {
		name := processorID
		if s.byReference {
			name = reference
		}
		if name == "" {
			continue
		}
		if err := s.names.add(key(name, ofOwner, 0), encoded); err != nil {
			return err
		}
	}
	return nil
}

// readAttempts is how often a page is read while no worker answers, for example because all are being replaced.
const (
	readAttempts = 5
	readPause    = 2 * time.Second
)

// readPage reads a page, and repeats that if it fails: the pages before it may have taken minutes.
func readPage[T any](ctx context.Context, read func() (T, error)) (page T, err error) {
	var refusal payment.RefusalCode
	for attempt := 1; ; attempt++ {
		page, err = read()
		if err == nil || attempt == readAttempts || errors.As(err, &refusal) {
			return page, err
		}
		select {
		case <-ctx.Done():
			return page, context.Cause(ctx)
		case <-time.After(readPause):
		}
	}
}

// compareGroups compares each payment with its lines.
func (c *comparison) compareGroups(ctx context.Context) error {
	var g group
	pairs := 0
	err := c.groups.each(func(key, value []byte) error {
		if pairs++; pairs%progressEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		name, kind := split(key)
		if string(name) != g.paymentID {
			if err := c.compareGroup(g); err != nil {
				return err
			}
			g = group{paymentID: string(name)}
		}
		switch kind {
		case ofPayment:
			g.payment = new(Record)
			return decode(value, g.payment)
		case ofRefund:
			g.refunds = append(g.refunds, Record{})
			return decode(value, &g.refunds[len(g.refunds)-1])
		default:
			g.lines = append(g.lines, named{})
			return decode(value, &g.lines[len(g.lines)-1])
		}
	})
	if err != nil {
		return err
	}
	return c.compareGroup(g)
}

// complete returns the summary.
func (c *comparison) complete() Summary {
	c.summary.Lines, c.summary.Ignored, c.summary.Outside = c.Lines.Lines, c.Lines.Ignored, c.Lines.Outside
	delete(c.totals, "")
	for _, currency := range slices.Sorted(maps.Keys(c.totals)) {
		totals := *c.totals[currency]
		totals.Fees, totals.Net = c.Lines.fees[currency], c.Lines.nets[currency]
		c.summary.Totals = append(c.summary.Totals, totals)
	}
	c.advance()
	return c.summary
}
