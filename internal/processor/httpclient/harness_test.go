package httpclient

import (
	"bufio"
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

const testKey = "8a7c5d8e-0000-5000-8000-000000000001"

// charge returns a valid charge.
func charge() processor.Call {
	return processor.Call{Method: http.MethodPost, Path: "/charges", Body: []byte(`{"amount":1250}`), Key: testKey}
}

// newClient returns a client with one connection, a burst that no test reaches, so that a rate that was cut delays no call, and an
// attempt timeout of 10 s, which no test reaches unless it shortens it.
func newClient(t *testing.T, url string, change ...func(*Options)) *Client {
	t.Helper()
	credentials, err := credentials.New(t.Context(),
		func(context.Context) (credentials.Key, error) { return credentials.Key{Value: "sk_secret"}, nil })
	require.NoError(t, err)
	o := Options{BaseURL: url, Credentials: credentials, Limiter: ratelimit.New(0, 1000, 0),
		AttemptTimeout: 10 * time.Second, MaxInFlight: 1}
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func within(d time.Duration) func(*Options) {
	return func(o *Options) { o.AttemptTimeout = d }
}

// trust adds the server's certificate to the roots of the client.
func trust(c *Client, s *httptest.Server) *Client {
	c.connections.settings.TLSClientConfig.RootCAs = x509.NewCertPool()
	c.connections.settings.TLSClientConfig.RootCAs.AddCert(s.Certificate())
	return c
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// listen accepts connections and runs serve for each, with its number n from 1. It closes all of them at the end of the test.
// It returns the base URL.
func listen(t *testing.T, serve func(n int, c *net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	var open []net.Conn
	var all sync.WaitGroup
	all.Go(func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() { serve(n, c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return "http://" + l.Addr().String()
}

// readRequest reads a whole request. It returns nil if the connection ends before.
func readRequest(c net.Conn) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return nil
	}
	buffer := make([]byte, r.ContentLength)
	for read := 0; read < len(buffer); {
		n, err := r.Body.Read(buffer[read:])
		if err != nil && read+n < len(buffer) {
			return nil
		}
		read += n
	}
	return r
}

// reset makes the peer see "connection reset by peer".
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	c.Close()
}

// requireError requires a *processor.Error without a response, with these values and without secrets in its text.
func requireError(t *testing.T, err error, certainty processor.Certainty, retry bool,
	class payment.FailureClass) *processor.Error {
	t.Helper()
	var e *processor.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, certainty, e.Certainty, "%v", err)
	require.Equal(t, retry, e.Retry, "%v", err)
	require.Equal(t, class, e.Class, "%v", err)
	require.Zero(t, e.HTTPStatus)
	require.NotContains(t, err.Error(), "sk_secret")
	require.NotContains(t, err.Error(), testKey)
	require.LessOrEqual(t, len(e.Message), processor.MaxClipped)
	return e
}

// answer makes a call and requires a response, of any status.
func answer(t *testing.T, c *Client, call processor.Call) (processor.Answer, *processor.Error) {
	t.Helper()
	a, err := c.Do(t.Context(), call)
	require.NotZero(t, a.Status, "%v", err)
	var e *processor.Error
	if err != nil {
		require.ErrorAs(t, err, &e)
		require.Equal(t, a.Status, e.HTTPStatus)
	}
	return a, e
}
