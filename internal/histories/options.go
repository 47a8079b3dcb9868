// Package histories reads, replays and scrubs the histories of Florin's workflows. It defines which of their fields contain
// personal data.
package histories

import (
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/replaytest"
	"github.com/florinpay/florin/workflows"
)

// Options are the options for replaying the histories of Florin's workflows. The store's activities return the stored record,
// which repeats their argument. Ignored are the fields that the store sets itself or does not return, and messages, which it may
// truncate.
var Options = replaytest.Options{
	Register: workflows.Register,
	Echoes: []replaytest.Echo{
		{Activity: payment.ActivityBeginPayment, ResultField: "charge", Ignored: []string{
			"processor", "capture", "customer_id", "description", "metadata",
		}},
		{Activity: payment.ActivityRecordPayment, Ignored: []string{
			"processor_request_id", "refunded_amount", "revision", "updated_at", "decline.message", "failure.message", "modification.run_id",
		}},
		{Activity: payment.ActivityReserveRefund, ResultField: "refund", Ignored: []string{"reason", "metadata"}},
		{Activity: payment.ActivitySettleRefund, Ignored: []string{"revision", "updated_at", "decline.message", "failure.message"}},
	},
}
