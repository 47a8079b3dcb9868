package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/florinpay/florin/payment"
)

// Filter is [payment.Filter].
type Filter = payment.Filter

// Page is [payment.Page].
type Page = payment.Page

const (
	defaultPageSize = 50
	maxPageSize     = 500
)

// pageSize returns the size of a page for the limit of a filter.
func pageSize(limit int) int {
	if limit <= 0 {
		return defaultPageSize
	}
	return min(limit, maxPageSize)
}

// Payments returns a page of payments, ordered by creation time and then by id, both descending. A caller that follows
// [Page].Next gets every payment that existed when it read the first page once; payments that begin later are not on later
// pages. Payments returns ErrInvalid for an invalid filter.
func (s *Store) Payments(ctx context.Context, f Filter) (Page, error) {
	page, err := s.payments(ctx, f)
	return page, s.wrap(err, "list payments")
}

func (s *Store) payments(ctx context.Context, f Filter) (page Page, err error) {
	if err := f.Validate(); err != nil {
		return page, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	limit := pageSize(f.Limit)
	statement, args, err := s.dialect.pageQuery(f, limit+1) // one more, in order to know whether there is a next page
	if err != nil {
		return page, err
	}
	err = s.read().queryEach(ctx, statement, args, func(row scanner) error {
		var p paymentRow
		err := row.Scan(p.fields()...)
		page.Payments = append(page.Payments, p.Charge)
		return err
	})
	if err != nil {
		return Page{}, err
	}
	if len(page.Payments) > limit {
		page.Payments = page.Payments[:limit]
		last := page.Payments[limit-1]
		page.Next = newCursor(last.CreatedAt, last.PaymentID)
	}
	return page, nil
}

// RefundsAt returns a page of the refunds at a processor, as Payments does.
func (s *Store) RefundsAt(ctx context.Context, f payment.RefundFilter) (payment.RefundPage, error) {
	page, err := s.refundsAt(ctx, f)
	return page, s.wrap(err, "list refunds")
}

func (s *Store) refundsAt(ctx context.Context, f payment.RefundFilter) (page payment.RefundPage, err error) {
	if err := f.Validate(); err != nil {
		return page, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	limit := pageSize(f.Limit)
	statement, args, err := refundPageQuery(f, limit+1)
	if err != nil {
		return page, err
	}
	err = s.read().queryEach(ctx, statement, args, func(row scanner) error {
		var r refundRow
		var processorPaymentID string
		err := row.Scan(append(r.fields(), optional{&processorPaymentID})...)
		page.Refunds = append(page.Refunds, payment.ListedRefund{Refund: r.Refund, ProcessorPaymentID: processorPaymentID})
		return err
	})
	if err != nil {
		return payment.RefundPage{}, err
	}
	if len(page.Refunds) > limit {
		page.Refunds = page.Refunds[:limit]
		last := page.Refunds[limit-1]
		page.Next = newCursor(last.CreatedAt, last.RefundID)
	}
	return page, nil
}

// refundPageQuery returns the statement for a filter, and its arguments. refunds_of_processor has the order of the list, so that a page reads as many
// refunds as it has. The payments are found by their ids.
func refundPageQuery(f payment.RefundFilter, limit int) (string, []any, error) {
	var where conditions
	where.add("processor = %s", f.Processor)
	if err := where.created("refund_id", f.CreatedFrom, f.CreatedBefore, f.Cursor); err != nil {
		return "", nil, err
	}
	return selectListedRefunds + where.clause() + " ORDER BY created_at DESC, refund_id DESC LIMIT " + strconv.Itoa(limit), where.args, nil
}

// selectListedRefunds reads refunds, and the processor's ids of their payments.
const selectListedRefunds = `SELECT ` + refundColumns + `, fingerprint,
	(SELECT processor_payment_id FROM payments WHERE payments.payment_id = refunds.payment_id) FROM refunds `

const (
	newestFirst = " ORDER BY created_at DESC, payment_id DESC LIMIT "

	// selectDivergentPayments reads the payments with an open divergence before anything else selects among them or sorts them: without
	// MATERIALIZED, PostgreSQL may read all payments in the order of the list, in search of divergent ones.
	selectDivergentPayments = `WITH divergent AS MATERIALIZED (` + selectPayment + `
			WHERE payment_id IN (SELECT payment_id FROM divergences WHERE ` + openDivergences + `))
		SELECT * FROM divergent `
)

// pageQuery returns the statement for a filter, and its arguments. It reads few more rows than the page has, however many payments
// there are; with f.Divergent, it reads each payment that has an open divergence. The limit is part of the text, because PostgreSQL plans
// the statement once, for any arguments.
func (d dialect) pageQuery(f Filter, limit int) (string, []any, error) {
	var where conditions
	if err := where.created("payment_id", f.CreatedFrom, f.CreatedBefore, f.Cursor); err != nil {
		return "", nil, err
	}
	newest := newestFirst + strconv.Itoa(limit)
	key, values := listKeys(f)
	if f.Divergent {
		where.add(key+" IN ("+strings.Repeat("%s, ", len(values)-1)+"%s)", values...)
		return selectDivergentPayments + where.clause() + newest, where.args, nil
	}
	// An index has the order of a list for one value of the key. The lists of several are merged, and read only as far as they are needed.
	var each []string
	for _, value := range values {
		of := where.with(key+" = %s", value)
		each = append(each, fmt.Sprintf(d.list, selectPayment+of.clause(), newest))
		where.args = of.args
	}
	return strings.Join(each, " UNION ALL ") + newest, where.args, nil
}

// listKeys returns the expression with which the index for a filter begins, and the values of it that the filter selects: one for each
// status. The values are unambiguous because a valid merchant, processor or status has no slash.
func listKeys(f Filter) (expression string, values []any) {
	statuses := f.Statuses
	if len(statuses) == 0 {
		statuses = slices.Collect(maps.Keys(payment.PaymentTransitions))
	}
	var prefix string
	if f.MerchantID != "" {
		expression, prefix = "merchant_id || '/' || ", f.MerchantID+"/"
	}
	if f.Processor != "" {
		expression, prefix = expression+"processor || '/' || ", prefix+f.Processor+"/"
	}
	for _, status := range slices.Compact(slices.Sorted(slices.Values(statuses))) {
		values = append(values, prefix+string(status))
	}
	return expression + "status", values
}

// conditions is the WHERE clause of a list, and its arguments.
type conditions struct {
	all  []string
	args []any
}

// add adds a condition. Each %s in it becomes the placeholder of an argument.
func (c *conditions) add(condition string, args ...any) {
	placeholders := make([]any, len(args))
	for i, value := range args {
		placeholders[i] = c.arg(value)
	}
	c.all = append(c.all, fmt.Sprintf(condition, placeholders...))
}

// created adds the conditions for a range of time and a cursor. id is the column with which the cursor ends. At most one of them is an upper
// limit, the lower one: of two, the database could begin to read at the higher one, and so read all pages before this one.
func (c *conditions) created(id string, from, before time.Time, cursor string) error {
	if !from.IsZero() {
		c.add("created_at >= %s", formatTime(from))
	}
	if cursor != "" {
		at, last, err := parseCursor(cursor)
		if err != nil {
			return err
		}
		if before.IsZero() || at < formatTime(before) {
			c.add("(created_at, "+id+") < (%s, %s)", at, last)
			return nil
		}
	}
	if !before.IsZero() {
		c.add("created_at < %s", formatTime(before))
	}
	return nil
}

// with returns c and one more condition.
func (c *conditions) with(condition string, args ...any) conditions {
	more := conditions{all: slices.Clone(c.all), args: slices.Clone(c.args)}
	more.add(condition, args...)
	return more
}

// arg adds an argument and returns its placeholder.
func (c *conditions) arg(value any) string {
	c.args = append(c.args, value)
	return fmt.Sprintf("$%d", len(c.args))
}

// clause returns the conditions as a WHERE clause; empty if there are none.
func (c *conditions) clause() string {
	if len(c.all) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(c.all, " AND ")
}

// newCursor returns an opaque reference to the last row of a page.
func newCursor(at time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(formatTime(at) + " " + id))
}

func parseCursor(cursor string) (at, id string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	at, id, found := strings.Cut(string(text), " ")
	if err == nil {
		_, err = time.Parse(timeLayout, at)
	}
	if err != nil || !found || clean(id, maxProcessorID) != id {
		return "", "", fmt.Errorf("%w: cursor: want Next of the previous page", ErrInvalid)
	}
	return at, id, nil
}
