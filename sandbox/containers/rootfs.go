package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// rootfs is the directory that becomes the file system of a stand-in.
type rootfs struct {
	ctx context.Context //nolint:containedctx // of all of its steps
	dir string
	err error
}

// newRootfs returns a file system with users and, if shell is true, with busybox under the names of all of its commands.
func newRootfs(ctx context.Context, dir string, shell bool, users ...string) *rootfs {
	r := &rootfs{ctx: ctx, dir: dir}
	accounts, groups := "root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\n"
	for _, user := range users { // name:id:home
		f := strings.Split(user, ":")
		accounts += fmt.Sprintf("%s:x:%s:%s::%s:/bin/sh\n", f[0], f[1], f[1], f[2])
		groups += fmt.Sprintf("%s:x:%s:\n", f[0], f[1])
	}
	r.write("/etc/passwd", accounts, 0o644)
	r.write("/etc/group", groups, 0o644)
	r.mkdir("/tmp", 0o1777)
	r.mkdir("/root", 0o700)
	r.copy("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt")
	r.copyTree("/usr/share/zoneinfo", "/usr/share/zoneinfo")
	if shell {
		r.copy("/bin/busybox", "/bin/busybox")
		for _, name := range strings.Fields(r.output("/bin/busybox", "--list")) {
			r.link("/bin/busybox", "/bin/"+name)
		}
	}
	return r
}

func (r *rootfs) path(path string) string { return filepath.Join(r.dir, path) }

// try runs a step unless one before has failed.
func (r *rootfs) try(step func() error) {
	if r.err == nil {
		r.err = step()
	}
}

func (r *rootfs) output(command string, args ...string) (out string) {
	r.try(func() error {
		content, err := exec.CommandContext(r.ctx, command, args...).Output()
		out = string(content)
		return err
	})
	return out
}

func (r *rootfs) mkdir(path string, mode fs.FileMode) {
	r.try(func() error {
		err := os.MkdirAll(r.path(path), 0o755) //nolint:gosec // a directory of an image
		if err != nil {
			return err
		}
		unix := mode.Perm()
		if mode&0o1000 != 0 {
			unix |= os.ModeSticky
		}
		return os.Chmod(r.path(path), unix)
	})
}

func (r *rootfs) write(path, content string, mode fs.FileMode) {
	r.try(func() error {
		if err := os.MkdirAll(filepath.Dir(r.path(path)), 0o755); err != nil { //nolint:gosec // a directory of an image
			return err
		}
		return os.WriteFile(r.path(path), []byte(content), mode)
	})
}

func (r *rootfs) link(target, path string) {
	r.try(func() error {
		if _, err := os.Lstat(r.path(path)); err == nil {
			return nil
		}
		if err := os.MkdirAll(filepath.Dir(r.path(path)), 0o755); err != nil { //nolint:gosec // a directory of an image
			return err
		}
		return os.Symlink(target, r.path(path))
	})
}

// copy copies a file, or what a symbolic link leads to.
func (r *rootfs) copy(from, to string) {
	r.try(func() error { return os.MkdirAll(filepath.Dir(r.path(to)), 0o755) }) //nolint:gosec // a directory of an image
	r.output("cp", "-L", "--preserve=mode", from, r.path(to))
}

// copyTree copies a directory with what is in it.
func (r *rootfs) copyTree(from, to string) {
	r.try(func() error { return os.MkdirAll(r.path(to), 0o755) }) //nolint:gosec // a directory of an image
	r.output("cp", "-RL", "--preserve=mode", from+"/.", r.path(to))
}

// program copies a program with the shared libraries that it needs, each to the path that it has here.
func (r *rootfs) program(from, to string) {
	r.copy(from, to)
	for line := range strings.Lines(r.output("ldd", from)) {
		for _, field := range strings.Fields(line) {
			if strings.HasPrefix(field, "/") {
				if _, err := os.Stat(r.path(field)); err != nil {
					r.copy(field, field)
				}
			}
		}
	}
}
