// Package webhook hears what processors tell by themselves (endpoint.go), and tells whether it was really they: it
// verifies, and for tests makes, HMAC-SHA256 signatures in Stripe's scheme, see
// https://docs.stripe.com/webhooks#verify-manually. HMAC is RFC 2104.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"
)

// DefaultTolerance is Stripe's own: how far the time of signing may be from ours, either way.
const DefaultTolerance = 5 * time.Minute

// MaxBody is the largest body that is verified, in bytes. A handler should read no more than that.
const MaxBody = 1 << 20

// Limits of the header. Stripe signs with one secret, or while it is being replaced with two.
const (
	maxHeader     = 4 << 10 // bytes
	maxSignatures = 8
)

// Why a body was not accepted. None of the errors repeats the header, the body or a secret.
var (
	// ErrNoSignature: the header is empty, or has no signature of the scheme v1. Others prove nothing.
	ErrNoSignature = errors.New("webhook is not signed")
	// ErrMalformed: the header is not in the form of the scheme.
	ErrMalformed = errors.New("webhook signature header is malformed")
	// ErrTooLarge: the body is larger than MaxBody.
	ErrTooLarge = errors.New("webhook body is too large")
	// ErrTooOld: the time of signing is outside the tolerance, in the past or in the future. It is either a
	// replay, or a clock is wrong.
	ErrTooOld = errors.New("webhook signature is outside the tolerance")
	// ErrMismatch: no signature is by one of our secrets over this time and body.
	ErrMismatch = errors.New("webhook signature does not match")
)

// Verifier verifies signatures. It is safe for concurrent use.
type Verifier struct {
	// macs are functions, so that no way of printing a Verifier prints the secrets.
	macs      []func() hash.Hash
	tolerance time.Duration
}

// New returns a Verifier that accepts what was signed with any of the secrets: while one is being replaced, the
// old and the new one are active. A secret is used as Stripe shows it, with its whsec_. A tolerance of 0 is
// DefaultTolerance.
func New(secrets []string, tolerance time.Duration) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no webhook secret: want at least one")
	}
	if tolerance < 0 {
		return nil, fmt.Errorf("webhook tolerance %s: must not be negative", tolerance)
	}
	if tolerance == 0 {
		tolerance = DefaultTolerance
	}
	v := &Verifier{tolerance: tolerance}
	for i, secret := range secrets {
		switch {
		case strings.TrimSpace(secret) == "":
			// Anyone can sign with it.
			return nil, fmt.Errorf("webhook secret %d of %d is empty", i+1, len(secrets))
		case strings.TrimSpace(secret) != secret:
			// A file's line end, most likely. Nothing would ever match.
			return nil, fmt.Errorf("webhook secret %d of %d begins or ends with white space", i+1, len(secrets))
		}
		v.macs = append(v.macs, func() hash.Hash { return newMAC(secret) })
	}
	return v, nil
}

// Verify returns nil if body was signed with one of the secrets at a time within the tolerance of now. header is
// the value of Stripe-Signature, body the bytes exactly as they came. The error is, for errors.Is, one of those of
// this package.
//
// What is accepted may come again until the tolerance has passed: whoever acts on it must know events by their id.
func (v *Verifier) Verify(header string, body []byte, now time.Time) error {
	if len(body) > MaxBody {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(body), MaxBody)
	}
	claim, err := parse(header)
	if err != nil {
		return err
	}
	// Before the signature, because it is cheap: a replayed flood costs no hashing.
	if age := now.Sub(claim.signedAt); age > v.tolerance || age < -v.tolerance {
		return fmt.Errorf("%w: it is %s old, want at most %s either way", ErrTooOld, age, v.tolerance)
	}
	for _, mac := range v.macs {
		want := sum(mac(), claim.timestamp, body)
		for _, signature := range claim.signatures {
			if hmac.Equal(want, signature) {
				return nil
			}
		}
	}
	return ErrMismatch
}

// Sign returns the header that Stripe would send with body at that time.
func Sign(secret string, body []byte, at time.Time) string {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	return "t=" + timestamp + ",v1=" + hex.EncodeToString(sum(newMAC(secret), timestamp, body))
}

func newMAC(secret string) hash.Hash { return hmac.New(sha256.New, []byte(secret)) }

// sum signs what the scheme signs: the time as it stands in the header, a dot, and the body.
func sum(mac hash.Hash, timestamp string, body []byte) []byte {
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}
