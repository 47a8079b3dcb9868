package main

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// florinVariant is ours: synchronous, or asynchronous as the bare one is.
func florinVariant(name string, t client.Client, synchronous bool) variant {
	payments := florin.NewClient(t, florin.Options{})
	return variant{name: name, temporal: t, charge: func(ctx context.Context, key string) (workflowID string, err error) {
		req := payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: key, Amount: amount, Currency: "USD", PaymentMethod: "tok_visa"}
		var c payment.Charge
		if synchronous {
			c, err = payments.Charge(ctx, req)
		} else {
			c, err = startAndWait(ctx, t, payments, req)
		}
		if err != nil {
			return "", err
		}
		if c.Status != payment.Succeeded {
			return "", fmt.Errorf("it is %s", c.Status)
		}
		return payment.ChargeWorkflowID("acme", key), nil
	}}
}

// startAndWait waits for the very run that it has started, as the bare variant does.
func startAndWait(ctx context.Context, t client.Client, payments *florin.Client, req payment.ChargeRequest) (c payment.Charge, err error) {
	run, err := payments.StartCharge(ctx, req)
	if err != nil {
		return c, err
	}
	err = t.GetWorkflow(ctx, run.WorkflowID, run.RunID).Get(ctx, &c)
	return c, err
}
