// Package browser tests what operators see in Temporal Web: a real browser opens the pages of payments that succeeded,
// that were declined, that are authorized and whose outcome is unknown. It also takes the screenshots of the docs.
package browser

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
	"github.com/florinpay/florin/sandbox/markup"
)

// requests are the charges that the pages show.
var requests = []payment.ChargeRequest{
	charge("order-1001", 1250, "USD", "tok_lookup_late"),
	charge("order-1002", 250000, "USD", "tok_insufficient_funds"),
	manual(charge("order-1003", 8900, "EUR", "tok_visa")),
	charge("order-1004", 4999, "GBP", "tok_stolen_card"),
	charge("order-1005", 5000, "USD", "tok_lost"),
	charge("order-1006", 1250, "JPY", "tok_visa"),
	charge("order-1007", 6400, "USD", "tok_403"),
	charge("order-1008", 7350, "USD", "tok_declined_200"),
}

func charge(key string, amount int64, currency, token string) payment.ChargeRequest {
	return payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: key, Amount: amount, Currency: currency, PaymentMethod: token}
}

func manual(req payment.ChargeRequest) payment.ChargeRequest {
	req.Capture = payment.CaptureManual
	return req
}

func TestTemporalWebDescribesEachPayment(t *testing.T) {
	path := chromium(t)
	env := start(t)
	for _, req := range requests {
		_, err := env.Florin.StartCharge(t.Context(), req)
		require.NoError(t, err)
	}
	tab := openTab(t, path)
	tab.goTo(t, env.WebURL(), wide)
	tab.setPreferences(t, map[string]any{
		"navOpen": false,
		"namespace-workflow-table-columns": map[string]any{"default": []column{
			{Label: "Status"}, {Label: "Workflow ID"}, {Label: "PaymentStatus"}, {Label: "Amount"}, {Label: "Currency"},
			{Label: "Processor"}, {Label: "Start"},
		}},
	})

	t.Run("a query by status lists the declined payments", func(t *testing.T) {
		const query = `PaymentStatus = "declined"`
		awaitList(t, env, query, 3)
		tab.goTo(t, env.WebURL()+"/namespaces/default/workflows", window{1280, 540})
		tab.click(t, `[data-testid="toggle-manual-query"]`)
		tab.enter(t, `[data-testid="workflow-manual-search-input"]`, query)
		tab.wait(t, fmt.Sprintf("document.querySelectorAll(%q).length === 3", rows))
		tab.sees(t, rows, "charge/acme/order-1002 declined 250000 USD", "charge/acme/order-1004 declined 4999 GBP", "charge/acme/order-1008 declined 7350 USD")
		tab.picture(t, "temporal-web-declined-list.png", wholePage)
	})

	t.Run("a declined payment has the decline in its result", func(t *testing.T) {
		awaitStatus(t, env, "order-1002", payment.Declined)
		tab.goTo(t, chargeURL(t, env, "order-1002"), window{1280, 960})
		tab.sees(t, inputAndResult, `"status": "declined"`, `"code": "insufficient_funds"`, `"kind": "soft"`)
		tab.picture(t, "temporal-web-declined.png", wholePage)
		tab.click(t, metadata)
		tab.sees(t, currentDetails, "The processor declined it (insufficient_funds, soft): no money has moved.")
	})

	t.Run("an unknown outcome shows the retries, the waits and the lookups that resolved it", func(t *testing.T) {
		awaitStatus(t, env, "order-1001", payment.Succeeded)
		tab.goTo(t, chargeURL(t, env, "order-1001"), wide)
		tab.press(t, "Descending") // switches to ascending, in the order of the events
		tab.sees(t, wholePage, "ProcessorCharge • charge 12.50 USD via simulator",
			", then send it again under the same key", "ProcessorLookup • look up the unknown outcome #1",
			"wait 2s, then look up the unknown outcome #3", "ProcessorLookup • look up the unknown outcome #3")
		tab.sees(t, inputAndResult, `"status": "succeeded"`, `"captured_amount": 1250`)
		tab.picture(t, "temporal-web.png", wholePage)
		tab.click(t, `button[aria-label^="Event ProcessorCharge"]`)
		tab.sees(t, wholePage, "unavailable: HTTP 500 (internal_error): a simulated 500")

		tab.resize(t, narrow)
		tab.click(t, metadata)
		tab.sees(t, summary, "12.50 USD · acme · order-1001")
		tab.sees(t, details, "Charge 12.50 USD for merchant acme", "Idempotency key order-1001", payment.PaymentID("acme", "order-1001"), "Runbook")
		tab.sees(t, currentDetails, "succeeded. 12.50 USD were captured.", "refund it: starter refund --payment-id "+payment.PaymentID("acme", "order-1001")+" --key …")
		tab.picture(t, "temporal-web-details.png", panels)
	})

	t.Run("the link of a key with special characters opens its payment", func(t *testing.T) {
		for _, key := range []string{`50 +1=a,b@c~d:e`, `a.b_c-d`} {
			_, err := env.Florin.StartCharge(t.Context(), charge(key, 1250, "USD", "tok_visa"))
			require.NoError(t, err)
			awaitStatus(t, env, key, payment.Succeeded)
			tab.goTo(t, chargeURL(t, env, key), window{1280, 960})
			tab.sees(t, wholePage, payment.ChargeWorkflowID("acme", key), `"status": "succeeded"`)
		}
	})

	t.Run("an authorized payment shows how to capture and how to void it", func(t *testing.T) {
		awaitStatus(t, env, "order-1003", payment.Authorized)
		tab.goTo(t, chargeURL(t, env, "order-1003"), narrow)
		tab.click(t, metadata)
		tab.sees(t, details, "Authorize 89.00 EUR")
		tab.sees(t, currentDetails, "authorized. 89.00 EUR are authorized and not captured.", "Next: ",
			"starter capture --payment-id "+payment.PaymentID("acme", "order-1003"), "starter void --payment-id "+payment.PaymentID("acme", "order-1003"))
		tab.picture(t, "temporal-web-authorized.png", panels)
	})

	t.Run("a payment that needs reconciliation shows what is known, what comes next and what the operator can do", func(t *testing.T) {
		awaitStatus(t, env, "order-1005", payment.NeedsReconciliation)
		tab.goTo(t, chargeURL(t, env, "order-1005"), narrow)
		tab.click(t, metadata)
		tab.sees(t, currentDetails, "needs_reconciliation. Unknown whether money moved", "Why: outcome_unknown: the processor did not report the outcome within",
			"; the last send: a simulated 500; the last lookup: a simulated 500",
			"Next: simulator is still asked now and then", "What you can do:", "Send a Signal, processor-event",
			"starter resolve --payment-id "+payment.PaymentID("acme", "order-1005"))
		tab.picture(t, "temporal-web-needs-reconciliation.png", panels)
	})
}

// Earlier releases accepted other characters in keys, and a Temporal client of its own can start a workflow with any ID.
func TestTemporalWebShowsNoMarkupOfAKey(t *testing.T) {
	path := chromium(t)
	env := start(t)
	tab := openTab(t, path)
	tab.goTo(t, env.WebURL(), narrow)
	var begun, started []payment.ChargeRequest
	for i, key := range markup.Hostile {
		key = strings.ReplaceAll(key, "/", "|") // no release has accepted a slash
		req := charge(key, 1250, "USD", []string{"tok_visa", "tok_lost"}[i%2])
		begin(t, env, req)
		_, err := env.Florin.StartCharge(t.Context(), req)
		require.NoError(t, err)
		begun = append(begun, req)

		if !strings.Contains(key, "{workflowId}") {
			continue
		}
		req.IdempotencyKey = "new " + key
		run, err := env.Temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: payment.ChargeWorkflowID("acme", req.IdempotencyKey), TaskQueue: payment.TaskQueue,
			StaticSummary: temporalweb.ChargeSummary(req), StaticDetails: temporalweb.ChargeDetails(req),
		}, payment.WorkflowCharge, req)
		require.NoError(t, err)
		require.ErrorContains(t, run.Get(t.Context(), nil), "idempotency_key")
		started = append(started, req)
	}
	for _, req := range begun {
		t.Run("begun with an earlier release: "+req.IdempotencyKey, func(t *testing.T) {
			id := payment.PaymentID("acme", req.IdempotencyKey)
			status, want := payment.Succeeded, "starter refund --payment-id "+id+" --key …"
			if req.PaymentMethod == "tok_lost" {
				status, want = payment.NeedsReconciliation, "starter resolve --payment-id "+id+" --status"
			}
			awaitStatus(t, env, req.IdempotencyKey, status)
			tab.goTo(t, chargeURL(t, env, req.IdempotencyKey), narrow)
			tab.click(t, metadata)
			tab.sees(t, summary, "12.50 USD · acme · ")
			tab.sees(t, details, "Idempotency key ", id)
			tab.sees(t, currentDetails, want)
			tab.requireNoForeignMarkup(t)
		})
	}
	for _, req := range started {
		t.Run("started with another client: "+req.IdempotencyKey, func(t *testing.T) {
			tab.goTo(t, chargeURL(t, env, req.IdempotencyKey), narrow)
			tab.click(t, metadata)
			tab.sees(t, details, "Idempotency key ", payment.PaymentID("acme", req.IdempotencyKey))
			tab.requireNoForeignMarkup(t)
		})
	}
}

// begin stores a payment, as an earlier release has done.
func begin(t *testing.T, env *environment.Environment, req payment.ChargeRequest) {
	t.Helper()
	dsn, err := env.Config.Store.DSN()
	require.NoError(t, err)
	s, err := store.Open(t.Context(), dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, created, err := s.BeginPayment(t.Context(), payment.Charge{
		PaymentID: payment.PaymentID(req.MerchantID, req.IdempotencyKey), MerchantID: req.MerchantID, IdempotencyKey: req.IdempotencyKey,
		Amount: req.Amount, Currency: req.Currency, Processor: environment.ProcessorName, PaymentMethod: req.PaymentMethod,
	}, req.Fingerprint())
	require.NoError(t, err)
	require.True(t, created)
}

// metadata selects the tab of a workflow's page with its summary, details and current details.
const metadata = `[data-testid="user-metadata-tab"]`

// column is a column of Temporal Web's list of workflows.
type column struct {
	Label string `json:"label"`
}

// start starts an environment in which a lookup that finds nothing never proves that a payment does not exist.
func start(t *testing.T) *environment.Environment {
	t.Helper()
	env, err := environment.Start(context.Background(), environment.Options{Web: true, Tune: func(c *config.Config) {
		p := c.Processors[environment.ProcessorName]
		p.AbsenceProofAfter = new(activities.Duration(0))
		p.Resolve = activities.Poll{
			Initial: activities.Duration(time.Second), Max: activities.Duration(2 * time.Second), For: activities.Duration(6 * time.Second),
		}
		c.Processors[environment.ProcessorName] = p
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, env.Stop()) })
	return env
}

// chargeURL returns the address of a charge's page.
func chargeURL(t *testing.T, env *environment.Environment, key string) string {
	t.Helper()
	link, err := env.WorkflowURL(t.Context(), payment.ChargeWorkflowID("acme", key))
	require.NoError(t, err)
	return link
}

// awaitStatus waits until a charge has the status.
func awaitStatus(t *testing.T, env *environment.Environment, key string, status payment.Status) {
	t.Helper()
	require.Eventually(t, func() bool {
		charge, err := env.Florin.Get(t.Context(), "acme", key)
		return err == nil && charge.Status == status
	}, timeout, 50*time.Millisecond, "%s is not %s in time", key, status)
}

// awaitList waits until the query finds n workflows: visibility is eventually consistent.
func awaitList(t *testing.T, env *environment.Environment, query string, n int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		found, err := env.Temporal.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: query})
		require.NoError(t, err)
		return found.GetCount() == n
	}, timeout, 50*time.Millisecond)
}
