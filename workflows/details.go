package workflows

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/payment"
)

// What people read in Temporal Web. What is told while a workflow runs is not in its history: it is made anew from it.

// Runbook is where an operator finds what to do.
const Runbook = "https://github.com/florinpay/florin/blob/main/docs/runbook.md"

// ChargeSummary and ChargeDetails tell what a charge was started for, RefundSummary and RefundDetails the same of a refund:
// Temporal Web shows the summaries in lists, and the details, which are Markdown, on the page of a workflow.
func ChargeSummary(req payment.ChargeRequest) string {
	return fmt.Sprintf("%s · %s · %s", req.Money(), shown(req.MerchantID), shown(req.IdempotencyKey))
}

// ChargeDetails see ChargeSummary.
func ChargeDetails(req payment.ChargeRequest) string {
	asked := "Take"
	if req.Capture == payment.CaptureManual {
		asked = "Hold, for a later capture,"
	}
	by := "the default processor"
	if req.Processor != "" {
		by = code(req.Processor)
	}
	return fmt.Sprintf("%s **%s** for merchant %s through %s.\n\nAsked for under the idempotency key %s, as payment %s. The same key never charges twice.\n\n[Runbook](%s)",
		asked, req.Money(), code(req.MerchantID), by, code(req.IdempotencyKey),
		code(payment.PaymentID(req.MerchantID, req.IdempotencyKey)), Runbook)
}

// RefundSummary see ChargeSummary.
func RefundSummary(req payment.RefundRequest) string {
	return fmt.Sprintf("refund %s · %s · %s", asked(req), shown(req.MerchantID), shown(req.IdempotencyKey))
}

// RefundDetails see ChargeSummary.
func RefundDetails(req payment.RefundRequest) string {
	return fmt.Sprintf("Give back **%s** of payment %s of merchant %s.\n\nAsked for under the idempotency key %s, as refund %s. The same key never refunds twice.\n\n[Runbook](%s)",
		asked(req), code(req.PaymentID), code(req.MerchantID), code(req.IdempotencyKey),
		code(payment.RefundID(req.MerchantID, req.IdempotencyKey)), Runbook)
}

func asked(req payment.RefundRequest) string {
	switch {
	case req.Amount == nil:
		return "all that is left"
	case req.Currency == "":
		return fmt.Sprintf("%d minor units", *req.Amount)
	default:
		return payment.Money{Amount: *req.Amount, Currency: req.Currency}.String()
	}
}

// code makes a code span, in which Markdown and HTML are only text.
func code(text string) string {
	text = strings.NewReplacer("\n", " ", "\r", " ").Replace(text)
	if !strings.Contains(text, "`") {
		return "`" + text + "`"
	}
	fence := "``"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + " " + text + " " + fence
}

// shown is a name, as code where Markdown would change it.
func shown(text string) string {
	if plainName.MatchString(text) {
		return text
	}
	return code(text)
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9]+([.:-]?[A-Za-z0-9]+)*$`)

// prose escapes what has a meaning in Markdown or HTML: somebody else may have written the text.
func prose(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < 0x80 && !unicode.IsLetter(r) && !unicode.IsDigit(r) && unicode.IsPrint(r) && r != ' ' {
			b.WriteByte('\\')
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

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
		d.can = []string{"take the money, or a part with `--amount`: " + code("starter capture "+flags), "let it go: " + code("starter void "+flags)}
	case payment.RequiresAction, payment.Pending:
		d.now = "The processor has it, and has not decided yet. No money has moved."
		if v.Status == payment.RequiresAction {
			d.now = "The customer has to do something first, such as 3-D Secure. No money has moved."
		}
		d.next = "The processor is asked again and again" + c.until("then it is voided, if the processor can") + "."
		d.can = []string{"call it off: " + code("starter void "+flags)}
	case payment.Succeeded:
		d.now = fmt.Sprintf("%s were taken.", payment.Money{Amount: v.CapturedAmount, Currency: v.Currency})
		d.can = []string{"give it back: " + code(fmt.Sprintf("starter refund --merchant %s --charge-key %s --key …", v.MerchantID, quoted(v.IdempotencyKey)))}
	case payment.Conflicted:
		d.now = "The processor did something else than it was asked to."
		d.can = []string{"settle it with the processor, which has it as " + code(v.ProcessorPaymentID)}
	case payment.Voided, payment.Expired:
		d.now = "The money was let go. None was taken."
	default:
		d.lost(flags)
	}
	if v.Status == payment.Declined && v.Decline != nil {
		d.now = fmt.Sprintf("The processor declined it (%s, %s): no money has moved.", code(v.Decline.Code), v.Decline.Kind)
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
		d.now = fmt.Sprintf("The processor declined it (%s): no money has moved.", code(v.Decline.Code))
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
		"ask for news at once: *More Actions*, *Send a Signal*, " + code(payment.SignalProcessorEvent),
		"say how it ended, once the processor has told you: " + code("starter resolve "+flags+" --status succeeded|failed --by … --evidence …"),
		"read more: [runbook](" + Runbook + ")",
	}
}

func (d *details) markdown() string {
	text := fmt.Sprintf("**%s.** %s", d.status, d.now)
	if d.failure != nil {
		text += fmt.Sprintf("\n\nWhy: %s: %s", code(string(d.failure.Class)), prose(d.failure.Message))
	}
	if d.next != "" {
		text += "\n\nNext: " + d.next
	}
	if len(d.can) > 0 {
		text += "\n\nWhat you can do:\n\n- " + strings.Join(d.can, "\n- ")
	}
	return text
}
