package e2e

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/caller"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/histories"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/replaytest"
	"github.com/florinpay/florin/sandbox/environment"
)

const issuerSecret = "the issuer and the workers share this secret"

// startAuthorizing starts an environment whose worker requires proofs.
func startAuthorizing(t *testing.T) *environment.Environment {
	t.Helper()
	secret, webhooks := filepath.Join(t.TempDir(), "issuer"), filepath.Join(t.TempDir(), "webhooks")
	require.NoError(t, os.WriteFile(secret, []byte(issuerSecret), 0o600))
	require.NoError(t, os.WriteFile(webhooks, []byte(webhookSecret), 0o600))
	return start(t, environment.Options{Tune: func(c *config.Config) {
		c.Authorize = config.Authorize{Audience: "florin", Secret: config.Secret{File: secret}}
		completed, err := c.Complete(nil)
		require.Error(t, err, "the adapters are not given here")
		c.Authorize = completed.Authorize
		p := c.Processors[environment.ProcessorName]
		p.WebhookSecrets = []config.Secret{{File: webhooks}}
		c.Processors[environment.ProcessorName], c.Webhooks.Listen = p, "127.0.0.1:0"
	}})
}

// tokenFor issues a token.
func tokenFor(t *testing.T, subject string, valid time.Duration, merchants []string, roles ...caller.Role) florin.Token {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	thumbprint, err := caller.Thumbprint(public)
	require.NoError(t, err)
	claim, err := caller.Issue(caller.Claim{
		Identity: caller.Identity{Subject: subject, Merchants: merchants, Roles: roles},
		Audience: "florin", NotBefore: time.Now().Add(-time.Hour), Expiry: time.Now().Add(valid), Thumbprint: thumbprint,
	}, []byte(issuerSecret), "")
	require.NoError(t, err)
	return florin.Token{Claim: claim, Key: private}
}

// dialAs connects as the owner of the token; without one, as somebody who proves nothing.
func dialAs(t *testing.T, env *environment.Environment, token *florin.Token) client.Client {
	t.Helper()
	o := client.Options{HostPort: fmt.Sprintf("127.0.0.1:%d", env.Ports.Temporal)}
	if token != nil {
		o.Interceptors = []interceptor.ClientInterceptor{florin.Caller(func(context.Context) (florin.Token, error) { return *token, nil })}
	}
	connected, err := client.Dial(o)
	require.NoError(t, err)
	t.Cleanup(connected.Close)
	return connected
}

// isAsked waits for the first lookup of a workflow, and reports whether the processor was asked.
func isAsked(t *testing.T, env *environment.Environment, workflowID string) bool {
	t.Helper()
	var scheduled int64
	events := env.Temporal.GetWorkflowHistory(t.Context(), workflowID, "", true, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		if event.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == payment.ActivityProcessorLookup {
			scheduled = event.GetEventId()
		}
		completed := event.GetActivityTaskCompletedEventAttributes()
		if completed == nil || completed.GetScheduledEventId() != scheduled {
			continue
		}
		var found activities.LookupResult
		require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(completed.GetResult(), &found))
		return !found.NotAsked
	}
	require.Fail(t, "the workflow has ended without a lookup")
	return false
}

// The endpoint for webhooks has no claim: it signs with the webhook secret.
func TestEventsOfTheProcessorCauseLookups(t *testing.T) {
	env := startAuthorizing(t)
	service := tokenFor(t, "checkout", time.Hour, []string{"acme"}, caller.Service)
	as := florin.NewClient(dialAs(t, env, &service), florin.Options{})
	events := eventful{Environment: env}
	held, err := as.Charge(t.Context(), manual("waits", "tok_visa"))
	require.NoError(t, err)
	events.sendEvent(t, "evt_1", "payment.updated", dataOf("payment", held.PaymentID), "signaled")
	require.True(t, isAsked(t, env, payment.ChargeWorkflowID("acme", "waits")))

	// What has refused a signal replays without a key and without the interceptors of a worker.
	const id = "charge/acme/refused"
	_, err = as.Charge(t.Context(), manual("refused", "tok_visa"))
	require.NoError(t, err)
	require.NoError(t, env.Temporal.SignalWorkflow(t.Context(), id, "", payment.SignalProcessorEvent, nil))
	require.False(t, isAsked(t, env, id))
	_, err = as.Void(t.Context(), "acme", "refused")
	require.NoError(t, err)
	history, err := histories.Fetch(t.Context(), env.Temporal, id, "")
	require.NoError(t, err)
	differences, err := replaytest.Check(history, histories.Options)
	require.NoError(t, err)
	require.Empty(t, differences)

	paid, err := as.Charge(t.Context(), charge("final", "tok_visa"))
	require.NoError(t, err)
	events.sendEvent(t, "evt_2", "payment.updated", dataOf("payment", paid.PaymentID), "recheck")
	require.True(t, isAsked(t, env, payment.RecheckWorkflowID(payment.RecheckRequest{MerchantID: "acme", IdempotencyKey: "final"})))
}

// Every caller tries everything that callers can ask for, with payments of merchant acme.
func TestEveryCallerMayDoWhatTheTableSays(t *testing.T) {
	env := startAuthorizing(t)
	service := tokenFor(t, "checkout", time.Hour, []string{"acme"}, caller.Service)
	asService := florin.NewClient(dialAs(t, env, &service), florin.Options{})
	ctx := t.Context()
	connected := map[string]client.Client{}

	paidFor := func(key string) payment.Charge {
		c, err := asService.Charge(ctx, charge(key, "tok_visa"))
		require.NoError(t, err)
		return c
	}
	held := func(key string) {
		c, err := asService.Charge(ctx, manual(key, "tok_visa"))
		require.NoError(t, err)
		require.Equal(t, payment.Authorized, c.Status)
	}
	// what are the operations, on payments of their own for each caller.
	what := map[string]func(t *testing.T, as *florin.Client, who string) error{
		"start Charge, update outcome": func(_ *testing.T, as *florin.Client, who string) error {
			_, err := as.Charge(ctx, charge("charged by "+who, "tok_visa"))
			return err
		},
		"start Charge": func(_ *testing.T, as *florin.Client, who string) error {
			run, err := as.StartCharge(ctx, charge("started by "+who, "tok_visa"))
			if err != nil {
				return err
			}
			var c payment.Charge
			err = env.Temporal.GetWorkflow(ctx, run.WorkflowID, run.RunID).Get(ctx, &c)
			var refused *temporal.ApplicationError
			if errors.As(err, &refused) && refused.Type() == string(payment.ErrNotAuthorized) {
				return florin.ErrNotAuthorized
			}
			return err
		},
		"start Refund": func(_ *testing.T, as *florin.Client, who string) error {
			c := paidFor("to refund by " + who)
			_, err := as.Refund(ctx, payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "refund by " + who, PaymentID: c.PaymentID})
			return err
		},
		"update outcome": func(_ *testing.T, as *florin.Client, who string) error { // joins the payment of another
			req := manual("joined by "+who, "tok_visa")
			held(req.IdempotencyKey)
			_, err := as.Charge(ctx, req)
			return err
		},
		"update capture": func(_ *testing.T, as *florin.Client, who string) error {
			held("to capture by " + who)
			_, err := as.Capture(ctx, "acme", "to capture by "+who, payment.CaptureRequest{})
			return err
		},
		"update void": func(_ *testing.T, as *florin.Client, who string) error {
			held("to void by " + who)
			_, err := as.Void(ctx, "acme", "to void by "+who)
			return err
		},
		"update resolve": func(_ *testing.T, as *florin.Client, who string) error {
			held("to resolve by " + who)
			_, err := as.Resolve(ctx, "acme", "to resolve by "+who, payment.Resolution{Status: payment.Failed, Evidence: "none", By: "another"})
			return err // an operator learns that it is not resolvable
		},
		"query status": func(_ *testing.T, as *florin.Client, who string) error {
			held("to query by " + who)
			_, err := as.Get(ctx, "acme", "to query by "+who)
			return err
		},
		"read GetPayment": func(_ *testing.T, as *florin.Client, _ string) error {
			_, err := as.Get(ctx, "acme", "nobody has this key")
			return err
		},
		"read GetRefund": func(_ *testing.T, as *florin.Client, _ string) error {
			_, err := as.GetRefund(ctx, "acme", "nobody has this key")
			return err
		},
		"read ListPayments": func(_ *testing.T, as *florin.Client, _ string) error {
			_, err := as.List(ctx, payment.Filter{MerchantID: "acme"})
			return err
		},
		"read ListPayments of all merchants": func(_ *testing.T, as *florin.Client, _ string) error {
			_, err := as.List(ctx, payment.Filter{})
			return err
		},
		"read ListRefunds": func(_ *testing.T, as *florin.Client, _ string) error { // of all merchants
			_, err := as.ListRefunds(ctx, payment.RefundFilter{Processor: environment.ProcessorName})
			return err
		},
		"read ListDivergences": func(_ *testing.T, as *florin.Client, _ string) error {
			_, err := as.Divergences(ctx, payment.DivergenceFilter{MerchantID: "acme"})
			return err
		},
		"read AcknowledgeDivergence": func(_ *testing.T, as *florin.Client, _ string) error {
			_, err := as.AcknowledgeDivergence(ctx, "div_9", "another")
			return err // an operator learns that there is none
		},
		"read ControlProcessor": func(_ *testing.T, as *florin.Client, who string) error {
			_, err := as.ControlProcessor(ctx, payment.ControlChange{
				Processor: environment.ProcessorName, Action: payment.ControlResume, By: "another", Reason: who,
			})
			return err
		},
		"read ListProcessors": func(_ *testing.T, as *florin.Client, _ string) error {
			_, err := as.Processors(ctx)
			return err
		},
		"read AddBatchLines": func(_ *testing.T, as *florin.Client, who string) error {
			_, err := as.AddBatchLines(ctx, batchOf(strings.ReplaceAll("of "+who, " ", "-"), lineOf(charge("line of "+who, "tok_visa"))))
			return err
		},
		"read GetBatch": func(_ *testing.T, as *florin.Client, _ string) error {
			_, err := as.Batch(ctx, "june")
			return err
		},
		"read ListBatchLines": func(_ *testing.T, as *florin.Client, _ string) error {
			_, err := as.BatchLines(ctx, payment.BatchLineFilter{Name: "june"})
			return err
		},
		"read ControlBatch": func(_ *testing.T, as *florin.Client, who string) error {
			_, err := as.ControlBatch(ctx, payment.BatchChange{Name: "june", Action: payment.BatchResume, By: "another", Reason: who})
			return err // the batch has finished
		},
		"signal processor-event": func(t *testing.T, _ *florin.Client, who string) error {
			held("signaled by " + who)
			id := payment.ChargeWorkflowID("acme", "signaled by "+who)
			err := connected[who].SignalWorkflow(ctx, id, "", payment.SignalProcessorEvent, payment.ProcessorEvent{ID: "evt_forged", Type: "payment.succeeded"})
			require.NoError(t, err)
			if !isAsked(t, env, id) {
				return florin.ErrNotAuthorized
			}
			return nil
		},
		"webhook": func(t *testing.T, _ *florin.Client, _ string) error { // only the processor can sign it
			response, err := http.Post(env.WebhookURL(environment.ProcessorName), "application/json", strings.NewReader(`{"id":"evt_1"}`))
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			if response.StatusCode == http.StatusUnauthorized {
				return florin.ErrNotAuthorized
			}
			return nil
		},
	}
	_, err := asService.AddBatchLines(ctx, batchOf("june", lineOf(charge("line of june", "tok_visa"))))
	require.NoError(t, err)
	untilFinished(t, asService, "june")
	signals := []string{"signal processor-event"}
	acme, globex, all := []string{"acme"}, []string{"globex"}, []string{caller.AllMerchants}
	expired := tokenFor(t, "checkout", -10*time.Minute, acme, caller.Service)
	stolen := service
	_, stolen.Key, _ = ed25519.GenerateKey(rand.Reader)
	charges := []string{"start Charge, update outcome", "start Charge", "start Refund", "read AddBatchLines"}
	modifications := []string{"update capture", "update void", "read ControlBatch"}
	reads := []string{
		"update outcome", "query status", "read GetPayment", "read GetRefund", "read ListPayments", "read ListDivergences", "read GetBatch", "read ListBatchLines",
	}
	decisions := []string{"update resolve", "read AcknowledgeDivergence"}
	processors := []string{"read ListProcessors"}
	for name, tt := range map[string]struct {
		token     *florin.Token
		permitted [][]string
	}{
		"service of acme":         {&service, [][]string{charges, modifications, signals, reads}},
		"operator of acme":        {new(tokenFor(t, "jane", time.Hour, acme, caller.Operator)), [][]string{modifications, signals, reads, decisions, processors}},
		"reader of acme":          {new(tokenFor(t, "auditor", time.Hour, acme, caller.Reader)), [][]string{reads, processors}},
		"service of globex":       {new(tokenFor(t, "globex", time.Hour, globex, caller.Service)), nil},
		"operator of globex":      {new(tokenFor(t, "joe", time.Hour, globex, caller.Operator)), [][]string{{"read AcknowledgeDivergence"}, processors}},
		"reader of all merchants": {new(tokenFor(t, "controller", time.Hour, all, caller.Reader)), [][]string{reads, {"read ListPayments of all merchants", "read ListRefunds"}, processors}},
		"operator of all": {new(tokenFor(t, "joan", time.Hour, all, caller.Operator)), [][]string{
			modifications, signals, reads, {"read ListPayments of all merchants", "read ListRefunds"}, decisions, processors, {"read ControlProcessor"},
		}},
		"service with no merchant": {new(tokenFor(t, "nobody", time.Hour, nil, caller.Service)), nil},
		"expired":                  {&expired, nil},
		"stolen claim":             {&stolen, nil},
		"nobody":                   {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			connected[name] = dialAs(t, env, tt.token)
			as := florin.NewClient(connected[name], florin.Options{})
			permitted := map[string]bool{}
			for _, operations := range tt.permitted {
				for _, operation := range operations {
					permitted[operation] = true
				}
			}
			for operation, try := range what {
				err := try(t, as, name)
				if permitted[operation] {
					require.NotErrorIs(t, err, florin.ErrNotAuthorized, operation)
				} else {
					require.ErrorIs(t, err, florin.ErrNotAuthorized, operation)
				}
			}
		})
	}
	// What was refused has not begun.
	page, err := florin.NewClient(dialAs(t, env, new(tokenFor(t, "controller", time.Hour, all, caller.Reader))), florin.Options{}).
		List(ctx, payment.Filter{Limit: 500})
	require.NoError(t, err)
	for _, c := range page.Payments {
		require.NotContains(t, []string{
			"charged by nobody", "started by nobody", "charged by expired", "charged by stolen claim", "charged by service of globex",
			"charged by reader of acme", "started by operator of acme",
		}, c.IdempotencyKey)
	}
}

func TestRefusalIsTheSameWhetherTheBatchExistsOrNot(t *testing.T) {
	env := startAuthorizing(t)
	service, other := tokenFor(t, "checkout", time.Hour, []string{"acme"}, caller.Service), tokenFor(t, "globex", time.Hour, []string{"globex"}, caller.Service)
	_, err := florin.NewClient(dialAs(t, env, &service), florin.Options{}).AddBatchLines(t.Context(), batchOf("june", lineOf(charge("exists", "tok_visa"))))
	require.NoError(t, err)
	as := florin.NewClient(dialAs(t, env, &other), florin.Options{})
	refusal := func(name string) string {
		_, err := as.Batch(t.Context(), name)
		require.ErrorIs(t, err, florin.ErrNotAuthorized)
		return strings.ReplaceAll(err.Error(), name, "NAME")
	}
	require.Equal(t, refusal("july"), refusal("june"))
	require.NotContains(t, refusal("june"), "acme")
}

// A refusal says nothing about what exists.
func TestRefusalIsTheSameWhetherThePaymentExistsOrNot(t *testing.T) {
	env := startAuthorizing(t)
	service, other := tokenFor(t, "checkout", time.Hour, []string{"acme"}, caller.Service), tokenFor(t, "globex", time.Hour, []string{"globex"}, caller.Service)
	_, err := florin.NewClient(dialAs(t, env, &service), florin.Options{}).Charge(t.Context(), charge("exists", "tok_visa"))
	require.NoError(t, err)
	as := florin.NewClient(dialAs(t, env, &other), florin.Options{})
	message := func(key string) string {
		_, err := as.GetRefund(t.Context(), "acme", key)
		require.ErrorIs(t, err, florin.ErrNotAuthorized)
		var refusal *payment.Refusal
		require.ErrorAs(t, err, &refusal)
		return refusal.Message
	}
	require.Equal(t, message("exists"), message("does not exist"))
}

// What an operator decides is recorded under the name in his claim, whatever he calls himself.
func TestResolutionIsRecordedUnderTheNameInTheClaim(t *testing.T) {
	env := startAuthorizing(t)
	service, operator := tokenFor(t, "checkout", time.Hour, []string{"acme"}, caller.Service), tokenFor(t, "jane", time.Hour, []string{"acme"}, caller.Operator)
	asService, asOperator := florin.NewClient(dialAs(t, env, &service), florin.Options{}), florin.NewClient(dialAs(t, env, &operator), florin.Options{})
	_, err := asService.StartCharge(t.Context(), charge("resolve", "tok_lost"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		c, err := asService.Get(t.Context(), "acme", "resolve")
		return err == nil && c.Status == payment.NeedsReconciliation
	}, time.Minute, 50*time.Millisecond)
	c, err := asOperator.Resolve(t.Context(), "acme", "resolve", payment.Resolution{Status: payment.Failed, Evidence: "the bank's statement", By: "the boss"})
	require.NoError(t, err)
	require.Equal(t, payment.Failed, c.Status)
	require.Contains(t, c.Failure.Message, "resolved by jane")
	require.NotContains(t, c.Failure.Message, "boss")
}

// What is verified once stays verified: the histories hold, however old the claims are.
func TestExpiredClaimsDoNotStopPaymentsInFlight(t *testing.T) {
	env := startAuthorizing(t)
	service := tokenFor(t, "checkout", time.Hour, []string{"acme"}, caller.Service)
	as := florin.NewClient(dialAs(t, env, &service), florin.Options{})
	c, err := as.Charge(t.Context(), manual("in flight", "tok_visa"))
	require.NoError(t, err)
	require.Equal(t, payment.Authorized, c.Status)

	// The issuer has another secret from now on: nothing that was signed before would be accepted again.
	env.StopWorker()
	require.NoError(t, os.WriteFile(env.Config.Authorize.Secret.File, []byte("another secret that issuer and workers share"), 0o600))
	require.NoError(t, env.StartWorker(t.Context()))

	id := payment.ChargeWorkflowID("acme", "in flight")
	described, err := env.Temporal.DescribeWorkflowExecution(t.Context(), id, "")
	require.NoError(t, err)
	history := env.Temporal.GetWorkflowHistory(t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	var reset int64
	for history.HasNext() && reset == 0 {
		event, err := history.Next()
		require.NoError(t, err)
		if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			reset = event.GetEventId()
		}
	}
	_, err = env.Temporal.WorkflowService().ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: client.DefaultNamespace, WorkflowExecution: described.GetWorkflowExecutionInfo().GetExecution(),
		WorkflowTaskFinishEventId: reset, RequestId: "reset", Reason: "test",
	})
	require.NoError(t, err)
	require.NoError(t, env.Temporal.CancelWorkflow(t.Context(), id, ""))
	require.NoError(t, env.Temporal.GetWorkflow(t.Context(), id, "").Get(t.Context(), &c))
	require.Equal(t, payment.Voided, c.Status, "the run that was reset has begun, and voided what was canceled")
}

// A service's own workflow starts Charge as a child.
func TestChildWorkflowsAreSigned(t *testing.T) {
	env := startAuthorizing(t)
	for name, tt := range map[string]struct {
		token *florin.Token
		want  string
	}{
		"service": {token: new(tokenFor(t, "orders", time.Hour, []string{"acme"}, caller.Service))},
		"nobody":  {want: "has no proof"},
	} {
		t.Run(name, func(t *testing.T) {
			connected := dialAs(t, env, tt.token)
			w := worker.New(connected, "orders-"+name, worker.Options{})
			w.RegisterWorkflowWithOptions(func(ctx workflow.Context) (c payment.Charge, err error) {
				req := charge("child of "+name, "tok_visa")
				ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
					WorkflowID: payment.ChargeWorkflowID(req.MerchantID, req.IdempotencyKey), TaskQueue: payment.TaskQueue,
				})
				err = workflow.ExecuteChildWorkflow(ctx, payment.WorkflowCharge, req).Get(ctx, &c)
				return c, err
			}, workflow.RegisterOptions{Name: "Order"})
			require.NoError(t, w.Start())
			t.Cleanup(w.Stop)
			run, err := connected.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "order-" + name, TaskQueue: "orders-" + name}, "Order")
			require.NoError(t, err)
			var c payment.Charge
			err = run.Get(t.Context(), &c)
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, payment.Succeeded, c.Status)
		})
	}
}
