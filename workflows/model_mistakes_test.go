package workflows

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"pgregory.net/rapid"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/storetest"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// faultyProcessor is the model processor with a mistake of its own, or of its adapter: a function that is set replaces
// the correct one.
type faultyProcessor struct {
	*modelProcessor
	charge  func(*modelProcessor, processor.ChargeCall) (processor.Result, error)
	capture func(*modelProcessor, processor.CaptureCall) (processor.Result, error)
	refund  func(*modelProcessor, processor.RefundCall) (processor.Result, error)
	// lookup changes the result of a correct lookup.
	lookup func(processor.Result, bool, error) (processor.Result, bool, error)
}

func (f faultyProcessor) Charge(ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
	if f.charge != nil {
		return f.charge(f.modelProcessor, call)
	}
	return f.modelProcessor.Charge(ctx, call)
}

func (f faultyProcessor) Capture(ctx context.Context, call processor.CaptureCall) (processor.Result, error) {
	if f.capture != nil {
		return f.capture(f.modelProcessor, call)
	}
	return f.modelProcessor.Capture(ctx, call)
}

func (f faultyProcessor) Refund(ctx context.Context, call processor.RefundCall) (processor.Result, error) {
	if f.refund != nil {
		return f.refund(f.modelProcessor, call)
	}
	return f.modelProcessor.Refund(ctx, call)
}

func (f faultyProcessor) Lookup(ctx context.Context, call processor.LookupCall) (processor.Result, bool, error) {
	result, found, err := f.modelProcessor.Lookup(ctx, call)
	if f.lookup != nil {
		return f.lookup(result, found, err)
	}
	return result, found, err
}

// inProcessor plants a mistake in the processor or its adapter.
func inProcessor(faulty faultyProcessor) func(*setup) {
	return func(s *setup) {
		s.adapter = func(p *modelProcessor) processor.Processor {
			faulty.modelProcessor = p
			return faulty
		}
	}
}

// inBegin plants a mistake in an activity that begins a payment or a refund. do replaces it; p has the correct activities.
func inBegin[Req, Result any](
	name string, do func(p *activities.Payments, ctx context.Context, req Req, started activities.Start) (Result, error),
) func(*setup) {
	return func(s *setup) {
		s.replaceActivities = func(env *testsuite.TestWorkflowEnvironment, p *activities.Payments, _ bool) {
			env.OnActivity(name, mock.Anything, mock.Anything, mock.Anything).Return(
				func(ctx context.Context, req Req, started activities.Start) (Result, error) {
					return do(p, ctx, req, started)
				})
		}
	}
}

// afterContinueAsNew plants a mistake of the runs that continue another one as new: change changes what the activity that begins
// a payment returns. The test environment does not say that a run continues another one, so that is ChargeInline here, too.
func afterContinueAsNew(change func(*activities.BeginResult)) func(*setup) {
	return func(s *setup) {
		s.replaceActivities = func(env *testsuite.TestWorkflowEnvironment, p *activities.Payments, continued bool) {
			if !continued {
				return
			}
			env.OnActivity(payment.ActivityChargeInline, mock.Anything, mock.Anything, mock.Anything).Return(
				func(ctx context.Context, req payment.ChargeRequest, started activities.Start) (activities.BeginResult, error) {
					begun, err := p.BeginPayment(ctx, req, started)
					change(&begun)
					return begun, err
				})
		}
	}
}

// inPersist plants a mistake in an activity that persists a payment or a refund. do replaces it; p has the correct
// activities.
func inPersist[T any](
	name string, do func(p *activities.Payments, ctx context.Context, v T, cause activities.Cause) (T, error),
) func(*setup) {
	return func(s *setup) {
		s.replaceActivities = func(env *testsuite.TestWorkflowEnvironment, p *activities.Payments, _ bool) {
			env.OnActivity(name, mock.Anything, mock.Anything, mock.Anything).Return(
				func(ctx context.Context, v T, cause activities.Cause) (T, error) { return do(p, ctx, v, cause) })
		}
	}
}

// discardKey makes the processor discard a key before the end of its lifetime.
func (p *modelProcessor) discardKey(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.keys, key)
}

// isRefusal reports whether the error is a refusal with this code.
func isRefusal(err error, code payment.RefusalCode) bool {
	var refused *temporal.ApplicationError
	return errors.As(err, &refused) && refused.Type() == string(code)
}

// mistakes are plausible bugs in what the workflows rely on. The model test has to find each of them.
var mistakes = map[string]struct {
	on    focus
	plant func(*setup)
	// finds is the check that must find it, by its text; empty: any.
	finds string
	// from is the first seed to try: many lower ones do not find it.
	from int
}{
	"the processor charges again under the same key": {
		on: focusAnything,
		plant: inProcessor(faultyProcessor{charge: func(p *modelProcessor, call processor.ChargeCall) (processor.Result, error) {
			p.discardKey(call.Key)
			return p.Charge(context.Background(), call)
		}}),
	},
	"the adapter sends every charge under a new key": {
		on: focusAnything,
		plant: inProcessor(faultyProcessor{charge: func(p *modelProcessor, call processor.ChargeCall) (processor.Result, error) {
			key := call.Key
			call.Key = fmt.Sprint(key, p.responses)
			result, err := p.Charge(context.Background(), call)
			result.Reference = key
			return result, err
		}}),
	},
	"the adapter returns not executed for a charge without a response": {
		on: focusAnything,
		plant: inProcessor(faultyProcessor{charge: func(p *modelProcessor, call processor.ChargeCall) (processor.Result, error) {
			result, err := p.Charge(context.Background(), call)
			if errors.Is(err, errLost) {
				err = modelError(payment.ClassNotSent, processor.NotExecuted, true, 0)
			}
			return result, err
		}}),
	},
	"the adapter returns not executed for a refund without a response": {
		on: focusRefunds,
		plant: inProcessor(faultyProcessor{refund: func(p *modelProcessor, call processor.RefundCall) (processor.Result, error) {
			result, err := p.Refund(context.Background(), call)
			if errors.Is(err, errLost) {
				err = modelError(payment.ClassNotSent, processor.NotExecuted, false, 0)
			}
			return result, err
		}}),
	},
	"a capture is always of the whole amount": {
		on: focusModifications,
		plant: inProcessor(faultyProcessor{capture: func(p *modelProcessor, call processor.CaptureCall) (processor.Result, error) {
			call.Amount = p.payment(call.ProcessorPaymentID).amount
			return p.Capture(context.Background(), call)
		}}),
	},
	"a lookup does not find what is undecided": {
		on: focusAnything,
		plant: inProcessor(faultyProcessor{lookup: func(result processor.Result, found bool, err error) (processor.Result, bool, error) {
			return result, found && result.Status != payment.Pending && result.Status != payment.RequiresAction, err
		}}),
	},
	"absence is proof after one second": {
		on:    focusAnything,
		plant: func(s *setup) { s.terms.AbsenceProofAfter = activities.Duration(time.Second) },
	},
	"a key is used forever": {
		on:    focusContinued,
		plant: func(s *setup) { s.terms.KeyLifetime = activities.Duration(100 * modelYear) },
	},
	"an authorized payment is voided too early": {
		on:    focusModifications,
		plant: func(s *setup) { s.terms.AuthorizationFor = activities.Duration(day) },
	},
	"a resumed payment counts as new": {
		on: focusAnything,
		plant: inBegin(payment.ActivityChargeInline,
			func(p *activities.Payments, ctx context.Context, req payment.ChargeRequest, started activities.Start) (activities.BeginResult, error) {
				begun, err := p.ChargeInline(ctx, req, started)
				begun.Resumed = false
				return begun, err
			}),
	},
	"another request under a used key is accepted": {
		on: focusAnything,
		plant: inBegin(payment.ActivityChargeInline,
			func(p *activities.Payments, ctx context.Context, req payment.ChargeRequest, started activities.Start) (activities.BeginResult, error) {
				begun, err := p.ChargeInline(ctx, req, started)
				if isRefusal(err, payment.ErrIdempotencyMismatch) {
					first, err := p.GetPayment(ctx, req.MerchantID, req.IdempotencyKey)
					return activities.BeginResult{Terms: p.Terms["sim"], Charge: first, Resumed: true}, err
				}
				return begun, err
			}),
	},
	"a first attempt that was ambiguous is forgotten": {
		on: focusAnything,
		plant: inBegin(payment.ActivityChargeInline,
			func(p *activities.Payments, ctx context.Context, req payment.ChargeRequest, started activities.Start) (activities.BeginResult, error) {
				begun, err := p.ChargeInline(ctx, req, started)
				if begun.First != nil && begun.First.Failure != nil && begun.First.Failure.Ambiguous {
					begun.First = nil
				}
				return begun, err
			}),
	},
	"a first attempt that was ambiguous counts as not executed": {
		on: focusAnything,
		plant: inBegin(payment.ActivityChargeInline,
			func(p *activities.Payments, ctx context.Context, req payment.ChargeRequest, started activities.Start) (activities.BeginResult, error) {
				begun, err := p.ChargeInline(ctx, req, started)
				if begun.First != nil && begun.First.Failure != nil {
					begun.First.Failure.Ambiguous, begun.First.Failure.Wait = false, 0
				}
				return begun, err
			}),
	},
	"a first attempt whose worker stopped is forgotten": {
		on: focusAnything,
		plant: inBegin(payment.ActivityChargeInline,
			func(p *activities.Payments, ctx context.Context, req payment.ChargeRequest, started activities.Start) (activities.BeginResult, error) {
				begun, err := p.ChargeInline(ctx, req, started)
				if begun.Charge.Status == payment.Processing {
					begun.Resumed = false
				}
				return begun, err
			}),
	},
	"the outcome of a first attempt is not persisted": {
		on: focusAnything,
		plant: inBegin(payment.ActivityChargeInline,
			func(p *activities.Payments, ctx context.Context, req payment.ChargeRequest, started activities.Start) (activities.BeginResult, error) {
				begun, err := p.BeginPayment(ctx, req, started)
				if err == nil && !begun.Resumed {
					begun.Charge.Status, begun.Charge.CapturedAmount, begun.First = payment.Succeeded, req.Amount, &activities.FirstAttempt{}
				}
				return begun, err
			}),
	},
	"a decline as seen before counts": {
		on:    focusAnything,
		finds: "the payment is declined",
		plant: func(s *setup) { s.profile.SeenBefore = nil },
	},
	"a decline that can still succeed is final": {
		on:    focusAnything,
		finds: "the payment is declined",
		plant: inProcessor(faultyProcessor{lookup: func(result processor.Result, found bool, err error) (processor.Result, bool, error) {
			result.CanStillSucceed = false
			return result, found, err
		}}),
	},
	"a pending capture ends the modification": {
		on:    focusModifications,
		finds: "was sent while a capture is pending",
		from:  800,
		plant: inPersist(payment.ActivityRecordPayment,
			func(p *activities.Payments, ctx context.Context, c payment.Charge, cause activities.Cause) (payment.Charge, error) {
				if m := c.Modification; m != nil && m.Operation == payment.OperationCapture && c.Status == payment.Pending {
					c.Modification = nil
					c.Modifications++
				}
				return p.RecordPayment(ctx, c, cause)
			}),
	},
	"continue-as-new loses the ambiguity": {
		on:    focusUnknown,
		finds: "the payment is failed",
		plant: afterContinueAsNew(func(begun *activities.BeginResult) { begun.Resumed, begun.Charge.Failure = false, nil }),
	},
	"a refund may exceed the captured amount": {
		on:    focusRefunds,
		finds: "was sent for a payment with",
		plant: inBegin(payment.ActivityRefundInline,
			func(p *activities.Payments, ctx context.Context, req payment.RefundRequest, started activities.Start) (activities.ReserveResult, error) {
				reserved, err := p.RefundInline(ctx, req, started)
				if !isRefusal(err, payment.ErrRefundExceedsCaptured) || req.Amount == nil {
					return reserved, err
				}
				of, err := p.Store.PaymentByID(ctx, req.MerchantID, req.PaymentID)
				return activities.ReserveResult{Terms: p.Terms["sim"], Payment: of, Refund: payment.Refund{
					RefundID: payment.RefundID(req.MerchantID, req.IdempotencyKey), PaymentID: req.PaymentID, MerchantID: req.MerchantID,
					IdempotencyKey: req.IdempotencyKey, Status: payment.Processing,
					Amount: *req.Amount, Currency: of.Currency, Processor: of.Processor, CreatedAt: started.At, UpdatedAt: started.At,
				}}, err
			}),
	},
	"a refund with an unknown outcome releases its reservation": {
		on: focusRefunds,
		plant: inPersist(payment.ActivitySettleRefund,
			func(p *activities.Payments, ctx context.Context, r payment.Refund, cause activities.Cause) (payment.Refund, error) {
				if r.Status == payment.Unknown {
					r.Status = payment.Failed
				}
				return p.SettleRefund(ctx, r, cause)
			}),
	},
	"the outcome of a payment is not persisted": {
		on: focusAnything,
		plant: inPersist(payment.ActivityRecordPayment,
			func(_ *activities.Payments, _ context.Context, c payment.Charge, _ activities.Cause) (payment.Charge, error) {
				return c, nil
			}),
	},
}

func TestModelTestFindsPlantedMistakes(t *testing.T) {
	t.Parallel()
	const sequences = 2000
	for name, mistake := range mistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, s, violation := storetest.New(t), correctSetup(), ""
			mistake.plant(&s)
			sequence := rapid.Custom(func(rt *rapid.T) string { return playRandom(t.Context(), rt, db, s, mistake.on) })
			seed := mistake.from
			for found := false; !found && seed < mistake.from+sequences; seed++ {
				violation = sequence.Example(seed)
				found = violation != "" && strings.Contains(violation, mistake.finds)
			}
			require.Contains(t, violation, mistake.finds)
			require.NotEmpty(t, violation, "the model test did not find the mistake in %d sequences", sequences)
			t.Logf("found after %d sequences: %s", seed, violation)
		})
	}
}
