package main

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"math/big"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// submission is a batch that is submitted.
type submission struct {
	path, name, format, amounts string
	inFlight                    int
	perSecond                   float64
	dryRun                      bool
}

func batchSubmitCommand() *cobra.Command {
	var s submission
	cmd := &cobra.Command{
		Use:   "submit FILE",
		Short: "Check every line of a file, hand it over to the workers, and start it; the same file again continues",
		Long: `Check every line of a file, hand it over to the workers, and start it.

Nothing is submitted if a line is faulty. Submitting the same file again continues a submission that was interrupted, and does nothing to
a batch that was started. Each line has an idempotency key: a line that was charged before is not charged again.`,
		Example: `  starter batch submit june.jsonl --dry-run
  starter batch submit june.csv --amounts major --name june --per-second 20`,
		Args: oneArgument("the path of one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.path = args[0]
			return s.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.name, "name", "", "name of the batch; without it, one that is derived from the content of the file")
	flags.StringVar(&s.format, "format", "", "json, for one JSON object on each line, or csv; without it, as the extension says")
	flags.StringVar(&s.amounts, "amounts", "", "of a CSV file, required: major, for amounts such as 12.50, or minor, for amounts such as 1250")
	flags.IntVar(&s.inFlight, "in-flight", payment.DefaultBatchInFlight, "how many lines may be in flight")
	flags.Float64Var(&s.perSecond, "per-second", 0, "how many lines are started per second at most; without it, as many as may be in flight")
	flags.BoolVar(&s.dryRun, "dry-run", false, "only check the lines, and print their sums")
	return cmd
}

func oneArgument(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{errors.New("want " + what)}
		}
		return nil
	}
}

const (
	// maxFaults is how many faults are printed.
	maxFaults = 100
	// maxProcessors is how many processors a file may name: each is asked for.
	maxProcessors = 100
	// maxChunk is the size of a chunk in bytes, below the size of which Temporal warns.
	maxChunk = 400 << 10
	// submitRetry is the pause after a chunk that no worker has taken, and submitPatience how long chunks are repeated.
	submitRetry    = time.Second
	submitPatience = 2 * time.Minute
)

func (s *submission) run(cmd *cobra.Command) error {
	var err error
	if s.format, err = fileFormat(s.path, s.format); err != nil {
		return err
	}
	if want := []string{amountsMajor, amountsMinor}; (s.format == formatCSV) != slices.Contains(want, s.amounts) {
		return usageError{fmt.Errorf("--amounts %q: want %s or %s for a CSV file; JSON has minor units", s.amounts, amountsMajor, amountsMinor)}
	}
	checked, err := s.check(cmd)
	if err != nil {
		return err
	}
	if s.name == "" {
		s.name = batchName(checked.hash)
	}
	head := payment.BatchChunk{
		Name: s.name, ContentHash: hex.EncodeToString(checked.hash), Lines: checked.lines, InFlight: s.inFlight, PerSecond: s.perSecond,
	}
	if err := head.Validate(); err != nil {
		return err
	}
	if s.dryRun {
		return checked.print(cmd, s.name)
	}
	client, processors, closeClient, err := connectWith(cmd.Context(), florin.Options{Batch: true})
	if err != nil {
		return err
	}
	defer closeClient()
	for _, name := range slices.Sorted(maps.Keys(checked.processors)) {
		if err := processors.check(cmd.Context(), name); err != nil {
			return fmt.Errorf("%s:%d: %w", s.path, checked.processors[name], err)
		}
	}
	b, err := s.handOver(cmd, client, head)
	if err != nil {
		return err
	}
	return printBatch(cmd, b)
}

// newHash returns the hash of a file that is still to be written to it. What the amounts of a CSV file mean is part of it: a submission must not
// continue with another meaning.
func (s *submission) newHash() hash.Hash {
	sum := sha256.New()
	sum.Write([]byte(s.amounts))
	return sum
}

// batchName derives a name from the hash of a file. It has no long series of digits, which could look like a card number.
func batchName(hash []byte) string {
	return "file-" + strings.ToLower(base32.StdEncoding.EncodeToString(hash))[:20]
}

// checkedFile is what a file contains.
type checkedFile struct {
	hash  []byte
	lines int64
	sums  map[lineSum]*sumOf
	// processors are those that lines name, with the first line that does.
	processors map[string]int64
}

// lineSum is what is summed up: the lines of an operation in a currency. A refund without an amount has no currency here.
type lineSum struct {
	operation payment.Operation
	currency  string
}

type sumOf struct {
	lines  int64
	amount big.Int
}

// fault is what is wrong with a line.
type fault struct {
	Line int64 `json:"line"`
	payment.FieldError
}

// check reads the whole file, and returns a usageError if a line is faulty.
func (s *submission) check(cmd *cobra.Command) (checked checkedFile, err error) {
	file, err := os.Open(s.path)
	if err != nil {
		return checked, usageError{err}
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return checked, usageError{fmt.Errorf("%s: want a regular file: it is read twice", s.path)}
	}
	sum := s.newHash()
	lines, err := newLineReader(io.TeeReader(file, sum), s.format, s.amounts)
	if err != nil {
		return checked, usageError{fmt.Errorf("%s: %w", s.path, err)}
	}
	var faults []fault
	count := 0
	report := func(line int64, problems ...payment.FieldError) {
		for _, p := range problems {
			if count++; count <= maxFaults {
				faults = append(faults, fault{line, p})
			}
		}
	}
	seen := &seenKeys{}
	defer func() { err = errors.Join(err, seen.close()) }()
	checked.sums, checked.processors = map[lineSum]*sumOf{}, map[string]int64{}
	for {
		if err := cmd.Context().Err(); err != nil {
			return checked, err
		}
		l, problems, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return checked, usageError{fmt.Errorf("%s: %w", s.path, err)}
		}
		checked.lines++
		if len(problems) == 0 || l.Charge != nil || l.Refund != nil {
			problems = merge(problems, l.Validate())
		}
		if len(problems) == 0 && !checked.addProcessor(l) {
			problems = []payment.FieldError{{Field: "processor", Problem: fmt.Sprintf("is another one: a file may name %d", maxProcessors)}}
		}
		if report(l.Line, problems...); len(problems) > 0 {
			continue
		}
		checked.add(l)
		if err := seen.add(l); err != nil {
			return checked, err
		}
	}
	if err := seen.repeated(func(line, first int64) {
		report(line, payment.FieldError{Field: "idempotency_key", Problem: fmt.Sprintf("was used on line %d", first)})
	}); err != nil {
		return checked, err
	}
	if count > 0 {
		slices.SortStableFunc(faults, func(a, b fault) int { return int(a.Line - b.Line) })
		return checked, s.faulty(cmd, faults, count)
	}
	if checked.lines == 0 {
		return checked, usageError{fmt.Errorf("%s: has no lines", s.path)}
	}
	checked.hash = sum.Sum(nil)
	return checked, nil
}

// merge returns the problems of the file and those of the request, each field once.
func merge(problems []payment.FieldError, err error) []payment.FieldError {
	var invalid *payment.InvalidRequestError
	if !errors.As(err, &invalid) {
		return problems
	}
	for _, f := range invalid.Fields {
		if !slices.ContainsFunc(problems, func(p payment.FieldError) bool { return p.Field == f.Field }) {
			problems = append(problems, f)
		}
	}
	return problems
}

// faulty prints the faults and returns the error.
func (s *submission) faulty(cmd *cobra.Command, faults []fault, count int) error {
	if wantsJSON(cmd) {
		if err := printJSON(cmd.OutOrStdout(), struct {
			Faults []fault `json:"faults"`
			Count  int     `json:"count"`
		}{faults, count}); err != nil {
			return err
		}
	} else {
		for _, f := range faults {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s:%d: %s\n", oneLine(s.path), f.Line, oneLine(f.Error()))
		}
	}
	more := ""
	if count > len(faults) {
		more = fmt.Sprintf(", of which the first %d are printed", len(faults))
	}
	return usageError{fmt.Errorf("%s has %d faults%s: nothing was submitted", s.path, count, more)}
}

// addProcessor reports whether the file names no more processors than it may.
func (c *checkedFile) addProcessor(l payment.BatchLine) bool {
	if l.Charge == nil || l.Charge.Processor == "" {
		return true
	}
	_, known := c.processors[l.Charge.Processor]
	switch {
	case known:
	case len(c.processors) == maxProcessors:
		return false
	default:
		c.processors[l.Charge.Processor] = l.Line
	}
	return true
}

func (c *checkedFile) add(l payment.BatchLine) {
	key, amount := lineSum{operation: l.Operation()}, int64(0)
	switch {
	case l.Charge != nil:
		key.currency, amount = l.Charge.Currency, l.Charge.Amount
	case l.Refund.Amount != nil:
		key.currency, amount = l.Refund.Currency, *l.Refund.Amount
	}
	sum := c.sums[key]
	if sum == nil {
		sum = &sumOf{}
		c.sums[key] = sum
	}
	sum.lines++
	sum.amount.Add(&sum.amount, big.NewInt(amount))
}

// print prints the sums of the lines, by operation and currency.
func (c *checkedFile) print(cmd *cobra.Command, name string) error {
	type total struct {
		Operation payment.Operation `json:"operation"`
		Currency  string            `json:"currency,omitempty"`
		Lines     int64             `json:"lines"`
		Amount    json.Number       `json:"amount,omitempty"`
	}
	var totals []total
	for key, sum := range c.sums {
		t := total{Operation: key.operation, Currency: key.currency, Lines: sum.lines}
		if sum.amount.Sign() != 0 {
			t.Amount = json.Number(sum.amount.String())
		}
		totals = append(totals, t)
	}
	slices.SortFunc(totals, func(a, b total) int {
		return strings.Compare(string(a.Operation)+" "+a.Currency, string(b.Operation)+" "+b.Currency)
	})
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), struct {
			Name        string  `json:"name"`
			ContentHash string  `json:"content_hash"`
			Lines       int64   `json:"lines"`
			Totals      []total `json:"totals"`
		}{name, hex.EncodeToString(c.hash), c.lines, totals})
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d lines without a fault; as a batch, they are called %s\n", c.lines, name)
	for _, t := range totals {
		amount := "no amount: all that is left"
		if t.Amount != "" {
			amount = majorText(t.Amount.String(), t.Currency)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%d %ss: %s\n", t.Lines, t.Operation, amount)
	}
	return nil
}

// majorText returns an amount of minor units, which may exceed those of one payment, in major units.
func majorText(minor, currency string) string {
	digits, err := payment.Exponent(currency)
	if err != nil {
		return minor + " minor units" // refunds need not name their currency
	}
	if missing := digits + 1 - len(minor); missing > 0 {
		minor = strings.Repeat("0", missing) + minor
	}
	if digits == 0 {
		return minor + " " + currency
	}
	return minor[:len(minor)-digits] + "." + minor[len(minor)-digits:] + " " + currency
}

// batchAdder hands lines over; a florin.Client implements it.
type batchAdder interface {
	AddBatchLines(ctx context.Context, chunk payment.BatchChunk) (payment.Batch, error)
}

// handOver reads the file again, and hands over the lines that no worker has yet.
func (s *submission) handOver(cmd *cobra.Command, client batchAdder, head payment.BatchChunk) (payment.Batch, error) {
	b, err := addLines(cmd.Context(), client, head)
	if err != nil || b.State != payment.BatchReceiving {
		return b, err
	}
	file, err := os.Open(s.path)
	if err != nil {
		return b, err
	}
	defer file.Close()
	sum := s.newHash()
	lines, err := newLineReader(io.TeeReader(file, sum), s.format, s.amounts)
	if err != nil {
		return b, err
	}
	bar := batchBar(cmd, head.Lines, "handing over")
	chunk, size := head, 0
	flush := func() error {
		if len(chunk.Chunk) == 0 {
			return nil
		}
		if b, err = addLines(cmd.Context(), client, chunk); err != nil {
			return err
		}
		chunk.Chunk, size = chunk.Chunk[:0], 0
		return bar.Set64(b.Received)
	}
	for {
		l, problems, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(problems) > 0 || l.Validate() != nil {
			return b, changedMeanwhile(s.path)
		}
		if l.Line <= b.LastLine {
			continue
		}
		text, err := json.Marshal(l)
		if err != nil {
			return b, err
		}
		if size+len(text) > maxChunk || len(chunk.Chunk) == payment.MaxChunkLines {
			if err := flush(); err != nil {
				return b, err
			}
		}
		chunk.Chunk, size = append(chunk.Chunk, l), size+len(text)
	}
	if err := flush(); err != nil {
		return b, err
	}
	if hex.EncodeToString(sum.Sum(nil)) != head.ContentHash {
		return b, changedMeanwhile(s.path)
	}
	_ = bar.Finish() // what cannot be drawn does not matter
	head.Complete = true
	return addLines(cmd.Context(), client, head)
}

func changedMeanwhile(path string) error {
	return fmt.Errorf("%s was changed while it was handed over: nothing was started; cancel the batch, and submit the file under another --name", path)
}

// addLines hands over one chunk, and repeats that while no worker takes it.
func addLines(ctx context.Context, client batchAdder, chunk payment.BatchChunk) (payment.Batch, error) {
	for until := time.Now().Add(submitPatience); ; {
		b, err := client.AddBatchLines(ctx, chunk)
		var refusal payment.RefusalCode
		var invalid *payment.InvalidRequestError
		if err == nil || errors.As(err, &refusal) || errors.As(err, &invalid) || time.Now().After(until) {
			return b, err
		}
		select {
		case <-ctx.Done():
			return b, fmt.Errorf("%w: submit the same file again to continue", err)
		case <-time.After(submitRetry):
		}
	}
}

func batchBar(cmd *cobra.Command, lines int64, what string) *progressbar.ProgressBar {
	return progressbar.NewOptions64(lines,
		progressbar.OptionSetWriter(cmd.ErrOrStderr()), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString("lines"), progressbar.OptionSetPredictTime(true), progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(200*time.Millisecond),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(cmd.ErrOrStderr()) }), progressbar.OptionSetVisibility(!wantsJSON(cmd)))
}
