package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// side is one of two databases that are compared.
type side struct {
	corpus
	store *store.Store
	// begun are payments to persist. last is the number of the newest payment.
	begun []payment.Charge
	last  int
	// refunded is a payment with many refunds.
	refunded payment.Charge
}

// operation is a call that is measured. It returns the number of rows of a list.
type operation struct {
	name string
	list bool
	// cold reports whether the rows are hardly ever in the database's memory on the large side, so that the ratio is that of the machine.
	cold bool
	call func(ctx context.Context, s *side) (rows int, err error)
}

// manyRefunds is the number of refunds of a payment that is refunded once more.
const manyRefunds = 1000

func operations() []operation {
	write := func(call func(context.Context, *side) error) func(context.Context, *side) (int, error) {
		return func(ctx context.Context, s *side) (int, error) { return 0, call(ctx, s) }
	}
	var lists []operation
	open := slices.DeleteFunc(allStatuses(), payment.Status.Final)
	for _, merchant := range []string{"", bigMerchant, rareMerchant} {
		for _, processor := range []string{"", "acme", retiredProcessor} {
			for name, statuses := range map[string][]payment.Status{
				"": nil, "succeeded": {payment.Succeeded}, "expired": {payment.Expired}, "open": open,
			} {
				name = strings.Join(strings.Fields("list "+merchant+" "+processor+" "+name), " ")
				lists = append(lists, listOf(name, payment.Filter{MerchantID: merchant, Processor: processor, Statuses: statuses})...)
			}
		}
	}
	lists = append(lists, listOf("list divergent", payment.Filter{Divergent: true})...)
	slices.SortFunc(lists, func(a, b operation) int { return strings.Compare(a.name, b.name) })
	return append([]operation{
		{name: "begin", call: write(begin)},
		{name: "persist", call: write(persist)},
		{name: "get one of the last 10000", call: write(func(ctx context.Context, s *side) error {
			return get(ctx, s, s.size-1-rand.IntN(10_000)) //nolint:gosec // not a secret
		})},
		{name: "get any", cold: true, call: write(func(ctx context.Context, s *side) error {
			return get(ctx, s, rand.IntN(s.size)) //nolint:gosec // not a secret
		})},
		{name: fmt.Sprintf("refund, the first ones, and after %d others", manyRefunds), call: write(refund)},
		{name: "count the backlog", call: func(ctx context.Context, s *side) (int, error) {
			backlog, err := s.store.Backlog(ctx)
			total := 0
			for _, b := range backlog {
				total += int(b.Count)
			}
			return total, err
		}},
	}, lists...)
}

func allStatuses() (statuses []payment.Status) {
	for status := range payment.PaymentTransitions {
		statuses = append(statuses, status)
	}
	return statuses
}

// listOf returns the operations that read the first page for a filter, one of a time range in the middle, and the last page. The time
// ranges have 100 payments in total.
func listOf(name string, f payment.Filter) []operation {
	read := func(change func(s *side, f *payment.Filter)) func(ctx context.Context, s *side) (int, error) {
		return func(ctx context.Context, s *side) (int, error) {
			f := f
			change(s, &f)
			page, err := s.store.Payments(ctx, f)
			return len(page.Payments), err
		}
	}
	return []operation{
		{name: name + ", 1 first page", list: true, call: read(func(*side, *payment.Filter) {})},
		{name: name + ", 2 time range", list: true, call: read(func(s *side, f *payment.Filter) {
			f.CreatedFrom, f.CreatedBefore = s.row(s.size/2-50).createdAt, s.row(s.size/2+50).createdAt
		})},
		{name: name + ", 3 last page", list: true, call: read(func(s *side, f *payment.Filter) {
			f.CreatedBefore = s.row(100).createdAt
		})},
	}
}

func begin(ctx context.Context, s *side) error {
	s.last++
	now := time.Now()
	key := fmt.Sprintf("order-%d", s.last)
	c, _, err := s.store.BeginPayment(ctx, payment.Charge{
		PaymentID: payment.PaymentID(bigMerchant, key), MerchantID: bigMerchant, IdempotencyKey: key, Status: payment.Processing,
		Amount: amount, Currency: "EUR", Processor: "acme", PaymentMethod: "tok_" + key, CreatedAt: now, UpdatedAt: now,
	}, fingerprint)
	s.begun = append(s.begun, c)
	return err
}

func succeeded(c payment.Charge) payment.Charge {
	c.Status, c.CapturedAmount, c.UpdatedAt = payment.Succeeded, c.Amount, time.Now()
	c.ProcessorPaymentID, c.ProcessorRequestID = "ch_"+c.IdempotencyKey, "req_"+c.IdempotencyKey
	return c
}

var byProcessor = store.Cause{By: "processor"}

func persist(ctx context.Context, s *side) error {
	c := s.begun[0]
	s.begun = s.begun[1:]
	_, err := s.store.RecordPayment(ctx, succeeded(c), byProcessor)
	return err
}

func get(ctx context.Context, s *side, n int) error {
	r := s.row(n)
	_, err := s.store.PaymentByID(ctx, r.merchant, r.id)
	return err
}

// refund reserves and settles a refund of a payment that has many.
func refund(ctx context.Context, s *side) error {
	s.last++
	key := fmt.Sprintf("refund-%d", s.last)
	r, _, _, err := s.store.ReserveRefund(ctx, payment.Refund{
		RefundID: payment.RefundID(bigMerchant, key), PaymentID: s.refunded.PaymentID, MerchantID: bigMerchant, IdempotencyKey: key, Amount: 1,
	}, fingerprint)
	if err != nil {
		return err
	}
	r.Status, r.ProcessorRefundID = payment.Succeeded, "re_"+key
	_, err = s.store.SettleRefund(ctx, r, byProcessor)
	return err
}

// prepare stores what the operations need: a payment with many refunds on the large side, and divergences.
func (s *side) prepare(ctx context.Context, large bool) error {
	s.last = s.size
	if err := begin(ctx, s); err != nil {
		return err
	}
	s.refunded, s.begun = s.begun[0], nil
	if _, err := s.store.RecordPayment(ctx, succeeded(s.refunded), byProcessor); err != nil {
		return err
	}
	if large {
		for range manyRefunds {
			if err := refund(ctx, s); err != nil {
				return err
			}
		}
	}
	for n := range 100 {
		r := s.row(n * s.size / 100)
		_, err := s.store.RecordDivergence(ctx, payment.Divergence{
			PaymentID: r.id, MerchantID: r.merchant, Kind: payment.DivergenceDispute, StatusHere: r.status, StatusThere: "disputed", DetectedBy: "processor",
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// times are the durations of the calls of an operation on one side, in ascending order, and the number of rows of the last one.
type times struct {
	sorted []time.Duration
	rows   int
}

// measure makes a number of calls on each side in every round, in a random order, so that other load on the machine affects both.
func measure(ctx context.Context, of operation, sides []*side, s size) ([]times, error) {
	measured := make([]times, len(sides))
	for round := range s.rounds + 1 {
		for _, i := range rand.Perm(len(sides)) { //nolint:gosec // not a secret
			for range s.calls {
				began := time.Now()
				rows, err := of.call(ctx, sides[i])
				if err != nil {
					return nil, fmt.Errorf("%s: %w", of.name, err)
				}
				if round > 0 { // the first round fills caches
					measured[i].sorted = append(measured[i].sorted, time.Since(began))
				}
				measured[i].rows = rows
			}
		}
	}
	for i := range measured {
		slices.Sort(measured[i].sorted)
	}
	return measured, nil
}

// percentile returns the value in milliseconds below which a share of the durations are.
func (t times) percentile(share float64) float64 {
	d := t.sorted[min(int(share*float64(len(t.sorted))), len(t.sorted)-1)]
	return float64(d) / float64(time.Millisecond)
}
