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

// manual is a charge that only holds the money.
func manual(key, token string) payment.ChargeRequest {
	req := charge(key, token)
	req.Capture = payment.CaptureManual
	return req
}

// hold charges and returns once the money is held.
func hold(tb testing.TB, env *environment.Environment, req payment.ChargeRequest) payment.Charge {
	tb.Helper()
	c, err := env.Florin.Charge(tb.Context(), req)
	require.NoError(tb, err)
	require.Equal(tb, payment.Authorized, c.Status)
	require.Zero(tb, c.CapturedAmount)
	return c
}

// part asks for a part of what is held.
func part(amount int64) payment.CaptureRequest { return payment.CaptureRequest{Amount: &amount} }

var whole = payment.CaptureRequest{}

// read returns the payment as it stands.
func read(tb testing.TB, env *environment.Environment, key string) payment.Charge {
	tb.Helper()
	c, err := env.Florin.Get(tb.Context(), "acme", key)
	require.NoError(tb, err)
	return c
}

func TestHeldMoneyIsTakenAsAWholeOrInPartOrLetGo(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	for name, tt := range map[string]struct {
		order    func(key string) (payment.Charge, error)
		status   payment.Status
		captured int64
	}{
		"whole": {func(key string) (payment.Charge, error) { return env.Florin.Capture(t.Context(), "acme", key, whole) }, payment.Succeeded, 1250},
		"whole-amount": {func(key string) (payment.Charge, error) {
			return env.Florin.Capture(t.Context(), "acme", key, part(1250))
		}, payment.Succeeded, 1250},
		"part": {func(key string) (payment.Charge, error) {
			return env.Florin.Capture(t.Context(), "acme", key, part(1000))
		}, payment.Succeeded, 1000},
		"void": {func(key string) (payment.Charge, error) { return env.Florin.Void(t.Context(), "acme", key) }, payment.Voided, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // Temporal takes seconds to forget
			held := hold(t, env, manual(name, "tok_visa"))
			require.Equal(t, held, read(t, env, name))
			waited := make(chan payment.Charge, 1)
			var group errgroup.Group
			group.Go(func() error {
				c, err := env.Florin.Wait(t.Context(), "acme", name)
				waited <- c
				return err
			})
			c, err := tt.order(name)
			require.NoError(t, err)
			require.Equal(t, tt.status, c.Status)
			require.Equal(t, tt.captured, c.CapturedAmount)
			require.NoError(t, group.Wait())
			require.Equal(t, c, <-waited, "who waits hears of it")
			require.Equal(t, c, read(t, env, name))
			requireHas(t, env, c)

			again, err := tt.order(name)
			require.NoError(t, err, "the same order again")
			require.Equal(t, c, again)
			again, err = env.Florin.Charge(t.Context(), manual(name, "tok_visa"))
			require.NoError(t, err)
			require.Equal(t, c, again, "the same charge again")
			forget(t, env, payment.ChargeWorkflowID("acme", name))
			again, err = tt.order(name)
			require.NoError(t, err, "and when Temporal has long forgotten the workflow")
			require.Equal(t, c, again)
		})
	}
}

// requireHas looks the payment up in the ledger, where other payments may be, too.
func requireHas(tb testing.TB, env *environment.Environment, c payment.Charge) {
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

func TestAnOrderThatCannotBeGetsATypedError(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	for key, token := range map[string]string{"held": "tok_visa", "taken": "tok_visa", "voided": "tok_visa", "partly": "tok_visa"} {
		hold(t, env, manual(key, token))
	}
	taken, err := env.Florin.Capture(t.Context(), "acme", "taken", whole)
	require.NoError(t, err)
	partly, err := env.Florin.Capture(t.Context(), "acme", "partly", part(1000))
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
		order func() error
		want  error
	}{
		"a capture of more than is held":   {capture("held", part(1251)), florin.ErrCaptureExceedsAuthorized},
		"a capture of no payment":          {capture("never", whole), florin.ErrNotFound},
		"a capture of what was voided":     {capture("voided", whole), florin.ErrNotCapturable},
		"a capture of what was declined":   {capture("declined", whole), florin.ErrNotCapturable},
		"a capture of what was let go":     {capture("partly", part(250)), florin.ErrNotCapturable},
		"a capture of another amount":      {capture("taken", part(1000)), florin.ErrNotCapturable},
		"a part of what was taken at once": {capture("automatic", part(1000)), florin.ErrNotCapturable},
		"a void of no payment":             {void("never"), florin.ErrNotFound},
		"a void of what was taken":         {void("taken"), florin.ErrNotVoidable},
		"a void of what was taken in part": {void("partly"), florin.ErrNotVoidable},
		"a void of what was declined":      {void("declined"), florin.ErrNotVoidable},
		"a void of what was taken at once": {void("automatic"), florin.ErrNotVoidable},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, tt.order(), tt.want)
			require.ErrorIs(t, tt.order(), tt.want, "the same again")
		})
	}
	var invalid *payment.InvalidRequestError
	require.ErrorAs(t, capture("held", part(0))(), &invalid)
	held := read(t, env, "held")
	require.Equal(t, payment.Authorized, held.Status, "no error has changed it")
	requireEqualBooks(t, env, []payment.Charge{held, taken, voided, partly, automatic, declined}, nil)
}

func TestOnlyWhatWasCapturedCanBeRefunded(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	c := hold(t, env, manual("partly", "tok_visa"))
	_, err := env.Florin.Refund(t.Context(), refund("early", c.PaymentID, 100))
	require.ErrorIs(t, err, florin.ErrPaymentNotRefundable)
	c, err = env.Florin.Capture(t.Context(), "acme", "partly", part(1000))
	require.NoError(t, err)
	_, err = env.Florin.Refund(t.Context(), refund("too-much", c.PaymentID, 1001))
	require.ErrorIs(t, err, florin.ErrRefundExceedsCaptured)
	given, err := env.Florin.Refund(t.Context(), refund("all", c.PaymentID, 1000))
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, given.Status)
	require.EqualValues(t, 1000, read(t, env, "partly").RefundedAmount)

	voided := hold(t, env, manual("voided", "tok_visa"))
	voided, err = env.Florin.Void(t.Context(), "acme", voided.IdempotencyKey)
	require.NoError(t, err)
	_, err = env.Florin.Refund(t.Context(), refund("nothing", voided.PaymentID, 100))
	require.ErrorIs(t, err, florin.ErrPaymentNotRefundable)
	requireEqualBooks(t, env, []payment.Charge{c, voided}, []payment.Refund{given})
}

func TestEveryCaptureTokenEndsAsItsTableSays(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	table := tokens("capture")
	captures, voids := make([]payment.Charge, len(table)), make([]payment.Charge, len(table))
	var group errgroup.Group
	for i, token := range table {
		capture, void := manual("capture-"+token.Name, token.Name), manual("void-"+token.Name, token.Name)
		hold(t, env, capture)
		hold(t, env, void)
		group.Go(func() (err error) {
			captures[i], err = env.Florin.Capture(t.Context(), "acme", capture.IdempotencyKey, part(1000))
			return err
		})
		group.Go(func() (err error) {
			voids[i], err = env.Florin.Void(t.Context(), "acme", void.IdempotencyKey)
			return err
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
				require.NotNil(t, captures[i].Failure, "it says why")
			}
			requireSecretFree(t, env, payment.ChargeWorkflowID("acme", captures[i].IdempotencyKey))
		})
	}
	requireEqualBooks(t, env, append(captures, voids...), nil)
	requireRedactedAudit(t, env, captures)
}

func TestACaptureThatTheProcessorDeclinedLeavesWhatCanBeVoided(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	hold(t, env, manual("declined", "tok_capture_declined"))
	for range 2 { // each asks the processor anew
		c, err := env.Florin.Capture(t.Context(), "acme", "declined", whole)
		require.NoError(t, err)
		require.Equal(t, payment.Authorized, c.Status)
		require.Equal(t, "expired_authorization", c.Failure.ProcessorCode)
	}
	c, err := env.Florin.Void(t.Context(), "acme", "declined")
	require.NoError(t, err)
	require.Equal(t, payment.Voided, c.Status)
	requireEqualBooks(t, env, []payment.Charge{c}, nil)
}

func TestOrdersThatRaceAgreeOnWhichWasFirst(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	for _, token := range []string{"tok_visa", "tok_capture_500_twice", "tok_capture_reset_after"} {
		for round := range 3 {
			key := fmt.Sprintf("race-%s-%d", token, round)
			t.Run(key, func(t *testing.T) {
				hold(t, env, manual(key, token))
				answers, errs := make([]payment.Charge, 20), make([]error, 20)
				var group errgroup.Group
				for i := range answers {
					group.Go(func() error {
						switch i % 4 {
						case 0:
							answers[i], errs[i] = env.Florin.Capture(t.Context(), "acme", key, whole)
						case 1:
							answers[i], errs[i] = env.Florin.Capture(t.Context(), "acme", key, part(1000))
						default:
							answers[i], errs[i] = env.Florin.Void(t.Context(), "acme", key)
						}
						return nil
					})
				}
				require.NoError(t, group.Wait())
				truth, err := env.Florin.Wait(t.Context(), "acme", key)
				require.NoError(t, err)
				requireHas(t, env, truth)
				winner := map[string]int{"succeeded 1250": 0, "succeeded 1000": 1, "voided 0": 2}
				won, known := winner[fmt.Sprint(truth.Status, " ", truth.CapturedAmount)]
				require.True(t, known, "%+v", truth)
				for i := range answers {
					switch kind := min(i%4, 2); {
					case kind == won:
						require.NoError(t, errs[i])
						require.Equal(t, truth, answers[i])
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

func TestHeldMoneyOfATerminatedPaymentCanBeTakenOnceItIsAskedForAgain(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	req := manual("terminated", "tok_visa")
	held := hold(t, env, req)
	require.NoError(t, env.Temporal.TerminateWorkflow(t.Context(), payment.ChargeWorkflowID("acme", "terminated"), "", "a test"))
	c, err := env.Florin.Get(t.Context(), "acme", "terminated")
	require.ErrorIs(t, err, florin.ErrStopped)
	require.Equal(t, held, c)
	_, err = env.Florin.Capture(t.Context(), "acme", "terminated", whole)
	require.ErrorIs(t, err, florin.ErrStopped)

	// A run that began less than a second ago may be the one that the call itself began: it is asked for until it is older.
	require.Eventually(t, func() bool {
		c, err = env.Florin.Charge(t.Context(), req)
		return err == nil
	}, 10*time.Second, 200*time.Millisecond)
	require.Equal(t, held, c)
	c, err = env.Florin.Capture(t.Context(), "acme", "terminated", whole)
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, c.Status)
	requireEqualBooks(t, env, []payment.Charge{c}, nil)
}

func TestACaptureGoesOnWhenTheWorkerIsStopped(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	hold(t, env, manual("restarted", "tok_capture_500_twice"))
	var group errgroup.Group
	var c payment.Charge
	group.Go(func() (err error) {
		c, err = env.Florin.Capture(t.Context(), "acme", "restarted", part(1000))
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
	requireEqualBooks(t, env, []payment.Charge{c}, nil)
}

func TestHeldMoneyThatNobodyTakesExpires(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{Tune: func(c *config.Config) {
		p := c.Processors[environment.ProcessorName]
		p.AuthorizationFor = activities.Duration(3 * time.Second)
		c.Processors[environment.ProcessorName] = p
	}})
	held := map[string]payment.Charge{}
	for key, token := range map[string]string{"expires": "tok_visa", "expires-lost": "tok_capture_timeout_after", "taken": "tok_visa"} {
		held[key] = hold(t, env, manual(key, token))
	}
	taken, err := env.Florin.Capture(t.Context(), "acme", "taken", whole)
	require.NoError(t, err)
	ended := []payment.Charge{taken}
	for _, key := range []string{"expires", "expires-lost"} {
		c, err := env.Florin.Wait(t.Context(), "acme", key)
		require.NoError(t, err)
		require.Equal(t, payment.Expired, c.Status)
		require.Equal(t, held[key].ProcessorPaymentID, c.ProcessorPaymentID)
		_, err = env.Florin.Capture(t.Context(), "acme", key, whole)
		require.ErrorIs(t, err, florin.ErrNotCapturable)
		_, err = env.Florin.Void(t.Context(), "acme", key)
		require.ErrorIs(t, err, florin.ErrNotVoidable)
		_, err = env.Florin.Refund(t.Context(), refund(key, c.PaymentID, 100))
		require.ErrorIs(t, err, florin.ErrPaymentNotRefundable)
		ended = append(ended, c)
	}
	requireEqualBooks(t, env, ended, nil)
	ledger, err := env.Simulator.Ledger(t.Context())
	require.NoError(t, err)
	statuses := map[string]int{}
	for _, p := range ledger.Payments {
		statuses[p.Status]++
	}
	require.Equal(t, map[string]int{"voided": 2, "succeeded": 1}, statuses)
}

func TestCancellingTheWorkflowOfHeldMoneyLetsItGo(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	var ended []payment.Charge
	for _, token := range []string{"tok_visa", "tok_capture_reset_after"} {
		hold(t, env, manual(token, token))
		require.NoError(t, env.Temporal.CancelWorkflow(t.Context(), payment.ChargeWorkflowID("acme", token), ""))
		c, err := env.Florin.Wait(t.Context(), "acme", token)
		require.NoError(t, err)
		require.Equal(t, payment.Voided, c.Status)
		ended = append(ended, c)
	}
	requireEqualBooks(t, env, ended, nil)
}

func TestWhatWaitsForTheCustomerIsCalledOffAndWhatIsPendingIsNot(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	waits, err := env.Florin.Charge(t.Context(), charge("waits", "tok_requires_action"))
	require.NoError(t, err)
	require.Equal(t, payment.RequiresAction, waits.Status)
	waits, err = env.Florin.Void(t.Context(), "acme", "waits")
	require.NoError(t, err)
	require.Equal(t, payment.Voided, waits.Status)

	pending, err := env.Florin.Charge(t.Context(), charge("pending", "tok_pending"))
	require.NoError(t, err)
	require.Equal(t, payment.Pending, pending.Status)
	pending, err = env.Florin.Void(t.Context(), "acme", "pending")
	require.NoError(t, err)
	require.Equal(t, payment.Pending, pending.Status)
	require.Equal(t, payment.ClassStateConflict, pending.Failure.Class)
	pending, err = env.Florin.Wait(t.Context(), "acme", "pending")
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, pending.Status, "its end is awaited")
	require.Nil(t, pending.Failure)
	requireEqualBooks(t, env, []payment.Charge{waits, pending}, nil)
}
