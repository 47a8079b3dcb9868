package settlement

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// The limits of a record. A quote that is never closed would otherwise make the rest of the file one field.
const (
	maxLine        = 256 << 10
	maxRecord      = 256 << 10
	maxRecordLines = 50
)

// record is a record of a CSV file.
type record struct {
	// number is that of its first line.
	number int64
	fields []string
	// fault is why it is not one; empty for one that is. fields are those that were found.
	fault string
}

// records reads the records of a CSV file (RFC 4180). What is no record is reported as one with a fault: its first line is skipped, and
// reading goes on with the next line.
type records struct {
	in        *bufio.Reader
	delimiter byte
	// columns is the number of fields of a record.
	columns int
	// read is the number of the lines that were read, and ahead are those of them that are not used yet.
	read  int64
	ahead []physical
}

// physical is a line of the file, without its line break.
type physical struct {
	number  int64
	text    []byte
	tooLong bool
}

// physical returns the next line, or io.EOF.
func (r *records) physical() (physical, error) {
	if len(r.ahead) > 0 {
		next := r.ahead[0]
		r.ahead = r.ahead[1:]
		return next, nil
	}
	line := physical{number: r.read + 1}
	for {
		part, err := r.in.ReadSlice('\n')
		if len(line.text)+len(part) > maxLine {
			line.tooLong, line.text = true, line.text[:0]
		}
		if !line.tooLong {
			line.text = append(line.text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && (len(line.text) > 0 || line.tooLong):
		case err != nil:
			return line, err
		}
		r.read++
		line.text = bytes.TrimSuffix(bytes.TrimSuffix(line.text, []byte("\n")), []byte("\r"))
		return line, nil
	}
}

// next returns the next record that is not empty, or io.EOF.
func (r *records) next() (record, error) {
	for {
		line, err := r.physical()
		if err != nil {
			return record{}, err
		}
		if len(bytes.TrimSpace(line.text)) == 0 && !line.tooLong {
			continue
		}
		return r.from(line)
	}
}

// from returns the record that begins with a line.
func (r *records) from(first physical) (record, error) {
	found := record{number: first.number}
	p := parser{delimiter: r.delimiter}
	size, more := 0, []physical(nil)
	for line := first; ; {
		if line.tooLong {
			found.fault = fmt.Sprintf("the line is longer than %d bytes", maxLine)
			break
		}
		if bytes.IndexByte(line.text, 0) >= 0 {
			found.fault = "the line has a NUL byte"
			break
		}
		p.feed(line.text)
		if p.state != quoted {
			break
		}
		if size += len(line.text); size > maxRecord || len(more) == maxRecordLines {
			found.fault = "a quote is not closed"
			break
		}
		next, err := r.physical()
		if errors.Is(err, io.EOF) {
			found.fault = "a quote is not closed"
			break
		}
		if err != nil {
			return found, err
		}
		more, line = append(more, next), next
	}
	if found.fault == "" {
		found.fields, found.fault = p.finish(r.columns)
	}
	if found.fault != "" && len(more) > 0 { // the stray quote is in the first line: the others may be records themselves
		found.fault = "a quote is not closed on the line, and what follows does not fit"
		r.ahead = append(more, r.ahead...)
		p = parser{delimiter: r.delimiter}
		p.feed(first.text)
	}
	if found.fault != "" {
		found.fields = p.fields
	}
	return found, nil
}

// state is where in a field a parser is.
type state int

const (
	start state = iota
	bare
	quoted
	closed
	malformed
)

// parser splits a record into fields.
type parser struct {
	delimiter byte
	state     state
	field     []byte
	fields    []string
}

// feed reads one more line. The state is quoted after it if the record goes on.
func (p *parser) feed(line []byte) {
	for _, c := range line {
		switch {
		case p.state == quoted && c == '"':
			p.state = closed
		case p.state == quoted:
			p.field = append(p.field, c)
		case c == p.delimiter && p.state != malformed:
			p.end()
		case p.state == start && c == '"':
			p.state = quoted
		case p.state == closed && c == '"': // a quote in a quoted field is doubled
			p.field, p.state = append(p.field, c), quoted
		case p.state == closed:
			p.state = malformed
		case p.state == start:
			p.field, p.state = append(p.field, c), bare
		default:
			p.field = append(p.field, c)
		}
	}
	if p.state == quoted {
		p.field = append(p.field, '\n')
		return
	}
	if p.state != malformed {
		p.end()
		p.state = closed
	}
}

func (p *parser) end() {
	p.fields = append(p.fields, string(p.field))
	p.field, p.state = p.field[:0], start
}

// finish returns the fields, and why they are not those of a record. Empty fields at the end may be too many.
func (p *parser) finish(columns int) ([]string, string) {
	if p.state == malformed {
		return nil, "there is text after a closing quote"
	}
	fields := p.fields
	for len(fields) > columns && columns > 0 && fields[len(fields)-1] == "" {
		fields = fields[:len(fields)-1]
	}
	if columns > 0 && len(fields) != columns {
		return nil, fmt.Sprintf("the line has %d fields instead of %d", len(fields), columns)
	}
	return fields, ""
}
