package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/florinpay/florin/payment"
)

// updateAttacks try to resolve payments falsely, and to keep others' updates out.
var updateAttacks = []attack{
	{name: "resolve with the processor's id of another payment, or of none", try: resolveWithForeignID},
	{name: "resolve as failed what the processor has", try: resolveAgainstTheProcessor},
	{name: "fifteen outcome updates keep out a resolution", try: outcomesKeepOut},
	{name: "hundreds of outcome updates keep out capture and void", try: outcomesUseUp},
	{name: "fifteen captures under new ids keep out a resolution", try: capturesKeepOut},
	{name: "fifteen resolutions under new ids keep out the right one", try: resolutionsKeepOut},
	{name: "updates after the end", try: updatesAfterTheEnd},
}

// unknown makes a payment whose outcome stays unknown.
func (t *target) unknown(ctx context.Context, req object) (string, error) {
	id := fmt.Sprintf("charge/%s/%s", req["merchant_id"], req["idempotency_key"])
	if _, err := t.start(ctx, "Charge", id, req); err != nil {
		return "", err
	}
	return id, t.awaitStatus(ctx, id, payment.Unknown, payment.NeedsReconciliation)
}

// awaitStatus waits until the workflow has one of the statuses.
func (t *target) awaitStatus(ctx context.Context, id string, want ...payment.Status) error {
	var c payment.Charge
	err := until(ctx, func() (bool, error) {
		value, err := t.temporal.QueryWorkflow(ctx, id, "", "status")
		if err != nil {
			return false, nil //nolint:nilerr // it has not begun
		}
		if err := value.Get(&c); err != nil {
			return false, err
		}
		for _, status := range want {
			if c.Status == status {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("%s is %s, not one of %v: %w", id, c.Status, want, err)
	}
	return nil
}

func resolveWithForeignID(ctx context.Context, t *target) (result, error) {
	other, err := t.succeeded(ctx, "globex", "of another")
	if err != nil {
		return result{}, err
	}
	id := chargeID("acme", "lost")
	if _, err := t.start(ctx, "Charge", id, chargeOf("acme", "lost", "tok_lost")); err != nil {
		return result{}, err
	}
	if err := t.awaitStatus(ctx, id, payment.NeedsReconciliation); err != nil {
		return result{}, err
	}
	var answers []string
	for _, named := range []string{other.ProcessorPaymentID, "pay_000000000000000000", "../refunds", "?reference=" + other.PaymentID, "a/../" + other.ProcessorPaymentID} {
		var c payment.Charge
		err := t.update(ctx, id, uuid.NewString(), "resolve", &c, object{"status": "succeeded", "evidence": "forged", "by": "mallory", "processor_id": named})
		if err == nil {
			return succeeded("resolved with %q: it is %s with id %s", named, c.Status, c.ProcessorPaymentID), nil
		}
		if !isRefused(err) {
			return result{}, err
		}
		answers = append(answers, typeOf(err))
	}
	return repelled("%v", answers), nil
}

func resolveAgainstTheProcessor(ctx context.Context, t *target) (result, error) {
	id, err := t.unknown(ctx, chargeOf("acme", "taken", "tok_500_after_charge").with(object{"processor": "patient"}))
	if err != nil {
		return result{}, err
	}
	var c payment.Charge
	err = t.updateOnceIdle(ctx, id, "resolve", &c, object{"status": "failed", "evidence": "forged", "by": "mallory"})
	if err == nil {
		return succeeded("it is %s", c.Status), nil
	}
	if !isRefused(err) {
		return result{}, err
	}
	stored, _, readErr := t.stored(ctx, "acme", "taken")
	if stored.Status == payment.Failed {
		return succeeded("it is failed in the store"), readErr
	}
	return repelled("%s; it is %s", typeOf(err), stored.Status), readErr
}

// updateOnceIdle sends an update, again while it is refused because a call to the processor is in flight.
func (t *target) updateOnceIdle(ctx context.Context, id, name string, into any, arg object) error {
	for range 5 {
		err := t.update(ctx, id, uuid.NewString(), name, into, arg)
		if typeOf(err) != "NotResolvable" || !strings.Contains(err.Error(), "in flight") {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
	return t.update(ctx, id, uuid.NewString(), name, into, arg)
}

// flood sends updates under ever new ids, all at once, and leaves them waiting until stop is called.
func (t *target) flood(ctx context.Context, n int, id, name string, arg object) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			_ = t.update(ctx, id, uuid.NewString(), name, nil, arg) // most are refused
		})
	}
	return func() { cancel(); group.Wait() }
}

// settle gives a flood the time to arrive.
func settle(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
}

// getsThrough reports whether an update is answered, whatever the answer is.
func (t *target) getsThrough(ctx context.Context, id, name string, arg any) (result, error) {
	answered, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	var c payment.Charge
	args := []any{}
	if arg != nil {
		args = append(args, arg)
	}
	err := t.update(answered, id, uuid.NewString(), name, &c, args...)
	switch {
	case ctx.Err() != nil:
		return result{}, ctx.Err()
	case err == nil:
		return repelled("%s got through: it is %s", name, c.Status), nil
	case isRefused(err) && typeOf(err) != "TooManyUpdates":
		return repelled("%s got through: %v", name, err), nil
	default:
		return succeeded("%s was kept out: %v", name, err), nil
	}
}

func outcomesKeepOut(ctx context.Context, t *target) (result, error) {
	id, err := t.unknown(ctx, chargeOf("acme", "flooded", "tok_500_after_charge").with(object{"processor": "patient"}))
	if err != nil {
		return result{}, err
	}
	stop := t.flood(ctx, 15, id, "outcome", object{})
	defer stop()
	settle(ctx)
	return t.getsThrough(ctx, id, "resolve", object{"status": "succeeded", "evidence": "the ledger", "by": "jane", "without_processor_id": true})
}

func outcomesUseUp(ctx context.Context, t *target) (result, error) {
	for _, modification := range []string{"capture", "void"} {
		if _, err := t.authorized(ctx, "acme", "used up by "+modification); err != nil {
			return result{}, err
		}
		id := chargeID("acme", "used up by "+modification)
		for range 250 {
			_ = t.update(ctx, id, uuid.NewString(), "outcome", nil, object{}) // the later ones are refused
		}
		r, err := t.getsThrough(ctx, id, modification, nil)
		if err != nil || r.succeeded {
			return r, err
		}
	}
	return repelled("capture and void got through 250 outcome updates"), nil
}

// capturesKeepOut leaves a capture unknown, and asks for it again and again. Without that, a resolution of the same is answered.
func capturesKeepOut(ctx context.Context, t *target) (result, error) {
	var r result
	for _, captures := range []int{1, 15} {
		id := chargeID("acme", fmt.Sprintf("captured by %d", captures))
		req := manual(chargeOf("acme", fmt.Sprintf("captured by %d", captures), "tok_capture_500_always").with(object{"processor": "patient"}))
		if _, err := t.expect(ctx, req, payment.Authorized); err != nil {
			return result{}, err
		}
		stop := t.flood(ctx, captures, id, "capture", object{"amount": 1250})
		err := t.awaitStatus(ctx, id, payment.Unknown)
		if err == nil {
			settle(ctx)
			r, err = t.getsThrough(ctx, id, "resolve", object{"status": "authorized", "evidence": "the dashboard", "by": "jane"})
		}
		stop()
		if captures == 1 && r.succeeded {
			err = fmt.Errorf("one capture: %s", r.saw)
		}
		if err != nil {
			return result{}, err
		}
	}
	return r, nil
}

// resolutionsKeepOut resolves as what the processor contradicts, many times.
func resolutionsKeepOut(ctx context.Context, t *target) (result, error) {
	id, err := t.unknown(ctx, chargeOf("acme", "resolved", "tok_lost").with(object{"processor": "patient"}))
	if err != nil {
		return result{}, err
	}
	settle(ctx) // until no call is in flight
	stop := t.flood(ctx, 15, id, "resolve", object{"status": "succeeded", "evidence": "forged", "by": "mallory", "processor_id": "pay_none"})
	defer stop()
	settle(ctx)
	return t.getsThrough(ctx, id, "resolve", object{"status": "succeeded", "evidence": "the ledger", "by": "jane", "without_processor_id": true})
}

func updatesAfterTheEnd(ctx context.Context, t *target) (result, error) {
	if _, err := t.succeeded(ctx, "acme", "ended"); err != nil {
		return result{}, err
	}
	id := chargeID("acme", "ended")
	var accepted []string
	unmoved, err := t.unmoved(ctx, func() error {
		for range 15 {
			for name, arg := range map[string]object{
				"outcome": {}, "capture": {"amount": 1250}, "void": {}, "resolve": {"status": "failed", "evidence": "forged", "by": "mallory"},
			} {
				err := t.update(ctx, id, uuid.NewString(), name, nil, arg)
				switch {
				case err == nil:
					accepted = append(accepted, name)
				case !isRefused(err):
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return result{}, err
	}
	now, _, err := t.stored(ctx, "acme", "ended")
	if !unmoved || now.Status != payment.Succeeded || len(accepted) > 0 {
		return succeeded("it is %s; accepted: %v", now.Status, accepted), err
	}
	// The key still answers.
	if repeated, err := t.temporal.ExecuteWorkflow(ctx, t.duplicate(id), "Charge", chargeOf("acme", "ended", "tok_visa")); err != nil || repeated.Get(ctx, nil) != nil {
		return succeeded("the same request is not answered any more: %v", err), ctx.Err()
	}
	return repelled("60 updates were refused, and the same request is answered"), nil
}
