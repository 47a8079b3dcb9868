package app

import (
	"io"
	"os"

	"go.temporal.io/sdk/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/printable"
)

// NewLogger returns a logger that writes to standard error. Sampling is off: a rare line about a payment must not be dropped.
func NewLogger(c config.Log) (*zap.Logger, error) { return newLogger(c, os.Stderr) }

func newLogger(c config.Log, sink zapcore.WriteSyncer) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(c.Level)
	if err != nil {
		return nil, err
	}
	config := zap.NewProductionConfig()
	config.Level = zap.NewAtomicLevelAt(level)
	config.Sampling = nil
	config.Encoding = c.Format
	config.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	newEncoder := zapcore.NewJSONEncoder
	if c.Format == "console" {
		newEncoder = zapcore.NewConsoleEncoder
	}
	core := zapcore.NewCore(newEncoder(config.EncoderConfig), zapcore.Lock(escaped{sink}), config.Level)
	return config.Build(zap.WrapCore(func(zapcore.Core) zapcore.Core { return core }))
}

// escaped writes control characters and invisible ones of log lines as \uXXXX, because others wrote parts of them: JSON need not escape
// all that redraws a terminal.
type escaped struct{ zapcore.WriteSyncer }

// Write implements zapcore.WriteSyncer. It writes whole lines.
func (e escaped) Write(lines []byte) (int, error) {
	if _, err := io.WriteString(e.WriteSyncer, printable.EscapeJSON(string(lines))); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// TemporalLogger returns a logger for the Temporal SDK, and therefore for workflows and activities. It writes to a zap logger. The
// caller in a log line is the code that logged, not this adapter.
func TemporalLogger(z *zap.Logger) log.Logger {
	return temporalLogger{z.WithOptions(zap.AddCallerSkip(1)).Sugar()}
}

type temporalLogger struct{ zap *zap.SugaredLogger }

var (
	_ log.WithLogger      = temporalLogger{}
	_ log.WithSkipCallers = temporalLogger{}
)

func (l temporalLogger) Debug(msg string, keyvals ...any) { l.zap.Debugw(msg, keyvals...) }
func (l temporalLogger) Info(msg string, keyvals ...any)  { l.zap.Infow(msg, keyvals...) }
func (l temporalLogger) Warn(msg string, keyvals ...any)  { l.zap.Warnw(msg, keyvals...) }
func (l temporalLogger) Error(msg string, keyvals ...any) { l.zap.Errorw(msg, keyvals...) }

func (l temporalLogger) With(keyvals ...any) log.Logger {
	return temporalLogger{l.zap.With(keyvals...)}
}

func (l temporalLogger) WithCallerSkip(depth int) log.Logger {
	return temporalLogger{l.zap.WithOptions(zap.AddCallerSkip(depth))}
}
