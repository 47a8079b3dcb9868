// Command build builds the sandbox into bin/sandbox, and shows how far it is and how long it takes: the first build of the embedded Temporal
// server takes minutes. It is run in the folder of the sandbox. make demo and make demo-check use the same binary.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// announced is how many packages are compiled without a word: a build that takes seconds needs no estimate.
const announced = 200

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out *os.File) error {
	info, err := out.Stat()
	if err != nil {
		return err
	}
	show := &display{out: out, terminal: info.Mode()&os.ModeCharDevice != 0}
	work, err := list(ctx, show)
	if err != nil {
		return err
	}
	if len(work) > announced {
		show.line("Building the embedded Temporal server: %d packages, on %d cores. The first build takes minutes, later ones take seconds.",
			len(work), runtime.GOMAXPROCS(0))
	}
	return build(ctx, show, work)
}

// list returns the packages that have to be compiled, and how many bytes of source code each has.
func list(ctx context.Context, show *display) (map[string]int64, error) {
	// Without EmbedFiles, the go command would take what embeds files for out of date.
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=ImportPath,Stale,Dir,GoFiles,CgoFiles,EmbedFiles", ".")
	packages, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	downloads := 0
	wait, err := start(cmd, func(line string) {
		if !strings.HasPrefix(line, "go: downloading ") {
			show.line("%s", line)
			return
		}
		downloads++
		show.progress(downloads%250 == 0, "downloading module %d", downloads)
	})
	if err != nil {
		return nil, err
	}
	work := map[string]int64{}
	decoder := json.NewDecoder(packages)
	for {
		var p struct {
			ImportPath, Dir   string
			Stale             bool
			GoFiles, CgoFiles []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, errors.Join(err, wait())
		}
		if !p.Stale {
			continue
		}
		work[p.ImportPath] = 0
		for _, file := range append(p.GoFiles, p.CgoFiles...) {
			if info, err := os.Stat(filepath.Join(p.Dir, file)); err == nil {
				work[p.ImportPath] += info.Size()
			}
		}
	}
	return work, wait()
}

// build compiles and links. The symbol table and the debug information are left out: linking them takes half as long again, and nothing here
// uses them. The version of the working copy is left out, too: with it, every commit would be linked again.
func build(ctx context.Context, show *display, work map[string]int64) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-v", "-buildvcs=false", "-ldflags=-s -w", "-o", "bin/sandbox", ".")
	began := time.Now()
	e := newEstimate(work, runtime.GOMAXPROCS(0))
	wait, err := start(cmd, func(line string) {
		if _, ok := work[line]; !ok {
			show.line("%s", line)
			return
		}
		e.started(line)
		show.compiling(e, time.Since(began))
	})
	if err != nil {
		return err
	}
	err = wait()
	show.end()
	if err == nil && len(work) > announced {
		show.line("Built in %s; the first estimate was %s, after %s.", forDisplay(time.Since(began)), forDisplay(e.first), forDisplay(e.firstAfter))
	}
	return err
}

// start starts a command, and returns a function that waits for its end. line is called for each line of its standard error.
func start(cmd *exec.Cmd, line func(string)) (wait func() error, err error) {
	lines, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		scanner := bufio.NewScanner(lines)
		for scanner.Scan() {
			line(scanner.Text())
		}
		_, _ = io.Copy(io.Discard, lines) // after a line that is too long
	}()
	return func() error {
		<-read
		return cmd.Wait()
	}, nil
}

// display shows progress: in place on a terminal, and otherwise as a line now and then.
type display struct {
	out      io.Writer
	terminal bool
	// open reports that the cursor is behind a text that is to be replaced.
	open bool
}

func (d *display) line(format string, args ...any) {
	d.end()
	_, _ = fmt.Fprintf(d.out, format+"\n", args...)
}

func (d *display) progress(milestone bool, format string, args ...any) {
	switch {
	case d.terminal:
		_, _ = fmt.Fprintf(d.out, "\r  "+format+"\x1b[K", args...)
		d.open = true
	case milestone:
		_, _ = fmt.Fprintf(d.out, "  "+format+"\n", args...)
	}
}

// compiling shows how far the build is, and how long it still takes.
func (d *display) compiling(e *estimate, elapsed time.Duration) {
	text := fmt.Sprintf("compiling package %d of %d", e.packages, len(e.costs))
	if left, isKnown := e.remaining(elapsed); isKnown {
		text += fmt.Sprintf(", about %s left", forDisplay(left))
	}
	d.progress(e.isMilestone(), "%s", text)
}

func (d *display) end() {
	if d.open {
		_, _ = fmt.Fprintln(d.out)
	}
	d.open = false
}
