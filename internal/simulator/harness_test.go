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

// bench is a simulator on a real socket, with a clock in the test's hand.
type bench struct {
	t      *testing.T
	sim    *Simulator
	url    string
	client *http.Client
	clock  *clock
	logged chan string // paths, as soon as their answer is decided
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

func start(t *testing.T, o Options) *bench {
	t.Helper()
	b := &bench{t: t, clock: &clock{t: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}, logged: make(chan string, 10_000)}
	o.APIKey, o.Now = testKey, b.clock.now
	o.Logger = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(io.Discard), zap.DebugLevel),
		zap.Hooks(func(e zapcore.Entry) error {
			if e.Message == "answered" {
				b.logged <- e.Message
			}
			return nil
		}))
	var err error
	b.sim, err = Open(t.Context(), o)
	require.NoError(t, err)
	server := httptest.NewServer(b.sim.Handler())
	b.url = server.URL
	// A connection for each request: on a used one net/http repeats a POST by itself when it is reset.
	b.client = &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		require.NoError(t, b.sim.Close())
		server.Close()
	})
	return b
}

type reply struct {
	status int
	header http.Header
	body   []byte
	err    error
}

func (b *bench) request(ctx context.Context, method, path, key, body string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, b.url+path, strings.NewReader(body))
	require.NoError(b.t, err)
	r.Header.Set("Authorization", "Bearer "+testKey)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	return r
}

func (b *bench) send(r *http.Request) reply {
	resp, err := b.client.Do(r)
	if err != nil {
		return reply{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, body, err}
}

func (b *bench) post(path, key, body string) reply {
	return b.send(b.request(context.Background(), http.MethodPost, path, key, body))
}

func (b *bench) get(path string) reply {
	return b.send(b.request(context.Background(), http.MethodGet, path, "", ""))
}

// postBriefly gives up on an answer that does not come soon after the simulator has decided on it.
func (b *bench) postBriefly(path, key, body string) reply {
	for len(b.logged) > 0 {
		<-b.logged
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-b.logged:
			time.AfterFunc(100*time.Millisecond, cancel)
		case <-ended:
		}
	}()
	return b.send(b.request(ctx, http.MethodPost, path, key, body))
}

func (b *bench) ledger() Ledger {
	b.t.Helper()
	ledger, err := b.sim.Ledger(b.t.Context())
	require.NoError(b.t, err)
	return ledger
}

func (r reply) into(t *testing.T, v any) {
	t.Helper()
	require.NoError(t, r.err)
	require.NoError(t, json.Unmarshal(r.body, v), "%s", r.body)
}

// String says in a few words what a caller saw, for tables.
func (r reply) String() string {
	switch {
	case errors.Is(r.err, context.Canceled):
		return "no answer"
	case errors.Is(r.err, syscall.ECONNRESET):
		return "reset"
	case errors.Is(r.err, io.ErrUnexpectedEOF):
		return fmt.Sprintf("%d cut off", r.status)
	case r.err != nil:
		return r.err.Error()
	case len(r.body) == 0:
		return fmt.Sprintf("%d empty", r.status)
	case len(r.body) > hugeBody:
		return fmt.Sprintf("%d huge", r.status)
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
	if json.Unmarshal(r.body, &body) == nil {
		what = strings.TrimSpace(strings.Join([]string{
			body.Status, body.Error.Code, body.Error.DeclineKind, body.Error.DeclineCode}, " "))
		what = strings.Join(strings.Fields(what), " ")
	}
	if r.header.Get("Idempotent-Replayed") == "true" {
		what += ", replayed"
	}
	return fmt.Sprintf("%d %s", r.status, what)
}

func chargeBody(token, reference string) string {
	return fmt.Sprintf(`{"card_token":%q,"amount":1000,"currency":"EUR","reference":%q,"metadata":{"florin_payment_id":"pay_1"}}`,
		token, reference)
}
