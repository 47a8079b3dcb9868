package postgrestest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"
)

// tick is the unit of times in /proc on Linux.
const tick = 10 * time.Millisecond

// CPU returns the CPU time that the server's processes have used since its start, on all cores. It needs /proc, as Linux has it.
func (c *Cluster) CPU() (total time.Duration, err error) {
	postmaster, err := c.postmaster()
	if err != nil {
		return 0, err
	}
	children, err := childrenOf(postmaster)
	if err != nil {
		return 0, err
	}
	for _, pid := range append(children, postmaster) {
		used, err := cpuOf(pid)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) { // has ended: its time is that of the postmaster's ended children
			continue
		}
		if err != nil {
			return 0, err
		}
		total += used
	}
	return total, nil
}

// cpuOf returns the CPU time of a process and of its children that have ended.
func cpuOf(pid int) (used time.Duration, err error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	// The first field after the name is number 3. utime, stime, cutime and cstime are numbers 14 to 17.
	fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
	if len(fields) < 15 {
		return 0, fmt.Errorf("%s has %d fields after the name: want at least 15", path, len(fields))
	}
	for _, field := range fields[11:15] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, err
		}
		used += time.Duration(n) * tick
	}
	return used, nil
}
