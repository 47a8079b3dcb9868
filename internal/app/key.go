package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/florinpay/florin/internal/processor"
)

// rereadFile is how often a key that comes from a file is read: a file that was replaced is noticed within it.
const rereadFile = 5 * time.Second

// OAuth is the grant of client credentials, for processors that want access tokens.
type OAuth struct {
	TokenURL     string   `yaml:"token_url"`
	ClientID     string   `yaml:"client_id"`
	ClientSecret Secret   `yaml:"client_secret"`
	Scopes       []string `yaml:"scopes"`
}

// keySetting is where the key comes from, for errors.
func (p Processor) keySetting() string {
	if p.OAuth.TokenURL != "" {
		return "oauth"
	}
	return "api_key"
}

// key reads the API key or fetches a token.
func (p Processor) key(ctx context.Context) (processor.Key, error) {
	if p.OAuth.TokenURL != "" {
		return processor.OAuth{
			TokenURL: p.OAuth.TokenURL,
			ClientID: p.OAuth.ClientID,
			Secret:   p.OAuth.ClientSecret.Load,
			Scopes:   p.OAuth.Scopes,
		}.Load(ctx)
	}
	value, err := p.APIKey.Load()
	key := processor.Key{Value: value}
	if p.APIKey.File != "" {
		key.Reread = time.Now().Add(rereadFile)
	}
	return key, err
}

// keyProblems checks that there is one way to get a key, and that it is whole.
func (p Processor) keyProblems() (problems []error) {
	switch o := p.OAuth; {
	case o.TokenURL == "" && (o.ClientID != "" || o.ClientSecret != Secret{} || len(o.Scopes) > 0):
		problems = append(problems, errors.New("oauth.token_url: is missing"))
	case o.TokenURL == "" && !p.APIKey.single():
		problems = append(problems, errors.New("api_key: want either env or file"))
	case o.TokenURL == "":
	case p.APIKey != Secret{}:
		problems = append(problems, errors.New("api_key and oauth: want one of them"))
	default:
		if err := processor.CheckBaseURL(o.TokenURL); err != nil {
			problems = append(problems, fmt.Errorf("oauth.token_url: %w", err))
		}
		if o.ClientID == "" {
			problems = append(problems, errors.New("oauth.client_id: is missing"))
		}
		if !o.ClientSecret.single() {
			problems = append(problems, errors.New("oauth.client_secret: want either env or file"))
		}
	}
	return problems
}
