package app

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/florinpay/florin/internal/config"
)

// observe returns a Temporal logger and the entries that it has written. zap is in development mode, in which invalid fields
// panic.
func observe(level zapcore.Level) (log.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(level)
	return TemporalLogger(zap.New(core, zap.AddCaller(), zap.Development())), logs
}

// callerLine returns the line of its caller.
func callerLine() int {
	_, _, line, _ := runtime.Caller(1)
	return line
}

func TestLogLinesHaveNoControlAndInvisibleCharacters(t *testing.T) {
	for format, want := range map[string]string{
		"json":    `"msg":"no\u001b[2K\u009b31m\u202e","workflow":"charge/\u009b2J\u007f","error":"\u200b\ufeff"`,
		"console": `no\u001b[2K\u009b31m\u202e	{"workflow": "charge/\u009b2J\u007f", "error": "\u200b\ufeff"}`,
	} {
		t.Run(format, func(t *testing.T) {
			var lines bytes.Buffer
			logger, err := newLogger(config.Log{Level: "info", Format: format}, zapcore.AddSync(&lines))
			require.NoError(t, err)
			logger.Debug("below the level")
			TemporalLogger(logger).Warn("no\x1b[2K\u009b31m\u202e", "workflow", "charge/\u009b2J\x7f", "error", errors.New("\u200b\ufeff"))
			require.Contains(t, lines.String(), want)
			require.Contains(t, lines.String(), "app/log_test.go:")
			require.Equal(t, 1, strings.Count(lines.String(), "\n"))
		})
	}
}

func TestLogLineNamesTheCodeThatLogged(t *testing.T) {
	logger, logs := observe(zap.DebugLevel)
	helper := func() { log.Skip(log.With(logger, "b", 2), 1).Info("through a helper") }
	for name, write := range map[string]func() int{
		"without fields":   func() int { logger.Info("m"); return callerLine() },
		"with one field":   func() int { log.With(logger, "a", 1).Info("m"); return callerLine() },
		"with two fields":  func() int { log.With(log.With(logger, "a", 1), "b", 2).Warn("m"); return callerLine() },
		"through a helper": func() int { helper(); return callerLine() },
	} {
		t.Run(name, func(t *testing.T) {
			want := write()
			entries := logs.TakeAll()
			require.Len(t, entries, 1)
			require.Contains(t, entries[0].Caller.File, "log_test.go")
			require.Equal(t, want, entries[0].Caller.Line)
		})
	}
}

func TestFieldsApplyOnlyToTheLoggerTheyWereAddedTo(t *testing.T) {
	logger, logs := observe(zap.DebugLevel)
	log.With(logger, "payment_id", "pay_1").Info("transition", "status", "succeeded")
	logger.Info("other")
	entries := logs.TakeAll()
	require.Equal(t, map[string]any{"payment_id": "pay_1", "status": "succeeded"}, entries[0].ContextMap())
	require.Empty(t, entries[1].ContextMap())
}

func TestEntriesBelowTheLevelAreDropped(t *testing.T) {
	logger, logs := observe(zap.WarnLevel)
	logger.Debug("debug")
	logger.Info("info")
	logger.Warn("warn")
	logger.Error("error")
	var got []string
	for _, e := range logs.TakeAll() {
		require.Equal(t, e.Message, e.Level.String())
		got = append(got, e.Message)
	}
	require.Equal(t, []string{"warn", "error"}, got)
}

func TestInvalidFieldsDoNotDropTheMessage(t *testing.T) {
	for name, keyvals := range map[string][]any{
		"key without a value":      {"status", "ok", "alone"},
		"only a key":               {"alone"},
		"key that is not a string": {7, "seven"},
		"nil":                      {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			logger, logs := observe(zap.DebugLevel)
			require.NotPanics(t, func() { logger.Warn("first message", keyvals...) })
			require.Equal(t, 1, logs.FilterMessage("first message").Len())
			require.NotPanics(t, func() { log.With(logger, keyvals...).Warn("second message") })
			require.Equal(t, 1, logs.FilterMessage("second message").Len())
		})
	}
}

func TestNewLoggerUsesLevelAndFormatOfTheConfiguration(t *testing.T) {
	logger, err := NewLogger(config.Log{Level: "warn", Format: "console"})
	require.NoError(t, err)
	require.False(t, logger.Core().Enabled(zap.InfoLevel))
	require.True(t, logger.Core().Enabled(zap.WarnLevel))
	_, err = NewLogger(config.Log{Level: "loud", Format: "json"})
	require.ErrorContains(t, err, "loud")
	_, err = NewLogger(config.Log{Level: "info", Format: "xml"})
	require.ErrorContains(t, err, "xml")
}
