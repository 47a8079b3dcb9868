package processor

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// loadTimeout bounds one reading of the key, which several calls may wait for.
const loadTimeout = 10 * time.Second

// Key is what proves to a processor who we are: an API key, or an access token.
type Key struct {
	Value string
	// Reread is when the key is read anew without being refused: shortly before a token expires, or when a file may
	// have changed. Zero: never.
	Reread time.Time
}

// Credentials hold the key with which we speak to a processor. However many calls need a new one at once, it is
// read once. Safe for concurrent use.
type Credentials struct {
	load    func(context.Context) (Key, error)
	reading singleflight.Group

	mu     sync.Mutex
	reread time.Time
	header string // Authorization, with the key
}

// NewCredentials reads the key for the first time.
func NewCredentials(ctx context.Context, load func(context.Context) (Key, error)) (*Credentials, error) {
	c := &Credentials{load: load}
	return c, c.Refresh(ctx, "")
}

// Bearer returns the value of the Authorization header. A key whose time has come is read anew; where that
// fails, the one at hand stays in use until the processor refuses it.
func (c *Credentials) Bearer(ctx context.Context) string {
	reread, header := c.key()
	if !reread.IsZero() && !time.Now().Before(reread) {
		if c.Refresh(ctx, header) == nil {
			_, header = c.key()
		}
	}
	return header
}

const bearerPrefix = "Bearer "

func (c *Credentials) key() (reread time.Time, header string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reread, c.header
}

// Refresh reads the key anew, unless that has happened since refused, which Bearer returned, was in use. On an
// error the old key stays in use.
func (c *Credentials) Refresh(ctx context.Context, refused string) error {
	if _, header := c.key(); refused != "" && header != refused {
		return nil
	}
	reading := c.reading.DoChan("", func() (any, error) {
		// The one who asks first must not take it from those who wait, too.
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
	case !fitsHeader(key.Value):
		return errors.New("the processor's API key has a character that no header may have, such as a line break")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reread, c.header = key.Reread, bearerPrefix+key.Value
	return nil
}
