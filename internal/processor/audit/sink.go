package audit

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"go.uber.org/zap/zapcore"
)

const (
	// maxWait is how long a caller waits until its line is written. Money may have moved already, and the caller occupies one of
	// the concurrent calls to its processor.
	maxWait = time.Second
	// maxQueued is the size of the lines that wait for a stalled output, in bytes: some 20,000 records.
	maxQueued = 16 << 20
	// flushTimeout bounds how long Close waits for the output.
	flushTimeout = 5 * time.Second
)

var (
	errClosed = errors.New("the audit log is closed: stop the callers before closing it")
	// errStopped is for lines that were still queued when Close gave up.
	errStopped = fmt.Errorf("the output of the audit log stalls: not written within %s of closing it", flushTimeout)
	errFull    = fmt.Errorf("the output of the audit log stalls, and the queue of %d MiB is full", maxQueued>>20)
)

// sink writes lines one at a time and in order, so that they do not interleave. A caller waits until its line is written, so that
// a record exists before the outcome of the call is used. If a line takes longer than maxWait, the output stalls: until the
// queue is empty again, no caller waits.
type sink struct {
	out   zapcore.WriteSyncer
	close func() error
	// failed is called for each line that could not be written, stalled when callers stop waiting. They must not block.
	failed  func(error)
	stalled func()
	// chain is nil if the records have none. It belongs to the goroutine that writes.
	chain *chain
	// anchored is called with a position of the chain: after its first record, and at most once in anchorEvery. It must not
	// block. ended is called with the last position, before the output is closed.
	anchored, ended func(Anchor)
	// partial is true after a line was written only in part, for example because the disk is full. The next line must not
	// continue it. It belongs to the goroutine that writes.
	partial bool
	// start is writeQueue. A method value would allocate each time.
	start  func()
	unused sync.Pool

	// The fields below are guarded by mu. They are in one of these states:
	//
	//	            first  armed  behind  closed  discarded
	//	idle        nil    any    false   false   false      no goroutine writes
	//	writing     set    true   false   false   false      each caller waits for its line
	//	stalled     set    false  true    false   false      no caller waits; ends when the queue is empty
	//	closing     any    any    any     true    false      Write refuses; Close waits for the queue
	//	given up    any    any    any     true    true       Close has counted the rest of the queue as failed
	mu sync.Mutex
	// first is the line that is being written; last is the end of the queue. Both are nil while no goroutine writes.
	first, last *queued
	// records and bytes are the number and size of the lines in the queue.
	records, bytes int
	// lost is the number of lines that were refused since the last one that was accepted.
	lost int
	// watchdog calls watch; armed is true until it has been called. One timer for all lines costs less than one for each: while
	// the sink is idle it may still be armed for a line that was written in time.
	watchdog *time.Timer
	armed    bool
	// behind is true while no caller waits: from a stall until the queue is empty.
	behind bool
	// closed is true from the first call of Close on.
	closed bool
	// discarded is true after Close gave up: then every line in the queue was counted as failed.
	discarded bool
	// flushed is closed when the queue is empty. It is nil unless Close waits.
	flushed chan struct{}
}

// queued is a line in the queue.
type queued struct {
	line  []byte // nil: the end of the chain
	since time.Time
	// lost is the number of lines that were refused before this one.
	lost int
	next *queued
	// done receives one value if a caller waits: true if the line was written or has failed, false if the output stalls.
	done     chan bool
	detached bool // no caller waits
}

func newSink(out zapcore.WriteSyncer, failed func(error), stalled func()) *sink {
	s := &sink{out: out, close: out.Sync, failed: failed, stalled: stalled}
	s.start = s.writeQueue
	s.watchdog = time.AfterFunc(maxWait, s.watch)
	s.watchdog.Stop()
	return s
}

// Write writes one line, or queues it if the output stalls. A later failure is reported to failed.
func (s *sink) Write(line []byte) (int, error) {
	q, ok := s.unused.Get().(*queued)
	if !ok {
		q = &queued{done: make(chan bool, 1)}
	}
	q.line = append(q.line[:0], line...)
	wait, err := s.enqueue(q)
	// After a stall the line is still in the queue.
	if err != nil || wait && <-q.done {
		s.unused.Put(q)
	}
	return len(line), err
}

// enqueue adds a line to the queue. It reports whether the caller should wait for done.
func (s *sink) enqueue(q *queued) (wait bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return false, errClosed
	case s.first != nil && s.bytes+len(q.line) > maxQueued:
		s.lost++
		return false, errFull
	}
	q.detached = s.behind
	s.records++
	s.add(q)
	if !s.armed && !s.behind {
		s.armed = true
		s.watchdog.Reset(maxWait)
	}
	return !s.behind, nil
}

// add appends to the queue. The caller holds mu.
func (s *sink) add(q *queued) {
	q.since, q.lost, s.lost = time.Now(), s.lost, 0
	s.bytes += len(q.line)
	if s.first == nil {
		s.first, s.last = q, q
		go s.start()
	} else {
		s.last.next, s.last = q, q
	}
}

// watch ends the wait of all callers if the oldest line has waited for maxWait. Otherwise it is called again when that will be
// the case.
func (s *sink) watch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = s.first != nil
	if !s.armed {
		return
	}
	if left := maxWait - time.Since(s.first.since); left > 0 {
		s.watchdog.Reset(left)
		return
	}
	s.armed, s.behind = false, true
	for q := s.first; q != nil; q = q.next {
		q.detached = true
		q.done <- false
	}
	s.stalled()
}

// writeQueue writes the queue, and returns when it is empty.
func (s *sink) writeQueue() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.first != nil {
		q := s.first
		s.mu.Unlock()
		err := s.write(q)
		s.mu.Lock()
		if q.line != nil {
			if err != nil && !s.discarded {
				s.failed(err)
			}
			s.records--
		}
		s.bytes -= len(q.line)
		s.first, q.next = q.next, nil
		if !q.detached {
			q.done <- true
		}
	}
	s.last, s.behind = nil, false
	if s.flushed != nil {
		close(s.flushed)
		s.flushed = nil
	}
}

// write writes one line of the queue. In a chain, the record that begins it and a record of those that were lost come first.
func (s *sink) write(q *queued) error {
	c := s.chain
	if c == nil {
		_, err := s.put(q.line)
		return err
	}
	c.lost += q.lost
	err := s.writeChained(q)
	if err != nil && q.line != nil {
		c.lost++
	}
	if err == nil && c.last.Seq > 0 && q.since.Sub(c.logged) >= anchorEvery {
		c.logged = q.since
		s.anchored(c.last)
	}
	return err
}

func (s *sink) writeChained(q *queued) error {
	c := s.chain
	if q.line == nil && c.last.Seq == 0 && c.lost == 0 {
		return nil // nothing was to be recorded
	}
	// The next record says what is before it.
	if err := s.endPartial(); err != nil {
		return err
	}
	if c.last.Seq == 0 {
		if err := s.putRecord(c.own(messageStart)); err != nil {
			return err
		}
	}
	if c.lost > 0 || c.interrupted.bytes > 0 {
		if err := s.putRecord(c.own(messageLost)); err != nil {
			return err
		}
		c.lost = 0
	}
	if q.line == nil {
		return s.putRecord(c.own(messageEnd))
	}
	return s.putRecord(c.of(q.line))
}

func (s *sink) putRecord(record []byte) error {
	n, err := s.put(record)
	s.chain.wrote(record, n)
	return err
}

// endPartial ends a line that was written only in part.
func (s *sink) endPartial() error {
	if !s.partial {
		return nil
	}
	if _, err := s.out.Write([]byte{'\n'}); err != nil {
		return err
	}
	s.partial = false
	if s.chain != nil && s.chain.interrupted.bytes > 0 {
		s.chain.interrupted.add([]byte{'\n'})
	}
	return nil
}

// put writes one line, and returns how much of it was written. A line that lacks only its line end is written: that follows with
// the next line.
func (s *sink) put(line []byte) (n int, err error) {
	if err := s.endPartial(); err != nil {
		return 0, err
	}
	n, err = s.out.Write(line)
	s.partial = 0 < n && n < len(line)
	switch {
	case isComplete(line, n):
		return n, nil
	case err == nil:
		err = io.ErrShortWrite
	}
	return n, err
}

// Close refuses further lines, waits for those in the queue and for the end of the chain, at most flushTimeout, and closes the
// output. An output that still stalls then is not closed, because that could block, too: the lines that it did not accept are
// lost. Close may be called more than once.
func (s *sink) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	if s.chain != nil {
		s.add(&queued{done: make(chan bool, 1), detached: true})
	}
	flushed := make(chan struct{})
	if s.first != nil {
		s.flushed = flushed
	} else {
		close(flushed)
	}
	s.mu.Unlock()

	timeout := time.NewTimer(flushTimeout)
	defer timeout.Stop()
	select {
	case <-flushed:
	case <-timeout.C:
		switch lost, stalls := s.discard(); {
		case lost > 0:
			return fmt.Errorf("the output of the audit log stalls: %d records were not written within %s", lost, flushTimeout)
		case stalls:
			return fmt.Errorf("the output of the audit log stalls: the end of the chain was not written within %s", flushTimeout)
		}
		return s.close()
	}
	if s.chain != nil && s.chain.last.Seq > 0 {
		s.ended(s.chain.last)
	}
	return s.close()
}

// discard empties the queue, except for the line that is being written, and returns the number of lines lost with that one. It
// reports whether a line is being written.
func (s *sink) discard() (lost int, stalls bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost = s.records
	s.discarded = true
	if s.first != nil {
		s.first.next, s.last = nil, s.first
	}
	for range lost {
		s.failed(errStopped)
	}
	return lost, s.first != nil
}
