package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// podman runs containers and builds images, with a storage of its own, so that it neither sees nor changes what else is on the machine.
type podman struct {
	// dir has the storage and the configuration.
	dir string
	// driver is how the layers of images are stored: overlay, or vfs, which copies all files for each layer, where the file system of dir
	// cannot be the upper layer of an overlay.
	driver string
}

// packages are the Debian packages with what podman needs to run containers on a bare machine, by the command that shows each.
var packages = map[string]string{
	"podman": "podman", "buildah": "buildah", "runc": "runc", "iptables": "iptables", "setpriv": "util-linux",
}

// requirements returns an error that says what is missing.
func requirements() error {
	var missing []string
	for command, pkg := range packages {
		if _, err := exec.LookPath(command); err != nil {
			missing = append(missing, pkg)
		}
	}
	for path, pkg := range map[string]string{
		"/usr/lib/podman/netavark": "netavark", "/usr/lib/podman/aardvark-dns": "aardvark-dns", "/bin/busybox": "busybox-static",
		"/etc/ssl/certs/ca-certificates.crt": "ca-certificates", "/usr/share/zoneinfo/UTC": "tzdata",
	} {
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, pkg)
		}
	}
	switch {
	case os.Getuid() != 0:
		return errors.New("containers with a network of their own need root here: run it with sudo")
	case len(missing) > 0:
		return fmt.Errorf("missing: install the Debian packages %s", strings.Join(missing, " "))
	default:
		return nil
	}
}

// newPodman writes the configuration: names without a registry are those of Docker Hub, as Docker understands them.
func newPodman(dir string) (*podman, error) {
	p := &podman{dir: dir, driver: "vfs"}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if overlayWorks(dir) {
		p.driver = "overlay"
	}
	return p, os.WriteFile(filepath.Join(dir, "registries.conf"), []byte(`unqualified-search-registries = ["docker.io"]`+"\n"), 0o600)
}

// overlayWorks reports whether a directory in dir can be the upper layer of an overlay.
func overlayWorks(dir string) bool {
	probe, err := os.MkdirTemp(dir, "overlay-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(probe)
	layers := ""
	for _, layer := range []string{"lower", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(probe, layer), 0o700); err != nil {
			return false
		}
		layers += fmt.Sprintf(",%sdir=%s", layer, filepath.Join(probe, layer))
	}
	merged := filepath.Join(probe, "merged")
	if err := os.Mkdir(merged, 0o700); err != nil {
		return false
	}
	if err := unix.Mount("overlay", merged, "overlay", 0, layers[1:]); err != nil {
		return false
	}
	return unix.Unmount(merged, 0) == nil
}

func (p *podman) storage() []string {
	return []string{"--root", filepath.Join(p.dir, "storage"), "--runroot", filepath.Join(p.dir, "run"), "--storage-driver", p.driver}
}

// run runs a podman command and returns what it prints.
func (p *podman) run(ctx context.Context, args ...string) (string, error) {
	global := append(p.storage(), "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--log-level", "error")
	return p.execute(exec.CommandContext(ctx, "podman", append(global, args...)...)) //nolint:gosec // the commands of this program
}

// logs returns the last lines that a container has printed, on standard output and on standard error.
func (p *podman) logs(ctx context.Context, container string) string {
	args := append(p.storage(), "logs", "--tail", "15", container)
	out, err := exec.CommandContext(ctx, "podman", args...).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// build builds an image and tags it. It never pulls one.
func (p *podman) build(ctx context.Context, tag, contextDir string, args ...string) error {
	all := append(p.storage(), "bud", "--isolation", "chroot", "--pull=never", "--layers", "--tag", tag)
	all = append(append(all, args...), contextDir)
	_, err := p.execute(exec.CommandContext(ctx, "buildah", all...))
	return err
}

func (p *podman) execute(cmd *exec.Cmd) (string, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(os.Environ(), "CONTAINERS_REGISTRIES_CONF="+filepath.Join(p.dir, "registries.conf"), "TMPDIR="+p.dir)
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(cmd.Path), lastWords(cmd.Args), err, tail(errs.String()+out.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// lastWords returns the end of a command, without podman's global flags.
func lastWords(args []string) string {
	const words = 12
	return strings.Join(args[max(1, len(args)-words):], " ")
}

// tail returns the last lines of an output.
func tail(output string) string {
	const lines = 15
	all := strings.Split(strings.TrimSpace(output), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
