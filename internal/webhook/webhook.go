// Package webhook receives the events that processors send (endpoint.go) and verifies their signatures. Signatures are
// HMAC-SHA256 in Stripe's scheme, see https://docs.stripe.com/webhooks#verify-manually. HMAC is defined by RFC 2104. For
// tests, the package also signs.
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

// DefaultTolerance is how far the time of signing may be in the past or in the future. It is the same as Stripe's.
const DefaultTolerance = 5 * time.Minute

// MaxBody is the largest body that is verified, in bytes. A handler should not read more: before the signature is verified, the
// sender is unknown. The events of Stripe and of the REST protocol have a few kilobytes.
const MaxBody = 256 << 10

// minSecret is the size of the smallest secret, in bytes: a sender who has seen one signed body can try shorter ones.
const minSecret = 16

// Limits of the header. Stripe signs with one secret, and with two while a secret is being rotated.
const (
	maxHeader     = 4 << 10 // bytes
	maxSignatures = 8
)

// The reasons why a body is rejected. No error contains the header, the body or a secret.
var (
	// ErrNoSignature: the header is empty or has no signature of the scheme v1. Signatures of other schemes are not trusted.
	ErrNoSignature = errors.New("webhook is not signed")
	// ErrMalformed: the header does not have the format of the scheme.
	ErrMalformed = errors.New("webhook signature header is malformed")
	// ErrTooLarge: the body is larger than MaxBody.
	ErrTooLarge = errors.New("webhook body is too large")
	// ErrTooOld: the time of signing is outside of the tolerance, in the past or in the future. The webhook is replayed, or a clock
	// is wrong.
	ErrTooOld = errors.New("webhook signature is outside of the tolerance")
	// ErrMismatch: no signature was made with one of the secrets for this time and body.
	ErrMismatch = errors.New("webhook signature does not match")
)

// Verifier verifies signatures. It is safe for concurrent use.
type Verifier struct {
	// macs holds the secrets in closures, so that printing a Verifier never prints them.
	macs      []func() hash.Hash
	tolerance time.Duration
}

// New returns a Verifier that accepts signatures made with any of the secrets: during a rotation the old and the new secret are
// both active. A secret includes the prefix whsec_, as Stripe shows it. A tolerance of 0 means [DefaultTolerance]. New returns an
// error, which contains no secret, if there is none, a secret has less than 16 bytes or white space around it, or the tolerance is
// negative.
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
			// Every sender could sign with it.
			return nil, fmt.Errorf("webhook secret %d of %d is empty", i+1, len(secrets))
		case strings.TrimSpace(secret) != secret:
			// Probably the line end of a file. No signature would match.
			return nil, fmt.Errorf("webhook secret %d of %d begins or ends with white space", i+1, len(secrets))
		}
		if len(secret) < minSecret {
			return nil, fmt.Errorf("webhook secret %d of %d is too short: want at least %d bytes", i+1, len(secrets), minSecret)
		}
		v.macs = append(v.macs, func() hash.Hash { return newMAC(secret) })
	}
	return v, nil
}

// Verify returns nil if body was signed with one of the secrets at a time within the tolerance around now. header is the value of
// the signature header, such as Stripe-Signature. body must be the unmodified bytes of the request. Every error wraps one of the
// errors of this package.
//
// An accepted webhook can be replayed until the tolerance has passed. The caller must deduplicate events by their ID.
func (v *Verifier) Verify(header string, body []byte, now time.Time) error {
	if len(body) > MaxBody {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(body), MaxBody)
	}
	claim, err := check(header, v.tolerance, now)
	if err != nil {
		return err
	}
	return v.match(claim, body, func(mac func() hash.Hash) hash.Hash { return mac() })
}

// match returns nil if one of the signatures is of the body, with the MAC that keyed makes of that of a secret.
func (v *Verifier) match(claim claim, body []byte, keyed func(mac func() hash.Hash) hash.Hash) error {
	for _, mac := range v.macs {
		want := sum(keyed(mac), claim.timestamp, body)
		for _, signature := range claim.signatures {
			if hmac.Equal(want, signature) {
				return nil
			}
		}
	}
	return ErrMismatch
}

// check checks what needs no body: the format of the header and the time of signing. A flood of replayed webhooks costs no hashing.
func check(header string, tolerance time.Duration, now time.Time) (claim, error) {
	c, err := parse(header)
	if err != nil {
		return claim{}, err
	}
	if age := now.Sub(c.signedAt); age > tolerance || age < -tolerance {
		return claim{}, fmt.Errorf("%w: its age is %s, want at most %s in the past or in the future", ErrTooOld, age, tolerance)
	}
	return c, nil
}

// Sign returns the header that Stripe would send with body at the given time.
func Sign(secret string, body []byte, at time.Time) string {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	return "t=" + timestamp + ",v1=" + hex.EncodeToString(sum(newMAC(secret), timestamp, body))
}

func newMAC(secret string) hash.Hash { return hmac.New(sha256.New, []byte(secret)) }

// sum signs the time as it is written in the header, a dot and the body, as the scheme requires.
func sum(mac hash.Hash, timestamp string, body []byte) []byte {
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}
