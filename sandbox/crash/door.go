package main

import (
	"context"
	"net"
	"sync"
)

// door is where a proxy listens. It is shut while the process behind it is dead: then connections break and are refused,
// as they are without a proxy.
type door struct {
	address string

	mu       sync.Mutex
	listener net.Listener // nil while shut
	conns    map[net.Conn]struct{}
	changed  chan struct{} // closed at the next opening, and at the end
	ended    bool
}

// newDoor opens at a port of the loopback.
func newDoor(ctx context.Context, address string) (*door, error) {
	d := &door{address: address, conns: map[net.Conn]struct{}{}, changed: make(chan struct{})}
	return d, d.open(ctx)
}

func (d *door) open(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.address)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.address = listener.Addr().String() // the port, where any would do
	d.listener = listener
	close(d.changed)
	d.changed = make(chan struct{})
	return nil
}

// shut refuses connections and breaks those that there are.
func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shutLocked()
}

func (d *door) shutLocked() {
	if d.listener != nil {
		_ = d.listener.Close() // its port is free afterwards, whatever it says
		d.listener = nil
	}
	for conn := range d.conns {
		reset(conn)
	}
	clear(d.conns)
}

// reset closes a connection as a dead process does that has not read everything.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // best effort: it is closed anyway
	}
	_ = conn.Close()
}

// Accept implements net.Listener. While the door is shut it waits.
func (d *door) Accept() (net.Conn, error) {
	for {
		d.mu.Lock()
		listener, changed, ended := d.listener, d.changed, d.ended
		d.mu.Unlock()
		if ended {
			return nil, net.ErrClosed
		}
		if listener == nil {
			<-changed
			continue
		}
		conn, err := listener.Accept()
		if err != nil {
			continue // it was shut meanwhile
		}
		if d.keep(listener, conn) {
			return &visitor{Conn: conn, door: d}, nil
		}
	}
}

// keep takes a connection in, unless the door was shut since.
func (d *door) keep(through net.Listener, conn net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listener != through {
		reset(conn)
		return false
	}
	d.conns[conn] = struct{}{}
	return true
}

// Close implements net.Listener: for good.
func (d *door) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended {
		d.ended = true
		d.shutLocked()
		close(d.changed)
	}
	return nil
}

// Addr implements net.Listener.
func (d *door) Addr() net.Addr {
	address, err := net.ResolveTCPAddr("tcp", d.address)
	if err != nil {
		return &net.TCPAddr{}
	}
	return address
}

// visitor is a connection that the door forgets when it is closed.
type visitor struct {
	net.Conn
	door *door
}

// Close implements net.Conn.
func (v *visitor) Close() error {
	v.door.mu.Lock()
	delete(v.door.conns, v.Conn)
	v.door.mu.Unlock()
	return v.Conn.Close()
}
