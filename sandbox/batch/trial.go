package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/books"
)

const (
	name     = "june"
	before   = "may"
	merchant = "acme"
	// maxEvents is how long the history of a run may be: Temporal suggests to continue as new then.
	maxEvents = 4096
	poll      = 100 * time.Millisecond
)

// trial is one batch, and what was measured.
type trial struct {
	*system
	file, before string
	// peak is the largest resident memory of a worker or a starter, in MB.
	peak int
}

func (t *trial) run(ctx context.Context) error {
	if err := t.writeFiles(); err != nil {
		return err
	}
	if err := t.chargeBefore(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := t.submit(ctx); err != nil {
		return err
	}
	fmt.Printf("batch: handed over after %s, with one kill of the starter\n", time.Since(began).Round(time.Second))
	b, err := t.watch(ctx)
	if err != nil {
		return err
	}
	took := b.FinishedAt.Sub(b.StartedAt)
	fmt.Printf("batch: %s: %d lines per second, with two kills of the worker\n", took.Round(time.Second), int(float64(b.Ended())/took.Seconds()))
	twice, err := t.compare(ctx)
	if err != nil {
		return err
	}
	if err := t.checkHistories(ctx); err != nil {
		return err
	}
	fmt.Printf("batch: lines=%d succeeded=%d declined=%d failed=%d open=%d twice=%d peak_rss_mb=%d\n",
		b.Lines, b.Succeeded, b.Declined, b.Failed+b.Refused+b.Conflicted, b.Waiting+b.Open, twice, t.peak)
	if b.Open > 0 || t.stopAfter == 0 && b.Ended() != b.Lines || twice > 0 {
		return errors.New("not every line has ended, or one was executed twice")
	}
	return nil
}

// write writes a file of a batch, with the lines that line returns.
func (t *trial) write(batch string, lines int, line func(i int) any) (path string, err error) {
	path = filepath.Join(t.dir, batch+".jsonl")
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	buffered := bufio.NewWriter(file)
	encoder := json.NewEncoder(buffered)
	for i := range lines {
		if err := encoder.Encode(line(i)); err != nil {
			return "", err
		}
	}
	return path, buffered.Flush()
}

func chargeOf(batch string, i int) payment.ChargeRequest {
	return payment.ChargeRequest{
		MerchantID: merchant, IdempotencyKey: fmt.Sprintf("%s-%d", batch, i), Amount: int64(100 + i%9900), Currency: "USD", PaymentMethod: "tok_visa",
	}
}

// writeFiles writes the files. Of the lines that are measured, one of 20 is declined, and one of 50 refunds a charge of the batch before.
func (t *trial) writeFiles() (err error) {
	refunds := (min(t.lines, t.target()+2*payment.MaxBatchInFlight) + 49) / 50 // of lines that may be started
	t.before, err = t.write(before, refunds, func(i int) any { return chargeOf(before, i) })
	if err != nil {
		return err
	}
	t.file, err = t.write(name, t.lines, func(i int) any {
		charge := chargeOf(name, i)
		switch i % 50 {
		case 0:
			return struct {
				Operation payment.Operation `json:"operation"`
				payment.RefundRequest
			}{payment.OperationRefund, payment.RefundRequest{
				MerchantID: merchant, IdempotencyKey: charge.IdempotencyKey, PaymentID: payment.PaymentID(merchant, chargeOf(before, i/50).IdempotencyKey),
			}}
		case 7, 27, 47:
			charge.PaymentMethod = "tok_insufficient_funds"
		}
		return charge
	})
	return err
}

// chargeBefore executes the batch whose charges the other one refunds.
func (t *trial) chargeBefore(ctx context.Context) error {
	for _, arguments := range [][]string{{"submit", t.before, "--name", before}, {"wait", before}} {
		cmd, err := t.starter(ctx, append([]string{"batch"}, arguments...)...)
		if err != nil {
			return err
		}
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("starter batch %s: %w: see starter.log", arguments[0], err)
		}
	}
	return nil
}

// submit hands the file over, kills the starter in the middle of that, and submits the file again.
func (t *trial) submit(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		cmd, err := t.starter(ctx, "batch", "submit", t.file, "--name", name, "--in-flight", fmt.Sprint(t.inFlight))
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		killed := false
		for running := true; running; {
			select {
			case err := <-ended:
				if err != nil && !killed {
					return fmt.Errorf("starter batch submit: %w: see starter.log", err)
				}
				running = false
			case <-time.After(10 * time.Millisecond):
				_, peak := memory(cmd.Process.Pid)
				t.peak = max(t.peak, peak)
				b, err := t.store.Batch(ctx, name)
				if err == nil && attempt == 1 && !killed && b.Received >= b.Lines/3 {
					killed = true
					if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
						return err
					}
				}
			}
		}
		if b, err := t.store.Batch(ctx, name); err != nil || b.State != payment.BatchReceiving {
			return err
		}
		if attempt > 3 {
			return errors.New("the batch is not handed over after three submissions: see starter.log")
		}
	}
}

// watch waits until the batch has finished, with starter batch wait, and kills the worker twice on the way.
func (t *trial) watch(ctx context.Context) (payment.Batch, error) {
	wait, err := t.starter(ctx, "batch", "wait", name, "--every", "1s", "--summary", filepath.Join(t.dir, "summary.json"))
	if err != nil {
		return payment.Batch{}, err
	}
	if err := wait.Start(); err != nil {
		return payment.Batch{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- wait.Wait() }()
	kills, reports := []float64{0.3, 0.6}, []float64{0.01, 0.5, 1}
	starter, over, canceled := 0, false, t.stopAfter == 0
	for {
		b, err := t.store.Batch(ctx, name)
		if err != nil {
			return b, err
		}
		worker, peak := memory(t.worker.ID())
		current, starterPeak := memory(wait.Process.Pid)
		if current > 0 {
			starter = current
		}
		t.peak = max(t.peak, peak, starterPeak)
		done := float64(b.Ended()) / float64(t.target())
		if !canceled && b.Ended() >= int64(t.stopAfter) {
			if err := t.cancel(ctx); err != nil {
				return b, err
			}
			canceled = true
		}
		for len(reports) > 0 && done >= reports[0] {
			fmt.Printf("batch: at %3.0f %%: rss of the worker %d MB, of the starter %d MB\n", 100*reports[0], worker, starter)
			reports = reports[1:]
		}
		if over {
			return b, nil
		}
		if len(kills) > 0 && done >= kills[0] {
			kills = kills[1:]
			if err := t.worker.Kill(); err != nil {
				return b, err
			}
			if err := t.worker.Start(ctx); err != nil {
				return b, err
			}
		}
		select {
		case err := <-ended:
			var exit *exec.ExitError
			// Some lines are declined, or were never started.
			if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != t.exitCode()) {
				return b, fmt.Errorf("starter batch wait: %w: see starter.log", err)
			}
			over = true
		case <-time.After(poll):
		}
	}
}

// target is how many lines are to end.
func (t *trial) target() int {
	if t.stopAfter > 0 {
		return t.stopAfter
	}
	return t.lines
}

// exitCode is that of starter batch wait: some lines are declined, or some were never started.
func (t *trial) exitCode() int {
	if t.stopAfter > 0 {
		return 4
	}
	return 3
}

func (t *trial) cancel(ctx context.Context) error {
	cmd, err := t.starter(ctx, "batch", "cancel", name, "--by", "sandbox", "--reason", "enough of it")
	if err != nil {
		return err
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("starter batch cancel: %w: see starter.log", err)
	}
	return nil
}

// compare compares the ledger of the simulator with the store, and returns how many lines moved money twice.
func (t *trial) compare(ctx context.Context) (twice int, err error) {
	ledger, err := t.simulated.Ledger(ctx)
	if err != nil {
		return 0, err
	}
	var charges []payment.Charge
	var refunds []payment.Refund
	for _, batch := range []string{before, name} {
		lines, err := t.linesOf(ctx, batch)
		if err != nil {
			return 0, err
		}
		for _, l := range lines {
			if l.Status == payment.LineWaiting { // of a batch that was canceled
				continue
			}
			if l.Status != l.Current {
				return 0, fmt.Errorf("line %d of %s ended as %s, and its payment or refund is %s", l.Line, batch, l.Status, l.Current)
			}
			if l.Operation == payment.OperationRefund {
				refund, err := t.store.Refund(ctx, l.MerchantID, l.IdempotencyKey)
				if err != nil {
					return 0, err
				}
				refunds = append(refunds, refund)
				continue
			}
			charge, err := t.store.Payment(ctx, l.MerchantID, l.IdempotencyKey)
			if err != nil {
				return 0, err
			}
			charges = append(charges, charge)
		}
	}
	c := books.Compare(charges, refunds, ledger)
	for _, difference := range c.Differences[:min(len(c.Differences), 20)] {
		fmt.Println("batch:", difference)
	}
	if len(c.Differences) > 0 {
		return c.DoubleCharges, fmt.Errorf("the books differ in %d entries", len(c.Differences))
	}
	return c.DoubleCharges, nil
}

func (t *trial) linesOf(ctx context.Context, batch string) (lines []payment.BatchResult, err error) {
	f := payment.BatchLineFilter{Name: batch, Limit: 500}
	for {
		page, err := t.store.BatchLines(ctx, f)
		if err != nil {
			return nil, err
		}
		if lines = append(lines, page.Lines...); page.Next == 0 {
			return lines, nil
		}
		f.After = page.Next
	}
}

// checkHistories returns an error if a run of the workflow has too long a history.
func (t *trial) checkHistories(ctx context.Context) error {
	list, err := t.temporal.WorkflowService().ListWorkflowExecutions(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: client.DefaultNamespace, Query: fmt.Sprintf("WorkflowType = %q", payment.WorkflowBatch),
	})
	if err != nil {
		return err
	}
	var most int64
	for _, execution := range list.GetExecutions() {
		described, err := t.temporal.DescribeWorkflowExecution(ctx, execution.GetExecution().GetWorkflowId(), execution.GetExecution().GetRunId())
		if err != nil {
			return err
		}
		most = max(most, described.GetWorkflowExecutionInfo().GetHistoryLength())
	}
	fmt.Printf("batch: %d runs of the workflow, at most %d events\n", len(list.GetExecutions()), most)
	if most >= maxEvents || most == 0 {
		return fmt.Errorf("want fewer than %d events in each run", maxEvents)
	}
	return nil
}
