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

// failingProcessor returns the same error from every call.
type failingProcessor struct {
	processor.Processor
	err error
}

func (f failingProcessor) Charge(context.Context, processor.ChargeCall) (processor.Result, error) {
	return processor.Result{}, f.err
}

func (f failingProcessor) Refund(context.Context, processor.RefundCall) (processor.Result, error) {
	return processor.Result{}, f.err
}

func (f failingProcessor) Lookup(context.Context, processor.LookupCall) (processor.Result, bool, error) {
	return processor.Result{}, false, f.err
}

// chargeError returns the application error of a charge that fails with err.
func chargeError(t *testing.T, err error) *temporal.ApplicationError {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	p := NewProcessor(failingProcessor{err: err}, processor.Profile{}, retry.DefaultBackoff, 5*time.Minute, Guard{})
	p.random = func() float64 { return 0.5 }
	p.Register(env)
	_, got := inWorkflow(env, payment.WorkflowCharge, "charge/acme/order-1").ExecuteActivity(payment.ActivityProcessorCharge, order1())
	var application *temporal.ApplicationError
	require.ErrorAs(t, got, &application)
	return application
}

// An adapter of another module may not clip what a processor wrote.
func TestTextsOfAProcessorErrorHaveNoControlAndInvisibleCharacters(t *testing.T) {
	const hostile, clean = "no\x1b[2K\rpaid\u202e\u009b31m\ufeff", "no [2K paid 31m"
	got := chargeError(t, &processor.Error{
		Class: payment.ClassUnavailable, Certainty: processor.NotExecuted, Message: hostile, Code: hostile, RequestID: hostile,
	})
	require.Equal(t, "unavailable ("+clean+"): "+clean, got.Message())
	failure := FailureOf(got)
	require.Equal(t, clean, failure.Message)
	require.Equal(t, clean, failure.ProcessorCode)
	require.Equal(t, clean, failure.RequestID)
	require.Equal(t, "outcome_unknown: "+clean, chargeError(t, errors.New(hostile)).Message())
}

func TestProcessorErrorBecomesAnApplicationError(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		class string
		// retry reports whether Temporal retries after delay. If not, the workflow retries after wait, unless that is 0.
		retry       bool
		delay, wait time.Duration
		ambiguous   bool
	}{
		"rate limited": {
			err:   &processor.Error{Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true},
			class: "rate_limited", retry: true, delay: time.Second,
		},
		"with Retry-After": {
			err: &processor.Error{
				Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true, RetryAfter: time.Minute,
			},
			class: "rate_limited", retry: true, delay: 67500 * time.Millisecond,
		},
		"with a long Retry-After": {
			err: &processor.Error{
				Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true, RetryAfter: time.Hour,
			},
			class: "rate_limited", wait: 67*time.Minute + 30*time.Second,
		},
		"lost response": {
			err:   &processor.Error{Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Retry: true},
			class: "outcome_unknown", retry: true, delay: time.Second, ambiguous: true,
		},
		"forbidden": {
			err:   &processor.Error{Class: payment.ClassPermission, Certainty: processor.NotExecuted},
			class: "permission",
		},
		"state conflict": {
			err:   &processor.Error{Class: payment.ClassStateConflict, Certainty: processor.Ambiguous},
			class: "state_conflict", ambiguous: true,
		},
		"not a processor.Error": {err: errors.New("a bug"), class: "outcome_unknown", ambiguous: true},
		"wrapped": {
			err:   errors.Join(errors.New("x"), &processor.Error{Class: payment.ClassConfig, Certainty: processor.NotExecuted}),
			class: "config",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := chargeError(t, tt.err)
			require.Equal(t, tt.class, got.Type())
			require.Equal(t, !tt.retry, got.NonRetryable())
			require.Equal(t, tt.delay, got.NextRetryDelay())
			failure := FailureOf(got)
			require.Equal(t, payment.FailureClass(tt.class), failure.Class)
			require.Equal(t, tt.ambiguous, failure.Ambiguous)
			require.Equal(t, Duration(tt.wait), failure.Wait)
		})
	}
}

func TestNeverRetriedHasNoClassThatIsRetried(t *testing.T) {
	for _, class := range NeverRetried {
		require.Contains(t, payment.FailureClasses, payment.FailureClass(class))
	}
	for _, class := range []payment.FailureClass{
		payment.ClassRateLimited, payment.ClassUnavailable, payment.ClassNotSent, payment.ClassOutcomeUnknown,
		payment.ClassInvalidResponse,
	} {
		require.NotContains(t, NeverRetried, string(class))
	}
}

func TestErrorWithoutACallFailureIsAmbiguous(t *testing.T) {
	ours := chargeError(t, &processor.Error{Class: payment.ClassPermission, Certainty: processor.NotExecuted})
	for name, err := range map[string]error{
		"timeout": temporal.NewTimeoutError(1, nil),
		"timeout after an attempt with a CallFailure": temporal.NewTimeoutError(1, ours),
		"panic":                              errors.New("panic"),
		"application error without a detail": temporal.NewApplicationError("x", "permission"),
	} {
		t.Run(name, func(t *testing.T) {
			require.True(t, FailureOf(err).Ambiguous)
			require.Zero(t, FailureOf(err).Wait)
		})
	}
	require.False(t, FailureOf(ours).Ambiguous)
}

// timedOut returns the failure of an activity that timed out, as Temporal records it. before is the failure of the last attempt.
func timedOut(kind enumspb.TimeoutType, startedEventID int64, before *failurepb.Failure) *failurepb.Failure {
	return &failurepb.Failure{
		Message: "activity error",
		FailureInfo: &failurepb.Failure_ActivityFailureInfo{ActivityFailureInfo: &failurepb.ActivityFailureInfo{
			ScheduledEventId: 6, StartedEventId: startedEventID,
			ActivityType: &commonpb.ActivityType{Name: payment.ActivityProcessorCharge},
		}},
		Cause: &failurepb.Failure{
			FailureInfo: &failurepb.Failure_TimeoutFailureInfo{TimeoutFailureInfo: &failurepb.TimeoutFailureInfo{TimeoutType: kind}},
			Cause:       before,
		},
	}
}

// withHeartbeat adds the heartbeat details of an earlier attempt.
func withHeartbeat(f *failurepb.Failure) *failurepb.Failure {
	details := &commonpb.Payloads{Payloads: []*commonpb.Payload{{Data: []byte("{}")}}}
	f.GetCause().GetTimeoutFailureInfo().LastHeartbeatDetails = details
	return f
}

func TestOnlyACallWithoutAnAttemptWasNeverTaken(t *testing.T) {
	before := &failurepb.Failure{Message: "503", FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
		ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Type: "unavailable"},
	}}
	for name, tt := range map[string]struct {
		failure    *failurepb.Failure
		neverTaken bool
	}{
		"time was up in the queue":               {failure: timedOut(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, 0, nil), neverTaken: true},
		"time was up in the queue after a reset": {failure: timedOut(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, 0, nil)},
		"time was up in the queue before the second attempt": {
			failure: timedOut(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, 0, before),
		},
		"time was up between two attempts": {
			failure: timedOut(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, 0, before),
		},
		"time was up during the attempt": {failure: timedOut(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, 7, nil)},
		"heartbeat details of an attempt": {
			failure: withHeartbeat(timedOut(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, 0, nil)),
		},
		"worker died":              {failure: timedOut(enumspb.TIMEOUT_TYPE_START_TO_CLOSE, 7, nil)},
		"worker sent no heartbeat": {failure: timedOut(enumspb.TIMEOUT_TYPE_HEARTBEAT, 7, nil)},
		"timeout that is not of an activity": {
			failure: timedOut(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, 0, nil).GetCause(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			failure := FailureOf(temporal.GetDefaultFailureConverter().FailureToError(tt.failure))
			require.Equal(t, tt.neverTaken, failure.NeverTaken)
			require.True(t, failure.Ambiguous, "the outcome is looked up in any case")
			require.Equal(t, payment.ClassOutcomeUnknown, failure.Class)
		})
	}
}

// The scripted adapter would panic on a capture.
func TestCaptureThatTheProcessorDoesNotAcceptIsNotSent(t *testing.T) {
	profile := processor.Profile{Limits: processor.Limits{Amount: func(m payment.Money) error { return errors.New(m.String() + " is below the minimum") }}}
	p := NewProcessor(failingProcessor{}, profile, retry.DefaultBackoff, 5*time.Minute, Guard{})
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	p.Register(env)
	id := payment.PaymentID("acme", "order-1")
	_, err := inWorkflow(env, payment.WorkflowCharge, "charge/acme/order-1").ExecuteActivity(payment.ActivityProcessorCapture, processor.CaptureCall{
		PaymentID: id, Key: payment.ProcessorKey(id, payment.OperationCapture, 0), Amount: 1, Currency: "USD",
	})
	failure := FailureOf(err)
	require.False(t, failure.Ambiguous)
	require.Equal(t, payment.ClassInvalidRequest, failure.Class)
	require.Contains(t, failure.Message, "amount: 0.01 USD is below the minimum")
}
