package credentials

import (
	"context"
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

// tokenClient fetches tokens. It follows no redirect, which would carry the client secret to another host.
var tokenClient = &http.Client{
	Timeout:       loadTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// OAuth is the client credentials grant (RFC 6749 section 4.4).
type OAuth struct {
	TokenURL string
	ClientID string
	// Secret is called for each token, so that a rotated secret needs no restart.
	Secret func() (string, error)
	Scopes []string
}

// Load fetches an access token; it is the load function for [New]. Its errors contain no secret.
func (o OAuth) Load(ctx context.Context) (Key, error) {
	secret, err := o.Secret()
	if err != nil {
		return Key{}, err
	}
	grant := clientcredentials.Config{ClientID: o.ClientID, ClientSecret: secret, TokenURL: o.TokenURL, Scopes: o.Scopes}
	token, err := grant.Token(context.WithValue(ctx, oauth2.HTTPClient, tokenClient))
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
