package main

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

func batchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "batch", Short: "Submit a file of charges and refunds of any size, and watch and control its execution", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(batchSubmitCommand(), batchStatusCommand(), batchResultsCommand(), batchWaitCommand(),
		batchControlCommand(payment.BatchPause, "Start no further lines until the batch is resumed; what runs goes on"),
		batchControlCommand(payment.BatchResume, "End the pause of a batch"),
		batchControlCommand(payment.BatchCancel, "Never start a further line of a batch; what runs goes on"),
		batchControlCommand(payment.BatchRate, "Change how many lines are started per second, or are in flight"))
	return cmd
}

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
	client, _, closeClient, err := connectWith(cmd.Context(), florin.Options{Batch: true})
	if err != nil {
		return err
	}
	defer closeClient()
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
	checked.sums = map[lineSum]*sumOf{}
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

// batchArgument accepts the name of one batch.
func batchArgument(_ *cobra.Command, args []string) error {
	if len(args) != 1 || !payment.IsBatchName(args[0]) {
		return usageError{errors.New("want the name of one batch, as starter batch submit has printed it")}
	}
	return nil
}

func batchStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status NAME", Short: "Print the state and the numbers of a batch", Args: batchArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			b, err := client.Batch(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printBatch(cmd, b)
		},
	}
}

// printBatch prints a batch, whatever its state is.
func printBatch(cmd *cobra.Command, b payment.Batch) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), b)
	}
	rate := "as many as may be in flight"
	if b.PerSecond > 0 {
		rate = strconv.FormatFloat(b.PerSecond, 'g', 6, 64) + " per second"
	}
	change := ""
	if b.Revision > 0 {
		change = fmt.Sprintf("%s by %s: %s", b.At.Format(time.RFC3339), b.By, b.Reason)
	}
	received := ""
	if b.Received < b.Lines {
		received = fmt.Sprintf("%d of them were handed over", b.Received)
	}
	return printFields(cmd.OutOrStdout(), [][2]string{
		{"batch", b.Name},
		{"state", string(b.State)},
		{"lines", strings.TrimSpace(fmt.Sprintf("%d %s", b.Lines, received))},
		{"results", countsText(b)},
		{"in flight", fmt.Sprintf("at most %d", b.InFlight)},
		{"started", rate},
		{"progress", progressText(b, time.Now())},
		{"latest change", change},
		{"workflow", payment.BatchWorkflowID(b.Name)},
	})
}

func countsText(b payment.Batch) string {
	return fmt.Sprintf("waiting=%d open=%d succeeded=%d authorized=%d declined=%d failed=%d conflicted=%d refused=%d",
		b.Waiting, b.Open, b.Succeeded, b.Authorized, b.Declined, b.Failed, b.Conflicted, b.Refused)
}

// progressText returns the average rate of a batch and the time that is left, or how long it took.
func progressText(b payment.Batch, now time.Time) string {
	if b.StartedAt.IsZero() {
		return ""
	}
	if b.Finished() {
		now = b.FinishedAt
	}
	took := now.Sub(b.StartedAt)
	if took <= 0 || b.Ended() == 0 {
		return ""
	}
	perSecond := float64(b.Ended()) / took.Seconds()
	text := fmt.Sprintf("%d of %d in %s, %.1f per second", b.Ended(), b.Lines, took.Round(time.Second), perSecond)
	if b.State == payment.BatchRunning {
		left := time.Duration(float64(b.Waiting+b.Open) / perSecond * float64(time.Second))
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return text
}

func batchResultsCommand() *cobra.Command {
	var f payment.BatchLineFilter
	var status, output string
	cmd := &cobra.Command{
		Use: "results NAME", Short: "Print what has become of the lines of a batch, in the order of the file", Args: batchArgument,
		Example: `  starter batch results june --status declined
  starter batch results june --output june-results.csv`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			f.Name, f.Status, f.Limit = args[0], payment.Status(status), 500
			if err := f.Validate(); err != nil {
				return err
			}
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			to := cmd.OutOrStdout()
			asJSON := wantsJSON(cmd)
			if output != "" {
				file, err := os.OpenFile(output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
				if err != nil {
					return usageError{err}
				}
				defer func() { err = errors.Join(err, file.Close()) }()
				to, asJSON = file, asJSON || strings.HasPrefix(strings.ToLower(filepath.Ext(output)), ".json")
			}
			return writeResults(cmd.Context(), client, f, to, asJSON)
		},
	}
	cmd.Flags().StringVar(&status, "status", "", "only lines with this status: waiting, open, succeeded, authorized, declined, failed, voided, expired, conflicted or refused")
	cmd.Flags().StringVar(&output, "output", "", "write them to this new file instead: JSON lines if its name ends with .jsonl, and CSV otherwise")
	return cmd
}

// batchLister lists lines; a florin.Client implements it.
type batchLister interface {
	BatchLines(ctx context.Context, f payment.BatchLineFilter) (payment.BatchLinePage, error)
}

var resultColumns = []string{
	"line", "operation", "merchant_id", "idempotency_key", "id", "status", "current", "amount", "currency", "why",
}

// writeResults writes the lines page by page: JSON on a line each, or CSV.
func writeResults(ctx context.Context, client batchLister, f payment.BatchLineFilter, to io.Writer, asJSON bool) error {
	table := csv.NewWriter(to)
	if !asJSON {
		if err := table.Write(resultColumns); err != nil {
			return err
		}
	}
	for {
		page, err := client.BatchLines(ctx, f)
		if err != nil {
			return err
		}
		for _, l := range page.Lines {
			if asJSON {
				err = writeJSON(to, l, "")
			} else {
				err = table.Write(resultCells(l))
			}
			if err != nil {
				return err
			}
		}
		if table.Flush(); table.Error() != nil {
			return table.Error()
		}
		if page.Next == 0 {
			return nil
		}
		f.After = page.Next
	}
}

func resultCells(l payment.BatchResult) []string {
	amount := ""
	if l.Amount != 0 {
		amount = payment.Money{Amount: l.Amount, Currency: l.Currency}.Decimal()
	}
	why := l.Refusal + declineText(l.Decline) + l.Failure.String()
	cells := []string{
		strconv.FormatInt(l.Line, 10), string(l.Operation), l.MerchantID, l.IdempotencyKey, l.ID, string(l.Status), string(l.Current), amount, l.Currency, why,
	}
	for i := range cells {
		if cells[i] = oneLine(cells[i]); strings.ContainsAny(cells[i][:min(len(cells[i]), 1)], "=+-@") {
			cells[i] = "'" + cells[i] // a spreadsheet would execute it as a formula
		}
	}
	return cells
}

func batchWaitCommand() *cobra.Command {
	var summary string
	var every time.Duration
	cmd := &cobra.Command{
		Use: "wait NAME", Short: "Wait until every line of a batch has ended, with a progress bar", Args: batchArgument,
		Long: `Wait until every line of a batch has ended; of a canceled one, every line that was started. The exit code is that of the worst line:
5 if one is conflicted, then 4 if one failed or was refused, or the batch was canceled, then 3 if one was declined.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			b, err := awaitBatch(cmd, client.Batch, args[0], every)
			if err != nil {
				return err
			}
			if summary != "" {
				if err := writeSummary(summary, b); err != nil {
					return err
				}
			}
			if err := printBatch(cmd, b); err != nil {
				return err
			}
			return batchOutcome(b)
		},
	}
	cmd.Flags().StringVar(&summary, "summary", "", "write the numbers to this file, as JSON, at the end")
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often the batch is read")
	return cmd
}

// awaitBatch reads a batch until it has finished. A read that fails is repeated for some time.
func awaitBatch(
	cmd *cobra.Command, read func(context.Context, string) (payment.Batch, error), name string, every time.Duration,
) (payment.Batch, error) {
	if every < 100*time.Millisecond {
		return payment.Batch{}, usageError{fmt.Errorf("--every %s: want 100ms or more", every)}
	}
	var bar *progressbar.ProgressBar
	for failingSince := (time.Time{}); ; {
		b, err := read(cmd.Context(), name)
		var refusal payment.RefusalCode
		switch {
		case err == nil:
			failingSince = time.Time{}
			if bar == nil {
				bar = batchBar(cmd, b.Lines, "batch "+name)
			}
			_ = bar.Set64(b.Ended()) // what cannot be drawn does not matter
		case errors.As(err, &refusal), !failingSince.IsZero() && time.Since(failingSince) > submitPatience:
			return b, err
		case failingSince.IsZero():
			failingSince = time.Now()
		}
		if err == nil && b.Finished() {
			_ = bar.Exit()
			return b, nil
		}
		select {
		case <-cmd.Context().Done():
			return b, errors.Join(florin.ErrOutcomePending, cmd.Context().Err())
		case <-time.After(every):
		}
	}
}

func writeSummary(path string, b payment.Batch) error {
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

// batchOutcome returns the error of the worst line of a batch that has finished.
func batchOutcome(b payment.Batch) error {
	switch what := "the batch has lines that ended as"; {
	case b.Conflicted > 0:
		return statusError{what + " conflicted: it", payment.Conflicted}
	case b.Failed+b.Refused > 0:
		return statusError{fmt.Sprintf("%d lines failed, and %d were refused: the worst", b.Failed, b.Refused), payment.Failed}
	case b.State == payment.BatchCanceled && b.Waiting > 0:
		return statusError{fmt.Sprintf("the batch was canceled, and %d lines were never started: the worst", b.Waiting), payment.Failed}
	case b.Declined > 0:
		return statusError{fmt.Sprintf("%d lines were declined: the worst", b.Declined), payment.Declined}
	default:
		return nil
	}
}

func batchControlCommand(action payment.BatchAction, short string) *cobra.Command {
	change := payment.BatchChange{Action: action}
	example := `  starter batch ` + string(action) + ` june --by jane --reason "acme's incident 4711"`
	var perSecond float64
	cmd := &cobra.Command{
		Use: string(action) + " NAME", Short: short, Example: example, Args: batchArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			change.Name = args[0]
			if cmd.Flags().Changed("per-second") {
				change.PerSecond = &perSecond
			}
			if err := change.Validate(); err != nil {
				return err
			}
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			b, err := client.ControlBatch(cmd.Context(), change)
			if err != nil {
				return err
			}
			return printBatch(cmd, b)
		},
	}
	cmd.Flags().StringVar(&change.By, "by", "", "name of the operator who decides it")
	cmd.Flags().StringVar(&change.Reason, "reason", "", "why; it is recorded forever")
	if action == payment.BatchRate {
		cmd.Example += " --per-second 20"
		cmd.Flags().Float64Var(&perSecond, "per-second", 0, "how many lines are started per second at most; 0: as many as may be in flight")
		cmd.Flags().IntVar(&change.InFlight, "in-flight", 0, "how many lines may be in flight")
	}
	return cmd
}
