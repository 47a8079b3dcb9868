package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// writes are the statements of the store that change something, by how their text begins.
var writes = []struct{ begins, what string }{
	{"INSERT INTO payments ", begin},
	{"UPDATE payments ", record},
	{"INSERT INTO refunds ", reserve},
	{"UPDATE refunds ", settleWrite},
}

// databaseProxy is between the worker and PostgreSQL.
type databaseProxy struct {
	gate   *gate
	socket string // of PostgreSQL
}

// serve takes connections until the listener is closed.
func (p *databaseProxy) serve(ctx context.Context, listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			// How a connection ends is between its two sides.
			_ = p.converse(ctx, conn)
		}()
	}
}

// converse carries one connection.
func (p *databaseProxy) converse(ctx context.Context, client net.Conn) error {
	server, err := (&net.Dialer{}).DialContext(ctx, "unix", p.socket)
	if err != nil {
		return err
	}
	defer server.Close()
	s := &session{
		gate: p.gate, client: client, server: server, statements: map[string]string{},
		fromClient: pgproto3.NewBackend(client, client), fromServer: pgproto3.NewFrontend(server, server),
	}
	if further, err := s.start(); err != nil || !further {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- s.requests() }()
	go func() { ended <- s.answers() }()
	err = <-ended
	// The other one ends with its connection.
	_, _ = client.Close(), server.Close()
	return errors.Join(err, <-ended)
}

// session is one connection of the worker, and the one to PostgreSQL that belongs to it.
type session struct {
	gate           *gate
	client, server net.Conn
	fromClient     *pgproto3.Backend
	fromServer     *pgproto3.Frontend

	// statements are the texts of those that were prepared, by name.
	statements map[string]string
	turn       turn
}

// start carries the first message. After a request to cancel there is nothing further.
func (s *session) start() (further bool, err error) {
	first, err := s.fromClient.ReceiveStartupMessage()
	if err != nil {
		return false, err
	}
	switch first.(type) {
	case *pgproto3.StartupMessage, *pgproto3.CancelRequest:
		_, cancels := first.(*pgproto3.CancelRequest)
		return !cancels, send(s.server, first)
	default:
		return false, fmt.Errorf("a connection that begins with %T: want sslmode=disable", first)
	}
}

// requests carries what the worker says.
func (s *session) requests() error {
	for {
		message, err := s.fromClient.Receive()
		if err != nil {
			return err
		}
		raw, err := message.Encode(nil)
		if err != nil {
			return err
		}
		what := s.heard(message)
		if what != "" {
			if err := s.gate.pass(at(what, before), raw); err != nil {
				return err
			}
			s.turn.executes(what, raw)
		}
		if query, ok := message.(*pgproto3.Query); ok && strings.EqualFold(query.String, "commit") {
			if err := s.commits(); err != nil {
				return err
			}
		}
		if _, err := s.server.Write(raw); err != nil {
			return err
		}
	}
}

// heard is the write that a message executes, empty for any other.
func (s *session) heard(message pgproto3.FrontendMessage) string {
	switch m := message.(type) {
	case *pgproto3.Parse:
		s.statements[m.Name] = m.Query
	case *pgproto3.Bind:
		text := s.statements[m.PreparedStatement]
		for _, w := range writes {
			if strings.HasPrefix(text, w.begins) {
				return w.what
			}
		}
	}
	return ""
}

func (s *session) commits() error {
	what, held := s.turn.commit()
	if what == "" {
		return nil
	}
	return s.gate.pass(at(what, beforeCommit), held)
}

// answers carries what PostgreSQL says, each answer at once when it is complete: from then on what was asked is done.
func (s *session) answers() error {
	var said []byte
	for {
		message, err := s.fromServer.Receive()
		if err != nil {
			_, _ = s.client.Write(said) // its last words
			return err
		}
		if said, err = message.Encode(said); err != nil {
			return err
		}
		switch m := message.(type) {
		case *pgproto3.CommandComplete:
			s.turn.completed(string(m.CommandTag))
		case *pgproto3.ReadyForQuery:
			if what, held := s.turn.ends(m.TxStatus == 'I'); what != "" {
				if err := s.gate.pass(at(what, after), held); err != nil {
					return err
				}
			}
			if _, err := s.client.Write(said); err != nil {
				return err
			}
			said = said[:0]
		}
	}
}

func send(to net.Conn, message pgproto3.FrontendMessage) error {
	raw, err := message.Encode(nil)
	if err == nil {
		_, err = to.Write(raw)
	}
	return err
}
