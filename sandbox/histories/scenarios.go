package main

import (
	"context"
	"errors"
	"slices"

	"github.com/florinpay/florin/payment"
)

// scenario makes one payment or refund whose history is recorded.
type scenario struct {
	// name is the name of the recorded file and the idempotency key.
	name string
	// about describes the scenario in the index.
	about string
	run   func(context.Context, *recording) error
	// ownProcessor gives the scenario a processor with the scenario's name. Scenarios that change or exhaust a rate limit need
	// one, because a rate limit delays all operations at its processor.
	ownProcessor bool
	// inline makes the first attempt inline.
	inline bool
}

// withOwnProcessor returns the scenario with a processor of its own.
func withOwnProcessor(s scenario) scenario {
	s.ownProcessor = true
	return s
}

// scenarios are all scenarios. Their first attempts are queued, unless their names begin with inlinePrefix.
var scenarios = slices.Concat(charges, captures, interrupted, refunds, rechecks, reconciliations, batches,
	withFirstAttemptInline(charges, captures, interrupted, refunds))

const inlinePrefix = "inline-"

// alwaysQueued are the scenarios that would be the same inline, or that need a first attempt in the queue.
var alwaysQueued = []string{"held-reset"}

// withFirstAttemptInline returns scenarios again, with the first attempt inline.
func withFirstAttemptInline(groups ...[]scenario) (inline []scenario) {
	for _, s := range slices.Concat(groups...) {
		if !s.ownProcessor && !slices.Contains(alwaysQueued, s.name) {
			s.name, s.about, s.inline = inlinePrefix+s.name, "the first attempt is inline; "+s.about, true
			inline = append(inline, s)
		}
	}
	return inline
}

// chargeEnds is a charge that returns the final status want.
func chargeEnds(name, about, token string, want payment.Status) scenario {
	return scenario{name: name, about: about, run: func(ctx context.Context, r *recording) error {
		return r.charge(ctx, r.request(token), want)
	}}
}

// chargeEndsLater is a charge that returns the status first, and has the final status want later.
func chargeEndsLater(name, about, token string, first, want payment.Status) scenario {
	return scenario{name: name, about: about, run: func(ctx context.Context, r *recording) error {
		if err := r.charge(ctx, r.request(token), first); err != nil {
			return err
		}
		c, err := r.waitForOutcome(ctx)
		return errors.Join(err, expect(c.Status, want))
	}}
}
