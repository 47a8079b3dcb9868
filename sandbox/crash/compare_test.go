package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// consistentRecords returns a purchase of one payment with one refund, and records of it that agree.
func consistentRecords() (*records, []*purchase) {
	amount := int64(40)
	r := &refund{request: payment.RefundRequest{
		IdempotencyKey: "order-0001-back-1", PaymentID: payment.PaymentID(merchant, "order-0001"), Amount: &amount,
	}}
	p := &purchase{charge: payment.ChargeRequest{IdempotencyKey: "order-0001", Amount: 100}, refunds: []*refund{r}}
	c := payment.Charge{
		PaymentID: p.id(), MerchantID: merchant, IdempotencyKey: "order-0001", Status: payment.Succeeded, Amount: 100, Currency: "USD",
		CapturedAmount: 100, ProcessorPaymentID: "ch_1",
	}
	refunded := payment.Refund{
		RefundID: payment.RefundID(merchant, r.request.IdempotencyKey), PaymentID: p.id(),
		MerchantID: merchant, IdempotencyKey: r.request.IdempotencyKey,
		Status: payment.Succeeded, Amount: 40, Currency: "USD", ProcessorRefundID: "re_1",
	}
	p.results.add(callResult[payment.Charge]{call: "charge", value: c})
	r.results.add(callResult[payment.Refund]{call: "refund", value: refunded})
	stored := c
	stored.RefundedAmount = 40
	return &records{
		charges:       map[string]payment.Charge{"order-0001": c},
		storedCharges: map[string]payment.Charge{"order-0001": stored},
		refunds:       map[string]payment.Refund{refunded.IdempotencyKey: refunded},
		storedRefunds: map[string]payment.Refund{refunded.IdempotencyKey: refunded},
		ledger: simulator.Ledger{
			Payments: []simulator.LedgerPayment{{
				ID: "ch_1", Status: "succeeded", Amount: 100, Currency: "USD", CapturedAmount: 100, RefundedAmount: 40,
				Reference: payment.ProcessorKey(p.id(), payment.OperationCharge, 0), Metadata: map[string]string{"florin_payment_id": p.id()},
			}},
			Refunds: []simulator.LedgerRefund{{
				ID: "re_1", PaymentID: "ch_1", Status: "succeeded", Amount: 40, Currency: "USD",
				Reference: payment.ProcessorKey(refunded.RefundID, payment.OperationRefund, 0),
				Metadata:  map[string]string{"florin_refund_id": refunded.RefundID},
			}},
		},
	}, []*purchase{p}
}

// failLate lets the refund fail after it has succeeded.
func failLate(all *records, p *purchase) {
	key := p.refunds[0].request.IdempotencyKey
	stored, charge := all.storedRefunds[key], all.storedCharges[p.key()]
	stored.Status, stored.Failure = payment.Failed, &payment.Failure{Message: "account_closed"}
	charge.RefundedAmount = 0
	all.storedRefunds[key], all.storedCharges[p.key()] = stored, charge
	all.refundEvents = map[string][]store.Event{
		stored.RefundID: {{From: payment.Succeeded, To: payment.Failed, Cause: store.Cause{By: "lookup"}}},
	}
	all.ledger.Refunds[0].Status, all.ledger.Payments[0].RefundedAmount = "declined", 0
}

func TestEveryDisagreementOfTheRecordsIsFound(t *testing.T) {
	changeCharge := func(in map[string]payment.Charge, change func(*payment.Charge)) {
		c := in["order-0001"]
		change(&c)
		in["order-0001"] = c
	}
	tests := []struct {
		name   string
		change func(*records, *purchase)
		want   []string // each is in one of the violations; none: the records agree
	}{
		{name: "no change", change: func(*records, *purchase) {}},
		{
			name:   "the store does not have the charge",
			change: func(all *records, _ *purchase) { delete(all.storedCharges, "order-0001") },
			want:   []string{"store and ledger: the ledger has 1 payments", "workflow and store: amount is 100 and 0"},
		},
		{
			name: "the store has another status",
			change: func(all *records, _ *purchase) {
				changeCharge(all.storedCharges, func(c *payment.Charge) { c.Status = payment.Unknown })
			},
			want: []string{"workflow and store: status is succeeded and unknown"},
		},
		{
			name: "the store has a smaller refunded amount",
			change: func(all *records, _ *purchase) {
				changeCharge(all.storedCharges, func(c *payment.Charge) { c.RefundedAmount = 0 })
			},
			want: []string{"its refunded amount in the store is 0, but its refunds there sum up to 40"},
		},
		{
			name: "the workflow reports failed",
			change: func(all *records, _ *purchase) {
				changeCharge(all.charges, func(c *payment.Charge) { c.Status = payment.Failed })
			},
			want: []string{
				"workflows and ledger: charge acme/order-0001: reported failed", "workflow and store: status is failed and succeeded",
				"charge returned succeeded, but the charge is failed",
			},
		},
		{
			name: "the charge was executed twice",
			change: func(all *records, _ *purchase) {
				all.ledger.Payments = append(all.ledger.Payments, all.ledger.Payments[0])
			},
			want: []string{"was executed 2 times", "has it charged 2 times"},
		},
		{
			name: "the refund was executed twice",
			change: func(all *records, _ *purchase) {
				all.ledger.Refunds = append(all.ledger.Refunds, all.ledger.Refunds[0])
			},
			want: []string{"was executed 2 times", "has it refunded 2 times", "the ledger has 40 of 100 refunded"},
		},
		{
			name:   "no workflow reported the refund",
			change: func(all *records, _ *purchase) { clear(all.refunds) },
			want:   []string{"which no workflow reported", "is in the store, but no workflow reported it", "its workflow failed"},
		},
		{name: "the refund failed later, as the processor reports", change: failLate},
		{
			name: "the refund failed later, but the processor has it as succeeded",
			change: func(all *records, p *purchase) {
				failLate(all, p)
				all.ledger.Refunds[0].Status, all.ledger.Payments[0].RefundedAmount = "succeeded", 40
			},
			want: []string{
				"store and ledger: refund acme/order-0001-back-1: reported failed", "workflow and store: failure is absent",
				"status is succeeded and failed",
			},
		},
		{
			name: "the refund failed later, but no lookup has found that",
			change: func(all *records, p *purchase) {
				failLate(all, p)
				for _, events := range all.refundEvents {
					events[0].Cause.By = "workflow"
				}
			},
			want: []string{
				"workflows and ledger: refund acme/order-0001-back-1: reported succeeded",
				"workflow and store: failure is absent", "status is succeeded and failed",
			},
		},
		{
			name: "the payment was refunded in the dashboard",
			change: func(all *records, p *purchase) {
				p.charge.PaymentMethod = refundedInDashboard
				all.ledger.Payments[0].RefundedAmount = 100
			},
		},
		{
			name:   "the payment was refunded outside of the ledger",
			change: func(all *records, _ *purchase) { all.ledger.Payments[0].RefundedAmount = 100 },
			want:   []string{"the ledger has 100 of 100 refunded"},
		},
		{
			name: "a caller received a false result",
			change: func(_ *records, p *purchase) {
				p.results.add(callResult[payment.Charge]{call: "get", value: payment.Charge{Status: payment.Declined}})
			},
			want: []string{"get returned declined, but the charge is succeeded"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, purchases := consistentRecords()
			tt.change(all, purchases[0])
			var texts string
			for _, v := range all.disagreements(purchases) {
				texts += v.text + "\n"
			}
			if tt.want == nil {
				require.Empty(t, texts)
			}
			for _, want := range tt.want {
				require.Contains(t, texts, want)
			}
		})
	}
}

func TestPurchaseNamedInAViolationIsFound(t *testing.T) {
	_, purchases := consistentRecords()
	p := purchases[0]
	require.Same(t, p, purchaseNamedIn("refund acme/order-0001-back-1: …", purchases))
	require.Same(t, p, purchaseNamedIn("the key "+payment.ProcessorKey(p.id(), payment.OperationCapture, 1)+" was executed", purchases))
	require.Nil(t, purchaseNamedIn("order-0002", purchases))
}
