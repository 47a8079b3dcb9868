package activities

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/internal/processor"
	"github.com/florinpay/florin/payment"
)

// failing is a processor whose every call ends with one error.
type failing struct {
	processor.Processor
	err error
}

func (f failing) Charge(context.Context, processor.ChargeCall) (processor.Result, error) {
	return processor.Result{}, f.err
}

func (f failing) Refund(context.Context, processor.RefundCall) (processor.Result, error) {
	return processor.Result{}, f.err
}

func (f failing) Lookup(context.Context, processor.LookupCall) (processor.Result, bool, error) {
	return processor.Result{}, false, f.err
}

// chargeError is what Temporal gets to see of a charge that fails with err.
func chargeError(t *testing.T, err error) *temporal.ApplicationError {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	p := NewProcessor(failing{err: err}, processor.DefaultBackoff, 5*time.Minute)
	p.random = func() float64 { return 0.5 }
	p.Register(env)
	_, got := env.ExecuteActivity(payment.ActivityProcessorCharge, processor.ChargeCall{})
	var application *temporal.ApplicationError
	require.ErrorAs(t, got, &application)
	return application
}

func TestAProcessorsErrorBecomesTemporals(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		kind string
		// retry is false where Temporal must not try again; delay and wait are who waits, and how long.
		retry       bool
		delay, wait time.Duration
		open        bool
	}{
		"rate limited":      {&processor.Error{Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true}, "rate_limited", true, time.Second, 0, false},
		"with Retry-After":  {&processor.Error{Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true, RetryAfter: time.Minute}, "rate_limited", true, 67500 * time.Millisecond, 0, false},
		"a long one":        {&processor.Error{Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true, RetryAfter: time.Hour}, "rate_limited", false, 0, 67*time.Minute + 30*time.Second, false},
		"lost answer":       {&processor.Error{Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Retry: true}, "outcome_unknown", true, time.Second, 0, true},
		"forbidden":         {&processor.Error{Class: payment.ClassPermission, Certainty: processor.NotExecuted}, "permission", false, 0, 0, false},
		"state conflict":    {&processor.Error{Class: payment.ClassStateConflict, Certainty: processor.Ambiguous}, "state_conflict", false, 0, 0, true},
		"no processor's":    {errors.New("a bug"), "outcome_unknown", false, 0, 0, true},
		"wrapped all right": {errors.Join(errors.New("x"), &processor.Error{Class: payment.ClassConfig, Certainty: processor.NotExecuted}), "config", false, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := chargeError(t, tt.err)
			require.Equal(t, tt.kind, got.Type())
			require.Equal(t, !tt.retry, got.NonRetryable())
			require.Equal(t, tt.delay, got.NextRetryDelay())
			failure := FailureOf(got)
			require.Equal(t, payment.FailureClass(tt.kind), failure.Class)
			require.Equal(t, tt.open, failure.Open)
			require.Equal(t, Duration(tt.wait), failure.Wait)
		})
	}
}

func TestTheClassesThatAreNeverRetriedAreNotRetriedByTheTableEither(t *testing.T) {
	for _, class := range NeverRetried {
		require.Contains(t, payment.FailureClasses, payment.FailureClass(class))
	}
	for _, class := range []payment.FailureClass{payment.ClassRateLimited, payment.ClassUnavailable, payment.ClassNotSent, payment.ClassOutcomeUnknown, payment.ClassInvalidResponse} {
		require.NotContains(t, NeverRetried, string(class))
	}
}

func TestAnythingButOurOwnErrorLeavesTheOutcomeOpen(t *testing.T) {
	ours := chargeError(t, &processor.Error{Class: payment.ClassPermission, Certainty: processor.NotExecuted})
	for name, err := range map[string]error{
		"a time-out":                        temporal.NewTimeoutError(1, nil),
		"a time-out that hides our error":   temporal.NewTimeoutError(1, ours),
		"a panic":                           errors.New("panic"),
		"an application error of no detail": temporal.NewApplicationError("x", "permission"),
	} {
		t.Run(name, func(t *testing.T) {
			require.True(t, FailureOf(err).Open)
			require.Zero(t, FailureOf(err).Wait)
		})
	}
	require.False(t, FailureOf(ours).Open)
}
