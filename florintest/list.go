package florintest

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"

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

// newest returns the positions in f.begun, newest first.
func (f *Fake) newest() []int {
	positions := make([]int, len(f.begun))
	for i := range positions {
		positions[i] = len(f.begun) - 1 - i
	}
	slices.SortStableFunc(positions, func(a, b int) int { return f.begun[b].value.CreatedAt.Compare(f.begun[a].value.CreatedAt) })
	return positions
}

func (f *Fake) list(filter payment.Filter) (page payment.Page, err error) {
	positions := f.newest()
	if filter.Cursor != "" {
		last, ok := parseCursor(filter.Cursor)
		at := slices.Index(positions, last)
		if !ok || at < 0 {
			return page, fmt.Errorf("workflow %s: %w", payment.ActivityListPayments,
				payment.Refuse(payment.ErrInvalidRequest, "cursor: want Next of the previous page"))
		}
		positions = positions[at+1:]
	}
	limit := filter.Limit
	if limit <= 0 {
		limit = defaultPageSize
	}
	limit = min(limit, maxPageSize)
	for _, position := range positions {
		c := f.begun[position]
		if !matches(filter, c.value) {
			continue
		}
		if len(page.Payments) == limit {
			return page, nil
		}
		page.Payments = append(page.Payments, copyCharge(c.value))
		page.Next = newCursor(position)
	}
	page.Next = ""
	return page, nil
}

func matches(filter payment.Filter, c payment.Charge) bool {
	switch {
	case filter.Divergent, // the fake's processor never contradicts an outcome
		filter.MerchantID != "" && filter.MerchantID != c.MerchantID,
		len(filter.Statuses) > 0 && !slices.Contains(filter.Statuses, c.Status),
		filter.Processor != "" && filter.Processor != c.Processor,
		!filter.CreatedFrom.IsZero() && c.CreatedAt.Before(filter.CreatedFrom),
		!filter.CreatedBefore.IsZero() && !c.CreatedAt.Before(filter.CreatedBefore):
		return false
	default:
		return true
	}
}

// newCursor returns an opaque reference to the last payment of a page, which is at this position in Fake.begun.
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
