package httpclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// framed is the server's end of an HTTP/2 connection at the level of frames. It must be used by one goroutine.
type framed struct {
	*http2.Framer
	net.Conn

	fields  bytes.Buffer
	encoder *hpack.Encoder
}

// framedRequest is a request on a framed connection.
type framedRequest struct {
	stream uint32
	header map[string]string
	body   string
}

// shakeHands does the TLS and HTTP/2 handshakes on a new connection. It returns nil if the client does not use HTTP/2.
func shakeHands(conn net.Conn, certificate tls.Certificate, settings ...http2.Setting) *framed {
	c := &framed{Conn: tls.Server(conn, &tls.Config{
		Certificates: []tls.Certificate{certificate}, NextProtos: []string{http2.NextProtoTLS}, MinVersion: tls.VersionTLS12,
	})}
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.Conn, preface); err != nil || string(preface) != http2.ClientPreface {
		return nil
	}
	c.Framer = http2.NewFramer(c.Conn, c.Conn)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.fields)
	if c.WriteSettings(settings...) != nil {
		return nil
	}
	return c
}

// request reads frames until a request is complete. It acknowledges settings and pings.
func (c *framed) request() (r framedRequest, ok bool) {
	r.header = map[string]string{}
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return r, false
		}
		ended := false
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = c.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = c.WritePing(true, f.Data)
			}
		case *http2.MetaHeadersFrame:
			r.stream, r.body, ended = f.StreamID, "", f.StreamEnded()
			for _, field := range f.Fields {
				r.header[field.Name] = field.Value
			}
		case *http2.DataFrame:
			r.body += string(f.Data())
			ended = f.StreamEnded()
		}
		if err != nil || ended {
			return r, err == nil
		}
	}
}

func (c *framed) key(r framedRequest) string { return r.header["idempotency-key"] }

// head writes the headers of a response.
func (c *framed) head(stream uint32, status int, end bool, header ...string) {
	c.fields.Reset()
	_ = c.encoder.WriteField(hpack.HeaderField{Name: ":status", Value: fmt.Sprint(status)})
	for i := 0; i < len(header); i += 2 {
		_ = c.encoder.WriteField(hpack.HeaderField{Name: header[i], Value: header[i+1]})
	}
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.fields.Bytes(), EndStream: end,
		EndHeaders: true})
}

func (c *framed) answer(stream uint32, status int) {
	c.head(stream, status, false)
	_ = c.WriteData(stream, true, []byte("{}"))
}

// half writes the headers and the beginning of the body of a success.
func (c *framed) half(stream uint32) {
	c.head(stream, http.StatusOK, false)
	_ = c.WriteData(stream, false, []byte(`{"id":`))
}

// trustOnly sets the root certificates of the client.
func trustOnly(c *Client, roots *x509.CertPool) *Client {
	c.connections.settings.TLSClientConfig.RootCAs = roots
	return c
}

// listenHTTP2 accepts HTTP/2 connections and runs serve for each.
func listenHTTP2(t *testing.T, serve func(c *framed), settings ...http2.Setting) (url string, roots *x509.CertPool) {
	t.Helper()
	signer := newAuthority(t)
	certificate := signer.issue(t, "127.0.0.1", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	url = listen(t, func(_ int, conn *net.TCPConn) {
		if c := shakeHands(conn, certificate, settings...); c != nil {
			serve(c)
		}
	})
	return "https" + strings.TrimPrefix(url, "http"), signer.roots()
}

// fault handles the nth send of the charge; the server responds to all other requests with 200. Every send must be the same
// request, and a later call must get a connection.
func TestFaultsOfHTTP2Frames(t *testing.T) {
	const (
		unknown = payment.ClassOutcomeUnknown
		invalid = payment.ClassInvalidResponse
	)
	reset := func(code http2.ErrCode) func(int, *framed, uint32) {
		return func(_ int, c *framed, stream uint32) { _ = c.WriteRSTStream(stream, code) }
	}
	// first applies the fault to the first send and responds to the others.
	first := func(fault func(int, *framed, uint32), status int) func(int, *framed, uint32) {
		return func(n int, c *framed, stream uint32) {
			if n == 1 {
				fault(n, c, stream)
				return
			}
			c.answer(stream, status)
		}
	}
	goAway := func(code http2.ErrCode) func(int, *framed, uint32) {
		return func(_ int, c *framed, stream uint32) { _ = c.WriteGoAway(stream-1, code, nil) }
	}
	for _, tc := range []struct {
		name      string
		fault     func(n int, c *framed, stream uint32)
		status    int
		certainty processor.Certainty
		retry     bool
		class     payment.FailureClass
		sends     int
		// waits is true if the call ends with its timeout. The test then shortens it.
		waits bool
	}{
		// Provably not executed: net/http resends by itself.
		{name: "GOAWAY before our stream, then 200", fault: first(goAway(http2.ErrCodeNo), 200), status: 200,
			certainty: processor.Answered, sends: 2},
		{name: "REFUSED_STREAM, then 200", fault: first(reset(http2.ErrCodeRefusedStream), 200), status: 200,
			certainty: processor.Answered, sends: 2},
		// A PROTOCOL_ERROR may also come after the charge was executed, but net/http resends in any case.
		{name: "PROTOCOL_ERROR, then 200", fault: first(reset(http2.ErrCodeProtocol), 200), status: 200,
			certainty: processor.Answered, sends: 2},
		// The refusal proves something only about the last send. (After GOAWAY and REFUSED_STREAM, ambiguous is more cautious
		// than necessary, because these resends cannot be distinguished from one after a broken connection.)
		{name: "GOAWAY before our stream, then 403", fault: first(goAway(http2.ErrCodeNo), 403), status: 403,
			certainty: processor.Ambiguous, class: payment.ClassPermission, sends: 2},
		{name: "REFUSED_STREAM, then 403", fault: first(reset(http2.ErrCodeRefusedStream), 403), status: 403,
			certainty: processor.Ambiguous, class: payment.ClassPermission, sends: 2},
		{name: "PROTOCOL_ERROR, then 403", fault: first(reset(http2.ErrCodeProtocol), 403), status: 403,
			certainty: processor.Ambiguous, class: payment.ClassPermission, sends: 2},
		// The third send would be a second later, after the timeout of the attempt.
		{name: "REFUSED_STREAM only", fault: reset(http2.ErrCodeRefusedStream), certainty: processor.Ambiguous,
			retry: true, class: unknown, sends: 2, waits: true},
		// net/http does not resend after an error on the first stream of a connection, because it would recur.
		{name: "GOAWAY with an error before our stream", fault: goAway(http2.ErrCodeInternal),
			certainty: processor.Ambiguous, retry: true, class: unknown, sends: 1},

		{name: "GOAWAY that includes our stream, then a response", fault: func(_ int, c *framed, stream uint32) {
			_ = c.WriteGoAway(stream, http2.ErrCodeNo, nil)
			c.answer(stream, http.StatusOK)
		}, status: 200, certainty: processor.Answered, sends: 1},
		{name: "GOAWAY that includes our stream, then EOF", fault: func(_ int, c *framed, stream uint32) {
			_ = c.WriteGoAway(stream, http2.ErrCodeNo, nil)
			c.Close()
		}, certainty: processor.Ambiguous, retry: true, class: unknown, sends: 1},
		{name: "INTERNAL_ERROR", fault: reset(http2.ErrCodeInternal), certainty: processor.Ambiguous, retry: true,
			class: unknown, sends: 1},
		{name: "CANCEL", fault: reset(http2.ErrCodeCancel), certainty: processor.Ambiguous, retry: true, class: unknown,
			sends: 1},
		{name: "NO_ERROR instead of a response", fault: reset(http2.ErrCodeNo), certainty: processor.Ambiguous,
			retry: true, class: unknown, sends: 1},
		{name: "ENHANCE_YOUR_CALM", fault: reset(http2.ErrCodeEnhanceYourCalm), certainty: processor.Ambiguous,
			retry: true, class: unknown, sends: 1},
		{name: "HTTP_1_1_REQUIRED", fault: reset(http2.ErrCodeHTTP11Required), certainty: processor.Ambiguous,
			retry: true, class: unknown, sends: 1},
		{name: "EOF", fault: func(_ int, c *framed, _ uint32) { c.Close() }, certainty: processor.Ambiguous, retry: true,
			class: unknown, sends: 1},
		{name: "no response in time", fault: func(int, *framed, uint32) {}, certainty: processor.Ambiguous, retry: true,
			class: unknown, sends: 1, waits: true},
		{name: "a frame of another stream",
			fault:     func(_ int, c *framed, stream uint32) { _ = c.WriteData(stream+2, true, nil) },
			certainty: processor.Ambiguous, retry: true, class: unknown, sends: 1},
		{name: "data before the headers",
			fault:     func(_ int, c *framed, stream uint32) { _ = c.WriteData(stream, true, []byte("{}")) },
			certainty: processor.Ambiguous, retry: true, class: unknown, sends: 1},
		{name: "not HTTP/2", fault: func(_ int, c *framed, _ uint32) {
			_, _ = io.WriteString(c.Conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			c.Close()
		}, certainty: processor.Ambiguous, retry: true, class: unknown, sends: 1},
		{name: "endless 103", fault: func(_ int, c *framed, stream uint32) {
			for range 2000 {
				c.head(stream, http.StatusEarlyHints, false, "link", strings.Repeat("x", 100))
			}
		}, certainty: processor.Ambiguous, retry: true, class: unknown, sends: 1},
		{name: "headers beyond the size limit", fault: func(_ int, c *framed, stream uint32) {
			c.fields.Reset()
			_ = c.encoder.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
			_ = c.encoder.WriteField(hpack.HeaderField{Name: "x-large", Value: strings.Repeat("|", 2*maxResponseHeaders)})
			block := c.fields.Bytes()
			_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block[:16<<10]})
			for block = block[16<<10:]; len(block) > 16<<10; block = block[16<<10:] {
				_ = c.WriteContinuation(stream, false, block[:16<<10])
			}
			_ = c.WriteContinuation(stream, true, block)
		}, certainty: processor.Ambiguous, retry: true, class: unknown, sends: 1},

		{name: "headers, then no body",
			fault: func(_ int, c *framed, stream uint32) { c.head(stream, http.StatusOK, false) }, status: 200,
			certainty: processor.Ambiguous, retry: true, class: invalid, sends: 1, waits: true},
		{name: "half the body, then nothing", fault: func(_ int, c *framed, stream uint32) { c.half(stream) },
			status: 200, certainty: processor.Ambiguous, retry: true, class: invalid, sends: 1, waits: true},
		{name: "half the body, then EOF", fault: func(_ int, c *framed, stream uint32) { c.half(stream); c.Close() },
			status: 200, certainty: processor.Ambiguous, retry: true, class: invalid, sends: 1},
		{name: "half the body, then INTERNAL_ERROR", fault: func(_ int, c *framed, stream uint32) {
			c.half(stream)
			_ = c.WriteRSTStream(stream, http2.ErrCodeInternal)
		}, status: 200, certainty: processor.Ambiguous, retry: true, class: invalid, sends: 1},
		{name: "half the body, then REFUSED_STREAM", fault: func(_ int, c *framed, stream uint32) {
			c.half(stream)
			_ = c.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		}, status: 200, certainty: processor.Ambiguous, retry: true, class: invalid, sends: 1},
		{name: "body shorter than content-length", fault: func(_ int, c *framed, stream uint32) {
			c.head(stream, http.StatusOK, false, "content-length", "100")
			_ = c.WriteData(stream, true, []byte("{}"))
		}, status: 200, certainty: processor.Ambiguous, retry: true, class: invalid, sends: 1},
		{name: "body longer than content-length", fault: func(_ int, c *framed, stream uint32) {
			c.head(stream, http.StatusOK, false, "content-length", "1")
			_ = c.WriteData(stream, true, []byte("{}"))
		}, status: 200, certainty: processor.Ambiguous, retry: true, class: invalid, sends: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var sends atomic.Int32
			requests := make(chan framedRequest, 10)
			url, roots := listenHTTP2(t, func(c *framed) {
				for {
					r, ok := c.request()
					switch {
					case !ok:
						return
					case c.key(r) == testKey:
						requests <- r
						tc.fault(int(sends.Add(1)), c, r.stream)
					default:
						c.answer(r.stream, http.StatusOK)
					}
				}
			})
			c := trustOnly(newClient(t, url), roots)
			following := charge()
			following.Key = "following"
			if tc.waits {
				// Do the handshake before the timeout is shortened.
				_, err := c.Do(t.Context(), following)
				require.NoError(t, err)
				c.timeout = 250 * time.Millisecond
			}
			got, err := c.Do(t.Context(), charge())
			require.Equal(t, []any{tc.status, tc.sends}, []any{got.Status, got.Sends}, "%v", err)
			require.EqualValues(t, tc.sends, sends.Load())
			for range tc.sends {
				r := <-requests
				require.Equal(t, []string{"POST", `{"amount":1250}`, "15", "Bearer sk_secret"},
					[]string{r.header[":method"], r.body, r.header["content-length"], r.header["authorization"]})
			}
			if tc.certainty == processor.Answered {
				require.NoError(t, err)
			} else {
				var e *processor.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, []any{tc.certainty, tc.retry, tc.class}, []any{e.Certainty, e.Retry, e.Class}, "%v", err)
			}
			c.timeout = 10 * time.Second
			got, err = c.Do(t.Context(), following)
			require.NoError(t, err)
			require.Equal(t, 1, got.Sends)
		})
	}
}

// Resends of net/http bypass limiter, retry budget and breaker, so the client must limit them itself. Otherwise a processor that
// sends GOAWAY on every connection would receive TLS handshakes and charges until the attempt ends. On one connection, HTTP/2
// gives up after eight sends.
func TestResendsOfNetHTTPAreLimited(t *testing.T) {
	const limit, enough = 8, 20
	for name, fault := range map[string]func(c *framed, stream uint32){
		"GOAWAY before our stream": func(c *framed, stream uint32) { _ = c.WriteGoAway(stream-1, http2.ErrCodeNo, nil) },
		"PROTOCOL_ERROR":           func(c *framed, stream uint32) { _ = c.WriteRSTStream(stream, http2.ErrCodeProtocol) },
	} {
		t.Run(name, func(t *testing.T) {
			var sends atomic.Int32
			url, roots := listenHTTP2(t, func(c *framed) {
				for {
					r, ok := c.request()
					switch {
					case !ok:
						return
					case sends.Add(1) < enough:
						fault(c, r.stream)
					default:
						c.answer(r.stream, http.StatusOK)
					}
				}
			})
			_, err := trustOnly(newClient(t, url), roots).Do(t.Context(), charge())
			require.LessOrEqual(t, sends.Load(), int32(limit), "sends in one attempt: %v", err)
			requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
		})
	}
}

// The server allows one stream per connection: the second call opens another connection, and neither fails.
func TestConcurrentCallsBeyondTheStreamLimitUseAnotherConnection(t *testing.T) {
	var connections, charges atomic.Int32
	both := make(chan struct{})
	url, roots := listenHTTP2(t, func(c *framed) {
		connections.Add(1)
		for {
			r, ok := c.request()
			if !ok {
				return
			}
			if c.key(r) == testKey {
				if charges.Add(1) == 2 {
					close(both)
				}
				<-both
			}
			c.answer(r.stream, http.StatusOK)
		}
	}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
	c := trustOnly(newClient(t, url, func(o *Options) { o.MaxInFlight = 2 }), roots)
	for range 5 {
		// The client knows the limit after the first response.
		_, err := c.Do(t.Context(), processor.Call{Method: http.MethodGet, Path: "/payments"})
		require.NoError(t, err)
	}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			got, err := c.Do(t.Context(), charge())
			require.NoError(t, err)
			require.Equal(t, 1, got.Sends)
		})
	}
	all.Wait()
	require.EqualValues(t, 2, connections.Load())
	require.EqualValues(t, 2, charges.Load())
}

// tlsPipe connects the client to serve over TLS inside a synctest bubble. Everything that the client writes after a call of
// silence is lost.
func tlsPipe(t *testing.T, c *Client, serve func(c *framed)) (silence func()) {
	t.Helper()
	signer := newAuthority(t)
	certificate := signer.issue(t, "localhost", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	trustOnly(c, signer.roots())
	var all sync.WaitGroup
	var current *network
	c.connections.settings.DialContext = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		n := &network{Conn: client, packets: make(chan []byte, 1000), closed: make(chan struct{})}
		current = n
		all.Go(n.deliver)
		all.Go(func() {
			defer server.Close()
			if f := shakeHands(server, certificate); f != nil {
				serve(f)
			}
		})
		return n, nil
	}
	t.Cleanup(all.Wait)
	t.Cleanup(c.Close)
	return func() { current.down.Store(true) }
}

// network is a connection whose writes, like those of a socket, do not wait for the reader. They are lost while it is down.
type network struct {
	net.Conn

	packets chan []byte
	down    atomic.Bool
	once    sync.Once
	closed  chan struct{}
}

func (n *network) Write(b []byte) (int, error) {
	if !n.down.Load() {
		n.packets <- bytes.Clone(b)
	}
	return len(b), nil
}

func (n *network) deliver() {
	for {
		select {
		case b := <-n.packets:
			if _, err := n.Conn.Write(b); err != nil {
				return
			}
		case <-n.closed:
			return
		}
	}
}

func (n *network) Close() error {
	n.once.Do(func() { close(n.closed) })
	return n.Conn.Close()
}

// respondOK responds to every request with 200.
func respondOK(c *framed) {
	for {
		r, ok := c.request()
		if !ok {
			return
		}
		c.answer(r.stream, http.StatusOK)
	}
}

// The clock is virtual, so the test uses the default timeouts: 30 s idle, and a ping after 15 s without a frame.
func TestSilentIdleConnectionIsReplacedBeforeTheNextCharge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, "https://localhost")
		silence := tlsPipe(t, c, respondOK)
		_, err := c.Do(t.Context(), charge())
		require.NoError(t, err)
		silence()
		<-time.After(defaultIdleTimeout/2 + connectTimeout + time.Millisecond)
		began := time.Now()
		got, err := c.Do(t.Context(), charge())
		require.NoError(t, err)
		require.Zero(t, time.Since(began))
		require.Equal(t, 1, got.Sends)
	})
}

// A charge in flight on a connection that becomes silent is ambiguous, but it ends with the ping timeout, not with the longer
// attempt timeout. The next charge uses another connection.
func TestChargeOnASilentConnectionEndsWithThePingTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, "https://localhost", within(time.Hour))
		silence := tlsPipe(t, c, respondOK)
		_, err := c.Do(t.Context(), charge())
		require.NoError(t, err)
		silence()
		began := time.Now()
		_, err = c.Do(t.Context(), charge())
		requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
		require.LessOrEqual(t, time.Since(began), defaultIdleTimeout/2+connectTimeout)
		_, err = c.Do(t.Context(), charge())
		require.NoError(t, err)
	})
}

// lateWriter delays the return of Write until the test ends it, although the processor has already received the bytes.
type lateWriter struct {
	net.Conn

	late atomic.Bool
	done chan struct{}
}

func (w *lateWriter) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	if w.late.Load() {
		<-w.done
	}
	return n, err
}

// writingLate sends a capture that the processor has received while the goroutine that writes it is still in the system call, or
// waits for a CPU. The capture has no body, so its headers are the whole request.
func writingLate(t *testing.T, answer func(c *framed, stream uint32)) (processor.Answer, error) {
	t.Helper()
	arrived := make(chan string, 10)
	url, roots := listenHTTP2(t, func(c *framed) {
		for {
			r, ok := c.request()
			if !ok {
				return
			}
			arrived <- c.key(r)
			if c.key(r) == testKey {
				answer(c, r.stream)
			} else {
				c.answer(r.stream, http.StatusOK)
			}
		}
	})
	c := trustOnly(newClient(t, url), roots)
	var conn *lateWriter
	dial := c.connections.settings.DialContext
	c.connections.settings.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed, err := dial(ctx, network, address)
		conn = &lateWriter{Conn: dialed, done: make(chan struct{})}
		return conn, err
	}
	capture := processor.Call{Method: http.MethodPost, Path: "/payments/ch_1/capture", Key: "warm"}
	_, err := c.Do(t.Context(), capture)
	require.NoError(t, err)
	<-arrived

	conn.late.Store(true)
	defer close(conn.done)
	c.timeout = 200 * time.Millisecond
	capture.Key = testKey
	got, err := c.Do(t.Context(), capture)
	require.Equal(t, testKey, <-arrived, "the processor received the request")
	return got, err
}

func TestTimeoutDuringTheWriteIsAmbiguous(t *testing.T) {
	got, err := writingLate(t, func(*framed, uint32) {})
	requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
	require.Equal(t, 1, got.Sends)
}

// A send that is not counted would make the refusal of a resend look like the refusal of the only send.
func TestSendIsCountedBeforeItsWriteReturns(t *testing.T) {
	got, err := writingLate(t, func(c *framed, stream uint32) { c.answer(stream, http.StatusOK) })
	require.NoError(t, err)
	require.Equal(t, 1, got.Sends)
}
