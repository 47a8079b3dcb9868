package processor

import (
	"context"
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
	conn  atomic.Pointer[net.Conn]
	conns atomic.Int32
	sends atomic.Int32
	// state is what is known about the first byte: who changes it first decides.
	state atomic.Int32
}

const (
	unwritten = iota
	written
	givenUp
)

// trace counts a send before its first byte leaves. HTTP/2 writes on a goroutine that RoundTrip does not wait for: one
// that begins when the attempt was already said to be unsent finds its connection closed.
func (w *wire) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) {
			w.conn.Store(&got.Conn)
			if w.conns.Add(1) > maxSends {
				w.stop()
			}
		},
		WroteHeaderField: func(name string, _ []string) {
			if name != "Host" && name != ":authority" {
				return
			}
			if w.state.CompareAndSwap(unwritten, written) || w.state.Load() == written {
				w.sends.Add(1)
				return
			}
			(*w.conn.Load()).Close()
		},
	}
}

// over ends the attempt, and says whether any byte of it may have left.
func (w *wire) over() (mayHaveLeft bool) { return !w.state.CompareAndSwap(unwritten, givenUp) }

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
