package credentials

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/florinpay/florin/internal/processor/classify"
)

// tokenMargin is how long before its expiry a token is replaced, so that it does not expire in transit.
const tokenMargin = 30 * time.Second

// maxTokenHeaders is the size limit of the headers of a response, in bytes. Package oauth2 limits the body to 1 MiB.
const maxTokenHeaders = 64 << 10

// OAuth is the client credentials grant (RFC 6749 section 4.4).
type OAuth struct {
	TokenURL string
	ClientID string
	// Secret is called for each token, so that a rotated secret needs no restart.
	Secret func() (string, error)
	Scopes []string
	// TLS is called for each token. Nil: the authorities of the operating system, and no client certificate.
	TLS func() (*tls.Config, error)
}

// client returns a client for one token. It follows no redirect, which would carry the client secret to another host, and ignores
// HTTP_PROXY and HTTPS_PROXY, which must not decide who receives it.
func (o OAuth) client() (*http.Client, error) {
	transport := &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxTokenHeaders}
	if o.TLS != nil {
		var err error
		if transport.TLSClientConfig, err = o.TLS(); err != nil {
			return nil, err
		}
	}
	return &http.Client{
		Transport: transport, Timeout: loadTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// Load fetches an access token; it is the load function for [New]. Its errors contain no secret.
func (o OAuth) Load(ctx context.Context) (Key, error) {
	secret, err := o.Secret()
	if err != nil {
		return Key{}, err
	}
	client, err := o.client()
	if err != nil {
		return Key{}, err
	}
	grant := clientcredentials.Config{ClientID: o.ClientID, ClientSecret: secret, TokenURL: o.TokenURL, Scopes: o.Scopes}
	token, err := grant.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) {
			// The body may repeat the secret that was sent.
			return Key{}, fmt.Errorf("%s answered %s", o.TokenURL, refused.Response.Status)
		}
		return Key{}, fmt.Errorf("no token from %s: %s", o.TokenURL, classify.Describe(err))
	}
	key := Key{Value: token.AccessToken}
	if !token.Expiry.IsZero() {
		key.RefreshAt = token.Expiry.Add(-tokenMargin)
	}
	return key, nil
}
