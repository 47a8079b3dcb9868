package main

import (
	"context"
	"errors"
	"slices"

	"github.com/florinpay/florin/payment"
)

// scenario is one payment or refund. Its name is that of the file and of the idempotency key.
type scenario struct {
	name, shows string
	run         func(context.Context, *recording) error
	// alone: it has a processor of its own name, because a rate limit holds back all calls to a processor.
	alone bool
}

// alone gives the scenario a processor of its own.
func alone(s scenario) scenario {
	s.alone = true
	return s
}

var scenarios = slices.Concat(charges, captures, interrupted, refunds)

// ends is a charge that ends like this by itself.
func ends(name, shows, token string, want payment.Status) scenario {
	return scenario{name: name, shows: shows, run: func(ctx context.Context, r *recording) error {
		return r.charge(ctx, r.request(token), want)
	}}
}

// waits is a charge that stands like this at first, and ends by itself.
func waits(name, shows, token string, first, want payment.Status) scenario {
	return scenario{name: name, shows: shows, run: func(ctx context.Context, r *recording) error {
		if err := r.charge(ctx, r.request(token), first); err != nil {
			return err
		}
		c, err := r.env.Florin.Wait(ctx, merchant, r.key)
		return errors.Join(err, expect(c.Status, want))
	}}
}
