package activities

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
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
	p := NewProcessor(failing{err: err}, retry.DefaultBackoff, 5*time.Minute)
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
			require.Equal(t, tt.open, failure.Ambiguous)
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
			require.True(t, FailureOf(err).Ambiguous)
			require.Zero(t, FailureOf(err).Wait)
		})
	}
	require.False(t, FailureOf(ours).Ambiguous)
}

// timedOut is an activity that timed out, as Temporal tells it.
func timedOut(kind enumspb.TimeoutType, startedEventID int64, before *failurepb.Failure) *failurepb.Failure {
	return &failurepb.Failure{
		Message: "activity error",
		FailureInfo: &failurepb.Failure_ActivityFailureInfo{ActivityFailureInfo: &failurepb.ActivityFailureInfo{
			ScheduledEventId: 6, StartedEventId: startedEventID, ActivityType: &commonpb.ActivityType{Name: payment.ActivityProcessorCharge},
		}},
		Cause: &failurepb.Failure{
			FailureInfo: &failurepb.Failure_TimeoutFailureInfo{TimeoutFailureInfo: &failurepb.TimeoutFailureInfo{TimeoutType: kind}},
			Cause:       before,
		},
	}
}

// leaving adds the heartbeat details of an earlier attempt.
func leaving(f *failurepb.Failure) *failurepb.Failure {
	f.GetCause().GetTimeoutFailureInfo().LastHeartbeatDetails = &commonpb.Payloads{Payloads: []*commonpb.Payload{{Data: []byte("{}")}}}
	return f
}

func TestOnlyACallThatNoAttemptBeganWasNeverTaken(t *testing.T) {
	before := &failurepb.Failure{Message: "503", FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
		ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Type: "unavailable"},
	}}
	for name, tt := range map[string]struct {
		failure    *failurepb.Failure
		neverTaken bool
	}{
		"in the queue until its time was up":  {timedOut(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, 0, nil), true},
		"in the queue after a reset":          {timedOut(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, 0, nil), false},
		"in the queue for its second attempt": {timedOut(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, 0, before), false},
		"between two attempts":                {timedOut(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, 0, before), false},
		"during its attempt":                  {timedOut(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, 7, nil), false},
		"with what an attempt has left":       {leaving(timedOut(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, 0, nil)), false},
		"its worker died":                     {timedOut(enumspb.TIMEOUT_TYPE_START_TO_CLOSE, 7, nil), false},
		"its worker fell silent":              {timedOut(enumspb.TIMEOUT_TYPE_HEARTBEAT, 7, nil), false},
		"no activity's time-out":              {timedOut(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, 0, nil).GetCause(), false},
	} {
		t.Run(name, func(t *testing.T) {
			failure := FailureOf(temporal.GetDefaultFailureConverter().FailureToError(tt.failure))
			require.Equal(t, tt.neverTaken, failure.NeverTaken)
			require.True(t, failure.Ambiguous, "the processor is asked in any case")
			require.Equal(t, payment.ClassOutcomeUnknown, failure.Class)
		})
	}
}
