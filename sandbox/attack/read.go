package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/florinpay/florin/payment"
)

// readAttacks read more than is meant, or keep the readers busy.
var readAttacks = []attack{
	{name: "reads: SQL in every text of a filter", try: sqlInFilters},
	{name: "reads: filters and cursors without bounds", try: unboundedFilters},
	{name: "reads: another merchant's payment", try: readOfAnotherMerchant},
}

func quoteJSON(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string is always encoded
	}
	return string(quoted)
}

var injections = []string{
	"' OR '1'='1", `" OR 1=1 --`, "'; DROP TABLE payments; --", "acme' UNION SELECT * FROM payments --", "%", "_", "acme%", "*", "acme\x00", "\\", "$1", "?", ":1",
	"'||(SELECT sqlite_version())||'", "1) OR (1=1",
}

// syntax is what a database says about a statement that it does not understand.
var syntax = regexp.MustCompile(`(?i)syntax error|SQLSTATE|SQL logic|no such (column|table|function)|unrecognized token`)

func sqlInFilters(ctx context.Context, t *target) (result, error) {
	var before payment.Page
	if err := t.read(ctx, "ListPayments", &before, object{"limit": 500}); err != nil {
		return result{}, err
	}
	for _, text := range injections {
		for activity, args := range map[string][][]any{
			"GetPayment": {{text, "one payment"}, {"acme", text}},
			"GetRefund":  {{text, "x"}, {"acme", text}},
			"ListPayments": {
				{object{"merchant_id": text}}, {object{"processor": text}}, {object{"statuses": []string{text}}}, {object{"cursor": text}},
			},
			"ListRefunds":           {{object{"processor": text}}, {object{"processor": "simulator", "cursor": text}}},
			"ListDivergences":       {{object{"merchant_id": text}}, {object{"payment_id": text}}, {object{"kind": text}}, {object{"cursor": text}}},
			"AcknowledgeDivergence": {{object{"divergence_id": text, "by": "mallory"}}},
			"ControlProcessor":      {{object{"processor": text, "action": "pause", "by": "mallory", "reason": "x"}}},
		} {
			for _, a := range args {
				var answer json.RawMessage
				err := t.read(ctx, activity, &answer, a...)
				switch found := strings.Count(string(answer), "payment_id"); {
				case found > 0:
					return succeeded("%s%v returns %d records", activity, a, found), nil
				case err != nil && syntax.MatchString(err.Error()):
					return succeeded("%s%q: the error has SQL: %v", activity, a, err), nil
				case err != nil && !isRefused(err):
					return result{}, err
				}
			}
		}
	}
	var after payment.Page
	err := t.read(ctx, "ListPayments", &after, object{"limit": 500})
	if err == nil && len(after.Payments) < len(before.Payments) {
		return succeeded("%d payments of %d are left", len(after.Payments), len(before.Payments)), nil
	}
	return repelled("no text matched anything, and all %d payments are there", len(after.Payments)), err
}

func unboundedFilters(ctx context.Context, t *target) (result, error) {
	statuses := make([]string, 50000)
	for i := range statuses {
		statuses[i] = "succeeded"
	}
	for name, filter := range map[string]object{
		"limit": {"limit": 1 << 40}, "negative limit": {"limit": -1}, "statuses": {"statuses": statuses}, "merchant": {"merchant_id": strings.Repeat("a", 1<<20)},
		"processor": {"processor": strings.Repeat("a", 1<<20)}, "cursor": {"cursor": strings.Repeat("a", 1<<20)}, "nonsense": {"cursor": "nonsense"},
		"base64": {"cursor": "eyJhIjoxfQ"}, "from": {"created_from": "9999-12-31T23:59:59Z"}, "year 0": {"created_before": "0000-01-01T00:00:00Z"},
	} {
		began := time.Now()
		var page payment.Page
		err := t.read(ctx, "ListPayments", &page, filter)
		if err != nil && !isRefused(err) {
			return result{}, fmt.Errorf("%s: %w", name, err)
		}
		took := time.Since(began)
		if len(page.Payments) > 500 || took > 10*time.Second || err != nil && len(err.Error()) > 2000 {
			return succeeded("%s: %d payments in %s, error %.100s", name, len(page.Payments), took, fmt.Sprint(err)), nil
		}
		var divergences payment.DivergencePage
		if err := t.read(ctx, "ListDivergences", &divergences, filter); err != nil && !isRefused(err) {
			return result{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return repelled("each is refused or bounded"), nil
}

// readOfAnotherMerchant asks for a payment under names that are almost those of its merchant.
func readOfAnotherMerchant(ctx context.Context, t *target) (result, error) {
	if _, err := t.succeeded(ctx, "acme", "private"); err != nil {
		return result{}, err
	}
	for _, name := range [][2]string{
		{"globex", "private"}, {"globex", "acme/private"}, {"acme/private", ""}, {"", "acme/private"}, {"ACME", "private"}, {"acme ", "private"},
		{"acme", "PRIVATE"}, {"acme", "private "}, {"", "private"},
	} {
		if c, ok, err := t.stored(ctx, name[0], name[1]); err == nil && ok {
			return succeeded("%q reads %s", name, c.PaymentID), nil
		} else if err != nil && !isRefused(err) {
			return result{}, err
		}
	}
	var value any
	err := t.update(ctx, chargeID("acme", "private"), uuid.NewString(), "outcome", &value, object{"fingerprint": strings.Repeat("0", 64)})
	if err == nil {
		return succeeded("the update outcome answers another request"), nil
	}
	return repelled("no other name finds it"), ctx.Err()
}
