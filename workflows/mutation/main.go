// Command mutation proves that the recorded histories detect harmful changes of the workflows. It applies one mutation of the
// source at a time, replays all histories, and prints whether package replaytest and the SDK's own replayer detect it. It uses
// build overlays: the sources on disk are not modified.
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
	module := flag.String("module", ".", "directory of the module")
	dir := flag.String("histories", "workflows/testdata/histories", "directory of the recorded histories")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := testMutations(ctx, *module, *dir, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
}

// replayResult is the output of command replay: the number of histories, and how many of them differ according to each replayer.
type replayResult struct {
	Histories  int    `json:"histories"`
	Replaytest int    `json:"replaytest"`
	Plain      int    `json:"plain"` // the SDK's replayer
	First      string `json:"first"` // the first difference according to replaytest
}

// testMutations prints the result of each mutation as a table. It returns an error if replaytest misses a mutation, or if a
// history differs without a mutation.
func testMutations(ctx context.Context, module, histories string, out io.Writer) error {
	histories, err := filepath.Abs(histories)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "florin-mutation-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	overlays, err := writeOverlays(module, work)
	if err != nil {
		return err
	}
	unchanged, err := replay(ctx, module, histories, work, "")
	if err != nil {
		return fmt.Errorf("without a mutation: %w", err)
	}
	if unchanged.Replaytest+unchanged.Plain > 0 {
		return fmt.Errorf("a history differs without a mutation: %s", unchanged.First)
	}
	results := make([]replayResult, len(mutations))
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
	return printTable(out, unchanged.Histories, results)
}

// printTable returns an error if replaytest missed a mutation.
func printTable(out io.Writer, histories int, results []replayResult) error {
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(columns, "mutation\treplaytest\tplain\tfirst difference in %d histories\n", histories)
	var found, plain int
	var missed []error
	for i, m := range mutations {
		r := results[i]
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\n", m.name, verdict(r.Replaytest), verdict(r.Plain), r.First)
		if r.Replaytest > 0 {
			found++
		} else {
			missed = append(missed, fmt.Errorf("replaytest missed the mutation %q", m.name))
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

// verdict returns the table's entry for a replayer that found a difference in n histories.
func verdict(n int) string {
	if n == 0 {
		return "missed"
	}
	return fmt.Sprintf("caught (%d)", n)
}

// writeOverlays writes the overlays of all mutations before the first build, so that a mutation that no longer fits the source is
// reported at once.
func writeOverlays(module, work string) ([]string, error) {
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

// replay builds command replay and runs it. overlay is the path of a build overlay, or empty.
func replay(ctx context.Context, module, histories, work, overlay string) (result replayResult, err error) {
	binary := filepath.Join(work, "replay")
	// Linking is faster without symbols.
	compile := exec.CommandContext(ctx, "go", "build", "-o", binary, "-ldflags", "-s -w", "-overlay", overlay,
		"./workflows/mutation/replay")
	compile.Dir = module
	if output, err := compile.CombinedOutput(); err != nil {
		return result, fmt.Errorf("build command replay: %w\n%s", err, output)
	}
	var stdout, stderr bytes.Buffer
	run := exec.CommandContext(ctx, binary, histories) //nolint:gosec // G204: the binary was built above
	run.Stdout, run.Stderr = &stdout, &stderr
	if err := run.Run(); err != nil {
		return result, fmt.Errorf("run command replay: %w\n%s", err, stderr.String())
	}
	return result, json.Unmarshal(stdout.Bytes(), &result)
}

// overlay writes the mutated source and a build overlay that replaces the original with it. It returns the path of the overlay.
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
		return "", fmt.Errorf("%s contains the text to replace %d times: want it once\n%s", m.file, n, m.old)
	}
	mutated := filepath.Join(work, "mutated.go")
	//nolint:gosec // G703: the path is in a directory that this command created
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
