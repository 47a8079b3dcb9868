// Package process runs the processes of a test as children of this one, and kills, freezes and restarts them.
package process

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

// Process is a child process that is killed and restarted. Its methods must not be called concurrently. It ends with this process.
type Process struct {
	Name      string
	Arguments []string
	// Env is the environment, besides HOME and PATH.
	Env []string
	// Dir is the working directory. The output is appended to the file NAME.log in it.
	Dir string
	// Ready returns an error until the process does its work.
	Ready func(ctx context.Context) error

	cmd   *exec.Cmd // nil while it does not run
	ended chan struct{}
}

// Start starts the process and returns once it is ready.
func (p *Process) Start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(p.Dir, p.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// Canceling ctx must not end the process: only kill does.
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), p.Arguments[0], p.Arguments[1:]...) //nolint:gosec // what was just built
	p.cmd.Dir, p.cmd.SysProcAttr = p.Dir, killedWithParent()
	p.cmd.Env = append([]string{"HOME=" + p.Dir, "PATH=" + os.Getenv("PATH")}, p.Env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return fmt.Errorf("start the %s: %w", p.Name, err)
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
func (p *Process) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := p.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the %s exited during its start: %s: see %s.log", p.Name, p.cmd.ProcessState, p.Name)
		case <-ctx.Done():
			return fmt.Errorf("the %s is not ready: %w", p.Name, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Freeze stops the execution of the process until [Process.Thaw]: it sends SIGSTOP.
func (p *Process) Freeze() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw continues the execution of the process: it sends SIGCONT.
func (p *Process) Thaw() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// Stop sends SIGTERM and returns once the process has exited. It returns an error if that takes longer than a minute, or if the process
// has failed.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the %s: %w", p.Name, err)
	}
	select {
	case <-p.ended:
	case <-time.After(startTimeout):
		return fmt.Errorf("the %s does not exit after SIGTERM", p.Name)
	}
	state := p.cmd.ProcessState
	if p.cmd = nil; !state.Success() {
		return fmt.Errorf("the %s ended with %s: see %s.log", p.Name, state, p.Name)
	}
	return nil
}

// Kill sends SIGKILL and returns once the process has exited. It does nothing if the process was not started, and returns
// an error if the process had exited by itself.
func (p *Process) Kill() error {
	if p.cmd == nil {
		return nil
	}
	select {
	case <-p.ended:
		return fmt.Errorf("the %s had exited by itself: %s: see %s.log", p.Name, p.cmd.ProcessState, p.Name)
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the %s: %w", p.Name, err)
	}
	<-p.ended
	p.cmd = nil
	return nil
}

// ID returns the id of the process; 0 while it does not run.
func (p *Process) ID() int {
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}
