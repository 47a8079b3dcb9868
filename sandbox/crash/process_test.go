package main

import (
	"context"
	"net"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAProcessIsKilledAndComesBack(t *testing.T) {
	p := &process{name: "sleeper", dir: t.TempDir(), arguments: []string{"sleep", "60"}, ready: func(context.Context) error { return nil }}
	require.NoError(t, p.start(t.Context()))
	first := p.cmd.Process.Pid
	require.NoError(t, exec.Command("kill", "-0", strconv.Itoa(first)).Run())
	cmd := p.cmd
	require.NoError(t, p.kill())
	require.Equal(t, "signal: killed", cmd.ProcessState.String())
	require.Error(t, exec.Command("kill", "-0", strconv.Itoa(first)).Run(), "it is gone")
	require.NoError(t, p.kill(), "there is nothing to kill")
	require.NoError(t, p.start(t.Context()))
	require.NotEqual(t, first, p.cmd.Process.Pid)
	require.NoError(t, p.kill())
}

func TestAProcessThatEndedByItselfWasNotKilled(t *testing.T) {
	p := &process{name: "short", dir: t.TempDir(), arguments: []string{"true"}, ready: func(context.Context) error { return nil }}
	require.NoError(t, p.start(t.Context()))
	<-p.ended
	require.ErrorContains(t, p.kill(), "the short had ended by itself")
}

func TestAProcessThatCannotStartIsAnError(t *testing.T) {
	p := &process{name: "broken", dir: t.TempDir(), arguments: []string{"false"}, ready: func(context.Context) error { return net.ErrClosed }}
	require.ErrorContains(t, p.start(t.Context()), "the broken ended when it was started: exit status 1")
}
