package books

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
)

func charge(status payment.Status) payment.Charge {
	c := payment.Charge{PaymentID: "pay_1", MerchantID: "acme", IdempotencyKey: "order-1", Status: status, Amount: 1250, Currency: "USD"}
	if status == payment.Succeeded {
		c.CapturedAmount, c.ProcessorPaymentID = 1250, "ch_1"
	}
	return c
}

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

func TestBooksAreComparedEntryByEntry(t *testing.T) {
	wrongAmount, partlyCaptured, otherReference := entry("ch_1", "succeeded"), entry("ch_1", "succeeded"), entry("ch_1", "succeeded")
	wrongAmount.Amount, partlyCaptured.CapturedAmount, otherReference.Reference = 1350, 1000, "other"
	tests := []struct {
		name     string
		reported payment.Status
		ledger   []simulator.LedgerPayment
		want     string // empty: the books are equal
		double   int
	}{
		{"charged and reported", payment.Succeeded, []simulator.LedgerPayment{entry("ch_1", "succeeded")}, "", 0},
		{"reported, but not charged", payment.Succeeded, nil, "the ledger has nothing", 0},
		{"charged, but reported failed", payment.Failed, []simulator.LedgerPayment{entry("ch_1", "succeeded")}, "reported failed", 0},
		{"charged, but reported declined", payment.Declined, []simulator.LedgerPayment{entry("ch_1", "succeeded")}, "reported declined", 0},
		{"charged twice", payment.Succeeded, []simulator.LedgerPayment{entry("ch_1", "succeeded"), entry("ch_2", "succeeded")}, "2 times", 1},
		{"charged twice, nobody knows", payment.NeedsReconciliation, []simulator.LedgerPayment{entry("ch_1", "succeeded"), entry("ch_2", "pending")}, "2 times", 1},
		{"another amount", payment.Succeeded, []simulator.LedgerPayment{wrongAmount}, "1350 USD", 0},
		{"another captured amount", payment.Succeeded, []simulator.LedgerPayment{partlyCaptured}, "captured 1000", 0},
		{"another id", payment.Succeeded, []simulator.LedgerPayment{entry("ch_9", "succeeded")}, "ch_9", 0},
		{"held, but reported taken", payment.Succeeded, []simulator.LedgerPayment{entry("ch_1", "authorized")}, "authorized", 0},
		{"declined and reported", payment.Declined, []simulator.LedgerPayment{entry("ch_1", "declined")}, "", 0},
		{"failed and not charged", payment.Failed, nil, "", 0},
		{"failed after a decline", payment.Failed, []simulator.LedgerPayment{entry("ch_1", "declined")}, "", 0},
		{"a conflict that is one", payment.Conflicted, []simulator.LedgerPayment{wrongAmount}, "", 0},
		{"a conflict of reference", payment.Conflicted, []simulator.LedgerPayment{otherReference}, "", 0},
		{"a conflict that is none", payment.Conflicted, []simulator.LedgerPayment{entry("ch_1", "succeeded")}, "just what was asked", 0},
		{"a conflict about nothing", payment.Conflicted, nil, "the ledger has nothing", 0},
		{"nobody knows, and it was charged", payment.NeedsReconciliation, []simulator.LedgerPayment{entry("ch_1", "succeeded")}, "", 0},
		{"nobody knows, and it was not", payment.Unknown, nil, "", 0},
		{"voided and reported", payment.Voided, []simulator.LedgerPayment{entry("", "voided")}, "", 0},
		{"held, but reported voided", payment.Voided, []simulator.LedgerPayment{entry("", "authorized")}, "authorized", 0},
		{"taken, but reported voided", payment.Voided, []simulator.LedgerPayment{entry("", "succeeded")}, "succeeded", 0},
		{"expired and let go", payment.Expired, []simulator.LedgerPayment{entry("ch_1", "voided")}, "", 0},
		{"expired after a decline", payment.Expired, []simulator.LedgerPayment{entry("ch_1", "declined")}, "", 0},
		{"expired, and there was nothing", payment.Expired, nil, "", 0},
		{"expired, but held", payment.Expired, []simulator.LedgerPayment{entry("ch_1", "authorized")}, "reported expired", 0},
		{"expired, but taken", payment.Expired, []simulator.LedgerPayment{entry("ch_1", "succeeded")}, "reported expired", 0},
		{"expired, but it may still be paid", payment.Expired, []simulator.LedgerPayment{entry("ch_1", "requires_action")}, "reported expired", 0},
		{"voided, but reported failed", payment.Failed, []simulator.LedgerPayment{entry("ch_1", "voided")}, "reported failed", 0},
		{"held twice", payment.Expired, []simulator.LedgerPayment{entry("ch_1", "voided"), entry("ch_2", "voided")}, "2 times", 1},
		{"no outcome", payment.Processing, nil, "no outcome", 0},
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

func TestMoneyThatNobodyReportedIsADifference(t *testing.T) {
	stranger := entry("ch_2", "succeeded")
	stranger.Metadata = nil
	got := Compare([]payment.Charge{charge(payment.Succeeded)}, nil, simulator.Ledger{
		Payments: []simulator.LedgerPayment{entry("ch_1", "succeeded"), stranger},
		Refunds:  []simulator.LedgerRefund{{ID: "re_1", Status: "succeeded", Metadata: map[string]string{"florin_refund_id": "ref_1"}}},
	})
	require.Len(t, got.Differences, 2)
}

func TestRefundsAreComparedEntryByEntry(t *testing.T) {
	entry := func(id, status string, amount int64) simulator.LedgerRefund {
		return simulator.LedgerRefund{ID: id, Status: status, Amount: amount, Currency: "USD", Metadata: map[string]string{"florin_refund_id": "ref_1"}}
	}
	tests := []struct {
		name     string
		reported payment.Status
		ledger   []simulator.LedgerRefund
		want     string
		double   int
	}{
		{"refunded and reported", payment.Succeeded, []simulator.LedgerRefund{entry("re_1", "succeeded", 500)}, "", 0},
		{"reported, but not refunded", payment.Succeeded, nil, "the ledger has nothing", 0},
		{"lost: refunded, but reported failed", payment.Failed, []simulator.LedgerRefund{entry("re_1", "succeeded", 500)}, "reported failed", 0},
		{"another amount", payment.Succeeded, []simulator.LedgerRefund{entry("re_1", "succeeded", 499)}, "499", 0},
		{"refunded twice", payment.Succeeded, []simulator.LedgerRefund{entry("re_1", "succeeded", 500), entry("re_2", "pending", 500)}, "2 times", 1},
		{"declined and reported", payment.Declined, []simulator.LedgerRefund{entry("re_1", "declined", 500)}, "", 0},
		{"nobody knows", payment.NeedsReconciliation, []simulator.LedgerRefund{entry("re_1", "succeeded", 500)}, "", 0},
		{"no outcome", payment.Conflicted, nil, "no outcome", 0},
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
