package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// project runs the services of a compose file as `docker compose` does.
type project struct {
	*types.Project
	podman *podman
	out    io.Writer
}

// loadProject reads compose files as docker compose does in an empty environment. It returns an error for whatever the runner
// does not honour.
func loadProject(ctx context.Context, p *podman, out io.Writer, files []string) (*project, error) {
	options, err := cli.NewProjectOptions(files, cli.WithEnv(nil), cli.WithDefaultProfiles())
	if err != nil {
		return nil, err
	}
	loaded, err := options.LoadProject(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range loaded.Services {
		if err := honoured(s); err != nil {
			return nil, fmt.Errorf("service %s: %w", s.Name, err)
		}
	}
	return &project{Project: loaded, podman: p, out: out}, nil
}

// honoured returns an error if a service has a field that [project.create] does not honour: a check that skips what it does not know
// would prove nothing.
func honoured(s types.ServiceConfig) error {
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind && v.Type != types.VolumeTypeVolume {
			return fmt.Errorf("volumes: type %s is not honoured", v.Type)
		}
	}
	for _, port := range s.Ports {
		if port.Protocol != "tcp" || port.HostIP == "" {
			return fmt.Errorf("ports: %s is not honoured: want a TCP port on an address", port.Published)
		}
	}
	if s.NetworkMode != "" && s.NetworkMode != "none" {
		return fmt.Errorf("network_mode %s is not honoured", s.NetworkMode)
	}
	if s.Restart != "" && s.Restart != types.RestartPolicyUnlessStopped {
		return fmt.Errorf("restart %s is not honoured", s.Restart)
	}
	for name, d := range s.DependsOn {
		if d.Condition != types.ServiceConditionHealthy && d.Condition != types.ServiceConditionCompletedSuccessfully {
			return fmt.Errorf("depends_on.%s: condition %s is not honoured", name, d.Condition)
		}
	}
	rest := s
	rest.Name, rest.Image, rest.Build, rest.PullPolicy = "", "", nil, ""
	rest.Command, rest.Entrypoint, rest.Environment, rest.Volumes, rest.Ports = nil, nil, nil, nil, nil
	rest.NetworkMode, rest.Networks, rest.Restart, rest.DependsOn, rest.HealthCheck = "", nil, "", nil, nil
	rest.Secrets, rest.MemLimit, rest.ReadOnly, rest.Tmpfs, rest.CapDrop, rest.SecurityOpt, rest.StopGracePeriod = nil, 0, false, nil, nil, nil, nil
	rest.Extensions = nil
	if text := fmt.Sprintf("%+v", rest); text != fmt.Sprintf("%+v", types.ServiceConfig{}) {
		return fmt.Errorf("has a field that is not honoured: %s", text)
	}
	return nil
}

func (p *project) container(service string) string { return p.Name + "-" + service + "-1" }

// create creates the container of a service.
func (p *project) create(ctx context.Context, s types.ServiceConfig) error {
	args := []string{"create", "--name", p.container(s.Name), "--hostname", s.Name, "--pull=never",
		"--ulimit", "nofile=20000:20000", "--ulimit", "nproc=20000:20000"} // the defaults of podman exceed what a sandboxed machine allows
	if s.NetworkMode == "none" {
		args = append(args, "--network", "none")
	} else {
		args = append(args, "--network", p.Name+"_default", "--network-alias", s.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		if value := s.Environment[name]; value != nil {
			args = append(args, "--env", name+"="+*value)
		}
	}
	for _, v := range s.Volumes {
		source, mode := v.Source, ""
		if v.Type == types.VolumeTypeVolume {
			source = p.Volumes[v.Source].Name
		}
		if v.ReadOnly {
			mode = ":ro"
		}
		args = append(args, "--volume", source+":"+v.Target+mode)
	}
	for _, secret := range s.Secrets {
		args = append(args, "--volume", p.Secrets[secret.Source].File+":/run/secrets/"+cmp.Or(secret.Target, secret.Source)+":ro")
	}
	for _, port := range s.Ports {
		args = append(args, "--publish", fmt.Sprintf("%s:%s:%d", port.HostIP, port.Published, port.Target))
	}
	if s.ReadOnly {
		args = append(args, "--read-only")
	}
	for _, path := range s.Tmpfs {
		args = append(args, "--tmpfs", path)
	}
	for _, capability := range s.CapDrop {
		args = append(args, "--cap-drop", capability)
	}
	for _, option := range s.SecurityOpt {
		args = append(args, "--security-opt", strings.TrimSuffix(option, ":true"))
	}
	if s.MemLimit > 0 {
		args = append(args, "--memory", strconv.FormatInt(int64(s.MemLimit), 10))
	}
	if s.Restart != "" {
		args = append(args, "--restart", s.Restart)
	}
	if s.HealthCheck != nil {
		test, err := healthCommand(s.HealthCheck.Test)
		if err != nil {
			return err
		}
		args = append(args, "--health-cmd", test, "--health-interval", "disable") // this program is the timer
	}
	command := s.Command
	if s.Entrypoint != nil {
		args = append(args, "--entrypoint", s.Entrypoint[0])
		command = append(slices.Clone(s.Entrypoint[1:]), command...)
	}
	args = append(append(args, s.Image), command...)
	_, err := p.podman.run(ctx, args...)
	return err
}

// healthCommand returns the command of a test as a JSON array, as podman wants it.
func healthCommand(test []string) (string, error) {
	if len(test) < 2 || test[0] != "CMD" {
		return "", fmt.Errorf("healthcheck %v is not honoured: want CMD and a command", test)
	}
	quoted := make([]string, len(test)-1)
	for i, word := range test[1:] {
		quoted[i] = strconv.Quote(word)
	}
	return "[" + strings.Join(quoted, ",") + "]", nil
}

// up creates and starts all services in the order of their dependencies, and returns once each is healthy or, if it ends by itself, has
// completed.
func (p *project) up(ctx context.Context) error {
	if _, err := p.podman.run(ctx, "network", "create", p.Name+"_default"); err != nil && !strings.Contains(err.Error(), "already exists") {
		return err
	}
	started := map[string]bool{}
	for len(started) < len(p.Services) {
		progress := false
		for _, name := range slices.Sorted(maps.Keys(p.Services)) {
			s := p.Services[name]
			ready := func(d string) bool { return started[d] }
			if started[name] || !allKeys(s.DependsOn, ready) {
				continue
			}
			for dependency, d := range s.DependsOn {
				if err := p.await(ctx, dependency, d.Condition); err != nil {
					return err
				}
			}
			if err := p.create(ctx, s); err != nil {
				return err
			}
			if err := p.start(ctx, name); err != nil {
				return err
			}
			started[name], progress = true, true
		}
		if !progress {
			return errors.New("the dependencies of the services are circular")
		}
	}
	for name, s := range p.Services {
		if s.HealthCheck == nil {
			continue
		}
		if err := p.await(ctx, name, types.ServiceConditionHealthy); err != nil {
			return err
		}
	}
	return nil
}

func allKeys[V any](m map[string]V, ok func(string) bool) bool {
	for key := range m {
		if !ok(key) {
			return false
		}
	}
	return true
}

func (p *project) start(ctx context.Context, service string) error {
	_, err := p.podman.run(ctx, "start", p.container(service))
	return err
}

// await waits until a service meets the condition of one that depends on it. A service that cannot meet it any more is an error with the
// end of its log.
func (p *project) await(ctx context.Context, service, condition string) error {
	if condition == types.ServiceConditionCompletedSuccessfully {
		code, err := p.podman.run(ctx, "wait", p.container(service))
		if err == nil && code != "0" {
			err = fmt.Errorf("it exited with code %s", code)
		}
		if err != nil {
			return fmt.Errorf("service %s did not complete: %w\n%s", service, err, p.logs(ctx, service))
		}
		return nil
	}
	check := p.Services[service].HealthCheck
	interval, tries := time.Duration(*check.Interval), int(*check.Retries)
	if check.StartPeriod != nil {
		tries += int(time.Duration(*check.StartPeriod) / interval)
	}
	var err error
	for range tries {
		if err = p.healthy(ctx, service); err == nil {
			return nil
		}
		if err := pause(ctx, interval); err != nil {
			return err
		}
	}
	return fmt.Errorf("service %s is not healthy: %w\n%s", service, err, p.logs(ctx, service))
}

// healthy runs the health check of a service once.
func (p *project) healthy(ctx context.Context, service string) error {
	if timeout := p.Services[service].HealthCheck.Timeout; timeout != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*timeout)+5*time.Second) // starting the check takes time, too
		defer cancel()
	}
	_, err := p.podman.run(ctx, "healthcheck", "run", p.container(service))
	return err
}

// logs returns the end of what a service has printed.
func (p *project) logs(ctx context.Context, service string) string {
	return p.podman.logs(context.WithoutCancel(ctx), p.container(service))
}

// removeVolumes removes what an earlier run has left.
func (p *project) removeVolumes(ctx context.Context) error {
	for _, v := range p.Volumes {
		if _, err := p.podman.run(ctx, "volume", "rm", "--force", v.Name); err != nil && !strings.Contains(err.Error(), "no such volume") {
			return err
		}
	}
	return nil
}

// stop stops a service as `docker compose stop` does, and returns its exit code.
func (p *project) stop(ctx context.Context, service string) (code string, err error) {
	grace := 10 * time.Second
	if s := p.Services[service]; s.StopGracePeriod != nil {
		grace = time.Duration(*s.StopGracePeriod)
	}
	if _, err := p.podman.run(ctx, "stop", "--time", strconv.Itoa(int(grace.Seconds())), p.container(service)); err != nil {
		return "", err
	}
	return p.podman.run(ctx, "inspect", "--format", "{{.State.ExitCode}}", p.container(service))
}

// down stops and removes the containers, those that others depend on last, and the network. The volumes stay.
func (p *project) down(ctx context.Context) error {
	var errs []error
	for remaining := maps.Clone(p.Services); len(remaining) > 0; {
		var name string
		for _, candidate := range slices.Sorted(maps.Keys(remaining)) {
			if !neededBy(remaining, candidate) {
				name = candidate
				break
			}
		}
		if _, err := p.podman.run(ctx, "container", "exists", p.container(name)); err == nil {
			_, stopErr := p.stop(ctx, name)
			_, err := p.podman.run(ctx, "rm", "--force", p.container(name))
			errs = append(errs, stopErr, err)
		}
		delete(remaining, name)
	}
	_, err := p.podman.run(ctx, "network", "rm", "--force", p.Name+"_default")
	return errors.Join(append(errs, err)...)
}

func neededBy(services types.Services, name string) bool {
	for _, s := range services {
		if _, needs := s.DependsOn[name]; needs {
			return true
		}
	}
	return false
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
