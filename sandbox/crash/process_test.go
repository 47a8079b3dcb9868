package main

import (
	"context"
	"net"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func readyAtOnce(context.Context) error { return nil }

func TestKilledProcessCanBeRestarted(t *testing.T) {
	p := &process{name: "sleeper", dir: t.TempDir(), arguments: []string{"sleep", "60"}, ready: readyAtOnce}
	require.NoError(t, p.start(t.Context()))
	first := p.cmd.Process.Pid
	require.NoError(t, exec.Command("kill", "-0", strconv.Itoa(first)).Run())
	cmd := p.cmd
	require.NoError(t, p.kill())
	require.Equal(t, "signal: killed", cmd.ProcessState.String())
	require.Error(t, exec.Command("kill", "-0", strconv.Itoa(first)).Run(), "the process does not exist any more")
	require.NoError(t, p.kill(), "killing a process that does not run is not an error")
	require.NoError(t, p.start(t.Context()))
	require.NotEqual(t, first, p.cmd.Process.Pid)
	require.NoError(t, p.kill())
}

func TestKillOfAProcessThatExitedByItselfIsAnError(t *testing.T) {
	p := &process{name: "short", dir: t.TempDir(), arguments: []string{"true"}, ready: readyAtOnce}
	require.NoError(t, p.start(t.Context()))
	<-p.ended
	require.ErrorContains(t, p.kill(), "the short had exited by itself")
}

func TestProcessThatExitsDuringItsStartIsAnError(t *testing.T) {
	neverReady := func(context.Context) error { return net.ErrClosed }
	p := &process{name: "broken", dir: t.TempDir(), arguments: []string{"false"}, ready: neverReady}
	require.ErrorContains(t, p.start(t.Context()), "the broken exited during its start: exit status 1")
}
