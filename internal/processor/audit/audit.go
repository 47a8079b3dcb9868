// Package audit is the compliance log of everything that is said to payment processors: one line of JSON for
// each request on the wire and its answer. Bodies are redacted by an allow-list (allow.go) in one pass
// (redact.go), and every other text is looked through for card numbers and secrets (secret.go).
package audit

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Record is one request on the wire and its answer.
type Record struct {
	Time      time.Time
	Processor string
	Operation string // charge, refund, lookup, …
	PaymentID string // payment or refund id, may be empty
	Attempt   int
	Method    string
	Path      string // without query
	// Key is the idempotency key itself. It is never written; it is here to be masked wherever it is repeated.
	Key       string
	KeyHash   string // already hashed by the caller
	Status    int    // 0: no answer
	Duration  time.Duration
	Sends     int
	Certainty string // answered, not_executed, ambiguous
	RequestID string
	Error     string // transport message
	// RequestType is the media type of Request, without parameters: "" is JSON, "application/x-www-form-urlencoded"
	// a form. Of any other only the size is written. An answer is always read as JSON.
	RequestType string
	// Request and Answer are the raw bodies. Write redacts them and keeps neither.
	Request, Answer []byte
}

// Options of a Log. The zero value writes to standard output.
type Options struct {
	// Path of the file; "" or "stdout" is standard output.
	Path string
	// MaxSizeMB is the size at which the file is rotated, 100 unless given. MaxBackups and MaxAgeDays bound
	// how many rotated files are kept and how long; 0 keeps all.
	MaxSizeMB, MaxBackups, MaxAgeDays int
	// Compress the rotated files with gzip.
	Compress bool
	// Allow names more fields whose values are written as they are, beside the built-in list. Card numbers
	// and secrets in them are masked all the same.
	Allow []string
	// Fallback hears of the first record that could not be written.
	Fallback *zap.Logger
}

// Log writes records. It is safe for concurrent use, and lines never interleave.
type Log struct {
	core     zapcore.Core
	sink     *sink
	allow    map[string]bool
	lines    sync.Pool
	failures atomic.Uint64
	fallback *zap.Logger
}

// New logs to any sink; of the options it takes Allow and Fallback.
func New(out zapcore.WriteSyncer, o Options) *Log {
	s := &sink{out: out, close: out.Sync}
	l := &Log{
		core:     zapcore.NewCore(zapcore.NewJSONEncoder(encoding), s, zapcore.DebugLevel),
		sink:     s,
		allow:    allowList(o.Allow),
		fallback: o.Fallback,
	}
	if l.fallback == nil {
		l.fallback = zap.NewNop()
	}
	return l
}

// Write writes one record. A payment does not fail because its record cannot be written: that is counted, and
// the first time told to the fallback logger.
func (l *Log) Write(r Record) {
	line, ok := l.lines.Get().(*line)
	if !ok {
		line = newLine(l.allow)
	}
	line.record = r
	// The core is called without a logger around it: nothing samples, filters or adds a stack trace.
	err := l.core.Write(zapcore.Entry{Level: zapcore.InfoLevel, Time: r.Time.UTC(), Message: message}, line.fields)
	line.forget()
	l.lines.Put(line)
	if err != nil && l.failures.Add(1) == 1 {
		l.fallback.Error("an audit record was lost", zap.Error(err))
	}
}

// Failures is the number of records that could not be written.
func (l *Log) Failures() uint64 { return l.failures.Load() }

// Close flushes the log and closes the file that Open opened. Records written after it are lost, and counted.
func (l *Log) Close() error { return l.sink.Close() }
