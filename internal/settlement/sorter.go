package settlement

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
)

// defaultMemory is how much a sorter keeps in memory, in bytes.
const defaultMemory = 8 << 20

// sorter sorts pairs of a key and a value, any number of them: it writes sorted runs to a temporary file, and merges them. The file can be read
// by its owner only. It loses its name at once, so that nothing is left of it, however the program ends.
type sorter struct {
	dir    string
	memory int
	arena  []byte
	pairs  []pair
	file   *os.File
	// path is the name of the file, where an open file cannot lose it.
	path string
	out  *bufio.Writer
	runs []run
	size int64
}

// pair is where a key and a value are in the arena.
type pair struct{ at, key, value int }

// run is where a sorted run is in the file.
type run struct{ at, size int64 }

func newSorter(dir string, memory int) *sorter {
	return &sorter{dir: dir, memory: cmp.Or(memory, defaultMemory)}
}

// key returns the key of a pair in the group of a name. Within the group, pairs are in the order of kind, and then of number.
func key(name string, kind byte, number int64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(name), 0, kind), uint64(number))
}

// keyTail is the length of a key after the name.
const keyTail = 10

// split returns the name and the kind of a key.
func split(key []byte) (name []byte, kind byte) {
	return key[:len(key)-keyTail], key[len(key)-keyTail+1]
}

// add adds a pair, and copies it.
func (s *sorter) add(key, value []byte) error {
	if len(s.arena)+len(key)+len(value)+len(s.pairs)*24 > s.memory && len(s.pairs) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.pairs = append(s.pairs, pair{len(s.arena), len(key), len(value)})
	s.arena = append(append(s.arena, key...), value...)
	return nil
}

func (s *sorter) key(p pair) []byte   { return s.arena[p.at : p.at+p.key] }
func (s *sorter) value(p pair) []byte { return s.arena[p.at+p.key : p.at+p.key+p.value] }

func (s *sorter) sort() {
	slices.SortFunc(s.pairs, func(a, b pair) int { return bytes.Compare(s.key(a), s.key(b)) })
}

// spill writes what is in memory to the file, as a run.
func (s *sorter) spill() error {
	if s.file == nil {
		file, err := os.CreateTemp(s.dir, "florin-reconcile-*") // 0600
		if err != nil {
			return err
		}
		if s.file, s.out = file, bufio.NewWriterSize(file, 64<<10); os.Remove(file.Name()) != nil {
			s.path = file.Name()
		}
	}
	s.sort()
	at := s.size
	var head []byte
	for _, p := range s.pairs {
		head = binary.AppendUvarint(binary.AppendUvarint(head[:0], uint64(p.key)), uint64(p.value))
		for _, part := range [][]byte{head, s.arena[p.at : p.at+p.key+p.value]} {
			n, err := s.out.Write(part)
			if s.size += int64(n); err != nil {
				return err
			}
		}
	}
	s.runs = append(s.runs, run{at, s.size - at})
	s.arena, s.pairs = s.arena[:0], s.pairs[:0]
	return s.out.Flush()
}

// each calls fn for each pair in the order of the keys. fn must not keep them. Nothing can be added any more.
func (s *sorter) each(fn func(key, value []byte) error) error {
	if len(s.runs) == 0 {
		s.sort()
		for _, p := range s.pairs {
			if err := fn(s.key(p), s.value(p)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.spill(); err != nil {
		return err
	}
	s.arena, s.pairs = nil, nil
	merged := make(merge, 0, len(s.runs))
	for _, r := range s.runs {
		// All buffers together take as much as the pairs did.
		size := min(max(s.memory/len(s.runs), 4<<10), 256<<10)
		c := &cursor{in: bufio.NewReaderSize(io.NewSectionReader(s.file, r.at, r.size), size)}
		switch err := c.next(); {
		case err == nil:
			merged = append(merged, c)
		case !errors.Is(err, io.EOF):
			return err
		}
	}
	heap.Init(&merged)
	for len(merged) > 0 {
		first := merged[0]
		if err := fn(first.key, first.value); err != nil {
			return err
		}
		switch err := first.next(); {
		case err == nil:
			heap.Fix(&merged, 0)
		case errors.Is(err, io.EOF):
			heap.Pop(&merged)
		default:
			return err
		}
	}
	return nil
}

// close deletes the file. It is safe to repeat.
func (s *sorter) close() error {
	s.arena, s.pairs = nil, nil
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if s.path != "" {
		err = errors.Join(err, os.Remove(s.path))
	}
	s.file = nil
	return err
}

// cursor is a position in a run.
type cursor struct {
	in         *bufio.Reader
	key, value []byte
}

// next reads the next pair, or returns io.EOF.
func (c *cursor) next() error {
	keySize, err := binary.ReadUvarint(c.in)
	if err != nil {
		return err
	}
	valueSize, err := binary.ReadUvarint(c.in)
	if err == nil {
		c.key = slices.Grow(c.key[:0], int(keySize))[:keySize]
		_, err = io.ReadFull(c.in, c.key)
	}
	if err == nil {
		c.value = slices.Grow(c.value[:0], int(valueSize))[:valueSize]
		_, err = io.ReadFull(c.in, c.value)
	}
	if err != nil {
		return errDamaged
	}
	return nil
}

// merge is a heap of cursors by their keys.
type merge []*cursor

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return bytes.Compare(m[i].key, m[j].key) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any) {
	if c, ok := x.(*cursor); ok {
		*m = append(*m, c)
	}
}

func (m *merge) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}
