package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"time"

	_ "modernc.org/sqlite" // the driver of the store

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

const (
	merchant = "acme"
	amount   = 12_500
	// refundAmount is that of each refund.
	refundAmount = 1_000
)

// entry is a payment that is the same in the store and in the ledger, and its refund if it has one.
type entry struct {
	id, key, recordID string
	status            payment.Status
	createdAt         time.Time

	refundID, refundKey, refundRecordID string
	refundStatus                        payment.Status // empty: there is none
}

// newCorpus returns payments of the last two days, the oldest first, with random statuses.
func newCorpus(n int, random *rand.Rand, now time.Time) []entry {
	const period = 48 * time.Hour
	all := make([]entry, n)
	for i := range all {
		key := fmt.Sprintf("order-%d", i)
		e := entry{
			id: payment.PaymentID(merchant, key), key: key, recordID: fmt.Sprintf("ch_%024d", i), status: payment.Succeeded,
			createdAt: now.Add(-period + time.Duration(float64(period-time.Hour)*float64(i)/float64(n))).UTC().Truncate(time.Microsecond),
		}
		switch draw := random.IntN(100); {
		case draw < 10:
			e.status = payment.Declined
		case draw < 15:
			e.status = payment.Voided
		case draw < 30:
			e.refundKey = fmt.Sprintf("refund-%d", i)
			e.refundID, e.refundRecordID = payment.RefundID(merchant, e.refundKey), fmt.Sprintf("re_%024d", i)
			if e.refundStatus = payment.Succeeded; draw < 20 {
				e.refundStatus = payment.Declined
			}
		}
		all[i] = e
	}
	return all
}

// captured and refunded are the amounts of the payment.
func (e entry) captured() int64 {
	if e.status == payment.Succeeded {
		return amount
	}
	return 0
}

func (e entry) refunded() int64 {
	if e.refundStatus == payment.Succeeded {
		return refundAmount
	}
	return 0
}

// fillStore inserts the payments and refunds in one transaction. All rules of the database apply.
func fillStore(ctx context.Context, file string, all []entry) error {
	db, err := sql.Open("sqlite", "file:"+file+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect after Commit
	at := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
	var failed error
	execute := func(statement string, args ...any) {
		if failed == nil {
			_, failed = tx.ExecContext(ctx, statement, args...)
		}
	}
	for _, e := range all {
		begun, ended := at(e.createdAt), at(e.createdAt.Add(time.Second))
		execute(`INSERT INTO payments (payment_id, merchant_id, idempotency_key, fingerprint, status, amount, currency, processor, payment_method,
			created_at, updated_at, cause_by, cause_evidence) VALUES (?, ?, ?, 'f', 'processing', ?, 'USD', ?, 'tok_visa', ?, ?, 'request', '{}')`,
			e.id, merchant, e.key, amount, processorName, begun, begun)
		execute(`UPDATE payments SET status = ?, captured_amount = ?, processor_payment_id = ?, updated_at = ?, status_since = ?,
			previous_status = 'processing', revision = 2, cause_by = 'processor' WHERE payment_id = ?`,
			string(e.status), e.captured(), e.recordID, ended, ended, e.id)
		if e.refundStatus == "" {
			continue
		}
		begun, ended = at(e.createdAt.Add(30*time.Minute)), at(e.createdAt.Add(31*time.Minute))
		execute(`INSERT INTO refunds (refund_id, payment_id, merchant_id, idempotency_key, fingerprint, status, amount, currency, processor,
			created_at, updated_at, cause_by, cause_evidence) VALUES (?, ?, ?, ?, 'f', 'processing', ?, 'USD', ?, ?, ?, 'request', '{}')`,
			e.refundID, e.id, merchant, e.refundKey, refundAmount, processorName, begun, begun)
		execute(`UPDATE refunds SET status = ?, processor_refund_id = ?, updated_at = ?, status_since = ?, previous_status = 'processing',
			revision = 2, cause_by = 'processor' WHERE refund_id = ?`, string(e.refundStatus), e.refundRecordID, ended, ended, e.refundID)
	}
	if failed != nil {
		return failed
	}
	return tx.Commit()
}

// fillLedger adds the same payments and refunds to the processor.
func fillLedger(ctx context.Context, s *simulator.Simulator, all []entry) error {
	return s.Tamper(ctx, func(t *simulator.Tampering) error {
		for _, e := range all {
			if _, err := t.AddPayment(simulator.LedgerPayment{
				ID: e.recordID, Status: string(e.status), Amount: amount, Currency: "USD", CapturedAmount: e.captured(), RefundedAmount: e.refunded(),
				Reference: payment.ProcessorKey(e.id, payment.OperationCharge, 0), DeclineCode: declineCode(e.status),
				Metadata:  map[string]string{processor.MetadataPaymentID: e.id, processor.MetadataMerchantID: merchant},
				CreatedAt: e.createdAt.Add(300 * time.Millisecond),
			}); err != nil {
				return err
			}
			if e.refundStatus == "" {
				continue
			}
			if _, err := t.AddRefund(simulator.LedgerRefund{
				ID: e.refundRecordID, PaymentID: e.recordID, Status: string(e.refundStatus), Amount: refundAmount, Currency: "USD",
				Reference: payment.ProcessorKey(e.refundID, payment.OperationRefund, 0),
				Metadata:  map[string]string{processor.MetadataRefundID: e.refundID, processor.MetadataMerchantID: merchant},
				CreatedAt: e.createdAt.Add(30*time.Minute + 300*time.Millisecond),
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

func declineCode(status payment.Status) string {
	if status == payment.Declined {
		return "insufficient_funds"
	}
	return ""
}
