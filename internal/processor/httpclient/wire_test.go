package httpclient

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// authority is a certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Unix(0, 0),
		NotAfter: time.Now().Add(24 * time.Hour),
		IsCA:     true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{certificate: certificate, key: key}
}

// roots returns a pool with the certificate of the authority.
func (a authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// issue returns a certificate for host, which is a name or an IP address.
func (a authority) issue(t *testing.T, host string, from, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// write sends text and ignores errors.
func write(c net.Conn, text string) { _, _ = io.WriteString(c, text) }

// drip sends text one byte at a time until the client closes the connection.
func drip(c net.Conn, text string) {
	for i := range len(text) {
		if _, err := io.WriteString(c, text[i:i+1]); err != nil {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

// readHeaders reads a request up to its body.
func readHeaders(c net.Conn) {
	one := make([]byte, 1)
	for seen := ""; !strings.HasSuffix(seen, "\r\n\r\n"); seen += string(one) {
		if _, err := c.Read(one); err != nil {
			return
		}
	}
}

const wireOK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

// respondAll responds to every request with 200.
func respondAll(c net.Conn) {
	for readRequest(c) != nil {
		write(c, wireOK)
	}
}

// isJSON is a minimal Decode.
func isJSON(body []byte) error {
	if !json.Valid(body) {
		return errors.New("not JSON")
	}
	return nil
}

// These faults need a real socket. The client has one connection slot, which a later call must find free.
func TestFaultsOnTheWire(t *testing.T) {
	const (
		unknown = payment.ClassOutcomeUnknown
		invalid = payment.ClassInvalidResponse
	)
	respond := func(text string) func(*net.TCPConn) {
		return func(c *net.TCPConn) {
			readRequest(c)
			write(c, text)
		}
	}
	respondAndClose := func(text string) func(*net.TCPConn) {
		return func(c *net.TCPConn) {
			respond(text)(c)
			c.Close()
		}
	}
	// early responds before the body is sent and does not read the body.
	early := func(text string) func(*net.TCPConn) {
		return func(c *net.TCPConn) {
			readHeaders(c)
			write(c, text)
			<-time.After(100 * time.Millisecond)
			c.Close()
		}
	}
	small, large := []byte(`{"amount":1250}`), bytes.Repeat([]byte("x"), 8<<20)
	const long, short = 10 * time.Second, 250 * time.Millisecond
	for _, tc := range []struct {
		name      string
		fault     func(c *net.TCPConn)
		body      []byte
		timeout   time.Duration
		status    int
		certainty processor.Certainty
		retry     bool
		class     payment.FailureClass
	}{
		{name: "half-closed after the request was read, then reset", fault: func(c *net.TCPConn) {
			readRequest(c)
			_ = c.CloseWrite()
			reset(c)
		}, body: small, timeout: long, certainty: processor.Ambiguous, retry: true, class: unknown},
		{name: "half-closed after the request was read, and kept open", fault: func(c *net.TCPConn) {
			readRequest(c)
			_ = c.CloseWrite()
		}, body: small, timeout: long, certainty: processor.Ambiguous, retry: true, class: unknown},
		{name: "half-closed in the middle of the body", fault: func(c *net.TCPConn) {
			readHeaders(c)
			_ = c.CloseWrite()
		}, body: large, timeout: long, certainty: processor.Ambiguous, retry: true, class: unknown},
		{name: "reset in the middle of the body", fault: func(c *net.TCPConn) {
			readHeaders(c)
			_, _ = io.CopyN(io.Discard, c, 1<<20)
			reset(c)
		}, body: large, timeout: long, certainty: processor.Ambiguous, retry: true, class: unknown},
		{name: "the server does not read the body", fault: readHeadersOnly, body: large, timeout: short,
			certainty: processor.Ambiguous, retry: true, class: unknown},

		{name: "two thousand 103, then 200",
			fault: respond(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 2000) + wireOK), body: small,
			timeout: long, status: 200, certainty: processor.Answered},
		{name: "endless 103", fault: respond(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 5000)),
			body: small, timeout: long, certainty: processor.Ambiguous, retry: true, class: unknown},
		{name: "unsolicited 100, then 200", fault: respond("HTTP/1.1 100 Continue\r\n\r\n" + wireOK), body: small,
			timeout: long, status: 200, certainty: processor.Answered},
		{name: "100, then nothing", fault: respond("HTTP/1.1 100 Continue\r\n\r\n"), body: small, timeout: short,
			certainty: processor.Ambiguous, retry: true, class: unknown},
		{name: "100, then 403",
			fault: respond("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
			body:  small, timeout: long, status: 403, certainty: processor.NotExecuted, class: payment.ClassPermission},

		{name: "slow headers", fault: func(c *net.TCPConn) { readRequest(c); drip(c, wireOK) }, body: small,
			timeout: short, certainty: processor.Ambiguous, retry: true, class: unknown},
		{name: "a slow body", fault: func(c *net.TCPConn) {
			respond("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")(c)
			drip(c, strings.Repeat("x", 100))
		}, body: small, timeout: short, status: 200, certainty: processor.Ambiguous, retry: true, class: invalid},
		{name: "a slow refusal", fault: func(c *net.TCPConn) {
			respond("HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\n")(c)
			drip(c, strings.Repeat("x", 100))
		}, body: small, timeout: short, status: 403, certainty: processor.NotExecuted, class: payment.ClassPermission},

		{name: "chunks without the last one",
			fault: respondAndClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"), body: small,
			timeout: long, status: 200, certainty: processor.Ambiguous, retry: true, class: invalid},
		{name: "half a chunk", fault: respondAndClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{}"),
			body: small, timeout: long, status: 200, certainty: processor.Ambiguous, retry: true, class: invalid},
		{name: "a chunk with an invalid size",
			fault: respond("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n\r\n"), body: small,
			timeout: long, status: 200, certainty: processor.Ambiguous, retry: true, class: invalid},
		{name: "a chunk longer than its size",
			fault: respond("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n"), body: small,
			timeout: long, status: 200, certainty: processor.Ambiguous, retry: true, class: invalid},
		{name: "a body that ends with a reset", fault: func(c *net.TCPConn) {
			respond("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")(c)
			<-time.After(50 * time.Millisecond)
			reset(c)
		}, body: small, timeout: long, status: 200, certainty: processor.Ambiguous, retry: true, class: invalid},
		{name: "HTML", fault: respond("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"),
			body: small, timeout: long, status: 200, certainty: processor.Ambiguous, retry: true, class: invalid},

		{name: "an early 413", fault: early("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}"), body: large,
			timeout: long, status: 413, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "an early 413 that closes",
			fault: early("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"), body: large,
			timeout: long, status: 413, certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{name: "an early 200", fault: early(wireOK), body: large, timeout: long, status: 200, certainty: processor.Answered},
		{name: "an early 503", fault: early("HTTP/1.1 503 Unavailable\r\nContent-Length: 2\r\n\r\n{}"), body: large,
			timeout: long, status: 503, certainty: processor.Ambiguous, retry: true, class: payment.ClassUnavailable},

		{name: "HTTP/1.0", fault: respondAndClose("HTTP/1.0 200 OK\r\n\r\n{}"), body: small, timeout: long, status: 200,
			certainty: processor.Answered},
		{name: "HTTP/1.0 with an incomplete body", fault: respondAndClose("HTTP/1.0 200 OK\r\n\r\n{\"id\":"),
			body: small, timeout: long, status: 200, certainty: processor.Ambiguous, retry: true, class: invalid},
		{name: "HTTP/0.9", fault: respondAndClose("{}"), body: small, timeout: long, certainty: processor.Ambiguous,
			retry: true, class: unknown},
		{name: "two status lines",
			fault: respond("HTTP/1.1 200 OK\r\nHTTP/1.1 402 Payment Required\r\nContent-Length: 2\r\n\r\n{}"),
			body:  small, timeout: long, certainty: processor.Ambiguous, retry: true, class: unknown},
		{name: "Content-Length and chunks",
			fault: respond("HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
			body:  small, timeout: long, status: 200, certainty: processor.Answered},
		{name: "negative Content-Length", fault: respond("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"), body: small,
			timeout: long, certainty: processor.Ambiguous, retry: true, class: unknown},
		{name: "unknown Transfer-Encoding", fault: respond("HTTP/1.1 200 OK\r\nTransfer-Encoding: magic\r\n\r\n{}"),
			body: small, timeout: long, certainty: processor.Ambiguous, retry: true, class: unknown},

		{name: "401, then EOF on the replay", fault: func(c *net.TCPConn) {
			respond("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}")(c)
			readRequest(c) // the replay, which net/http resends
			c.Close()
		}, body: small, timeout: long, status: 200, certainty: processor.Answered},
		{name: "the connection is reset before the next call", fault: func(c *net.TCPConn) {
			respond(wireOK)(c)
			<-time.After(50 * time.Millisecond)
			reset(c)
		}, body: small, timeout: long, status: 200, certainty: processor.Answered},
		{name: "the connection is reset when the next call arrives", fault: func(c *net.TCPConn) {
			respond(wireOK)(c)
			_, _ = c.Read(make([]byte, 1))
			reset(c)
		}, body: small, timeout: long, status: 200, certainty: processor.Answered},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url := listen(t, func(n int, c *net.TCPConn) {
				if n == 1 {
					tc.fault(c)
				}
				respondAll(c)
			})
			c := newClient(t, url, within(tc.timeout))
			call := charge()
			call.Body, call.Decode = tc.body, isJSON
			got, err := c.Do(t.Context(), call)
			require.Equal(t, tc.status, got.Status, "%v", err)
			switch {
			case tc.certainty == processor.Answered:
				require.NoError(t, err)
			case tc.status == 0:
				requireError(t, err, tc.certainty, tc.retry, tc.class)
			default:
				var e *processor.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, []any{tc.certainty, tc.retry, tc.class, tc.status},
					[]any{e.Certainty, e.Retry, e.Class, e.HTTPStatus}, "%v", err)
			}
			c.timeout = long
			_, err = c.Do(t.Context(), charge())
			require.NoError(t, err)
			require.Zero(t, c.Stats().InFlight)
		})
	}
}

func readHeadersOnly(c *net.TCPConn) {
	readHeaders(c)
	<-time.After(300 * time.Millisecond)
}

// A processor that half-closes or responds at once may or may not read the request. The client cannot know, so it must never
// report a request as not executed that the processor has read.
func TestRequestThatWasReadIsNeverReportedAsNotExecuted(t *testing.T) {
	for name, closes := range map[string]func(*net.TCPConn){
		"half-close before the request is read": func(c *net.TCPConn) { _ = c.CloseWrite() },
		"response before the request is read": func(c *net.TCPConn) {
			write(c,
				"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			read := make(chan bool)
			url := listen(t, func(_ int, c *net.TCPConn) {
				closes(c)
				read <- readRequest(c) != nil
			})
			for range 50 {
				c := newClient(t, url)
				_, err := c.Do(t.Context(), charge())
				var e *processor.Error
				require.ErrorAs(t, err, &e)
				if <-read {
					require.Equal(t, processor.Ambiguous, e.Certainty, "%v", err)
				}
			}
		})
	}
}

// The 401 proves that the first send was not executed, and the replay was not sent.
func Test401WhoseReplayCannotConnectIsNotExecuted(t *testing.T) {
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
		l.Close()
		write(c, "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
		c.Close()
	}()
	got, err := newClient(t, "http://"+l.Addr().String()).Do(t.Context(), charge())
	requireError(t, err, processor.NotExecuted, true, payment.ClassNotSent)
	require.Equal(t, 1, got.Sends)
	<-done
}

// The 401 proves that the first send was not executed, but the outcome of the replay is unknown.
func Test401WhoseReplayHasNoResponseIsAmbiguous(t *testing.T) {
	url := listen(t, func(n int, c *net.TCPConn) {
		readRequest(c)
		if n == 1 {
			write(c, "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
		}
		c.Close()
	})
	got, err := newClient(t, url).Do(t.Context(), charge())
	requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
	require.Equal(t, 2, got.Sends)
}

// If all kept connections are closed, net/http would send the charge on each of them in turn.
func TestCallDoesNotTryAllClosedConnectionsOfThePool(t *testing.T) {
	const pool, limit = 40, 8
	var arrived sync.WaitGroup
	arrived.Add(pool)
	var charges atomic.Int32
	url := listen(t, func(n int, c *net.TCPConn) {
		if n > pool {
			respondAll(c)
			return
		}
		readRequest(c)
		arrived.Done()
		arrived.Wait()
		write(c, wireOK)
		if readRequest(c) != nil {
			charges.Add(1)
		}
		reset(c)
	})
	c := newClient(t, url, func(o *Options) { o.MaxInFlight = pool })
	var all sync.WaitGroup
	for range pool {
		all.Go(func() {
			_, err := c.Do(t.Context(), processor.Call{Method: http.MethodGet, Path: "/payments"})
			require.NoError(t, err)
		})
	}
	all.Wait()
	got, err := c.Do(t.Context(), charge())
	require.LessOrEqual(t, got.Sends, limit, "%d closed connections received the charge: %v", charges.Load(), err)
}

// hang reads the request and does not respond.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestAttemptTimeoutAppliesUnderALongerDeadlineOfTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, "http://localhost")
		pipeServer(t, hang)(c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		_, err := c.Do(ctx, charge())
		requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
		require.Equal(t, 10*time.Second, time.Since(began))
	})
}

// A cancellation by the caller, whatever its cause, proves nothing about the health of the processor.
func TestCallThatItsCallerCancelsIsNotATimeoutAndDoesNotOpenTheBreaker(t *testing.T) {
	for name, cause := range map[string]error{"no cause": nil, "a cause": errors.New("the worker is shutting down")} {
		t.Run(name, func(t *testing.T) {
			arrived := make(chan struct{})
			s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				arrived <- struct{}{}
				<-r.Context().Done()
			})
			b := newTestBreaker(t)
			c := newClient(t, s.URL, func(o *Options) { o.Breaker = b })
			for range testBreaker.MinCalls {
				ctx, cancel := context.WithCancelCause(t.Context())
				go func() {
					<-arrived
					cancel(cause)
				}()
				_, err := c.Do(ctx, charge())
				e := requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
				require.NotEqual(t, "no response in time", e.Message)
				require.ErrorIs(t, err, context.Cause(ctx))
			}
			require.Equal(t, "closed", b.State())
		})
	}
}

func TestBrokenConnectionsOpenTheBreaker(t *testing.T) {
	for name, breakOff := range map[string]func(*net.TCPConn){
		"reset before the response":  reset,
		"closed before the response": func(c *net.TCPConn) { c.Close() },
		"reset in the middle of the response": func(c *net.TCPConn) {
			write(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
			<-time.After(20 * time.Millisecond)
			reset(c)
		},
		"closed in the middle of the response": func(c *net.TCPConn) {
			write(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
			c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := listen(t, func(_ int, c *net.TCPConn) {
				readRequest(c)
				breakOff(c)
			})
			b := newTestBreaker(t)
			c := newClient(t, url, func(o *Options) { o.Breaker = b })
			for range testBreaker.MinCalls {
				_, err := c.Do(t.Context(), charge())
				require.Error(t, err)
			}
			require.Equal(t, "open", b.State())
		})
	}
}

// All attempts use one connection, so each response was read to its end and closed.
func TestResponsesOfRetriedAttemptsAreReadAndClosed(t *testing.T) {
	var connections, calls atomic.Int32
	url := listen(t, func(_ int, c *net.TCPConn) {
		connections.Add(1)
		for readRequest(c) != nil {
			if calls.Add(1) < 5 {
				write(c, "HTTP/1.1 503 Unavailable\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 100_000))
				continue
			}
			write(c, wireOK)
		}
	})
	c := newClient(t, url, func(o *Options) {
		o.Retry = &retry.Policy{Backoff: retry.Backoff{Strategy: retry.Fixed, Initial: time.Millisecond,
			Max: time.Millisecond}, MaxAttempts: 5, MaxElapsed: time.Minute, Random: steady}
	})
	got, err := c.Do(t.Context(), charge())
	require.NoError(t, err)
	require.Equal(t, 5, got.Sends)
	require.EqualValues(t, 1, connections.Load())
}

// An endless body is truncated at the limit. It must not be drained until the attempt timeout, which is an hour here.
func TestEndlessBodyIsNotDrained(t *testing.T) {
	closed := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(closed)
		_, _ = io.Copy(io.Discard, r.Body)
		block := make([]byte, 64<<10)
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	got, err := newClient(t, s.URL, within(time.Hour)).Do(t.Context(), charge())
	require.ErrorContains(t, err, "did not arrive completely")
	require.True(t, got.Truncated)
	<-closed
}

func TestEverySendOfACallIsIdentical(t *testing.T) {
	type sent struct {
		method, key, length string
		body                []byte
	}
	var mu sync.Mutex
	var sends []sent
	url := listen(t, func(_ int, c *net.TCPConn) {
		in := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(r.Body)
			if r.Header.Get("Idempotency-Key") != testKey {
				write(c, wireOK)
				continue
			}
			mu.Lock()
			sends = append(sends, sent{method: r.Method, key: r.Header.Get("Idempotency-Key"),
				length: r.Header.Get("Content-Length"), body: body})
			n := len(sends)
			mu.Unlock()
			switch n {
			case 1, 4: // net/http resends
				reset(c)
				return
			case 2: // the client replays with a fresh API key
				write(c, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
			case 3: // the client retries
				write(c, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
			default:
				write(c, wireOK)
			}
		}
	})
	c := newClient(t, url, func(o *Options) {
		o.Retry = &retry.Policy{Backoff: retry.Backoff{Strategy: retry.Fixed, Initial: time.Millisecond,
			Max: time.Millisecond}, MaxAttempts: 3, MaxElapsed: time.Minute, Random: steady}
	})
	_, err := c.Do(t.Context(), processor.Call{Method: http.MethodGet, Path: "/payments"})
	require.NoError(t, err)
	call := charge()
	call.Body = bytes.Repeat([]byte("0123456789"), 100_000)
	got, err := c.Do(t.Context(), call)
	require.NoError(t, err)
	require.Equal(t, 5, got.Sends)
	require.Len(t, sends, 5)
	for i, s := range sends {
		require.Equal(t, []string{"POST", testKey}, []string{s.method, s.key})
		require.True(t, bytes.Equal(call.Body, s.body), "send %d has %d bytes", i+1, len(s.body))
	}
}

// For -race: keys, bodies and headers of concurrent calls do not mix, even if some are rejected and some get no response.
func TestConcurrentCallsDoNotMixAndReloadTheCredentialsOnce(t *testing.T) {
	var requests, loads atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.Header.Get("Authorization") != "Bearer sk_2":
			w.WriteHeader(http.StatusUnauthorized)
		case requests.Add(1)%7 == 0:
			panic(http.ErrAbortHandler)
		default:
			_, _ = fmt.Fprint(w, r.Header.Get("Idempotency-Key"), " ", r.Header.Get("X-Merchant"), " ", string(body))
		}
	})
	keys, err := credentials.New(t.Context(), func(context.Context) (credentials.Key, error) {
		return credentials.Key{Value: fmt.Sprint("sk_", loads.Add(1))}, nil
	})
	require.NoError(t, err)
	c := newClient(t, s.URL, func(o *Options) {
		o.Credentials, o.MaxInFlight, o.Limiter = keys, 20, ratelimit.New(0, 1, time.Minute)
		o.Retry = &retry.Policy{Backoff: retry.Backoff{Strategy: retry.Fixed, Initial: time.Millisecond,
			Max: time.Millisecond}, MaxAttempts: 10, MaxElapsed: time.Minute, Random: steady}
	})
	shared := http.Header{"X-Merchant": {"m_1"}}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			for j := range 3 {
				call := charge()
				call.Key, call.Body, call.Header = fmt.Sprintf("key-%d-%d", i, j), fmt.Appendf(nil, "body-%d-%d", i,
					j), shared
				got, err := c.Do(t.Context(), call)
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("key-%d-%d m_1 body-%d-%d", i, j, i, j), string(got.Body))
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 2, loads.Load())
}

// crypto/tls wraps the x509 errors. None of them is transient, so none is retried.
func TestInvalidCertificateIsNotRetried(t *testing.T) {
	now := time.Now()
	signer, stranger := newAuthority(t), newAuthority(t)
	for name, certificate := range map[string]tls.Certificate{
		"expired":           signer.issue(t, "127.0.0.1", now.Add(-2*time.Hour), now.Add(-time.Hour)),
		"not yet valid":     signer.issue(t, "127.0.0.1", now.Add(time.Hour), now.Add(2*time.Hour)),
		"another host":      signer.issue(t, "processor.example.org", now.Add(-time.Hour), now.Add(time.Hour)),
		"another address":   signer.issue(t, "127.0.0.2", now.Add(-time.Hour), now.Add(time.Hour)),
		"unknown authority": stranger.issue(t, "127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour)),
	} {
		t.Run(name, func(t *testing.T) {
			var handshakes atomic.Int32
			url := listen(t, func(_ int, c *net.TCPConn) {
				handshakes.Add(1)
				_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate},
					MinVersion: tls.VersionTLS12}).Handshake()
			})
			c := newClient(t, "https"+strings.TrimPrefix(url, "http"), func(o *Options) {
				o.Retry = &retry.Policy{Backoff: retry.Backoff{Strategy: retry.Fixed, Initial: time.Millisecond,
					Max: time.Millisecond}, MaxAttempts: 5, MaxElapsed: time.Minute, Random: steady}
			})
			_, err := trustOnly(c, signer.roots()).Do(t.Context(), charge())
			requireError(t, err, processor.NotExecuted, false, payment.ClassConfig)
			require.EqualValues(t, 1, handshakes.Load())
		})
	}
}

func TestUnresolvableHostIsRetriedUpToTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, "https://processor.invalid", func(o *Options) { o.Retry = testRetry() })
		dials := 0
		c.connections.settings.DialContext = func(context.Context, string, string) (net.Conn, error) {
			dials++
			return nil, &net.OpError{Op: "dial", Net: "tcp",
				Err: &net.DNSError{Err: "no such host", Name: "processor.invalid", IsNotFound: true, IsTemporary: true}}
		}
		began := time.Now()
		_, err := c.Do(t.Context(), charge())
		requireError(t, err, processor.NotExecuted, true, payment.ClassNotSent)
		require.Equal(t, 5, dials)
		require.Equal(t, 15*time.Second, time.Since(began))
	})
}

func TestHangingProbeReopensTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, up := status(http.StatusServiceUnavailable), status(http.StatusOK)
		server := &script{handlers: []http.HandlerFunc{down, down, down, down, hang, up}}
		b := newTestBreaker(t)
		c := newClient(t, "http://localhost", func(o *Options) { o.Breaker = b })
		pipeServer(t, server.serve)(c)
		for range testBreaker.MinCalls {
			_, err := c.Do(t.Context(), charge())
			require.Error(t, err)
		}
		require.Equal(t, "open", b.State())

		<-time.After(testBreaker.OpenFor + time.Millisecond)
		began := time.Now()
		_, err := c.Do(t.Context(), charge())
		requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
		require.Equal(t, 10*time.Second, time.Since(began), "the attempt timeout")
		require.Equal(t, "open", b.State())

		<-time.After(testBreaker.OpenFor + time.Millisecond)
		for range testBreaker.Probes {
			_, err := c.Do(t.Context(), charge())
			require.NoError(t, err)
		}
		require.Equal(t, "closed", b.State())
	})
}

// A healthy processor declines payments all the time.
func TestDeclinesDoNotOpenTheBreaker(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPaymentRequired) })
	b := newTestBreaker(t)
	c := newClient(t, s.URL, func(o *Options) { o.Breaker = b })
	for range 5 * testBreaker.MinCalls {
		got, _ := answer(t, c, charge())
		require.Equal(t, http.StatusPaymentRequired, got.Status)
	}
	require.Equal(t, "closed", b.State())
}
