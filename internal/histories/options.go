// Package histories knows the histories of our own workflows: how they are replayed, and what is personal in them.
package histories

import (
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/replaytest"
	"github.com/florinpay/florin/workflows"
)

// Options are how histories are replayed. The store's activities return what they were given to store, but for what is the
// store's own; texts for people it may cut.
var Options = replaytest.Options{
	Register: workflows.Register,
	Echoes: []replaytest.Echo{
		{Activity: payment.ActivityBeginPayment, ResultField: "charge", Ignored: []string{
			"processor", "capture", "customer_id", "description", "metadata",
		}},
		{Activity: payment.ActivityRecordPayment, Ignored: []string{
			"processor_request_id", "refunded_amount", "revision", "updated_at", "decline.message", "failure.message",
		}},
		{Activity: payment.ActivityReserveRefund, ResultField: "refund", Ignored: []string{"reason", "metadata"}},
		{Activity: payment.ActivitySettleRefund, Ignored: []string{"revision", "updated_at", "decline.message", "failure.message"}},
	},
}
