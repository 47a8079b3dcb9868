package audit

import (
	"errors"
	"io"
	"sync"

	"go.uber.org/zap/zapcore"
)

var errClosed = errors.New("the audit log is closed: stop the callers before closing it")

// sink serializes writes, so that lines do not interleave.
type sink struct {
	mu    sync.Mutex
	out   zapcore.WriteSyncer
	close func() error
	// partial is true after a line was written only in part, for example because the disk is full. The next line must not continue
	// it.
	partial bool
	closed  bool
}

// Write implements zapcore.WriteSyncer. It writes one line.
func (s *sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errClosed
	}
	if s.partial {
		if _, err := s.out.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		s.partial = false
	}
	n, err := s.out.Write(line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	s.partial = 0 < n && n < len(line)
	return n, err
}

// Sync implements zapcore.WriteSyncer.
func (s *sink) Sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Sync()
}

// Close closes the output. It may be called more than once.
func (s *sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.close()
}
