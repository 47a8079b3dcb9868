package workflows

import (
	"fmt"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
)

// The details that Temporal Web shows while a workflow runs are not part of its history: they are computed from it. They name a payment
// only by its id, which Florin has derived: the caller chose the idempotency key, and an operator copies the commands. Everything else that
// a caller, an operator or a processor wrote passes through package temporalweb.

// details describes the payment: its state, what happens next, and what an operator can do.
func (c *charge) details() string {
	v := c.value
	d := description{status: v.Status, failure: v.Failure, processor: v.Processor}
	subject := " --payment-id " + v.PaymentID
	switch v.Status {
	case payment.Processing:
		d.state = fmt.Sprintf("%s are being charged.", v.Money())
		d.next = "Calls that fail are retried under the same idempotency key."
	case payment.Authorized:
		d.state = fmt.Sprintf("%s are authorized and not captured.", v.Money())
		d.next = "It waits for a capture or a void" + c.until("then Florin voids it") + ". The processor is asked once a day."
		d.options = []string{
			"capture it, or a part with `--amount`: " + temporalweb.Command("starter capture"+subject),
			"void it: " + temporalweb.Command("starter void"+subject),
		}
	case payment.RequiresAction, payment.Pending:
		d.state = "The processor has not decided yet. No money has moved."
		if v.Status == payment.RequiresAction {
			d.state = "The customer has to act first, for example by 3-D Secure. No money has moved."
		}
		d.next = "The processor is asked repeatedly" + c.until("then the payment is voided if the processor can") + "."
		d.options = []string{"cancel it: " + temporalweb.Command("starter void"+subject)}
	case payment.Succeeded:
		d.state = fmt.Sprintf("%s were captured.", payment.Money{Amount: v.CapturedAmount, Currency: v.Currency})
		d.options = []string{"refund it: " + temporalweb.Command("starter refund"+subject+" --key …")}
	case payment.Conflicted:
		d.state = "The processor did something other than requested."
		d.options = []string{"clear it up with the processor, where its id is " + temporalweb.Code(v.ProcessorPaymentID)}
	case payment.Voided, payment.Expired:
		d.state = "The authorization was released. No money was taken."
	case payment.Declined:
		d.state = "The processor declined it: no money has moved."
		if v.Decline != nil {
			d.state = fmt.Sprintf("The processor declined it (%s, %s): no money has moved.", temporalweb.Code(v.Decline.Code),
				temporalweb.Escape(string(v.Decline.Kind)))
		}
	default:
		d.unresolved(subject)
	}
	if _, wasUnknown := c.since[payment.Unknown]; wasUnknown && v.Final() {
		d.state += " A response was lost on the way, and the outcome was found out afterwards."
	}
	return d.markdown()
}

// until returns what happens at the payment's deadline, if it has one.
func (c *charge) until(then string) string {
	deadline := c.deadline()
	if deadline.IsZero() {
		return ""
	}
	return fmt.Sprintf(" until %s; %s", formatTime(deadline), then)
}

// details describes the refund, as [charge.details] does a payment.
func (r *refund) details() string {
	v := r.value
	d := description{status: v.Status, failure: v.Failure, processor: v.Processor}
	switch v.Status {
	case payment.Processing:
		d.state = fmt.Sprintf("%s are being refunded.", v.Money())
		d.next = "Calls that fail are retried under the same idempotency key."
	case payment.Pending:
		d.state = "The processor has not decided yet. The amount stays reserved."
		d.next = "The processor is asked repeatedly."
	case payment.Succeeded:
		d.state = fmt.Sprintf("%s were refunded.", v.Money())
	case payment.Declined:
		d.state = "The processor declined it: no money has moved."
		if v.Decline != nil {
			d.state = fmt.Sprintf("The processor declined it (%s): no money has moved.", temporalweb.Code(v.Decline.Code))
		}
	default:
		d.unresolved(" --refund-id " + v.RefundID)
	}
	return d.markdown()
}

// description is what an operator wants to know about a workflow, in this order.
type description struct {
	status      payment.Status
	processor   string
	failure     *payment.Failure
	state, next string
	options     []string
}

// unresolved describes a status without an outcome: because it failed, or because the outcome is unknown. A status that has no
// description, such as a new one, is not taken for a failed one. subject is the flag that names the payment or refund.
func (d *description) unresolved(subject string) {
	switch d.status {
	case payment.Unknown:
		d.state = "The outcome is unknown: money may or may not have moved."
		d.next = fmt.Sprintf("%s is asked for the outcome, with growing pauses; finally an operator is alerted.", temporalweb.Escape(d.processor))
	case payment.NeedsReconciliation:
		d.state = "Unknown whether money moved: no call and no lookup has shown it so far."
		d.next = fmt.Sprintf("%s is still asked now and then; its answer is adopted.", temporalweb.Escape(d.processor))
	case payment.Failed:
		d.state = "No money has moved."
		return
	default:
		d.state = "This build has no description of this status."
		return
	}
	d.options = []string{
		"look it up now: " + temporalweb.Command("starter lookup"+subject) + "; or, unless callers have to prove who they are, " +
			"*More Actions*, *Send a Signal*, " + temporalweb.Code(payment.SignalProcessorEvent),
		"resolve it with what the processor's dashboard shows: " +
			temporalweb.Command("starter resolve"+subject+" --status succeeded|failed --by … --evidence …"),
		"read more: [runbook](" + temporalweb.Runbook + ")",
	}
}

func (d *description) markdown() string {
	text := fmt.Sprintf("**%s.** %s", d.status, d.state)
	if d.failure != nil {
		text += fmt.Sprintf("\n\nWhy: %s: %s", temporalweb.Code(string(d.failure.Class)), temporalweb.Escape(d.failure.Message))
	}
	if d.next != "" {
		text += "\n\nNext: " + d.next
	}
	if len(d.options) > 0 {
		text += "\n\nWhat you can do:\n\n- " + strings.Join(d.options, "\n- ")
	}
	return text
}

// formatTime returns a time for display.
func formatTime(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04:05 UTC") }

// roundForDisplay removes digits of a duration that are irrelevant to a reader.
func roundForDisplay(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}
