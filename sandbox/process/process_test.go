package process

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
	p := &Process{Name: "sleeper", Dir: t.TempDir(), Arguments: []string{"sleep", "60"}, Ready: readyAtOnce}
	require.NoError(t, p.Start(t.Context()))
	first := p.cmd.Process.Pid
	require.NoError(t, exec.Command("kill", "-0", strconv.Itoa(first)).Run())
	cmd := p.cmd
	require.NoError(t, p.Kill())
	require.Equal(t, "signal: killed", cmd.ProcessState.String())
	require.Error(t, exec.Command("kill", "-0", strconv.Itoa(first)).Run(), "the process does not exist any more")
	require.NoError(t, p.Kill(), "killing a process that does not run is not an error")
	require.NoError(t, p.Start(t.Context()))
	require.NotEqual(t, first, p.cmd.Process.Pid)
	require.NoError(t, p.Kill())
}

func TestKillOfAProcessThatExitedByItselfIsAnError(t *testing.T) {
	p := &Process{Name: "short", Dir: t.TempDir(), Arguments: []string{"true"}, Ready: readyAtOnce}
	require.NoError(t, p.Start(t.Context()))
	<-p.ended
	require.ErrorContains(t, p.Kill(), "the short had exited by itself")
}

func TestProcessThatExitsDuringItsStartIsAnError(t *testing.T) {
	neverReady := func(context.Context) error { return net.ErrClosed }
	p := &Process{Name: "broken", Dir: t.TempDir(), Arguments: []string{"false"}, Ready: neverReady}
	require.ErrorContains(t, p.Start(t.Context()), "the broken exited during its start: exit status 1")
}
