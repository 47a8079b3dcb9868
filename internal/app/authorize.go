package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/webhook"
)

// How often the keys of the issuers are read again, and how much is read.
const (
	rereadKeys  = 5 * time.Second
	refetchKeys = 5 * time.Minute
	maxKeySet   = 1 << 20
)

// refusalsLogged is how many refused requests are logged in a minute.
const refusalsLogged = 100

// openAuthorizer returns nil if callers do not have to prove who they are. It reads the keys of the issuers.
func openAuthorizer(
	ctx context.Context, c config.Authorize, verifiers map[string]*webhook.Rotating, refused func(operation, reason string), logger *zap.Logger,
) (*authorize.Authorizer, error) {
	if !c.IsOn() {
		logger.Warn("callers are not authorized: every client of the Temporal namespace may act for every merchant (authorize is not configured)")
		return nil, nil
	}
	every := rereadKeys
	if c.JWKS.URL != "" {
		every = refetchKeys
	}
	keys, err := authorize.NewKeys(ctx, func(ctx context.Context) (authorize.KeySet, error) { return loadKeys(ctx, c) }, every, func(err error) {
		logger.Warn("the keys of the issuers could not be read again: the current ones stay in use", zap.Error(err))
	})
	if err != nil {
		return nil, fmt.Errorf("authorize: %w", err)
	}
	webhooks := map[string]authorize.WebhookVerifier{}
	for processor, verifier := range verifiers {
		webhooks[processor] = verifier
	}
	// A client that is refused must not fill the log. The metric counts everything.
	limited := logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, refusalsLogged, 0)
	}))
	return &authorize.Authorizer{
		Verifier: &authorize.Verifier{
			Keys: keys, Audience: c.Audience, Issuer: c.Issuer, Webhooks: webhooks,
			Skew: time.Duration(*c.ClockSkew), Lifetime: time.Duration(*c.RequestLifetime),
		},
		Refused: refused,
		Log: func(operation, workflowID string, err error) {
			limited.Warn("refused a request", zap.String("operation", operation), zap.String("workflow", workflowID), zap.Error(err))
		},
	}, nil
}

func loadKeys(ctx context.Context, c config.Authorize) (set authorize.KeySet, err error) {
	var content []byte
	switch {
	case c.JWKS.URL != "":
		content, err = fetchKeys(ctx, c.JWKS.URL)
	case c.JWKS.File != "":
		content, err = os.ReadFile(c.JWKS.File)
	default:
		secret, err := c.Secret.Load()
		return authorize.KeySet{Secret: []byte(secret)}, err
	}
	if err != nil {
		return set, err
	}
	if err := json.Unmarshal(content, &set.Public); err != nil {
		return set, errors.New("the key set is not a JWKS")
	}
	return set, nil
}

// fetchKeys follows no redirect and uses no proxy: neither may decide whose keys are trusted.
func fetchKeys(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("fetching the key set: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // it was read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching the key set: %s answered %s", url, response.Status)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("fetching the key set: %w", err)
	case len(content) > maxKeySet:
		return nil, fmt.Errorf("fetching the key set: it has more than %d bytes", maxKeySet)
	}
	return content, nil
}
