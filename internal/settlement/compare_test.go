package settlement

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// stored is a store in memory.
type stored struct {
	payments []payment.Charge
	refunds  []payment.ListedRefund
	// fail is returned by the next reads.
	fail []error
}

func (s *stored) failNext() (err error) {
	if len(s.fail) > 0 {
		err, s.fail = s.fail[0], s.fail[1:]
	}
	return err
}

// page returns the elements of a page of three, and the cursor of the next one.
func page[T any](all []T, cursor string, matches func(T) bool) (page []T, next string) {
	all = slices.DeleteFunc(slices.Clone(all), func(v T) bool { return !matches(v) })
	at, _ := strconv.Atoi(cursor)
	all = all[at:]
	if len(all) > 3 {
		return all[:3], strconv.Itoa(at + 3)
	}
	return all, ""
}

func within(at, from, before time.Time) bool { return !at.Before(from) && at.Before(before) }

func (s *stored) List(_ context.Context, f payment.Filter) (p payment.Page, err error) {
	p.Payments, p.Next = page(s.payments, f.Cursor, func(c payment.Charge) bool {
		return c.Processor == f.Processor && within(c.CreatedAt, f.CreatedFrom, f.CreatedBefore)
	})
	return p, s.failNext()
}

func (s *stored) ListRefunds(_ context.Context, f payment.RefundFilter) (p payment.RefundPage, err error) {
	p.Refunds, p.Next = page(s.refunds, f.Cursor, func(r payment.ListedRefund) bool {
		return r.Processor == f.Processor && within(r.CreatedAt, f.CreatedFrom, f.CreatedBefore)
	})
	return p, s.failNext()
}

var (
	day  = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	noon = day.Add(12 * time.Hour)
)

// pay stores a payment that has succeeded at noon.
func (s *stored) pay(key string, amount int64, change ...func(*payment.Charge)) payment.Charge {
	c := payment.Charge{
		PaymentID: payment.PaymentID("acme", key), MerchantID: "acme", IdempotencyKey: key, Status: payment.Succeeded, Amount: amount,
		Currency: "USD", CapturedAmount: amount, Processor: "psp", ProcessorPaymentID: "ch_" + key, CreatedAt: noon,
	}
	for _, f := range change {
		f(&c)
	}
	s.payments = append(s.payments, c)
	return c
}

// refund stores a refund that has succeeded at noon.
func (s *stored) refund(of payment.Charge, key string, amount int64, change ...func(*payment.ListedRefund)) payment.ListedRefund {
	r := payment.ListedRefund{Refund: payment.Refund{
		RefundID: payment.RefundID("acme", key), PaymentID: of.PaymentID, MerchantID: "acme", IdempotencyKey: key, Status: payment.Succeeded,
		Amount: amount, Currency: of.Currency, Processor: "psp", ProcessorRefundID: "re_" + key, CreatedAt: noon,
	}, ProcessorPaymentID: of.ProcessorPaymentID}
	for _, f := range change {
		f(&r)
	}
	s.refunds = append(s.refunds, r)
	return r
}

func chargeRef(key string) string {
	return payment.ProcessorKey(payment.PaymentID("acme", key), payment.OperationCharge, 0)
}

func refundRef(key string) string {
	return payment.ProcessorKey(payment.RefundID("acme", key), payment.OperationRefund, 0)
}

const (
	allColumns = "reference=Ref,id=Id,payment=Payment,type=Type,amount=Amount,currency=Currency,status=Status,created=At"
	allHeader  = "Ref,Id,Payment,Type,Amount,Currency,Status,At\n"
)

// row is a line of a file with all columns, at noon.
func row(ref, id, of, kind, amount, currency, status string) string {
	return strings.Join([]string{ref, id, of, kind, amount, currency, status, noon.Format(time.RFC3339)}, ",") + "\n"
}

// lines returns the lines of a file with all columns.
func lines(tb testing.TB, file string) *Reader {
	tb.Helper()
	r, err := NewReader(strings.NewReader(file), mustFormat(tb, allColumns))
	require.NoError(tb, err)
	return r
}

// compare compares a file of the day with a store. It checks that the findings explain all differences.
func compare(tb testing.TB, o Options) (found []Finding, summary Summary) {
	tb.Helper()
	o.Processor = "psp"
	if o.From.IsZero() {
		o.From, o.To = day, day.AddDate(0, 0, 1)
	}
	o.Dir = tb.TempDir()
	explained, unexplained := map[string]int64{}, map[string]int64{}
	o.Report = func(f Finding) error {
		found = append(found, f)
		sums := explained
		if f.Kind == KindUnexplained {
			sums = unexplained
		}
		sums[fmt.Sprint(f.MovedThere.Currency, f.Refund)] += f.MovedThere.Amount
		sums[fmt.Sprint(f.MovedHere.Currency, f.Refund)] -= f.MovedHere.Amount
		return nil
	}
	summary, err := Compare(tb.Context(), o)
	require.NoError(tb, err)
	left, err := os.ReadDir(o.Dir)
	require.NoError(tb, err)
	require.Empty(tb, left)
	for _, totals := range summary.Totals {
		for refund, sums := range map[bool]Sums{false: totals.Gross, true: totals.Refunds} {
			require.Zero(tb, sums.Unattributed(), "%s %+v", totals.Currency, sums)
			require.Equal(tb, explained[fmt.Sprint(totals.Currency, refund)], sums.Explained)
			require.Equal(tb, unexplained[fmt.Sprint(totals.Currency, refund)], sums.Unexplained)
		}
	}
	require.Equal(tb, int64(len(found)), summary.Found())
	return found, summary
}

func TestEachDifferenceIsFound(t *testing.T) {
	manual := func(captured int64) func(*payment.Charge) {
		return func(c *payment.Charge) { c.CapturedAmount = captured }
	}
	as := func(status payment.Status) func(*payment.Charge) {
		return func(c *payment.Charge) { c.Status, c.CapturedAmount = status, 0 }
	}
	refundAs := func(status payment.Status) func(*payment.ListedRefund) {
		return func(r *payment.ListedRefund) { r.Status = status }
	}
	at := func(when time.Time) func(*payment.Charge) { return func(c *payment.Charge) { c.CreatedAt = when } }
	refundAt := func(when time.Time) func(*payment.ListedRefund) {
		return func(r *payment.ListedRefund) { r.CreatedAt = when }
	}
	usd := func(amount int64) payment.Money { return payment.Money{Amount: amount, Currency: "USD"} }
	type difference struct {
		kind        payment.DivergenceKind
		reason      string
		there, here payment.Money
		refund      bool
	}
	one := chargeRef("1")
	for name, tt := range map[string]struct {
		store func(s *stored)
		file  string
		want  []difference
	}{
		"the same by reference": {store: func(s *stored) { s.pay("1", 1250) }, file: row(one, "", "", "charge", "12.50", "USD", "succeeded")},
		"the same by id":        {store: func(s *stored) { s.pay("1", 1250) }, file: row("", "ch_1", "", "charge", "12.50", "USD", "succeeded")},
		"the same by payment":   {store: func(s *stored) { s.pay("1", 1250) }, file: row("order 1", "txn_1", "ch_1", "charge", "12.50", "USD", "succeeded")},
		"declined in both":      {store: func(s *stored) { s.pay("1", 1250, as(payment.Declined)) }, file: row(one, "", "", "charge", "12.50", "USD", "declined")},
		"declined there only":   {file: row("foreign", "", "", "charge", "12.50", "USD", "declined")},
		"declined here only":    {store: func(s *stored) { s.pay("1", 1250, as(payment.Declined)) }},
		"authorized here only":  {store: func(s *stored) { s.pay("1", 1250, as(payment.Authorized)) }},
		"captured in part":      {store: func(s *stored) { s.pay("1", 1250, manual(500)) }, file: row(one, "", "", "charge", "5.00", "USD", "succeeded")},
		"settled in parts": {store: func(s *stored) { s.pay("1", 1250) },
			file: row(one, "a", "", "charge", "10.00", "USD", "succeeded") + row(one, "b", "", "charge", "2.50", "USD", "succeeded")},
		"a declined attempt before": {store: func(s *stored) { s.pay("1", 1250) },
			file: row(one, "a", "", "charge", "12.50", "USD", "declined") + row(one, "b", "", "charge", "12.50", "USD", "succeeded")},
		"captured days later":  {store: func(s *stored) { s.pay("1", 1250, at(noon.AddDate(0, 0, -5))) }, file: row(one, "", "", "charge", "12.50", "USD", "succeeded")},
		"of another processor": {store: func(s *stored) { s.pay("1", 1250, func(c *payment.Charge) { c.Processor = "other" }) }},
		"before the range":     {store: func(s *stored) { s.pay("1", 1250, at(day.Add(-time.Minute))) }},

		"refund before the range": {store: func(s *stored) { s.refund(s.pay("1", 1250), "r", 400, refundAt(day.Add(-time.Minute))) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded")},
		"refunds before the range, of which one has a line": {store: func(s *stored) {
			c := s.pay("1", 1250)
			s.refund(c, "r", 400, refundAt(day.Add(-time.Minute)))
			s.refund(c, "q", 300, refundAt(day.Add(-time.Minute)))
		}, file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row(one, "", "", "refund", "4.00", "USD", "succeeded")},

		"missing here": {file: row("foreign", "ch_9", "", "charge", "12.50", "USD", "succeeded"),
			want: []difference{{kind: KindMissingHere, there: usd(1250)}}},
		"authorized there only": {file: row("foreign", "ch_9", "", "charge", "12.50", "USD", "authorized"),
			want: []difference{{kind: KindMissingHere, there: usd(0)}}},
		"missing there": {store: func(s *stored) { s.pay("1", 1250) }, want: []difference{{kind: KindMissingThere, here: usd(1250)}}},
		"near the beginning": {store: func(s *stored) { s.pay("1", 1250, at(day.Add(time.Minute))) },
			want: []difference{{kind: KindUnexplained, reason: ReasonBoundary, here: usd(1250)}}},
		"near the end": {store: func(s *stored) { s.pay("1", 1250, at(day.Add(24*time.Hour-time.Minute))) },
			want: []difference{{kind: KindUnexplained, reason: ReasonBoundary, here: usd(1250)}}},
		"another amount": {store: func(s *stored) { s.pay("1", 1250) }, file: row(one, "", "", "charge", "12.00", "USD", "succeeded"),
			want: []difference{{kind: KindAmount, there: usd(1200), here: usd(1250)}}},
		"another captured amount": {store: func(s *stored) { s.pay("1", 1250, manual(500)) }, file: row(one, "", "", "charge", "12.50", "USD", "succeeded"),
			want: []difference{{kind: KindCaptured, there: usd(1250), here: usd(500)}}},
		"another currency": {store: func(s *stored) { s.pay("1", 1250) }, file: row(one, "", "", "charge", "12.50", "EUR", "succeeded"),
			want: []difference{{kind: KindCurrency, there: payment.Money{Amount: 1250, Currency: "EUR"}, here: usd(1250)}}},
		"declined there": {store: func(s *stored) { s.pay("1", 1250) }, file: row(one, "", "", "charge", "12.50", "USD", "declined"),
			want: []difference{{kind: KindStatus, there: usd(0), here: usd(1250)}}},
		"declined here": {store: func(s *stored) { s.pay("1", 1250, as(payment.Declined)) }, file: row(one, "", "", "charge", "12.50", "USD", "succeeded"),
			want: []difference{{kind: KindStatus, there: usd(1250), here: usd(0)}}},
		"unknown here": {store: func(s *stored) { s.pay("1", 1250, as(payment.Unknown)) }, file: row(one, "", "", "charge", "12.50", "USD", "succeeded"),
			want: []difference{{kind: KindStatus, there: usd(1250), here: usd(0)}}},
		"twice": {store: func(s *stored) { s.pay("1", 1250) },
			file: row(one, "ch_8", "", "charge", "13.00", "USD", "succeeded") + row(one, "ch_1", "", "charge", "12.50", "USD", "succeeded"),
			want: []difference{{kind: KindDuplicateReference, there: usd(1300)}}},
		"unreadable": {store: func(s *stored) { s.pay("1", 1250) }, file: row(one, "", "", "charge", "x", "USD", "succeeded"),
			want: []difference{{kind: KindUnreadable, reason: `amount: "x" is not an amount: want digits, decimals after "."`, here: usd(1250)}}},
		"unreadable and of nothing": {file: row("foreign", "", "", "charge", "x", "USD", "succeeded"),
			want: []difference{{kind: KindUnreadable, reason: `amount: "x" is not an amount: want digits, decimals after "."`}}},

		"refunds by their references": {store: func(s *stored) { c := s.pay("1", 1250); s.refund(c, "r", 400); s.refund(c, "q", 400) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row(refundRef("r"), "", "", "refund", "-4.00", "USD", "succeeded") +
				row(refundRef("q"), "", "", "refund", "-4.00", "USD", "succeeded")},
		"refunds by their ids, with the payment's reference": {store: func(s *stored) { c := s.pay("1", 1250); s.refund(c, "r", 400); s.refund(c, "q", 500) },
			file: row(one, "ch_1", "", "charge", "12.50", "USD", "succeeded") + row(one, "re_r", "", "refund", "4.00", "USD", "succeeded") +
				row(one, "re_q", "", "refund", "5.00", "USD", "succeeded")},
		"refunds by the payment": {store: func(s *stored) { c := s.pay("1", 1250); s.refund(c, "r", 400); s.refund(c, "q", 500) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row(one, "", "", "refund", "5.00", "USD", "succeeded") +
				row("", "", "ch_1", "refund", "4.00", "USD", "succeeded")},
		"refunds in one line": {store: func(s *stored) { c := s.pay("1", 1250); s.refund(c, "r", 400); s.refund(c, "q", 500) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row(one, "", "", "refund", "9.00", "USD", "succeeded")},
		"refund of an old payment": {store: func(s *stored) { s.refund(s.pay("1", 1250, at(noon.AddDate(-1, 0, 0))), "r", 400) },
			file: row(one, "", "", "refund", "4.00", "USD", "succeeded")},
		"refund of an old payment by the payment's id": {store: func(s *stored) { s.refund(s.pay("1", 1250, at(noon.AddDate(-1, 0, 0))), "r", 400) },
			file: row("", "", "ch_1", "refund", "4.00", "USD", "succeeded")},
		"charge that is not read": {store: func(s *stored) { s.refund(s.pay("1", 1250, at(noon.AddDate(-1, 0, 0))), "r", 400) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row(one, "", "", "refund", "4.00", "USD", "succeeded"),
			want: []difference{{kind: KindUnexplained, reason: ReasonNotRead, there: usd(1250)}}},
		"failed refund in both": {store: func(s *stored) { s.refund(s.pay("1", 1250), "r", 400, refundAs(payment.Failed)) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row(refundRef("r"), "", "", "refund", "4.00", "USD", "failed")},

		"refund missing here": {store: func(s *stored) { s.pay("1", 1250) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row("", "re_9", "ch_1", "refund", "4.00", "USD", "succeeded"),
			want: []difference{{kind: KindRefundMissingHere, there: usd(400), refund: true}}},
		"refund and payment missing here": {file: row("", "re_9", "ch_9", "refund", "4.00", "USD", "succeeded"),
			want: []difference{{kind: KindRefundMissingHere, there: usd(400), refund: true}}},
		"refund missing there": {store: func(s *stored) { s.refund(s.pay("1", 1250), "r", 400) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded"),
			want: []difference{{kind: KindRefundMissingThere, here: usd(400), refund: true}}},
		"refund near the end": {store: func(s *stored) {
			s.refund(s.pay("1", 1250), "r", 400, refundAt(day.Add(24*time.Hour-time.Minute)))
		}, file: row(one, "", "", "charge", "12.50", "USD", "succeeded"),
			want: []difference{{kind: KindUnexplained, reason: ReasonBoundary, here: usd(400), refund: true}}},
		"another refunded amount": {store: func(s *stored) { s.refund(s.pay("1", 1250), "r", 400) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row(one, "", "", "refund", "5.00", "USD", "succeeded"),
			want: []difference{{kind: KindRefunded, there: usd(500), here: usd(400), refund: true}}},
		"another amount of a refund": {store: func(s *stored) { s.refund(s.pay("1", 1250), "r", 400) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row(refundRef("r"), "", "", "refund", "5.00", "USD", "succeeded"),
			want: []difference{{kind: KindAmount, there: usd(500), here: usd(400), refund: true}}},
		"another amount of a refund by its id": {store: func(s *stored) { s.refund(s.pay("1", 1250), "r", 400) },
			file: row(one, "ch_1", "", "charge", "12.50", "USD", "succeeded") + row(one, "re_r", "", "refund", "5.00", "USD", "succeeded"),
			want: []difference{{kind: KindAmount, there: usd(500), here: usd(400), refund: true}}},
		"refund in another currency": {store: func(s *stored) { s.refund(s.pay("1", 1250), "r", 400) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row(refundRef("r"), "", "", "refund", "4.00", "EUR", "succeeded"),
			want: []difference{{kind: KindCurrency, there: payment.Money{Amount: 400, Currency: "EUR"}, here: usd(400), refund: true}}},
		"refund failed there": {store: func(s *stored) { s.refund(s.pay("1", 1250), "r", 400) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row(refundRef("r"), "", "", "refund", "4.00", "USD", "failed"),
			want: []difference{{kind: KindRefundStatus, there: usd(0), here: usd(400), refund: true}}},
		"refund pending here": {store: func(s *stored) { s.refund(s.pay("1", 1250), "r", 400, refundAs(payment.Pending)) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row(refundRef("r"), "", "", "refund", "4.00", "USD", "succeeded"),
			want: []difference{{kind: KindRefundStatus, there: usd(400), here: usd(0), refund: true}}},
		"refund pending here, by the payment": {store: func(s *stored) { s.refund(s.pay("1", 1250), "r", 400, refundAs(payment.Pending)) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row(one, "", "", "refund", "4.00", "USD", "succeeded"),
			want: []difference{{kind: KindRefundStatus, there: usd(400), refund: true}}},
		"refund twice": {store: func(s *stored) { s.refund(s.pay("1", 1250), "r", 400) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + strings.Repeat(row(refundRef("r"), "", "", "refund", "4.00", "USD", "succeeded"), 2),
			want: []difference{{kind: KindDuplicateReference, there: usd(400), refund: true}}},
		"unreadable refund": {store: func(s *stored) { s.refund(s.pay("1", 1250), "r", 400) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row(refundRef("r"), "", "", "refund", "4.00", "ABC", "succeeded"),
			want: []difference{{kind: KindUnreadable, reason: `currency: unknown currency "ABC"`, here: usd(400), refund: true}}},
		"a charge with the reference of a refund": {store: func(s *stored) { s.refund(s.pay("1", 1250), "r", 400) },
			file: row(one, "", "", "charge", "12.50", "USD", "succeeded") + row(refundRef("r"), "", "", "charge", "4.00", "USD", "succeeded"),
			want: []difference{{kind: KindMissingHere, there: usd(400)}, {kind: KindRefundMissingThere, here: usd(400), refund: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stored{}
			if tt.store != nil {
				tt.store(s)
			}
			found, summary := compare(t, Options{
				Lines: lines(t, allHeader+tt.file), Store: s, Margin: time.Hour, Lookback: 7 * 24 * time.Hour,
			})
			var got []difference
			for _, f := range found {
				got = append(got, difference{f.Kind, f.Reason, f.MovedThere, f.MovedHere, f.Refund})
			}
			slices.SortFunc(got, func(a, b difference) int { return cmp.Compare(a.kind, b.kind) })
			require.Equal(t, tt.want, got)
			require.Equal(t, int64(strings.Count(tt.file, "\n")), summary.Lines)
		})
	}
}

func TestRangeIsThatOfTheLines(t *testing.T) {
	s := &stored{}
	for i, at := range []time.Time{day.Add(-time.Minute), day, noon, day.Add(24*time.Hour - time.Second), day.AddDate(0, 0, 1)} {
		s.pay(strconv.Itoa(i), 100, func(c *payment.Charge) { c.CreatedAt = at })
	}
	dated := func(file string) *Reader {
		r, err := NewReader(strings.NewReader("Ref,Amount,Currency,At\n"+file), mustFormat(t, "reference=Ref,amount=Amount,currency=Currency,created=At"))
		require.NoError(t, err)
		return r
	}
	o := Options{
		Lines:     dated("x,1.00,USD,2026-11-22\ny,1.00,USD,2026-11-22\n"),
		Store:     s,
		Processor: "psp", Report: func(Finding) error { return nil },
	}
	summary, err := Compare(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, day, summary.From)
	require.Equal(t, day.AddDate(0, 0, 1), summary.To, "a date is a whole day")
	require.Equal(t, map[payment.DivergenceKind]int64{KindMissingHere: 2, KindMissingThere: 3}, summary.Findings)

	o.Lines = dated("x,1.00,USD,2026-11-22\ny,1.00,USD,2026-11-23\n")
	o.To = day.AddDate(0, 0, 1)
	summary, err = Compare(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, int64(1), summary.Outside)
	require.Equal(t, map[payment.DivergenceKind]int64{KindMissingHere: 1, KindMissingThere: 3}, summary.Findings)

	o.Lines = dated("x,1.00,USD,2025-11-22\ny,1.00,USD,2025-11-23\n") // the year is misspelled here, or in the range
	o.From = day
	_, err = Compare(t.Context(), o)
	require.EqualError(t, err, "no line of the file was created from 2026-11-22T00:00:00Z to 2026-11-23T00:00:00Z: 2 lines were created outside: is the range misspelled?")

	o.Lines, o.From, o.To = dated(""), time.Time{}, time.Time{}
	_, err = Compare(t.Context(), o)
	require.ErrorIs(t, err, ErrNoRange)
	o.Lines, o.From, o.To = dated(""), noon, day
	_, err = Compare(t.Context(), o)
	require.ErrorContains(t, err, "is empty")
}

// A worker may be replaced while pages are read.
func TestPageIsReadAgainIfThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("no worker")
		o := Options{
			Lines: lines(t, allHeader), Processor: "psp", From: day, To: noon,
			Report: func(Finding) error { return nil },
		}
		o.Store = &stored{fail: []error{down, down, nil, down}}
		_, err := Compare(t.Context(), o)
		require.NoError(t, err)

		o.Lines, o.Store = lines(t, allHeader), &stored{fail: slices.Repeat([]error{down}, readAttempts)}
		_, err = Compare(t.Context(), o)
		require.ErrorIs(t, err, down)

		refused := &stored{fail: []error{payment.Refuse(payment.ErrNotAuthorized, "no")}}
		o.Lines, o.Store = lines(t, allHeader), refused
		_, err = Compare(t.Context(), o)
		require.ErrorIs(t, err, payment.ErrNotAuthorized)

		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("interrupted"))
		o.Lines, o.Store = lines(t, allHeader), &stored{fail: []error{down}}
		_, err = Compare(ctx, o)
		require.ErrorContains(t, err, "interrupted")
	})
}

func TestInterruptedComparisonLeavesNoFile(t *testing.T) {
	s := &stored{}
	for i := range 10 {
		s.pay(strconv.Itoa(i), 100)
	}
	dir, interrupted := t.TempDir(), errors.New("interrupted")
	_, err := Compare(t.Context(), Options{
		Lines: lines(t, allHeader), Store: s, Processor: "psp", From: day, To: day.AddDate(0, 0, 1), Dir: dir, Memory: 1,
		Report: func(Finding) error { return interrupted },
	})
	require.ErrorIs(t, err, interrupted)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestCardNumberInAReferenceIsNotReported(t *testing.T) {
	found, _ := compare(t, Options{
		Lines: lines(t, allHeader+row("4111111111111111", "", "", "charge", "12.50", "USD", "succeeded")), Store: &stored{},
	})
	require.Equal(t, "(looks like a card number)", found[0].There.Reference)
}

// Whatever the file and the store have, the findings explain the whole difference of each currency.
func TestTableAddsUp(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i := range 200 {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		s, file, there := randomSettlement(r)
		found, summary := compare(t, Options{
			Lines: lines(t, file), Store: s, Margin: time.Hour, Lookback: 24 * time.Hour,
			Memory: 1 + r.IntN(20_000),
		})
		for _, totals := range summary.Totals {
			require.Equal(t, there[totals.Currency+" charge"], totals.Gross.There)
			require.Equal(t, there[totals.Currency+" refund"], totals.Refunds.There)
		}
		for _, f := range found {
			require.True(t, f.There != nil || f.Here != nil)
		}
	}
}

// randomSettlement returns a store, a file that fits to it more or less, and what has moved according to the file.
func randomSettlement(r *rand.Rand) (s *stored, file string, there map[string]int64) {
	s, there = &stored{}, map[string]int64{}
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	statuses := []string{"succeeded", "succeeded", "succeeded", "declined", "pending", "failed"}
	currencies := []string{"USD", "EUR", "JPY"}
	minutes := func() time.Time { return day.Add(time.Duration(r.IntN(26*60)-60) * time.Minute) }
	rows := []string{}
	add := func(ref, id, of, kind string, amount int64, currency, status string) {
		if r.IntN(10) == 0 {
			return // the file lacks it
		}
		if r.IntN(10) == 0 {
			amount += int64(r.IntN(5))
		}
		if r.IntN(20) == 0 {
			currency = pick(currencies...)
		}
		if r.IntN(10) == 0 {
			status = pick(statuses...)
		}
		for range 1 + r.IntN(10)/9 {
			text := payment.Money{Amount: amount, Currency: currency}.Decimal()
			if r.IntN(30) == 0 {
				text = "x"
			} else if status == "succeeded" {
				there[currency+" "+kind] += amount
			}
			rows = append(rows, row(ref, id, of, kind, text, currency, status))
		}
	}
	for i := range 1 + r.IntN(30) {
		k := strconv.Itoa(i)
		c := s.pay(k, int64(r.IntN(1000)+1), func(c *payment.Charge) {
			c.Currency, c.Status, c.CreatedAt = pick(currencies...), payment.Status(pick(statuses...)), minutes()
			if c.Status != payment.Succeeded {
				c.CapturedAmount = 0
			} else if r.IntN(5) == 0 {
				c.CapturedAmount = int64(r.IntN(int(c.Amount))) + 1
			}
		})
		ids := [][3]string{{chargeRef(k), "", ""}, {"", c.ProcessorPaymentID, ""}, {"x", "", c.ProcessorPaymentID}, {"foreign", "y", "z"}}
		names := ids[r.IntN(len(ids))]
		add(names[0], names[1], names[2], "charge", cmp.Or(c.CapturedAmount, c.Amount), c.Currency, string(c.Status))
		for j := range r.IntN(4) {
			rk := fmt.Sprint(k, "-", j)
			refund := s.refund(c, rk, int64(r.IntN(20)+1), func(r *payment.ListedRefund) {
				r.Status, r.CreatedAt = payment.Status(pick(statuses...)), minutes()
			})
			ids := [][3]string{
				{refundRef(rk), "", ""}, {chargeRef(k), "", ""}, {chargeRef(k), refund.ProcessorRefundID, ""}, {"", refund.ProcessorRefundID, c.ProcessorPaymentID},
				{"", "", c.ProcessorPaymentID}, {"foreign", "", ""},
			}
			names := ids[r.IntN(len(ids))]
			add(names[0], names[1], names[2], "refund", refund.Amount, refund.Currency, string(refund.Status))
		}
	}
	r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return s, allHeader + strings.Join(rows, ""), there
}
