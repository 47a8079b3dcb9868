package books

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
)

// charge returns a reported charge.
func charge(status payment.Status) payment.Charge {
	c := payment.Charge{PaymentID: "pay_1", MerchantID: "acme", IdempotencyKey: "order-1", Status: status, Amount: 1250, Currency: "USD"}
	if status == payment.Succeeded {
		c.CapturedAmount, c.ProcessorPaymentID = 1250, "ch_1"
	}
	return c
}

// entry returns the ledger's entry for the charge.
func entry(id, status string) simulator.LedgerPayment {
	e := simulator.LedgerPayment{
		ID: id, Status: status, Amount: 1250, Currency: "USD",
		Reference: payment.ProcessorKey("pay_1", payment.OperationCharge, 0),
		Metadata:  map[string]string{"florin_payment_id": "pay_1"},
	}
	if status == "succeeded" {
		e.CapturedAmount = 1250
	}
	return e
}

type entries = []simulator.LedgerPayment

func TestChargesAreComparedWithTheLedger(t *testing.T) {
	wrongAmount, partlyCaptured, otherReference := entry("ch_1", "succeeded"), entry("ch_1", "succeeded"), entry("ch_1", "succeeded")
	wrongAmount.Amount, partlyCaptured.CapturedAmount, otherReference.Reference = 1350, 1000, "other"
	tests := []struct {
		name     string
		reported payment.Status
		ledger   entries
		want     string // in the only difference; empty: there is no difference
		double   int
	}{
		{name: "charged, and reported succeeded", reported: payment.Succeeded, ledger: entries{entry("ch_1", "succeeded")}},
		{name: "not charged, but reported succeeded", reported: payment.Succeeded, want: "no entry"},
		{
			name: "charged, but reported failed", reported: payment.Failed, ledger: entries{entry("ch_1", "succeeded")},
			want: "reported failed",
		},
		{
			name: "charged, but reported declined", reported: payment.Declined, ledger: entries{entry("ch_1", "succeeded")},
			want: "reported declined",
		},
		{
			name: "charged twice", reported: payment.Succeeded,
			ledger: entries{entry("ch_1", "succeeded"), entry("ch_2", "succeeded")},
			want:   "2 times", double: 1,
		},
		{
			name: "charged twice, and the outcome is unknown", reported: payment.NeedsReconciliation,
			ledger: entries{entry("ch_1", "succeeded"), entry("ch_2", "pending")},
			want:   "2 times", double: 1,
		},
		{name: "another amount", reported: payment.Succeeded, ledger: entries{wrongAmount}, want: "1350 USD"},
		{name: "another captured amount", reported: payment.Succeeded, ledger: entries{partlyCaptured}, want: "captured 1000"},
		{
			name: "another processor payment ID", reported: payment.Succeeded, ledger: entries{entry("ch_9", "succeeded")},
			want: "ch_9",
		},
		{
			name: "authorized, but reported succeeded", reported: payment.Succeeded, ledger: entries{entry("ch_1", "authorized")},
			want: "authorized",
		},
		{name: "declined, and reported declined", reported: payment.Declined, ledger: entries{entry("ch_1", "declined")}},
		{name: "not charged, and reported failed", reported: payment.Failed},
		{name: "voided, and reported declined", reported: payment.Declined, ledger: entries{entry("ch_1", "voided")}},
		{
			name: "voided, but reported failed", reported: payment.Failed, ledger: entries{entry("ch_1", "voided")},
			want: "reported failed",
		},
		{name: "declined, and reported failed", reported: payment.Failed, ledger: entries{entry("ch_1", "declined")}},
		{name: "reported conflicted, and the amount differs", reported: payment.Conflicted, ledger: entries{wrongAmount}},
		{name: "reported conflicted, and the reference differs", reported: payment.Conflicted, ledger: entries{otherReference}},
		{
			name: "reported conflicted, but nothing differs", reported: payment.Conflicted,
			ledger: entries{entry("ch_1", "succeeded")},
			want:   "exactly the requested charge",
		},
		{name: "reported conflicted, but not charged", reported: payment.Conflicted, want: "no entry"},
		{
			name: "charged, and the outcome is unknown", reported: payment.NeedsReconciliation,
			ledger: entries{entry("ch_1", "succeeded")},
		},
		{name: "not charged, and the outcome is unknown", reported: payment.Unknown},
		{name: "voided, and reported voided", reported: payment.Voided, ledger: entries{entry("", "voided")}},
		{
			name: "authorized, but reported voided", reported: payment.Voided, ledger: entries{entry("", "authorized")},
			want: "authorized",
		},
		{name: "charged, but reported voided", reported: payment.Voided, ledger: entries{entry("", "succeeded")}, want: "succeeded"},
		{name: "voided, and reported expired", reported: payment.Expired, ledger: entries{entry("ch_1", "voided")}},
		{name: "declined, and reported expired", reported: payment.Expired, ledger: entries{entry("ch_1", "declined")}},
		{name: "not charged, and reported expired", reported: payment.Expired},
		{
			name: "authorized, but reported expired", reported: payment.Expired, ledger: entries{entry("ch_1", "authorized")},
			want: "reported expired",
		},
		{
			name: "charged, but reported expired", reported: payment.Expired, ledger: entries{entry("ch_1", "succeeded")},
			want: "reported expired",
		},
		{
			name: "waiting for the customer, but reported expired", reported: payment.Expired,
			ledger: entries{entry("ch_1", "requires_action")},
			want:   "reported expired",
		},
		{
			name: "voided, but reported failed", reported: payment.Failed, ledger: entries{entry("ch_1", "voided")},
			want: "reported failed",
		},
		{
			name: "authorized twice", reported: payment.Expired, ledger: entries{entry("ch_1", "voided"), entry("ch_2", "voided")},
			want: "2 times", double: 1,
		},
		{name: "reported processing, which is not an outcome", reported: payment.Processing, want: "not an outcome"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Compare([]payment.Charge{charge(tt.reported)}, nil, simulator.Ledger{Payments: tt.ledger})
			require.Equal(t, tt.double, got.DoubleCharges)
			if tt.want == "" {
				require.Empty(t, got.Differences)
				return
			}
			require.Len(t, got.Differences, 1)
			require.Contains(t, got.Differences[0], tt.want)
		})
	}
}

func TestLedgerEntryThatNoWorkflowReportedIsADifference(t *testing.T) {
	unreported := entry("ch_2", "succeeded")
	unreported.Metadata = nil
	got := Compare([]payment.Charge{charge(payment.Succeeded)}, nil, simulator.Ledger{
		Payments: []simulator.LedgerPayment{entry("ch_1", "succeeded"), unreported},
		Refunds: []simulator.LedgerRefund{
			{ID: "re_1", Status: "succeeded", Metadata: map[string]string{"florin_refund_id": "ref_1"}},
		},
	})
	require.Len(t, got.Differences, 2)
}

func TestRefundsAreComparedWithTheLedger(t *testing.T) {
	type entries = []simulator.LedgerRefund
	entry := func(id, status string, amount int64) simulator.LedgerRefund {
		return simulator.LedgerRefund{
			ID: id, Status: status, Amount: amount, Currency: "USD", Metadata: map[string]string{"florin_refund_id": "ref_1"},
		}
	}
	tests := []struct {
		name     string
		reported payment.Status
		ledger   entries
		want     string // in the only difference; empty: there is no difference
		double   int
	}{
		{name: "refunded, and reported succeeded", reported: payment.Succeeded, ledger: entries{entry("re_1", "succeeded", 500)}},
		{name: "not refunded, but reported succeeded", reported: payment.Succeeded, want: "no entry"},
		{
			name: "refunded, but reported failed", reported: payment.Failed, ledger: entries{entry("re_1", "succeeded", 500)},
			want: "reported failed",
		},
		{name: "another amount", reported: payment.Succeeded, ledger: entries{entry("re_1", "succeeded", 499)}, want: "499"},
		{
			name: "refunded twice", reported: payment.Succeeded,
			ledger: entries{entry("re_1", "succeeded", 500), entry("re_2", "pending", 500)},
			want:   "2 times", double: 1,
		},
		{name: "declined, and reported declined", reported: payment.Declined, ledger: entries{entry("re_1", "declined", 500)}},
		{
			name: "refunded, and the outcome is unknown", reported: payment.NeedsReconciliation,
			ledger: entries{entry("re_1", "succeeded", 500)},
		},
		{name: "reported conflicted, which is not an outcome of a refund", reported: payment.Conflicted, want: "not an outcome"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reported := payment.Refund{RefundID: "ref_1", Status: tt.reported, Amount: 500, Currency: "USD", ProcessorRefundID: "re_1"}
			got := Compare(nil, []payment.Refund{reported}, simulator.Ledger{Refunds: tt.ledger})
			require.Equal(t, tt.double, got.DoubleCharges)
			if tt.want == "" {
				require.Empty(t, got.Differences)
				return
			}
			require.Len(t, got.Differences, 1)
			require.Contains(t, got.Differences[0], tt.want)
		})
	}
}
