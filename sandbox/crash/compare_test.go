package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
)

// agreed are books of one payment with one refund that agree, and the purchase.
func agreed() (*accounts, []*purchase) {
	amount := int64(40)
	r := &refund{request: payment.RefundRequest{IdempotencyKey: "order-0001-back-1", PaymentID: payment.PaymentID(merchant, "order-0001"), Amount: &amount}}
	p := &purchase{charge: payment.ChargeRequest{IdempotencyKey: "order-0001", Amount: 100}, refunds: []*refund{r}}
	c := payment.Charge{
		PaymentID: p.id(), MerchantID: merchant, IdempotencyKey: "order-0001", Status: payment.Succeeded, Amount: 100, Currency: "USD",
		CapturedAmount: 100, ProcessorPaymentID: "ch_1",
	}
	given := payment.Refund{
		RefundID: payment.RefundID(merchant, r.request.IdempotencyKey), PaymentID: p.id(), MerchantID: merchant, IdempotencyKey: r.request.IdempotencyKey,
		Status: payment.Succeeded, Amount: 40, Currency: "USD", ProcessorRefundID: "re_1",
	}
	p.answers.add(answer[payment.Charge]{call: "charge", value: c})
	r.answers.add(answer[payment.Refund]{call: "refund", value: given})
	stored := c
	stored.RefundedAmount = 40
	return &accounts{
		charges: map[string]payment.Charge{"order-0001": c}, storedCharges: map[string]payment.Charge{"order-0001": stored},
		refunds: map[string]payment.Refund{given.IdempotencyKey: given}, storedRefunds: map[string]payment.Refund{given.IdempotencyKey: given},
		ledger: simulator.Ledger{
			Payments: []simulator.LedgerPayment{{
				ID: "ch_1", Status: "succeeded", Amount: 100, Currency: "USD", CapturedAmount: 100, RefundedAmount: 40,
				Reference: payment.ProcessorKey(p.id(), payment.OperationCharge, 0), Metadata: map[string]string{"florin_payment_id": p.id()},
			}},
			Refunds: []simulator.LedgerRefund{{
				ID: "re_1", PaymentID: "ch_1", Status: "succeeded", Amount: 40, Currency: "USD",
				Reference: payment.ProcessorKey(given.RefundID, payment.OperationRefund, 0), Metadata: map[string]string{"florin_refund_id": given.RefundID},
			}},
		},
	}, []*purchase{p}
}

func TestEveryDisagreementIsFound(t *testing.T) {
	charge := func(in map[string]payment.Charge, change func(*payment.Charge)) {
		c := in["order-0001"]
		change(&c)
		in["order-0001"] = c
	}
	tests := []struct {
		name   string
		change func(*accounts, *purchase)
		want   []string // each is in one of the violations; none: the books agree
	}{
		{"nothing", func(*accounts, *purchase) {}, nil},
		{"the store knows nothing of it", func(a *accounts, _ *purchase) { delete(a.storedCharges, "order-0001") },
			[]string{"store and ledger: the ledger has 1 payments", "workflow and store: amount is 100 and 0"}},
		{"the store has another status", func(a *accounts, _ *purchase) {
			charge(a.storedCharges, func(c *payment.Charge) { c.Status = payment.Unknown })
		}, []string{"workflow and store: status is succeeded and unknown"}},
		{"the store has refunded less", func(a *accounts, _ *purchase) {
			charge(a.storedCharges, func(c *payment.Charge) { c.RefundedAmount = 0 })
		}, []string{"the store has 0 as refunded, but its refunds sum up to 40"}},
		{"the workflow says failed", func(a *accounts, _ *purchase) {
			charge(a.charges, func(c *payment.Charge) { c.Status = payment.Failed })
		}, []string{"workflows and ledger: charge acme/order-0001: reported failed", "workflow and store: status is failed and succeeded", "charge told succeeded, but it is failed"}},
		{"the money moved twice", func(a *accounts, _ *purchase) {
			a.ledger.Payments = append(a.ledger.Payments, a.ledger.Payments[0])
		}, []string{"was executed 2 times", "took the money 2 times"}},
		{"the money went back twice", func(a *accounts, _ *purchase) {
			a.ledger.Refunds = append(a.ledger.Refunds, a.ledger.Refunds[0])
		}, []string{"was executed 2 times", "gave the money back 2 times", "the ledger has 40 of 100 refunded"}},
		{"a refund that no workflow knows", func(a *accounts, _ *purchase) { clear(a.refunds) },
			[]string{"which no workflow reported", "is in the store, but no workflow knows it", "its workflow failed"}},
		{"a lie", func(_ *accounts, p *purchase) {
			p.answers.add(answer[payment.Charge]{call: "get", value: payment.Charge{Status: payment.Declined}})
		}, []string{"get told declined, but it is succeeded"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, purchases := agreed()
			tt.change(a, purchases[0])
			found := a.disagreements(purchases)
			var texts string
			for _, v := range found {
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

func TestAViolationIsAboutThePurchaseThatItNames(t *testing.T) {
	_, purchases := agreed()
	p := purchases[0]
	require.Same(t, p, concerning("refund acme/order-0001-back-1: …", purchases))
	require.Same(t, p, concerning("the key "+payment.ProcessorKey(p.id(), payment.OperationCapture, 1)+" was executed", purchases))
	require.Nil(t, concerning("order-0002", purchases))
}
