package httpclient

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func TestRequestContainsKeyCredentialsAndBody(t *testing.T) {
	type seen struct{ method, uri, body, authorization, accept, contentType, key string }
	requests := make(chan seen, 2)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- seen{method: r.Method, uri: r.RequestURI, body: string(body),
			authorization: r.Header.Get("Authorization"), accept: r.Header.Get("Accept"),
			contentType: r.Header.Get("Content-Type"), key: r.Header.Get("Idempotency-Key")}
		w.Header().Set("X-Request-Id", strings.Repeat("r", 127)+"é")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":"ch_1"}`)
	})
	c := newClient(t, s.URL+"/v1%2Feu/")
	answer, err := c.Do(t.Context(), charge())
	require.NoError(t, err)
	require.Equal(t, seen{method: "POST", uri: "/v1%2Feu/charges", body: `{"amount":1250}`,
		authorization: "Bearer sk_secret", accept: "application/json", contentType: "application/json", key: testKey},
		<-requests)
	require.Equal(t, []any{201, `{"id":"ch_1"}`, false}, []any{answer.Status, string(answer.Body), answer.Truncated})
	require.Equal(t, strings.Repeat("r", 127), answer.RequestID)
	require.True(t, utf8.ValidString(answer.RequestID))

	_, err = c.Do(t.Context(), processor.Call{Method: http.MethodGet, Path: "/payments",
		Query: url.Values{"reference": {"a&b=c d"}}})
	require.NoError(t, err)
	require.Equal(t, seen{method: "GET", uri: "/v1%2Feu/payments?reference=a%26b%3Dc+d",
		authorization: "Bearer sk_secret", accept: "application/json"}, <-requests)
}

func TestIncompleteBodyIsTruncated(t *testing.T) {
	half := `{"id":"ch_1"`
	for name, respond := range map[string]http.HandlerFunc{
		"slower than the timeout": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, half)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"aborted between chunks": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, half)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"shorter than Content-Length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, half)
		},
		"not gzip despite Content-Encoding": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, half)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				respond(w, r)
			})
			got, err := newClient(t, s.URL, within(500*time.Millisecond)).Do(t.Context(), charge())
			require.ErrorContains(t, err, "did not arrive completely")
			require.Equal(t, 200, got.Status)
			require.True(t, got.Truncated)
			require.True(t, strings.HasPrefix(half, string(got.Body)))
		})
	}
}

func TestBodyIsReadUpToTheSizeLimit(t *testing.T) {
	for _, size := range []int{0, maxResponseBody, maxResponseBody + 1, 11 << 20} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), size)) })
		got, err := answer(t, newClient(t, s.URL), charge())
		require.Len(t, got.Body, min(size, maxResponseBody+1))
		require.Equal(t, size > maxResponseBody, got.Truncated)
		require.Equal(t, size > maxResponseBody, err != nil)
	}
}

func TestRedirectIsNeverFollowed(t *testing.T) {
	var seen atomic.Int32
	other := serve(t, func(http.ResponseWriter, *http.Request) { seen.Add(1) })
	for _, location := range []string{other.URL + "/charges", "/elsewhere", "", "http://bad host/%zz", "ftp://x"} {
		for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
			var requests atomic.Int32
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				if location != "" {
					w.Header().Set("Location", location)
				}
				w.WriteHeader(status)
			})
			got, e := answer(t, newClient(t, s.URL), charge())
			require.Equal(t, status, got.Status, "Location %q", location)
			require.EqualValues(t, 1, requests.Load())
			require.Equal(t, []any{processor.Ambiguous, false}, []any{e.Certainty, e.Retry})
		}
	}
	require.Zero(t, seen.Load())
}

// The body of a 101 is the connection itself: it does not end, and the deadline of the request does not apply to it.
func TestSwitchingProtocolsDoesNotBlockTheCall(t *testing.T) {
	u := listen(t, func(_ int, c *net.TCPConn) {
		readRequest(c)
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	c := newClient(t, u, within(5*time.Second))
	for range 3 {
		got, e := answer(t, c, charge())
		require.Equal(t, 101, got.Status)
		require.Equal(t, processor.Ambiguous, e.Certainty)
	}
}

// refusing returns a client whose server responds with 401 to the first n requests. seen returns credentials, idempotency key
// and body of every request.
func refusing(t *testing.T, n int) (c *Client, seen func() []string) {
	t.Helper()
	requests := make(chan string, 10)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- r.Header.Get("Authorization") + " " + r.Header.Get("Idempotency-Key") + " " + string(body)
		if len(requests) <= n {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	loads := 0
	credentials, err := credentials.New(t.Context(), func(context.Context) (credentials.Key, error) {
		loads++
		return credentials.Key{Value: fmt.Sprint("sk_", loads)}, nil
	})
	require.NoError(t, err)
	return newClient(t, s.URL, func(o *Options) { o.Credentials = credentials }), func() []string {
		close(requests)
		var all []string
		for r := range requests {
			all = append(all, r)
		}
		return all
	}
}

func Test401IsReplayedOnceWithANewAPIKeyAndTheSameIdempotencyKey(t *testing.T) {
	for _, tc := range []struct{ refusals, status, sends int }{{refusals: 0, status: 200, sends: 1},
		{refusals: 1, status: 200, sends: 2}, {refusals: 2, status: 401, sends: 2}, {refusals: 9, status: 401, sends: 2}} {
		c, seen := refusing(t, tc.refusals)
		got, _ := answer(t, c, charge())
		require.Equal(t, tc.status, got.Status)
		require.Equal(t, []string{"Bearer sk_1 " + testKey + ` {"amount":1250}`,
			"Bearer sk_2 " + testKey + ` {"amount":1250}`}[:tc.sends], seen())
	}
}

func TestRetryAfterOfA503DelaysOtherCalls(t *testing.T) {
	for _, tc := range []struct {
		status int
		held   bool
	}{{status: 429, held: false}, {status: 503, held: true}, {status: 500, held: false}, {status: 200, held: false}} {
		var calls atomic.Int32
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(tc.status)
		})
		c := newClient(t, s.URL)
		got, _ := answer(t, c, charge())
		require.Equal(t, time.Minute, got.RetryAfter)
		_, err := c.Do(t.Context(), charge())
		if !tc.held {
			require.EqualValues(t, 2, calls.Load())
			continue
		}
		e := requireError(t, err, processor.NotExecuted, true, payment.ClassUnavailable)
		require.InDelta(t, time.Minute, e.RetryAfter, float64(5*time.Second))
		require.EqualValues(t, 1, calls.Load())
	}
}

// The client has one connection slot. Every call must find it free, however the call before ended.
func TestNoOutcomeLeaksTheConnection(t *testing.T) {
	outcomes := []http.HandlerFunc{
		func(http.ResponseWriter, *http.Request) {},
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) },
		func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxResponseBody+maxDrain/2)) },
		func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 4<<20)) },
		func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) },
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "9") },
		func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		i, _ := strconv.Atoi(r.URL.Path[1:])
		outcomes[i](w, r)
	})
	c := newClient(t, s.URL, within(500*time.Millisecond))
	for i := range 22 {
		call := charge()
		call.Path = fmt.Sprint("/", i%len(outcomes))
		if _, err := c.Do(t.Context(), call); err != nil {
			var e *processor.Error
			require.ErrorAs(t, err, &e)
			require.True(t, e.HTTPStatus == http.StatusUnauthorized || e.Certainty == processor.Ambiguous,
				"call %d was not sent: %v", i, err)
		}
	}
}
