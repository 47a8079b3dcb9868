package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Kill ends the server and all its processes with SIGKILL, and returns when they have ended. [Cluster.StartAgain] then recovers
// the committed data, as after a power failure.
func (c *Cluster) Kill(ctx context.Context) error {
	postmaster, err := c.postmaster()
	if err != nil {
		return err
	}
	// A stopped postmaster cannot start more children while they are killed.
	if err := syscall.Kill(postmaster, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop the postmaster: %w", err)
	}
	children, err := childrenOf(postmaster)
	if err != nil {
		return err
	}
	for _, pid := range append(children, postmaster) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill process %d of PostgreSQL: %w", pid, err)
		}
	}
	// The shell waits for the postmaster. The children are reaped by the process that adopts them.
	if err := c.Stop(); err != nil {
		return err
	}
	return waitForExit(ctx, children)
}

// postmaster returns the process ID of the server, from the file postmaster.pid in its data directory.
func (c *Cluster) postmaster() (int, error) {
	content, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := bytes.Cut(content, []byte("\n"))
	pid, err := strconv.Atoi(string(first))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("postmaster.pid begins with %q: want a process ID", first)
	}
	return pid, nil
}

// childrenOf returns the process IDs of the children, from /proc. It skips processes that end in the meantime.
func childrenOf(parent int) (children []int, err error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	for _, path := range stats {
		pid, parentPID, _, ok := readStat(path)
		if ok && parentPID == parent {
			children = append(children, pid)
		}
	}
	return children, nil
}

// readStat parses the beginning of a stat file: "pid (name) state parent …". The name may contain any character, even a
// parenthesis. ok is false if the process has ended.
func readStat(path string) (pid, parent int, state string, ok bool) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, "", false
	}
	first, _, _ := bytes.Cut(content, []byte(" "))
	fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
	if len(fields) < 2 {
		return 0, 0, "", false
	}
	pid, pidErr := strconv.Atoi(string(first))
	parent, parentErr := strconv.Atoi(string(fields[1]))
	return pid, parent, string(fields[0]), pidErr == nil && parentErr == nil
}

// waitForExit waits until none of the processes is attached to the shared memory any more. A zombie is not attached.
func waitForExit(ctx context.Context, pids []int) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, pid := range pids {
		for {
			if _, _, state, alive := readStat(fmt.Sprintf("/proc/%d/stat", pid)); !alive || state == "Z" {
				break
			}
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("process %d of PostgreSQL has not ended after SIGKILL: %w", pid, ctx.Err())
			}
		}
	}
	return nil
}
