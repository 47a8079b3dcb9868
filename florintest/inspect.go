package florintest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/florinpay/florin/payment"
)

// Calls returns how often a method was called, including the calls that failed.
func (f *Fake) Calls(m Method) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[m]
}

// Charges returns the current state of all payments, oldest first: one for each idempotency key of a merchant, whatever its status.
// Requests that were refused are not among them.
func (f *Fake) Charges() []payment.Charge {
	f.mu.Lock()
	defer f.mu.Unlock()
	var charges []payment.Charge
	for _, c := range f.begun {
		charges = append(charges, copyCharge(c.value))
	}
	return charges
}

// ChargeRequests returns the requests of [Fake.Charges], in the same order. They have what a payment does not, such as the metadata.
func (f *Fake) ChargeRequests() []payment.ChargeRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	var requests []payment.ChargeRequest
	for _, c := range f.begun {
		requests = append(requests, copyRequest(c.req))
	}
	return requests
}

func copyRequest(r payment.ChargeRequest) payment.ChargeRequest {
	r.Metadata = maps.Clone(r.Metadata)
	return r
}

// Refunds returns the current state of all refunds, oldest first, as [Fake.Charges] does.
func (f *Fake) Refunds() []payment.Refund {
	f.mu.Lock()
	defer f.mu.Unlock()
	var refunds []payment.Refund
	for _, r := range f.begunRefunds {
		refunds = append(refunds, copyRefund(r.value))
	}
	return refunds
}

// RefundRequests returns the requests of [Fake.Refunds], in the same order.
func (f *Fake) RefundRequests() []payment.RefundRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	var requests []payment.RefundRequest
	for _, r := range f.begunRefunds {
		req := r.req
		req.Amount, req.Metadata = clone(req.Amount), maps.Clone(req.Metadata)
		requests = append(requests, req)
	}
	return requests
}

// DoubleCharges returns the payments of each purchase for which the customer paid, or may have paid, more than once: the service charged
// it under different idempotency keys. Payments that are declined, failed, voided or expired do not count, refunded ones do.
//
// purchase returns what a request pays for, such as its Metadata["order"]. An empty string excludes the request. A nil purchase
// means that two requests of one merchant pay for the same purchase if they differ only in their idempotency keys.
func (f *Fake) DoubleCharges(purchase func(payment.ChargeRequest) string) [][]payment.Charge {
	if purchase == nil {
		purchase = withoutKey
	}
	var order []string
	paid := map[string][]payment.Charge{}
	charges, requests := f.Charges(), f.ChargeRequests() // purchase may call the fake: it must not be locked
	for i, c := range charges {
		switch c.Status {
		case payment.Declined, payment.Failed, payment.Voided, payment.Expired:
			continue
		default:
		}
		name := purchase(requests[i])
		if name == "" {
			continue
		}
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
		paid[name] = append(paid[name], c)
	}
	var double [][]payment.Charge
	for _, name := range order {
		if len(paid[name]) > 1 {
			double = append(double, paid[name])
		}
	}
	return double
}

func withoutKey(r payment.ChargeRequest) string {
	r.IdempotencyKey = ""
	return r.Fingerprint()
}

// TestingT is what [Fake.CheckNoDoubleCharge] needs of a [*testing.T].
type TestingT interface {
	Helper()
	Errorf(format string, args ...any)
}

// CheckNoDoubleCharge fails the test if [Fake.DoubleCharges] returns a purchase. It reports whether there is none.
func (f *Fake) CheckNoDoubleCharge(t TestingT, purchase func(payment.ChargeRequest) string) bool {
	t.Helper()
	double := f.DoubleCharges(purchase)
	for _, charges := range double {
		keys := make([]string, len(charges))
		for i, c := range charges {
			keys[i] = fmt.Sprintf("%q (%s)", c.IdempotencyKey, c.Status)
		}
		t.Errorf("one purchase of merchant %q for %s was charged %d times, under the idempotency keys %s: want one key for one purchase",
			charges[0].MerchantID, charges[0].Money(), len(charges), strings.Join(keys, ", "))
	}
	return len(double) == 0
}
