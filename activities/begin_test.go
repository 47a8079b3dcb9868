package activities

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/payment"
)

// testRunID is that of the SDK's activity test environment.
const testRunID = "default-test-run-id"

func newBegin() (*testsuite.TestActivityEnvironment, *Begin) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	b := &Begin{Default: "one", Processors: map[string]Terms{"one": {Processor: "one"}, "two": {Processor: "two"}}}
	b.Register(env)
	return env, b
}

func TestBeginPaymentChoosesAProcessorThatThereIs(t *testing.T) {
	env, _ := newBegin()
	for asked, want := range map[string]string{"": "one", "two": "two"} {
		value, err := env.ExecuteActivity(payment.ActivityBeginPayment, payment.ChargeRequest{Processor: asked}, testRunID)
		require.NoError(t, err)
		var terms Terms
		require.NoError(t, value.Get(&terms))
		require.Equal(t, want, terms.Processor)
	}
	_, err := env.ExecuteActivity(payment.ActivityBeginPayment, payment.ChargeRequest{Processor: "three"}, testRunID)
	require.ErrorContains(t, err, "one or two")
}

func TestReserveRefundNamesTheDefaultProcessorFirst(t *testing.T) {
	env, _ := newBegin()
	value, err := env.ExecuteActivity(payment.ActivityReserveRefund, payment.RefundRequest{}, testRunID)
	require.NoError(t, err)
	var candidates []Terms
	require.NoError(t, value.Get(&candidates))
	require.Equal(t, []Terms{{Processor: "one"}, {Processor: "two"}}, candidates)
}

func TestAResetWorkflowDoesNotBeginAgain(t *testing.T) {
	env, _ := newBegin()
	for name, input := range map[string]any{payment.ActivityBeginPayment: payment.ChargeRequest{}, payment.ActivityReserveRefund: payment.RefundRequest{}} {
		_, err := env.ExecuteActivity(name, input, "the run before the reset")
		var application *temporal.ApplicationError
		require.ErrorAs(t, err, &application)
		require.True(t, application.NonRetryable())
		require.Equal(t, payment.ErrorInvalidRequest, application.Type())
	}
}
