package florin_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// attempt is one attempt to charge for an order. The service stores it before it calls Florin.
type attempt struct {
	request payment.ChargeRequest
	status  payment.Status // empty until Florin has returned one
}

// orders stands in for the service's database: the attempts of each order, oldest first.
type orders map[string][]*attempt

// pay charges for an order. It is safe to call again, whatever an earlier call returned.
func (o orders) pay(ctx context.Context, client florin.API, order, paymentMethod string) (payment.Charge, error) {
	current := o.attempt(order, paymentMethod)
	charge, err := client.Charge(ctx, current.request)
	if err != nil {
		return charge, err // the outcome is not known: the next call sends the same request under the same key
	}
	current.status = charge.Status
	return charge, nil
}

// attempt returns the latest attempt. It adds one only if the latest has provably taken no money. In a database, this is one
// transaction that locks the order and commits before Florin is called.
func (o orders) attempt(order, paymentMethod string) *attempt {
	attempts := o[order]
	if n := len(attempts); n > 0 && !tookNothing(attempts[n-1].status) {
		return attempts[n-1]
	}
	next := &attempt{request: payment.ChargeRequest{
		MerchantID:     "acme",
		IdempotencyKey: fmt.Sprintf("%s-attempt-%d", order, len(attempts)+1),
		Amount:         1250,
		Currency:       "USD",
		PaymentMethod:  paymentMethod,
	}}
	o[order] = append(attempts, next)
	return next
}

// tookNothing reports whether a status is final and means that no money was taken.
func tookNothing(status payment.Status) bool {
	switch status {
	case payment.Declined, payment.Failed, payment.Voided, payment.Expired:
		return true
	default:
		return false
	}
}

// An order may need several attempts, but must succeed only once. docs/idempotency.md quotes this code.
func Example_severalAttempts() {
	client, database := florin.NewClient(newTemporal(), florin.Options{}), orders{}
	for _, paymentMethod := range []string{"tok_insufficient_funds", "tok_visa", "tok_visa"} {
		charge, err := database.pay(context.Background(), client, "order-2001", paymentMethod)
		fmt.Println(charge.IdempotencyKey, charge.Status, err)
	}

	// A different request under a key that is in use is refused.
	changed := database["order-2001"][1].request
	changed.Amount = 1300
	_, err := client.Charge(context.Background(), changed)
	fmt.Println(errors.Is(err, florin.ErrIdempotencyMismatch))
	// Output:
	// order-2001-attempt-1 declined <nil>
	// order-2001-attempt-2 succeeded <nil>
	// order-2001-attempt-2 succeeded <nil>
	// true
}

// The digest that docs/idempotency.md describes for services in other languages.
func Example_fingerprint() {
	fmt.Println(payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1001", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
		Metadata: map[string]string{"sku": "42"},
	}.Fingerprint())
	// Output: 85d6fadc7e21a78d7c7c62b1f48fce2a6ad1fb617f79fe68817b950664636412
}
