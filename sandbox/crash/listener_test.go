package main

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSuspendedListenerResetsConnectionsAndRefusesNewOnes(t *testing.T) {
	l, err := newProxyListener(t.Context(), net.JoinHostPort(loopback, "0"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	go func() { // an echo server
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	}()
	echo := func(conn net.Conn) error {
		if _, err := conn.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, make([]byte, 1))
		return err
	}
	conn, err := net.Dial("tcp", l.address)
	require.NoError(t, err)
	require.NoError(t, echo(conn))

	l.suspend()
	require.Error(t, echo(conn), "the open connection is reset")
	_, err = net.Dial("tcp", l.address)
	require.ErrorContains(t, err, "refused")

	require.NoError(t, l.listen(t.Context()))
	conn, err = net.Dial("tcp", l.address)
	require.NoError(t, err)
	require.NoError(t, echo(conn))
}
