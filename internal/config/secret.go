package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/sensitive"
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

// environmentName is the portable form of the names of environment variables.
var environmentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// problem returns what is wrong with the reference, without reading the secret. It quotes nothing: the secret may have been
// written where its reference belongs.
func (s Secret) problem() error {
	switch {
	case (s.Env == "") == (s.File == ""):
		return errors.New("want either env or file")
	case s.Env != "" && (!environmentName.MatchString(s.Env) || s.Env != strings.ToUpper(s.Env) && sensitive.Text(s.Env)):
		return errors.New("env: want the name of an environment variable, of letters, digits and _, and not the secret itself")
	case strings.Contains(s.File, "://"), !strings.ContainsAny(s.File, `/\.`) && sensitive.Text(s.File):
		return errors.New("file: want the path of a file, and not the secret itself")
	default:
		return nil
	}
}

// maxSecretFile is the size limit of a secret in a file, in bytes. A file with the certificates of all public authorities is
// smaller.
const maxSecretFile = 1 << 20

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
	content, err := readFile(s.File, maxSecretFile)
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

// LoadWebhookSecrets reads the secrets that sign the processor's events. refreshAt is when they should be read again, also after
// an error; zero if none of them is in a file. It is the load function of webhook.NewRotating.
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
