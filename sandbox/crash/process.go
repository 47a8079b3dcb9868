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

// patience bounds how long a process takes until it answers, on a busy machine too.
const patience = 60 * time.Second

// process is one that is killed and started again. Its methods are called one at a time.
type process struct {
	name      string
	arguments []string
	env       []string
	dir       string
	// ready asks whether it does its work.
	ready func(ctx context.Context) error

	cmd   *exec.Cmd // nil where none runs
	ended chan struct{}
}

// start returns once the process is ready.
func (p *process) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(p.dir, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// ctx does not end it: kill does.
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), p.arguments[0], p.arguments[1:]...) //nolint:gosec // what was just built
	p.cmd.Dir, p.cmd.Env, p.cmd.SysProcAttr = p.dir, append([]string{"HOME=" + p.dir, "PATH=" + os.Getenv("PATH")}, p.env...), leash()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return fmt.Errorf("start the %s: %w", p.name, err)
	}
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended, its state tells
	}()
	return p.wait(ctx)
}

// wait lasts until the process is ready.
func (p *process) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the %s ended when it was started: %s: see %s.log", p.name, p.cmd.ProcessState, p.name)
		case <-ctx.Done():
			return fmt.Errorf("the %s is not ready: %w", p.name, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// kill ends it with SIGKILL, and returns when it is gone.
func (p *process) kill() error {
	if p.cmd == nil {
		return nil
	}
	select {
	case <-p.ended:
		return fmt.Errorf("the %s had ended by itself: %s: see %s.log", p.name, p.cmd.ProcessState, p.name)
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the %s: %w", p.name, err)
	}
	<-p.ended
	p.cmd = nil
	return nil
}
