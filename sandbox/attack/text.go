package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/florinpay/florin/payment"
)

// textAttacks put markup, commands and control characters where operators look.
var textAttacks = []attack{
	{"page: commands, links and images in keys", hostileKeys},
	{"page: commands, links and images in other fields", hostileFields},
	{"page: commands, links and images in an operator's words", hostileOperator},
	{"page: commands, links and images in a processor's answers", hostileAnswers},
	{"terminal: control and bidi characters in starter's output", hostileTerminal},
	{"terminal: starter with hostile arguments", hostileArguments},
}

// hostile are texts that become something else where they are rendered, replaced or printed. Those with the evil word must not be a part
// of a command, a link or an image.
var hostile = []string{
	"{workflowId}", "{runId}{namespace}", "x` `starter void --merchant evil --key y", "``starter void evil``", "[evil](https://evil.example)",
	"![evil](https://evil.example/p.png)", "<img src=https://evil.example/p.png>", "<script>evil()</script>", "https://evil.example",
	"www.evil.example", "'; starter void --merchant evil; '", "$(evil)", "x\n# evil\n- `evil`", "x\r\nevil", "\x1b]0;evil\x07\x1b[2J", "\u202eevil\u2066",
	"evil\u200b\ufeff\u2028", "|evil|\n|-|", "&lt;evil&gt;&#96;evil&#96;", `\`, `\` + "`evil`", "~~~\nevil", "[evil]: https://evil.example", "\x9b2Jevil", "evil\x00",
}

var (
	// span is a code span, whatever its number of backticks.
	span = regexp.MustCompile("(`+)([^`]+)(`+)")
	// escaped is a character that Markdown shows as it is.
	escaped = regexp.MustCompile(`\\[^A-Za-z0-9\s]`)
	// markup is what Markdown or Temporal Web replaces.
	markup = regexp.MustCompile(`\]\(|\]:|!\[|<[A-Za-z/!]|&[#A-Za-z]|\{`)
	// link is what becomes a link by itself.
	link = regexp.MustCompile(`(?i)(https?://|www\.)evil`)
	// own is a link of Florin's.
	own = regexp.MustCompile(`\[[A-Za-z ]*\]\(https://github\.com/florinpay/florin/[A-Za-z0-9./#_-]*\)`)
	// command is how an operator recognizes a command.
	command = regexp.MustCompile(`^\s*(starter|worker|temporal)\b`)
)

// foreign returns what a page contains that an attacker has put there and that is more than text; empty if there is nothing.
func foreign(page string) string {
	for _, r := range page {
		if isUnprintable(r) {
			return fmt.Sprintf("the character %U", r)
		}
	}
	if strings.ContainsAny(page, "\r") {
		return "a carriage return"
	}
	for _, found := range span.FindAllStringSubmatch(escaped.ReplaceAllString(page, ""), -1) {
		if inner := found[2]; strings.Contains(inner, "evil") && (command.MatchString(inner) || strings.ContainsAny(inner, " {")) || strings.Contains(inner, "{") {
			return "the code span " + inner
		}
	}
	text := span.ReplaceAllString(escaped.ReplaceAllString(own.ReplaceAllString(page, ""), ""), "")
	for _, pattern := range []*regexp.Regexp{markup, link} {
		if found := pattern.FindString(text); found != "" {
			return fmt.Sprintf("%q in: %s", found, text)
		}
	}
	for line := range strings.Lines(text) {
		if trimmed := strings.TrimLeft(line, " >"); strings.HasPrefix(trimmed, "# evil") || strings.HasPrefix(trimmed, "|evil") {
			return "the line " + line
		}
	}
	return ""
}

// isUnprintable reports whether a character is a control character other than a line end or a tab, or changes the direction of a text, or cannot be
// seen.
func isUnprintable(r rune) bool {
	return r != '\n' && r != '\t' && unicode.IsControl(r) && r != '\r' || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' || r == '\ufeff'
}

// checkPages checks the pages of workflows. A workflow that has no page was refused.
func (t *target) checkPages(ctx context.Context, pages map[string]string) (result, error) {
	for what, id := range pages {
		page, err := t.page(ctx, id)
		if err != nil {
			return result{}, err
		}
		if found := foreign(page); found != "" {
			return succeeded("%q: the page has %s", what, found), nil
		}
	}
	return repelled("%d pages have none", len(pages)), nil
}

// hostileCharges starts charges raw, and returns the IDs of those with a page, by what is hostile in them.
func (t *target) hostileCharges(ctx context.Context, requests map[string]object) (pages map[string]string, err error) {
	pages = map[string]string{}
	for what, req := range requests {
		id := fmt.Sprintf("charge/%s/%s", req["merchant_id"], req["idempotency_key"])
		run, err := t.start(ctx, "Charge", strings.ToValidUTF8(id, "?"), req)
		if err != nil {
			if isRefused(err) || strings.Contains(err.Error(), "non-printable") {
				continue // Temporal, or gRPC, does not take such an ID: see strangeIDs
			}
			return nil, err
		}
		var c payment.Charge
		err = t.update(ctx, run.GetID(), uuid.NewString(), "outcome", &c, object{})
		if err != nil && !isRefused(err) {
			return nil, err
		}
		pages[what] = run.GetID()
	}
	return pages, nil
}

func hostileKeys(ctx context.Context, t *target) (result, error) {
	requests := map[string]object{}
	for _, text := range hostile {
		requests["key "+text] = manual(chargeOf("acme", "k "+text, "tok_visa"))
		requests["merchant "+text] = manual(chargeOf("m"+text, "k", "tok_visa"))
	}
	return t.checkHostile(ctx, requests)
}

func (t *target) checkHostile(ctx context.Context, requests map[string]object) (result, error) {
	pages, err := t.hostileCharges(ctx, requests)
	if err != nil {
		return result{}, err
	}
	return t.checkPages(ctx, pages)
}

func hostileFields(ctx context.Context, t *target) (result, error) {
	requests := map[string]object{}
	for i, text := range hostile {
		for _, field := range []string{"description", "customer_id", "payment_method", "processor", "currency", "capture", "return_url"} {
			requests[field+" "+text] = manual(chargeOf("acme", fmt.Sprintf("field %s %d", field, i), "tok_visa")).with(object{field: text})
		}
		requests["metadata "+text] = manual(chargeOf("acme", fmt.Sprintf("field metadata %d", i), "tok_visa")).with(object{"metadata": object{text: text}})
	}
	return t.checkHostile(ctx, requests)
}

// hostileOperator resolves one payment with many words. What is refused is on no page.
func hostileOperator(ctx context.Context, t *target) (result, error) {
	pages := map[string]string{}
	for i, text := range hostile {
		key := fmt.Sprintf("operator %d", i)
		id, err := t.unknown(ctx, chargeOf("acme", key, "tok_lost").with(object{"processor": "patient"}))
		if err != nil {
			return result{}, err
		}
		var c payment.Charge
		err = t.updateOnceIdle(ctx, id, "resolve", &c, object{"status": "failed", "evidence": text, "by": text})
		if err != nil && !isRefused(err) {
			return result{}, err
		}
		pages[text] = id
	}
	return t.checkPages(ctx, pages)
}

// hostileAnswers lets a processor answer charges with what it wants.
func hostileAnswers(ctx context.Context, t *target) (result, error) {
	requests := map[string]object{}
	all := result{}
	for i, text := range hostile {
		quoted := quoteJSON(text)
		for j, answer := range []struct {
			status int
			body   string
		}{
			{402, `{"error":{"code":` + quoted + `,"message":` + quoted + `,"decline_code":` + quoted + `}}`},
			{400, `{"error":{"code":` + quoted + `,"message":` + quoted + `}}`},
			{200, `{"id":` + quoted + `,"status":"authorized","amount":1250,"currency":"USD","captured_amount":0,"reference":"REFERENCE"}`},
			{200, `{"id":"p` + uuid.NewString() + `","status":"authorized","amount":1,"currency":"USD","captured_amount":0,"reference":` + quoted + `}`},
		} {
			if (i+j)%2 == 1 && i > 4 {
				continue // half of the combinations show as much, in half of the time
			}
			t.hostile.answers(answer.status, answer.body)
			name := fmt.Sprintf("answer %d %d", i, j)
			id := chargeID("acme", name)
			if _, err := t.start(ctx, "Charge", id, manual(chargeOf("acme", name, "tok_visa")).with(object{"processor": "hostile"})); err != nil {
				return result{}, err
			}
			// Whatever comes of it, the page says so while it is looked up, or at its end.
			if err := t.awaitStatus(ctx, id, payment.Declined, payment.Failed, payment.Authorized, payment.Conflicted, payment.Unknown,
				payment.NeedsReconciliation); err != nil {
				return result{}, err
			}
			requests[name] = nil
			page, err := t.page(ctx, id)
			if err != nil {
				return result{}, err
			}
			if found := foreign(page); found != "" {
				all = succeeded("%d with %q: the page has %s", answer.status, text, found)
			}
		}
	}
	t.hostile.answers(500, "")
	if all.succeeded {
		return all, nil
	}
	return repelled("%d pages have none", len(requests)), nil
}

// hostileTerminal lets a processor decline with hostile texts, and reads that as an operator does.
func hostileTerminal(ctx context.Context, t *target) (result, error) {
	answers := map[int][]string{}
	for _, text := range hostile {
		quoted := quoteJSON(text)
		answers[402] = append(answers[402], `{"error":{"code":`+quoted+`,"message":`+quoted+`,"decline_code":`+quoted+`}}`)
	}
	for _, text := range []string{"\x1b[2Jevil", "\u202eevil"} {
		answers[400] = append(answers[400], `{"error":{"code":`+quoteJSON(text)+`,"message":`+quoteJSON(text)+`}}`)
	}
	if err := t.answered(ctx, "terminal", answers); err != nil {
		return result{}, err
	}
	commands := [][]string{{"list", "--limit", "500"}, {"list", "--limit", "500", "--json"}, {"divergences"}, {"divergences", "--json"}}
	for status, bodies := range answers {
		for i := range bodies {
			args := []string{"get", "--merchant", "acme", "--key", fmt.Sprintf("terminal %d %d", status, i)}
			commands = append(commands, args)
			if i%5 == 0 {
				commands = append(commands, append(slices.Clone(args), "--json"))
			}
		}
	}
	lines := 0
	for _, args := range commands {
		output, _, err := t.execute(ctx, "starter", args...)
		if err != nil {
			return result{}, err
		}
		if found := unprintable(output); found != "" {
			return succeeded("starter %v prints %s", args, found), nil
		}
		lines += strings.Count(output, "\n")
	}
	if lines < 3*len(hostile) {
		return result{}, fmt.Errorf("starter has printed only %d lines", lines)
	}
	return repelled("%d lines have none", lines), nil
}

// unprintable returns the first character of a text that could redraw a terminal; empty if there is none.
func unprintable(text string) string {
	for _, r := range text {
		if isUnprintable(r) || r == '\r' {
			return fmt.Sprintf("%U", r)
		}
	}
	return ""
}

func hostileArguments(ctx context.Context, t *target) (result, error) {
	for _, text := range []string{"x\x1b[2Jy", "x\u202ey", "x\ry", "x\ny", "x\x9by", "x\u2028y"} {
		for _, args := range [][]string{
			{"charge", "--merchant", text, "--key", text, "--amount", "12.50", "--currency", "USD", "--payment-method", "tok_visa"},
			{"charge", "--merchant", "acme", "--key", "k", "--amount", text, "--currency", text, "--payment-method", text},
			{"get", "--merchant", "acme", "--key", text},
			{"list", "--status", text},
			{"resolve", "--merchant", "acme", "--key", "operator 1", "--status", "failed", "--by", text, "--evidence", text},
			{"divergences", "acknowledge", text, "--by", text},
			{text},
		} {
			output, _, err := t.execute(ctx, "starter", args...)
			if err != nil {
				return result{}, err
			}
			if found := unprintable(output); found != "" {
				return succeeded("starter %s … with %q prints %s", args[0], text, found), nil
			}
		}
	}
	return repelled("no output has one"), nil
}
