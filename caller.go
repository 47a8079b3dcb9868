package florin

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/go-jose/go-jose/v4"
	"go.temporal.io/sdk/interceptor"

	"github.com/florinpay/florin/internal/caller"
)

// Token proves who calls, to workers that require that. docs/security.md describes it, also for issuers and for services in other
// languages.
type Token struct {
	// Claim is a JWT of an issuer that the workers trust. It names the caller, his merchants, his roles, and the public part of Key.
	Claim string
	// Key signs every request: an Ed25519 key, or an ECDSA one on P-256. It never leaves the process.
	Key crypto.Signer
}

// TokenSource returns the current Token. It is called for each request, from several goroutines at once, and should return quickly.
type TokenSource func(context.Context) (Token, error)

// Caller returns an interceptor that signs every request of a Temporal client to Florin: starts, updates, signals, queries and reads. Add it to the
// options of the Temporal client:
//
//	temporalClient, err := client.Dial(client.Options{
//		Interceptors: []interceptor.ClientInterceptor{florin.Caller(florin.TokenFile("/run/secrets/florin-token.json"))},
//	})
//
// The workers that use such a client sign the child workflows Charge and Refund that their own workflows start. What ends up in histories
// is no credential: each signature is for one request, and expires within minutes. A request that is not permitted fails with
// [ErrNotAuthorized].
func Caller(source TokenSource) interceptor.Interceptor {
	return caller.NewInterceptor(func(ctx context.Context) (caller.Token, error) {
		token, err := source(ctx)
		return caller.Token(token), err
	})
}

// TokenFile returns a TokenSource that reads a file as `starter token issue` writes it: a JSON object with the claim and with the private
// key as a JWK. The file is read again for each request, so that it can be replaced at any time.
func TokenFile(path string) TokenSource {
	return func(context.Context) (Token, error) {
		content, err := os.ReadFile(path)
		if err != nil {
			return Token{}, fmt.Errorf("reading the token file: %w", err)
		}
		token, err := parseToken(content)
		if err != nil {
			return Token{}, fmt.Errorf("token file %s: %w", path, err)
		}
		return token, nil
	}
}

func parseToken(content []byte) (Token, error) {
	var file struct {
		Claim string          `json:"claim"`
		Key   jose.JSONWebKey `json:"key"`
	}
	if err := json.Unmarshal(content, &file); err != nil { // the error might quote the key
		return Token{}, errors.New("is not a JSON object with a claim and a private key as a JWK")
	}
	key, ok := file.Key.Key.(crypto.Signer)
	switch {
	case file.Claim == "":
		return Token{}, errors.New("has no claim")
	case !ok:
		return Token{}, errors.New("has no private key")
	default:
		return Token{Claim: file.Claim, Key: key}, nil
	}
}
