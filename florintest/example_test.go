package florintest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/florintest"
	"github.com/florinpay/florin/payment"
)

// Shop is the service under test. It depends on florin.API: in production, that is a *florin.Client.
type Shop struct{ Payments florin.API }

// Order is an order of a customer.
type Order struct {
	ID            string
	Total         payment.Money
	PaymentMethod string
}

// Checkout charges the customer for an order. It tries once more if there is no outcome: the idempotency key is that of the order, so
// that the customer is not charged twice.
func (s Shop) Checkout(ctx context.Context, order Order) (payment.Charge, error) {
	req := payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-" + order.ID, PaymentMethod: order.PaymentMethod,
		Amount: order.Total.Amount, Currency: order.Total.Currency, Metadata: map[string]string{"order": order.ID},
	}
	charge, err := s.Payments.Charge(ctx, req)
	if errors.Is(err, florin.ErrOutcomePending) {
		charge, err = s.Payments.Charge(ctx, req)
	}
	return charge, err
}

// A unit test of a service: the customer is charged, but the service does not learn it. It tries again, and the customer has paid once.
func Example() {
	fake := florintest.New()
	shop := Shop{Payments: fake}
	fake.LoseResponse(florintest.Charge, florin.ErrOutcomePending)

	charge, err := shop.Checkout(context.Background(), Order{
		ID: "1001", Total: payment.Money{Amount: 1250, Currency: "USD"}, PaymentMethod: "tok_visa",
	})

	fmt.Println(err, charge.Status, charge.Money())
	fmt.Println("calls:", fake.Calls(florintest.Charge), "payments:", len(fake.Charges()))
	// In a test: fake.CheckNoDoubleCharge(t, byOrder)
	byOrder := func(req payment.ChargeRequest) string { return req.Metadata["order"] }
	fmt.Println("double charges:", len(fake.DoubleCharges(byOrder)))
	// Output:
	// <nil> succeeded 12.50 USD
	// calls: 2 payments: 1
	// double charges: 0
}

// The payment method selects the outcome. A decline is an outcome, not an error.
func ExampleFake_Charge() {
	fake := florintest.New()
	for _, method := range []string{"tok_visa", "tok_insufficient_funds", "tok_403", "tok_lost"} {
		charge, err := fake.Charge(context.Background(), payment.ChargeRequest{
			MerchantID: "acme", IdempotencyKey: "order-" + method, Amount: 1250, Currency: "USD", PaymentMethod: method,
		})
		fmt.Println(method, charge.Status, err)
	}
	// Output:
	// tok_visa succeeded <nil>
	// tok_insufficient_funds declined <nil>
	// tok_403 failed <nil>
	// tok_lost needs_reconciliation <nil>
}

// A pending payment stays pending until the test lets the processor decide.
func ExampleFake_Complete() {
	fake, ctx := florintest.New(), context.Background()
	charge, err := fake.Charge(ctx, payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1001", Amount: 1250, Currency: "USD", PaymentMethod: "tok_pending",
	})
	fmt.Println(charge.Status, err)

	if err := fake.Complete("acme", "order-1001", payment.Succeeded); err != nil {
		fmt.Println(err)
	}
	charge, err = fake.Wait(ctx, "acme", "order-1001")
	fmt.Println(charge.Status, err)
	// Output:
	// pending <nil>
	// succeeded <nil>
}

// A call that fails has no effect, as if Temporal could not be reached.
func ExampleFake_FailNext() {
	fake := florintest.New()
	fake.FailNext(florintest.Charge, errors.New("connection refused"))
	_, err := fake.Charge(context.Background(), payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1001", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
	})
	fmt.Println(err, len(fake.Charges()))
	// Output: connection refused 0
}

// A service that uses a new idempotency key for each attempt charges twice.
func ExampleFake_DoubleCharges() {
	fake := florintest.New()
	for _, key := range []string{"attempt-1", "attempt-2"} {
		_, _ = fake.Charge(context.Background(), payment.ChargeRequest{
			MerchantID: "acme", IdempotencyKey: key, Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
		})
	}
	for _, charges := range fake.DoubleCharges(nil) {
		for _, c := range charges {
			fmt.Println(c.IdempotencyKey, c.Status)
		}
	}
	// Output:
	// attempt-1 succeeded
	// attempt-2 succeeded
}
