// Package credentials provides the credentials that authenticate Florin at a processor: an API key or an OAuth access token.
package credentials

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/sync/singleflight"
)

// loadTimeout limits one read of the key. Several calls may wait for the same read.
const loadTimeout = 10 * time.Second

// Key is an API key or an access token.
type Key struct {
	Value string
	// RefreshAt is when the key is read again even if it was not rejected: shortly before a token expires, or when a file
	// may have changed. Zero: never.
	RefreshAt time.Time
}

// Credentials hold the key to one processor. If several calls need a new key at once, it is read once. Credentials are safe for
// concurrent use.
type Credentials struct {
	load    func(context.Context) (Key, error)
	reading singleflight.Group

	mu        sync.Mutex
	refreshAt time.Time
	header    string // the value of Authorization, with the key
}

// New reads the key with load for the first time. load is called again for every refresh.
func New(ctx context.Context, load func(context.Context) (Key, error)) (*Credentials, error) {
	c := &Credentials{load: load}
	return c, c.Refresh(ctx, "")
}

// Bearer returns the value of the Authorization header. A key that is due for a refresh is read again first; if that fails, the
// current one stays in use until the processor refuses it.
func (c *Credentials) Bearer(ctx context.Context) string {
	refreshAt, header := c.current()
	if !refreshAt.IsZero() && !time.Now().Before(refreshAt) {
		if c.Refresh(ctx, header) == nil {
			_, header = c.current()
		}
	}
	return header
}

const bearerPrefix = "Bearer "

// shortestSecret is the length from which a key is looked for in other texts: a shorter one may be part of them by chance.
const shortestSecret = 8

// Secret returns the key of an Authorization header that Bearer has returned, so that it can be removed from other texts. It is
// empty for a key that is too short to be recognized.
func Secret(bearer string) string {
	secret := strings.TrimPrefix(bearer, bearerPrefix)
	if len(secret) < shortestSecret {
		return ""
	}
	return secret
}

func (c *Credentials) current() (refreshAt time.Time, header string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refreshAt, c.header
}

// Refresh reads the key again because the processor has rejected refused, a header that Bearer has returned. It does nothing if
// that key has already been replaced. If reading fails, the old key stays in use.
func (c *Credentials) Refresh(ctx context.Context, refused string) error {
	if _, header := c.current(); refused != "" && header != refused {
		return nil
	}
	reading := c.reading.DoChan("", func() (any, error) {
		// Canceling the call that triggered the read must not fail the others that wait for it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		return nil, c.read(ctx)
	})
	select {
	case read := <-reading:
		return read.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Credentials) read(ctx context.Context) error {
	key, err := c.load(ctx)
	switch {
	case err != nil:
		return err
	case key.Value == "":
		return errors.New("the processor's API key is empty")
	case !httpguts.ValidHeaderFieldValue(key.Value):
		return errors.New("the processor's API key has a character that an HTTP header cannot carry, such as a line break")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refreshAt, c.header = key.RefreshAt, bearerPrefix+key.Value
	return nil
}
