package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/payment"
)

// secretAttacks look for card numbers and secrets where they must not be.
var secretAttacks = []attack{
	{name: "secrets: card numbers in the fields of callers", try: cardsOfCallers},
	{name: "secrets: card numbers in the answers of a processor", try: cardsOfProcessor},
	{name: "secrets: a processor repeats the API key", try: repeatedKey},
}

// cards makes numbers that pass the check of card numbers, each of them another.
type cards struct{ made []string }

func (c *cards) next() string {
	number := fmt.Sprintf("40000056%07d", 1234+len(c.made)*7919)
	sum := 0
	for i, digit := range number {
		d := int(digit - '0')
		if i%2 == 0 { // every other one, counted from the end of the 16 digits
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	number += fmt.Sprint((10 - sum%10) % 10)
	c.made = append(c.made, number)
	return number
}

// spaced returns the next number as it is embossed on a card.
func (c *cards) spaced() string {
	n := c.next()
	return n[:4] + " " + n[4:8] + " " + n[8:12] + " " + n[12:]
}

// leaked returns where one of the texts is in the worker's files, its log or the histories of the workflows whose ID begins with a prefix.
func (t *target) leaked(ctx context.Context, prefix string, texts ...string) (string, error) {
	places := map[string]string{"the worker's log": t.worker.log()}
	for _, name := range []string{"audit.log", "florin.db", "florin.db-wal"} {
		content, err := os.ReadFile(t.file(name))
		if err != nil {
			return "", err
		}
		places[name] = string(content)
	}
	listed, err := t.temporal.WorkflowService().ListWorkflowExecutions(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: client.DefaultNamespace, PageSize: 1000, Query: fmt.Sprintf("WorkflowId STARTS_WITH %q", prefix),
	})
	if err != nil {
		return "", err
	}
	if len(listed.GetExecutions()) == 0 {
		return "", fmt.Errorf("no workflow begins with %s", prefix)
	}
	for _, execution := range listed.GetExecutions() {
		id := execution.GetExecution().GetWorkflowId()
		history, err := t.history(ctx, id)
		if err != nil {
			return "", err
		}
		places["the history of "+id] = history
		places["the search attributes of "+id] = execution.GetSearchAttributes().String() + execution.GetMemo().String()
	}
	var found []string
	for place, content := range places {
		for _, text := range texts {
			if i := strings.Index(content, text); i >= 0 {
				found = append(found, fmt.Sprintf("%s in %s: %.80q", text, place, content[max(0, i-40):min(len(content), i+40)]))
			}
		}
	}
	return strings.Join(found, "\n"), nil
}

func cardsOfCallers(ctx context.Context, t *target) (result, error) {
	made := &cards{}
	start := func(kind, id string, req object) error {
		run, err := t.start(ctx, kind, id, req)
		if err != nil {
			return err
		}
		ended, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		_ = run.Get(ended, nil) // it is refused, or ends some way
		return ctx.Err()
	}
	for i, field := range []string{
		"merchant_id", "idempotency_key", "payment_method", "description", "customer_id", "processor", "currency", "capture", "return_url", "amount", "unknown",
	} {
		for j, number := range []string{made.next(), made.spaced()} {
			id := fmt.Sprintf("card/%d/%d", i, j) // the ID itself is readable everywhere
			if slices.Contains([]string{"payment_method", "description", "customer_id", "processor", "currency", "capture"}, field) {
				id = chargeID("acme", strings.ReplaceAll(id, "/", "-"))
			}
			key := strings.TrimPrefix(id, "charge/acme/")
			if err := start("Charge", id, chargeOf("acme", key, "tok_visa").with(object{field: number})); err != nil {
				return result{}, err
			}
		}
	}
	for i, metadata := range []object{{made.next(): "x"}, {"x": made.next()}, {"x": "card " + made.spaced() + "."}} {
		key := fmt.Sprintf("card-metadata-%d", i)
		if err := start("Charge", chargeID("acme", key), chargeOf("acme", key, "tok_visa").with(object{"metadata": metadata})); err != nil {
			return result{}, err
		}
	}
	paid, err := t.succeeded(ctx, "acme", "card-paid")
	if err != nil {
		return result{}, err
	}
	for i, field := range []object{{"reason": made.next()}, {"payment_id": made.next()}, {"currency": made.next()}, {"metadata": object{"x": made.next()}}} {
		key := fmt.Sprintf("card-%d", i)
		req := object{"merchant_id": "acme", "idempotency_key": key, "payment_id": paid.PaymentID, "amount": 1}.with(field)
		if err := start("Refund", "refund/acme/"+key, req); err != nil {
			return result{}, err
		}
	}
	id, err := t.unknown(ctx, chargeOf("acme", "card-lost", "tok_lost").with(object{"processor": "patient"}))
	if err != nil {
		return result{}, err
	}
	settle(ctx)
	valid := object{"status": "failed", "evidence": "x", "by": "x"}
	for _, field := range []object{{"evidence": made.next()}, {"by": made.spaced()}, {"status": made.next()}, {"processor_id": made.next()}, {"evidence": made.spaced()}} {
		if err := t.update(ctx, id, uuid.NewString(), "resolve", nil, valid.with(field)); err != nil && !isRefused(err) {
			return result{}, err
		}
	}
	_ = t.update(ctx, id, uuid.NewString(), "outcome", nil, object{"fingerprint": made.next()})
	_ = t.update(ctx, id, uuid.NewString(), "capture", nil, object{"currency": made.next(), "amount": 1})
	_ = t.update(ctx, id, uuid.NewString(), made.next(), nil)
	for activity, arg := range map[string]object{
		"ListPayments":          {"merchant_id": made.next(), "processor": made.next(), "cursor": made.next(), "statuses": []string{made.next()}},
		"ListRefunds":           {"processor": made.next(), "cursor": made.next()},
		"ListDivergences":       {"merchant_id": made.next(), "payment_id": made.next(), "cursor": made.next(), "kind": made.next()},
		"AcknowledgeDivergence": {"divergence_id": made.next(), "by": made.next()},
		"ControlProcessor":      {"processor": made.next(), "action": "pause", "by": made.next(), "reason": made.next()},
	} {
		_ = t.read(ctx, activity, nil, arg)
	}
	_ = t.read(ctx, "GetPayment", nil, made.next(), made.next())
	if err := t.temporal.SignalWorkflow(ctx, id, "", "processor-event", object{"id": made.next(), "type": made.next()}); err != nil {
		return result{}, err
	}
	for _, body := range [][]byte{
		canonical(object{"id": made.next(), "type": made.next(), "data": object{"metadata": object{"florin_payment_id": made.next(), "florin_merchant_id": made.next()}}}),
		canonical(object{"id": "evt_card", "type": "dispute." + made.next(), "data": object{"id": made.next(), "payment_id": made.next()}}),
		canonical(object{"id": "evt_card_2", "type": "dispute.created", "data": object{"id": made.next(), "payment_id": paid.ProcessorPaymentID}}),
		eventAbout(made.next(), made.next(), paid, object{"status": made.next()}),
	} {
		if _, _, err := t.send(ctx, post{header: sign(webhookSecret, body, time.Now()), body: body}); err != nil {
			return result{}, err
		}
	}
	if _, _, err := t.send(ctx, post{path: "/webhooks/" + made.next(), header: made.next()}); err != nil {
		return result{}, err
	}
	settle(ctx)
	for _, prefix := range []string{"card/", "charge/acme/card", "refund/acme/card", "recheck/charge/acme/card"} {
		if found, err := t.leaked(ctx, prefix, withSpaces(made.made)...); err != nil || found != "" {
			return succeeded("%s", found), ignoreMissing(err, prefix)
		}
	}
	return repelled("none of %d numbers is in a file, a log or a history", len(made.made)), nil
}

// ignoreMissing ignores that no recheck was started.
func ignoreMissing(err error, prefix string) error {
	if strings.HasPrefix(prefix, "recheck") {
		return nil
	}
	return err
}

// withSpaces returns the numbers also as they are embossed.
func withSpaces(numbers []string) []string {
	for _, n := range slices.Clone(numbers) {
		numbers = append(numbers, n[:4]+" "+n[4:8]+" "+n[8:12]+" "+n[12:])
	}
	return numbers
}

// answered charges at the hostile processor once for each answer. The payments' keys are the name and a number.
func (t *target) answered(ctx context.Context, name string, answers []answer) error {
	return each(len(answers), func(i int) error {
		key := fmt.Sprintf("%s %d", name, i)
		id := chargeID("acme", key)
		t.hostile.set("acme", key, answers[i])
		if _, err := t.start(ctx, "Charge", id, manual(chargeOf("acme", key, "tok_visa")).with(object{"processor": "hostile"})); err != nil {
			return err
		}
		return t.awaitStatus(ctx, id, payment.Declined, payment.Failed, payment.Authorized, payment.Conflicted, payment.Unknown,
			payment.NeedsReconciliation)
	})
}

// statuses makes answers with a status.
func statuses(status int, bodies ...string) (answers []answer) {
	for _, body := range bodies {
		answers = append(answers, answer{status, body})
	}
	return answers
}

func cardsOfProcessor(ctx context.Context, t *target) (result, error) {
	made := &cards{}
	const record = `"status":"authorized","amount":1250,"currency":"USD","captured_amount":0,"reference":"REFERENCE"`
	const cvc = "cvc-7391"
	nested := `"card":{"number":"%s","cvc":{"code":"` + cvc + `"},"exp":"` + cvc + `"},"cvc":"` + cvc + `","email":"` + cvc + `@example.com","id2":"` + cvc + `"`
	err := t.answered(ctx, "cards", slices.Concat(
		statuses(200,
			`{"id":"`+made.next()+`",`+record+`}`,
			`{"id":"p_`+uuid.NewString()+`",`+record+`,`+fmt.Sprintf(nested, made.next())+`}`,
			`{"cvc":{"code":"`+cvc+`"},"id":"p_`+uuid.NewString()+`",`+record+`,"metadata":{"`+made.next()+`":"`+made.next()+`"}}`,
			`{"id":"p_`+uuid.NewString()+`","status":"`+made.next()+`","amount":`+made.next()+`,"currency":"`+made.next()+`","reference":"`+made.next()+`"}`,
			`{"`+made.next()+`":{"`+made.spaced()+`":["`+made.next()+`"]}}`,
			`"`+made.next()+`"`, made.next(), `<html>`+made.spaced()+` `+cvc,
			`{"id":"\u0034`+made.next()[1:]+`",`+record+`}`,
		),
		statuses(402,
			`{"error":{"code":"`+made.next()+`","message":"card `+made.spaced()+` declined","decline_code":"`+made.next()+`"},`+fmt.Sprintf(nested, made.next())+`}`,
			`{"error":{"code":"declined","message":"`+made.next()+`","decline_code":"declined","card":{"code":"`+cvc+`","id":"`+cvc+`"}}}`,
		),
		statuses(400, `{"error":{"code":"`+made.next()+`","message":"`+made.spaced()+`"}}`, `card=`+made.next()+`&cvc=`+cvc),
		statuses(500, `{"error":{"code":"`+made.next()+`","message":"`+made.spaced()+`"},"cvc":{"code":"`+cvc+`"}}`),
	))
	if err != nil {
		return result{}, err
	}
	if found, err := t.leaked(ctx, "charge/acme/cards ", append(withSpaces(made.made), cvc)...); err != nil || found != "" {
		return succeeded("%s", found), err
	}
	return repelled("none of %d numbers is in a file, a log or a history", len(made.made)), nil
}

func repeatedKey(ctx context.Context, t *target) (result, error) {
	const record = `"status":"authorized","amount":1250,"currency":"USD","captured_amount":0,"reference":"REFERENCE"`
	escaped := `\u0073\u0069\u006d` + strings.TrimPrefix(apiKey, "sim")
	err := t.answered(ctx, "repeated", slices.Concat(
		statuses(200, `{"id":"`+apiKey+`",`+record+`}`, `{"id":"`+escaped+`",`+record+`}`, `{"id":"p_`+apiKey+`_x",`+record+`}`),
		statuses(402, `{"error":{"code":"`+apiKey+`","message":"key `+apiKey+`","decline_code":"`+apiKey+`"}}`),
		statuses(401, `{"error":{"code":"unauthorized","message":"the key `+apiKey+` is revoked"}}`, `Bearer `+apiKey, `{"error":{"code":"`+escaped+`","message":"`+escaped+`"}}`),
	))
	if err != nil {
		return result{}, err
	}
	if found, err := t.leaked(ctx, "charge/acme/repeated ", apiKey, webhookSecret); err != nil || found != "" {
		return succeeded("%s", found), err
	}
	return repelled("it is in no file, log or history"), nil
}
