package app

import (
	"go.temporal.io/sdk/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/florinpay/florin/internal/config"
)

// NewLogger returns a logger that writes to standard error. Sampling is off: a rare line about a payment must not be dropped.
func NewLogger(c config.Log) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(c.Level)
	if err != nil {
		return nil, err
	}
	config := zap.NewProductionConfig()
	config.Level = zap.NewAtomicLevelAt(level)
	config.Sampling = nil
	config.Encoding = c.Format
	config.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	return config.Build()
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
