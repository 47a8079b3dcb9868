package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
)

// What people read in Temporal Web. What is told while a workflow runs is not in its history: it is made anew from it.

// moment is a time as people write it.
func moment(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04:05 UTC") }

// lasting is a duration without digits that nobody wants to read.
func lasting(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}

// quoted is an idempotency key as a shell takes it.
func quoted(key string) string { return "'" + strings.ReplaceAll(key, "'", `'\''`) + "'" }

// tellPeople shows where the payment stands, what happens next, and what an operator can do.
func (c *charge) tellPeople(ctx workflow.Context) { workflow.SetCurrentDetails(ctx, c.details()) }

func (c *charge) details() string {
	v := c.value
	d := details{status: v.Status, failure: v.Failure, processor: v.Processor}
	flags := fmt.Sprintf("--merchant %s --key %s", v.MerchantID, quoted(v.IdempotencyKey))
	switch v.Status {
	case payment.Processing:
		d.now = fmt.Sprintf("%s are being charged.", v.Money())
		d.next = "Calls that fail are repeated under the same idempotency key."
	case payment.Authorized:
		d.now = fmt.Sprintf("%s are held, and not taken.", v.Money())
		d.next = "It waits for a capture or a void" + c.until("then Florin voids it") + ". Once a day the processor is asked."
		d.can = []string{"take the money, or a part with `--amount`: " + temporalweb.Code("starter capture "+flags), "let it go: " + temporalweb.Code("starter void "+flags)}
	case payment.RequiresAction, payment.Pending:
		d.now = "The processor has it, and has not decided yet. No money has moved."
		if v.Status == payment.RequiresAction {
			d.now = "The customer has to do something first, such as 3-D Secure. No money has moved."
		}
		d.next = "The processor is asked again and again" + c.until("then it is voided, if the processor can") + "."
		d.can = []string{"call it off: " + temporalweb.Code("starter void "+flags)}
	case payment.Succeeded:
		d.now = fmt.Sprintf("%s were taken.", payment.Money{Amount: v.CapturedAmount, Currency: v.Currency})
		d.can = []string{"give it back: " + temporalweb.Code(fmt.Sprintf("starter refund --merchant %s --charge-key %s --key …", v.MerchantID, quoted(v.IdempotencyKey)))}
	case payment.Conflicted:
		d.now = "The processor did something else than it was asked to."
		d.can = []string{"settle it with the processor, which has it as " + temporalweb.Code(v.ProcessorPaymentID)}
	case payment.Voided, payment.Expired:
		d.now = "The money was let go. None was taken."
	default:
		d.lost(flags)
	}
	if v.Status == payment.Declined && v.Decline != nil {
		d.now = fmt.Sprintf("The processor declined it (%s, %s): no money has moved.", temporalweb.Code(v.Decline.Code), v.Decline.Kind)
	}
	if c.wasLost && v.Status.Final() {
		d.now += " An answer was lost on the way; what became of it was found out afterwards."
	}
	return d.markdown()
}

// until is what becomes of the payment at its deadline, if it has one.
func (c *charge) until(then string) string {
	deadline := c.deadline()
	if deadline.IsZero() {
		return ""
	}
	return fmt.Sprintf(" until %s; %s", moment(deadline), then)
}

// tellPeople is charge.tellPeople for refunds.
func (r *refund) tellPeople(ctx workflow.Context) { workflow.SetCurrentDetails(ctx, r.details()) }

func (r *refund) details() string {
	v := r.value
	d := details{status: v.Status, failure: v.Failure, processor: v.Processor}
	switch v.Status {
	case payment.Processing:
		d.now = fmt.Sprintf("%s are being given back.", v.Money())
		d.next = "Calls that fail are repeated under the same idempotency key."
	case payment.Pending:
		d.now = "The processor has it, and has not decided yet. The amount stays set aside."
		d.next = "The processor is asked again and again."
	case payment.Succeeded:
		d.now = fmt.Sprintf("%s were given back.", v.Money())
	default:
		d.lost(fmt.Sprintf("--refund --merchant %s --key %s", v.MerchantID, quoted(v.IdempotencyKey)))
	}
	if v.Status == payment.Declined && v.Decline != nil {
		d.now = fmt.Sprintf("The processor declined it (%s): no money has moved.", temporalweb.Code(v.Decline.Code))
	}
	return d.markdown()
}

// details are what a person wants to know of a workflow, by what is asked first.
type details struct {
	status    payment.Status
	processor string
	failure   *payment.Failure
	now, next string
	can       []string
}

// lost fills in the statuses of an outcome that is not there, by a failure or because nobody knows it.
func (d *details) lost(flags string) {
	switch d.status {
	case payment.Unknown:
		d.now = "The answer was lost: money may have moved or not."
		d.next = fmt.Sprintf("%s is asked what became of it, with growing pauses; in the end a human is.", d.processor)
	case payment.NeedsReconciliation:
		d.now = "Nobody knows whether money has moved: the processor could not tell in time."
		d.next = fmt.Sprintf("%s is still asked now and then, and believed once it answers.", d.processor)
	default: // failed
		d.now = "No money has moved."
		return
	}
	d.can = []string{
		"ask for news at once: *More Actions*, *Send a Signal*, " + temporalweb.Code(payment.SignalProcessorEvent),
		"say how it ended, once the processor has told you: " + temporalweb.Code("starter resolve "+flags+" --status succeeded|failed --by … --evidence …"),
		"read more: [runbook](" + temporalweb.Runbook + ")",
	}
}

func (d *details) markdown() string {
	text := fmt.Sprintf("**%s.** %s", d.status, d.now)
	if d.failure != nil {
		text += fmt.Sprintf("\n\nWhy: %s: %s", temporalweb.Code(string(d.failure.Class)), temporalweb.Escape(d.failure.Message))
	}
	if d.next != "" {
		text += "\n\nNext: " + d.next
	}
	if len(d.can) > 0 {
		text += "\n\nWhat you can do:\n\n- " + strings.Join(d.can, "\n- ")
	}
	return text
}
