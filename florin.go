// Package florin is what a service imports to charge and refund customers, exactly once, whatever fails on the way:
//
//	florinClient := florin.NewClient(temporalClient, florin.Options{})
//	charge, err := florinClient.Charge(ctx, payment.ChargeRequest{
//		MerchantID: "acme", IdempotencyKey: "order-1001", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
//	})
//
// Requests, results and statuses are in package payment. A worker executes them: cmd/worker, or a binary of your own built on
// package worker. A service depends on neither: this package needs only the Temporal client. docs/idempotency.md explains how to
// choose idempotency keys; package florintest has a fake for unit tests.
package florin

import (
	"context"

	"github.com/florinpay/florin/payment"
)

// API is what a service uses of a [Client]. Depend on it to test with the fake of package florintest.
type API interface {
	Charge(ctx context.Context, req payment.ChargeRequest) (payment.Charge, error)
	StartCharge(ctx context.Context, req payment.ChargeRequest) (Run, error)
	Capture(ctx context.Context, merchantID, idempotencyKey string, req payment.CaptureRequest) (payment.Charge, error)
	Void(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error)
	Get(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error)
	Wait(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error)
	List(ctx context.Context, f payment.Filter) (payment.Page, error)
	Resolve(ctx context.Context, merchantID, idempotencyKey string, r payment.Resolution) (payment.Charge, error)

	Refund(ctx context.Context, req payment.RefundRequest) (payment.Refund, error)
	StartRefund(ctx context.Context, req payment.RefundRequest) (Run, error)
	GetRefund(ctx context.Context, merchantID, idempotencyKey string) (payment.Refund, error)
	WaitRefund(ctx context.Context, merchantID, idempotencyKey string) (payment.Refund, error)
	ListRefunds(ctx context.Context, f payment.RefundFilter) (payment.RefundPage, error)
	ResolveRefund(ctx context.Context, merchantID, idempotencyKey string, r payment.Resolution) (payment.Refund, error)
}

var _ API = (*Client)(nil)
