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
	// partial is true after a line was written only in part, for example because the disk is full. The next line must not continue
	// it. It belongs to the goroutine that writes.
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
	// watchdog calls watch; armed is true until it has been called. One timer for all lines costs less than one for each: while the
	// sink is idle it may still be armed for a line that was written in time.
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
	line  []byte
	since time.Time
	next  *queued
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
		return false, errFull
	}
	q.since, q.detached = time.Now(), s.behind
	s.records++
	s.bytes += len(q.line)
	if s.first == nil {
		s.first, s.last = q, q
		go s.start()
	} else {
		s.last.next, s.last = q, q
	}
	if !s.armed && !s.behind {
		s.armed = true
		s.watchdog.Reset(maxWait)
	}
	return !s.behind, nil
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
		err := s.write(q.line)
		s.mu.Lock()
		if err != nil && !s.discarded {
			s.failed(err)
		}
		s.records--
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

func (s *sink) write(line []byte) error {
	if s.partial {
		if _, err := s.out.Write([]byte{'\n'}); err != nil {
			return err
		}
		s.partial = false
	}
	n, err := s.out.Write(line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	s.partial = 0 < n && n < len(line)
	return err
}

// Close refuses further lines, waits for those in the queue, at most flushTimeout, and closes the output. An output that still
// stalls then is not closed, because that could block, too: the lines that it did not accept are lost. Close may be called more than
// once.
func (s *sink) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
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
		if lost := s.discard(); lost > 0 {
			return fmt.Errorf("the output of the audit log stalls: %d records were not written within %s", lost, flushTimeout)
		}
	}
	return s.close()
}

// discard empties the queue, except for the line that is being written, and returns the number of lines lost with that one.
func (s *sink) discard() (lost int) {
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
	return lost
}
