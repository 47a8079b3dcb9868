package audit

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"
)

// Texts of the records that a chain has in addition to those of calls.
const (
	messageStart = "audit log started"
	messageEnd   = "audit log ended"
	messageLost  = "audit records lost"
)

// anchorEvery is how often the position of a chain is logged, at most.
const anchorEvery = time.Minute

// maxTail is how much of an existing file is read to find its last record. It is several times the size of the largest record.
const maxTail = 1 << 20

// Anchor is the position of a record in its chain. An operator who has it, outside of the log, can prove that records up to that one were
// neither changed nor removed, see [Verify].
type Anchor struct {
	Chain string
	Seq   uint64
	// Hash is the SHA-256 of the record, as hexadecimal digits.
	Hash string
}

// chain gives the records of one process a sequence number and the hash of the record before. Its methods are called by one
// goroutine at a time.
type chain struct {
	// last is the last record that was written. Before the first one, it has the chain's id, and the hash of the record that the
	// chain continues, if any.
	last Anchor
	// after is the last record in the file at its opening; nil if there was none.
	after *Anchor
	// lost counts the records that were lost since the last one was written.
	lost int
	// interrupted are the bytes in the output since the last complete record.
	interrupted interrupted
	line        []byte
	// logged is when the position was logged for the last time.
	logged time.Time
}

func newChain() *chain {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return &chain{last: Anchor{Chain: hex.EncodeToString(id[:])}}
}

// interrupted is what an output contains of records that were not written completely.
type interrupted struct {
	bytes int64
	hash  hash.Hash
}

func (i *interrupted) add(text []byte) {
	if i.hash == nil {
		i.hash = sha256.New()
	}
	i.hash.Write(text)
	i.bytes += int64(len(text))
}

func (i *interrupted) describe() *interruption {
	if i.bytes == 0 {
		return nil
	}
	return &interruption{Bytes: i.bytes, SHA256: hex.EncodeToString(i.hash.Sum(nil))}
}

// header are the fields of a record that make it a part of a chain.
type header struct {
	Chain string `json:"chain"`
	Seq   uint64 `json:"seq"`
	// Prev is the hash of the record before. That of the first record of a chain is the last record in the file when the chain
	// began; it is empty if there was none.
	Prev    string    `json:"prev"`
	Level   string    `json:"level"`
	Time    time.Time `json:"time"`
	Message string    `json:"msg"`
	// After is the record of another chain that the first record of a chain follows.
	After *position `json:"after,omitempty"`
	// Lost is how many records are missing before this one.
	Lost int `json:"lost,omitempty"`
	// Interrupted is what is between the record before and this one.
	Interrupted *interruption `json:"interrupted,omitempty"`
}

type position struct {
	Chain string `json:"chain"`
	Seq   uint64 `json:"seq"`
}

type interruption struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// of returns a line, which is a JSON object, as the next record of the chain. It is valid until the next call.
func (c *chain) of(line []byte) []byte {
	c.line = append(c.line[:0], `{"chain":"`...)
	c.line = append(c.line, c.last.Chain...)
	c.line = strconv.AppendUint(append(c.line, `","seq":`...), c.last.Seq+1, 10)
	c.line = append(c.line, `,"prev":"`...)
	c.line = append(c.line, c.last.Hash...)
	c.line = append(c.line, `",`...)
	c.line = append(c.line, line[1:]...)
	return c.line
}

// own returns a record of the chain's own.
func (c *chain) own(message string) []byte {
	h := header{Chain: c.last.Chain, Seq: c.last.Seq + 1, Prev: c.last.Hash, Level: "info", Time: time.Now().UTC(), Message: message,
		Lost: c.lost, Interrupted: c.interrupted.describe()}
	if message == messageStart {
		h.Lost = 0 // the next record says it
		if c.after != nil {
			h.After = &position{Chain: c.after.Chain, Seq: c.after.Seq}
		}
	}
	line, _ := json.Marshal(h) // never fails
	return append(line, '\n')
}

// wrote moves the chain to the record of which n bytes have reached the output.
func (c *chain) wrote(record []byte, n int) {
	switch {
	case isComplete(record, n):
		sum := sha256.Sum256(record[:len(record)-1])
		c.last.Seq++
		c.last.Hash = hex.EncodeToString(sum[:])
		c.interrupted = interrupted{}
	case n > 0:
		c.interrupted.add(record[:n])
	}
}

// isComplete reports whether n bytes of a line are all of it, or all but the line end.
func isComplete(line []byte, n int) bool { return n >= len(line)-1 }

// continueFile makes the chain continue the records in a file. unterminated is true if the file does not end with a line end:
// then the next record must begin with one. A missing file is like an empty one.
func (c *chain) continueFile(path string) (unterminated bool, err error) {
	tail, whole, err := readTail(path)
	if err != nil || len(tail) == 0 {
		return false, err
	}
	rest := tail
	for len(rest) > 0 {
		line := rest[bytes.LastIndexByte(bytes.TrimSuffix(rest, []byte{'\n'}), '\n')+1:]
		rest = rest[:len(rest)-len(line)]
		record := bytes.TrimSuffix(line, []byte{'\n'})
		h, ok := parseHeader(record)
		if !ok || len(rest) == 0 && !whole {
			continue
		}
		sum := sha256.Sum256(record)
		c.after = &Anchor{Chain: h.Chain, Seq: h.Seq, Hash: hex.EncodeToString(sum[:])}
		c.last.Hash = c.after.Hash
		if after := tail[len(rest)+len(line):]; len(after) > 0 {
			c.interrupted.add(after)
		}
		break
	}
	return tail[len(tail)-1] != '\n', nil
}

// readTail returns the last bytes of a file, and whether they are all of it.
func readTail(path string) (tail []byte, whole bool, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("audit log: %w: want a readable file, whose last record the new ones continue", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, false, fmt.Errorf("audit log: %w", err)
	}
	tail = make([]byte, min(info.Size(), maxTail))
	if _, err := file.ReadAt(tail, info.Size()-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return nil, false, fmt.Errorf("audit log: read its last record: %w", err)
	}
	return tail, int64(len(tail)) == info.Size(), nil
}

// parseHeader reports whether a line is a record of a chain.
func parseHeader(line []byte) (h header, ok bool) {
	if !bytes.HasPrefix(line, []byte(`{"chain":"`)) || json.Unmarshal(line, &h) != nil {
		return header{}, false
	}
	return h, h.Chain != "" && h.Seq > 0
}
