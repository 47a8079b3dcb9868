package authorize

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/internal/caller"
	"github.com/florinpay/florin/internal/webhook"
	"github.com/florinpay/florin/payment"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// charge is a request that everything in the tests is compared with.
var charge = caller.Request{
	Kind: caller.Start, Name: payment.WorkflowCharge, WorkflowID: "charge/acme/order-1",
	Args: []any{payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa"}},
}

// issuer signs claims.
type issuer struct {
	key   any
	keyID string
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return private
}

// token returns a token for a claim that is valid for an hour, after change.
func (i issuer) token(t *testing.T, change func(*caller.Claim)) caller.Token {
	t.Helper()
	key := newKey(t)
	thumbprint, err := caller.Thumbprint(key.Public())
	require.NoError(t, err)
	c := caller.Claim{
		Identity: caller.Identity{Subject: "checkout", Merchants: []string{"acme"}, Roles: []caller.Role{caller.Service}},
		Issuer:   "https://issuer.example", Audience: "florin", NotBefore: now.Add(-time.Minute), Expiry: now.Add(time.Hour), Thumbprint: thumbprint,
	}
	if change != nil {
		change(&c)
	}
	claim, err := caller.Issue(c, i.key, i.keyID)
	require.NoError(t, err)
	return caller.Token{Claim: claim, Key: key}
}

func verifier(t *testing.T, set KeySet) *Verifier {
	t.Helper()
	keys, err := NewKeys(t.Context(), func(context.Context) (KeySet, error) { return set, nil }, time.Hour, func(error) {})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	return &Verifier{Keys: keys, Audience: "florin", Issuer: "https://issuer.example", Skew: 30 * time.Second, Lifetime: 5 * time.Minute}
}

func public(key any, keyID string) KeySet {
	private := jose.JSONWebKey{Key: key, KeyID: keyID}
	return KeySet{Public: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}}}
}

func TestClaimsOfEveryKindOfIssuerAreVerified(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ec384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	secret := []byte(strings.Repeat("s", 32))
	for name, tt := range map[string]struct {
		key any
		set KeySet
	}{
		"Ed25519": {}, "P-256": {ec, public(ec, "1")}, "P-384": {ec384, public(ec384, "1")}, "RSA": {rs, public(rs, "1")},
		"secret": {secret, KeySet{Secret: secret}},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.key == nil {
				key := newKey(t)
				tt.key, tt.set = key, public(key, "1")
			}
			token := issuer{tt.key, "1"}.token(t, nil)
			proof, err := token.Sign(charge, now)
			require.NoError(t, err)
			identity, err := verifier(t, tt.set).Verify(&proof, charge, now)
			require.NoError(t, err)
			require.Equal(t, caller.Identity{Subject: "checkout", Merchants: []string{"acme"}, Roles: []caller.Role{caller.Service}}, identity)
			require.Equal(t, "checkout", subjectOf(&proof))
		})
	}
}

// Every row is an attack, or a mistake, that must not be taken for a proof.
func TestProofsThatProveNothing(t *testing.T) {
	key := newKey(t)
	trusted, set := issuer{key, "1"}, public(key, "1")
	sign := func(t *testing.T, token caller.Token, r caller.Request, at time.Time) *caller.Proof {
		t.Helper()
		p, err := token.Sign(r, at)
		require.NoError(t, err)
		return &p
	}
	changed := func(change func(*payment.ChargeRequest)) caller.Request {
		r, req := charge, charge.Args[0].(payment.ChargeRequest)
		change(&req)
		r.Args = []any{req}
		return r
	}
	for name, tt := range map[string]struct {
		proof   func(t *testing.T) *caller.Proof
		request caller.Request
		at      time.Time
		reason  string
	}{
		"nothing": {proof: func(*testing.T) *caller.Proof { return nil }, reason: "no_proof"},
		"empty":   {proof: func(*testing.T) *caller.Proof { return &caller.Proof{} }, reason: "malformed"},
		"too long": {proof: func(*testing.T) *caller.Proof {
			return &caller.Proof{Claim: strings.Repeat("a", maxClaim+1)}
		}, reason: "malformed"},
		"a claim of another issuer's key": {proof: func(t *testing.T) *caller.Proof {
			return sign(t, issuer{newKey(t), "1"}.token(t, nil), charge, now)
		}, reason: "signature"},
		"a claim of an unknown key": {proof: func(t *testing.T) *caller.Proof {
			return sign(t, issuer{newKey(t), "2"}.token(t, nil), charge, now)
		}, reason: "unknown_key"},
		"a public key used as a secret": {proof: func(t *testing.T) *caller.Proof {
			return sign(t, issuer{append([]byte(nil), key.Public().(ed25519.PublicKey)...), "1"}.token(t, nil), charge, now)
		}, reason: "malformed"},
		"another audience": {proof: func(t *testing.T) *caller.Proof {
			return sign(t, trusted.token(t, func(c *caller.Claim) { c.Audience = "another" }), charge, now)
		}, reason: "audience"},
		"another issuer": {proof: func(t *testing.T) *caller.Proof {
			return sign(t, trusted.token(t, func(c *caller.Claim) { c.Issuer = "https://evil.example" }), charge, now)
		}, reason: "issuer"},
		"an expired claim": {proof: func(t *testing.T) *caller.Proof {
			return sign(t, trusted.token(t, func(c *caller.Claim) { c.Expiry = now.Add(-time.Minute) }), charge, now)
		}, reason: "expired"},
		"a claim that is not valid yet": {proof: func(t *testing.T) *caller.Proof {
			return sign(t, trusted.token(t, func(c *caller.Claim) { c.NotBefore = now.Add(time.Minute) }), charge, now)
		}, reason: "expired"},
		"a claim without a key": {proof: func(t *testing.T) *caller.Proof {
			return sign(t, trusted.token(t, func(c *caller.Claim) { c.Thumbprint = "" }), charge, now)
		}, reason: "malformed"},
		"a subject that could redraw a terminal": {proof: func(t *testing.T) *caller.Proof {
			return sign(t, trusted.token(t, func(c *caller.Claim) { c.Subject = "jane\x1b[2J" }), charge, now)
		}, reason: "malformed"},
		"a claim of somebody else, from a history": {proof: func(t *testing.T) *caller.Proof {
			return sign(t, caller.Token{Claim: trusted.token(t, nil).Claim, Key: newKey(t)}, charge, now)
		}, reason: "signature"},
		"a signature for another claim": {proof: func(t *testing.T) *caller.Proof {
			token := trusted.token(t, nil)
			p := sign(t, token, charge, now)
			thumbprint, err := caller.Thumbprint(token.Key.Public())
			require.NoError(t, err)
			p.Claim = trusted.token(t, func(c *caller.Claim) { c.Thumbprint, c.Roles = thumbprint, []caller.Role{caller.Operator} }).Claim
			return p
		}, reason: "signature"},
		"another amount":         {request: changed(func(r *payment.ChargeRequest) { r.Amount = 125000 }), reason: "other_request"},
		"another payment method": {request: changed(func(r *payment.ChargeRequest) { r.PaymentMethod = "tok_other" }), reason: "other_request"},
		"another send_by":        {request: changed(func(r *payment.ChargeRequest) { r.SendBy = now.Add(time.Hour) }), reason: "other_request"},
		"another workflow": {request: caller.Request{
			Kind: charge.Kind, Name: charge.Name, WorkflowID: "charge/acme/order-2", Args: charge.Args,
		}, reason: "other_request"},
		"a refund": {request: caller.Request{
			Kind: charge.Kind, Name: payment.WorkflowRefund, WorkflowID: charge.WorkflowID, Args: charge.Args,
		}, reason: "other_request"},
		"an update with the same arguments": {request: caller.Request{
			Kind: caller.Update, Name: payment.UpdateVoid, WorkflowID: charge.WorkflowID, Args: charge.Args,
		}, reason: "other_request"},
		"an old signature":          {at: now.Add(5*time.Minute + 31*time.Second), reason: "expired"},
		"a signature of the future": {at: now.Add(-31 * time.Second), reason: "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			var proof *caller.Proof
			if tt.proof != nil {
				proof = tt.proof(t)
			} else {
				proof = sign(t, trusted.token(t, nil), charge, now)
			}
			if tt.request.Kind == "" {
				tt.request = charge
			}
			if tt.at.IsZero() {
				tt.at = now
			}
			_, err := verifier(t, set).Verify(proof, tt.request, tt.at)
			var refused *Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, tt.reason, refused.Reason, refused.Message)
		})
	}
}

func TestASignedUpdateIsForOneUpdateIDOnly(t *testing.T) {
	key := newKey(t)
	capture := caller.Request{Kind: caller.Update, Name: payment.UpdateCapture, WorkflowID: "charge/acme/order-1", UpdateID: "capture/0/all", Args: []any{payment.CaptureRequest{}}}
	p, err := issuer{key, "1"}.token(t, nil).Sign(capture, now)
	require.NoError(t, err)
	again := capture
	again.UpdateID = "capture/1/all"
	_, err = verifier(t, public(key, "1")).Verify(&p, again, now)
	require.ErrorContains(t, err, "another request")

	withoutArgs := capture // arguments that are empty objects may be left out
	withoutArgs.Args = nil
	_, err = verifier(t, public(key, "1")).Verify(&p, withoutArgs, now)
	require.NoError(t, err)
}

func TestEveryOperationHasARule(t *testing.T) {
	require.ElementsMatch(t, caller.Operations, slices.Collect(maps.Keys(permitted)))
	for operation, roles := range permitted {
		require.NotEmpty(t, roles, operation)
	}
}

// The digest is described in docs/security.md for services in other languages.
func TestDigestOfARequest(t *testing.T) {
	digest, err := charge.Digest()
	require.NoError(t, err)
	sum := sha256.Sum256([]byte(`["start","Charge","charge/acme/order-1","",` +
		`{"amount":1250,"currency":"USD","idempotency_key":"order-1","merchant_id":"acme","payment_method":"tok_visa"}]`))
	require.Equal(t, base64.RawURLEncoding.EncodeToString(sum[:]), digest)
}

func TestRefusedRequestIsCountedAndLogged(t *testing.T) {
	key := newKey(t)
	var counted []string
	a := &Authorizer{
		Verifier: verifier(t, public(key, "1")),
		Refused:  func(operation, reason string) { counted = append(counted, operation+": "+reason) },
		Log:      func(string, string, error) {},
	}
	p, err := issuer{key, "1"}.token(t, nil).Sign(charge, now)
	require.NoError(t, err)
	_, err = a.Allow(&p, charge, "acme", now)
	require.NoError(t, err)
	_, err = a.Allow(&p, charge, "globex", now)
	var refused *temporal.ApplicationError
	require.ErrorAs(t, err, &refused)
	require.True(t, refused.NonRetryable())
	require.Equal(t, string(payment.ErrNotAuthorized), refused.Type())
	require.Equal(t, `not authorized: checkout may not act for merchant "globex"`, refused.Message())
	require.Equal(t, []string{"start Charge: merchant"}, counted)
}

func TestKeysAreReadAgainInTheBackgroundAndStayInUseMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newKey(t), newKey(t)
		var mu sync.Mutex
		set, unreachable := public(first, "1"), error(nil)
		issue := func(to KeySet, err error) {
			mu.Lock()
			defer mu.Unlock()
			set, unreachable = to, err
		}
		var failures atomic.Int32
		keys, err := NewKeys(t.Context(), func(context.Context) (KeySet, error) {
			mu.Lock()
			defer mu.Unlock()
			return set, unreachable
		}, time.Minute, func(error) { failures.Add(1) })
		require.NoError(t, err)
		defer keys.Close()
		v := &Verifier{Keys: keys, Audience: "florin", Skew: time.Second, Lifetime: time.Minute}
		verify := func(key ed25519.PrivateKey, keyID string) error {
			p, err := issuer{key, keyID}.token(t, nil).Sign(charge, now)
			require.NoError(t, err)
			_, err = v.Verify(&p, charge, now)
			return err
		}
		require.NoError(t, verify(first, "1"))

		issue(KeySet{}, errors.New("unreachable"))
		<-time.After(90 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 1, failures.Load())
		require.NoError(t, verify(first, "1"))

		issue(public(second, "2"), nil)
		require.ErrorContains(t, verify(second, "2"), "not in the key set (yet)") // and has them read at once
		synctest.Wait()
		require.NoError(t, verify(second, "2"))
		require.Error(t, verify(first, "1"), "an old key is not accepted any more")

		issue(public(first, "1"), nil)
		<-time.After(2 * time.Minute) // without any request
		synctest.Wait()
		require.Error(t, verify(second, "2"))
	})
}

func TestKeySetsThatVerifyNothingAreRefused(t *testing.T) {
	key := newKey(t)
	private := KeySet{Public: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: "1"}}}}
	for name, tt := range map[string]struct {
		set  KeySet
		want string
	}{
		"no keys":        {want: "has no keys"},
		"a private key":  {set: private, want: `key "1" is not a public key`},
		"a short secret": {set: KeySet{Secret: []byte("short")}, want: "want at least 32"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewKeys(t.Context(), func(context.Context) (KeySet, error) { return tt.set, nil }, time.Hour, nil)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestSignalsThatMayCauseALookup(t *testing.T) {
	const workflowID = "charge/acme/order-1"
	key := newKey(t)
	signal := caller.Request{Kind: caller.Signal, Name: payment.SignalProcessorEvent, WorkflowID: workflowID}
	other := signal
	other.WorkflowID = "charge/acme/order-2"
	webhooks := map[string]*webhook.Verifier{}
	for processor, secret := range map[string]string{"one": "whsec_of_processor_one", "two": "whsec_of_processor_two"} {
		var err error
		webhooks[processor], err = webhook.New([]string{secret}, 0)
		require.NoError(t, err)
	}
	sign := func(r caller.Request, change func(*caller.Claim)) *caller.Proof {
		p, err := issuer{key, "1"}.token(t, change).Sign(r, now)
		require.NoError(t, err)
		return &p
	}
	role := func(role caller.Role) func(*caller.Claim) {
		return func(c *caller.Claim) { c.Roles = []caller.Role{role} }
	}
	event := func(processor, as string, r caller.Request) *caller.Proof {
		digest, err := r.Digest()
		require.NoError(t, err)
		return &caller.Proof{Processor: as, Signature: webhooks[processor].SignRequest(digest, now)}
	}
	for name, tt := range map[string]struct {
		signals []Signal
		refused []string
	}{
		"none":                        {refused: []string{"no_proof"}},
		"unsigned":                    {signals: []Signal{{At: now}}, refused: []string{"no_proof"}},
		"a service":                   {signals: []Signal{{sign(signal, nil), now}}},
		"an operator":                 {signals: []Signal{{sign(signal, role(caller.Operator)), now}}},
		"a reader":                    {signals: []Signal{{sign(signal, role(caller.Reader)), now}}, refused: []string{"role"}},
		"another merchant's":          {signals: []Signal{{sign(signal, func(c *caller.Claim) { c.Merchants = []string{"globex"} }), now}}, refused: []string{"merchant"}},
		"of another workflow":         {signals: []Signal{{sign(other, nil), now}}, refused: []string{"other_request"}},
		"a query's proof":             {signals: []Signal{{sign(caller.Request{Kind: caller.Query, Name: payment.QueryStatus, WorkflowID: workflowID}, nil), now}}, refused: []string{"other_request"}},
		"old":                         {signals: []Signal{{sign(signal, nil), now.Add(6 * time.Minute)}}, refused: []string{"expired"}},
		"one of several":              {signals: []Signal{{nil, now}, {&caller.Proof{}, now}, {sign(signal, nil), now}}, refused: []string{"no_proof", "malformed"}},
		"the endpoint for webhooks":   {signals: []Signal{{event("one", "one", signal), now}}},
		"of another processor's":      {signals: []Signal{{event("two", "two", signal), now}}, refused: []string{"signature"}},
		"under another name":          {signals: []Signal{{event("two", "one", signal), now}}, refused: []string{"signature"}},
		"of an unknown processor":     {signals: []Signal{{event("one", "three", signal), now}}, refused: []string{"signature"}},
		"the endpoint's, of another":  {signals: []Signal{{event("one", "one", other), now}}, refused: []string{"signature"}},
		"the endpoint's, an hour ago": {signals: []Signal{{event("one", "one", signal), now.Add(time.Hour)}}, refused: []string{"signature"}},
	} {
		t.Run(name, func(t *testing.T) {
			var counted []string
			v := verifier(t, public(key, "1"))
			v.Webhooks = map[string]WebhookVerifier{"one": webhooks["one"], "two": webhooks["two"]}
			a := &Authorizer{
				Verifier: v, Log: func(string, string, error) {},
				Refused: func(operation, reason string) {
					require.Equal(t, "signal processor-event", operation)
					counted = append(counted, reason)
				},
			}
			allowed := a.AllowsPrompt(&Prompt{Signals: tt.signals}, workflowID, "acme", "one")
			require.Equal(t, tt.refused, counted)
			require.Equal(t, len(tt.refused) > 0 && len(tt.refused) == max(len(tt.signals), 1), !allowed)
			require.True(t, a.AllowsPrompt(nil, workflowID, "acme", "one"), "a lookup that is due needs no proof")
		})
	}
}

// A webhook secret is no password for anything else.
func TestWebhookSecretSignsSignalsOnly(t *testing.T) {
	events, err := webhook.New([]string{"whsec_of_processor_one"}, 0)
	require.NoError(t, err)
	v := verifier(t, public(newKey(t), "1"))
	v.Webhooks = map[string]WebhookVerifier{"one": events}
	digest, err := charge.Digest()
	require.NoError(t, err)
	_, err = v.Verify(&caller.Proof{Processor: "one", Signature: events.SignRequest(digest, now)}, charge, now)
	require.ErrorContains(t, err, `no webhook secret of a processor "one" signs a request to start Charge here`)
}

func TestFloodOfSignalsIsBounded(t *testing.T) {
	var p prompts
	for range 100 {
		p.add(Signal{At: now})
	}
	require.Len(t, p.signals, 1, "unsigned ones are all the same")
	signed := &caller.Proof{Claim: "claim"}
	for i := range 100 {
		p.add(Signal{Proof: signed, At: now.Add(time.Duration(i))})
	}
	require.Len(t, p.signals, maxSignals)
	require.Equal(t, now.Add(99), p.signals[maxSignals-1].At)
}
