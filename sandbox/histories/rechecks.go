package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/payment"
)

// rechecks are the scenarios of final payments about which the processor sends an event. Their histories end in the pause after the
// lookup.
var rechecks = []scenario{
	{
		name: "recheck-agrees", about: "an event about a final payment: the processor's record agrees",
		run: func(ctx context.Context, r *recording) error {
			if _, err := r.paidCharge(ctx, "tok_visa"); err != nil {
				return err
			}
			return r.recheck(ctx)
		},
	},
	{
		name: "recheck-refunded-elsewhere", about: "the payment was refunded at the processor without Florin",
		run: func(ctx context.Context, r *recording) error {
			c, err := r.paidCharge(ctx, "tok_visa")
			if err != nil {
				return err
			}
			if err := r.refundInDashboard(ctx, c); err != nil {
				return err
			}
			return r.recheck(ctx)
		},
	},
}

// recheck starts the recheck of the payment of paidCharge with an event, and waits until it has looked the payment up.
func (r *recording) recheck(ctx context.Context) error {
	req := payment.RecheckRequest{MerchantID: merchant, IdempotencyKey: r.key + "-paid"}
	r.workflowID = payment.RecheckWorkflowID(req)
	_, err := r.env.Temporal.SignalWithStartWorkflow(ctx, r.workflowID, payment.SignalProcessorEvent,
		payment.ProcessorEvent{ID: "evt_1", Type: "payment.updated"}, client.StartWorkflowOptions{TaskQueue: payment.TaskQueue},
		payment.WorkflowRecheck, req)
	if err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) {
		h, err := r.history(ctx)
		timers := 0
		for _, e := range h.GetEvents() {
			if e.GetEventType() == enumspb.EVENT_TYPE_TIMER_STARTED {
				timers++
			}
		}
		return timers == 2, err // to collect events, and the pause
	})
}

// refundInDashboard refunds 5.00 USD at the simulator.
func (r *recording) refundInDashboard(ctx context.Context, c payment.Charge) error {
	body := fmt.Sprintf(`{"payment_id":%q,"amount":500,"reference":"dashboard"}`, c.ProcessorPaymentID)
	url := fmt.Sprintf("http://127.0.0.1:%d/refunds", r.env.Ports.Simulator)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer sim_sandbox_key")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", "dashboard-"+r.key)
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("refund in the dashboard: status %d", response.StatusCode)
	}
	return nil
}
