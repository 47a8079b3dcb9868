package main

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// request is a charge that succeeds at once, at the default processor.
func request() payment.ChargeRequest {
	return payment.ChargeRequest{MerchantID: "acme", Amount: amount, Currency: "USD", PaymentMethod: "tok_visa"}
}

// florinVariant charges with Florin: synchronously, or asynchronously like the bare variant.
func florinVariant(name string, t client.Client, synchronous bool) variant {
	return requestVariant(name, t, synchronous, request(), payment.Succeeded)
}

// requestVariant makes the request with Florin, which has to end with a status.
func requestVariant(name string, t client.Client, synchronous bool, req payment.ChargeRequest, status payment.Status) variant {
	return variant{name: name, temporal: t, charge: charging(t, florin.NewClient(t, florin.Options{}), synchronous, req, status)}
}

// charging returns a function that makes the request under a key and waits for its outcome.
func charging(
	t client.Client, payments *florin.Client, synchronous bool, req payment.ChargeRequest, status payment.Status,
) func(ctx context.Context, key string) (workflowID string, err error) {
	return func(ctx context.Context, key string) (workflowID string, err error) {
		req := req
		req.IdempotencyKey = key
		var c payment.Charge
		if synchronous {
			for c, err = payments.Charge(ctx, req); errors.Is(err, florin.ErrOutcomePending) && ctx.Err() == nil; {
				c, err = payments.Charge(ctx, req)
			}
		} else {
			c, err = startAndWait(ctx, t, payments, req)
		}
		if err != nil {
			return "", err
		}
		if c.Status != status {
			return "", fmt.Errorf("the charge is %s: want %s", c.Status, status)
		}
		return payment.ChargeWorkflowID(req.MerchantID, key), nil
	}
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
