// Package audit writes the compliance log of all communication with payment processors: one line of JSON for each HTTP request
// and its response. Of the bodies, only the values of known paths (fields.go) that have the shape of such a value (shape.go) are
// written, in a single pass (redact.go). All other texts are searched for card numbers and secrets (secret.go).
package audit

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Record is one HTTP request and its response.
type Record struct {
	Time      time.Time
	Processor string
	Operation string // charge, refund, lookup, …
	PaymentID string // payment or refund ID; may be empty
	Attempt   int
	Method    string
	Path      string // any query is removed, and parts that are not an id or a word are masked
	// Key is the idempotency key. It is never written: Write masks it wherever it occurs in the record.
	Key       string
	KeyHash   string // hash of Key, computed by the caller
	Status    int    // 0 if there was no response
	Duration  time.Duration
	Sends     int
	Certainty string // answered, not_executed, ambiguous
	RequestID string
	Error     string // of the transport
	// RequestType is the media type of Request, without parameters. An empty type means JSON, and
	// "application/x-www-form-urlencoded" a form. For any other type only the size of the body is written. Answer is always
	// parsed as JSON.
	RequestType string
	// Request and Answer are the raw bodies of the request and the response. Write redacts them and does not keep them.
	Request, Answer []byte
	// Fields are the fields of both bodies whose values are written. Nil: none.
	Fields *Fields
}

// Options configure a [Log]. The zero value writes to standard output.
type Options struct {
	// Path is the file to write. An empty path or "stdout" means standard output.
	Path string
	// MaxSizeMB is the size at which the file is rotated; 0 means 100 MB. MaxBackups is the number of rotated files that are
	// kept, and MaxAgeDays how long they are kept; 0 means no limit.
	MaxSizeMB, MaxBackups, MaxAgeDays int
	// Compress reports whether rotated files are compressed with gzip.
	Compress bool
	// Fallback logs the first failure to write a record, and positions of the chain. It may be nil.
	Fallback *zap.Logger
}

// Log writes records. It is safe for concurrent use: lines never interleave.
type Log struct {
	core     zapcore.Core
	sink     *sink
	lines    sync.Pool
	failures atomic.Uint64
	fallback *zap.Logger
}

// New returns a Log that writes to out, without a chain. It uses only the option Fallback.
func New(out zapcore.WriteSyncer, o Options) *Log {
	l := &Log{fallback: o.Fallback}
	l.sink = newSink(out, l.countFailure, l.logStall)
	l.core = zapcore.NewCore(zapcore.NewJSONEncoder(encoding), zapcore.AddSync(l.sink), zapcore.DebugLevel)
	if l.fallback == nil {
		l.fallback = zap.NewNop()
	}
	return l
}

// Write writes one record. If the output stalls, Write returns after at most one second, and the record is written later, in
// order: a stalled output must not delay payments. At most 16 MiB of records wait; further ones are lost. Write returns no
// error, because a payment must not fail when its record cannot be written. Failures are counted, see [Log.Failures], and the
// fallback logger logs the first one.
func (l *Log) Write(r Record) {
	line, ok := l.lines.Get().(*line)
	if !ok {
		line = newLine()
	}
	line.record = r
	// The core is called directly, because a logger could sample, filter or add a stack trace.
	err := l.core.Write(zapcore.Entry{Level: zapcore.InfoLevel, Time: r.Time.UTC(), Message: message}, line.fields)
	line.reset()
	l.lines.Put(line)
	if err != nil {
		l.countFailure(err)
	}
}

// countFailure counts a record that is lost. The first one is logged in another goroutine: what stalls the audit log, such as a
// container runtime that reads standard output and standard error, may stall the fallback logger, too.
func (l *Log) countFailure(err error) {
	if l.failures.Add(1) == 1 {
		go l.fallback.Error("failed to write an audit record: later failures are only counted", zap.Error(err))
	}
}

func (l *Log) logStall() {
	go l.fallback.Warn("the output of the audit log stalls: records are queued", zap.Duration("after", maxWait))
}

// Failures returns the number of records that are lost: they could not be written, or did not fit into the queue.
func (l *Log) Failures() uint64 { return l.failures.Load() }

// startChain makes the records a chain. It must be called before the first record is written.
func (l *Log) startChain(c *chain) {
	l.sink.chain, l.sink.anchored, l.sink.ended = c, func(a Anchor) { go l.logAnchor(a) }, l.logAnchor
}

// logAnchor logs the position of the chain, so that it exists outside of the audit log, too.
func (l *Log) logAnchor(a Anchor) {
	l.fallback.Info("position of the audit log", zap.String("chain", a.Chain), zap.Uint64("seq", a.Seq), zap.String("hash", a.Hash))
}

// Close flushes the log, within five seconds, and closes the file that [Open] opened. Its error says how many records an output
// that stalls did not accept; they are counted as failures. Later calls of [Log.Write] fail and are counted. Close may be called
// more than once.
func (l *Log) Close() error { return l.sink.Close() }
