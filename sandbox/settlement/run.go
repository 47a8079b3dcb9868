package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/settlement"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// maxResident is the most memory that the starter may take, in bytes, however many payments there are.
const maxResident = 192 << 20

// run fills a store, writes a file and compares both. It returns an error if another difference than the planted ones is found, or one of
// them is not, or if the totals do not add up.
func run(ctx context.Context, out io.Writer, dir string, c corpus) (err error) {
	if dir, err = os.MkdirTemp(dir, "florin-settlement-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintf(out, "seed %d: %d payments, %d planted differences of %d kinds\n", c.seed, c.size, len(c.planted), len(kinds))
	starter := filepath.Join(dir, "starter")
	if err := build(ctx, starter); err != nil {
		return err
	}
	began := time.Now()
	if err := c.fill(ctx, filepath.Join(dir, "florin.db")); err != nil {
		return err
	}
	path := filepath.Join(dir, "settlement.csv")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	lines, err := c.write(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	fmt.Fprintf(out, "filled the store and wrote the file in %.0f s\n", time.Since(began).Seconds())
	env, err := environment.Start(ctx, environment.Options{DataDir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Stop()) }()
	r, err := compare(ctx, starter, dir, env.Ports.Temporal, arguments(path))
	if err != nil {
		return err
	}
	return c.judge(out, r, lines)
}

// build builds the starter in its own module: the sandbox has not all of its dependencies.
func build(ctx context.Context, starter string) error {
	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/florinpay/florin").Output()
	if err != nil {
		return fmt.Errorf("find the module of the starter: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", starter, "./cmd/starter")
	cmd.Dir = strings.TrimSpace(string(module))
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}

// result is what the starter has found, and what it took.
type result struct {
	findings []settlement.Finding
	summary  settlement.Summary
	took     time.Duration
	// resident is the memory of the starter, in bytes, at 10, 50 and 100 % of the time, and peak the most of it.
	resident [3]int64
	peak     int64
}

// compare runs the starter.
func compare(ctx context.Context, starter, dir string, port int, arguments []string) (r result, err error) {
	cmd := exec.CommandContext(ctx, starter, arguments...)
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, fmt.Sprintf("TEMPORAL_ADDRESS=127.0.0.1:%d", port)}
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return r, err
	}
	done, samples := make(chan struct{}), make(chan []int64)
	go func() { samples <- sample(cmd.Process.Pid, done) }()
	readErr := r.read(stdout)
	waitErr := cmd.Wait()
	r.took = time.Since(began)
	close(done)
	resident := <-samples
	var exit *exec.ExitError
	if isDifferent := errors.As(waitErr, &exit) && exit.ExitCode() == 1 && r.summary.Found() > 0; waitErr != nil && !isDifferent {
		return r, fmt.Errorf("%w: %s", waitErr, errOut.String())
	}
	for i, percent := range []int{10, 50, 100} {
		if len(resident) > 0 {
			r.resident[i] = resident[max(0, len(resident)*percent/100-1)]
		}
	}
	for _, bytes := range resident {
		r.peak = max(r.peak, bytes)
	}
	return r, readErr
}

// read reads the findings, and the summary after them.
func (r *result) read(stdout io.Reader) error {
	decoder := json.NewDecoder(bufio.NewReader(stdout))
	for {
		var line struct {
			settlement.Finding
			Summary *settlement.Summary `json:"summary"`
		}
		switch err := decoder.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case line.Summary != nil:
			r.summary = *line.Summary
		default:
			r.findings = append(r.findings, line.Finding)
		}
	}
}

// sample returns the memory of a process from its start until done, every 50 ms. It is empty where there is no /proc.
func sample(pid int, done <-chan struct{}) (resident []int64) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return resident
		case <-ticker.C:
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		if _, rest, ok := strings.Cut(string(status), "VmRSS:"); ok {
			kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err == nil {
				resident = append(resident, kilobytes<<10)
			}
		}
	}
}

// judge compares the findings with the planted differences.
func (c corpus) judge(out io.Writer, r result, lines int) error {
	type difference struct {
		kind     payment.DivergenceKind
		identity string
	}
	missed := map[difference]bool{}
	for n, kind := range c.planted {
		missed[difference{kind, c.identity(n)}] = true
	}
	found, false_ := 0, 0
	for _, f := range r.findings {
		d := difference{kind: f.Kind}
		if f.Here != nil {
			d.identity = f.Here.PaymentID
		} else {
			d.identity = f.There.Reference
		}
		if missed[d] {
			delete(missed, d)
			found++
			continue
		}
		false_++
		fmt.Fprintf(out, "not planted: %+v\n", d)
	}
	for d := range missed {
		fmt.Fprintf(out, "not found: %+v\n", d)
	}
	var unattributed int64
	for _, t := range r.summary.Totals {
		fmt.Fprintf(out, "%s: gross there %d, here %d, explained %d, unexplained %d; refunds there %d, here %d, explained %d, unexplained %d\n", t.Currency,
			t.Gross.There, t.Gross.Here, t.Gross.Explained, t.Gross.Unexplained, t.Refunds.There, t.Refunds.Here, t.Refunds.Explained, t.Refunds.Unexplained)
		unattributed += abs(t.Gross.Unattributed()) + abs(t.Refunds.Unattributed()) + abs(t.Gross.Unexplained) + abs(t.Refunds.Unexplained)
	}
	fmt.Fprintf(out, "resident memory of the starter: %d MB at 10 %%, %d MB at 50 %%, %d MB at 100 %% of the time\n",
		r.resident[0]>>20, r.resident[1]>>20, r.resident[2]>>20)
	fmt.Fprintf(out, "reconcile-file: payments=%d lines=%d planted=%d found=%d false=%d peak_rss_mb=%d seconds=%.0f\n",
		r.summary.Payments, r.summary.Lines, len(c.planted), found, false_, r.peak>>20, r.took.Seconds())
	switch {
	case found != len(c.planted) || false_ > 0:
		return errors.New("the findings are not the planted differences")
	case int(r.summary.Payments) != c.size || int(r.summary.Lines) != lines:
		return fmt.Errorf("%d payments and %d lines were compared, of %d and %d", r.summary.Payments, r.summary.Lines, c.size, lines)
	case unattributed != 0:
		return errors.New("the findings do not explain the difference of the totals")
	case r.peak > maxResident:
		return fmt.Errorf("the starter takes more than %d MB", maxResident>>20)
	default:
		return nil
	}
}

func abs(n int64) int64 { return max(n, -n) }
