package audit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// VerifyOptions say what [Verify] expects of the files.
type VerifyOptions struct {
	// Part is true if the files are only a part of the log, or if its process still runs: a chain may begin before them and end
	// after them.
	Part bool
	// Last are positions that were logged. The records have to be in the files. Chain is not compared.
	Last []Anchor
}

// Report is what [Verify] found.
type Report struct {
	// Chains are in the order of their first records.
	Chains []ChainReport
	// Notes are what is unusual and yet explained by the log itself.
	Notes []string
	// Faults are what cannot be explained by the log itself: each begins with the file and the line. None: the records are
	// complete and unchanged, as far as a chain can prove it.
	Faults []string
}

// ChainReport is what was found of one chain: the records of one process.
type ChainReport struct {
	First, Last Anchor
	// From and To are the times of the first and the last record.
	From, To time.Time
	// Lost is the number of records that the process could not write.
	Lost int
	// Ended is true if the process closed its log.
	Ended bool
	// continued is true if another chain names the last record, in the same file after a restart.
	continued bool
}

// maxFaults is how many faults are reported. One change causes one or two.
const maxFaults = 50

// Verify reads files of an audit log, the oldest first, also compressed ones, and reports which records were changed, removed,
// inserted or put in another order. A chain does not protect its own end: records that were cut off are found if the process had
// closed its log, if the log went on after them, or with [VerifyOptions.Last]. And anybody who can write all files can write a
// new chain: only a position that is kept elsewhere proves that this did not happen. Verify returns an error for a file that
// cannot be read.
func Verify(files []string, o VerifyOptions) (Report, error) {
	v := verifier{options: o, chains: map[string]*ChainReport{}, found: make([]bool, len(o.Last))}
	for _, file := range files {
		if err := v.readFile(file); err != nil {
			return Report{}, err
		}
	}
	v.finish()
	if more := len(v.faults) - maxFaults; more > 0 {
		v.faults = append(v.faults[:maxFaults], fmt.Sprintf("and %d more", more))
	}
	report := Report{Notes: v.notes, Faults: v.faults}
	for _, c := range v.order {
		report.Chains = append(report.Chains, *c)
	}
	return report, nil
}

type verifier struct {
	options       VerifyOptions
	chains        map[string]*ChainReport
	order         []*ChainReport
	found         []bool // of options.Last
	notes, faults []string
	// file and line are where the last line is from. terminated is false if it had no line end.
	file       string
	line       int
	terminated bool
	// other is what was read since the last record that is not one; otherAt is where it begins.
	other   interrupted
	otherAt string
}

func (v *verifier) at() string { return fmt.Sprintf("%s:%d", v.file, v.line) }

func (v *verifier) fault(format string, args ...any) {
	v.faults = append(v.faults, v.at()+": "+fmt.Sprintf(format, args...))
}

func (v *verifier) note(format string, args ...any) {
	v.notes = append(v.notes, fmt.Sprintf(format, args...))
}

func (v *verifier) readFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	input := bufio.NewReader(file)
	if start, _ := input.Peek(2); bytes.Equal(start, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(input)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		input = bufio.NewReader(unzipped)
	}
	// The line end of a line that was written in part may be in the next file.
	endsPartial := v.line > 0 && !v.terminated
	v.file, v.line, v.terminated = path, 0, true
	for {
		text, err := readLine(input)
		if len(text) > 0 {
			v.line++
			v.terminated = text[len(text)-1] == '\n'
			if v.line > 1 || !endsPartial || len(text) > 1 || !v.terminated {
				v.readLine(text)
			} else if v.other.bytes > 0 {
				v.other.add(text)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: after line %d: %w", path, v.line, err)
		}
	}
}

// readLine returns the next line with its line end, or a part of a line that is longer than any record.
func readLine(input *bufio.Reader) (line []byte, err error) {
	for {
		part, err := input.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) || len(line) > maxTail {
			if errors.Is(err, bufio.ErrBufferFull) {
				err = nil
			}
			return line, err
		}
	}
}

func (v *verifier) readLine(text []byte) {
	record := bytes.TrimSuffix(text, []byte{'\n'})
	h, ok := parseHeader(record)
	if !ok {
		if v.other.bytes == 0 {
			v.otherAt = v.at()
		}
		v.other.add(text)
		return
	}
	v.checkOther(h)
	sum := sha256.Sum256(record)
	v.record(h, Anchor{Chain: h.Chain, Seq: h.Seq, Hash: hex.EncodeToString(sum[:])})
}

// checkOther checks what is between the record before and h.
func (v *verifier) checkOther(h header) {
	switch found := v.other.describe(); {
	case found == nil && h.Interrupted == nil:
	case found == nil:
		v.fault("record %d of chain %s says that %d bytes of an interrupted record are before it: they are missing",
			h.Seq, h.Chain, h.Interrupted.Bytes)
	case h.Interrupted != nil && *h.Interrupted == *found:
		v.note("%s: an interrupted record of %d bytes: the process was stopped, or the disk was full, while it was written",
			v.otherAt, found.Bytes)
	case len(v.order) == 0 && h.Seq == 1 && h.After == nil:
		v.note("%s: %d bytes before the first chain, which does not protect them", v.otherAt, found.Bytes)
	default:
		v.faults = append(v.faults, fmt.Sprintf("%s: %d bytes are not a record, and no record names them as interrupted: "+
			"they were inserted, or records were changed", v.otherAt, found.Bytes))
	}
	v.other = interrupted{}
}

func (v *verifier) record(h header, at Anchor) {
	for i, last := range v.options.Last {
		v.found[i] = v.found[i] || last.Seq == at.Seq && last.Hash == at.Hash
	}
	c := v.chains[h.Chain]
	switch {
	case c == nil:
		c = &ChainReport{First: at, From: h.Time}
		v.begin(h)
		v.chains[h.Chain] = c
		v.order = append(v.order, c)
	case c.Ended:
		v.fault("record %d of chain %s is after the end of its chain", h.Seq, h.Chain)
	case h.Seq <= c.Last.Seq:
		v.fault("record %d of chain %s is after record %d: it was inserted, or the files are not in the order in which they were written",
			h.Seq, h.Chain, c.Last.Seq)
		return
	case h.Seq > c.Last.Seq+1:
		v.fault("records %d to %d of chain %s are missing", c.Last.Seq+1, h.Seq-1, h.Chain)
	case h.Prev != c.Last.Hash:
		v.fault("record %d of chain %s does not have the hash of record %d: that one was changed", h.Seq, h.Chain, c.Last.Seq)
	}
	c.Last, c.To, c.continued = at, h.Time, false
	c.Lost += h.Lost
	c.Ended = h.Message == messageEnd
}

// begin checks the first record that was found of a chain.
func (v *verifier) begin(h header) {
	first := len(v.order) == 0
	switch {
	case h.Seq > 1 && (first || v.options.Part):
		v.note("%s: chain %s begins with record %d: the records before it are not in these files", v.at(), h.Chain, h.Seq)
	case h.Seq > 1:
		v.fault("chain %s begins with record %d: records 1 to %d are missing", h.Chain, h.Seq, h.Seq-1)
	case h.Message != messageStart, h.After == nil && h.Prev != "":
		v.fault("record 1 of chain %s is not the start of a chain", h.Chain)
	case h.After == nil:
	case v.chains[h.After.Chain] == nil && (first || v.options.Part):
		v.note("%s: chain %s continues record %d of chain %s, which is not in these files",
			v.at(), h.Chain, h.After.Seq, h.After.Chain)
	case v.chains[h.After.Chain] == nil:
		v.fault("chain %s continues record %d of chain %s, which is missing", h.Chain, h.After.Seq, h.After.Chain)
	default:
		v.follow(h, v.chains[h.After.Chain])
	}
}

// follow checks the record that a new chain continues.
func (v *verifier) follow(h header, before *ChainReport) {
	switch {
	case h.After.Seq > before.Last.Seq:
		v.fault("chain %s continues record %d of chain %s, of which records %d to %d are missing",
			h.Chain, h.After.Seq, h.After.Chain, before.Last.Seq+1, h.After.Seq)
	case h.After.Seq < before.Last.Seq:
		return // both processes wrote at the same time: the earlier chain has to have an end of its own
	case h.Prev != before.Last.Hash:
		v.fault("record 1 of chain %s does not have the hash of record %d of chain %s: that one was changed",
			h.Chain, h.After.Seq, h.After.Chain)
	}
	before.continued = true
}

func (v *verifier) finish() {
	if found := v.other.describe(); found != nil {
		if v.terminated {
			v.faults = append(v.faults, fmt.Sprintf("%s: %d bytes are not a record: they were inserted, or records were changed",
				v.otherAt, found.Bytes))
		} else {
			v.note("%s: the last record is incomplete: its process was stopped, or is still writing", v.otherAt)
		}
	}
	if len(v.order) == 0 {
		v.faults = append(v.faults, "the files have no record of a chain")
	}
	for _, c := range v.order {
		switch {
		case c.Ended:
		case c.continued:
			v.note("chain %s has no end record: its process was stopped without closing it", c.Last.Chain)
		case !v.options.Part:
			v.faults = append(v.faults, fmt.Sprintf("chain %s has no end record after record %d: records may be missing. "+
				"Its process still runs, or was killed, or its end was cut off", c.Last.Chain, c.Last.Seq))
		}
	}
	for i, last := range v.options.Last {
		if !v.found[i] {
			v.faults = append(v.faults, fmt.Sprintf("record %d with the hash %s is missing: "+
				"the log was cut off before it, or written anew", last.Seq, last.Hash))
		}
	}
}
