package caller

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Algorithms are those of callers' signatures.
var Algorithms = []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256}

// MinSecret is the least length of an issuer's HMAC secret, in bytes (RFC 7518, section 3.2).
const MinSecret = 32

// Token is what a caller has: a claim and the key that it names.
type Token struct {
	Claim string
	// Key signs the requests: an Ed25519 key, or an ECDSA one on P-256.
	Key crypto.Signer
}

// Sign signs a request.
func (t Token) Sign(r Request, now time.Time) (Proof, error) {
	digest, err := r.Digest()
	if err != nil {
		return Proof{}, err
	}
	key, algorithm, err := signingKey(t.Key)
	if err != nil {
		return Proof{}, err
	}
	options := (&jose.SignerOptions{EmbedJWK: true}).WithType(SignatureType)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		return Proof{}, fmt.Errorf("the caller's key: %w", err)
	}
	payload, err := json.Marshal(Signed{IssuedAt: now.Unix(), ClaimHash: Hash(t.Claim), Request: digest})
	if err != nil {
		return Proof{}, err
	}
	signature, err := signer.Sign(payload)
	if err != nil {
		return Proof{}, fmt.Errorf("signing the request: %w", err)
	}
	compact, err := signature.CompactSerialize()
	return Proof{Claim: t.Claim, Signature: compact}, err
}

// signingKey returns a key as JWK, and its algorithm.
func signingKey(key crypto.Signer) (jose.JSONWebKey, jose.SignatureAlgorithm, error) {
	if key == nil {
		return jose.JSONWebKey{}, "", errors.New("the caller has no key to sign with")
	}
	jwk := jose.JSONWebKey{Key: key}
	for _, algorithm := range Algorithms {
		if _, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jwk}, nil); err == nil {
			return jwk, algorithm, nil
		}
	}
	return jose.JSONWebKey{}, "", fmt.Errorf("the caller's key is of type %T: want Ed25519, or ECDSA on P-256", key)
}

// Thumbprint names a key in the `cnf` of a claim.
func Thumbprint(key crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("the caller's key: %w", err)
	}
	return encode(sum), nil
}

// Claim is what an issuer states about a caller.
type Claim struct {
	Identity
	Issuer, Audience string
	NotBefore        time.Time
	Expiry           time.Time
	// Thumbprint names the caller's key.
	Thumbprint string
}

// Issue signs a claim with the key of an issuer: an HMAC secret of at least 32 bytes, or a private key whose public part is in the JWKS of
// the workers. keyID is the id under which it is there.
func Issue(c Claim, key any, keyID string) (string, error) {
	algorithm, err := issuerAlgorithm(key)
	if err != nil {
		return "", err
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, options)
	if err != nil {
		return "", fmt.Errorf("the issuer's key: %w", err)
	}
	registered := jwt.Claims{
		Issuer: c.Issuer, Subject: c.Subject, Audience: jwt.Audience{c.Audience},
		NotBefore: jwt.NewNumericDate(c.NotBefore), IssuedAt: jwt.NewNumericDate(c.NotBefore), Expiry: jwt.NewNumericDate(c.Expiry),
	}
	own := Claims{Merchants: c.Merchants, Roles: c.Roles, Confirm: Confirmation{Thumbprint: c.Thumbprint}}
	return jwt.Signed(signer).Claims(registered).Claims(own).Serialize()
}

// issuerAlgorithm returns the algorithm for a key of an issuer.
func issuerAlgorithm(key any) (jose.SignatureAlgorithm, error) {
	switch key := key.(type) {
	case []byte:
		if len(key) < MinSecret {
			return "", fmt.Errorf("the issuer's secret has %d bytes: want at least %d", len(key), MinSecret)
		}
		return jose.HS256, nil
	case ed25519.PrivateKey:
		return jose.EdDSA, nil
	case *rsa.PrivateKey:
		return jose.RS256, nil
	case *ecdsa.PrivateKey:
		switch key.Curve.Params().BitSize {
		case 256:
			return jose.ES256, nil
		case 384:
			return jose.ES384, nil
		}
	}
	return "", fmt.Errorf("the issuer's key is of type %T: want Ed25519, ECDSA on P-256 or P-384, RSA, or a secret", key)
}
