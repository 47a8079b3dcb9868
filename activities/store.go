package activities

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// Payments holds the activities that keep and read the store. They need no processor and run on the queue payments:
// those that keep it as local activities of the workflows, those that read it by themselves, for services. Each may be
// repeated: what is stored already is returned.
type Payments struct {
	Store *store.Store
	// Default is the processor of a request that names none.
	Default string
	// Processors are the terms of every configured processor, by its name.
	Processors map[string]Terms
}

// Register makes the activities known under the names of the contract.
func (p *Payments) Register(r worker.ActivityRegistry) {
	r.RegisterActivityWithOptions(p.BeginPayment, activity.RegisterOptions{Name: payment.ActivityBeginPayment})
	r.RegisterActivityWithOptions(p.RecordPayment, activity.RegisterOptions{Name: payment.ActivityRecordPayment})
	r.RegisterActivityWithOptions(p.ReserveRefund, activity.RegisterOptions{Name: payment.ActivityReserveRefund})
	r.RegisterActivityWithOptions(p.SettleRefund, activity.RegisterOptions{Name: payment.ActivitySettleRefund})
	r.RegisterActivityWithOptions(p.GetPayment, activity.RegisterOptions{Name: payment.ActivityGetPayment})
	r.RegisterActivityWithOptions(p.GetRefund, activity.RegisterOptions{Name: payment.ActivityGetRefund})
	r.RegisterActivityWithOptions(p.ListPayments, activity.RegisterOptions{Name: payment.ActivityListPayments})
}

// Cause says who or what made a change, and what that is known by.
type Cause = store.Cause

// Begun is a payment that may be worked on.
type Begun struct {
	Terms Terms `json:"terms"`
	// Charge is what is stored, with whatever became of it.
	Charge payment.Charge `json:"charge"`
	// Resumed: it was begun before, so its processor may have been called.
	Resumed bool `json:"resumed,omitempty"`
}

// BeginPayment chooses the processor of a charge, makes the payment known and freezes its terms. A processor that is
// not configured is an InvalidRequest, a key that was used for something else an IdempotencyMismatch.
func (p *Payments) BeginPayment(ctx context.Context, req payment.ChargeRequest) (Begun, error) {
	name := req.Processor
	if name == "" {
		name = p.Default
	}
	if _, ok := p.Processors[name]; !ok && !p.begun(ctx, req) {
		err := &payment.InvalidRequestError{Fields: []payment.FieldError{{
			Field:   "processor",
			Problem: fmt.Sprintf("%q is not configured: want %s", name, strings.Join(slices.Sorted(maps.Keys(p.Processors)), " or ")),
		}}}
		return Begun{}, storeError(err, err)
	}
	stored, created, err := p.Store.BeginPayment(ctx, payment.Charge{
		PaymentID:      payment.PaymentID(req.MerchantID, req.IdempotencyKey),
		MerchantID:     req.MerchantID,
		IdempotencyKey: req.IdempotencyKey,
		Status:         payment.Processing,
		Amount:         req.Amount,
		Currency:       req.Currency,
		Processor:      name,
		PaymentMethod:  req.PaymentMethod,
	}, req.Fingerprint())
	if err != nil {
		return Begun{}, requestError(err, payment.RefusedRequest{
			MerchantID: req.MerchantID, IdempotencyKey: req.IdempotencyKey, Amount: req.Amount, Currency: req.Currency,
			PaymentID: payment.PaymentID(req.MerchantID, req.IdempotencyKey),
		})
	}
	terms, err := p.terms(stored.Processor, stored.Status)
	return Begun{Terms: terms, Charge: stored, Resumed: !created}, err
}

// begun reports whether the payment is known: then its processor was configured once, and counts as asked for. While the
// store cannot say, it is taken for known, and the store is asked again.
func (p *Payments) begun(ctx context.Context, req payment.ChargeRequest) bool {
	_, err := p.Store.Payment(ctx, req.MerchantID, req.IdempotencyKey)
	return !errors.Is(err, payment.ErrNotFound)
}

// terms of the processor that a payment was begun with. Without them nothing can be found out about it.
func (p *Payments) terms(name string, status payment.Status) (Terms, error) {
	terms, ok := p.Processors[name]
	if !ok && !status.Final() {
		return Terms{}, fmt.Errorf("processor %q, which has this payment, is no longer configured: configure it again", name)
	}
	return terms, nil
}

// RecordPayment stores what became of a payment, and returns what is stored then: with what was refunded. What is no
// outcome gives way to what another run, stopped meanwhile, has stored before.
func (p *Payments) RecordPayment(ctx context.Context, c payment.Charge, cause Cause) (payment.Charge, error) {
	stored, err := p.Store.RecordPayment(ctx, c, cause)
	if errors.Is(err, store.ErrIllegalTransition) && !c.Status.Final() {
		stored, err = p.Store.PaymentByID(ctx, c.MerchantID, c.PaymentID)
	}
	return stored, storeError(err)
}

// Reserved is a refund that may be worked on.
type Reserved struct {
	Terms  Terms          `json:"terms"`
	Refund payment.Refund `json:"refund"`
	// Of is the payment.
	Of      payment.Charge `json:"of"`
	Resumed bool           `json:"resumed,omitempty"`
}

// ReserveRefund sets the amount of a refund aside. Where there is nothing to refund, the error says why, by its type.
func (p *Payments) ReserveRefund(ctx context.Context, req payment.RefundRequest) (Reserved, error) {
	r := payment.Refund{
		RefundID:       payment.RefundID(req.MerchantID, req.IdempotencyKey),
		PaymentID:      req.PaymentID,
		MerchantID:     req.MerchantID,
		IdempotencyKey: req.IdempotencyKey,
		Status:         payment.Processing,
		Currency:       req.Currency,
	}
	if req.Amount != nil {
		r.Amount = *req.Amount
	}
	stored, of, created, err := p.Store.ReserveRefund(ctx, r, req.Fingerprint())
	if err != nil {
		return Reserved{}, requestError(err, payment.RefusedRequest{
			MerchantID: req.MerchantID, IdempotencyKey: req.IdempotencyKey, PaymentID: req.PaymentID, Amount: r.Amount, Currency: req.Currency,
		})
	}
	terms, err := p.terms(of.Processor, stored.Status)
	return Reserved{Terms: terms, Refund: stored, Of: of, Resumed: !created}, err
}

// SettleRefund stores what became of a refund, and what its payment has left, as RecordPayment does.
func (p *Payments) SettleRefund(ctx context.Context, r payment.Refund, cause Cause) (payment.Refund, error) {
	stored, err := p.Store.SettleRefund(ctx, r, cause)
	if errors.Is(err, store.ErrIllegalTransition) && !r.Status.Final() {
		stored, err = p.Store.Refund(ctx, r.MerchantID, r.IdempotencyKey)
	}
	return stored, storeError(err)
}

// GetPayment reads a payment by its merchant's key. One that is not there is a NotFound.
func (p *Payments) GetPayment(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	stored, err := p.Store.Payment(ctx, merchantID, idempotencyKey)
	return stored, storeError(err)
}

// GetRefund reads a refund by its merchant's key. One that is not there is a NotFound.
func (p *Payments) GetRefund(ctx context.Context, merchantID, idempotencyKey string) (payment.Refund, error) {
	stored, err := p.Store.Refund(ctx, merchantID, idempotencyKey)
	return stored, storeError(err)
}

// ListPayments reads a page of payments, newest first. A filter that cannot be is an InvalidRequest.
func (p *Payments) ListPayments(ctx context.Context, f payment.Filter) (payment.Page, error) {
	page, err := p.Store.Payments(ctx, f)
	return page, requestError(err, f)
}

// ErrorProcessorIDTaken is the type of the application error for a processor's id that another payment or refund has: the processor
// responded for the wrong one.
const ErrorProcessorIDTaken = "ProcessorIDTaken"

// storeError turns an error of the store into an application error of Temporal. A refusal is final. Any other error is retried: the
// store may be down, and a payment waits for it rather than be lost.
func storeError(err error, details ...any) error {
	var refusal payment.RefusalCode
	switch {
	case errors.As(err, &refusal):
		return temporal.NewNonRetryableApplicationError(err.Error(), string(refusal), nil, details...)
	case errors.Is(err, store.ErrProcessorIDTaken):
		return temporal.NewNonRetryableApplicationError(err.Error(), ErrorProcessorIDTaken, nil, details...)
	default:
		return err
	}
}

// requestError is storeError for a caller's request, which is the detail of the error: a value that the store never accepts is the
// caller's mistake. When an outcome is persisted, it would be ours, and is retried.
func requestError(err error, requested any) error {
	if errors.Is(err, store.ErrInvalid) {
		err = payment.Refuse(payment.ErrInvalidRequest, "%s", strings.TrimPrefix(err.Error(), store.ErrInvalid.Error()+": "))
	}
	return storeError(err, requested)
}
