package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	strict "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/florinpay/florin/payment"
)

// lineReader reads the lines of a file of charges and refunds, one after the other, so that the file may have any size.
type lineReader interface {
	// next returns the next line, or what is wrong with it. It returns io.EOF after the last one, and any other error if the rest of the file
	// cannot be read.
	next() (payment.BatchLine, []payment.FieldError, error)
}

// The formats of a file.
const (
	formatJSON = "json"
	formatCSV  = "csv"
)

// How a CSV file has amounts.
const (
	amountsMajor = "major"
	amountsMinor = "minor"
)

// fileFormat returns the format of a file, from the flag or from its extension.
func fileFormat(path, format string) (string, error) {
	if format == "" {
		switch strings.ToLower(filepath.Ext(path)) {
		case ".csv":
			format = formatCSV
		case ".json", ".jsonl", ".ndjson":
			format = formatJSON
		}
	}
	if format != formatCSV && format != formatJSON {
		return "", usageError{fmt.Errorf("--format %q: want %s, for a file with one JSON object on each line, or %s", format, formatJSON, formatCSV)}
	}
	return format, nil
}

func newLineReader(in io.Reader, format, amounts string) (lineReader, error) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	if mark, err := buffered.Peek(len(byteOrderMark)); err == nil && bytes.Equal(mark, byteOrderMark) {
		_, _ = buffered.Discard(len(byteOrderMark)) // it was read already
	}
	if format == formatCSV {
		return newCSVLines(buffered, amounts == amountsMajor)
	}
	scanner := bufio.NewScanner(buffered)
	scanner.Buffer(nil, maxLine)
	return &jsonLines{scanner: scanner}, nil
}

// jsonLines reads one JSON object from each line: the fields of a request, and the operation.
type jsonLines struct {
	scanner *bufio.Scanner
	number  int64
}

func (r *jsonLines) next() (payment.BatchLine, []payment.FieldError, error) {
	for r.scanner.Scan() {
		r.number++
		text := bytes.TrimSpace(r.scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		l := payment.BatchLine{Line: r.number}
		if problems := undecodable(decodeBatchLine(text, &l)); problems != nil {
			return payment.BatchLine{Line: r.number}, problems, nil
		}
		return l, nil, nil
	}
	if err := r.scanner.Err(); err != nil {
		return payment.BatchLine{}, nil, fmt.Errorf("line %d: %w: a line may have at most %d bytes", r.number+1, err, maxLine)
	}
	return payment.BatchLine{}, nil, io.EOF
}

// undecodable returns the problem of a line that cannot be decoded; nil if there is none.
func undecodable(err error) []payment.FieldError {
	if err == nil {
		return nil
	}
	return []payment.FieldError{{Field: "line", Problem: err.Error()}}
}

// decodeBatchLine decodes a line as strictly as decodeRequest does.
func decodeBatchLine(text []byte, l *payment.BatchLine) error {
	if !utf8.Valid(text) {
		return errors.New("not UTF-8")
	}
	var line struct {
		Operation payment.Operation `json:"operation"`
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	if err := strict.UnmarshalDecode(decoder, &line); err != nil {
		return readable(err)
	}
	if rest := text[decoder.InputOffset():]; len(bytes.TrimSpace(rest)) > 0 {
		return errors.New("more than one JSON value on the line")
	}
	if err := refuseNull(text); err != nil {
		return err
	}
	var err error
	switch line.Operation {
	case "", payment.OperationCharge:
		var charge struct {
			Operation payment.Operation `json:"operation"`
			payment.ChargeRequest
		}
		err = strict.Unmarshal(text, &charge, strict.RejectUnknownMembers(true))
		l.Charge = &charge.ChargeRequest
	case payment.OperationRefund:
		var refund struct {
			Operation payment.Operation `json:"operation"`
			payment.RefundRequest
		}
		err = strict.Unmarshal(text, &refund, strict.RejectUnknownMembers(true))
		l.Refund = &refund.RefundRequest
	default:
		return fmt.Errorf("operation: want %q or %q", payment.OperationCharge, payment.OperationRefund)
	}
	if err != nil {
		return readable(err)
	}
	return nil
}

// columns are those that a CSV file may have; a pair of metadata has one of its own, such as metadata.order. The value reports whether
// charges, and refunds, have the field.
var columns = map[string]struct{ charge, refund bool }{
	"operation": {true, true}, "merchant_id": {true, true}, "idempotency_key": {true, true}, "amount": {true, true}, "currency": {true, true},
	"payment_method": {charge: true}, "capture": {charge: true}, "processor": {charge: true}, "customer_id": {charge: true},
	"description": {charge: true}, "send_by": {true, true}, "payment_id": {refund: true}, "reason": {refund: true},
}

const metadataColumn = "metadata."

// fullAmount is the amount of a refund of all that is left. An empty cell is none: a spreadsheet may have lost the amount.
const fullAmount = "full"

// csvLines reads a CSV file whose first line names the columns. An empty cell is an omitted field, but for the amount of a refund.
type csvLines struct {
	reader *csv.Reader
	bound  *boundedReader
	header []string
	major  bool
}

func newCSVLines(in io.Reader, major bool) (*csvLines, error) {
	bound := &boundedReader{in: in}
	r := &csvLines{reader: csv.NewReader(bound), bound: bound, major: major}
	r.reader.ReuseRecord = true
	bound.left = maxLine
	header, err := r.reader.Read()
	if err != nil {
		return nil, fmt.Errorf("line 1: no columns: want a line with their names, separated by commas: %w", csvProblem(err))
	}
	r.header = slices.Clone(header)
	for i, name := range r.header {
		_, known := columns[name]
		switch {
		case slices.Contains(r.header[:i], name):
			return nil, fmt.Errorf("line 1: column %d appears twice", i+1)
		case !known && (!strings.HasPrefix(name, metadataColumn) || name == metadataColumn):
			return nil, fmt.Errorf("line 1: unknown column %d: want some of %s, and %sNAME", i+1, strings.Join(sortedColumns(), ", "), metadataColumn)
		}
	}
	return r, nil
}

func sortedColumns() []string {
	names := make([]string, 0, len(columns))
	for name := range columns {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// boundedReader bounds what one record may read: a quote that is not closed would read the rest of the file into memory.
type boundedReader struct {
	in   io.Reader
	left int
}

var errLongRecord = fmt.Errorf("a line with its quoted parts may have at most %d bytes: is a quote not closed?", maxLine)

// Read implements io.Reader.
func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongRecord
	}
	n, err := b.in.Read(p)
	b.left -= n
	return n, err
}

// csvProblem removes what the csv package quotes, and its own line numbers.
func csvProblem(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return parse.Err
	}
	return err
}

func (r *csvLines) next() (payment.BatchLine, []payment.FieldError, error) {
	r.bound.left = maxLine
	record, err := r.reader.Read()
	var parse *csv.ParseError
	switch {
	case err == nil:
		line, _ := r.reader.FieldPos(0)
		l := payment.BatchLine{Line: int64(line)}
		return l, r.decode(record, &l), nil
	case errors.As(err, &parse) && !errors.Is(err, errLongRecord):
		problem := parse.Err.Error()
		if errors.Is(err, csv.ErrFieldCount) {
			problem = fmt.Sprintf("has %d cells: want %d, as many as there are columns", len(record), len(r.header))
		}
		return payment.BatchLine{Line: int64(parse.StartLine)}, []payment.FieldError{{Field: "line", Problem: problem}}, nil
	case errors.Is(err, io.EOF):
		return payment.BatchLine{}, nil, io.EOF
	default:
		return payment.BatchLine{}, nil, csvProblem(err)
	}
}

// decode sets the request of a line from its cells, and returns what is wrong with them.
func (r *csvLines) decode(record []string, l *payment.BatchLine) (problems []payment.FieldError) {
	bad := func(field, format string, args ...any) {
		problems = append(problems, payment.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	cells, metadata := map[string]string{}, map[string]string(nil)
	for i, cell := range record {
		name := r.header[i]
		key, isMetadata := strings.CutPrefix(name, metadataColumn)
		switch {
		case cell == "":
		case !utf8.ValidString(cell):
			bad(name, "is not UTF-8")
		case isMetadata:
			if metadata == nil {
				metadata = map[string]string{}
			}
			metadata[key] = cell
		default:
			cells[name] = cell
		}
	}
	operation := payment.Operation(cmp.Or(cells["operation"], string(payment.OperationCharge)))
	if operation != payment.OperationCharge && operation != payment.OperationRefund {
		bad("operation", "want %q or %q", payment.OperationCharge, payment.OperationRefund)
		return problems
	}
	refund := operation == payment.OperationRefund
	for _, name := range r.header {
		if of := columns[name]; cells[name] != "" && (refund && !of.refund || !refund && !of.charge) {
			bad(name, "does not belong to a %s", operation)
		}
	}
	var sendBy time.Time
	if text := cells["send_by"]; text != "" {
		var err error
		if sendBy, err = time.Parse(time.RFC3339, text); err != nil {
			bad("send_by", "want a time such as 2026-11-28T12:00:00Z")
		}
	}
	var amount *int64
	switch text := cells["amount"]; {
	case refund && text == fullAmount:
	case refund && text == "" && slices.Contains(r.header, "amount"):
		bad("amount", "is empty: want an amount, or %q for all that is left", fullAmount)
	case text != "":
		var minor int64
		if err := r.amount(text, cells["currency"], &minor); err != nil {
			var field payment.FieldError
			errors.As(err, &field)
			problems = append(problems, field)
		}
		amount = &minor
	}
	if refund {
		l.Refund = &payment.RefundRequest{
			MerchantID: cells["merchant_id"], IdempotencyKey: cells["idempotency_key"], PaymentID: cells["payment_id"], Amount: amount,
			Currency: cells["currency"], Reason: cells["reason"], SendBy: sendBy, Metadata: metadata,
		}
		return problems
	}
	l.Charge = &payment.ChargeRequest{
		MerchantID: cells["merchant_id"], IdempotencyKey: cells["idempotency_key"], Currency: cells["currency"],
		PaymentMethod: cells["payment_method"], Capture: payment.Capture(cells["capture"]), SendBy: sendBy, Processor: cells["processor"],
		CustomerID: cells["customer_id"], Description: cells["description"], Metadata: metadata,
	}
	if amount != nil {
		l.Charge.Amount = *amount
	}
	return problems
}

// amount converts a cell to minor units. Its error is a payment.FieldError.
func (r *csvLines) amount(text, currency string, minor *int64) error {
	if r.major {
		return readAmount(text, currency, minor)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return payment.FieldError{Field: "amount", Problem: "want a whole number in minor units; for amounts such as 12.50, use --amounts major"}
	}
	*minor = n
	return nil
}

// seenKeys finds keys that a file has twice. It keeps 24 bytes for each line, and more than keysInMemory lines in temporary files: so its
// memory does not grow with the file.
type seenKeys struct {
	recent  []seenKey
	buckets []*os.File
	dir     string
}

// seenKey is the UUID of a payment or refund id, which is derived from the operation, the merchant and the key; and the line.
type seenKey struct {
	id   uuid.UUID
	line int64
}

const (
	keysInMemory = 1 << 17
	keyBuckets   = 64
	seenKeySize  = 24
)

func (s *seenKeys) add(l payment.BatchLine) error {
	_, text, _ := strings.Cut(l.ID(), "_")
	id, err := uuid.Parse(text)
	if err != nil {
		return err
	}
	if s.recent = append(s.recent, seenKey{id, l.Line}); len(s.recent) < keysInMemory {
		return nil
	}
	return s.spill()
}

// spill moves what is in memory to the files, each of which has the ids that begin with the same bits.
func (s *seenKeys) spill() (err error) {
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "florin-batch-"); err != nil { // only the owner can read it
			return err
		}
		for i := range keyBuckets {
			file, err := os.OpenFile(filepath.Join(s.dir, strconv.Itoa(i)), os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			s.buckets = append(s.buckets, file)
		}
	}
	slices.SortFunc(s.recent, compareKeys)
	var buffer []byte
	for i, k := range s.recent {
		buffer = append(buffer, k.id[:]...)
		buffer = binary.BigEndian.AppendUint64(buffer, uint64(k.line))
		if bucket := k.bucket(); i+1 == len(s.recent) || s.recent[i+1].bucket() != bucket {
			if _, err := s.buckets[bucket].Write(buffer); err != nil {
				return err
			}
			buffer = buffer[:0]
		}
	}
	s.recent = s.recent[:0]
	return nil
}

func (k seenKey) bucket() int { return int(k.id[0]) * keyBuckets / 256 }

func compareKeys(a, b seenKey) int {
	return cmp.Or(bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.line, b.line))
}

// repeated calls found for each line whose key an earlier line has, by that line.
func (s *seenKeys) repeated(found func(line, first int64)) error {
	if s.dir == "" {
		reportRepeated(s.recent, found)
		return nil
	}
	if err := s.spill(); err != nil {
		return err
	}
	for _, file := range s.buckets {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		content, err := io.ReadAll(file)
		if err != nil {
			return err
		}
		keys := make([]seenKey, 0, len(content)/seenKeySize)
		for entry := range slices.Chunk(content, seenKeySize) {
			keys = append(keys, seenKey{uuid.UUID(entry[:16]), int64(binary.BigEndian.Uint64(entry[16:]))})
		}
		reportRepeated(keys, found)
	}
	return nil
}

func reportRepeated(keys []seenKey, found func(line, first int64)) {
	slices.SortFunc(keys, compareKeys)
	for first, i := 0, 1; i < len(keys); i++ {
		if keys[i].id != keys[first].id {
			first = i
			continue
		}
		found(keys[i].line, keys[first].line)
	}
}

// close removes the temporary files.
func (s *seenKeys) close() error {
	if s.dir == "" {
		return nil
	}
	var errs []error
	for _, file := range s.buckets {
		errs = append(errs, file.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}
