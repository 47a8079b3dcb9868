package httpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/florinpay/florin/processor"
)

// maxSends is how often one attempt is sent at most: net/http resends by itself a request that was lost on a kept connection or
// refused by HTTP/2, bypassing limiter, budget and breaker.
const maxSends = 3

var errSentTooOften = errors.New("connection after connection was closed on the request")

// wire follows one attempt through net/http, which may send it on several connections.
type wire struct {
	// cancel ends the attempt.
	cancel context.CancelFunc
	conns  atomic.Int32
	sends  atomic.Int32
	http2  atomic.Bool
}

// trace counts a send before its last byte can leave. HTTP/1 reports that the headers were written while they are still in
// its buffer, and a request without all of its headers is none. HTTP/2 reports it too late, from a goroutine that RoundTrip does
// not wait for: there the connection counts as the send.
func (w *wire) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) {
			w.http2.Store(isHTTP2(got.Conn))
			if w.http2.Load() {
				w.sends.Add(1)
			}
			if w.conns.Add(1) > maxSends {
				w.cancel()
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

// cause returns why there is no response: of an attempt that the client canceled, net/http reports only the cancellation.
func (w *wire) cause(err error) error {
	if w.sentTooOften() {
		return errSentTooOften
	}
	return err
}

// breakerError is the attempt's error as the breaker counts it: a response that broke off is an error, and an attempt that its
// caller canceled is context.Canceled, whatever its cause.
func (w *wire) breakerError(ctx context.Context, a processor.Answer, err error) error {
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
