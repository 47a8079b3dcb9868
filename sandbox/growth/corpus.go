package main

import (
	"fmt"
	"time"

	"github.com/florinpay/florin/payment"
)

// corpus is a number of payments, one every few seconds for a year. All of them follow from their number, so that none has to be
// kept in memory.
type corpus struct {
	size int
	end  time.Time
}

const (
	bigMerchant, rareMerchant = "merchant-big", "merchant-rare"
	retiredProcessor          = "retired"
	period                    = 365 * 24 * time.Hour
)

// row is a stored payment.
type row struct {
	id, merchant, key, processor, processorID string
	status                                    payment.Status
	captured                                  int64
	createdAt, updatedAt                      time.Time
}

const amount = 10_000

// row returns the payment with a number from 0 to size - 1.
func (c corpus) row(n int) row {
	r := row{
		merchant: fmt.Sprintf("merchant-%03d", n%1000), key: fmt.Sprintf("order-%d", n), status: statusOf(n),
		processor: []string{"acme", "bolt"}[n%2], processorID: fmt.Sprintf("ch_%024d", n),
		createdAt: c.end.Add(-period + time.Duration(float64(period)*float64(n)/float64(c.size))).Truncate(time.Microsecond),
	}
	switch {
	case n == c.size/2:
		r.merchant = rareMerchant
	case n%10 < 4:
		r.merchant = bigMerchant
	}
	if n < 1000 {
		r.processor = retiredProcessor
	}
	if r.status == payment.Succeeded {
		r.captured = amount
	}
	r.id = payment.PaymentID(r.merchant, r.key)
	r.updatedAt = r.createdAt.Add(time.Second)
	return r
}

// statusOf returns the status of the payment with a number. In 10,000 payments in a row, each status but processing occurs.
func statusOf(n int) payment.Status {
	left := n * 7919 % 10_000
	for _, share := range []struct {
		status payment.Status
		of     int
	}{
		{payment.Expired, 1},
		{payment.Conflicted, 1},
		{payment.Unknown, 1},
		{payment.NeedsReconciliation, 1},
		{payment.RequiresAction, 5},
		{payment.Pending, 10},
		{payment.Voided, 30},
		{payment.Authorized, 100},
		{payment.Failed, 100},
		{payment.Declined, 400},
	} {
		if left -= share.of; left < 0 {
			return share.status
		}
	}
	return payment.Succeeded
}

var paymentColumns = []string{
	"payment_id", "merchant_id", "idempotency_key", "fingerprint", "status", "amount", "currency", "captured_amount", "processor",
	"processor_payment_id", "processor_request_id", "payment_method", "created_at", "updated_at", "revision", "cause_by", "cause_evidence",
	"status_since", "previous_status",
}

// fingerprint has the length of the hash of a request.
const fingerprint = "5f2ab0e4d1c37698b3a4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f80912"

// payment returns the values of paymentColumns. at returns a time as the database has it.
func (r row) payment(at func(time.Time) any) []any {
	return []any{
		r.id, r.merchant, r.key, fingerprint, string(r.status), int64(amount), "EUR", r.captured, r.processor,
		r.processorID, "req_" + r.processorID, "tok_" + r.processorID, at(r.createdAt), at(r.updatedAt), int64(2), "processor", "{}",
		at(r.updatedAt), "processing",
	}
}

var eventColumns = []string{"subject_id", "revision", "at", "from_status", "to_status", "amount", "processor_id", "cause_by", "evidence"}

// event returns the values of eventColumns, for the revision 1 or 2.
func (r row) event(revision int, at func(time.Time) any) []any {
	if revision == 1 {
		return []any{r.id, int64(1), at(r.createdAt), nil, "processing", int64(0), nil, "request", "{}"}
	}
	return []any{r.id, int64(2), at(r.updatedAt), "processing", string(r.status), r.captured, r.processorID, "processor", "{}"}
}
