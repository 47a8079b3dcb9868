package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// modification captures, voids or cancels the payment of a scenario.
type modification func(context.Context, *recording) (payment.Charge, error)

// modified authorizes a payment, then executes the modifications. The payment must have the status want then.
func modified(name, about, token string, want payment.Status, modifications ...modification) scenario {
	return scenario{name: name, about: about, run: func(ctx context.Context, r *recording) error {
		if err := r.charge(ctx, r.authorization(token), payment.Authorized); err != nil {
			return err
		}
		var c payment.Charge
		for _, modify := range modifications {
			var err error
			var notExecuted *florin.NotExecutedError // what some scenarios are about
			if c, err = modify(ctx, r); err != nil && !errors.As(err, &notExecuted) {
				return err
			}
		}
		return expect(c.Status, want)
	}}
}

// capture captures an amount; 0 captures the authorized amount.
func capture(amount int64) modification {
	return func(ctx context.Context, r *recording) (payment.Charge, error) {
		req := payment.CaptureRequest{}
		if amount > 0 {
			req.Amount = &amount
		}
		return r.env.Florin.Capture(ctx, merchant, r.key, req)
	}
}

// void voids the authorization.
func void(ctx context.Context, r *recording) (payment.Charge, error) {
	return r.env.Florin.Void(ctx, merchant, r.key)
}

// cancel cancels the workflow and waits for the outcome.
func cancel(ctx context.Context, r *recording) (payment.Charge, error) {
	if err := r.env.Temporal.CancelWorkflow(ctx, r.workflowID, ""); err != nil {
		return payment.Charge{}, err
	}
	return r.waitForOutcome(ctx)
}

// captures are the scenarios of authorizations, of modifications, and of charges that expire.
var captures = []scenario{
	{
		name: "held", about: "12.50 USD are authorized, and stay authorized",
		run: func(ctx context.Context, r *recording) error {
			return r.charge(ctx, r.authorization("tok_visa"), payment.Authorized)
		},
	},
	modified("held-captured", "the authorized amount is captured", "tok_visa", payment.Succeeded, capture(0)),
	modified("held-captured-in-part", "10.00 of 12.50 USD are captured", "tok_visa", payment.Succeeded, capture(1000)),
	modified("held-voided", "the authorization is voided", "tok_visa", payment.Voided, void),
	modified("held-canceled", "the workflow is canceled, and the authorization is voided",
		"tok_visa", payment.Voided, cancel),
	modified("held-capture-lost-found", "500 to every attempt to capture, but the capture was executed: a lookup finds it",
		"tok_capture_500_after", payment.Succeeded, capture(1000)),
	modified("held-capture-retried", "500 to the capture twice, then captured",
		"tok_capture_500_twice", payment.Succeeded, capture(0)),
	modified("held-capture-declined-again", "two captures are declined, each under an idempotency key of its own; then voided",
		"tok_capture_declined", payment.Voided, capture(0), capture(1000), void),
	modified("held-capture-refused", "403 to the capture: the payment stays authorized",
		"tok_capture_403", payment.Authorized, capture(0)),
	{
		name: "held-expired", about: "neither captured nor voided in time: the authorization expires",
		run: func(ctx context.Context, r *recording) error {
			req := r.authorization("tok_visa")
			req.Processor = r.backup()
			if err := r.charge(ctx, req, payment.Authorized); err != nil {
				return err
			}
			c, err := r.waitForOutcome(ctx)
			return errors.Join(err, expect(c.Status, payment.Expired))
		},
	},
	{
		name: "charge-expired", about: "the customer does not act in time: the charge is voided and expires",
		run: func(ctx context.Context, r *recording) error {
			req := r.request("tok_requires_action")
			req.Processor = r.backup()
			if err := r.charge(ctx, req, payment.RequiresAction); err != nil {
				return err
			}
			c, err := r.waitForOutcome(ctx)
			return errors.Join(err, expect(c.Status, payment.Expired))
		},
	},
	{
		name: "charge-void-of-pending", about: "a pending charge cannot be voided; the workflow polls until it has an outcome",
		run: func(ctx context.Context, r *recording) error {
			if err := r.charge(ctx, r.request("tok_pending"), payment.Pending); err != nil {
				return err
			}
			var notExecuted *florin.NotExecutedError
			if _, err := void(ctx, r); !errors.As(err, &notExecuted) {
				return fmt.Errorf("the void of a pending charge: want a NotExecutedError, not %w", err)
			}
			c, err := r.waitForOutcome(ctx)
			return errors.Join(err, expect(c.Status, payment.Succeeded))
		},
	},
}
