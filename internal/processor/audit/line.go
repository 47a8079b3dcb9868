package audit

import (
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const message = "processor call"

// Limits for texts in a line, in bytes.
const (
	maxName  = 128
	maxPath  = 256
	maxError = 500
)

var encoding = zapcore.EncoderConfig{
	LevelKey:    "level",
	TimeKey:     "time",
	MessageKey:  "msg",
	EncodeLevel: zapcore.LowercaseLevelEncoder,
	EncodeTime:  zapcore.RFC3339NanoTimeEncoder,
	NewReflectedEncoder: func(w io.Writer) zapcore.ReflectedEncoder {
		return bodyEncoder{w}
	},
}

// line is a record that zap encodes. Lines are pooled.
type line struct {
	record          Record
	request, answer body
	fields          []zapcore.Field
}

func newLine() *line {
	l := &line{}
	l.fields = []zapcore.Field{zap.Inline(l)}
	return l
}

// reset drops the references to the caller's data.
func (l *line) reset() {
	l.record = Record{}
	l.request.reset()
	l.answer.reset()
}

// MarshalLogObject implements zapcore.ObjectMarshaler. It writes the fields of a line.
func (l *line) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	r := &l.record
	text := func(name, value string, limit int) {
		if value != "" {
			enc.AddString(name, clean(value, r.Key, limit))
		}
	}
	text("processor", r.Processor, maxName)
	text("operation", r.Operation, maxName)
	text("payment_id", r.PaymentID, maxName)
	enc.AddInt("attempt", r.Attempt)
	text("method", r.Method, maxName)
	text("path", cleanPath(r.Path), maxPath)
	text("key_hash", r.KeyHash, maxName)
	enc.AddInt("status", r.Status)
	enc.AddFloat64("duration_ms", float64(r.Duration.Microseconds())/float64(time.Millisecond/time.Microsecond))
	enc.AddInt("sends", r.Sends)
	text("certainty", r.Certainty, maxName)
	if r.RequestID != "" && !isID(r.RequestID) && !isCode(r.RequestID) {
		r.RequestID = mask
	}
	text("request_id", r.RequestID, maxName)
	text("error", r.Error, maxError)
	if err := addBody(enc, "request", &l.request, r.Request, r.RequestType, r); err != nil {
		return err
	}
	return addBody(enc, "answer", &l.answer, r.Answer, "", r)
}

func addBody(enc zapcore.ObjectEncoder, name string, b *body, raw []byte, mediaType string, r *Record) error {
	if len(raw) == 0 {
		return nil
	}
	b.redact(raw, mediaType, r.Key, r.Fields)
	return enc.AddReflected(name, b)
}

// bodyEncoder writes a redacted body as it is, because it is already JSON.
type bodyEncoder struct{ w io.Writer }

func (e bodyEncoder) Encode(value any) error {
	b, ok := value.(*body)
	if !ok {
		return fmt.Errorf("audit record contains a %T: want a redacted body", value)
	}
	_, err := e.w.Write(b.out)
	return err
}
