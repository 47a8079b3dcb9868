package main

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/telemetry"
	"github.com/florinpay/florin/payment"
)

// newFlorin is a variant of ours: synchronous, or asynchronous as the bare one is. told may be nil.
func newFlorin(name string, t client.Client, config app.Config, told *telemetry.Telemetry, synchronous bool) variant {
	payments := florin.NewClient(t, florin.Options{})
	request := func(key string) payment.ChargeRequest {
		return payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: key, Amount: amount, Currency: "USD", PaymentMethod: "tok_visa"}
	}
	return variant{
		name: name,
		start: func(ctx context.Context) (func(), error) {
			workers, err := app.NewWorkers(ctx, t, config, zap.NewNop(), told)
			if err != nil {
				return nil, err
			}
			return workers.Stop, workers.Start()
		},
		charge: func(ctx context.Context, key string) (workflowID string, err error) {
			var c payment.Charge
			if synchronous {
				c, err = payments.Charge(ctx, request(key))
			} else {
				c, err = startAndWait(ctx, t, payments, request(key))
			}
			if err != nil {
				return "", err
			}
			if c.Status != payment.Succeeded {
				return "", fmt.Errorf("it is %s", c.Status)
			}
			return payment.ChargeWorkflowID("acme", key), nil
		},
	}
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
