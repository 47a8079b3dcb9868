// Package browser tests what people see of Florin: a real browser opens Temporal Web, on payments that went well, that
// went wrong, and that nobody has decided. It takes the pictures of the docs, too.
package browser

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// orders are the charges that people look at.
var orders = []payment.ChargeRequest{
	charge("order-1001", 1250, "USD", "tok_lookup_late"),
	charge("order-1002", 250000, "USD", "tok_insufficient_funds"),
	hold(charge("order-1003", 8900, "EUR", "tok_visa")),
	charge("order-1004", 4999, "GBP", "tok_stolen_card"),
	charge("order-1005", 5000, "USD", "tok_lost"),
	charge("order-1006", 1250, "JPY", "tok_visa"),
	charge("order-1007", 6400, "USD", "tok_403"),
	charge("order-1008", 7350, "USD", "tok_declined_200"),
}

func charge(key string, amount int64, currency, token string) payment.ChargeRequest {
	return payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: key, Amount: amount, Currency: currency, PaymentMethod: token}
}

func hold(req payment.ChargeRequest) payment.ChargeRequest {
	req.Capture = payment.CaptureManual
	return req
}

func TestTemporalWebTellsPeopleWhatBecameOfAPayment(t *testing.T) {
	path := chromium(t)
	env := start(t)
	for _, order := range orders {
		_, err := env.Florin.StartCharge(t.Context(), order)
		require.NoError(t, err)
	}
	tab := open(t, path)
	tab.goTo(t, env.WebURL(), wide)
	tab.prefer(t, map[string]any{
		"navOpen": false,
		"namespace-workflow-table-columns": map[string]any{"default": []column{
			{"Status"}, {"Workflow ID"}, {"PaymentStatus"}, {"Amount"}, {"Currency"}, {"Processor"}, {"Start"},
		}},
	})

	t.Run("the declined ones are found by their status", func(t *testing.T) {
		const query = `PaymentStatus = "declined"`
		awaitList(t, env, query, 3)
		tab.goTo(t, env.WebURL()+"/namespaces/default/workflows", window{1280, 540})
		tab.click(t, `[data-testid="toggle-manual-query"]`)
		tab.enter(t, `[data-testid="workflow-manual-search-input"]`, query)
		tab.wait(t, fmt.Sprintf("document.querySelectorAll(%q).length === 3", rows))
		tab.sees(t, rows, "charge/acme/order-1002 declined 250000 USD", "charge/acme/order-1004 declined 4999 GBP", "charge/acme/order-1008 declined 7350 USD")
		tab.picture(t, "temporal-web-declined-list.png", wholePage)
	})

	t.Run("a declined one has the decline in its result", func(t *testing.T) {
		await(t, env, "order-1002", payment.Declined)
		tab.goTo(t, workflow(env, "order-1002"), window{1280, 960})
		tab.sees(t, inputAndResult, `"status": "declined"`, `"code": "insufficient_funds"`, `"kind": "soft"`)
		tab.picture(t, "temporal-web-declined.png", wholePage)
		tab.click(t, metadata)
		tab.sees(t, currentDetails, "The processor declined it (insufficient_funds, soft): no money has moved.")
	})

	t.Run("a lost answer is told as what was sent, waited for and asked", func(t *testing.T) {
		await(t, env, "order-1001", payment.Succeeded)
		tab.goTo(t, workflow(env, "order-1001"), wide)
		tab.press(t, "Descending") // from now on ascending: as it happened
		tab.sees(t, wholePage, "ProcessorCharge • charge 12.50 USD via simulator",
			"wait 1s, then look up after a lost answer, try 1", "ProcessorLookup • look up after a lost answer, try 1",
			"wait 2s, then look up after a lost answer, try 3", "ProcessorLookup • look up after a lost answer, try 3")
		tab.sees(t, inputAndResult, `"status": "succeeded"`, `"captured_amount": 1250`)
		tab.picture(t, "temporal-web.png", wholePage)
		tab.click(t, `button[aria-label^="Event ProcessorCharge"]`)
		tab.sees(t, wholePage, "unavailable: HTTP 500 (internal_error): a simulated 500")

		tab.resize(t, narrow)
		tab.click(t, metadata)
		tab.sees(t, summary, "12.50 USD · acme · order-1001")
		tab.sees(t, details, "Take 12.50 USD for merchant acme", "idempotency key order-1001", payment.PaymentID("acme", "order-1001"), "Runbook")
		tab.sees(t, currentDetails, "succeeded. 12.50 USD were taken.", "give it back: starter refund --merchant acme --charge-key 'order-1001'")
		tab.picture(t, "temporal-web-details.png", panels)
	})

	t.Run("one that is only held says how to take it or to let it go", func(t *testing.T) {
		await(t, env, "order-1003", payment.Authorized)
		tab.goTo(t, workflow(env, "order-1003"), narrow)
		tab.click(t, metadata)
		tab.sees(t, details, "Hold, for a later capture, 89.00 EUR")
		tab.sees(t, currentDetails, "authorized. 89.00 EUR are held, and not taken.", "Next: ",
			"starter capture --merchant acme --key 'order-1003'", "starter void --merchant acme --key 'order-1003'")
		tab.picture(t, "temporal-web-authorized.png", panels)
	})

	t.Run("one that nobody knows the outcome of says what is known, what comes next and what to do", func(t *testing.T) {
		await(t, env, "order-1005", payment.NeedsReconciliation)
		tab.goTo(t, workflow(env, "order-1005"), narrow)
		tab.click(t, metadata)
		tab.sees(t, currentDetails, "needs_reconciliation. Nobody knows whether money has moved", "Why: outcome_unknown: the processor could not say",
			"Next: simulator is still asked now and then", "What you can do:", "Send a Signal, processor-event",
			"starter resolve --merchant acme --key 'order-1005'")
		tab.picture(t, "temporal-web-needs-reconciliation.png", panels)
	})
}

// metadata is the tab of a workflow's page that says what was asked for, and how it stands.
const metadata = `[data-testid="user-metadata-tab"]`

// column of a list of workflows.
type column struct {
	Label string `json:"label"`
}

// start runs an environment whose processor is believed only when it finds a payment.
func start(t *testing.T) *environment.Environment {
	t.Helper()
	env, err := environment.Start(context.Background(), environment.Options{Web: true, Tune: func(c *config.Config) {
		p := c.Processors[environment.ProcessorName]
		p.AbsenceProofAfter = 0
		p.Resolve = activities.Poll{
			Initial: activities.Duration(time.Second), Max: activities.Duration(2 * time.Second), For: activities.Duration(6 * time.Second),
		}
		c.Processors[environment.ProcessorName] = p
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, env.Stop()) })
	return env
}

// workflow is the page of a charge.
func workflow(env *environment.Environment, key string) string {
	return env.WorkflowURL(payment.ChargeWorkflowID("acme", key))
}

// await waits until a charge has become what it was to become.
func await(t *testing.T, env *environment.Environment, key string, status payment.Status) {
	t.Helper()
	require.Eventually(t, func() bool {
		charge, err := env.Florin.Get(t.Context(), "acme", key)
		return err == nil && charge.Status == status
	}, patience, 50*time.Millisecond, "%s does not become %s", key, status)
}

// awaitList waits until Temporal lists so many workflows: lists come late.
func awaitList(t *testing.T, env *environment.Environment, query string, n int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		found, err := env.Temporal.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: query})
		require.NoError(t, err)
		return found.GetCount() == n
	}, patience, 50*time.Millisecond)
}
