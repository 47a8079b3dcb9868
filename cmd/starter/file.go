package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// maxLine bounds one line of a file of requests.
const maxLine = 1 << 20

// line is one charge of a file and what became of it.
type line struct {
	Number int                    `json:"line"`
	Key    string                 `json:"idempotency_key,omitempty"`
	Charge *payment.Charge        `json:"charge,omitempty"`
	Error  string                 `json:"error,omitempty"`
	req    *payment.ChargeRequest // nil: the line is bad
	err    error
}

// chargeFile charges every good line of a file. Bad lines are named, all of them, before anything starts.
func chargeFile(cmd *cobra.Command, path string, concurrency int) error {
	if concurrency < 1 {
		return usageError{fmt.Errorf("--concurrency %d: must be above 0", concurrency)}
	}
	for _, single := range []string{"merchant", "key", "key-window", "amount", "currency", "payment-method", "capture", "processor", "customer", "description", "metadata"} {
		if cmd.Flags().Changed(single) {
			return usageError{fmt.Errorf("--%s does not go with --file: each line has its own", single)}
		}
	}
	lines, err := readFile(cmd.InOrStdin(), path)
	if err != nil {
		return usageError{err}
	}
	name := func(l *line) { fmt.Fprintf(cmd.ErrOrStderr(), "%s:%d: %s\n", path, l.Number, l.Error) }
	good := 0
	for _, l := range lines {
		if l.err == nil {
			good++
		} else {
			name(l)
		}
	}
	began := time.Now()
	if good > 0 {
		client, processors, closeClient, err := connect(cmd.Context())
		if err != nil {
			return err
		}
		defer closeClient()
		for _, l := range lines {
			if l.req == nil {
				continue
			}
			if err := processors.check(cmd.Context(), l.req.Processor); err != nil {
				l.fail(err)
				name(l)
				good--
			}
		}
		chargeLines(cmd, client, lines, good, concurrency)
	}
	if wantsJSON(cmd) {
		encoder := json.NewEncoder(cmd.OutOrStdout())
		for _, l := range lines {
			if err := encoder.Encode(l); err != nil {
				return err
			}
		}
	} else if err := printSummary(cmd.OutOrStdout(), lines, time.Since(began)); err != nil {
		return err
	}
	return worst(lines)
}

func readFile(stdin io.Reader, path string) ([]*line, error) {
	in := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }() // only read
		in = file
	}
	return readLines(in)
}

// readLines reads a JSON charge request per line. Empty lines do not count as requests but as lines.
func readLines(in io.Reader) ([]*line, error) {
	var lines []*line
	keys := map[string]int{}
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxLine)
	number := 1
	for ; scanner.Scan(); number++ {
		text := bytes.TrimSpace(scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		l := &line{Number: number}
		lines = append(lines, l)
		var req payment.ChargeRequest
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&req); err != nil {
			l.fail(usageError{fmt.Errorf("not a charge request: %w", readable(err))})
			continue
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			l.fail(usageError{errors.New("more than one JSON value on a line")})
			continue
		}
		if err := req.Validate(); err != nil {
			l.fail(err)
			continue
		}
		// Only now is it known to be no card number, and may be printed.
		l.Key = req.IdempotencyKey
		id := payment.ChargeWorkflowID(req.MerchantID, req.IdempotencyKey)
		if first, ok := keys[id]; ok {
			l.fail(usageError{fmt.Errorf("idempotency_key %q was used on line %d", req.IdempotencyKey, first)})
			continue
		}
		keys[id] = number
		l.req = &req
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w (a line may have %d bytes)", number, err, maxLine)
	}
	if len(lines) == 0 {
		return nil, errors.New("no charge requests: want one JSON object a line")
	}
	return lines, nil
}

// readable names the field of a wrong type as its writer knows it, and keeps card numbers to itself.
func readable(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field == "":
		return errors.New("want one JSON object")
	case errors.As(err, &wrong) && wrong.Type.Kind() == reflect.Int64:
		return fmt.Errorf("%s: want a whole number, in minor units", wrong.Field)
	case errors.As(err, &wrong):
		return fmt.Errorf("%s: want %s", wrong.Field, wrong.Type.Kind())
	case payment.ContainsCardNumber(err.Error()):
		return errors.New("has what looks like a card number in it")
	}
	return err
}

func (l *line) fail(err error) {
	if err != nil {
		l.err, l.Error, l.req = err, err.Error(), nil
	}
}

func chargeLines(cmd *cobra.Command, client *florin.Client, lines []*line, good, concurrency int) {
	bar := progressbar.NewOptions(good,
		progressbar.OptionSetWriter(cmd.ErrOrStderr()),
		progressbar.OptionSetDescription("charging"),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetWidth(30),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(cmd.ErrOrStderr()) }),
		progressbar.OptionSetVisibility(good > 0 && !wantsJSON(cmd)),
	)
	var group errgroup.Group
	group.SetLimit(concurrency)
	var mu sync.Mutex
	for _, l := range lines {
		if l.req == nil {
			continue
		}
		group.Go(func() error {
			charge, err := client.Charge(cmd.Context(), *l.req)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				l.fail(err)
			} else {
				l.Charge, l.err = &charge, statusOf("the payment", charge.Status)
			}
			return bar.Add(1)
		})
	}
	// The bar is decoration: that it could not be drawn is no reason to stop.
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(cmd.ErrOrStderr(), "progress bar:", err)
	}
}

// printSummary says how many ended how, and names every charge that did not succeed.
func printSummary(w io.Writer, lines []*line, took time.Duration) error {
	counts := map[string]int{}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range lines {
		switch {
		case l.Charge == nil:
			counts["error"]++
			fmt.Fprintf(table, "line %d\t%s\terror\t%s\n", l.Number, l.Key, l.Error)
		default:
			counts[string(l.Charge.Status)]++
			if l.err != nil {
				fmt.Fprintf(table, "line %d\t%s\t%s\t%s%s\n", l.Number, l.Key, l.Charge.Status, declineText(l.Charge.Decline), l.Charge.Failure)
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d lines in %s:", len(lines), took.Round(10*time.Millisecond))
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, " %s=%d", status, counts[status])
	}
	_, err := fmt.Fprintln(w)
	return err
}

// worst is the error that a script has to know of: what nobody knows before what went wrong, before what was
// declined.
func worst(lines []*line) error {
	var found error
	for _, l := range lines {
		if l.err != nil && severity(l.err) > severity(found) {
			found = fmt.Errorf("line %d: %w", l.Number, l.err)
		}
	}
	return found
}

func severity(err error) int {
	return slices.Index([]int{exitOK, exitDeclined, exitFailed, exitUsage, exitNotFound, exitError, exitUnknown}, exitCode(err))
}
