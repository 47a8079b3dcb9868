// Package authorize decides for a worker who may do what, by the proofs of package caller.
//
//	rules.go    who may do what
//	verify.go   verifying proofs
//	keys.go     the keys of the issuers
//	signals.go  which signals may cause a lookup
//	worker.go   the interceptor of a worker
package authorize

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/florinpay/florin/internal/caller"
)

// Verifier verifies proofs. It is safe for concurrent use.
type Verifier struct {
	// Keys are those of the issuers.
	Keys *Keys
	// Audience has to be in the claim. Issuer has to be the claim's, unless it is empty.
	Audience, Issuer string
	// Webhooks verify the signals of Florin's own endpoint for webhooks, by processor.
	Webhooks map[string]WebhookVerifier
	// Skew is how far the clocks of issuers and callers may differ from that of the worker. Lifetime is how long a signature is valid.
	Skew, Lifetime time.Duration
}

// WebhookVerifier verifies that a digest was signed with a webhook secret of a processor, at a time close to the given one.
type WebhookVerifier interface {
	VerifyRequest(signature, digest string, at time.Time) error
}

// Error is why a request is refused.
type Error struct {
	// Reason is one of few words, for metrics.
	Reason string
	// Message is for the caller. It says nothing about what exists.
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return "not authorized: " + e.Message }

// The algorithms of claims that are signed with a private key. HMAC is accepted only for claims, and only if a secret is
// configured: a public key is never used as a secret.
var publicKeyAlgorithms = []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256, jose.ES384, jose.RS256, jose.PS256}

// Bounds of a proof, in bytes, and of an identity.
const (
	maxClaim     = 16 << 10
	maxSignature = 4 << 10
	maxProcessor = 64
	maxMerchants = 1000
)

var subjects = regexp.MustCompile(`^[!-~]([ -~]{0,78}[!-~])?$`)

// Verify returns who has made the request, at the given time, according to the proof. A nil proof is an error. The error is an [*Error].
func (v *Verifier) Verify(p *caller.Proof, r caller.Request, at time.Time) (caller.Identity, error) {
	if p == nil {
		return caller.Identity{}, &Error{Reason: "no_proof", Message: "the request has no proof of who makes it: use florin.Caller or starter --token-file"}
	}
	if isTooLong(p) {
		return caller.Identity{}, &Error{Reason: "malformed", Message: "the proof is too long"}
	}
	if p.Processor != "" {
		return v.verifyWebhook(p, r, at)
	}
	identity, thumbprint, err := v.verifyClaim(p.Claim, at)
	if err != nil {
		return caller.Identity{}, err
	}
	return identity, v.verifySignature(p, r, thumbprint, at)
}

func isTooLong(p *caller.Proof) bool {
	return len(p.Claim) > maxClaim || len(p.Signature) > maxSignature || len(p.Processor) > maxProcessor
}

// verifyWebhook returns that the endpoint for webhooks has sent the signal. A webhook secret signs nothing else.
func (v *Verifier) verifyWebhook(p *caller.Proof, r caller.Request, at time.Time) (caller.Identity, error) {
	webhooks, configured := v.Webhooks[p.Processor]
	if r.Kind != caller.Signal || !configured {
		return caller.Identity{}, &Error{
			Reason: "signature", Message: fmt.Sprintf("no webhook secret of a processor %q signs a request to %s here", p.Processor, r.Operation()),
		}
	}
	digest, err := r.Digest()
	if err != nil {
		return caller.Identity{}, &Error{Reason: "malformed", Message: err.Error()}
	}
	if err := webhooks.VerifyRequest(p.Signature, digest, at); err != nil {
		return caller.Identity{}, &Error{Reason: "signature", Message: err.Error()}
	}
	return caller.Identity{Subject: "webhooks", Merchants: []string{caller.AllMerchants}, Roles: []caller.Role{caller.Service}}, nil
}

// verifyClaim returns who the claim is about, and the thumbprint of his key.
func (v *Verifier) verifyClaim(claim string, at time.Time) (caller.Identity, string, error) {
	var registered jwt.Claims
	var own caller.Claims
	if err := v.Keys.verify(claim, &registered, &own); err != nil {
		return caller.Identity{}, "", err
	}
	expected := jwt.Expected{Issuer: v.Issuer, AnyAudience: jwt.Audience{v.Audience}, Time: at}
	switch err := registered.ValidateWithLeeway(expected, v.Skew); {
	case errors.Is(err, jwt.ErrInvalidAudience):
		return caller.Identity{}, "", &Error{Reason: "audience", Message: fmt.Sprintf("the claim is for %q: want %q", registered.Audience, v.Audience)}
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return caller.Identity{}, "", &Error{Reason: "issuer", Message: fmt.Sprintf("the claim is of issuer %q: want %q", registered.Issuer, v.Issuer)}
	case registered.Expiry == nil || errors.Is(err, jwt.ErrExpired):
		return caller.Identity{}, "", &Error{Reason: "expired", Message: "the claim has expired, or has no expiry: get a new one"}
	case err != nil:
		return caller.Identity{}, "", &Error{Reason: "expired", Message: "the claim is not valid yet: compare the clocks"}
	case !subjects.MatchString(registered.Subject):
		return caller.Identity{}, "", &Error{Reason: "malformed", Message: "the claim has no subject of 1 to 80 printable ASCII characters"}
	case own.Confirm.Thumbprint == "":
		return caller.Identity{}, "", &Error{Reason: "malformed", Message: "the claim names no key of the caller (cnf.jkt): a claim without one is a password"}
	case len(own.Merchants) > maxMerchants:
		return caller.Identity{}, "", &Error{Reason: "malformed", Message: fmt.Sprintf("the claim has more than %d merchants", maxMerchants)}
	}
	return caller.Identity{Subject: registered.Subject, Merchants: own.Merchants, Roles: own.Roles}, own.Confirm.Thumbprint, nil
}

// verifySignature checks that the caller has signed this request, and when.
func (v *Verifier) verifySignature(p *caller.Proof, r caller.Request, thumbprint string, at time.Time) error {
	signature, err := jose.ParseSignedCompact(p.Signature, caller.Algorithms)
	if err != nil || len(signature.Signatures) != 1 {
		return &Error{Reason: "malformed", Message: "the signature of the request cannot be read"}
	}
	header := signature.Signatures[0].Protected
	key := header.JSONWebKey
	if header.ExtraHeaders[jose.HeaderType] != caller.SignatureType || key == nil || !key.IsPublic() || !key.Valid() {
		return &Error{Reason: "malformed", Message: fmt.Sprintf("want a signature of type %s that contains the caller's public key", caller.SignatureType)}
	}
	if sum, err := key.Thumbprint(crypto.SHA256); err != nil || base64.RawURLEncoding.EncodeToString(sum) != thumbprint {
		return &Error{Reason: "signature", Message: "the request is signed with another key than the claim names"}
	}
	payload, err := signature.Verify(key)
	if err != nil {
		return &Error{Reason: "signature", Message: "the signature of the request is wrong"}
	}
	var s caller.Signed
	if json.Unmarshal(payload, &s) != nil || s.ClaimHash != caller.Hash(p.Claim) {
		return &Error{Reason: "signature", Message: "the signature is for another claim"}
	}
	digest, err := r.Digest()
	if err != nil {
		return &Error{Reason: "malformed", Message: err.Error()}
	}
	issued := time.Unix(s.IssuedAt, 0)
	switch {
	case s.Request != digest:
		return &Error{Reason: "other_request", Message: "the signature is for another request than this: " + r.Operation()}
	case issued.After(at.Add(v.Skew)):
		return &Error{Reason: "expired", Message: "the signature is of the future: compare the clocks"}
	case issued.Before(at.Add(-v.Lifetime - v.Skew)):
		return &Error{Reason: "expired", Message: fmt.Sprintf("the signature is older than %s: make the request again", v.Lifetime)}
	}
	return nil
}

// subjectOf returns whom a proof is about, without verifying it: for a request that was verified before.
func subjectOf(p *caller.Proof) string {
	if p == nil {
		return ""
	}
	token, err := jwt.ParseSigned(p.Claim, append([]jose.SignatureAlgorithm{jose.HS256}, publicKeyAlgorithms...))
	var registered jwt.Claims
	if err != nil || token.UnsafeClaimsWithoutVerification(&registered) != nil || !subjects.MatchString(registered.Subject) {
		return ""
	}
	return registered.Subject
}
