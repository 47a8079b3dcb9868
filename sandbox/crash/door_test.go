package main

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAShutDoorBreaksConnectionsAndRefusesNewOnesUntilItOpens(t *testing.T) {
	d, err := newDoor(t.Context(), net.JoinHostPort(loopback, "0"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	go func() { // an echo
		for {
			conn, err := d.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	}()
	echoes := func(conn net.Conn) error {
		if _, err := conn.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, make([]byte, 1))
		return err
	}
	conn, err := net.Dial("tcp", d.address)
	require.NoError(t, err)
	require.NoError(t, echoes(conn))

	d.shut()
	require.Error(t, echoes(conn), "it was broken")
	_, err = net.Dial("tcp", d.address)
	require.ErrorContains(t, err, "refused")

	require.NoError(t, d.open(t.Context()))
	conn, err = net.Dial("tcp", d.address)
	require.NoError(t, err)
	require.NoError(t, echoes(conn))
}
