package authorize

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/sync/singleflight"

	"github.com/florinpay/florin/internal/caller"
)

// KeySet is what issuers sign with: either public keys or one secret.
type KeySet struct {
	Public jose.JSONWebKeySet
	Secret []byte
}

// Keys are the keys of the issuers. They are read again in the background, so that a verification never waits for a file or a network, and
// stay in use as long as that fails. Keys are safe for concurrent use.
type Keys struct {
	load    func(context.Context) (KeySet, error)
	reading singleflight.Group
	// again reads the keys in the background. stop ends that.
	again, stop func()

	mu     sync.RWMutex
	set    KeySet
	readAt time.Time
}

// unknownEvery is how often a claim with an unknown key may cause the keys to be read.
const unknownEvery = 10 * time.Second

// loadTimeout limits one read of the keys.
const loadTimeout = 10 * time.Second

// NewKeys reads the keys for the first time. load is called again at the interval every, until Close; failed is told of each error. A set
// without a usable key is an error.
func NewKeys(ctx context.Context, load func(context.Context) (KeySet, error), every time.Duration, failed func(error)) (*Keys, error) {
	k := &Keys{load: load}
	if err := k.read(ctx); err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	k.stop = stop
	k.again = func() {
		k.reading.DoChan("", func() (any, error) {
			if err := k.read(background); err != nil && background.Err() == nil {
				failed(err)
			}
			return nil, nil
		})
	}
	ticks := time.NewTicker(every)
	go func() {
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				k.again()
			case <-background.Done():
				return
			}
		}
	}()
	return k, nil
}

// Close ends the reading in the background.
func (k *Keys) Close() { k.stop() }

func (k *Keys) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	set, err := k.load(ctx)
	if err == nil {
		err = set.check()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.readAt = time.Now() // also if it failed: it is not read again at once
	if err == nil {
		k.set = set
	}
	return err
}

// check returns an error for a set that cannot verify anything.
func (s KeySet) check() error {
	switch {
	case len(s.Secret) > 0 && len(s.Secret) < caller.MinSecret:
		return fmt.Errorf("the secret has %d bytes: want at least %d", len(s.Secret), caller.MinSecret)
	case len(s.Secret) > 0:
		return nil
	case len(s.Public.Keys) == 0:
		return errors.New("the key set has no keys")
	}
	for _, key := range s.Public.Keys {
		if !key.Valid() || !key.IsPublic() {
			return fmt.Errorf("key %q is not a public key", key.KeyID)
		}
	}
	return nil
}

func (k *Keys) current() (set KeySet, readAt time.Time) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.set, k.readAt
}

// verify decodes the claims of a JWT that an issuer has signed.
func (k *Keys) verify(claim string, into ...any) error {
	set, readAt := k.current()
	algorithms, key := publicKeyAlgorithms, any(&set.Public)
	if len(set.Secret) > 0 {
		algorithms, key = []jose.SignatureAlgorithm{jose.HS256}, set.Secret
	}
	token, err := jwt.ParseSigned(claim, algorithms)
	if err != nil {
		return &Error{Reason: "malformed", Message: "the claim cannot be read, or is signed with an algorithm that is not accepted"}
	}
	switch err := token.Claims(key, into...); {
	case err == nil:
		return nil
	case errors.Is(err, jose.ErrJWKSKidNotFound):
		if time.Since(readAt) >= unknownEvery {
			k.again()
		}
		return &Error{Reason: "unknown_key", Message: "the claim is signed with a key that is not in the key set (yet): try again in a few seconds"}
	default:
		return &Error{Reason: "signature", Message: "the signature of the claim is wrong"}
	}
}
