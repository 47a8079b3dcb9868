package main

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/google/uuid"

	"github.com/florinpay/florin/payment"
)

// textAttacks put markup, commands and control characters where operators look.
var textAttacks = []attack{
	{name: "page: commands, links and images in keys", try: hostileKeys},
	{name: "page: commands, links and images in other fields", try: hostileFields},
	{name: "page: commands, links and images in an operator's words", try: hostileOperator},
	{name: "page: commands, links and images in a processor's answers", try: hostileAnswers},
	{name: "terminal: control and bidi characters in starter's output", try: hostileTerminal},
	{name: "terminal: starter with hostile arguments", try: hostileArguments},
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
	var mu sync.Mutex
	names := slices.Collect(maps.Keys(requests))
	err = each(len(names), func(i int) error {
		req := requests[names[i]]
		id := fmt.Sprintf("charge/%s/%s", req["merchant_id"], req["idempotency_key"])
		run, err := t.start(ctx, "Charge", id, req)
		if err != nil {
			if isRefused(err) || strings.Contains(err.Error(), "non-printable") {
				return nil // Temporal, or gRPC, does not take such an ID: see strangeIDs
			}
			return err
		}
		var c payment.Charge
		if err := t.update(ctx, run.GetID(), uuid.NewString(), "outcome", &c, object{}); err != nil && !isRefused(err) {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		pages[names[i]] = run.GetID()
		return nil
	})
	return pages, err
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

// hostileOperator resolves payments with many words. What is refused is on no page.
func hostileOperator(ctx context.Context, t *target) (result, error) {
	pages := map[string]string{}
	for i, text := range hostile {
		pages[text] = chargeID("acme", fmt.Sprintf("operator %d", i))
	}
	err := each(len(hostile), func(i int) error {
		id, err := t.unknown(ctx, chargeOf("acme", fmt.Sprintf("operator %d", i), "tok_lost").with(object{"processor": "patient"}))
		if err != nil {
			return err
		}
		var c payment.Charge
		err = t.updateOnceIdle(ctx, id, "resolve", &c, object{"status": "failed", "evidence": hostile[i], "by": hostile[i]})
		if err != nil && !isRefused(err) {
			return err
		}
		return nil
	})
	if err != nil {
		return result{}, err
	}
	return t.checkPages(ctx, pages)
}

// hostileAnswers lets a processor answer charges with what it wants. Whatever comes of it, the page says so while it is looked up, or at its
// end.
func hostileAnswers(ctx context.Context, t *target) (result, error) {
	var answers []answer
	for _, text := range hostile {
		quoted := quoteJSON(text)
		answers = append(answers,
			answer{402, `{"error":{"code":` + quoted + `,"message":` + quoted + `,"decline_code":` + quoted + `}}`},
			answer{400, `{"error":{"code":` + quoted + `,"message":` + quoted + `}}`},
			answer{500, `{"error":{"code":` + quoted + `,"message":` + quoted + `}}`},
			answer{200, `{"id":` + quoted + `,"status":"authorized","amount":1250,"currency":"USD","captured_amount":0,"reference":"REFERENCE"}`},
			answer{200, `{"id":"p` + uuid.NewString() + `","status":"authorized","amount":1,"currency":"USD","captured_amount":0,"reference":` + quoted + `}`},
		)
	}
	if err := t.answered(ctx, "answer", answers); err != nil {
		return result{}, err
	}
	pages := map[string]string{}
	for i, a := range answers {
		pages[fmt.Sprint(a.status, a.body)] = chargeID("acme", fmt.Sprintf("answer %d", i))
	}
	return t.checkPages(ctx, pages)
}

// hostileTerminal lets a processor decline with hostile texts, and reads that as an operator does.
func hostileTerminal(ctx context.Context, t *target) (result, error) {
	var answers []answer
	for _, text := range hostile {
		quoted := quoteJSON(text)
		answers = append(answers, answer{402, `{"error":{"code":` + quoted + `,"message":` + quoted + `,"decline_code":` + quoted + `}}`})
	}
	for _, text := range []string{"\x1b[2Jevil", "\u202eevil"} {
		answers = append(answers, answer{400, `{"error":{"code":` + quoteJSON(text) + `,"message":` + quoteJSON(text) + `}}`})
	}
	if err := t.answered(ctx, "terminal", answers); err != nil {
		return result{}, err
	}
	commands := [][]string{{"list", "--limit", "500"}, {"list", "--limit", "500", "--json"}, {"divergences"}, {"divergences", "--json"}}
	for i := range answers {
		if i >= 10 { // those with control characters
			args := []string{"get", "--merchant", "acme", "--key", fmt.Sprintf("terminal %d", i)}
			commands = append(commands, args, append(slices.Clone(args), "--json"))
		}
	}
	outputs := make([]string, len(commands))
	err := each(len(commands), func(i int) (err error) {
		outputs[i], _, err = t.execute(ctx, "starter", commands[i]...)
		return err
	})
	if err != nil {
		return result{}, err
	}
	lines := 0
	for i, output := range outputs {
		if found := unprintable(output); found != "" {
			return succeeded("starter %v prints %s", commands[i], found), nil
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
	var commands [][]string
	for _, text := range []string{"x\x1b[2Jy", "x\u202ey", "x\ry", "x\x9by", "x\u2028y"} {
		commands = append(commands,
			[]string{"charge", "--merchant", text, "--key", text, "--amount", "12.50", "--currency", "USD", "--payment-method", "tok_visa"},
			[]string{"charge", "--merchant", "acme", "--key", "k", "--amount", text, "--currency", text, "--payment-method", text},
			[]string{"get", "--merchant", "acme", "--key", text},
			[]string{"list", "--status", text},
			[]string{"resolve", "--merchant", "acme", "--key", "operator 1", "--status", "failed", "--by", text, "--evidence", text},
			[]string{"divergences", "acknowledge", text, "--by", text},
			[]string{"processor", "pause", text, "--by", text, "--reason", text},
			[]string{text},
		)
	}
	outputs := make([]string, len(commands))
	err := each(len(commands), func(i int) (err error) {
		outputs[i], _, err = t.execute(ctx, "starter", commands[i]...)
		return err
	})
	if err != nil {
		return result{}, err
	}
	for i, output := range outputs {
		if found := unprintable(output); found != "" {
			return succeeded("starter %q prints %s", commands[i], found), nil
		}
	}
	return repelled("no output has one"), nil
}
