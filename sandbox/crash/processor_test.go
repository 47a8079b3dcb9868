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

// simulatorBehind serves a processor behind the proxy, and returns the proxy's URL.
func simulatorBehind(t *testing.T, g *gate, handler http.HandlerFunc) string {
	t.Helper()
	target := httptest.NewServer(handler)
	t.Cleanup(target.Close)
	d, err := newDoor(t.Context(), net.JoinHostPort(loopback, "0"))
	require.NoError(t, err)
	proxy := newProcessorProxy(g, target.Listener.Addr().String())
	go func() { _ = proxy.Serve(d) }()
	t.Cleanup(func() { _, _ = proxy.Close(), d.Close() })
	return "http://" + d.address
}

// calls are one of each kind that the worker makes.
var calls = []struct{ what, method, path, body string }{
	{chargeCall, http.MethodPost, "/charges", `{"reference":"R"}`},
	{refundCall, http.MethodPost, "/refunds", `{"reference":"R"}`},
	{captureCall, http.MethodPost, "/payments/ch_1/capture", `{"amount":1}`},
	{voidCall, http.MethodPost, "/payments/ch_1/void", `{}`},
	{chargeLookup, http.MethodGet, "/payments?reference=R", ""},
	{refundLookup, http.MethodGet, "/refunds?reference=R", ""},
}

func TestACallToTheProcessorIsStruckWhereItSays(t *testing.T) {
	for _, call := range calls {
		for _, tt := range []struct {
			when                         point
			receivedThen, answeredThen   int32 // when the victim died
			receivedAtEnd, answeredAtEnd int32
		}{
			{beforeSend, 0, 0, 0, 0},
			{executing, 1, 0, 1, 1},
			{afterSend, 1, 1, 1, 1},
		} {
			t.Run(string(at(call.what, tt.when)), func(t *testing.T) {
				var g gate
				var received, answered atomic.Int32
				release := make(chan struct{}) // it does not answer while somebody dies
				if tt.when != executing {
					close(release)
				}
				url := simulatorBehind(t, &g, func(http.ResponseWriter, *http.Request) {
					received.Add(1)
					<-release
					answered.Add(1)
				})
				var receivedThen, answeredThen int32
				s := armed(t, &g, at(call.what, tt.when), func() {
					if tt.when == executing {
						defer close(release)
						for received.Load() == 0 { // it is on its way
							<-time.After(time.Millisecond)
						}
					}
					receivedThen, answeredThen = received.Load(), answered.Load()
				})
				request, err := http.NewRequest(call.method, url+call.path, strings.NewReader(call.body))
				require.NoError(t, err)
				request.Header.Set("Idempotency-Key", "K")
				_, err = http.DefaultTransport.RoundTrip(request)
				require.Error(t, err, "the caller gets no answer")
				require.True(t, s.struck())
				require.Contains(t, string(s.held), " K "+call.body)
				require.Equal(t, []int32{tt.receivedThen, tt.answeredThen}, []int32{receivedThen, answeredThen})
				require.Equal(t, []int32{tt.receivedAtEnd, tt.answeredAtEnd}, []int32{received.Load(), answered.Load()})
			})
		}
	}
}

func TestOtherCallsPassAStrike(t *testing.T) {
	var g gate
	url := simulatorBehind(t, &g, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("done")) })
	for _, struck := range calls {
		for _, when := range []point{beforeSend, executing, afterSend} {
			s := armed(t, &g, at(struck.what, when), func() {})
			for _, call := range calls {
				if call.what != struck.what {
					require.Equal(t, "done", do(t, url, call.method, call.path, call.body))
				}
			}
			require.False(t, s.struck())
		}
	}
}

func do(t *testing.T, url, method, path, body string) string {
	t.Helper()
	request, err := http.NewRequest(method, url+path, strings.NewReader(body))
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(said)
}

func TestWhatTheProcessorDoesComesThroughAsItIs(t *testing.T) {
	hijack := func(w http.ResponseWriter, answer string) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = conn.Write([]byte(answer))
			reset(conn)
		}
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string // status and body; empty: no answer
		broken  bool   // the body breaks off
	}{
		{"an answer", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = fmt.Fprintf(w, "%s %s", r.Header.Get("Idempotency-Key"), r.URL.RawQuery)
		}, "429 7 K a=b", false},
		{"an empty answer", func(http.ResponseWriter, *http.Request) {}, "200  ", false},
		{"a redirect, not followed", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, "302  ", false},
		{"a reset", func(w http.ResponseWriter, _ *http.Request) { hijack(w, "") }, "", false},
		{"half a body", func(w http.ResponseWriter, _ *http.Request) {
			hijack(w, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		}, "200  half", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var g gate
			url := simulatorBehind(t, &g, tt.handler)
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
			said, err := io.ReadAll(response.Body)
			require.Equal(t, tt.broken, err != nil)
			body, _, _ := strings.Cut(string(said), "\n")
			require.Equal(t, tt.want, fmt.Sprintf("%d %s %s", response.StatusCode, response.Header.Get("Retry-After"), body))
		})
	}
}
