package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	strict "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// maxLine is the maximum length of a line of a file, in bytes.
const maxLine = 1 << 20

// line is one line of a file and the outcome of its charge.
type line struct {
	Number int                    `json:"line"`
	Key    string                 `json:"idempotency_key,omitempty"`
	Charge *payment.Charge        `json:"charge,omitempty"`
	Error  string                 `json:"error,omitempty"`
	req    *payment.ChargeRequest // nil if the line is invalid
	// sent reports that the charge was started, or may have been.
	sent bool
	err  error
}

// chargeFile charges every valid line of a file. It prints the errors of all invalid lines before it starts a charge.
func chargeFile(cmd *cobra.Command, path string, concurrency int, batch bool) error {
	if concurrency < 1 {
		return usageError{fmt.Errorf("--concurrency %d: must be above 0", concurrency)}
	}
	for _, flag := range []string{"merchant", "key", "key-window", "amount", "currency", "payment-method", "capture",
		"processor", "customer", "description", "metadata"} {
		if cmd.Flags().Changed(flag) {
			return usageError{fmt.Errorf("--%s cannot be used with --file: each line has its own value", flag)}
		}
	}
	lines, err := readFile(cmd.InOrStdin(), path)
	if err != nil {
		return usageError{err}
	}
	printError := func(l *line) { fmt.Fprintf(cmd.ErrOrStderr(), "%s:%d: %s\n", path, l.Number, oneLine(l.Error)) }
	valid := 0
	for _, l := range lines {
		if l.err == nil {
			valid++
		} else {
			printError(l)
		}
	}
	start := time.Now()
	if valid > 0 {
		client, processors, closeClient, err := connectWith(cmd.Context(), florin.Options{Batch: batch})
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
				printError(l)
				valid--
			}
		}
		chargeLines(cmd, client, lines, valid, concurrency)
	}
	if wantsJSON(cmd) {
		for _, l := range lines {
			if err := writeJSON(cmd.OutOrStdout(), l, ""); err != nil {
				return err
			}
		}
	} else if err := printSummary(cmd.OutOrStdout(), lines, time.Since(start)); err != nil {
		return err
	}
	return worstError(lines)
}

func readFile(stdin io.Reader, path string) ([]*line, error) {
	in := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }() // the file is only read
		in = file
	}
	return readLines(in)
}

// byteOrderMark is U+FEFF in UTF-8. Some editors and spreadsheets write it at the beginning of a file.
var byteOrderMark = []byte("\ufeff")

// readLines reads one JSON charge request from each line. It skips empty lines, but counts them in line numbers, and it skips a
// byte order mark at the beginning.
func readLines(in io.Reader) ([]*line, error) {
	var lines []*line
	keys := map[string]int{}
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxLine)
	number := 1
	for ; scanner.Scan(); number++ {
		text := scanner.Bytes()
		if number == 1 {
			text = bytes.TrimPrefix(text, byteOrderMark)
		}
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			continue
		}
		l := &line{Number: number}
		lines = append(lines, l)
		req, err := decodeRequest(text)
		if err != nil {
			l.fail(usageError{err})
			continue
		}
		if err := req.ValidateBegun(); err != nil {
			l.fail(err)
			continue
		}
		// ValidateBegun has checked that the key is not a card number, so that it may be printed.
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
		return nil, fmt.Errorf("line %d: %w: a line may have at most %d bytes", number, err, maxLine)
	}
	if len(lines) == 0 {
		return nil, errors.New("no charge requests: want one JSON object on each line")
	}
	return lines, nil
}

// decodeRequest decodes the request on one line. It is strict, because a field that is read in another way than the caller meant
// charges another amount: a field that appears twice, an unknown one and one in another case are errors.
func decodeRequest(text []byte) (req payment.ChargeRequest, err error) {
	if !utf8.Valid(text) {
		return req, errors.New("not a charge request: not UTF-8")
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	if err := strict.UnmarshalDecode(decoder, &req, strict.RejectUnknownMembers(true)); err != nil {
		return req, fmt.Errorf("not a charge request: %w", readable(err))
	}
	if rest := text[decoder.InputOffset():]; len(bytes.TrimSpace(rest)) > 0 {
		return req, errors.New("more than one JSON value on the line")
	}
	return req, refuseNull(text)
}

// refuseNull returns an error if a field of a JSON value is null: a program that had no value writes that, and then an amount that is missing
// must not be read as one that was left out on purpose.
func refuseNull(text []byte) error {
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		switch token, err := decoder.ReadToken(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return readable(err)
		case token.Kind() == jsontext.KindNull && decoder.StackDepth() > 0: // a line that is null has no field that is required
			name := fieldName(decoder.StackPointer())
			if len(name) > 100 || payment.ContainsCardNumber(name) {
				name = "a field"
			}
			return fmt.Errorf("%s: is null: want a value, or no such field", name)
		}
	}
}

// readable rewrites an error of the JSON decoder: it names the field by its JSON name, and never repeats a card number.
func readable(err error) error {
	readable := errors.New("the JSON is not complete")
	var syntax *jsontext.SyntacticError
	var wrong *strict.SemanticError
	switch {
	case errors.As(err, &syntax) && errors.Is(err, jsontext.ErrDuplicateName):
		readable = fmt.Errorf("field %q appears twice", fieldName(syntax.JSONPointer))
	case errors.As(err, &syntax) && !errors.Is(err, io.ErrUnexpectedEOF):
		readable = fmt.Errorf("invalid JSON at byte %d", syntax.ByteOffset+1)
	case errors.As(err, &wrong) && errors.Is(err, strict.ErrUnknownName):
		readable = fmt.Errorf("unknown field %q", fieldName(wrong.JSONPointer))
	case errors.As(err, &wrong) && wrong.JSONPointer == "":
		readable = errors.New("want one JSON object")
	case errors.As(err, &wrong):
		want := map[reflect.Kind]string{reflect.Int64: "a whole number, in minor units", reflect.Map: "an object of strings"}
		readable = fmt.Errorf("%s: want %s", fieldName(wrong.JSONPointer), cmp.Or(want[wrong.GoType.Kind()], "a string"))
	}
	switch text := readable.Error(); {
	case payment.ContainsCardNumber(text):
		return errors.New("contains what looks like a card number")
	case len(text) > 200:
		return errors.New("wrong or unknown field with a long name")
	}
	return readable
}

// fieldName returns a pointer as in other errors, such as metadata.order.
func fieldName(pointer jsontext.Pointer) string {
	return strings.Join(slices.Collect(pointer.Tokens()), ".")
}

// fail sets the error of the line. A line with an error is not charged.
func (l *line) fail(err error) {
	if err != nil {
		l.err, l.Error, l.req = err, err.Error(), nil
	}
}

// chargeLines charges the valid lines, up to concurrency at once, and shows a progress bar on standard error.
func chargeLines(cmd *cobra.Command, client *florin.Client, lines []*line, valid, concurrency int) {
	bar := progressbar.NewOptions(valid,
		progressbar.OptionSetWriter(cmd.ErrOrStderr()),
		progressbar.OptionSetDescription("charging"),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetWidth(30),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(cmd.ErrOrStderr()) }),
		progressbar.OptionSetVisibility(valid > 0 && !wantsJSON(cmd)),
	)
	var group errgroup.Group
	group.SetLimit(concurrency)
	var mu sync.Mutex
	for _, l := range lines {
		if l.req == nil {
			continue
		}
		l.sent = true
		group.Go(func() error {
			charge, err := client.Charge(cmd.Context(), *l.req)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				var invalid *payment.InvalidRequestError
				l.sent = !errors.As(err, &invalid) // the client has refused it
				l.fail(err)
			} else {
				l.Charge, l.err = &charge, statusOf("the payment", charge.Status)
			}
			return bar.Add(1)
		})
	}
	// An error of the progress bar is printed, but does not fail the command.
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(cmd.ErrOrStderr(), "progress bar:", err)
	}
}

// printSummary prints every line that did not succeed, and the number of lines by status.
func printSummary(w io.Writer, lines []*line, took time.Duration) error {
	counts := map[string]int{}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range lines {
		switch {
		case l.Charge == nil:
			counts["error"]++
			writeRow(table, fmt.Sprintf("line %d", l.Number), l.Key, "error", l.Error)
		default:
			counts[string(l.Charge.Status)]++
			if l.err != nil {
				writeRow(table, fmt.Sprintf("line %d", l.Number), l.Key, string(l.Charge.Status),
					declineText(l.Charge.Decline)+l.Charge.Failure.String())
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

// worstError returns the error that decides the exit code: unknown outcomes come before failures, and failures before
// declines. It returns nil if every line succeeded, and a partialError if lines are invalid and others were charged.
func worstError(lines []*line) error {
	var worst error
	for _, l := range lines {
		if l.err != nil && severity(l.err) > severity(worst) {
			worst = fmt.Errorf("line %d: %w", l.Number, l.err)
		}
	}
	if exitCode(worst) == exitUsage && slices.ContainsFunc(lines, func(l *line) bool { return l.sent }) {
		return partialError{fmt.Errorf("%w: the valid lines were charged", worst)}
	}
	return worst
}

// severity orders errors by their exit code: higher is worse.
func severity(err error) int {
	return slices.Index([]int{exitOK, exitDeclined, exitFailed, exitUsage, exitNotFound, exitError, exitUnknown}, exitCode(err))
}
