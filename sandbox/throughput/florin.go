package main

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// florinVariant charges with Florin: synchronously, or asynchronously like the bare variant.
func florinVariant(name string, t client.Client, synchronous bool) variant {
	payments := florin.NewClient(t, florin.Options{})
	return variant{name: name, temporal: t, charge: func(ctx context.Context, key string) (workflowID string, err error) {
		req := payment.ChargeRequest{
			MerchantID: "acme", IdempotencyKey: key, Amount: amount, Currency: "USD", PaymentMethod: "tok_visa",
		}
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
			return "", fmt.Errorf("the charge is %s: want succeeded", c.Status)
		}
		return payment.ChargeWorkflowID("acme", key), nil
	}}
}

// startAndWait starts a charge and waits for the run that it started, like the bare variant.
func startAndWait(
	ctx context.Context, t client.Client, payments *florin.Client, req payment.ChargeRequest,
) (c payment.Charge, err error) {
	run, err := payments.StartCharge(ctx, req)
	if err != nil {
		return c, err
	}
	err = t.GetWorkflow(ctx, run.WorkflowID, run.RunID).Get(ctx, &c)
	return c, err
}
