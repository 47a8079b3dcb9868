package webhook

import (
	"sync"
	"sync/atomic"
	"time"
)

// Rotating is a [Verifier] whose secrets are read again while it is in use, so that a rotation needs no restart. It is safe for
// concurrent use.
type Rotating struct {
	load   func() (secrets []string, refreshAt time.Time, err error)
	failed func(error)

	current atomic.Pointer[Verifier]
	// reading is held by the call that reads the secrets again, and guards refreshAt.
	reading   sync.Mutex
	refreshAt time.Time
}

// NewRotating reads the secrets with load, and again as soon as something is to be verified after refreshAt, also after an error.
// A zero refreshAt means that they never change. If they cannot be read again, or are not as [New] needs them, failed is called and
// the former ones stay in use.
func NewRotating(load func() (secrets []string, refreshAt time.Time, err error), failed func(error)) (*Rotating, error) {
	r := &Rotating{load: load, failed: failed}
	return r, r.read()
}

// Verify is [Verifier.Verify] with the current secrets. While one call reads the secrets again, the others use the former ones.
func (r *Rotating) Verify(header string, body []byte, now time.Time) error {
	return r.verifier(now).Verify(header, body, now)
}

// SignRequest is [Verifier.SignRequest] with the current secrets.
func (r *Rotating) SignRequest(digest string, at time.Time) string {
	return r.verifier(at).SignRequest(digest, at)
}

// VerifyRequest is [Verifier.VerifyRequest] with the current secrets.
func (r *Rotating) VerifyRequest(signature, digest string, at time.Time) error {
	return r.verifier(time.Now()).VerifyRequest(signature, digest, at)
}

// verifier returns the verifier with the current secrets.
func (r *Rotating) verifier(now time.Time) *Verifier {
	if r.reading.TryLock() {
		if !r.refreshAt.IsZero() && !now.Before(r.refreshAt) {
			if err := r.read(); err != nil {
				r.failed(err)
			}
		}
		r.reading.Unlock()
	}
	return r.current.Load()
}

func (r *Rotating) read() error {
	secrets, refreshAt, err := r.load()
	r.refreshAt = refreshAt
	if err != nil {
		return err
	}
	v, err := New(secrets, 0)
	if err != nil {
		return err
	}
	r.current.Store(v)
	return nil
}
