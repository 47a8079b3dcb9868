package workflows

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"pgregory.net/rapid"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// mistaken is the model processor with a mistake, of its own or of the adapter to it: what is set takes the place of
// what is right.
type mistaken struct {
	*ledger
	charge  func(*ledger, processor.ChargeCall) (processor.Result, error)
	capture func(*ledger, processor.CaptureCall) (processor.Result, error)
	refund  func(*ledger, processor.RefundCall) (processor.Result, error)
	lookup  func(processor.Result, bool, error) (processor.Result, bool, error)
}

func (m mistaken) Charge(ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
	if m.charge != nil {
		return m.charge(m.ledger, call)
	}
	return m.ledger.Charge(ctx, call)
}

func (m mistaken) Capture(ctx context.Context, call processor.CaptureCall) (processor.Result, error) {
	if m.capture != nil {
		return m.capture(m.ledger, call)
	}
	return m.ledger.Capture(ctx, call)
}

func (m mistaken) Refund(ctx context.Context, call processor.RefundCall) (processor.Result, error) {
	if m.refund != nil {
		return m.refund(m.ledger, call)
	}
	return m.ledger.Refund(ctx, call)
}

func (m mistaken) Lookup(ctx context.Context, call processor.LookupCall) (processor.Result, bool, error) {
	result, found, err := m.ledger.Lookup(ctx, call)
	if m.lookup != nil {
		return m.lookup(result, found, err)
	}
	return result, found, err
}

// speaking makes a mistake that the processor or its adapter makes.
func speaking(wrong mistaken) func(*rig) {
	return func(r *rig) {
		r.processor = func(l *ledger) processor.Processor {
			wrong.ledger = l
			return wrong
		}
	}
}

// keeping makes a mistake in an activity of the store. do gets the real ones.
func keeping[Req, Answer any](name string, do func(p *activities.Payments, ctx context.Context, req Req) (Answer, error)) func(*rig) {
	return func(r *rig) {
		r.alter = func(env *testsuite.TestWorkflowEnvironment, p *activities.Payments) {
			env.OnActivity(name, mock.Anything, mock.Anything).Return(func(ctx context.Context, req Req) (Answer, error) { return do(p, ctx, req) })
		}
	}
}

// recording is keeping for the activities that are told a cause.
func recording[T any](name string, do func(p *activities.Payments, ctx context.Context, v T, cause activities.Cause) (T, error)) func(*rig) {
	return func(r *rig) {
		r.alter = func(env *testsuite.TestWorkflowEnvironment, p *activities.Payments) {
			env.OnActivity(name, mock.Anything, mock.Anything, mock.Anything).Return(
				func(ctx context.Context, v T, cause activities.Cause) (T, error) { return do(p, ctx, v, cause) })
		}
	}
}

// forget makes the processor forget a key.
func (l *ledger) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.keys, key)
}

// refusedAs reports whether the error is an application error of the type.
func refusedAs(err error, code payment.RefusalCode) bool {
	var refused *temporal.ApplicationError
	return errors.As(err, &refused) && refused.Type() == string(code)
}

// mistakes are such as one makes, in the parts that the workflows rely on. The model test finds each.
var mistakes = map[string]struct {
	on   focus
	make func(*rig)
}{
	"the processor charges a repeated key again": {onAnything, speaking(mistaken{charge: func(l *ledger, call processor.ChargeCall) (processor.Result, error) {
		l.forget(call.Key)
		return l.Charge(context.Background(), call)
	}})},
	"each charge that is sent has a key of its own": {onAnything, speaking(mistaken{charge: func(l *ledger, call processor.ChargeCall) (processor.Result, error) {
		key := call.Key
		call.Key = fmt.Sprint(key, l.requests)
		result, err := l.Charge(context.Background(), call)
		result.Reference = key
		return result, err
	}})},
	"a lost answer is called not executed": {onAnything, speaking(mistaken{charge: func(l *ledger, call processor.ChargeCall) (processor.Result, error) {
		result, err := l.Charge(context.Background(), call)
		if errors.Is(err, errLost) {
			err = broken(payment.ClassNotSent, processor.NotExecuted, true, 0)
		}
		return result, err
	}})},
	"a lost refund is called not executed": {onRefunds, speaking(mistaken{refund: func(l *ledger, call processor.RefundCall) (processor.Result, error) {
		result, err := l.Refund(context.Background(), call)
		if errors.Is(err, errLost) {
			err = broken(payment.ClassNotSent, processor.NotExecuted, false, 0)
		}
		return result, err
	}})},
	"a capture takes everything": {onOrders, speaking(mistaken{capture: func(l *ledger, call processor.CaptureCall) (processor.Result, error) {
		call.Amount = l.payment(call.ProcessorPaymentID).amount
		return l.Capture(context.Background(), call)
	}})},
	"a lookup finds nothing that is not decided": {onAnything, speaking(mistaken{lookup: func(result processor.Result, found bool, err error) (processor.Result, bool, error) {
		return result, found && result.Status != payment.Pending && result.Status != payment.RequiresAction, err
	}})},
	"absence is proof at once":      {onAnything, func(r *rig) { r.terms.AbsenceProofAfter = activities.Duration(time.Second) }},
	"a key is good for ever":        {onAnything, func(r *rig) { r.terms.KeyLifetime = activities.Duration(100 * modelYear) }},
	"held money is let go too soon": {onOrders, func(r *rig) { r.terms.AuthorizationFor = activities.Duration(day) }},
	"a payment that was begun before counts as new": {onAnything, keeping(payment.ActivityBeginPayment,
		func(p *activities.Payments, ctx context.Context, req payment.ChargeRequest) (activities.BeginResult, error) {
			begun, err := p.BeginPayment(ctx, req)
			begun.Resumed = false
			return begun, err
		})},
	"a used key takes another request": {onAnything, keeping(payment.ActivityBeginPayment,
		func(p *activities.Payments, ctx context.Context, req payment.ChargeRequest) (activities.BeginResult, error) {
			begun, err := p.BeginPayment(ctx, req)
			if refusedAs(err, payment.ErrIdempotencyMismatch) {
				known, err := p.GetPayment(ctx, req.MerchantID, req.IdempotencyKey)
				return activities.BeginResult{Terms: p.Processors["sim"], Charge: known, Resumed: true}, err
			}
			return begun, err
		})},
	"a refund is not held against what was captured": {onRefunds, keeping(payment.ActivityReserveRefund,
		func(p *activities.Payments, ctx context.Context, req payment.RefundRequest) (activities.ReserveResult, error) {
			reserved, err := p.ReserveRefund(ctx, req)
			if !refusedAs(err, payment.ErrRefundExceedsCaptured) || req.Amount == nil {
				return reserved, err
			}
			of, err := p.Store.PaymentByID(ctx, req.MerchantID, req.PaymentID)
			return activities.ReserveResult{Terms: p.Processors["sim"], Payment: of, Refund: payment.Refund{
				RefundID: payment.RefundID(req.MerchantID, req.IdempotencyKey), PaymentID: req.PaymentID, MerchantID: req.MerchantID,
				IdempotencyKey: req.IdempotencyKey, Status: payment.Processing, Amount: *req.Amount, Currency: of.Currency, Processor: of.Processor,
			}}, err
		})},
	"a refund that is unknown frees its amount": {onRefunds, recording(payment.ActivitySettleRefund,
		func(p *activities.Payments, ctx context.Context, r payment.Refund, cause activities.Cause) (payment.Refund, error) {
			if r.Status == payment.Unknown {
				r.Status = payment.Failed
			}
			return p.SettleRefund(ctx, r, cause)
		})},
	"what became of a payment is told and not recorded": {onAnything, recording(payment.ActivityRecordPayment,
		func(_ *activities.Payments, _ context.Context, c payment.Charge, _ activities.Cause) (payment.Charge, error) {
			return c, nil
		})},
}

func TestTheModelTestFindsMistakes(t *testing.T) {
	const sequences = 2000
	for name, mistake := range mistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			books, r, wrong := newStore(t), soundRig(), ""
			mistake.make(&r)
			sequence := rapid.Custom(func(rt *rapid.T) string { return draw(t.Context(), rt, books, r, mistake.on) })
			seed := 0
			for ; wrong == "" && seed < sequences; seed++ {
				wrong = sequence.Example(seed)
			}
			require.NotEmpty(t, wrong, "the model test did not find it")
			t.Logf("after %d sequences: %s", seed, wrong)
		})
	}
}
