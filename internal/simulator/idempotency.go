package simulator

// Every POST passes here: the key, the fingerprint, one execution per key, and the stored answer for repeats.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync"
)

const (
	maxBody = 64 << 10
	maxKey  = 64
)

// call is a POST that was read.
type call struct {
	key         string
	fingerprint []byte
	body        []byte
	paymentID   string // of the path, where it has one
	nth         int    // how often this key was received, this time included
}

// plan is what a call would do: the faults it meets, and the execution. execute returns the answer to store.
type plan struct {
	script  script
	execute func() (answer, error)
}

// operation understands a call. A *problem, here or from execute, refuses it and leaves nothing behind.
type operation func(context.Context, *sql.Tx, call) (plan, error)

// post serves an operation with idempotency.
func (s *Simulator) post(op operation) handler {
	return func(r *http.Request) (answer, error) {
		c, err := readCall(r)
		if err != nil {
			return answer{}, err
		}
		if c.nth, err = s.received(r.Context(), c.key); err != nil {
			return answer{}, err
		}
		if !s.inFlight.claim(c.key) {
			return answer{}, refuse(http.StatusConflict, "idempotency_in_flight",
				"a request with this Idempotency-Key is being executed; repeat it in a moment")
		}
		defer s.inFlight.release(c.key)
		return s.chance(r.Context(), s.draw(r.Method, r.URL.Path, c.key, c.nth), func(ctx context.Context) (answer, error) {
			return s.once(ctx, op, c)
		}), nil
	}
}

// once executes the call, or replays the answer of the request that did. Execution and the storing of the answer are
// one transaction.
func (s *Simulator) once(ctx context.Context, op operation, c call) (a answer, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		stored, replay, err := findAnswer(ctx, tx, c)
		if err != nil {
			return err
		}
		p, err := op(ctx, tx, c)
		if err != nil {
			return err
		}
		a, err = p.script.at(c.nth).play(s.now(), func() (answer, error) {
			if replay {
				return stored, nil
			}
			honest, err := p.execute()
			if err != nil {
				return answer{}, err
			}
			return honest, saveAnswer(ctx, tx, c, honest)
		})
		return err
	})
	return a, err
}

func readCall(r *http.Request) (call, error) {
	c := call{key: r.Header.Get("Idempotency-Key"), paymentID: r.PathValue("id")}
	if c.key == "" {
		return call{}, refuse(http.StatusBadRequest, "idempotency_key_missing",
			"every POST needs an Idempotency-Key header, the same one for each repeat")
	}
	if len(c.key) > maxKey || !printable(c.key) {
		return call{}, refuse(http.StatusBadRequest, "idempotency_key_invalid",
			fmt.Sprintf("an Idempotency-Key is 1 to %d printable ASCII characters, this one has %d bytes", maxKey, len(c.key)))
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return call{}, refuse(http.StatusBadRequest, "body_unreadable", "the body could not be read")
	}
	if len(body) > maxBody {
		return call{}, refuse(http.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("a body has at most %d bytes", maxBody))
	}
	if len(body) > 0 {
		if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
			return call{}, refuse(http.StatusUnsupportedMediaType, "content_type_unsupported",
				fmt.Sprintf("Content-Type %q: send application/json", r.Header.Get("Content-Type")))
		}
	}
	c.body = body
	c.fingerprint, err = fingerprint(r.Method, r.URL.Path, body)
	return c, err
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// fingerprint is the same for bodies that mean the same: the order of fields and blanks do not count.
func fingerprint(method, path string, body []byte) ([]byte, error) {
	canonical := []byte{}
	if len(body) > 0 {
		var v any
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			return nil, refuse(http.StatusBadRequest, "json_invalid", "the body is not JSON: "+err.Error())
		}
		var err error
		if canonical, err = json.Marshal(v); err != nil {
			return nil, fmt.Errorf("canonical body: %w", err)
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", method, path, canonical))
	return sum[:], nil
}

// received counts a request of this key and returns how many there were. The count is kept apart from the execution,
// so that requests which are refused or meet a fault count too.
func (s *Simulator) received(ctx context.Context, key string) (nth int, err error) {
	err = s.db.QueryRowContext(context.WithoutCancel(ctx), `INSERT INTO requests (idempotency_key, received) VALUES (?, 1)
		ON CONFLICT (idempotency_key) DO UPDATE SET received = received + 1 RETURNING received`, key).Scan(&nth)
	if err != nil {
		return 0, fmt.Errorf("count request: %w", err)
	}
	return nth, nil
}

// findAnswer returns the stored answer of the key, if there is one and it belongs to the same request.
func findAnswer(ctx context.Context, tx *sql.Tx, c call) (a answer, found bool, err error) {
	var printed []byte
	err = tx.QueryRowContext(ctx, `SELECT fingerprint, status, body FROM answers WHERE idempotency_key = ?`, c.key).
		Scan(&printed, &a.status, &a.body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return answer{}, false, nil
	case err != nil:
		return answer{}, false, fmt.Errorf("find answer: %w", err)
	case !bytes.Equal(printed, c.fingerprint):
		return answer{}, false, refuse(http.StatusUnprocessableEntity, "idempotency_mismatch",
			"this Idempotency-Key was used with another request; a new request needs a new key")
	}
	a.header = map[string]string{"Idempotent-Replayed": "true"}
	return a, true, nil
}

func saveAnswer(ctx context.Context, tx *sql.Tx, c call, a answer) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO answers (idempotency_key, fingerprint, status, body) VALUES (?, ?, ?, ?)`,
		c.key, c.fingerprint, a.status, a.body); err != nil {
		return fmt.Errorf("save answer: %w", err)
	}
	return nil
}

// keySet is the keys of requests in flight. It is in memory because a restart ends them all.
type keySet struct {
	mu   sync.Mutex
	keys map[string]struct{}
}

func (k *keySet) claim(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, taken := k.keys[key]; taken {
		return false
	}
	if k.keys == nil {
		k.keys = map[string]struct{}{}
	}
	k.keys[key] = struct{}{}
	return true
}

func (k *keySet) release(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, key)
}
