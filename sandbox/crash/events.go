package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/webhook"
	"github.com/florinpay/florin/payment"
)

const (
	webhookSecret = "whsec_of_the_crash_test" //nolint:gosec // of this test only
	// recheckTimeout is how long it may take until the store has what the processor has changed after the end of a workflow.
	recheckTimeout = time.Minute
)

// lateChange is a change at the processor after the workflow has ended: without an event, Florin cannot know of it.
type lateChange struct {
	purchase *purchase
	// refund is the idempotency key of a refund that has failed. It is empty for a payment that was refunded in the dashboard.
	refund string
}

// sendEvents sends an event about each payment and refund in the ledger, as a processor does when they change. It waits until
// the store has the late changes, and returns a violation for each that it does not have after recheckTimeout, and for each
// recorded divergence without a late change.
func (s *system) sendEvents(ctx context.Context, purchases []*purchase) (violations []violation, err error) {
	opened, err := store.Open(ctx, s.storeDSN)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	select {
	case <-time.After(pendingFor): // until the last change is made
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ledger, err := s.readLedger(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.sendEventOfEach(ctx, ledger, purchases); err != nil {
		return nil, err
	}
	var missing []lateChange
	for deadline := time.Now().Add(recheckTimeout); time.Now().Before(deadline); {
		if missing, err = missingChanges(ctx, opened, lateChanges(ledger, purchases)); err != nil || len(missing) == 0 {
			break
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	for _, change := range missing {
		violations = append(violations, violationOf(change.purchase,
			"an event was sent, but the store does not have that %s", change.describe()))
	}
	unexpected, err := unexpectedDivergences(ctx, opened, purchases)
	return append(violations, unexpected...), err
}

func (c lateChange) describe() string {
	if c.refund != "" {
		return "the refund " + c.refund + " has failed"
	}
	return c.purchase.key() + " was refunded in the dashboard"
}

// sendEventOfEach sends one event about each entry of the ledger.
func (s *system) sendEventOfEach(ctx context.Context, ledger simulator.Ledger, purchases []*purchase) error {
	processors := map[string]string{} // by the processor's ID of the payment
	for _, p := range ledger.Payments {
		i := slices.IndexFunc(purchases, func(one *purchase) bool { return one.id() == p.Metadata["florin_payment_id"] })
		if i < 0 {
			continue // compare reports it
		}
		processors[p.ID] = purchases[i].processor()
		if err := s.sendEvent(ctx, processors[p.ID], p.ID, p); err != nil {
			return err
		}
	}
	for _, r := range ledger.Refunds {
		if processor, known := processors[r.PaymentID]; known {
			if err := s.sendEvent(ctx, processor, r.ID, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendEvent sends a signed event about data to the worker's endpoint, and repeats it until the worker accepts it.
func (s *system) sendEvent(ctx context.Context, processor, id string, data any) error {
	body, err := json.Marshal(map[string]any{"id": "evt_" + id, "type": "updated", "data": data})
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(recheckTimeout); ; {
		status, err := s.postEvent(ctx, processor, body)
		switch {
		case err == nil && status == http.StatusOK:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("send an event about %s: status %d: %w", id, status, err)
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *system) postEvent(ctx context.Context, processor string, body []byte) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.webhooksURL+"/webhooks/"+processor, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set(rest.SignatureHeader, webhook.Sign(webhookSecret, body, time.Now()))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// lateChanges returns the changes of the ledger that Florin can know only from events.
func lateChanges(ledger simulator.Ledger, purchases []*purchase) (changes []lateChange) {
	for _, p := range purchases {
		if p.charge.PaymentMethod == refundedInDashboard && slices.ContainsFunc(ledger.Payments, func(entry simulator.LedgerPayment) bool {
			return entry.Metadata["florin_payment_id"] == p.id() && entry.RefundedAmount > 0
		}) {
			changes = append(changes, lateChange{purchase: p})
		}
		for _, r := range p.refunds {
			if p.charge.PaymentMethod == refundFailsLate && slices.ContainsFunc(ledger.Refunds, func(entry simulator.LedgerRefund) bool {
				return entry.Metadata["florin_refund_id"] == r.id() && entry.Status == string(payment.Declined)
			}) {
				changes = append(changes, lateChange{purchase: p, refund: r.request.IdempotencyKey})
			}
		}
	}
	return changes
}

// missingChanges returns the late changes that the store does not have.
func missingChanges(ctx context.Context, opened *store.Store, changes []lateChange) (missing []lateChange, err error) {
	for _, change := range changes {
		var has bool
		if change.refund != "" {
			r, err := opened.Refund(ctx, merchant, change.refund)
			if err != nil {
				return nil, err
			}
			has = r.Status == payment.Failed || r.Status == payment.Declined
		} else {
			page, err := opened.Divergences(ctx, payment.DivergenceFilter{PaymentID: change.purchase.id()})
			if err != nil {
				return nil, err
			}
			has = slices.ContainsFunc(page.Divergences, func(d payment.Divergence) bool { return d.Kind == payment.DivergenceRefunded })
		}
		if !has {
			missing = append(missing, change)
		}
	}
	return missing, nil
}

// unexpectedDivergences returns a violation for each recorded divergence, except for those of payments that were refunded in
// the dashboard.
func unexpectedDivergences(ctx context.Context, opened *store.Store, purchases []*purchase) (found []violation, err error) {
	for _, p := range purchases {
		page, err := opened.Divergences(ctx, payment.DivergenceFilter{PaymentID: p.id()})
		if err != nil {
			return nil, err
		}
		for _, d := range page.Divergences {
			if d.Kind != payment.DivergenceRefunded || p.charge.PaymentMethod != refundedInDashboard {
				found = append(found, violationOf(p, "a divergence was recorded without a reason: %s, here %s, there %s",
					d.Kind, d.StatusHere, d.StatusThere))
			}
		}
	}
	return found, nil
}
