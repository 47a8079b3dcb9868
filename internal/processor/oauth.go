package processor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// tokenMargin is how long before its end a token is replaced, so that none expires on its way.
const tokenMargin = 30 * time.Second

// tokenClient fetches tokens. A redirect would carry the client's secret to another host.
var tokenClient = &http.Client{
	Timeout:       loadTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// OAuth is the grant of client credentials (RFC 6749 section 4.4).
type OAuth struct {
	TokenURL string
	ClientID string
	// Secret is read for each token, so that a rotated one needs no restart.
	Secret func() (string, error)
	Scopes []string
}

// Load fetches an access token; it is meant for NewCredentials. Its errors hold no secret.
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
			// The body may repeat what was sent.
			return Key{}, fmt.Errorf("%s answers %s", o.TokenURL, refused.Response.Status)
		}
		return Key{}, fmt.Errorf("no token of %s: %s", o.TokenURL, transportMessage(err))
	}
	key := Key{Value: token.AccessToken}
	if !token.Expiry.IsZero() {
		key.Reread = token.Expiry.Add(-tokenMargin)
	}
	return key, nil
}
