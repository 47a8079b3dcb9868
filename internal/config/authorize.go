package config

import (
	"fmt"
	"time"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/processor/httpclient"
)

// Authorize makes callers prove who they are, and limits them to their merchants and roles. Without it, every client of the Temporal
// namespace may charge, refund and read for every merchant; see [security.md](security.md).
type Authorize struct {
	// Audience turns it on. It has to be in the callers' claims.
	// Bounds: 1 to 200 characters.
	Audience string `yaml:"audience"`
	// Issuer has to be that of the claims. Without it, any issuer is accepted whose key is known.
	Issuer string `yaml:"issuer"`
	// JWKS names the public keys of the issuers. Either jwks or secret is required.
	JWKS JWKS `yaml:"jwks"`
	// Secret refers to a secret that workers and issuer share, for claims with HMAC-SHA-256. A replaced file is noticed within five seconds.
	// Unit: at least 32 bytes.
	// Bounds: not together with `jwks`.
	Secret Secret `yaml:"secret"`
	// ClockSkew is how far the clocks of issuers and callers may differ from the worker's.
	// Bounds: at least 0, at most 5m.
	ClockSkew *activities.Duration `yaml:"clock_skew"` // nil: the default
	// RequestLifetime is how long a signed request is valid. It bounds how long one may travel, not how long a payment may take.
	// Bounds: above 0, at most 1h.
	RequestLifetime *activities.Duration `yaml:"request_lifetime"` // nil: the default
}

// JWKS names a key set (RFC 7517).
type JWKS struct {
	// URL is where it is fetched, every five minutes, and earlier for a claim with an unknown key.
	// Bounds: https, or http to this machine; not together with `file`.
	URL string `yaml:"url"`
	// File is its path. A replaced file is noticed within five seconds.
	// Bounds: not together with `url`.
	File string `yaml:"file"`
}

// IsOn reports whether callers have to prove who they are.
func (a Authorize) IsOn() bool { return a.Audience != "" }

func (a *Authorize) setDefaults() {
	if a.IsOn() {
		setDefault(&a.ClockSkew, new(duration(30*time.Second)))
		setDefault(&a.RequestLifetime, new(duration(5*time.Minute)))
	}
}

// The longest skew and lifetime: with longer ones, a signature in a history would be worth something for long.
const (
	maxClockSkew       = activities.Duration(5 * time.Minute)
	maxRequestLifetime = activities.Duration(time.Hour)
	maxAudience        = 200
)

// problems returns everything that is invalid, each with the path of its key.
func (a Authorize) problems() (problems []error) {
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("authorize."+format, args...))
	}
	if !a.IsOn() {
		if a != (Authorize{}) {
			problem("audience: is missing, so that the rest has no effect")
		}
		return problems
	}
	if len(a.Audience) > maxAudience {
		problem("audience: has %d characters: want at most %d", len(a.Audience), maxAudience)
	}
	switch hasKeys := a.JWKS != (JWKS{}); {
	case hasKeys == (a.Secret != Secret{}):
		problem("jwks and authorize.secret: want one of them")
	case hasKeys && (a.JWKS.URL == "") == (a.JWKS.File == ""):
		problem("jwks: want either url or file")
	case !hasKeys && a.Secret.problem() != nil:
		problem("secret: %w", a.Secret.problem())
	case a.JWKS.URL != "":
		if err := httpclient.CheckBaseURL(a.JWKS.URL, false); err != nil {
			problem("jwks.url: %w", err)
		}
	}
	if skew := *a.ClockSkew; skew < 0 || skew > maxClockSkew {
		problem("clock_skew %s: want 0 to %s", skew, maxClockSkew)
	}
	if lifetime := *a.RequestLifetime; lifetime <= 0 || lifetime > maxRequestLifetime {
		problem("request_lifetime %s: want above 0 and at most %s", lifetime, maxRequestLifetime)
	}
	return problems
}
