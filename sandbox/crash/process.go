package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// startTimeout is how long a process may take until it is ready, even on a busy machine.
const startTimeout = 60 * time.Second

// process is a child process that is killed and restarted. Its methods must not be called concurrently.
type process struct {
	name      string
	arguments []string
	env       []string
	dir       string
	// ready returns an error until the process does its work.
	ready func(ctx context.Context) error

	cmd   *exec.Cmd // nil while it does not run
	ended chan struct{}
}

// start starts the process and returns once it is ready.
func (p *process) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(p.dir, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// Canceling ctx must not end the process: only kill does.
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), p.arguments[0], p.arguments[1:]...) //nolint:gosec // what was just built
	p.cmd.Dir, p.cmd.SysProcAttr = p.dir, killedWithParent()
	p.cmd.Env = append([]string{"HOME=" + p.dir, "PATH=" + os.Getenv("PATH")}, p.env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return fmt.Errorf("start the %s: %w", p.name, err)
	}
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // The error is in cmd.ProcessState, too.
	}()
	return p.waitReady(ctx)
}

// waitReady returns once the process is ready.
func (p *process) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the %s exited during its start: %s: see %s.log", p.name, p.cmd.ProcessState, p.name)
		case <-ctx.Done():
			return fmt.Errorf("the %s is not ready: %w", p.name, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// kill sends SIGKILL and returns once the process has exited. It does nothing if the process was not started, and returns
// an error if the process had exited by itself.
func (p *process) kill() error {
	if p.cmd == nil {
		return nil
	}
	select {
	case <-p.ended:
		return fmt.Errorf("the %s had exited by itself: %s: see %s.log", p.name, p.cmd.ProcessState, p.name)
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the %s: %w", p.name, err)
	}
	<-p.ended
	p.cmd = nil
	return nil
}
