package audit

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/DeRuina/timberjack"
	"go.uber.org/zap/zapcore"
)

// Open logs to a file of mode 0600 that is rotated by size, or to standard output.
func Open(o Options) (*Log, error) {
	if o.Path == "" || o.Path == "stdout" {
		// Without its Sync, which fails on pipes and terminals.
		return New(zapcore.AddSync(struct{ io.Writer }{os.Stdout}), o), nil
	}
	if o.MaxSizeMB < 0 || o.MaxBackups < 0 || o.MaxAgeDays < 0 {
		return nil, fmt.Errorf("audit log %q: size %d MB, %d backups, %d days: none may be negative; 0 is the default",
			o.Path, o.MaxSizeMB, o.MaxBackups, o.MaxAgeDays)
	}
	if err := prepare(o.Path); err != nil {
		return nil, err
	}
	compression := "none"
	if o.Compress {
		compression = "gzip"
	}
	// timberjack rather than lumberjack, whose Close leaves a goroutine behind and whose rotations within one
	// millisecond overwrite each other.
	file := &timberjack.Logger{
		Filename:    o.Path,
		FileMode:    0o600,
		MaxSize:     o.MaxSizeMB,
		MaxBackups:  o.MaxBackups,
		MaxAge:      o.MaxAgeDays,
		Compression: compression,
	}
	l := New(file, o)
	l.sink.close = file.Close
	return l, nil
}

// prepare makes a wrong path fail at start-up, not at the first payment, and closes a file that others can
// read: timberjack would leave the mode of an existing one.
func prepare(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("audit log %q: its directory cannot be made: %w", path, err)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("audit log %q is a %s: name a regular file, or stdout", path, info.Mode().Type())
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("audit log: %w: name a file that can be written, or stdout", err)
	}
	defer file.Close()
	if err := file.Chmod(0o600); err != nil {
		return fmt.Errorf("audit log: %w: it must be readable by its owner only", err)
	}
	return nil
}
