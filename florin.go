// Package florin is what a service imports to charge and refund customers, exactly once, whatever fails on
// the way:
//
//	florinClient := florin.NewClient(temporalClient, florin.Options{})
//	charge, err := florinClient.Charge(ctx, payment.ChargeRequest{
//		MerchantID: "acme", IdempotencyKey: "order-1001", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
//	})
//
// The types are in package payment. The work is done by cmd/worker.
package florin
