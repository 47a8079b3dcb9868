package processor

import (
	"errors"
	"sync"
)

// Credentials hold the key with which we speak to a processor. It is read once and again when the processor
// refuses it, so that a rotated key needs no restart. Safe for concurrent use.
type Credentials struct {
	load func() (string, error)

	mu      sync.Mutex
	current string
}

// NewCredentials reads the key once; load is called again by Refresh.
func NewCredentials(load func() (string, error)) (*Credentials, error) {
	c := &Credentials{load: load}
	return c, c.Refresh()
}

// Bearer returns the value of the Authorization header.
func (c *Credentials) Bearer() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return "Bearer " + c.current
}

// Refresh reads the key anew. On an error the old one stays in use.
func (c *Credentials) Refresh() error {
	key, err := c.load()
	if err != nil {
		return err
	}
	if key == "" {
		return errors.New("the processor's API key is empty")
	}
	if !fitsHeader(key) {
		return errors.New("the processor's API key has a character that no header may have, such as a line break")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = key
	return nil
}
