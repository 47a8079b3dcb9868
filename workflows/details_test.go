package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
)

// What a person reads who has never seen the code.
func TestTheDetailsSayWhatIsSoWhatIsNextAndWhatOneCanDo(t *testing.T) {
	why := &payment.Failure{Class: payment.ClassOutcomeUnknown, Message: "no <b>answer</b>, `see` below"}
	for status, want := range map[payment.Status]string{
		payment.Processing: "**processing.** 12.50 USD are being charged.\n\nNext: Calls that fail are repeated under the same idempotency key.",
		payment.Authorized: "**authorized.** 12.50 USD are held, and not taken.\n\nNext: It waits for a capture or a void until 22 Jan 2026 12:00:00 UTC; then Florin voids it. Once a day the processor is asked." +
			"\n\nWhat you can do:\n\n- take the money, or a part with `--amount`: `starter capture --merchant acme --key 'order-1'`\n- let it go: `starter void --merchant acme --key 'order-1'`",
		payment.Pending: "**pending.** The processor has it, and has not decided yet. No money has moved.\n\nNext: The processor is asked again and again until 16 Jan 2026 12:00:00 UTC; then it is voided, if the processor can." +
			"\n\nWhat you can do:\n\n- call it off: `starter void --merchant acme --key 'order-1'`",
		payment.RequiresAction: "**requires_action.** The customer has to do something first, such as 3-D Secure. No money has moved.\n\nNext: The processor is asked again and again until 16 Jan 2026 12:00:00 UTC; then it is voided, if the processor can." +
			"\n\nWhat you can do:\n\n- call it off: `starter void --merchant acme --key 'order-1'`",
		payment.Unknown: "**unknown.** The answer was lost: money may have moved or not.\n\nWhy: `outcome_unknown`: no \\<b\\>answer\\<\\/b\\>\\, \\`see\\` below\n\nNext: sim is asked what became of it, with growing pauses; in the end a human is." + lostCan,
		payment.NeedsReconciliation: "**needs_reconciliation.** Nobody knows whether money has moved: the processor could not tell in time.\n\nWhy: `outcome_unknown`: no \\<b\\>answer\\<\\/b\\>\\, \\`see\\` below" +
			"\n\nNext: sim is still asked now and then, and believed once it answers." + lostCan,
		payment.Succeeded: "**succeeded.** 10.00 USD were taken.\n\nWhat you can do:\n\n- give it back: `starter refund --merchant acme --charge-key 'order-1' --key …`",
		payment.Declined:  "**declined.** The processor declined it (`expired_card`, hard): no money has moved.",
		payment.Failed:    "**failed.** No money has moved.\n\nWhy: `outcome_unknown`: no \\<b\\>answer\\<\\/b\\>\\, \\`see\\` below",
		payment.Voided:    "**voided.** The money was let go. None was taken.",
		payment.Expired:   "**expired.** The money was let go. None was taken.",
		payment.Conflicted: "**conflicted.** The processor did something else than it was asked to.\n\nWhy: `outcome_unknown`: no \\<b\\>answer\\<\\/b\\>\\, \\`see\\` below" +
			"\n\nWhat you can do:\n\n- settle it with the processor, which has it as `ch_1`",
	} {
		c := &charge{deadlines: map[payment.Status]time.Time{}}
		c.terms.Pending.For, c.terms.AuthorizationFor = activities.Duration(day), activities.Duration(7*day)
		c.value = payment.Charge{
			MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", CapturedAmount: 1000, Processor: "sim",
			ProcessorPaymentID: "ch_1", Status: status, PaymentMethod: "tok_secret",
		}
		c.waitsSince(long)
		switch status {
		case payment.Unknown, payment.NeedsReconciliation, payment.Failed, payment.Conflicted:
			c.value.Failure = why
		case payment.Declined:
			c.value.Decline = &payment.Decline{Code: "expired_card", Kind: payment.DeclineHard}
		default:
		}
		require.Equal(t, want, c.details(), status)
	}
}

const lostCan = "\n\nWhat you can do:\n\n- ask for news at once: *More Actions*, *Send a Signal*, `processor-event`" +
	"\n- say how it ended, once the processor has told you: `starter resolve --merchant acme --key 'order-1' --status succeeded|failed --by … --evidence …`" +
	"\n- read more: [runbook](" + temporalweb.Runbook + ")"

func TestTheDetailsOfARefundSayTheSame(t *testing.T) {
	for status, want := range map[payment.Status]string{
		payment.Processing: "**processing.** 5.00 USD are being given back.\n\nNext: Calls that fail are repeated under the same idempotency key.",
		payment.Pending:    "**pending.** The processor has it, and has not decided yet. The amount stays set aside.\n\nNext: The processor is asked again and again.",
		payment.Succeeded:  "**succeeded.** 5.00 USD were given back.",
		payment.Declined:   "**declined.** The processor declined it (`too_late`): no money has moved.",
		payment.Failed:     "**failed.** No money has moved.",
	} {
		r := &refund{}
		r.value = payment.Refund{MerchantID: "acme", IdempotencyKey: "refund-1", Amount: 500, Currency: "USD", Processor: "sim", Status: status}
		if status == payment.Declined {
			r.value.Decline = &payment.Decline{Code: "too_late"}
		}
		require.Equal(t, want, r.details())
	}
	r := &refund{}
	r.value = payment.Refund{MerchantID: "acme", IdempotencyKey: "it's", Status: payment.Unknown, Processor: "sim"}
	require.Contains(t, r.details(), `starter resolve --refund --merchant acme --key 'it'\''s' --status`)
}

func TestAnAnswerThatWasLostIsToldInTheEnd(t *testing.T) {
	c := &charge{wasLost: true}
	c.value = payment.Charge{Status: payment.Succeeded, CapturedAmount: 1250, Currency: "USD"}
	require.Contains(t, c.details(), "12.50 USD were taken. An answer was lost on the way; what became of it was found out afterwards.")
}

func TestDurationsAreRoundedForDisplay(t *testing.T) {
	require.Equal(t, "250ms", lasting(250*time.Millisecond).String())
	require.Equal(t, "2m0s", lasting(2*time.Minute+3*time.Millisecond).String())
}
