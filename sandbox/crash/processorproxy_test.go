package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// serveProcessorProxy serves an HTTP handler as the processor behind the proxy. It returns the proxy's URL.
func serveProcessorProxy(t *testing.T, trigger *trigger, handler http.HandlerFunc) string {
	t.Helper()
	target := httptest.NewServer(handler)
	t.Cleanup(target.Close)
	l, err := newProxyListener(t.Context(), net.JoinHostPort(loopback, "0"))
	require.NoError(t, err)
	proxy := newProcessorProxy(trigger, target.Listener.Addr().String())
	go func() { _ = proxy.Serve(l) }()
	t.Cleanup(func() { _, _ = proxy.Close(), l.Close() })
	return "http://" + l.address
}

// requests has one request of each kind that the worker makes.
var requests = []struct{ exchange, method, path, body string }{
	{exchange: chargeCall, method: http.MethodPost, path: "/charges", body: `{"reference":"R"}`},
	{exchange: refundCall, method: http.MethodPost, path: "/refunds", body: `{"reference":"R"}`},
	{exchange: captureCall, method: http.MethodPost, path: "/payments/ch_1/capture", body: `{"amount":1}`},
	{exchange: voidCall, method: http.MethodPost, path: "/payments/ch_1/void", body: `{}`},
	{exchange: chargeLookup, method: http.MethodGet, path: "/payments?reference=R"},
	{exchange: refundLookup, method: http.MethodGet, path: "/refunds?reference=R"},
}

func TestVictimIsKilledAtThePointOfARequestToTheProcessor(t *testing.T) {
	for _, request := range requests {
		for _, tt := range []struct {
			moment                         point
			receivedAtKill, answeredAtKill int32
			receivedAtEnd, answeredAtEnd   int32
		}{
			{moment: beforeSend},
			{moment: executing, receivedAtKill: 1, receivedAtEnd: 1, answeredAtEnd: 1},
			{moment: beforeResponse, receivedAtKill: 1, answeredAtKill: 1, receivedAtEnd: 1, answeredAtEnd: 1},
		} {
			t.Run(string(at(request.exchange, tt.moment)), func(t *testing.T) {
				var trigger trigger
				var received, answered atomic.Int32
				release := make(chan struct{}) // The processor responds once this is closed: not before the victim is dead.
				if tt.moment != executing {
					close(release)
				}
				handled := make(chan struct{}, 1)
				url := serveProcessorProxy(t, &trigger, func(http.ResponseWriter, *http.Request) {
					received.Add(1)
					<-release
					answered.Add(1)
					handled <- struct{}{}
				})
				var receivedAtKill, answeredAtKill int32
				k := armKill(t, &trigger, at(request.exchange, tt.moment), func() {
					if tt.moment == executing {
						defer close(release)
						for received.Load() == 0 { // The request was sent, but may not have arrived yet.
							<-time.After(time.Millisecond)
						}
					}
					receivedAtKill, answeredAtKill = received.Load(), answered.Load()
				})
				r, err := http.NewRequest(request.method, url+request.path, strings.NewReader(request.body))
				require.NoError(t, err)
				r.Header.Set("Idempotency-Key", "K")
				_, err = http.DefaultTransport.RoundTrip(r)
				require.Error(t, err, "the caller gets no response")
				require.True(t, k.succeeded())
				require.Contains(t, string(k.message), " K "+request.body)
				require.Equal(t, []int32{tt.receivedAtKill, tt.answeredAtKill}, []int32{receivedAtKill, answeredAtKill})
				if tt.answeredAtEnd > 0 {
					<-handled // The processor goes on after the caller's connection is gone.
				}
				require.Equal(t, []int32{tt.receivedAtEnd, tt.answeredAtEnd}, []int32{received.Load(), answered.Load()})
			})
		}
	}
}

func TestOtherRequestsDoNotReachThePointOfAnArmedKill(t *testing.T) {
	var trigger trigger
	url := serveProcessorProxy(t, &trigger, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("done")) })
	for _, armed := range requests {
		for _, moment := range []point{beforeSend, executing, beforeResponse} {
			k := armKill(t, &trigger, at(armed.exchange, moment), func() {})
			for _, other := range requests {
				if other.exchange != armed.exchange {
					require.Equal(t, "done", do(t, url, other.method, other.path, other.body))
				}
			}
			require.False(t, k.succeeded())
		}
	}
}

// do sends a request and returns the response's body.
func do(t *testing.T, url, method, path, body string) string {
	t.Helper()
	request, err := http.NewRequest(method, url+path, strings.NewReader(body))
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(content)
}

func TestResponsesOfTheProcessorAreForwardedUnchanged(t *testing.T) {
	sendAndReset := func(w http.ResponseWriter, response string) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = conn.Write([]byte(response))
			reset(conn)
		}
	}
	tests := []struct {
		name       string
		handler    http.HandlerFunc
		want       string // status, Retry-After and body; empty: no response
		incomplete bool   // the body is incomplete
	}{
		{
			name: "a response with headers and a body",
			handler: func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(http.StatusTooManyRequests)
				_, _ = fmt.Fprintf(w, "%s %s", r.Header.Get("Idempotency-Key"), r.URL.RawQuery)
			},
			want: "429 7 K a=b",
		},
		{name: "an empty response", handler: func(http.ResponseWriter, *http.Request) {}, want: "200  "},
		{
			name:    "a redirect, which is not followed",
			handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) },
			want:    "302  ",
		},
		{name: "a connection reset", handler: func(w http.ResponseWriter, _ *http.Request) { sendAndReset(w, "") }},
		{
			name: "an incomplete body",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				sendAndReset(w, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
			},
			want: "200  half", incomplete: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var trigger trigger
			url := serveProcessorProxy(t, &trigger, tt.handler)
			request, err := http.NewRequest(http.MethodPost, url+"/charges?a=b", strings.NewReader("{}"))
			require.NoError(t, err)
			request.Header.Set("Idempotency-Key", "K")
			response, err := http.DefaultTransport.RoundTrip(request)
			if tt.want == "" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			defer response.Body.Close()
			content, err := io.ReadAll(response.Body)
			require.Equal(t, tt.incomplete, err != nil)
			body, _, _ := strings.Cut(string(content), "\n")
			require.Equal(t, tt.want, fmt.Sprintf("%d %s %s", response.StatusCode, response.Header.Get("Retry-After"), body))
		})
	}
}
