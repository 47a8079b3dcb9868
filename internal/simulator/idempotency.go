package simulator

// Idempotency of POST requests: the key, the fingerprint of the request, one execution for each key, and the stored
// response for repeated requests.

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
	"time"
)

const (
	maxBodySize  = 64 << 10 // bytes
	maxKeyLength = 64       // characters
)

// postRequest is a POST request with a valid key and a valid JSON body, or none.
type postRequest struct {
	key         string
	fingerprint []byte
	body        []byte
	paymentID   string // from the path; empty if the path has none
	nth         int    // number of requests received with this key, including this one
}

// plan is what an operation does for a request: the faults that the client meets, and the execution. execute returns
// the response to store.
type plan struct {
	script  script
	execute func() (response, error)
}

// operation checks a request and returns its plan. If the operation or execute returns a *problem, the request is
// refused, nothing is stored, and the key stays unused.
type operation func(context.Context, *sql.Tx, postRequest) (plan, error)

// post returns a handler that makes an operation idempotent.
func (s *Simulator) post(op operation) handler {
	return s.limited(func(r *http.Request) (response, error) {
		req, err := readRequest(r)
		if err != nil {
			return response{}, err
		}
		return s.answer(r.Context(), op, r.URL.Path, req, s.latency.Max)
	})
}

// answer counts and executes a request, with its faults. Its latency is at most maxLatency.
func (s *Simulator) answer(ctx context.Context, op operation, path string, req postRequest, maxLatency time.Duration) (response, error) {
	var err error
	if req.nth, err = s.countRequest(ctx, req.key); err != nil {
		return response{}, err
	}
	if !s.inFlight.claim(req.key) {
		return response{}, refuse(http.StatusConflict, "idempotency_in_flight",
			"another request with this Idempotency-Key is in flight: repeat the request later")
	}
	defer s.inFlight.release(req.key)
	in := s.draw(http.MethodPost, path, req.key, req.nth)
	in.latency = min(in.latency, maxLatency)
	return s.inject(ctx, in, func(ctx context.Context) (response, error) {
		return s.executeOnce(ctx, op, req)
	}), nil
}

// executeOnce executes the request, or returns the stored response of an earlier request with the same key. The
// execution and storing its response are one transaction.
func (s *Simulator) executeOnce(ctx context.Context, op operation, req postRequest) (resp response, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		stored, found, err := findStoredResponse(ctx, tx, req)
		if err != nil {
			return err
		}
		p, err := op(ctx, tx, req)
		if err != nil {
			return err
		}
		resp, err = p.script.at(req.nth).play(s.now(), func() (response, error) {
			if found {
				return stored, nil
			}
			executed, err := p.execute()
			if err != nil {
				return response{}, err
			}
			return executed, storeResponse(ctx, tx, req, executed)
		})
		return err
	})
	return resp, err
}

func readRequest(r *http.Request) (postRequest, error) {
	req := postRequest{key: r.Header.Get("Idempotency-Key"), paymentID: r.PathValue("id")}
	err := checkKey(req.key)
	if err != nil {
		return postRequest{}, err
	}
	if req.body, err = readBody(r, maxBodySize); err != nil {
		return postRequest{}, err
	}
	req.fingerprint, err = fingerprint(r.Method, r.URL.Path, req.body)
	return req, err
}

func checkKey(key string) error {
	switch {
	case key == "":
		return refuse(http.StatusBadRequest, "idempotency_key_missing",
			"missing header Idempotency-Key: every POST needs one, and a repeated request needs the same one")
	case len(key) > maxKeyLength || !printable(key):
		return refuse(http.StatusBadRequest, "idempotency_key_invalid",
			fmt.Sprintf("Idempotency-Key with %d bytes: must be 1 to %d printable ASCII characters", len(key), maxKeyLength))
	default:
		return nil
	}
}

// readBody reads a body of JSON, or none, of at most limit bytes.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "body_unreadable", "the body could not be read")
	}
	if int64(len(body)) > limit {
		return nil, refuse(http.StatusRequestEntityTooLarge, "body_too_large",
			fmt.Sprintf("the body is too large: at most %d bytes are allowed", limit))
	}
	if len(body) > 0 {
		if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
			return nil, refuse(http.StatusUnsupportedMediaType, "content_type_unsupported",
				fmt.Sprintf("Content-Type %q: must be application/json", r.Header.Get("Content-Type")))
		}
	}
	return body, nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// fingerprint returns a hash of the request. It is equal for bodies that differ only in white space and in the order
// of fields.
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

// countRequest counts a request with this key and returns how many there were, including this one. It is not part of
// the transaction of the execution, so that requests that are refused or meet a fault are counted too.
func (s *Simulator) countRequest(ctx context.Context, key string) (nth int, err error) {
	err = s.db.QueryRowContext(context.WithoutCancel(ctx), `INSERT INTO requests (idempotency_key, received) VALUES (?, 1)
		ON CONFLICT (idempotency_key) DO UPDATE SET received = received + 1 RETURNING received`, key).Scan(&nth)
	if err != nil {
		return 0, fmt.Errorf("count request: %w", err)
	}
	return nth, nil
}

// findStoredResponse returns the stored response of the key, if any. If the key was used for a different request, the
// error is a *problem.
func findStoredResponse(ctx context.Context, tx *sql.Tx, req postRequest) (resp response, found bool, err error) {
	var fingerprint []byte
	err = tx.QueryRowContext(ctx, `SELECT fingerprint, status, body FROM answers WHERE idempotency_key = ?`, req.key).
		Scan(&fingerprint, &resp.status, &resp.body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return response{}, false, nil
	case err != nil:
		return response{}, false, fmt.Errorf("find response: %w", err)
	case !bytes.Equal(fingerprint, req.fingerprint):
		return response{}, false, refuse(http.StatusUnprocessableEntity, "idempotency_mismatch",
			"this Idempotency-Key was used for a different request: a new request needs a new key")
	}
	resp.header = map[string]string{"Idempotent-Replayed": "true"}
	return resp, true, nil
}

func storeResponse(ctx context.Context, tx *sql.Tx, req postRequest, resp response) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO answers (idempotency_key, fingerprint, status, body) VALUES (?, ?, ?, ?)`,
		req.key, req.fingerprint, resp.status, resp.body); err != nil {
		return fmt.Errorf("store response: %w", err)
	}
	return nil
}

// keySet has the keys of requests in flight. It is in memory, because no request survives a restart.
type keySet struct {
	mu   sync.Mutex
	keys map[string]struct{}
}

// claim adds the key and reports whether it was not in the set before.
func (k *keySet) claim(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, inFlight := k.keys[key]; inFlight {
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
