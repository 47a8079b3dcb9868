package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/florinpay/florin/payment"
)

// Filter is that of package payment.
type Filter = payment.Filter

// Page is that of package payment.
type Page = payment.Page

const (
	defaultPage = 50
	maxPage     = 500
)

// openPayments is the condition of the index payments_open, to the letter: SQLite uses an index of some rows only for a
// query that repeats its condition.
const openPayments = `status IN ('processing', 'requires_action', 'pending', 'authorized', 'unknown', 'needs_reconciliation', 'conflicted')`

var openStatuses = map[payment.Status]bool{
	payment.Processing: true, payment.RequiresAction: true, payment.Pending: true, payment.Authorized: true,
	payment.Unknown: true, payment.NeedsReconciliation: true, payment.Conflicted: true,
}

// Payments returns a page of payments, newest first and those of one moment by their ids. Payments that begin while a
// caller pages are not on later pages, and none is there twice or missing. ErrInvalid: a cursor or status that is none.
func (s *Store) Payments(ctx context.Context, f Filter) (Page, error) {
	page, err := s.payments(ctx, f)
	return page, s.fail(err, "list payments")
}

func (s *Store) payments(ctx context.Context, f Filter) (page Page, err error) {
	limit := f.Limit
	switch {
	case limit <= 0:
		limit = defaultPage
	case limit > maxPage:
		limit = maxPage
	}
	statement, args, err := query(f, limit+1)
	if err != nil {
		return page, err
	}
	err = s.read().each(ctx, statement, args, func(row scanner) error {
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
		page.Next = cursor(last.CreatedAt, last.PaymentID)
	}
	return page, nil
}

func query(f Filter, limit int) (string, []any, error) {
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
		places, open := make([]string, len(f.Statuses)), true
		for i, status := range f.Statuses {
			if _, known := payment.PaymentTransitions[status]; !known {
				return "", nil, fmt.Errorf("%w: unknown status %q", ErrInvalid, status)
			}
			places[i], open = arg(string(status)), open && openStatuses[status]
		}
		conditions = append(conditions, "status IN ("+strings.Join(places, ", ")+")")
		if open {
			conditions = append(conditions, openPayments)
		}
	}
	if f.Processor != "" {
		conditions = append(conditions, "processor = "+arg(f.Processor))
	}
	if !f.CreatedFrom.IsZero() {
		conditions = append(conditions, "created_at >= "+arg(moment(f.CreatedFrom)))
	}
	if !f.CreatedBefore.IsZero() {
		conditions = append(conditions, "created_at < "+arg(moment(f.CreatedBefore)))
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

// cursor names the last payment of a page.
func cursor(createdAt time.Time, paymentID string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(moment(createdAt) + " " + paymentID))
}

func parseCursor(cursor string) (at, paymentID string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	at, paymentID, found := strings.Cut(string(text), " ")
	if err == nil {
		_, err = time.Parse(timeLayout, at)
	}
	if err != nil || !found || clean(paymentID, maxProcessorID) != paymentID {
		return "", "", fmt.Errorf("%w: cursor: want the Next of the page before", ErrInvalid)
	}
	return at, paymentID, nil
}
