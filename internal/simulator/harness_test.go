package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const testKey = "test_key"

// harness is a simulator on a real socket, with a clock that the test controls.
type harness struct {
	t       *testing.T
	sim     *Simulator
	url     string
	client  *http.Client
	clock   *clock
	handled chan struct{} // one value for each request whose response was decided, before it is delivered
}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// start opens a simulator and serves it. Both are closed at the end of the test.
func start(t *testing.T, o Options) *harness {
	t.Helper()
	h := &harness{t: t, clock: &clock{t: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}, handled: make(chan struct{}, 10_000)}
	o.APIKey, o.Now = testKey, h.clock.now
	o.Logger = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(io.Discard), zap.DebugLevel),
		zap.Hooks(func(e zapcore.Entry) error {
			if e.Message == "request handled" {
				h.handled <- struct{}{}
			}
			return nil
		}))
	var err error
	h.sim, err = Open(t.Context(), o)
	require.NoError(t, err)
	server := httptest.NewServer(h.sim.Handler())
	h.url = server.URL
	// Each request gets a new connection: net/http repeats a request by itself after a reset of a reused connection.
	h.client = &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		require.NoError(t, h.sim.Close())
		server.Close()
	})
	return h
}

// outcome is what the client got: a response or an error.
type outcome struct {
	status int
	header http.Header
	body   []byte
	err    error
}

func (h *harness) request(ctx context.Context, method, path, key, body string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, h.url+path, strings.NewReader(body))
	require.NoError(h.t, err)
	r.Header.Set("Authorization", "Bearer "+testKey)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	return r
}

func (h *harness) send(r *http.Request) outcome {
	resp, err := h.client.Do(r)
	if err != nil {
		return outcome{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return outcome{status: resp.StatusCode, header: resp.Header, body: body, err: err}
}

func (h *harness) post(path, key, body string) outcome {
	return h.send(h.request(context.Background(), http.MethodPost, path, key, body))
}

func (h *harness) get(path string) outcome {
	return h.send(h.request(context.Background(), http.MethodGet, path, "", ""))
}

// postAndGiveUp sends a POST request and cancels it if no response arrives shortly after the simulator decided on one.
func (h *harness) postAndGiveUp(path, key, body string) outcome {
	for len(h.handled) > 0 {
		<-h.handled
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-h.handled:
			time.AfterFunc(100*time.Millisecond, cancel)
		case <-done:
		}
	}()
	return h.send(h.request(ctx, http.MethodPost, path, key, body))
}

func (h *harness) ledger() Ledger {
	h.t.Helper()
	ledger, err := h.sim.Ledger(h.t.Context())
	require.NoError(h.t, err)
	return ledger
}

// into decodes the JSON body, which the outcome must have.
func (o outcome) into(t *testing.T, v any) {
	t.Helper()
	require.NoError(t, o.err)
	require.NoError(t, json.Unmarshal(o.body, v), "%s", o.body)
}

// String is a short description of the outcome, for comparison in tables.
func (o outcome) String() string {
	switch {
	case errors.Is(o.err, context.Canceled):
		return "no response"
	case errors.Is(o.err, syscall.ECONNRESET):
		return "reset"
	case errors.Is(o.err, io.ErrUnexpectedEOF):
		return fmt.Sprintf("%d cut off", o.status)
	case o.err != nil:
		return o.err.Error()
	case len(o.body) == 0:
		return fmt.Sprintf("%d empty", o.status)
	case len(o.body) > hugeBodySize:
		return fmt.Sprintf("%d huge", o.status)
	}
	var body struct {
		Status string
		Error  struct {
			Code        string
			DeclineCode string `json:"decline_code"`
			DeclineKind string `json:"decline_kind"`
		}
	}
	what := "not json"
	if json.Unmarshal(o.body, &body) == nil {
		what = strings.TrimSpace(strings.Join([]string{
			body.Status, body.Error.Code, body.Error.DeclineKind, body.Error.DeclineCode}, " "))
		what = strings.Join(strings.Fields(what), " ")
	}
	if o.header.Get("Idempotent-Replayed") == "true" {
		what += ", replayed"
	}
	return fmt.Sprintf("%d %s", o.status, what)
}

func chargeBody(token, reference string) string {
	return fmt.Sprintf(`{"card_token":%q,"amount":1000,"currency":"EUR","reference":%q,"metadata":{"florin_payment_id":"pay_1"}}`,
		token, reference)
}
