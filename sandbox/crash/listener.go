package main

import (
	"context"
	"net"
	"sync"
)

// proxyListener is the listener of a proxy. It is suspended while the process behind the proxy is dead: connections are
// reset and new ones are refused, as they would be without a proxy.
type proxyListener struct {
	address string

	mu       sync.Mutex
	listener net.Listener // nil while suspended
	conns    map[net.Conn]struct{}
	changed  chan struct{} // closed by the next listen, and by Close
	closed   bool
}

// newProxyListener listens on an address of the loopback interface.
func newProxyListener(ctx context.Context, address string) (*proxyListener, error) {
	l := &proxyListener{address: address, conns: map[net.Conn]struct{}{}, changed: make(chan struct{})}
	return l, l.listen(ctx)
}

// listen accepts connections, for the first time or again after suspend.
func (l *proxyListener) listen(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.address)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.address = listener.Addr().String() // Port 0 becomes the actual port, which the next listen uses again.
	l.listener = listener
	close(l.changed)
	l.changed = make(chan struct{})
	return nil
}

// suspend refuses new connections and resets the open ones, until the next listen.
func (l *proxyListener) suspend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.suspendLocked()
}

func (l *proxyListener) suspendLocked() {
	if l.listener != nil {
		_ = l.listener.Close() // The port is free afterwards, even after an error.
		l.listener = nil
	}
	for conn := range l.conns {
		reset(conn)
	}
	clear(l.conns)
}

// reset closes a connection with RST, as the kernel does for a dead process that has not read everything.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // Best effort: the connection is closed in any case.
	}
	_ = conn.Close()
}

// Accept implements net.Listener. It blocks while the listener is suspended.
func (l *proxyListener) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		listener, changed, closed := l.listener, l.changed, l.closed
		l.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		if listener == nil {
			<-changed
			continue
		}
		conn, err := listener.Accept()
		if err != nil {
			continue // The listener was suspended meanwhile.
		}
		if l.track(listener, conn) {
			return &trackedConn{Conn: conn, listener: l}, nil
		}
	}
}

// track registers a connection that listener has accepted. If the proxyListener was suspended since, track resets the
// connection and returns false.
func (l *proxyListener) track(listener net.Listener, conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != listener {
		reset(conn)
		return false
	}
	l.conns[conn] = struct{}{}
	return true
}

// Close implements net.Listener. The listener cannot be used again.
func (l *proxyListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.suspendLocked()
		close(l.changed)
	}
	return nil
}

// Addr implements net.Listener.
func (l *proxyListener) Addr() net.Addr {
	address, err := net.ResolveTCPAddr("tcp", l.address)
	if err != nil {
		return &net.TCPAddr{}
	}
	return address
}

// trackedConn is a connection that its proxyListener can reset until it is closed.
type trackedConn struct {
	net.Conn
	listener *proxyListener
}

// Close implements net.Conn.
func (c *trackedConn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.conns, c.Conn)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
