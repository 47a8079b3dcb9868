package florin_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

func ExampleClient_Charge() {
	// A service creates it with client.Dial(client.Options{}).
	temporalClient := newTemporal()
	florinClient := florin.NewClient(temporalClient, florin.Options{})

	charge, err := florinClient.Charge(context.Background(), payment.ChargeRequest{
		MerchantID:     "acme",
		IdempotencyKey: "order-1001", // your name for this one purchase
		Amount:         1250,         // 12.50 USD, in minor units
		Currency:       "USD",
		PaymentMethod:  "tok_visa", // a token of the processor's vault
	})
	if err != nil {
		// There is no outcome yet, or the request is invalid. It is safe to call again with the same request.
		fmt.Println(err)
		return
	}
	fmt.Println(charge.Status, charge.Money())
	// Output: succeeded 12.50 USD
}

// A decline is an outcome, not an error.
func ExampleClient_Charge_declined() {
	florinClient := florin.NewClient(newTemporal(), florin.Options{})
	charge, err := florinClient.Charge(context.Background(), payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1002", Amount: 1250, Currency: "USD", PaymentMethod: "tok_insufficient_funds",
	})
	fmt.Println(err, charge.Status, charge.Decline.Code, charge.Decline.Kind)
	// Output: <nil> declined insufficient_funds soft
}

// If the processor's response is lost, Florin looks the payment up before it returns.
func ExampleClient_Charge_unknownOutcome() {
	florinClient := florin.NewClient(newTemporal(), florin.Options{})
	charge, err := florinClient.Charge(context.Background(), payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1003", Amount: 1250, Currency: "JPY", PaymentMethod: "tok_500_after_charge",
	})
	fmt.Println(err, charge.Status, charge.Money())
	// Output: <nil> succeeded 1250 JPY
}

// An invalid request starts nothing. The error names every invalid field.
func ExampleClient_Charge_invalid() {
	florinClient := florin.NewClient(newTemporal(), florin.Options{})
	_, err := florinClient.Charge(context.Background(), payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1004", Amount: 0, Currency: "usd", PaymentMethod: "4242 4242 4242 4242",
	})
	var invalid *payment.InvalidRequestError
	if errors.As(err, &invalid) {
		for _, field := range invalid.Fields {
			fmt.Println(field)
		}
	}
	// Output:
	// amount: 0: must be above 0, in minor units
	// currency: unknown currency "usd": want an ISO 4217 code in upper case, such as USD
	// payment_method: looks like a card number: send a token of the processor's vault instead
}

// Authorize the amount first, and capture it, or a part of it, when the goods are shipped. Void releases it.
func ExampleClient_Capture() {
	florinClient := florin.NewClient(newTemporal(), florin.Options{})
	charge, err := florinClient.Charge(context.Background(), payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1006", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
		Capture: payment.CaptureManual,
	})
	fmt.Println(err, charge.Status, charge.Money())

	charge, err = florinClient.Capture(context.Background(), "acme", "order-1006", payment.CaptureRequest{
		Amount: new(int64(1000)), // nil: the whole authorized amount
	})
	// err is a *florin.NotExecutedError if the processor declined the capture: the payment is still authorized then.
	fmt.Println(err, charge.Status, payment.Money{Amount: charge.CapturedAmount, Currency: charge.Currency})
	// Output:
	// <nil> authorized 12.50 USD
	// <nil> succeeded 10.00 USD
}

func ExampleClient_Refund() {
	florinClient := florin.NewClient(newTemporal(), florin.Options{})
	charge, err := florinClient.Charge(context.Background(), payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1005", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	refund, err := florinClient.Refund(context.Background(), payment.RefundRequest{
		MerchantID:     "acme",
		IdempotencyKey: "refund-2001",
		PaymentID:      charge.PaymentID,
		Amount:         new(int64(500)), // nil: all that is left
	})
	fmt.Println(err, refund.Status, refund.Money())
	// Output: <nil> succeeded 5.00 USD
}

// ParseMoney converts a decimal amount to minor units, without floating point.
func ExampleClient_Charge_amount() {
	for _, amount := range [][2]string{{"12.50", "USD"}, {"1250", "JPY"}, {"1.250", "BHD"}, {"12.505", "USD"}} {
		money, err := payment.ParseMoney(amount[0], amount[1])
		fmt.Println(money.Amount, err)
	}
	// Output:
	// 1250 <nil>
	// 1250 <nil>
	// 1250 <nil>
	// 0 amount "12.505" has 3 decimals but USD has 2: rounding it would change the sum
}
