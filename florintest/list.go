package florintest

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/florinpay/florin/payment"
)

const (
	defaultPageSize = 50
	maxPageSize     = 500
)

// List implements [florin.API]. Of two payments that began at the same time, the later call is the newer one.
func (f *Fake) List(ctx context.Context, filter payment.Filter) (payment.Page, error) {
	if err := filter.Validate(); err != nil {
		return payment.Page{}, err
	}
	return call(ctx, f, List, payment.ActivityListPayments, nil, func(context.Context) (payment.Page, error) {
		return f.list(filter)
	})
}

// ListRefunds implements [florin.API]. Of two refunds that began at the same time, the later call is the newer one.
func (f *Fake) ListRefunds(ctx context.Context, filter payment.RefundFilter) (payment.RefundPage, error) {
	return call(ctx, f, ListRefunds, payment.ActivityListRefunds, filter.Validate, func(context.Context) (page payment.RefundPage, err error) {
		created := func(position int) time.Time { return f.begunRefunds[position].value.CreatedAt }
		positions, next, err := newest(len(f.begunRefunds), created, filter.Cursor, filter.Limit, func(position int) bool {
			r := f.begunRefunds[position].value
			return r.Processor == filter.Processor && isCreatedWithin(r.CreatedAt, filter.CreatedFrom, filter.CreatedBefore)
		})
		if err != nil {
			return page, fmt.Errorf("workflow %s: %w", payment.ActivityListRefunds, err)
		}
		for _, position := range positions {
			r := f.begunRefunds[position]
			page.Refunds = append(page.Refunds, payment.ListedRefund{Refund: copyRefund(r.value), ProcessorPaymentID: r.of.value.ProcessorPaymentID})
		}
		page.Next = next
		return page, nil
	})
}

// newest returns the positions of a page of a list with n elements, newest first, and the cursor of the next page.
func newest(
	n int, created func(position int) time.Time, cursor string, limit int, matches func(position int) bool,
) (page []int, next string, err error) {
	positions := make([]int, n)
	for i := range positions {
		positions[i] = n - 1 - i
	}
	slices.SortStableFunc(positions, func(a, b int) int { return created(b).Compare(created(a)) })
	if cursor != "" {
		last, ok := parseCursor(cursor)
		at := slices.Index(positions, last)
		if !ok || at < 0 {
			return nil, "", payment.Refuse(payment.ErrInvalidRequest, "cursor: want Next of the previous page")
		}
		positions = positions[at+1:]
	}
	if limit <= 0 {
		limit = defaultPageSize
	}
	limit = min(limit, maxPageSize)
	for _, position := range positions {
		if !matches(position) {
			continue
		}
		if len(page) == limit {
			return page, newCursor(page[limit-1]), nil
		}
		page = append(page, position)
	}
	return page, "", nil
}

func (f *Fake) list(filter payment.Filter) (page payment.Page, err error) {
	created := func(position int) time.Time { return f.begun[position].value.CreatedAt }
	positions, next, err := newest(len(f.begun), created, filter.Cursor, filter.Limit, func(position int) bool {
		return matches(filter, f.begun[position].value)
	})
	if err != nil {
		return page, fmt.Errorf("workflow %s: %w", payment.ActivityListPayments, err)
	}
	for _, position := range positions {
		page.Payments = append(page.Payments, copyCharge(f.begun[position].value))
	}
	page.Next = next
	return page, nil
}

func matches(filter payment.Filter, c payment.Charge) bool {
	switch {
	case filter.Divergent, // the fake's processor never contradicts an outcome
		filter.MerchantID != "" && filter.MerchantID != c.MerchantID,
		len(filter.Statuses) > 0 && !slices.Contains(filter.Statuses, c.Status),
		filter.Processor != "" && filter.Processor != c.Processor,
		!isCreatedWithin(c.CreatedAt, filter.CreatedFrom, filter.CreatedBefore):
		return false
	default:
		return true
	}
}

// isCreatedWithin reports whether from <= at < before. Zero: no limit.
func isCreatedWithin(at, from, before time.Time) bool {
	return (from.IsZero() || !at.Before(from)) && (before.IsZero() || at.Before(before))
}

// newCursor returns an opaque reference to the last element of a page, which is at this position in Fake.begun or Fake.begunRefunds.
func newCursor(position int) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(position)))
}

func parseCursor(cursor string) (position int, ok bool) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return 0, false
	}
	position, err = strconv.Atoi(string(text))
	return position, err == nil
}
