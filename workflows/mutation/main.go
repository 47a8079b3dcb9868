// Command mutation proves that the recorded histories guard the workflows: it changes the source in ways that matter, one at
// a time, replays all histories with each, and shows whether package replaytest finds it, and whether the SDK's own replayer
// does. The sources on disk stay as they are.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"
)

func main() {
	module := flag.String("module", ".", "the directory of the module")
	dir := flag.String("histories", "workflows/testdata/histories", "the directory of the histories")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := prove(ctx, *module, *dir, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
}

// caught is how many histories show a change to each replayer, and the first difference that replaytest names.
type caught struct {
	Histories  int    `json:"histories"`
	Replaytest int    `json:"replaytest"`
	Plain      int    `json:"plain"`
	First      string `json:"first"`
}

// prove prints a table. It is an error if replaytest misses a mutation, or if anything differs without one.
func prove(ctx context.Context, module, histories string, out io.Writer) error {
	histories, err := filepath.Abs(histories)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "florin-mutation-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	overlays, err := prepare(module, work)
	if err != nil {
		return err
	}
	unchanged, err := replay(ctx, module, histories, work, "")
	if err != nil {
		return fmt.Errorf("the code as it is: %w", err)
	}
	if unchanged.Replaytest+unchanged.Plain > 0 {
		return fmt.Errorf("the code as it is does not replay: %s", unchanged.First)
	}
	results := make([]caught, len(mutations))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, m := range mutations {
		group.Go(func() (err error) {
			if results[i], err = replay(ctx, module, histories, filepath.Dir(overlays[i]), overlays[i]); err != nil {
				err = fmt.Errorf("%s: %w", m.name, err)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return table(out, unchanged.Histories, results)
}

func table(out io.Writer, histories int, results []caught) error {
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(columns, "mutation\treplaytest\tplain\tthe first difference in %d histories\n", histories)
	var found, plain int
	var missed []error
	for i, m := range mutations {
		r := results[i]
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\n", m.name, verdict(r.Replaytest), verdict(r.Plain), r.First)
		if r.Replaytest > 0 {
			found++
		} else {
			missed = append(missed, fmt.Errorf("replaytest does not find %q", m.name))
		}
		if r.Plain > 0 {
			plain++
		}
	}
	if err := columns.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "mutation: replaytest=%d/%d plain=%d/%d\n", found, len(mutations), plain, len(mutations))
	return errors.Join(missed...)
}

func verdict(n int) string {
	if n == 0 {
		return "missed"
	}
	return fmt.Sprintf("caught (%d)", n)
}

// prepare makes the overlays of all mutations, before anything is built: an edit that fits no more is found at once.
func prepare(module, work string) ([]string, error) {
	overlays := make([]string, len(mutations))
	var problems []error
	for i, m := range mutations {
		dir := filepath.Join(work, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o750); err != nil {
			return nil, err
		}
		var err error
		if overlays[i], err = m.overlay(module, dir); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", m.name, err))
		}
	}
	return overlays, errors.Join(problems...)
}

// replay builds the replayer, with an overlay if there is one, and runs it.
func replay(ctx context.Context, module, histories, work, overlay string) (result caught, err error) {
	binary := filepath.Join(work, "replay")
	// Without symbols it links faster.
	compile := exec.CommandContext(ctx, "go", "build", "-o", binary, "-ldflags", "-s -w", "-overlay", overlay, "./workflows/mutation/replay")
	compile.Dir = module
	if output, err := compile.CombinedOutput(); err != nil {
		return result, fmt.Errorf("it does not compile: %w\n%s", err, output)
	}
	var stdout, stderr bytes.Buffer
	run := exec.CommandContext(ctx, binary, histories) //nolint:gosec // G204: it was built here
	run.Stdout, run.Stderr = &stdout, &stderr
	if err := run.Run(); err != nil {
		return result, fmt.Errorf("replay: %w\n%s", err, stderr.String())
	}
	return result, json.Unmarshal(stdout.Bytes(), &result)
}

// overlay writes the changed source and the file that puts it in the place of the original.
func (m *mutation) overlay(module, work string) (string, error) {
	original, err := filepath.Abs(filepath.Join(module, m.file))
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(filepath.Clean(original))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(source), m.old); n != 1 {
		return "", fmt.Errorf("%s has %d times what is to be changed: want it once\n%s", m.file, n, m.old)
	}
	mutated := filepath.Join(work, "mutated.go")
	//nolint:gosec // G703: whoever runs this names the directory
	if err := os.WriteFile(mutated, []byte(strings.Replace(string(source), m.old, m.changed, 1)), 0o600); err != nil {
		return "", err
	}
	written, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutated}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(work, "overlay.json")
	return overlay, os.WriteFile(overlay, written, 0o600)
}
