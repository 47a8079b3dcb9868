package httpclient

import (
	"bufio"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func TestConnectionThatBreaksAfterTheRequestWasWrittenIsAmbiguous(t *testing.T) {
	written := make(chan struct{}, 1)
	ctx := httptrace.WithClientTrace(t.Context(),
		&httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { written <- struct{}{} }})
	for name, breakOff := range map[string]func(*net.TCPConn){
		"reset before the request is read":  reset,
		"closed before the request is read": func(c *net.TCPConn) { c.Close() },
		"reset after the request was read":  func(c *net.TCPConn) { readRequest(c); reset(c) },
		"closed after the request was read": func(c *net.TCPConn) { readRequest(c); c.Close() },
		"half a status line": func(c *net.TCPConn) {
			readRequest(c)
			_, _ = io.WriteString(c,
				"HTTP/1.1 20")
			c.Close()
		},
		"half the headers": func(c *net.TCPConn) {
			readRequest(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-")
			reset(c)
		},
		"closed after an informational response": func(c *net.TCPConn) {
			readRequest(c)
			_, _ = io.WriteString(c, "HTTP/1.1 103 Early\r\n\r\n")
			c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := listen(t, func(_ int, c *net.TCPConn) {
				<-written
				breakOff(c)
			})
			_, err := newClient(t, url).Do(ctx, charge())
			requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
		})
	}
}

func TestMalformedHTTPResponseIsAmbiguous(t *testing.T) {
	for name, response := range map[string]string{
		"not HTTP":            "SSH-2.0-OpenSSH_9.6\r\n",
		"binary":              "\xff\xfe\x00\x01\r\n\r\n",
		"invalid status":      "HTTP/1.1 2000 OK\r\n\r\n",
		"invalid UTF-8":       "HTTP/1.1 200 OK\r\n" + strings.Repeat("\xffé", 5000) + "\r\n\r\n",
		"card in a header":    "HTTP/1.1 200 OK\r\nno colon 4111 1111 1111 1111\r\n\r\n",
		"two content lengths": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"headers too large":   "HTTP/1.1 200 OK\r\nX-Large: " + strings.Repeat("x", 2*maxResponseHeaders) + "\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			url := listen(t, func(_ int, c *net.TCPConn) {
				readRequest(c)
				_, _ = io.WriteString(c, response)
				_, _ = io.Copy(io.Discard, c)
			})
			_, err := newClient(t, url).Do(t.Context(), charge())
			e := requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
			require.True(t, utf8.ValidString(e.Error()), "Temporal cannot store %q", e.Error())
			require.NotContains(t, e.Error(), "4111")
		})
	}
}

func TestTimeoutAfterTheRequestWasWrittenIsAmbiguous(t *testing.T) {
	for name, server := range map[string]func(http.Handler) *httptest.Server{"HTTP/1.1": httptest.NewServer,
		"HTTP/2": newHTTP2} {
		t.Run(name, func(t *testing.T) {
			s := server(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			}))
			defer s.Close()
			c := newClient(t, s.URL, within(500*time.Millisecond))
			if s.TLS != nil {
				trust(c, s)
			}
			_, err := c.Do(t.Context(), charge())
			e := requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
			require.Equal(t, "no response in time", e.Message)
		})
	}
}

func newHTTP2(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	return s
}

func TestResetHTTP2StreamIsAmbiguous(t *testing.T) {
	s := newHTTP2(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}))
	defer s.Close()
	_, err := trust(newClient(t, s.URL), s).Do(t.Context(), charge())
	requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
}

func TestCallCanceledAfterTheRequestWasWrittenIsAmbiguous(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	_, err := newClient(t, s.URL).Do(ctx, charge())
	e := requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
	require.Equal(t, "the call was canceled", e.Message)
}

// net/http resends a request with an Idempotency-Key by itself if a reused connection turns out to be closed. The processor
// must receive the same key.
func TestResendOnAStaleConnectionUsesTheSameKey(t *testing.T) {
	keys := make(chan string, 3)
	url := listen(t, func(n int, c *net.TCPConn) {
		in := bufio.NewReader(c)
		for i := 1; ; i++ {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			keys <- r.Header.Get("Idempotency-Key")
			if n == 1 && i == 2 {
				reset(c)
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		}
	})
	c := newClient(t, url)
	for _, key := range []string{"first", "second"} {
		call := charge()
		call.Key = key
		answer, err := c.Do(t.Context(), call)
		require.NoError(t, err)
		require.Equal(t, 200, answer.Status)
	}
	require.Equal(t, []string{"first", "second", "second"}, []string{<-keys, <-keys, <-keys})
}

// The second send finds no listener, but the first may have been executed.
func TestFailedResendAfterAStaleConnectionIsAmbiguous(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		readRequest(c)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		readRequest(c)
		l.Close()
		reset(c.(*net.TCPConn))
	}()
	c := newClient(t, "http://"+l.Addr().String())
	_, err = c.Do(t.Context(), charge())
	require.NoError(t, err)
	_, err = c.Do(t.Context(), charge())
	requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
	<-done
}
