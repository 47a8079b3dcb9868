package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

const (
	jsonCharge = `{"merchant_id":"acme","idempotency_key":"k-1","amount":1250,"currency":"USD","payment_method":"tok_visa"}`
	jsonRefund = `{"operation":"refund","merchant_id":"acme","idempotency_key":"r-1","payment_id":"pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc"}`
	csvColumns = "operation,merchant_id,idempotency_key,amount,currency,payment_method,payment_id,metadata.order\n"
	csvCharge  = "charge,acme,k-1,12.50,USD,tok_visa,,o-1\n"
)

func batchFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// readAllLines reads a file as submit does.
func readAllLines(t *testing.T, format, amounts, content string) (lines []payment.BatchLine, problems []string, err error) {
	t.Helper()
	r, err := newLineReader(strings.NewReader(content), format, amounts)
	for err == nil {
		var l payment.BatchLine
		var bad []payment.FieldError
		if l, bad, err = r.next(); err == nil {
			lines = append(lines, l)
			for _, p := range bad {
				problems = append(problems, fmt.Sprintf("%d: %v", l.Line, p))
			}
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return lines, problems, err
}

func TestFilesOfABatchAreReadWhateverWroteThem(t *testing.T) {
	charge := &payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: "k-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa"}
	withOrder := *charge
	withOrder.Metadata = map[string]string{"order": "o-1"}
	broken := withOrder
	broken.Metadata = map[string]string{"order": "a\nb"}
	refund := &payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "r-1", PaymentID: "pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc"}
	for name, tt := range map[string]struct {
		format, amounts, content string
		want                     []payment.BatchLine
	}{
		"json":                        {format: formatJSON, content: jsonCharge + "\n" + jsonRefund + "\n", want: []payment.BatchLine{{Line: 1, Charge: charge}, {Line: 2, Refund: refund}}},
		"json without a last newline": {format: formatJSON, content: jsonCharge, want: []payment.BatchLine{{Line: 1, Charge: charge}}},
		"json of Windows":             {format: formatJSON, content: "\ufeff" + jsonCharge + "\r\n\r\n" + jsonRefund + "\r\n", want: []payment.BatchLine{{Line: 1, Charge: charge}, {Line: 3, Refund: refund}}},
		"csv":                         {format: formatCSV, amounts: amountsMajor, content: csvColumns + csvCharge + "refund,acme,r-1,full,,,pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc,\n", want: []payment.BatchLine{{Line: 2, Charge: &withOrder}, {Line: 3, Refund: refund}}},
		"csv of a spreadsheet":        {format: formatCSV, amounts: amountsMajor, content: "\ufeff" + strings.ReplaceAll(csvColumns+"\n"+csvCharge, "\n", "\r\n"), want: []payment.BatchLine{{Line: 3, Charge: &withOrder}}},
		"csv with a quoted newline":   {format: formatCSV, amounts: amountsMajor, content: csvColumns + "charge,acme,k-1,12.50,USD,tok_visa,,\"a\nb\"\n" + csvCharge, want: []payment.BatchLine{{Line: 2, Charge: &broken}, {Line: 4, Charge: &withOrder}}},
		"csv in minor units":          {format: formatCSV, amounts: amountsMinor, content: csvColumns + strings.Replace(csvCharge, "12.50", "1250", 1), want: []payment.BatchLine{{Line: 2, Charge: &withOrder}}},
	} {
		t.Run(name, func(t *testing.T) {
			lines, problems, err := readAllLines(t, tt.format, tt.amounts, tt.content)
			require.NoError(t, err)
			require.Empty(t, problems)
			require.Equal(t, tt.want, lines)
		})
	}
}

func TestFaultsOfAFileNameTheLineAndTheField(t *testing.T) {
	for name, tt := range map[string]struct {
		file, content string
		args          []string
		want          []string
	}{
		"an unknown field":           {file: "a.jsonl", content: strings.Replace(jsonCharge, `"amount"`, `"amout"`, 1), want: []string{`:1: line: unknown field "amout"`}},
		"a field twice":              {file: "a.jsonl", content: strings.Replace(jsonCharge, `{`, `{"amount":1,`, 1), want: []string{`:1: line: field "amount" appears twice`}},
		"a fraction":                 {file: "a.jsonl", content: strings.Replace(jsonCharge, "1250", "12.50", 1), want: []string{":1: line: amount: want a whole number, in minor units"}},
		"an unknown operation":       {file: "a.jsonl", content: strings.Replace(jsonCharge, `{`, `{"operation":"void",`, 1), want: []string{`:1: line: operation: want "charge" or "refund"`}},
		"half a line":                {file: "a.jsonl", content: jsonCharge + "\n" + jsonCharge[:30], want: []string{":2: line: "}},
		"an invalid request":         {file: "a.jsonl", content: "\n" + strings.Replace(jsonCharge, "USD", "usd", 1), want: []string{":2: currency: unknown currency"}},
		"a key twice":                {file: "a.jsonl", content: jsonCharge + "\n" + jsonRefund + "\n" + jsonCharge, want: []string{":3: idempotency_key: was used on line 1"}},
		"a field of a charge":        {file: "a.jsonl", content: strings.Replace(jsonRefund, `{`, `{"payment_method":"tok_visa",`, 1), want: []string{`:1: line: unknown field "payment_method"`}},
		"a card number":              {file: "a.jsonl", content: strings.Replace(jsonCharge, "tok_visa", card, 1), want: []string{":1: payment_method: looks like a card number"}},
		"an unknown column":          {file: "a.csv", args: []string{"--amounts", "minor"}, content: "merchant_id,amout\nacme,1\n", want: []string{"line 1: unknown column 2"}},
		"a column twice":             {file: "a.csv", args: []string{"--amounts", "minor"}, content: "amount,amount\n1,1\n", want: []string{"line 1: column 2 appears twice"}},
		"too few cells":              {file: "a.csv", args: []string{"--amounts", "major"}, content: csvColumns + "charge,acme\n" + csvCharge, want: []string{":2: line: has 2 cells: want 8"}},
		"a quote within a cell":      {file: "a.csv", args: []string{"--amounts", "major"}, content: csvColumns + "charge,ac\"me,,,,,,\n" + csvCharge, want: []string{":2: line: "}},
		"a quote that is not closed": {file: "a.csv", args: []string{"--amounts", "major"}, content: csvColumns + "\"charge," + strings.Repeat("x", 2*maxLine), want: []string{"is a quote not closed?"}},
		"decimals in minor units":    {file: "a.csv", args: []string{"--amounts", "minor"}, content: csvColumns + csvCharge, want: []string{":2: amount: want a whole number in minor units"}},
		"a thousands separator":      {file: "a.csv", args: []string{"--amounts", "major"}, content: csvColumns + strings.Replace(csvCharge, "12.50", `"1,250.00"`, 1), want: []string{":2: amount: amount \"1,250.00\" is not a decimal number"}},
		"a cell of another kind":     {file: "a.csv", args: []string{"--amounts", "major"}, content: csvColumns + strings.Replace(csvCharge, "charge", "refund", 1), want: []string{":2: payment_method: does not belong to a refund"}},
		"a card number in a cell":    {file: "a.csv", args: []string{"--amounts", "major"}, content: csvColumns + strings.Replace(csvCharge, "12.50", card, 1), want: []string{":2: amount: "}},
		"a refund without an amount": {file: "a.csv", args: []string{"--amounts", "major"}, content: csvColumns + "refund,acme,r-1,,,,pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc,\n", want: []string{`:2: amount: is empty: want an amount, or "full" for all that is left`}},
		"a charge of all":            {file: "a.csv", args: []string{"--amounts", "major"}, content: csvColumns + strings.Replace(csvCharge, "12.50", "full", 1), want: []string{":2: amount: "}},
		"an amount that is null":     {file: "a.jsonl", content: strings.Replace(jsonRefund, `{`, `{"amount":null,`, 1), want: []string{":1: line: amount: is null: want a value, or no such field"}},
		"metadata that is null":      {file: "a.jsonl", content: strings.Replace(jsonCharge, `{`, `{"metadata":{"order":null},`, 1), want: []string{":1: line: metadata.order: is null"}},
		"no lines":                   {file: "a.jsonl", content: "\n\n", want: []string{"has no lines"}},
		"a csv without amounts":      {file: "a.csv", content: csvColumns + csvCharge, want: []string{`--amounts "": want major or minor for a CSV file`}},
		"json in major units":        {file: "a.jsonl", args: []string{"--amounts", "major"}, content: jsonCharge, want: []string{`--amounts "major"`}},
		"an unknown extension":       {file: "a.txt", content: jsonCharge, want: []string{`--format ""`}},
		"too many lines in flight":   {file: "a.jsonl", args: []string{"--in-flight", "5000"}, content: jsonCharge, want: []string{"in_flight: 5000: want 1 to 1000"}},
		"an invalid name":            {file: "a.jsonl", args: []string{"--name", "a/b"}, content: jsonCharge, want: []string{`name: "a/b": want 1 to 64`}},
	} {
		t.Run(name, func(t *testing.T) {
			path := batchFile(t, tt.file, tt.content)
			stdout, stderr, err := execute(t, "", append([]string{"batch", "submit", path}, tt.args...)...)
			require.Equal(t, exitUsage, exitCode(err), "%v", err)
			for _, want := range tt.want {
				require.Contains(t, stdout+stderr+err.Error(), want)
			}
			require.NotContains(t, stdout+stderr+err.Error(), card)
		})
	}
}

func TestFileMayNameSomeProcessors(t *testing.T) {
	var content strings.Builder
	for i := range 2 * maxProcessors {
		content.WriteString(strings.Replace(strings.Replace(jsonCharge, "k-1", fmt.Sprintf("k-%d", i), 1), `{`,
			fmt.Sprintf(`{"processor":"p-%d",`, i%(maxProcessors+1)), 1) + "\n")
	}
	_, stderr, err := execute(t, "", "batch", "submit", batchFile(t, "a.jsonl", content.String()))
	require.Equal(t, exitUsage, exitCode(err), "%v", err)
	require.Contains(t, stderr, "a.jsonl:101: processor: is another one: a file may name 100\n")
	require.Equal(t, 1, strings.Count(stderr, "\n"))
}

func TestOnlyTheFirstFaultsArePrinted(t *testing.T) {
	path := batchFile(t, "a.jsonl", strings.Repeat("{}\n", 60)) // four faults each
	_, stderr, err := execute(t, "", "batch", "submit", path)
	require.ErrorContains(t, err, "has 300 faults, of which the first 100 are printed: nothing was submitted")
	require.Equal(t, 100, strings.Count(stderr, "\n"))
	stdout, _, err := execute(t, "", "batch", "submit", path, "--json")
	require.Equal(t, exitUsage, exitCode(err))
	require.Contains(t, stdout, `"count": 300`)
	require.Contains(t, stdout, `"field": "merchant_id"`)
}

func TestDryRunPrintsSumsAndConnectsToNothing(t *testing.T) {
	content := csvColumns
	for i := range 3 {
		content += strings.Replace(csvCharge, "k-1", fmt.Sprintf("k-%d", i), 1)
	}
	content += "charge,acme,y,700,JPY,tok_visa,,\nrefund,acme,r-1,1.25,USD,,pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc,\n" +
		"refund,acme,r-2,full,,,pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc,\n"
	path := batchFile(t, "a.csv", content)
	stdout, _, err := execute(t, "", "batch", "submit", path, "--amounts", "major", "--dry-run", "--name", "june")
	require.NoError(t, err)
	require.Equal(t, "6 lines without a fault; as a batch, they are called june\n1 charges: 700 JPY\n3 charges: 37.50 USD\n"+
		"1 refunds: no amount: all that is left\n1 refunds: 1.25 USD\n", stdout)
	stdout, _, err = execute(t, "", "batch", "submit", path, "--amounts", "major", "--dry-run", "--json")
	require.NoError(t, err)
	require.Contains(t, stdout, `"name": "file-`)
	require.Contains(t, stdout, `"amount": 3750`)
}

func TestNameOfABatchIsDerivedFromItsContent(t *testing.T) {
	name := batchName(bytes.Repeat([]byte{0x7f, 3}, 16))
	require.Equal(t, "file-p4bx6a37an7qg7yd", name[:21])
	require.True(t, payment.IsBatchName(name))
	require.True(t, payment.IsBatchName(batchName(make([]byte, 32))))
}

// Half of a file in minor units and the other half in major ones would charge some a hundred times too much.
func TestSameFileWithOtherAmountsIsAnotherBatch(t *testing.T) {
	path := batchFile(t, "a.csv", csvColumns+strings.Replace(csvCharge, "12.50", "1250", 1))
	hashes := map[string][]byte{}
	for _, amounts := range []string{amountsMinor, amountsMajor} {
		cmd := &cobra.Command{}
		cmd.SetContext(t.Context())
		s := &submission{path: path, format: formatCSV, amounts: amounts}
		checked, err := s.check(cmd)
		require.NoError(t, err)
		hashes[amounts] = checked.hash
		b, err := s.handOver(cmd, &fakeBatches{}, payment.BatchChunk{Name: "june", ContentHash: hex.EncodeToString(checked.hash), Lines: 1})
		require.NoError(t, err)
		require.Equal(t, payment.BatchRunning, b.State)
	}
	require.NotEqual(t, hashes[amountsMinor], hashes[amountsMajor])
}

// A million keys must not be in memory at once.
func TestRepeatedKeysAreFoundWhenTheyDoNotFitIntoMemory(t *testing.T) {
	s := &seenKeys{}
	const lines = 3*keysInMemory + 10
	for i := range int64(lines) {
		key := fmt.Sprintf("k-%d", i)
		if i == lines-1 || i == keysInMemory+7 {
			key = "k-5"
		}
		require.NoError(t, s.add(payment.BatchLine{Line: i + 1, Charge: &payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: key}}))
	}
	require.NoError(t, s.add(payment.BatchLine{Line: lines + 1, Refund: &payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "k-5"}}))
	info, err := os.Stat(s.dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	var found [][2]int64
	require.NoError(t, s.repeated(func(line, first int64) { found = append(found, [2]int64{line, first}) }))
	require.Equal(t, [][2]int64{{keysInMemory + 8, 6}, {lines, 6}}, found)
	require.NoError(t, s.close())
	require.NoDirExists(t, s.dir)
}

// fakeBatches is a worker that receives lines.
type fakeBatches struct {
	batch   payment.Batch
	chunks  []int
	lines   []payment.BatchLine
	failing int
	// change is called before the second chunk.
	change func()
}

func (f *fakeBatches) AddBatchLines(_ context.Context, c payment.BatchChunk) (payment.Batch, error) {
	if err := c.Validate(); err != nil {
		return payment.Batch{}, err
	}
	if f.failing > 0 {
		f.failing--
		return payment.Batch{}, errors.New("no worker")
	}
	if f.batch.Name == "" {
		f.batch = payment.Batch{Name: c.Name, State: payment.BatchReceiving, Lines: c.Lines, ContentHash: c.ContentHash}
	}
	for _, l := range c.Chunk {
		if l.Line > f.batch.LastLine {
			f.lines, f.batch.LastLine, f.batch.Received = append(f.lines, l), l.Line, f.batch.Received+1
		}
	}
	if f.chunks = append(f.chunks, len(c.Chunk)); len(f.chunks) == 2 && f.change != nil {
		f.change()
	}
	if c.Complete {
		f.batch.State = payment.BatchRunning
	}
	return f.batch, nil
}

// handOver submits a file to the fake.
func handOver(t *testing.T, f *fakeBatches, path string) (payment.Batch, error) {
	t.Helper()
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.SetErr(io.Discard)
	s := &submission{path: path, format: formatJSON}
	checked, err := s.check(cmd)
	require.NoError(t, err)
	return s.handOver(cmd, f, payment.BatchChunk{Name: "june", ContentHash: fmt.Sprintf("%x", checked.hash), Lines: checked.lines})
}

func manyLines(n int) string {
	var text strings.Builder
	for i := range n {
		text.WriteString(strings.Replace(jsonCharge, "k-1", fmt.Sprintf("k-%d", i), 1) + "\n")
	}
	return text.String()
}

func TestFileIsHandedOverInChunksAndContinuesWhereItWasInterrupted(t *testing.T) {
	path := batchFile(t, "a.jsonl", manyLines(1234))
	f := &fakeBatches{}
	b, err := handOver(t, f, path)
	require.NoError(t, err)
	require.Equal(t, payment.BatchRunning, b.State)
	require.Equal(t, []int{0, 500, 500, 234, 0}, f.chunks)
	require.Len(t, f.lines, 1234)

	f = &fakeBatches{batch: payment.Batch{Name: "june", State: payment.BatchReceiving, Lines: 1234, Received: 1000, LastLine: 1000}}
	_, err = handOver(t, f, path)
	require.NoError(t, err)
	require.Equal(t, []int{0, 234, 0}, f.chunks)

	f = &fakeBatches{batch: payment.Batch{Name: "june", State: payment.BatchCompleted}}
	_, err = handOver(t, f, path)
	require.NoError(t, err)
	require.Equal(t, []int{0}, f.chunks, "a batch that was started gets no lines")
}

func TestChunksAreSmallerThanTemporalWarnsAbout(t *testing.T) {
	line := strings.Replace(jsonCharge, `{`, `{"description":"`+strings.Repeat("long ", 200)+`",`, 1)
	var text strings.Builder
	for i := range 900 {
		text.WriteString(strings.Replace(line, "k-1", fmt.Sprintf("k-%d", i), 1) + "\n")
	}
	f := &fakeBatches{}
	_, err := handOver(t, f, batchFile(t, "a.jsonl", text.String()))
	require.NoError(t, err)
	require.Len(t, f.lines, 900)
	for _, n := range f.chunks {
		require.Less(t, n*len(line), 420<<10)
	}
}

func TestFileThatChangesWhileItIsHandedOverDoesNotStart(t *testing.T) {
	path := batchFile(t, "a.jsonl", manyLines(20_000)) // larger than what is read ahead
	f := &fakeBatches{}
	f.change = func() {
		changed := strings.Replace(manyLines(20_000), `"idempotency_key":"k-19999","amount":1250`, `"idempotency_key":"k-19999","amount":9999`, 1)
		require.NoError(t, os.WriteFile(path, []byte(changed), 0o600))
	}
	_, err := handOver(t, f, path)
	require.ErrorContains(t, err, "was changed while it was handed over: nothing was started")
	require.Equal(t, payment.BatchReceiving, f.batch.State)
}

func TestResultsAreWrittenPageByPage(t *testing.T) {
	pages := pagesOfResults{
		{Line: 1, Operation: payment.OperationCharge, MerchantID: "acme", IdempotencyKey: "=cmd()", ID: "pay_1", Status: payment.Declined, Current: payment.Declined, Amount: 1250, Currency: "USD", Decline: &payment.Decline{Code: "lost_card", Kind: payment.DeclineHard}},
		{Line: 2, Operation: payment.OperationRefund, MerchantID: "acme", IdempotencyKey: "r-1", ID: "ref_1", Status: payment.LineRefused, Refusal: "no such\x1b[2J payment"},
	}
	var out bytes.Buffer
	require.NoError(t, writeResults(t.Context(), pages, payment.BatchLineFilter{Name: "june"}, &out, false))
	lines := strings.Split(out.String(), "\n")
	require.Equal(t, strings.Join(resultColumns, ","), lines[0])
	require.Equal(t, "1,charge,acme,'=cmd(),pay_1,declined,declined,12.50,USD,lost_card (hard)", lines[1])
	require.NotContains(t, out.String(), "\x1b")
	out.Reset()
	require.NoError(t, writeResults(t.Context(), pages, payment.BatchLineFilter{Name: "june"}, &out, true))
	require.Equal(t, 2, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), `"status":"declined"`)
}

// pagesOfResults has a page for each line.
type pagesOfResults []payment.BatchResult

func (p pagesOfResults) BatchLines(_ context.Context, f payment.BatchLineFilter) (payment.BatchLinePage, error) {
	page := payment.BatchLinePage{Lines: p[f.After : f.After+1]}
	if int(f.After)+1 < len(p) {
		page.Next = f.After + 1
	}
	return page, nil
}

func TestExitCodeOfABatchIsThatOfItsWorstLine(t *testing.T) {
	for name, tt := range map[string]struct {
		batch payment.Batch
		want  int
	}{
		"all succeeded":           {batch: payment.Batch{State: payment.BatchCompleted, Succeeded: 3, Authorized: 1}, want: exitOK},
		"one declined":            {batch: payment.Batch{State: payment.BatchCompleted, Succeeded: 3, Declined: 1}, want: exitDeclined},
		"one refused":             {batch: payment.Batch{State: payment.BatchCompleted, Declined: 3, Refused: 1}, want: exitFailed},
		"one failed":              {batch: payment.Batch{State: payment.BatchCompleted, Declined: 3, Failed: 1}, want: exitFailed},
		"one conflicted":          {batch: payment.Batch{State: payment.BatchCompleted, Failed: 3, Conflicted: 1}, want: exitUnknown},
		"canceled":                {batch: payment.Batch{State: payment.BatchCanceled, Succeeded: 3, Waiting: 1}, want: exitFailed},
		"canceled after the last": {batch: payment.Batch{State: payment.BatchCanceled, Succeeded: 3}, want: exitOK},
	} {
		require.Equal(t, tt.want, exitCode(batchOutcome(tt.batch)), name)
	}
}

func TestWaitingForABatchSurvivesAWorkerThatIsAway(t *testing.T) {
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.SetErr(io.Discard)
	reads := 0
	b, err := awaitBatch(cmd, func(context.Context, string) (payment.Batch, error) {
		switch reads++; reads {
		case 2, 3:
			return payment.Batch{}, errors.New("no worker")
		case 5:
			return payment.Batch{Name: "june", State: payment.BatchCompleted, Lines: 2, Succeeded: 2, FinishedAt: time.Now()}, nil
		default:
			return payment.Batch{Name: "june", State: payment.BatchRunning, Lines: 2, Succeeded: 1, Open: 1}, nil
		}
	}, "june", 100*time.Millisecond)
	require.NoError(t, err)
	require.True(t, b.Finished())
	require.Equal(t, 5, reads)
	_, err = awaitBatch(cmd, func(context.Context, string) (payment.Batch, error) { return payment.Batch{}, payment.ErrNotFound }, "june", time.Second)
	require.Equal(t, exitNotFound, exitCode(err))
}

func TestBatchIsPrintedWithRateAndTimeLeft(t *testing.T) {
	started := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	b := payment.Batch{Name: "june", State: payment.BatchRunning, Lines: 1000, Waiting: 700, Open: 100, Succeeded: 200, StartedAt: started}
	require.Equal(t, "200 of 1000 in 20s, 10.0 per second, 1m20s left", progressText(b, started.Add(20*time.Second)))
	b.State, b.Waiting, b.Open, b.Succeeded, b.FinishedAt = payment.BatchCompleted, 0, 0, 1000, started.Add(50*time.Second)
	require.Equal(t, "1000 of 1000 in 50s, 20.0 per second", progressText(b, started.Add(time.Hour)))
}

func TestControlsOfABatchNeedAnOperatorAndAReason(t *testing.T) {
	for name, args := range map[string][]string{
		"no operator":   {"batch", "pause", "june", "--reason", "x"},
		"no reason":     {"batch", "cancel", "june", "--by", "jane"},
		"no rate":       {"batch", "rate", "june", "--by", "jane", "--reason", "x"},
		"no name":       {"batch", "resume", "--by", "jane", "--reason", "x"},
		"another name":  {"batch", "status", "a/b"},
		"no such state": {"batch", "results", "june", "--status", "done"},
	} {
		_, _, err := execute(t, "", args...)
		require.Equal(t, exitUsage, exitCode(err), "%s: %v", name, err)
	}
}
