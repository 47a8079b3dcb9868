package environment

import "golang.org/x/sys/unix"

// enoughMemory is more than the files of the environments of a few parallel tests.
const enoughMemory = 64 << 20

// memoryDir returns a directory in memory for files that are not kept: the fsyncs of a slow disk would delay every payment. It
// returns "", the system's directory for temporary files, if there is not enough space.
func memoryDir() string {
	const dir = "/dev/shm"
	var free unix.Statfs_t
	if err := unix.Statfs(dir, &free); err != nil || free.Type != unix.TMPFS_MAGIC || unix.Access(dir, unix.W_OK) != nil {
		return ""
	}
	if free.Bavail*uint64(free.Bsize) < enoughMemory {
		return ""
	}
	return dir
}
