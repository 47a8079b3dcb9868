package demo

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/books"
	"github.com/florinpay/florin/sandbox/environment"
)

// runTimeout bounds the whole demo.
const runTimeout = 60 * time.Second

// Result summarizes a run.
type Result struct {
	Charges, Refunds int
	Comparison       books.Comparison
	// Unresolved counts the payments in needs_reconciliation. Their outcome is unknown, so they agree with any ledger.
	Unresolved int
}

// Run runs all steps concurrently, but each refund after its charge has ended and each step with After after that
// charge has ended. It writes a table of the steps to out, which it updates in place if terminal is true, and returns
// when the last step has ended.
func Run(ctx context.Context, env *environment.Environment, steps []Step, out io.Writer, terminal bool) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	rows := make([]*row, len(steps))
	chargeEnded := map[string]chan struct{}{}
	for i, s := range steps {
		rows[i] = newRow(s)
		if s.Charge != nil {
			chargeEnded[s.Charge.IdempotencyKey] = make(chan struct{})
		}
	}
	var group errgroup.Group
	for _, r := range rows {
		group.Go(func() error {
			if r.step.Charge != nil {
				defer close(chargeEnded[r.step.Charge.IdempotencyKey])
			}
			for _, first := range []string{r.step.Of, r.step.After} {
				if first != "" {
					<-chargeEnded[first]
				}
			}
			return r.run(ctx, env)
		})
	}
	stopDrawing := draw(ctx, env, rows, out, terminal)
	err := group.Wait()
	stopDrawing()
	if err != nil {
		return Result{}, err
	}
	return compare(ctx, env, rows)
}

func compare(ctx context.Context, env *environment.Environment, rows []*row) (Result, error) {
	ledger, err := env.Simulator.Ledger(ctx)
	if err != nil {
		return Result{}, err
	}
	var result Result
	var charges []payment.Charge
	var refunds []payment.Refund
	for _, r := range rows {
		if r.status == payment.NeedsReconciliation {
			result.Unresolved++
		}
		if r.step.Charge != nil {
			charges = append(charges, r.charge)
		} else {
			refunds = append(refunds, r.refund)
		}
	}
	result.Charges, result.Refunds = len(charges), len(refunds)
	result.Comparison = books.Compare(charges, refunds, ledger)
	return result, nil
}

// row is the state of one step in the table.
type row struct {
	step Step

	mu       sync.Mutex
	status   payment.Status
	money    payment.Money
	attempts int
	began    time.Time
	took     time.Duration // 0 until the step has ended
	charge   payment.Charge
	refund   payment.Refund
}

func newRow(s Step) *row {
	r := &row{step: s}
	if s.Charge != nil {
		r.money = s.Charge.Money()
	} else if s.Refund.Amount != nil {
		r.money = payment.Money{Amount: *s.Refund.Amount, Currency: s.Refund.Currency}
	}
	return r
}

// run executes the step as a service would, and returns once hasEnded is true for its status.
func (r *row) run(ctx context.Context, env *environment.Environment) (err error) {
	r.mu.Lock()
	r.began, r.status = time.Now(), payment.Processing
	r.mu.Unlock()
	if r.step.Charge != nil {
		charge, err := env.Florin.Charge(ctx, *r.step.Charge)
		if err == nil && charge.Status == payment.Authorized {
			r.update(charge.Status, charge.Money())
			charge, err = r.modify(ctx, env)
		}
		for err == nil && !hasEnded(charge.Status) {
			r.update(charge.Status, charge.Money())
			charge, err = pollCharge(ctx, env, *r.step.Charge)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.step.workflowID(), err)
		}
		r.charge = charge
		r.finish(ctx, env, charge.Status, charge.Money())
		return nil
	}
	refund, err := env.Florin.Refund(ctx, *r.step.Refund)
	if err == nil && !hasEnded(refund.Status) {
		refund, err = env.Florin.WaitRefund(ctx, refund.MerchantID, refund.IdempotencyKey)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.step.workflowID(), err)
	}
	r.refund = refund
	r.finish(ctx, env, refund.Status, refund.Money())
	return nil
}

// modify captures or voids the authorized payment, as the step says.
func (r *row) modify(ctx context.Context, env *environment.Environment) (payment.Charge, error) {
	if r.step.Void {
		return env.Florin.Void(ctx, r.step.merchant(), r.step.key())
	}
	return env.Florin.Capture(ctx, r.step.merchant(), r.step.key(), *r.step.Capture)
}

// pollCharge reads the charge after a pause.
func pollCharge(ctx context.Context, env *environment.Environment, req payment.ChargeRequest) (payment.Charge, error) {
	select {
	case <-ctx.Done():
		return payment.Charge{}, fmt.Errorf("no final status within %s", runTimeout)
	case <-time.After(200 * time.Millisecond):
		return env.Florin.Get(ctx, req.MerchantID, req.IdempotencyKey)
	}
}

// hasEnded reports whether the demo waits no longer for a payment: its status is final, or an operator must resolve it.
func hasEnded(s payment.Status) bool { return s.Final() || s == payment.NeedsReconciliation }

func (r *row) update(status payment.Status, money payment.Money) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.money = status, money
}

func (r *row) finish(ctx context.Context, env *environment.Environment, status payment.Status, money payment.Money) {
	sent := attempts(ctx, env, r.step.workflowID())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.money, r.attempts, r.took = status, money, sent, time.Since(r.began)
}
