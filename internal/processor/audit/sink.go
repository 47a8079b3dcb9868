package audit

import (
	"errors"
	"io"
	"sync"

	"go.uber.org/zap/zapcore"
)

var errClosed = errors.New("the audit log is closed: stop the callers before closing it")

// sink writes one line at a time.
type sink struct {
	mu    sync.Mutex
	out   zapcore.WriteSyncer
	close func() error
	// torn is set after half a line was written, to a full disk for example: the next one must not join it.
	torn   bool
	closed bool
}

func (s *sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errClosed
	}
	if s.torn {
		if _, err := s.out.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		s.torn = false
	}
	n, err := s.out.Write(line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	s.torn = 0 < n && n < len(line)
	return n, err
}

func (s *sink) Sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Sync()
}

// Close may be called more than once.
func (s *sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.close()
}
