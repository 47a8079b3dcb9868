package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

var (
	//go:embed standins/getent.sh
	getentScript string
	//go:embed standins/nc.sh
	ncScript string
	//go:embed standins/postgres.sh
	postgresScript string
)

// cliVersion is the latest version of Temporal's CLI that can be built from the module proxy: later ones need a replace directive.
const cliVersion = "v1.5.1"

// images builds all images of a project: stand-ins for those of others, and Florin's own from the Dockerfile.
type images struct {
	podman *podman
	// dir is for temporary files, repository the root of the repository.
	dir, repository string
	out             io.Writer
}

// versionOf returns the tag of an image that the project uses.
func versionOf(project *types.Project, repository string) (string, error) {
	for _, s := range project.Services {
		if name, tag, _ := strings.Cut(s.Image, ":"); name == repository && tag != "" {
			return tag, nil
		}
	}
	return "", fmt.Errorf("docker-compose.yml uses no image %s with a tag", repository)
}

// standIns builds the stand-ins under the names of the images that the project and the Dockerfile use.
func (b *images) standIns(ctx context.Context, project *types.Project) error {
	temporal, err := versionOf(project, "temporalio/server")
	if err != nil {
		return err
	}
	ui, err := versionOf(project, "temporalio/ui")
	if err != nil {
		return err
	}
	bin := filepath.Join(b.dir, "bin")
	for pkg, name := range map[string]string{
		"go.temporal.io/server/cmd/server@v" + temporal:        "server",
		"go.temporal.io/server/cmd/tools/sql@v" + temporal:     "sql",
		"github.com/temporalio/ui-server/v2/cmd/server@v" + ui: "ui-server",
		"github.com/temporalio/cli/cmd/temporal@" + cliVersion: "temporal",
	} {
		if err := install(ctx, pkg, filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	server, err := moduleDir(ctx, "go.temporal.io/server@v"+temporal)
	if err != nil {
		return err
	}
	web, err := moduleDir(ctx, "github.com/temporalio/ui-server/v2@v"+ui)
	if err != nil {
		return err
	}
	for _, s := range []struct {
		image string
		fill  func(dir string) *rootfs
		lines []string
	}{
		{image: "temporalio/server:" + temporal, fill: func(dir string) *rootfs {
			r := alpine(ctx, dir)
			r.copy(filepath.Join(bin, "server"), "/usr/local/bin/temporal-server")
			r.copy(filepath.Join(server, "docker/scripts/sh/entrypoint.sh"), "/etc/temporal/entrypoint.sh")
			r.try(func() error { return os.Chmod(r.path("/etc/temporal/entrypoint.sh"), 0o755) }) //nolint:gosec // as upstream
			return r
		}, lines: []string{"WORKDIR /etc/temporal", "USER temporal", `CMD ["/etc/temporal/entrypoint.sh"]`}},
		{image: "temporalio/admin-tools:" + temporal, fill: func(dir string) *rootfs {
			r := alpine(ctx, dir)
			r.copy(filepath.Join(bin, "sql"), "/usr/local/bin/temporal-sql-tool")
			r.copy(filepath.Join(bin, "temporal"), "/usr/local/bin/temporal")
			r.copyTree(filepath.Join(server, "schema"), "/etc/temporal/schema")
			return r
		}, lines: []string{"USER temporal", `CMD ["sh", "-c", "trap exit INT HUP TERM; sleep infinity & wait"]`}},
		{image: "temporalio/ui:" + ui, fill: func(dir string) *rootfs {
			r := alpine(ctx, dir)
			r.copy(filepath.Join(bin, "ui-server"), "/home/ui-server/ui-server")
			r.copy(filepath.Join(web, "config/docker.yaml"), "/home/ui-server/config/docker.yaml")
			r.copy(filepath.Join(web, "docker/start-ui-server.sh"), "/home/ui-server/start-ui-server.sh")
			r.try(func() error { return os.Chmod(r.path("/home/ui-server/start-ui-server.sh"), 0o755) }) //nolint:gosec // as upstream
			r.write("/bin/bash", "#!/bin/sh\nexec /bin/sh \"$@\"\n", 0o755)
			return r
		}, lines: []string{"WORKDIR /home/ui-server", "USER temporal", "EXPOSE 8080", `ENTRYPOINT ["./start-ui-server.sh"]`}},
	} {
		if err := b.standIn(ctx, s.image, s.fill, s.lines...); err != nil {
			return err
		}
	}
	if err := b.postgres(ctx, project); err != nil {
		return err
	}
	return b.bases(ctx)
}

// alpine is what the images of Temporal begin with.
func alpine(ctx context.Context, dir string) *rootfs {
	r := newRootfs(ctx, dir, true, "temporal:1000:/home/temporal")
	r.write("/usr/bin/getent", getentScript, 0o755)
	r.write("/usr/bin/nc", ncScript, 0o755)
	return r
}

// postgres builds the stand-in for PostgreSQL from the Debian packages of this machine.
func (b *images) postgres(ctx context.Context, project *types.Project) error {
	version, err := versionOf(project, "postgres")
	if err != nil {
		return err
	}
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(installed) == 0 {
		return errors.New("missing: install the Debian package postgresql")
	}
	home := filepath.Dir(filepath.Dir(installed[len(installed)-1]))
	fmt.Fprintf(b.out, "  postgres:%s is PostgreSQL %s of this machine\n", version, filepath.Base(home))
	return b.standIn(ctx, "postgres:"+version, func(dir string) *rootfs {
		r := newRootfs(ctx, dir, true, "postgres:70:/var/lib/postgresql")
		for _, name := range []string{"postgres", "initdb", "pg_ctl", "pg_isready", "psql", "createdb"} {
			r.program(filepath.Join(home, "bin", name), filepath.Join(home, "bin", name))
			r.link(filepath.Join(home, "bin", name), "/usr/local/bin/"+name)
		}
		libraries, err := filepath.Glob(filepath.Join(home, "lib", "*.so"))
		r.try(func() error { return err })
		for _, library := range libraries {
			if !strings.Contains(library, "llvm") {
				r.program(library, library)
			}
		}
		share := strings.Replace(home, "/usr/lib/", "/usr/share/", 1)
		r.copyTree(share, share)
		r.copyTree("/usr/lib/locale", "/usr/lib/locale")
		r.program("/usr/bin/setpriv", "/usr/bin/setpriv")
		r.write("/usr/local/bin/docker-entrypoint.sh", postgresScript, 0o755)
		return r
	}, "ENV LANG=C.UTF-8 PGDATA=/var/lib/postgresql/data", "RUN mkdir -p /var/run/postgresql && chown 70:70 /var/run/postgresql && chmod 3777 /var/run/postgresql",
		"VOLUME /var/lib/postgresql/data", `ENTRYPOINT ["docker-entrypoint.sh"]`, "STOPSIGNAL SIGINT", "EXPOSE 5432", `CMD ["postgres"]`)
}

// bases builds the stand-ins for the images from which the Dockerfile builds.
func (b *images) bases(ctx context.Context) error {
	content, err := os.ReadFile(filepath.Join(b.repository, "Dockerfile"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "FROM" {
			continue
		}
		image := fields[1]
		if strings.HasPrefix(image, "--platform=") {
			image = fields[2]
		}
		image, _, _ = strings.Cut(image, "@")
		switch {
		case strings.HasPrefix(image, "golang:"):
			err = b.standIn(ctx, image, func(dir string) *rootfs {
				r := newRootfs(ctx, dir, true)
				r.copyTree(strings.TrimSpace(r.output("go", "env", "GOROOT")), "/usr/local/go")
				return r
			}, "ENV GOPATH=/go GOTOOLCHAIN=local PATH=/go/bin:/usr/local/go/bin:/bin:/usr/bin", "WORKDIR /go")
		case strings.HasPrefix(image, "gcr.io/distroless/static"):
			err = b.standIn(ctx, image, func(dir string) *rootfs {
				r := newRootfs(ctx, dir, false, "nonroot:65532:/home/nonroot")
				r.mkdir("/../home", 0o700)
				return r
			}, "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				"COPY --chown=65532:65532 home/ /home/nonroot", "WORKDIR /home/nonroot", "USER 65532")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// standIn builds one stand-in from a file system and the lines of its Dockerfile.
func (b *images) standIn(ctx context.Context, image string, fill func(dir string) *rootfs, lines ...string) error {
	if _, err := b.podman.run(ctx, "image", "exists", image); err == nil {
		return nil // of an earlier run with the same --dir
	}
	contextDir, err := os.MkdirTemp(b.dir, "image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(contextDir)
	if r := fill(filepath.Join(contextDir, "rootfs")); r.err != nil {
		return fmt.Errorf("%s: %w", image, r.err)
	}
	dockerfile := "FROM scratch\nCOPY rootfs/ /\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(contextDir, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "  stand-in for %s\n", image)
	return b.podman.build(ctx, image, contextDir)
}

// own builds Florin's images of the project as `docker compose build` does, and returns how long that took.
func (b *images) own(ctx context.Context, project *types.Project) (time.Duration, error) {
	began := time.Now()
	built := map[string]bool{}
	for _, s := range project.Services {
		if s.Build == nil || built[s.Image] {
			continue
		}
		built[s.Image] = true
		if err := b.podman.build(ctx, s.Image, s.Build.Context, "--target", s.Build.Target, "--build-arg", "TARGETOS=linux", "--build-arg", "TARGETARCH="+runtime.GOARCH,
			"--file", filepath.Join(s.Build.Context, "Dockerfile"), "--ignorefile", filepath.Join(s.Build.Context, ".dockerignore")); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// install builds a program of another module.
func install(ctx context.Context, pkg, to string) error {
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	dir := to + ".d"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "install", "-ldflags=-s -w", pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go install %s: %w: %s", pkg, err, tail(string(output)))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("go install %s: built %v", pkg, found)
	}
	return os.Rename(found[0], to)
}

// moduleDir returns the directory of a module's source.
func moduleDir(ctx context.Context, module string) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", module).Output()
	if err != nil {
		return "", fmt.Errorf("go mod download %s: %w", module, err)
	}
	var downloaded struct{ Dir string }
	return downloaded.Dir, json.Unmarshal(output, &downloaded)
}
