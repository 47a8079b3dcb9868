package store

import (
	"context"
	"encoding/base64"
	"fmt"
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

// openPayments must repeat the condition of the index payments_open literally: SQLite uses a partial index only for a query
// that contains its condition.
const openPayments = `status IN ('processing', 'requires_action', 'pending', 'authorized', 'unknown', 'needs_reconciliation', 'conflicted')`

var openStatuses = map[payment.Status]bool{
	payment.Processing: true, payment.RequiresAction: true, payment.Pending: true, payment.Authorized: true,
	payment.Unknown: true, payment.NeedsReconciliation: true, payment.Conflicted: true,
}

// Payments returns a page of payments, ordered by creation time and then by id, both descending. A caller that follows
// [Page].Next gets every payment that existed when it read the first page once; payments that begin later are not on later
// pages. Payments returns ErrInvalid for an invalid cursor or an unknown status.
func (s *Store) Payments(ctx context.Context, f Filter) (Page, error) {
	page, err := s.payments(ctx, f)
	return page, s.wrap(err, "list payments")
}

func (s *Store) payments(ctx context.Context, f Filter) (page Page, err error) {
	limit := f.Limit
	switch {
	case limit <= 0:
		limit = defaultPageSize
	case limit > maxPageSize:
		limit = maxPageSize
	}
	statement, args, err := pageQuery(f, limit+1) // one more, in order to know whether there is a next page
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

// pageQuery returns the statement for a filter, and its arguments.
func pageQuery(f Filter, limit int) (string, []any, error) {
	var conditions []string
	var args []any
	arg := func(value any) string {
		args = append(args, value)
		return fmt.Sprintf("$%d", len(args))
	}
	if f.MerchantID != "" {
		conditions = append(conditions, "merchant_id = "+arg(f.MerchantID))
	}
	if len(f.Statuses) > 0 {
		placeholders, allOpen := make([]string, len(f.Statuses)), true
		for i, status := range f.Statuses {
			if _, known := payment.PaymentTransitions[status]; !known {
				return "", nil, fmt.Errorf("%w: unknown status %q", ErrInvalid, status)
			}
			placeholders[i], allOpen = arg(string(status)), allOpen && openStatuses[status]
		}
		conditions = append(conditions, "status IN ("+strings.Join(placeholders, ", ")+")")
		if allOpen {
			conditions = append(conditions, openPayments)
		}
	}
	if f.Processor != "" {
		conditions = append(conditions, "processor = "+arg(f.Processor))
	}
	if !f.CreatedFrom.IsZero() {
		conditions = append(conditions, "created_at >= "+arg(formatTime(f.CreatedFrom)))
	}
	if !f.CreatedBefore.IsZero() {
		conditions = append(conditions, "created_at < "+arg(formatTime(f.CreatedBefore)))
	}
	if f.Cursor != "" {
		at, id, err := parseCursor(f.Cursor)
		if err != nil {
			return "", nil, err
		}
		conditions = append(conditions, "(created_at, payment_id) < ("+arg(at)+", "+arg(id)+")")
	}
	statement := selectPayment
	if len(conditions) > 0 {
		statement += "WHERE " + strings.Join(conditions, " AND ")
	}
	return statement + " ORDER BY created_at DESC, payment_id DESC LIMIT " + arg(limit), args, nil
}

// newCursor returns an opaque reference to the last payment of a page.
func newCursor(createdAt time.Time, paymentID string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(formatTime(createdAt) + " " + paymentID))
}

func parseCursor(cursor string) (at, paymentID string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	at, paymentID, found := strings.Cut(string(text), " ")
	if err == nil {
		_, err = time.Parse(timeLayout, at)
	}
	if err != nil || !found || clean(paymentID, maxProcessorID) != paymentID {
		return "", "", fmt.Errorf("%w: cursor: want Next of the previous page", ErrInvalid)
	}
	return at, paymentID, nil
}
