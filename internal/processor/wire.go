package processor

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"sync/atomic"
)

// maxSends is how often one attempt is sent at most: net/http sends again by itself what a connection has lost that it
// had kept, or that HTTP/2 refuses, and neither limiter nor budget nor breaker hears of it.
const maxSends = 3

var errSentTooOften = errors.New("connection after connection was closed on the request")

// wire follows one attempt through net/http, which may send it on several connections.
type wire struct {
	// stop ends the attempt.
	stop  context.CancelFunc
	conns atomic.Int32
	sends atomic.Int32
	http2 atomic.Bool
}

// trace counts a send before its last byte can leave. HTTP/1 says that the headers were written while they are still in
// its buffer, and a request without all of them is none. HTTP/2 says so too late, from a goroutine that RoundTrip does
// not wait for: there the connection counts.
func (w *wire) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) {
			w.http2.Store(isHTTP2(got.Conn))
			if w.http2.Load() {
				w.sends.Add(1)
			}
			if w.conns.Add(1) > maxSends {
				w.stop()
			}
		},
		WroteHeaders: func() {
			if !w.http2.Load() {
				w.sends.Add(1)
			}
		},
	}
}

func isHTTP2(c net.Conn) bool {
	secure, ok := c.(*tls.Conn)
	return ok && secure.ConnectionState().NegotiatedProtocol == "h2"
}

func (w *wire) sentTooOften() bool { return w.conns.Load() > maxSends }

// cause is why there is no answer: of an attempt that we stopped, net/http says only that it was stopped.
func (w *wire) cause(err error) error {
	if w.sentTooOften() {
		return errSentTooOften
	}
	return err
}

// sign is what the breaker hears of the attempt in ctx: an answer that broke off is an error, and an attempt that its
// caller stopped is context.Canceled, whatever reason he gave.
func (w *wire) sign(ctx context.Context, a Answer, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled) && !w.sentTooOften():
		return context.Canceled
	case err == nil && a.Truncated && len(a.Body) <= maxResponseBody:
		return io.ErrUnexpectedEOF
	case err != nil:
		return w.cause(err)
	default:
		return nil
	}
}
