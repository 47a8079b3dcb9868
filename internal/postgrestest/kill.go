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

// Kill ends the server and all its processes with SIGKILL, and returns when they are gone: StartAgain then recovers what
// was committed, as after a power cut.
func (c *Cluster) Kill(ctx context.Context) error {
	postmaster, err := c.postmaster()
	if err != nil {
		return err
	}
	// Stopped first, it cannot start more of them meanwhile.
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
	// The shell takes note of the postmaster's end; whoever adopts the others, of theirs.
	if err := c.Stop(); err != nil {
		return err
	}
	return gone(ctx, children)
}

// postmaster is the process id that the server left in its directory.
func (c *Cluster) postmaster() (int, error) {
	content, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := bytes.Cut(content, []byte("\n"))
	pid, err := strconv.Atoi(string(first))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("postmaster.pid begins with %q, which is no process", first)
	}
	return pid, nil
}

// childrenOf asks /proc. Processes that end meanwhile are none.
func childrenOf(parent int) (children []int, err error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	for _, path := range stats {
		pid, of, _, ok := readStat(path)
		if ok && of == parent {
			children = append(children, pid)
		}
	}
	return children, nil
}

// readStat reads the beginning of "pid (name) state parent …"; the name may hold anything.
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

// gone waits until none of the processes holds on to the shared memory. A zombie holds nothing.
func gone(ctx context.Context, pids []int) error {
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
				return fmt.Errorf("process %d of PostgreSQL does not end: %w", pid, ctx.Err())
			}
		}
	}
	return nil
}
