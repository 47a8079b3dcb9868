package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// writes are the writes of the store, recognized by the beginning of their SQL text.
var writes = []struct{ prefix, exchange string }{
	{prefix: "INSERT INTO payments ", exchange: beginPayment},
	{prefix: "UPDATE payments ", exchange: recordPayment},
	{prefix: "INSERT INTO refunds ", exchange: reserveRefund},
	{prefix: "UPDATE refunds ", exchange: recordRefund},
}

// databaseProxy is the proxy between the worker and PostgreSQL.
type databaseProxy struct {
	trigger *trigger
	socket  string // path of PostgreSQL's socket
}

// serve accepts connections until the listener is closed.
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
			_ = p.relay(ctx, conn) // A broken connection is expected: the worker and PostgreSQL handle it.
		}()
	}
}

// relay forwards the messages of one connection in both directions until it ends.
func (p *databaseProxy) relay(ctx context.Context, client net.Conn) error {
	server, err := (&net.Dialer{}).DialContext(ctx, "unix", p.socket)
	if err != nil {
		return err
	}
	defer server.Close()
	s := &session{
		trigger: p.trigger, client: client, server: server, statements: map[string]string{},
		fromClient: pgproto3.NewBackend(client, client), fromServer: pgproto3.NewFrontend(server, server),
	}
	if more, err := s.relayStartup(); err != nil || !more {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- s.relayRequests() }()
	go func() { ended <- s.relayResponses() }()
	err = <-ended
	// Closing both connections ends the other direction.
	_, _ = client.Close(), server.Close()
	return errors.Join(err, <-ended)
}

// session is one connection of the worker, with the connection to PostgreSQL that belongs to it.
type session struct {
	trigger        *trigger
	client, server net.Conn
	fromClient     *pgproto3.Backend
	fromServer     *pgproto3.Frontend

	// statements are the SQL texts of the prepared statements, by name.
	statements map[string]string
	write      writeTracker
}

// relayStartup forwards the first message. more reports whether other messages follow: none does after a cancel request.
func (s *session) relayStartup() (more bool, err error) {
	first, err := s.fromClient.ReceiveStartupMessage()
	if err != nil {
		return false, err
	}
	switch first.(type) {
	case *pgproto3.StartupMessage, *pgproto3.CancelRequest:
		_, cancels := first.(*pgproto3.CancelRequest)
		return !cancels, send(s.server, first)
	default:
		return false, fmt.Errorf("the connection begins with %T: want a connection with sslmode=disable", first)
	}
}

// relayRequests forwards the messages of the worker.
func (s *session) relayRequests() error {
	for {
		message, err := s.fromClient.Receive()
		if err != nil {
			return err
		}
		raw, err := message.Encode(nil)
		if err != nil {
			return err
		}
		if exchange := s.writeOf(message); exchange != "" {
			if err := s.trigger.reach(at(exchange, before), raw); err != nil {
				return err
			}
			s.write.sent(exchange, raw)
		}
		if query, ok := message.(*pgproto3.Query); ok && strings.EqualFold(query.String, "commit") {
			if err := s.reachCommit(); err != nil {
				return err
			}
		}
		if _, err := s.server.Write(raw); err != nil {
			return err
		}
	}
}

// writeOf returns the write that a message executes, or "" if it executes none. It stores the text of a statement that the
// message prepares.
func (s *session) writeOf(message pgproto3.FrontendMessage) string {
	switch m := message.(type) {
	case *pgproto3.Parse:
		s.statements[m.Name] = m.Query
	case *pgproto3.Bind:
		text := s.statements[m.PreparedStatement]
		for _, w := range writes {
			if strings.HasPrefix(text, w.prefix) {
				return w.exchange
			}
		}
	}
	return ""
}

func (s *session) reachCommit() error {
	exchange, message := s.write.uncommitted()
	if exchange == "" {
		return nil
	}
	return s.trigger.reach(at(exchange, beforeCommit), message)
}

// relayResponses forwards the messages of PostgreSQL. It forwards the messages of a response together, once PostgreSQL is
// ready for the next query: from then on the request is executed completely.
func (s *session) relayResponses() error {
	var response []byte
	for {
		message, err := s.fromServer.Receive()
		if err != nil {
			_, _ = s.client.Write(response) // Forward the incomplete response, too.
			return err
		}
		if response, err = message.Encode(response); err != nil {
			return err
		}
		switch m := message.(type) {
		case *pgproto3.CommandComplete:
			s.write.completed(string(m.CommandTag))
		case *pgproto3.ReadyForQuery:
			if exchange, request := s.write.ready(m.TxStatus == 'I'); exchange != "" {
				if err := s.trigger.reach(at(exchange, after), request); err != nil {
					return err
				}
			}
			if _, err := s.client.Write(response); err != nil {
				return err
			}
			response = response[:0]
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
