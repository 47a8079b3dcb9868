package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
)

// describedID is the payment ID of order-1 of acme.
const describedID = "pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc"

// The readers of the details are operators who have never seen the code.
func TestDetailsDescribeTheStateTheNextStepAndTheOptions(t *testing.T) {
	t.Parallel()
	const (
		why        = "\n\nWhy: `outcome_unknown`: no \\<b\\>answer\\</b\\>, \\`see\\` \\{runId\\} below"
		repeatedly = "\n\nNext: The processor is asked repeatedly until 16 Jan 2026 12:00:00 UTC;" +
			" then the payment is voided if the processor can." +
			"\n\nWhat you can do:\n\n- cancel it: `starter void --payment-id " + describedID + "`"
	)
	for status, want := range map[payment.Status]string{
		payment.Processing: "**processing.** 12.50 USD are being charged." +
			"\n\nNext: Calls that fail are retried under the same idempotency key.",
		payment.Authorized: "**authorized.** 12.50 USD are authorized and not captured." +
			"\n\nNext: It waits for a capture or a void until 22 Jan 2026 12:00:00 UTC; then Florin voids it." +
			" The processor is asked once a day." +
			"\n\nWhat you can do:\n\n- capture it, or a part with `--amount`: `starter capture --payment-id " + describedID + "`" +
			"\n- void it: `starter void --payment-id " + describedID + "`",
		payment.Pending: "**pending.** The processor has not decided yet. No money has moved." + repeatedly,
		payment.RequiresAction: "**requires_action.** The customer has to act first, for example by 3-D Secure." +
			" No money has moved." + repeatedly,
		payment.Unknown: "**unknown.** The outcome is unknown: money may or may not have moved." + why +
			"\n\nNext: sim is asked for the outcome, with growing pauses; finally an operator is alerted." + unresolvedOptions,
		payment.NeedsReconciliation: "**needs_reconciliation.** Unknown whether money moved: no call and no lookup has shown it so far." + why +
			"\n\nNext: sim is still asked now and then; its answer is adopted." + unresolvedOptions,
		payment.Succeeded: "**succeeded.** 10.00 USD were captured." +
			"\n\nWhat you can do:\n\n- refund it: `starter refund --payment-id " + describedID + " --key …`",
		payment.Declined: "**declined.** The processor declined it (`expired_card`, hard): no money has moved.",
		payment.Failed:   "**failed.** No money has moved." + why,
		payment.Voided:   "**voided.** The authorization was released. No money was taken.",
		payment.Expired:  "**expired.** The authorization was released. No money was taken.",
		payment.Conflicted: "**conflicted.** The processor did something other than requested." + why +
			"\n\nWhat you can do:\n\n- clear it up with the processor, where its id is `ch_1`",
	} {
		c := &charge{}
		c.definition.fields = chargeFields
		c.terms.Pending.For, c.terms.AuthorizationFor = activities.Duration(day), activities.Duration(7*day)
		c.value = payment.Charge{
			PaymentID: describedID, MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", CapturedAmount: 1000, Processor: "sim",
			ProcessorPaymentID: "ch_1", Status: status, PaymentMethod: "tok_secret", UpdatedAt: baseTime,
		}
		c.enteredAt = baseTime
		switch status {
		case payment.Unknown, payment.NeedsReconciliation, payment.Failed, payment.Conflicted:
			c.value.Failure = &payment.Failure{Class: payment.ClassOutcomeUnknown, Message: "no <b>answer</b>,\n`see` {runId} below\u202e"}
		case payment.Declined:
			c.value.Decline = &payment.Decline{Code: "expired_card", Kind: payment.DeclineHard}
		default:
		}
		require.Equal(t, want, c.details(), status)
	}
}

const unresolvedOptions = "\n\nWhat you can do:\n\n- look it up now: `starter lookup --payment-id " + describedID + "`; or, unless callers have to prove who they are," +
	" *More Actions*, *Send a Signal*, `processor-event`" +
	"\n- resolve it with what the processor's dashboard shows:" +
	" `starter resolve --payment-id " + describedID + " --status succeeded|failed --by … --evidence …`" +
	"\n- read more: [runbook](" + temporalweb.Runbook + ")"

func TestDetailsOfARefundDescribeTheStateTheNextStepAndTheOptions(t *testing.T) {
	t.Parallel()
	for status, want := range map[payment.Status]string{
		payment.Processing: "**processing.** 5.00 USD are being refunded." +
			"\n\nNext: Calls that fail are retried under the same idempotency key.",
		payment.Pending: "**pending.** The processor has not decided yet. The amount stays reserved." +
			"\n\nNext: The processor is asked repeatedly.",
		payment.Succeeded: "**succeeded.** 5.00 USD were refunded.",
		payment.Declined:  "**declined.** The processor declined it (`too_late`): no money has moved.",
		payment.Failed:    "**failed.** No money has moved.",
	} {
		r := &refund{}
		r.value = payment.Refund{
			MerchantID: "acme", IdempotencyKey: "refund-1", Amount: 500, Currency: "USD", Processor: "sim", Status: status,
		}
		if status == payment.Declined {
			r.value.Decline = &payment.Decline{Code: "too_late"}
		}
		require.Equal(t, want, r.details())
	}
	r := &refund{}
	r.value = payment.Refund{RefundID: "ref_0f4f1f0a-6a3b-5a0e-9d35-0f1a7c9b2e64", MerchantID: "acme", IdempotencyKey: "it's", Status: payment.Unknown, Processor: "my_sim"}
	require.Contains(t, r.details(), "`starter resolve --refund-id ref_0f4f1f0a-6a3b-5a0e-9d35-0f1a7c9b2e64 --status succeeded|failed --by … --evidence …`")
	require.Contains(t, r.details(), `Next: my\_sim is asked`)
}

func TestDetailsDescribeEveryStatusAndAssumeNothingOfANewOne(t *testing.T) {
	t.Parallel()
	const undescribed = "This build has no description of this status."
	c, r := &charge{}, &refund{}
	for status := range payment.PaymentTransitions {
		c.value.Status = status
		require.NotContains(t, c.details(), undescribed, status)
	}
	for status := range payment.RefundTransitions {
		r.value.Status = status
		require.NotContains(t, r.details(), undescribed, status)
	}
	c.value.Status, r.value.Status = "new", "new"
	require.Equal(t, "**new.** "+undescribed, c.details())
	require.Equal(t, "**new.** "+undescribed, r.details())
}

func TestDetailsMentionAnOutcomeThatWasUnknown(t *testing.T) {
	t.Parallel()
	c := &charge{}
	c.since = map[payment.Status]time.Time{payment.Unknown: baseTime}
	c.value = payment.Charge{Status: payment.Succeeded, CapturedAmount: 1250, Currency: "USD"}
	require.Contains(t, c.details(), "12.50 USD were captured. A response was lost on the way, and the outcome was found out afterwards.")
}

func TestDurationsAreRoundedForDisplay(t *testing.T) {
	t.Parallel()
	require.Equal(t, "250ms", roundForDisplay(250*time.Millisecond).String())
	require.Equal(t, "2m0s", roundForDisplay(2*time.Minute+3*time.Millisecond).String())
}
