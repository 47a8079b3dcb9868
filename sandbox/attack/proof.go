package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"
)

// Proofs are written here as docs/security.md describes them, with nothing of Florin's code, so that any part can be forged.

// key is a key pair of an issuer or a caller.
type key struct {
	public  ed25519.PublicKey
	private ed25519.PrivateKey
}

func newKey() (key, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	return key{public, private}, err
}

func (k key) jwk() object { return object{"kty": "OKP", "crv": "Ed25519", "x": encode(k.public)} }

func (k key) thumbprint() string {
	sum := sha256.Sum256(canonical(k.jwk()))
	return encode(sum[:])
}

func (k key) sign(text []byte) []byte { return ed25519.Sign(k.private, text) }

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// canonical encodes a value as RFC 8785 does, as far as the attacks need it.
func canonical(value any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // the attacks use texts, numbers and objects
	}
	return bytes.TrimSpace(b.Bytes())
}

// jws returns a token in compact form.
func jws(header, payload object, sign func([]byte) []byte) string {
	text := encode(canonical(header)) + "." + encode(canonical(payload))
	return text + "." + encode(sign([]byte(text)))
}

func unsigned([]byte) []byte { return nil }

func hs256(secret []byte) func([]byte) []byte {
	return func(text []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(text)
		return mac.Sum(nil)
	}
}

// token is what a caller has: the parts of his claim, and his key.
type token struct {
	claim string
	key   key
}

// claims are those of a valid claim.
func claims(subject string, k key, merchant, role string) object {
	now := time.Now()
	return object{
		"aud": "florin", "sub": subject, "exp": now.Add(time.Hour).Unix(), "nbf": now.Add(-time.Minute).Unix(),
		"florin_merchants": []string{merchant}, "florin_roles": []string{role}, "cnf": object{"jkt": k.thumbprint()},
	}
}

// request is what is asked for.
type request struct {
	kind, name, workflowID, updateID string
	args                             []any
}

func (r request) digest() string {
	args := r.args
	for len(args) > 0 && string(canonical(args[len(args)-1])) == "{}" {
		args = args[:len(args)-1]
	}
	sum := sha256.Sum256(canonical(append([]any{r.kind, r.name, r.workflowID, r.updateID}, args...)))
	return encode(sum[:])
}

// signedHeader and signedPayload are those of a valid signature.
func (t token) signedHeader() object {
	return object{"alg": "EdDSA", "typ": "florin-request+jwt", "jwk": t.key.jwk()}
}

func (t token) signedPayload(r request) object {
	sum := sha256.Sum256([]byte(t.claim))
	return object{"iat": time.Now().Unix(), "ath": encode(sum[:]), "req": r.digest()}
}

// prove returns the proof of a request.
func (t token) prove(r request) object {
	return object{"claim": t.claim, "signature": jws(t.signedHeader(), t.signedPayload(r), t.key.sign)}
}

type headerKey struct{}

// withHeader returns a context whose requests have a proof in their header: an object, or the payload of a header that was copied.
func withHeader(ctx context.Context, proof any) context.Context {
	return context.WithValue(ctx, headerKey{}, proof)
}

// header is a context propagator, which puts a proof into the headers of Temporal's requests.
type header struct{}

func (header) Inject(ctx context.Context, w workflow.HeaderWriter) error {
	switch proof := ctx.Value(headerKey{}).(type) {
	case nil:
	case *common.Payload:
		w.Set("florin-caller", proof)
	default:
		payload, err := converter.GetDefaultDataConverter().ToPayload(proof)
		if err != nil {
			return err
		}
		w.Set("florin-caller", payload)
	}
	return nil
}

func (header) InjectFromWorkflow(workflow.Context, workflow.HeaderWriter) error { return nil }

func (header) Extract(ctx context.Context, _ workflow.HeaderReader) (context.Context, error) {
	return ctx, nil
}

func (header) ExtractToWorkflow(ctx workflow.Context, _ workflow.HeaderReader) (workflow.Context, error) {
	return ctx, nil
}
