package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// manual is a charge with manual capture: the money is only authorized.
func manual(key, token string) payment.ChargeRequest {
	req := charge(key, token)
	req.Capture = payment.CaptureManual
	return req
}

// authorize charges and requires that the payment is authorized.
func authorize(tb testing.TB, env *environment.Environment, req payment.ChargeRequest) payment.Charge {
	tb.Helper()
	c, err := env.Florin.Charge(tb.Context(), req)
	require.NoError(tb, err)
	require.Equal(tb, payment.Authorized, c.Status)
	require.Zero(tb, c.CapturedAmount)
	return c
}

// partial is a capture of a part of the authorized amount.
func partial(amount int64) payment.CaptureRequest { return payment.CaptureRequest{Amount: &amount} }

// full is a capture of the full authorized amount.
var full = payment.CaptureRequest{}

// get returns the current state of the payment.
func get(tb testing.TB, env *environment.Environment, key string) payment.Charge {
	tb.Helper()
	c, err := env.Florin.Get(tb.Context(), "acme", key)
	require.NoError(tb, err)
	return c
}

func TestAuthorizedPaymentIsCapturedFullyPartiallyOrVoided(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	for name, tt := range map[string]struct {
		modify   func(key string) (payment.Charge, error)
		status   payment.Status
		captured int64
	}{
		"full-capture": {
			modify:   func(key string) (payment.Charge, error) { return env.Florin.Capture(t.Context(), "acme", key, full) },
			status:   payment.Succeeded,
			captured: 1250,
		},
		"full-capture-with-amount": {
			modify: func(key string) (payment.Charge, error) {
				return env.Florin.Capture(t.Context(), "acme", key, partial(1250))
			},
			status:   payment.Succeeded,
			captured: 1250,
		},
		"partial-capture": {
			modify: func(key string) (payment.Charge, error) {
				return env.Florin.Capture(t.Context(), "acme", key, partial(1000))
			},
			status:   payment.Succeeded,
			captured: 1000,
		},
		"void": {
			modify: func(key string) (payment.Charge, error) { return env.Florin.Void(t.Context(), "acme", key) },
			status: payment.Voided,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // deleteWorkflow takes seconds
			authorized := authorize(t, env, manual(name, "tok_visa"))
			require.Equal(t, authorized, get(t, env, name))
			waited := make(chan payment.Charge, 1)
			var group errgroup.Group
			group.Go(func() error {
				c, err := env.Florin.Wait(t.Context(), "acme", name)
				waited <- c
				return err
			})
			c, err := tt.modify(name)
			require.NoError(t, err)
			require.Equal(t, tt.status, c.Status)
			require.Equal(t, tt.captured, c.CapturedAmount)
			require.NoError(t, group.Wait())
			require.Equal(t, c, <-waited, "the waiting caller gets the same outcome")
			require.Equal(t, c, get(t, env, name))
			requireLedgerHas(t, env, c)

			again, err := tt.modify(name)
			require.NoError(t, err, "repeat the modification")
			require.Equal(t, c, again)
			again, err = env.Florin.Charge(t.Context(), manual(name, "tok_visa"))
			require.NoError(t, err)
			require.Equal(t, c, again, "repeat the charge")
			deleteWorkflow(t, env, payment.ChargeWorkflowID("acme", name))
			again, err = tt.modify(name)
			require.NoError(t, err, "repeat the modification after the retention of the workflow")
			require.Equal(t, c, again)
		})
	}
}

// requireLedgerHas requires that the ledger has this payment once and as it was reported. It may have other payments, too.
func requireLedgerHas(tb testing.TB, env *environment.Environment, c payment.Charge) {
	tb.Helper()
	ledger, err := env.Simulator.Ledger(tb.Context())
	require.NoError(tb, err)
	var found []string
	for _, p := range ledger.Payments {
		if p.Metadata["florin_payment_id"] == c.PaymentID {
			found = append(found, fmt.Sprint(p.ID, p.Status, p.CapturedAmount))
		}
	}
	require.Equal(tb, []string{fmt.Sprint(c.ProcessorPaymentID, c.Status, c.CapturedAmount)}, found)
}

func TestImpossibleModificationReturnsATypedError(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	for key, token := range map[string]string{"authorized": "tok_visa", "captured": "tok_visa", "voided": "tok_visa", "partly": "tok_visa"} {
		authorize(t, env, manual(key, token))
	}
	captured, err := env.Florin.Capture(t.Context(), "acme", "captured", full)
	require.NoError(t, err)
	partly, err := env.Florin.Capture(t.Context(), "acme", "partly", partial(1000))
	require.NoError(t, err)
	voided, err := env.Florin.Void(t.Context(), "acme", "voided")
	require.NoError(t, err)
	automatic := succeed(t, env, charge("automatic", "tok_visa"))
	declined, err := env.Florin.Charge(t.Context(), manual("declined", "tok_insufficient_funds"))
	require.NoError(t, err)

	capture := func(key string, req payment.CaptureRequest) func() error {
		return func() error { _, err := env.Florin.Capture(t.Context(), "acme", key, req); return err }
	}
	void := func(key string) func() error {
		return func() error { _, err := env.Florin.Void(t.Context(), "acme", key); return err }
	}
	for name, tt := range map[string]struct {
		modify func() error
		want   error
	}{
		"capture of more than the authorized amount": {
			modify: capture("authorized", partial(1251)), want: florin.ErrCaptureExceedsAuthorized,
		},
		"capture of an unknown payment":                       {modify: capture("never", full), want: florin.ErrNotFound},
		"capture of a voided payment":                         {modify: capture("voided", full), want: florin.ErrNotCapturable},
		"capture of a declined payment":                       {modify: capture("declined", full), want: florin.ErrNotCapturable},
		"capture of the rest after a partial capture":         {modify: capture("partly", partial(250)), want: florin.ErrNotCapturable},
		"capture of a different amount after a capture":       {modify: capture("captured", partial(1000)), want: florin.ErrNotCapturable},
		"partial capture of a payment with automatic capture": {modify: capture("automatic", partial(1000)), want: florin.ErrNotCapturable},
		"void of an unknown payment":                          {modify: void("never"), want: florin.ErrNotFound},
		"void of a captured payment":                          {modify: void("captured"), want: florin.ErrNotVoidable},
		"void of a partially captured payment":                {modify: void("partly"), want: florin.ErrNotVoidable},
		"void of a declined payment":                          {modify: void("declined"), want: florin.ErrNotVoidable},
		"void of a payment with automatic capture":            {modify: void("automatic"), want: florin.ErrNotVoidable},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, tt.modify(), tt.want)
			require.ErrorIs(t, tt.modify(), tt.want, "the same when repeated")
		})
	}
	var invalid *payment.InvalidRequestError
	require.ErrorAs(t, capture("authorized", partial(0))(), &invalid)
	authorized := get(t, env, "authorized")
	require.Equal(t, payment.Authorized, authorized.Status, "unchanged by the refused captures")
	requireLedgerMatches(t, env, []payment.Charge{authorized, captured, voided, partly, automatic, declined}, nil)
}

func TestOnlyTheCapturedAmountCanBeRefunded(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	c := authorize(t, env, manual("partly", "tok_visa"))
	_, err := env.Florin.Refund(t.Context(), refund("early", c.PaymentID, 100))
	require.ErrorIs(t, err, florin.ErrPaymentNotRefundable)
	c, err = env.Florin.Capture(t.Context(), "acme", "partly", partial(1000))
	require.NoError(t, err)
	_, err = env.Florin.Refund(t.Context(), refund("too-much", c.PaymentID, 1001))
	require.ErrorIs(t, err, florin.ErrRefundExceedsCaptured)
	refunded, err := env.Florin.Refund(t.Context(), refund("all", c.PaymentID, 1000))
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, refunded.Status)
	require.EqualValues(t, 1000, get(t, env, "partly").RefundedAmount)

	voided := authorize(t, env, manual("voided", "tok_visa"))
	voided, err = env.Florin.Void(t.Context(), "acme", voided.IdempotencyKey)
	require.NoError(t, err)
	_, err = env.Florin.Refund(t.Context(), refund("nothing", voided.PaymentID, 100))
	require.ErrorIs(t, err, florin.ErrPaymentNotRefundable)
	requireLedgerMatches(t, env, []payment.Charge{c, voided}, []payment.Refund{refunded})
}

func TestEachCaptureTokenHasItsDocumentedOutcome(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	table := tokens("capture")
	captures, voids := make([]payment.Charge, len(table)), make([]payment.Charge, len(table))
	var group errgroup.Group
	for i, token := range table {
		capture, void := manual("capture-"+token.Name, token.Name), manual("void-"+token.Name, token.Name)
		authorize(t, env, capture)
		authorize(t, env, void)
		group.Go(func() (err error) {
			captures[i], err = env.Florin.Capture(t.Context(), "acme", capture.IdempotencyKey, partial(1000))
			return knownError(t, captures[i], err)
		})
		group.Go(func() (err error) {
			voids[i], err = env.Florin.Void(t.Context(), "acme", void.IdempotencyKey)
			return knownError(t, voids[i], err)
		})
	}
	require.NoError(t, group.Wait())
	for i, token := range table {
		t.Run(token.Name, func(t *testing.T) {
			require.Equal(t, token.ExpectedStatus, string(captures[i].Status), token.Description)
			if captures[i].Status == payment.Succeeded {
				require.EqualValues(t, 1000, captures[i].CapturedAmount)
				require.Equal(t, payment.Voided, voids[i].Status)
			} else {
				require.NotNil(t, captures[i].Failure, "the failure must give the reason")
			}
			requireHistoryWithoutSecrets(t, env, payment.ChargeWorkflowID("acme", captures[i].IdempotencyKey))
		})
	}
	requireLedgerMatches(t, env, append(captures, voids...), nil)
	requireRedactedAuditLog(t, env, captures)
}

// knownError returns nil for the error that the status of the modified payment must have.
func knownError(t *testing.T, c payment.Charge, err error) error {
	t.Helper()
	switch c.Status {
	case payment.Authorized:
		requireNotExecuted(t, err, c)
	case payment.NeedsReconciliation:
		require.ErrorIs(t, err, florin.ErrOutcomePending)
	case payment.Conflicted:
		require.ErrorIs(t, err, florin.ErrConflicted)
	default:
		return err
	}
	return nil
}

// requireNotExecuted requires the error of a modification that provably did nothing, which carries the payment.
func requireNotExecuted(t *testing.T, err error, c payment.Charge) {
	t.Helper()
	var notExecuted *florin.NotExecutedError
	require.ErrorAs(t, err, &notExecuted)
	require.Equal(t, c, notExecuted.Payment)
}

func TestPaymentCanBeVoidedAfterADeclinedCapture(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	authorize(t, env, manual("declined", "tok_capture_declined"))
	for range 2 { // each attempt calls the processor again
		c, err := env.Florin.Capture(t.Context(), "acme", "declined", full)
		requireNotExecuted(t, err, c)
		require.Equal(t, payment.Authorized, c.Status)
		require.Equal(t, "expired_authorization", c.Failure.ProcessorCode)
	}
	c, err := env.Florin.Void(t.Context(), "acme", "declined")
	require.NoError(t, err)
	require.Equal(t, payment.Voided, c.Status)
	requireLedgerMatches(t, env, []payment.Charge{c}, nil)
}

func TestConcurrentModificationsHaveOneWinner(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	for _, token := range []string{"tok_visa", "tok_capture_500_twice", "tok_capture_reset_after"} {
		for round := range 3 {
			key := fmt.Sprintf("race-%s-%d", token, round)
			t.Run(key, func(t *testing.T) {
				authorize(t, env, manual(key, token))
				charges, errs := make([]payment.Charge, 20), make([]error, 20)
				var group errgroup.Group
				for i := range charges {
					group.Go(func() error {
						switch i % 4 {
						case 0:
							charges[i], errs[i] = env.Florin.Capture(t.Context(), "acme", key, full)
						case 1:
							charges[i], errs[i] = env.Florin.Capture(t.Context(), "acme", key, partial(1000))
						default:
							charges[i], errs[i] = env.Florin.Void(t.Context(), "acme", key)
						}
						return nil
					})
				}
				require.NoError(t, group.Wait())
				outcome, err := env.Florin.Wait(t.Context(), "acme", key)
				require.NoError(t, err)
				requireLedgerHas(t, env, outcome)
				winners := map[string]int{"succeeded 1250": 0, "succeeded 1000": 1, "voided 0": 2}
				winner, known := winners[fmt.Sprint(outcome.Status, " ", outcome.CapturedAmount)]
				require.True(t, known, "%+v", outcome)
				for i := range charges {
					switch kind := min(i%4, 2); {
					case kind == winner:
						require.NoError(t, errs[i])
						require.Equal(t, outcome, charges[i])
					case kind == 2:
						require.ErrorIs(t, errs[i], florin.ErrNotVoidable)
					default:
						require.ErrorIs(t, errs[i], florin.ErrNotCapturable)
					}
				}
			})
		}
	}
}

func TestTerminatedAuthorizationCanBeCapturedAfterARepeatedCharge(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	req := manual("terminated", "tok_visa")
	authorized := authorize(t, env, req)
	require.NoError(t, env.Temporal.TerminateWorkflow(t.Context(), payment.ChargeWorkflowID("acme", "terminated"), "", "a test"))
	c, err := env.Florin.Get(t.Context(), "acme", "terminated")
	require.ErrorIs(t, err, florin.ErrStopped)
	require.Equal(t, authorized, c)
	_, err = env.Florin.Capture(t.Context(), "acme", "terminated", full)
	require.ErrorIs(t, err, florin.ErrStopped)

	// Charge replaces a terminated run only if that run started more than a second before the call, which allows for clock
	// skew. Repeat the charge until then.
	require.Eventually(t, func() bool {
		c, err = env.Florin.Charge(t.Context(), req)
		return err == nil
	}, 10*time.Second, 200*time.Millisecond)
	require.Equal(t, authorized, c)
	c, err = env.Florin.Capture(t.Context(), "acme", "terminated", full)
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, c.Status)
	requireLedgerMatches(t, env, []payment.Charge{c}, nil)
}

func TestCaptureContinuesAfterAWorkerRestart(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	authorize(t, env, manual("restarted", "tok_capture_500_twice"))
	var group errgroup.Group
	var c payment.Charge
	group.Go(func() (err error) {
		c, err = env.Florin.Capture(t.Context(), "acme", "restarted", partial(1000))
		return err
	})
	require.Eventually(t, func() bool {
		d, err := env.Temporal.DescribeWorkflowExecution(t.Context(), payment.ChargeWorkflowID("acme", "restarted"), "")
		require.NoError(t, err)
		return len(d.GetPendingActivities()) > 0
	}, 10*time.Second, 5*time.Millisecond)
	env.StopWorker()
	require.NoError(t, env.StartWorker(t.Context()))
	require.NoError(t, group.Wait())
	require.Equal(t, payment.Succeeded, c.Status)
	requireLedgerMatches(t, env, []payment.Charge{c}, nil)
}

func TestAuthorizationWithoutCaptureExpires(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{Tune: func(c *config.Config) {
		p := c.Processors[environment.ProcessorName]
		p.AuthorizationFor = activities.Duration(3 * time.Second)
		c.Processors[environment.ProcessorName] = p
	}})
	authorized := map[string]payment.Charge{}
	for key, token := range map[string]string{"expires": "tok_visa", "void-times-out": "tok_capture_timeout_after", "captured": "tok_visa"} {
		authorized[key] = authorize(t, env, manual(key, token))
	}
	captured, err := env.Florin.Capture(t.Context(), "acme", "captured", full)
	require.NoError(t, err)
	ended := []payment.Charge{captured}
	for _, key := range []string{"expires", "void-times-out"} {
		c, err := env.Florin.Wait(t.Context(), "acme", key)
		require.NoError(t, err)
		require.Equal(t, payment.Expired, c.Status)
		require.Equal(t, authorized[key].ProcessorPaymentID, c.ProcessorPaymentID)
		_, err = env.Florin.Capture(t.Context(), "acme", key, full)
		require.ErrorIs(t, err, florin.ErrNotCapturable)
		_, err = env.Florin.Void(t.Context(), "acme", key)
		require.ErrorIs(t, err, florin.ErrNotVoidable)
		_, err = env.Florin.Refund(t.Context(), refund(key, c.PaymentID, 100))
		require.ErrorIs(t, err, florin.ErrPaymentNotRefundable)
		ended = append(ended, c)
	}
	requireLedgerMatches(t, env, ended, nil)
	ledger, err := env.Simulator.Ledger(t.Context())
	require.NoError(t, err)
	statuses := map[string]int{}
	for _, p := range ledger.Payments {
		statuses[p.Status]++
	}
	require.Equal(t, map[string]int{"voided": 2, "succeeded": 1}, statuses)
}

func TestWorkflowCancellationVoidsTheAuthorization(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	var ended []payment.Charge
	for _, token := range []string{"tok_visa", "tok_capture_reset_after"} {
		authorize(t, env, manual(token, token))
		require.NoError(t, env.Temporal.CancelWorkflow(t.Context(), payment.ChargeWorkflowID("acme", token), ""))
		c, err := env.Florin.Wait(t.Context(), "acme", token)
		require.NoError(t, err)
		require.Equal(t, payment.Voided, c.Status)
		ended = append(ended, c)
	}
	requireLedgerMatches(t, env, ended, nil)
}

func TestVoidCancelsAPaymentThatRequiresActionButNotAPendingOne(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	requiresAction, err := env.Florin.Charge(t.Context(), charge("requires-action", "tok_requires_action"))
	require.NoError(t, err)
	require.Equal(t, payment.RequiresAction, requiresAction.Status)
	requiresAction, err = env.Florin.Void(t.Context(), "acme", "requires-action")
	require.NoError(t, err)
	require.Equal(t, payment.Voided, requiresAction.Status)

	pending, err := env.Florin.Charge(t.Context(), charge("pending", "tok_pending"))
	require.NoError(t, err)
	require.Equal(t, payment.Pending, pending.Status)
	pending, err = env.Florin.Void(t.Context(), "acme", "pending")
	requireNotExecuted(t, err, pending)
	require.Equal(t, payment.Pending, pending.Status)
	require.Equal(t, payment.ClassStateConflict, pending.Failure.Class)
	pending, err = env.Florin.Wait(t.Context(), "acme", "pending")
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, pending.Status, "the workflow keeps polling")
	require.Nil(t, pending.Failure)
	requireLedgerMatches(t, env, []payment.Charge{requiresAction, pending}, nil)
}

// Temporal allows ten updates in flight per workflow. Repeated captures must not keep the operator out.
func TestRepeatedCapturesDoNotKeepAnOperatorOut(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{Tune: func(c *config.Config) {
		p := c.Processors[environment.ProcessorName]
		p.SendWithin = p.ScheduleToClose
		p.Resolve.For = activities.Duration(time.Minute)
		c.Processors[environment.ProcessorName] = p
	}})
	authorize(t, env, manual("repeated", "tok_capture_500_always"))
	var captures errgroup.Group
	for range 15 {
		captures.Go(func() error {
			_, err := env.Florin.Capture(t.Context(), "acme", "repeated", full)
			return err
		})
	}
	require.Eventually(t, func() bool { return get(t, env, "repeated").Status == payment.Unknown }, 30*time.Second, 20*time.Millisecond)
	resolver := retryingResolver{env.Florin}
	c, err := resolver.Resolve(t.Context(), "acme", "repeated", payment.Resolution{Status: payment.Authorized, Evidence: "the dashboard", By: "jane"})
	require.NoError(t, err)
	require.Equal(t, payment.Authorized, c.Status)
	var notExecuted *florin.NotExecutedError
	require.ErrorAs(t, captures.Wait(), &notExecuted)
}
