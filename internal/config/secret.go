package config

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/processor/credentials"
)

// Secret refers to a secret and never contains one; exactly one of its fields is set. White space around the secret is ignored.
type Secret struct {
	// Env is the name of an environment variable.
	// Bounds: not together with `file`.
	Env string `yaml:"env"`
	// File is the path of a file, such as a mounted Kubernetes secret.
	// Bounds: not together with `env`.
	File string `yaml:"file"`
}

func (s Secret) isSet() bool { return (s.Env == "") != (s.File == "") }

// source names where the secret is, for errors.
func (s Secret) source() string {
	if s.Env != "" {
		return "environment variable " + s.Env
	}
	return "file " + s.File
}

// Load reads the secret and trims white space, since an HTTP header cannot carry a line break.
func (s Secret) Load() (string, error) {
	if s.Env != "" {
		value := strings.TrimSpace(os.Getenv(s.Env))
		if value == "" {
			return "", fmt.Errorf("environment variable %s is not set", s.Env)
		}
		return value, nil
	}
	content, err := os.ReadFile(s.File)
	if err != nil {
		return "", err
	}
	value := strings.TrimSpace(string(content))
	if value == "" {
		return "", fmt.Errorf("secret file %s is empty", s.File)
	}
	return value, nil
}

// OAuth configures the requests for access tokens. They use the client credentials grant (RFC 6749, section 4.4).
type OAuth struct {
	// TokenURL is the token endpoint. It is required for OAuth.
	// Bounds: as for base_url.
	TokenURL string `yaml:"token_url"`
	// ClientID is the identifier of the client. It is required for OAuth.
	ClientID string `yaml:"client_id"`
	// ClientSecret refers to the secret of the client. It is required for OAuth.
	ClientSecret Secret `yaml:"client_secret"`
	// Scopes are requested for the token.
	Scopes []string `yaml:"scopes"`
}

// rereadFile is how often an API key or a webhook secret from a file is read, to notice a rotation.
const rereadFile = 5 * time.Second

// CredentialKey returns the configuration key of the credentials, for errors.
func (p Processor) CredentialKey() string {
	if p.OAuth.TokenURL != "" {
		return "oauth"
	}
	return "api_key"
}

// LoadWebhookSecrets reads the secrets that sign the processor's events. refreshAt is when they should be read again, also after an
// error; zero if none of them is in a file. It is the load function of webhook.NewRotating.
func (p Processor) LoadWebhookSecrets() (secrets []string, refreshAt time.Time, err error) {
	for _, secret := range p.WebhookSecrets {
		if secret.File != "" {
			refreshAt = time.Now().Add(rereadFile)
		}
	}
	for _, secret := range p.WebhookSecrets {
		value, err := secret.Load()
		if err != nil {
			return nil, refreshAt, err
		}
		secrets = append(secrets, value)
	}
	return secrets, refreshAt, nil
}

// LoadKey reads the API key or fetches a token. It is the load function of [credentials.New].
func (p Processor) LoadKey(ctx context.Context) (credentials.Key, error) {
	if p.OAuth.TokenURL != "" {
		return credentials.OAuth{
			TokenURL: p.OAuth.TokenURL,
			ClientID: p.OAuth.ClientID,
			Secret:   p.OAuth.ClientSecret.Load,
			Scopes:   p.OAuth.Scopes,
			TLS:      p.TLS.Config,
		}.Load(ctx)
	}
	value, err := p.APIKey.Load()
	key := credentials.Key{Value: value}
	if p.APIKey.File != "" {
		key.RefreshAt = time.Now().Add(rereadFile)
	}
	return key, err
}
