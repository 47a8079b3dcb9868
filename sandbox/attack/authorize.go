package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
)

// authorizeAttacks ask workers that require proofs for what is not permitted.
var authorizeAttacks = []attack{
	{name: "authorize: without a proof", try: noProof},
	{name: "authorize: claims that are forged, expired or of others", try: forgedClaims},
	{name: "authorize: signatures that are forged or of another request", try: forgedSignatures},
	{name: "authorize: another merchant's claim", try: anotherMerchantsClaim},
	{name: "authorize: another role's claim", try: anotherRolesClaim},
	{name: "authorize: headers copied from histories", try: copiedHeaders},
	{name: "authorize: signals and rechecks without a proof", try: unpermittedSignals},
	{name: "authorize: a resolution in the name of the boss", try: resolutionOfTheBoss},
	{name: "authorize: another merchant's divergence", try: anotherMerchantsDivergence},
	{name: "authorize: the attacker's workflow charges as a child", try: childOfTheAttacker},
	{name: "authorize: books", try: booksWithProofs},
}

// issue returns a token of the issuer whom the workers trust.
func (t *target) issue(subject, merchant, role string) (token, error) {
	k, err := newKey()
	return token{claim: t.claim(claims(subject, k, merchant, role)), key: k}, err
}

// claim signs claims as the issuer does.
func (t *target) claim(c object) string {
	return jws(object{"alg": "EdDSA", "kid": "issuer", "typ": "JWT"}, c, t.issuer.sign)
}

// prover returns the proof of a request; nil: none.
type prover func(request) any

func (t token) prover() prover { return func(r request) any { return t.prove(r) } }

// as returns a context for a request with its proof.
func (p prover) as(ctx context.Context, r request) context.Context {
	if proof := p(r); proof != nil {
		return withHeader(ctx, proof)
	}
	return ctx
}

// chargeAs starts a charge, and returns how it ended.
func (t *target) chargeAs(ctx context.Context, p prover, req object) (payment.Charge, error) {
	id := fmt.Sprintf("charge/%s/%s", req["merchant_id"], req["idempotency_key"])
	run, err := t.start(p.as(ctx, request{"start", "Charge", id, "", []any{req}}), "Charge", id, req)
	if err != nil {
		return payment.Charge{}, err
	}
	if req["capture"] == "manual" {
		var c payment.Charge
		return c, t.updateAs(ctx, p, id, "outcome", &c, object{})
	}
	var c payment.Charge
	return c, run.Get(ctx, &c)
}

func (t *target) updateAs(ctx context.Context, p prover, id, name string, into any, args ...any) error {
	updateID := uuid.NewString()
	return t.update(p.as(ctx, request{"update", name, id, updateID, args}), id, updateID, name, into, args...)
}

func (t *target) readAs(ctx context.Context, p prover, activity string, into any, args ...any) error {
	return t.read(p.as(ctx, request{kind: "read", name: activity, args: args}), activity, into, args...)
}

func (t *target) queryAs(ctx context.Context, p prover, id string) error {
	value, err := t.temporal.QueryWorkflow(p.as(ctx, request{"query", "status", id, "", nil}), id, "", "status")
	if err != nil {
		return err
	}
	var c payment.Charge
	return value.Get(&c)
}

// operations are all that callers can ask for about merchant acme. name is for the keys; victim is authorized, lost is unknown.
func (t *target) operations(name, victim, lost, paid string) map[string]func(context.Context, prover) error {
	return map[string]func(context.Context, prover) error{
		"start Charge": func(ctx context.Context, p prover) error {
			_, err := t.chargeAs(ctx, p, chargeOf("acme", name+" "+uuid.NewString(), "tok_visa"))
			return err
		},
		"start Refund": func(ctx context.Context, p prover) error {
			key := name + " " + uuid.NewString()
			req := object{"merchant_id": "acme", "idempotency_key": key, "payment_id": payment.PaymentID("acme", paid), "amount": 1}
			run, err := t.start(p.as(ctx, request{"start", "Refund", "refund/acme/" + key, "", []any{req}}), "Refund", "refund/acme/"+key, req)
			if err != nil {
				return err
			}
			if err := run.Get(ctx, nil); err != nil {
				return err
			}
			t.refunds = append(t.refunds, key)
			return nil
		},
		"update outcome": func(ctx context.Context, p prover) error {
			return t.updateAs(ctx, p, chargeID("acme", victim), "outcome", nil, object{})
		},
		"query status": func(ctx context.Context, p prover) error { return t.queryAs(ctx, p, chargeID("acme", victim)) },
		"update resolve": func(ctx context.Context, p prover) error {
			return t.updateAs(ctx, p, chargeID("acme", lost), "resolve", nil, object{"status": "failed", "evidence": "forged", "by": "mallory"})
		},
		"update capture": func(ctx context.Context, p prover) error {
			return t.updateAs(ctx, p, chargeID("acme", victim), "capture", nil, object{"amount": 1})
		},
		"update void": func(ctx context.Context, p prover) error {
			return t.updateAs(ctx, p, chargeID("acme", victim), "void", nil)
		},
		"signal processor-event": func(ctx context.Context, p prover) error {
			id := chargeID("acme", victim)
			return t.signalAs(p.as(ctx, request{"signal", "processor-event", id, "", nil}), id)
		},
		"read GetPayment": func(ctx context.Context, p prover) error {
			return t.readAs(ctx, p, "GetPayment", &payment.Charge{}, "acme", victim)
		},
		"read GetRefund": func(ctx context.Context, p prover) error {
			err := t.readAs(ctx, p, "GetRefund", &payment.Refund{}, "acme", victim)
			if typeOf(err) == "NotFound" {
				return nil // that there is none is an answer
			}
			return err
		},
		"read ListPayments": func(ctx context.Context, p prover) error {
			return t.readAs(ctx, p, "ListPayments", &payment.Page{}, object{"merchant_id": "acme"})
		},
		"read ListPayments of all merchants": func(ctx context.Context, p prover) error {
			return t.readAs(ctx, p, "ListPayments", &payment.Page{}, object{})
		},
		"read ListRefunds": func(ctx context.Context, p prover) error { // of all merchants
			return t.readAs(ctx, p, "ListRefunds", &payment.RefundPage{}, object{"processor": "patient"})
		},
		"read ListDivergences": func(ctx context.Context, p prover) error {
			return t.readAs(ctx, p, "ListDivergences", &payment.DivergencePage{}, object{"merchant_id": "acme"})
		},
		"read AcknowledgeDivergence": func(ctx context.Context, p prover) error {
			err := t.readAs(ctx, p, "AcknowledgeDivergence", &payment.Divergence{}, object{"divergence_id": "div_none", "by": "mallory"})
			if typeOf(err) == "NotFound" {
				return nil // that there is none is an answer, to an operator of any merchant
			}
			return err
		},
		"read ControlProcessor": func(ctx context.Context, p prover) error {
			return t.readAs(ctx, p, "ControlProcessor", &payment.ProcessorState{}, object{
				"processor": "patient", "action": "resume", "by": "mallory", "reason": "forged",
			})
		},
		"read ListProcessors": func(ctx context.Context, p prover) error {
			return t.readAs(ctx, p, "ListProcessors", &payment.ProcessorStates{})
		},
	}
}

// stage makes the victims, as the service and the operator that they belong to, and shows that valid proofs are taken: otherwise every
// attack would be repelled.
func (t *target) stage(ctx context.Context, name string) (map[string]func(context.Context, prover) error, error) {
	service, err := t.issue("checkout", "acme", "service")
	if err != nil {
		return nil, err
	}
	p := service.prover()
	victim, lost, paid := name+" victim", name+" lost", name+" paid"
	if c, err := t.chargeAs(ctx, p, manual(chargeOf("acme", victim, "tok_visa"))); err != nil || c.Status != payment.Authorized {
		return nil, fmt.Errorf("a valid proof: %s %w", c.Status, err)
	}
	if c, err := t.chargeAs(ctx, p, chargeOf("acme", paid, "tok_visa")); err != nil || c.Status != payment.Succeeded {
		return nil, fmt.Errorf("a valid proof: %s %w", c.Status, err)
	}
	req := chargeOf("acme", lost, "tok_lost").with(object{"processor": "patient"})
	id := chargeID("acme", lost)
	if _, err := t.start(p.as(ctx, request{"start", "Charge", id, "", []any{req}}), "Charge", id, req); err != nil {
		return nil, err
	}
	operations := t.operations(name, victim, lost, paid)
	for _, operation := range []string{
		"query status", "read GetPayment", "read ListPayments", "update outcome", "start Refund", "signal processor-event",
	} {
		if err := operations[operation](ctx, p); err != nil {
			return nil, fmt.Errorf("a valid proof: %s: %w", operation, err)
		}
	}
	return operations, nil
}

// refusals tries operations with proofs of which none is valid.
func (t *target) refusals(
	ctx context.Context, operations map[string]func(context.Context, prover) error, names []string, provers map[string]prover,
) (result, error) {
	tried := 0
	for _, who := range slices.Sorted(maps.Keys(provers)) {
		for _, name := range names {
			err := operations[name](ctx, provers[who])
			if err == nil {
				return succeeded("%s: %s", who, name), nil
			}
			if typeOf(err) != "NotAuthorized" && !strings.Contains(err.Error(), "not authorized") {
				if isRefused(err) {
					return succeeded("%s: %s was permitted, and answered %v", who, name, err), nil
				}
				return result{}, fmt.Errorf("%s: %s: %w", who, name, err)
			}
			tried++
		}
	}
	return repelled("%d requests were refused", tried), nil
}

// someOperations is one of each kind.
var someOperations = []string{"start Charge", "update capture", "query status", "read GetPayment"}

func noProof(ctx context.Context, t *target) (result, error) {
	operations, err := t.stage(ctx, "no proof")
	if err != nil {
		return result{}, err
	}
	return t.refusals(ctx, operations, slices.Sorted(maps.Keys(operations)), map[string]prover{
		"nothing": func(request) any { return nil },
		"a text":  func(request) any { return "checkout" },
		"empty":   func(request) any { return object{} },
		"null":    func(request) any { return object{"claim": nil, "signature": nil} },
		"not JSON": func(request) any {
			return &common.Payload{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte("{")}
		},
		"no coding": func(request) any { return &common.Payload{Data: []byte("{}")} },
	})
}

func forgedClaims(ctx context.Context, t *target) (result, error) {
	operations, err := t.stage(ctx, "claims")
	if err != nil {
		return result{}, err
	}
	k, err := newKey()
	if err != nil {
		return result{}, err
	}
	own, err := newKey()
	if err != nil {
		return result{}, err
	}
	valid := claims("checkout", k, "acme", "service")
	past := time.Now().Add(-time.Hour).Unix()
	provers := map[string]prover{}
	add := func(name, claim string) { provers[name] = token{claim: claim, key: k}.prover() }
	signed := func(name string, change object) { add(name, t.claim(valid.with(change))) }
	signed("expired", object{"exp": past})
	signed("not valid yet", object{"nbf": time.Now().Add(time.Hour).Unix()})
	signed("of another audience", object{"aud": "another"})
	signed("of no audience", object{"aud": []string{}})
	signed("without a key", object{"cnf": object{}})
	signed("of another key", object{"cnf": object{"jkt": own.thumbprint()}})
	signed("without merchants", object{"florin_merchants": []string{}})
	signed("of an empty merchant", object{"florin_merchants": []string{""}})
	signed("of a pattern", object{"florin_merchants": []string{"ac*", "acm?", "acme/", "ACME"}})
	signed("of an unknown role", object{"florin_roles": []string{"admin", "*", "Service"}})
	signed("of a strange subject", object{"sub": "operator:jane\n"})
	signed("huge", object{"more": strings.Repeat("a", 1<<20)})
	signed("of 100000 merchants", object{"florin_merchants": strings.Split(strings.Repeat("acme,", 100000), ",")})
	noExpiry := valid.with(nil)
	delete(noExpiry, "exp")
	add("without an expiry", t.claim(noExpiry))
	for _, none := range []string{"none", "None", "NONE", ""} {
		add("unsigned "+none, jws(object{"alg": none, "kid": "issuer"}, valid, unsigned))
	}
	add("of the attacker's key", jws(object{"alg": "EdDSA", "kid": "issuer"}, valid, own.sign))
	add("of the attacker's key without kid", jws(object{"alg": "EdDSA"}, valid, own.sign))
	add("with an embedded key", jws(object{"alg": "EdDSA", "jwk": own.jwk()}, valid, own.sign))
	add("with an embedded key and the issuer's kid", jws(object{"alg": "EdDSA", "kid": "issuer", "jwk": own.jwk().with(object{"kid": "issuer"})}, valid, own.sign))
	add("with a URL of keys", jws(object{"alg": "EdDSA", "kid": "evil", "jku": t.hostile.url + "/keys/jwks"}, valid, own.sign))
	add("with a certificate", jws(object{"alg": "EdDSA", "kid": "evil", "x5c": []string{"MIIB"}, "x5u": t.hostile.url + "/keys/certificate"}, valid, own.sign))
	add("with a kid that is a path", jws(object{"alg": "EdDSA", "kid": "../../dev/null"}, valid, own.sign))
	add("with a critical header", jws(object{"alg": "EdDSA", "kid": "issuer", "crit": []string{"evil"}, "evil": true}, valid, t.issuer.sign))
	jwk, err := json.Marshal(t.issuer.jwk())
	if err != nil {
		return result{}, err
	}
	for name, secret := range map[string][]byte{"raw": t.issuer.public, "base64": []byte(encode(t.issuer.public)), "JWK": jwk, "nothing": {}} {
		add("HMAC with the public key, "+name, jws(object{"alg": "HS256", "kid": "issuer"}, valid, hs256(secret)))
	}
	parts := strings.Split(t.claim(valid), ".")
	add("another payload under a valid signature", parts[0]+"."+encode(canonical(valid.with(object{"sub": "boss"})))+"."+parts[2])
	add("without a signature", parts[0]+"."+parts[1]+".")
	add("not a JWT", "checkout")
	r, err := t.refusals(ctx, operations, someOperations, provers)
	if fetched := t.hostile.keysFetched(); err == nil && fetched > 0 {
		return succeeded("a worker has fetched keys from the attacker: %d requests", fetched), nil
	}
	return r, err
}

func forgedSignatures(ctx context.Context, t *target) (result, error) {
	operations, err := t.stage(ctx, "signatures")
	if err != nil {
		return result{}, err
	}
	service, err := t.issue("checkout", "acme", "service")
	if err != nil {
		return result{}, err
	}
	other, err := t.issue("checkout", "acme", "service")
	if err != nil {
		return result{}, err
	}
	provers := map[string]prover{}
	change := func(name string, header, payload object) {
		provers[name] = func(r request) any {
			return object{"claim": service.claim, "signature": jws(service.signedHeader().with(header), service.signedPayload(r).with(payload), service.key.sign)}
		}
	}
	change("old", nil, object{"iat": time.Now().Add(-time.Minute).Unix()})
	change("of the future", nil, object{"iat": time.Now().Add(time.Minute).Unix()})
	change("without a time", nil, object{"iat": nil})
	change("of another claim", nil, object{"ath": encode([]byte("another"))})
	change("of another request", nil, object{"req": request{kind: "start"}.digest()})
	change("without a request", nil, object{"req": nil})
	change("of another type", object{"typ": "JWT"}, nil)
	change("without a key", object{"jwk": nil}, nil)
	change("with another key", object{"jwk": other.key.jwk()}, nil)
	change("with another algorithm", object{"alg": "HS256"}, nil)
	change("unsigned", object{"alg": "none"}, nil)
	provers["of the attacker's key"] = func(r request) any {
		return object{"claim": service.claim, "signature": jws(service.signedHeader(), service.signedPayload(r), other.key.sign)}
	}
	provers["of another's claim"] = func(r request) any { return object{"claim": service.claim, "signature": other.prove(r)["signature"]} }
	provers["empty"] = func(request) any { return object{"claim": service.claim, "signature": ""} }
	provers["the claim"] = func(request) any { return object{"claim": service.claim, "signature": service.claim} }
	provers["huge"] = func(request) any { return object{"claim": service.claim, "signature": strings.Repeat("a", 1<<20)} }
	for part, changed := range map[string]func(request) request{
		"kind":        func(r request) request { r.kind = "read"; r.name += "x"; return r },
		"workflow ID": func(r request) request { r.workflowID += "x"; return r },
		"update ID":   func(r request) request { r.updateID += "x"; return r },
		"arguments":   func(r request) request { r.args = append(slices.Clone(r.args), "x"); return r },
	} {
		provers["another "+part] = func(r request) any { return service.prove(changed(r)) }
	}
	return t.refusals(ctx, operations, someOperations, provers)
}

func anotherMerchantsClaim(ctx context.Context, t *target) (result, error) {
	operations, err := t.stage(ctx, "merchants")
	if err != nil {
		return result{}, err
	}
	provers := map[string]prover{}
	for _, role := range []string{"service", "operator", "reader"} {
		foreigner, err := t.issue("mallory", "globex", role)
		if err != nil {
			return result{}, err
		}
		provers[role+" of globex"] = foreigner.prover()
	}
	names := slices.Sorted(maps.Keys(operations))
	names = slices.DeleteFunc(names, func(name string) bool {
		return name == "read AcknowledgeDivergence" || name == "read ListProcessors" // an attack of its own; not about a merchant
	})
	return t.refusals(ctx, operations, names, provers)
}

func anotherRolesClaim(ctx context.Context, t *target) (result, error) {
	operations, err := t.stage(ctx, "roles")
	if err != nil {
		return result{}, err
	}
	tried := 0
	for role, forbidden := range map[string][]string{
		"service": {
			"update resolve", "read AcknowledgeDivergence", "read ListPayments of all merchants", "read ListRefunds", "read ControlProcessor",
			"read ListProcessors",
		},
		"operator": {"start Charge", "start Refund", "read ListPayments of all merchants", "read ListRefunds", "read ControlProcessor"}, // of one merchant
		"reader": {
			"start Charge", "start Refund", "update capture", "update void", "update resolve", "read AcknowledgeDivergence",
			"read ListPayments of all merchants", "read ListRefunds", "signal processor-event", "read ControlProcessor",
		},
	} {
		token, err := t.issue("mallory", "acme", role)
		if err != nil {
			return result{}, err
		}
		r, err := t.refusals(ctx, operations, forbidden, map[string]prover{role: token.prover()})
		if err != nil || r.succeeded {
			return r, err
		}
		tried += len(forbidden)
	}
	return repelled("%d requests were refused", tried), nil
}

// headerOf returns the header of the first event of a history for which get returns one.
func (t *target) headerOf(ctx context.Context, workflowID string, get func(*history.HistoryEvent) *common.Header) (*common.Payload, error) {
	events := t.temporal.GetWorkflowHistory(ctx, workflowID, "", false, 1)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return nil, err
		}
		if payload := get(event).GetFields()["florin-caller"]; payload != nil {
			return payload, nil
		}
	}
	return nil, fmt.Errorf("%s has no header in its history", workflowID)
}

func copiedHeaders(ctx context.Context, t *target) (result, error) {
	service, err := t.issue("checkout", "acme", "service")
	if err != nil {
		return result{}, err
	}
	const key = "copied"
	id, req := chargeID("acme", key), manual(chargeOf("acme", key, "tok_visa"))
	if _, err := t.chargeAs(ctx, service.prover(), req); err != nil {
		return result{}, err
	}
	if _, err := t.chargeAs(ctx, service.prover(), manual(chargeOf("acme", "copied to", "tok_visa"))); err != nil {
		return result{}, err
	}
	started, err := t.headerOf(ctx, id, func(e *history.HistoryEvent) *common.Header {
		return e.GetWorkflowExecutionStartedEventAttributes().GetHeader()
	})
	if err != nil {
		return result{}, err
	}
	updated, err := t.headerOf(ctx, id, func(e *history.HistoryEvent) *common.Header {
		return e.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetAcceptedRequest().GetInput().GetHeader()
	})
	if err != nil {
		return result{}, err
	}
	start := func(id string, req object) func(context.Context) error {
		return func(ctx context.Context) error {
			run, err := t.temporal.ExecuteWorkflow(withHeader(ctx, started), t.duplicate(id), "Charge", req)
			if err != nil {
				return err
			}
			return run.Get(ctx, nil)
		}
	}
	update := func(header *common.Payload, id, name string, args ...any) func(context.Context) error {
		return func(ctx context.Context) error {
			return t.update(withHeader(ctx, header), id, uuid.NewString(), name, nil, args...)
		}
	}
	for name, try := range map[string]func(context.Context) error{
		"start of another payment":     start(chargeID("acme", "copied 2"), manual(chargeOf("acme", "copied 2", "tok_visa"))),
		"start of the same in another": start(chargeID("acme", "copied 3"), req),
		"start with another amount":    start(chargeID("acme", "copied 4"), req.with(object{"idempotency_key": "copied 4", "amount": 9999})),
		"start as update":              update(started, id, "capture", object{"amount": 1}),
		"outcome as capture":           update(updated, id, "capture", object{"amount": 1}),
		"outcome under another ID":     update(updated, id, "outcome", object{}),
		"outcome of another payment":   update(updated, chargeID("acme", "copied to"), "outcome", object{}),
		"void of another payment":      update(updated, chargeID("acme", "copied to"), "void"),
		"outcome as query":             func(ctx context.Context) error { return t.queryAs(ctx, func(request) any { return updated }, id) },
		"outcome as read of the same": func(ctx context.Context) error {
			return t.readAs(ctx, func(request) any { return updated }, "GetPayment", nil, "acme", key)
		},
		"start as read of all payments": func(ctx context.Context) error {
			return t.readAs(ctx, func(request) any { return started }, "ListPayments", nil, object{})
		},
	} {
		if err := try(ctx); err == nil || typeOf(err) != "NotAuthorized" && typeOf(err) != "InvalidRequest" && !strings.Contains(err.Error(), "not authorized") {
			if err != nil && !isRefused(err) {
				return result{}, fmt.Errorf("%s: %w", name, err)
			}
			return succeeded("%s: %v", name, err), nil
		}
	}
	return t.copiedLater(ctx, service)
}

// copiedLater uses headers again once their time is over, under the same names.
func (t *target) copiedLater(ctx context.Context, service token) (result, error) {
	id, req := chargeID("acme", "copied late"), manual(chargeOf("acme", "copied late", "tok_visa"))
	startProof := service.prove(request{"start", "Charge", id, "", []any{req}})
	updateProof := service.prove(request{"update", "void", id, "void-1", nil})
	select { // the lifetime of a request is 3 s
	case <-ctx.Done():
		return result{}, ctx.Err()
	case <-time.After(4500 * time.Millisecond):
	}
	run, err := t.start(withHeader(ctx, startProof), "Charge", id, req)
	if err != nil {
		return result{}, err
	}
	if err := run.Get(ctx, nil); typeOf(err) != "NotAuthorized" {
		return succeeded("the start, later: %v", err), ctx.Err()
	}
	if _, err := t.chargeAs(ctx, service.prover(), req); err != nil { // the service itself may start it now
		return result{}, err
	}
	err = t.update(withHeader(ctx, updateProof), id, "void-1", "void", nil)
	if typeOf(err) != "NotAuthorized" {
		return succeeded("the update, later: %v", err), ctx.Err()
	}
	return repelled("13 uses were refused"), nil
}

// lookups returns the results of the lookups in the history of a workflow: whether the processor was asked.
func (t *target) lookups(ctx context.Context, workflowID string) (asked []bool, err error) {
	scheduled := map[int64]bool{}
	events := t.temporal.GetWorkflowHistory(ctx, workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return nil, err
		}
		if event.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == "ProcessorLookup" {
			scheduled[event.GetEventId()] = true
		}
		if completed := event.GetActivityTaskCompletedEventAttributes(); completed != nil && scheduled[completed.GetScheduledEventId()] {
			var result struct {
				NotAsked bool `json:"not_asked"`
			}
			if err := converter.GetDefaultDataConverter().FromPayloads(completed.GetResult(), &result); err != nil {
				return nil, err
			}
			asked = append(asked, !result.NotAsked)
		}
	}
	return asked, nil
}

// notLookedUp is the error of a signal that has caused no lookup.
var notLookedUp = temporal.NewApplicationError("the processor was not asked", "NotAuthorized")

// signalAs signals the workflow of a payment that is looked up once a day, and returns an error unless the processor is asked.
func (t *target) signalAs(ctx context.Context, id string) error {
	before, err := t.lookups(ctx, id)
	if err != nil {
		return err
	}
	if err := t.temporal.SignalWorkflow(ctx, id, "", "processor-event", object{"id": "evt_forged", "type": "payment.succeeded"}); err != nil {
		return err
	}
	after := before
	err = until(ctx, func() (bool, error) {
		after, err = t.lookups(ctx, id)
		return len(after) > len(before), err
	})
	if err == nil && !after[len(after)-1] {
		return notLookedUp
	}
	return err
}

// unpermittedSignals start and prompt rechecks without a proof, and with one that the endpoint for webhooks has made for another payment.
func unpermittedSignals(ctx context.Context, t *target) (result, error) {
	if _, err := t.stage(ctx, "prompts"); err != nil {
		return result{}, err
	}
	service, err := t.issue("checkout", "acme", "service")
	if err != nil {
		return result{}, err
	}
	var paid payment.Charge
	if err := t.readAs(ctx, service.prover(), "GetPayment", &paid, "acme", "prompts paid"); err != nil {
		return result{}, err
	}
	// A genuine event about the paid payment starts a recheck, which is not repelled.
	id := "recheck/" + chargeID("acme", "prompts paid")
	body := eventAbout("evt_genuine", "payment.updated", paid, object{"refunded_amount": 1})
	if status, text, err := t.send(ctx, post{header: sign(webhookSecret, body, time.Now()), body: body}); err != nil || text != "recheck" {
		return result{}, fmt.Errorf("the event: %d %s %w", status, text, err)
	}
	err = until(ctx, func() (bool, error) {
		asked, err := t.lookups(ctx, id)
		return len(asked) > 0, err
	})
	if err != nil {
		return result{}, fmt.Errorf("a genuine event causes no lookup: %w", err)
	}
	endpoints, err := t.headerOf(ctx, id, func(e *history.HistoryEvent) *common.Header {
		return e.GetWorkflowExecutionSignaledEventAttributes().GetHeader()
	})
	if err != nil {
		return result{}, err
	}
	victim := chargeID("acme", "prompts victim")
	if err := t.signalAs(withHeader(ctx, endpoints), victim); typeOf(err) != "NotAuthorized" {
		return succeeded("the endpoint's header of another payment: %v", err), ctx.Err()
	}
	if _, err := t.chargeAs(ctx, service.prover(), chargeOf("acme", "prompts final", "tok_visa")); err != nil {
		return result{}, err
	}
	recheck := object{
		"merchant_id": "acme", "idempotency_key": "prompts final", "earlier": object{"lookups": 7}, "unconfirmed": []string{"div_forged"},
	}
	id = "recheck/" + chargeID("acme", "prompts final")
	attempts := map[string]func(client.StartWorkflowOptions) error{
		"a start": func(o client.StartWorkflowOptions) error {
			_, err := t.temporal.ExecuteWorkflow(ctx, o, "Recheck", recheck)
			return err
		},
		"a start with a signal": func(o client.StartWorkflowOptions) error {
			_, err := t.temporal.SignalWithStartWorkflow(ctx, id, "processor-event", object{"id": "evt_forged"}, o, "Recheck", recheck)
			return err
		},
		"the endpoint's header": func(o client.StartWorkflowOptions) error {
			_, err := t.temporal.SignalWithStartWorkflow(withHeader(ctx, endpoints), id, "processor-event", nil, o, "Recheck", recheck)
			return err
		},
		"a schedule": func(o client.StartWorkflowOptions) error {
			o.CronSchedule = "@every 1s"
			_, err := t.temporal.ExecuteWorkflow(ctx, o, "Recheck", recheck)
			return err
		},
	}
	for _, name := range slices.Sorted(maps.Keys(attempts)) {
		if err := attempts[name](t.duplicate(id)); err != nil {
			return result{}, err
		}
		for range 6 { // a recheck collects signals for 2 s
			settle(ctx)
		}
		asked, err := t.lookups(ctx, id)
		_ = t.temporal.TerminateWorkflow(ctx, id, "", "the attack is over") // it may have ended
		if err != nil || len(asked) > 0 {
			return succeeded("%s has the processor asked", name), err
		}
	}
	return repelled("the processor was not asked"), nil
}

func resolutionOfTheBoss(ctx context.Context, t *target) (result, error) {
	if _, err := t.stage(ctx, "boss"); err != nil {
		return result{}, err
	}
	operator, err := t.issue("jane", "acme", "operator")
	if err != nil {
		return result{}, err
	}
	id := chargeID("acme", "boss lost")
	resolution := object{"status": "failed", "evidence": "forged", "by": "the boss"}
	var c payment.Charge
	err = until(ctx, func() (bool, error) {
		err := t.updateAs(ctx, operator.prover(), id, "resolve", &c, resolution)
		return err == nil, ignoreNotResolvable(err)
	})
	if err != nil {
		return result{}, err
	}
	if c.Failure == nil || !strings.Contains(c.Failure.Message, "jane") || strings.Contains(c.Failure.Message, "boss") {
		return succeeded("recorded: %+v", c.Failure), nil
	}
	return repelled("recorded: %s", c.Failure.Message), nil
}

func ignoreNotResolvable(err error) error {
	if typeOf(err) == "NotResolvable" {
		return nil
	}
	return err
}

func anotherMerchantsDivergence(ctx context.Context, t *target) (result, error) {
	if _, err := t.stage(ctx, "disputed"); err != nil {
		return result{}, err
	}
	operator, err := t.issue("jane", "acme", "operator")
	if err != nil {
		return result{}, err
	}
	var c payment.Charge
	if err := t.readAs(ctx, operator.prover(), "GetPayment", &c, "acme", "disputed paid"); err != nil {
		return result{}, err
	}
	body := canonical(object{"id": "evt_dispute", "type": "dispute.created", "data": object{"id": "dp_1", "payment_id": c.ProcessorPaymentID}})
	if status, text, err := t.send(ctx, post{header: sign(webhookSecret, body, time.Now()), body: body}); err != nil || text != "dispute" {
		return result{}, fmt.Errorf("the dispute: %d %s %w", status, text, err)
	}
	open := func() (payment.DivergencePage, error) {
		var page payment.DivergencePage
		return page, t.readAs(ctx, operator.prover(), "ListDivergences", &page, object{"merchant_id": "acme", "payment_id": c.PaymentID, "open": true})
	}
	page, err := open()
	if err != nil || len(page.Divergences) != 1 {
		return result{}, fmt.Errorf("there are %d divergences: %w", len(page.Divergences), err)
	}
	foreigner, err := t.issue("joe", "globex", "operator")
	if err != nil {
		return result{}, err
	}
	acknowledgement := object{"divergence_id": page.Divergences[0].DivergenceID, "by": "jane"}
	var d payment.Divergence
	exists := t.readAs(ctx, foreigner.prover(), "AcknowledgeDivergence", &d, acknowledgement)
	none := t.readAs(ctx, foreigner.prover(), "AcknowledgeDivergence", &payment.Divergence{}, object{"divergence_id": payment.Divergence{}.ID(), "by": "jane"})
	now, err := open()
	switch {
	case err != nil:
		return result{}, err
	case exists == nil || len(now.Divergences) != 1:
		return succeeded("acknowledged by %s", d.AcknowledgedBy), nil
	case typeOf(exists) != typeOf(none):
		return succeeded("the answer says what exists: %v, otherwise %v", exists, none), nil
	default:
		return repelled("%s, as for one that does not exist", typeOf(exists)), nil
	}
}

// childOfTheAttacker has Florin's workflow started by another workflow, which has no proof.
func childOfTheAttacker(ctx context.Context, t *target) (result, error) {
	run, err := t.start(ctx, "Refund", "refund/acme/child", object{
		"merchant_id": "acme", "idempotency_key": "child", "payment_id": payment.PaymentID("acme", "no proof paid"),
	})
	if err != nil {
		return result{}, err
	}
	err = run.Get(ctx, nil)
	if typeOf(err) != "NotAuthorized" {
		return succeeded("%v", err), ctx.Err()
	}
	// A cron schedule makes the second run one that continues the first.
	options := t.duplicate(chargeID("acme", "scheduled"))
	options.CronSchedule = "@every 1s"
	unmoved, err := t.unmoved(ctx, func() error {
		if _, err := t.temporal.ExecuteWorkflow(ctx, options, "Charge", chargeOf("acme", "scheduled", "tok_visa")); err != nil {
			return err
		}
		settle(ctx)
		settle(ctx)
		return t.temporal.TerminateWorkflow(ctx, options.ID, "", "the attack is over")
	})
	if err == nil && !unmoved {
		return succeeded("a run that continues a refused one has charged"), nil
	}
	return repelled("refused, also in the runs of a schedule"), err
}

// booksWithProofs compares the books once more, as an auditor of all merchants.
func booksWithProofs(ctx context.Context, t *target) (result, error) {
	auditor, err := t.issue("auditor", "*", "reader")
	if err != nil {
		return result{}, err
	}
	return t.compareBooks(ctx, auditor.prover())
}
