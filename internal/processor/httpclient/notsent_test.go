package httpclient

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func TestRefusedConnectionIsNotExecuted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close()
	_, err = newClient(t, "http://"+l.Addr().String()).Do(t.Context(), charge())
	e := requireError(t, err, processor.NotExecuted, true, payment.ClassNotSent)
	require.Equal(t, "dial: connect: connection refused", e.Message)
}

func TestUnresolvableHostIsNotExecuted(t *testing.T) {
	c := newClient(t, "https://processor.invalid")
	// A resolver that always fails, so that the test needs no network.
	c.connections.settings.DialContext = (&net.Dialer{Resolver: &net.Resolver{PreferGo: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "processor.invalid", IsNotFound: true}
		}}}).DialContext
	_, err := c.Do(t.Context(), charge())
	e := requireError(t, err, processor.NotExecuted, true, payment.ClassNotSent)
	require.Equal(t, "the processor's host name does not resolve", e.Message)
}

func TestConnectTimeoutIsNotExecuted(t *testing.T) {
	c := newClient(t, "http://localhost", within(50*time.Millisecond))
	c.connections.settings.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_, err := c.Do(t.Context(), charge())
	e := requireError(t, err, processor.NotExecuted, true, payment.ClassNotSent)
	require.Equal(t, "no response in time", e.Message)
}

func TestUntrustedCertificateIsAConfigurationErrorAndNotRetried(t *testing.T) {
	var called atomic.Bool
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Store(true) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	_, err := newClient(t, s.URL).Do(t.Context(), charge())
	requireError(t, err, processor.NotExecuted, false, payment.ClassConfig)

	// A trusted authority, but another host name.
	c := trust(newClient(t, s.URL), s)
	c.connections.settings.TLSClientConfig.ServerName = "other.example.org"
	_, err = c.Do(t.Context(), charge())
	requireError(t, err, processor.NotExecuted, false, payment.ClassConfig)
	require.False(t, called.Load())
}

func TestBrokenTLSHandshakeIsNotExecuted(t *testing.T) {
	for name, breakOff := range map[string]func(*net.TCPConn){
		"closed at once":                func(c *net.TCPConn) { c.Close() },
		"reset":                         reset,
		"closed after the client hello": func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 64)); c.Close() },
		"not TLS": func(c *net.TCPConn) {
			_, _ = io.WriteString(c,
				"HTTP/1.1 400 Bad Request\r\n\r\n")
			c.Close()
		},
		"handshake alert": func(c *net.TCPConn) { _, _ = c.Write([]byte{21, 3, 3, 0, 2, 2, 40}); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			url := listen(t, func(_ int, c *net.TCPConn) { breakOff(c) })
			_, err := newClient(t, "https"+url[len("http"):]).Do(t.Context(), charge())
			requireError(t, err, processor.NotExecuted, true, payment.ClassNotSent)
		})
	}
}

func TestTLSHandshakeTimeoutIsNotExecuted(t *testing.T) {
	url := listen(t, func(_ int, c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	_, err := newClient(t, "https"+url[len("http"):], within(50*time.Millisecond)).Do(t.Context(), charge())
	requireError(t, err, processor.NotExecuted, true, payment.ClassNotSent)
}

// newClient allows one call in flight.
func TestCallBeyondMaxInFlightIsNotExecuted(t *testing.T) {
	for name, tc := range map[string]struct {
		maxWait, deadline time.Duration
		class             payment.FailureClass
	}{
		"no max wait":         {maxWait: 0, deadline: time.Hour, class: payment.ClassUnavailable},
		"max wait ends first": {maxWait: 20 * time.Millisecond, deadline: time.Hour, class: payment.ClassUnavailable},
		"deadline ends first": {maxWait: time.Hour, deadline: 20 * time.Millisecond, class: payment.ClassNotSent},
	} {
		t.Run(name, func(t *testing.T) {
			arrived, release := make(chan struct{}), make(chan struct{})
			s := serve(t, func(http.ResponseWriter, *http.Request) {
				arrived <- struct{}{}
				<-release
			})
			c := newClient(t, s.URL, func(o *Options) { o.Limiter = ratelimit.New(0, 1, tc.maxWait) })
			first := make(chan error, 1)
			go func() {
				_, err := c.Do(t.Context(), charge())
				first <- err
			}()
			<-arrived
			ctx, cancel := context.WithTimeout(t.Context(), tc.deadline)
			defer cancel()
			_, err := c.Do(ctx, charge())
			close(release)
			requireError(t, err, processor.NotExecuted, true, tc.class)
			require.NoError(t, <-first)
		})
	}
}

func TestDeadlineBeforeTheRateLimitAllowsTheCallIsNotExecuted(t *testing.T) {
	var calls atomic.Int32
	s := serve(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	c := newClient(t, s.URL, within(time.Second), func(o *Options) { o.Limiter = ratelimit.New(0.1, 1, time.Hour) })
	_, err := c.Do(t.Context(), charge())
	require.NoError(t, err)
	_, err = c.Do(t.Context(), charge())
	e := requireError(t, err, processor.NotExecuted, true, payment.ClassNotSent)
	require.InDelta(t, 10*time.Second, e.RetryAfter, float64(2*time.Second))
	require.EqualValues(t, 1, calls.Load())
}

func TestCallCanceledBeforeTheRequestIsWrittenIsNotExecuted(t *testing.T) {
	var called atomic.Bool
	s := serve(t, func(http.ResponseWriter, *http.Request) { called.Store(true) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newClient(t, s.URL).Do(ctx, charge())
	e := requireError(t, err, processor.NotExecuted, true, payment.ClassNotSent)
	require.ErrorIs(t, e, context.Canceled)
	require.Equal(t, "the call was canceled", e.Message)
	require.False(t, called.Load())
}

func TestUnsafeCallIsRefusedBeforeAnythingIsSent(t *testing.T) {
	var called atomic.Bool
	s := serve(t, func(http.ResponseWriter, *http.Request) { called.Store(true) })
	for name, change := range map[string]func(*processor.Call){
		"no key":                 func(c *processor.Call) { c.Key = "" },
		"PATCH without key":      func(c *processor.Call) { c.Method, c.Key = http.MethodPatch, "" },
		"path without a slash":   func(c *processor.Call) { c.Path = "charges" },
		"path with dot segments": func(c *processor.Call) { c.Path = "/payments/../../admin" },
		"path with a query":      func(c *processor.Call) { c.Path = "/payments/x?y" },
		"path with a fragment":   func(c *processor.Call) { c.Path = "/payments/x#y" },
		"path with a space":      func(c *processor.Call) { c.Path = "/payments/x y\x00" },
		"line break in key":      func(c *processor.Call) { c.Key = "a\r\nX-Injected: 1" },
		"NUL in key":             func(c *processor.Call) { c.Key = "a\x00" },
		"method with a space":    func(c *processor.Call) { c.Method = "PO ST" },
		"empty method":           func(c *processor.Call) { c.Method, c.Key = "", "" },
	} {
		call := charge()
		change(&call)
		_, err := newClient(t, s.URL).Do(t.Context(), call)
		requireError(t, err, processor.NotExecuted, false, payment.ClassConfig)
		require.False(t, called.Load(), name)
	}
}

func TestFailedReloadOfTheAPIKeyIsRetryable(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	first := true
	credentials, err := credentials.New(t.Context(), func(context.Context) (credentials.Key, error) {
		if first {
			first = false
			return credentials.Key{Value: "sk_secret"}, nil
		}
		return credentials.Key{}, errors.New("vault is sealed")
	})
	require.NoError(t, err)
	_, err = newClient(t, s.URL, func(o *Options) { o.Credentials = credentials }).Do(t.Context(), charge())
	var e *processor.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, []any{processor.NotExecuted, true, payment.ClassUnavailable, 401},
		[]any{e.Certainty, e.Retry, e.Class, e.HTTPStatus})
	require.Contains(t, e.Error(), "vault is sealed")
}

// A variable of the environment must not decide who receives the API key and the payments.
func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, "http://proxy.invalid:3128")
	}
	for url, want := range map[string]string{"http://processor.invalid": "processor.invalid:80", "https://processor.invalid": "processor.invalid:443"} {
		c := newClient(t, url, func(o *Options) { o.Insecure = true })
		var dialed []string
		c.connections.settings.DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
			dialed = append(dialed, address)
			return nil, errors.New("no network")
		}
		_, err := c.Do(t.Context(), charge())
		requireError(t, err, processor.NotExecuted, true, payment.ClassNotSent)
		require.Equal(t, []string{want}, dialed)
	}
}
