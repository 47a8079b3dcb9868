package main

import (
	"context"
	"errors"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// order holds money and gives orders, the last of which leaves the payment like this.
func order(name, shows, token string, want payment.Status, orders ...func(context.Context, *recording) (payment.Charge, error)) scenario {
	return scenario{name: name, shows: shows, run: func(ctx context.Context, r *recording) error {
		if err := r.charge(ctx, r.held(token), payment.Authorized); err != nil {
			return err
		}
		var c payment.Charge
		for _, give := range orders {
			var err error
			if c, err = give(ctx, r); err != nil {
				return err
			}
		}
		return expect(c.Status, want)
	}}
}

func capture(amount int64) func(context.Context, *recording) (payment.Charge, error) {
	return func(ctx context.Context, r *recording) (payment.Charge, error) {
		req := payment.CaptureRequest{}
		if amount > 0 {
			req.Amount = &amount
		}
		return r.env.Florin.Capture(ctx, merchant, r.key, req)
	}
}

func void(ctx context.Context, r *recording) (payment.Charge, error) {
	return r.env.Florin.Void(ctx, merchant, r.key)
}

func cancel(ctx context.Context, r *recording) (payment.Charge, error) {
	if err := r.env.Temporal.CancelWorkflow(ctx, r.workflowID, ""); err != nil {
		return payment.Charge{}, err
	}
	return r.env.Florin.Wait(ctx, merchant, r.key)
}

// patiently waits for what happens by itself.
func patiently(ctx context.Context, r *recording) (payment.Charge, error) {
	return r.env.Florin.Wait(ctx, merchant, r.key)
}

var captures = []scenario{
	{name: "held", shows: "12.50 USD are held, and still are", run: func(ctx context.Context, r *recording) error {
		return r.charge(ctx, r.held("tok_visa"), payment.Authorized)
	}},
	order("held-captured", "all that is held is taken", "tok_visa", payment.Succeeded, capture(0)),
	order("held-captured-in-part", "10.00 of 12.50 USD are taken", "tok_visa", payment.Succeeded, capture(1000)),
	order("held-voided", "what is held is let go", "tok_visa", payment.Voided, void),
	order("held-cancelled", "the workflow is cancelled, and what is held let go", "tok_visa", payment.Voided, cancel),
	order("held-capture-lost-found", "500 to the capture always, but the money has moved: a lookup finds it", "tok_capture_500_after", payment.Succeeded, capture(1000)),
	order("held-capture-retried", "500 twice, then captured", "tok_capture_500_twice", payment.Succeeded, capture(0)),
	order("held-capture-declined-again", "the capture is declined, and declined again, each time under a key of its own; then voided",
		"tok_capture_declined", payment.Voided, capture(0), capture(1000), void),
	order("held-capture-refused", "403 to the capture: it is still held", "tok_capture_403", payment.Authorized, capture(0)),
	{name: "held-expired", shows: "nobody takes it in time", run: func(ctx context.Context, r *recording) error {
		req := r.held("tok_visa")
		req.Processor = environment.BackupName
		if err := r.charge(ctx, req, payment.Authorized); err != nil {
			return err
		}
		c, err := patiently(ctx, r)
		return errors.Join(err, expect(c.Status, payment.Expired))
	}},
	{name: "charge-expired", shows: "the customer does not act in time: it is called off", run: func(ctx context.Context, r *recording) error {
		req := r.request("tok_requires_action")
		req.Processor = environment.BackupName
		if err := r.charge(ctx, req, payment.RequiresAction); err != nil {
			return err
		}
		c, err := patiently(ctx, r)
		return errors.Join(err, expect(c.Status, payment.Expired))
	}},
	{name: "charge-void-of-pending", shows: "what is pending cannot be voided; its end is awaited", run: func(ctx context.Context, r *recording) error {
		if err := r.charge(ctx, r.request("tok_pending"), payment.Pending); err != nil {
			return err
		}
		if _, err := void(ctx, r); err != nil {
			return err
		}
		c, err := patiently(ctx, r)
		return errors.Join(err, expect(c.Status, payment.Succeeded))
	}},
}
