package audit

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/DeRuina/timberjack"
	"go.uber.org/zap/zapcore"
)

// Open returns a Log that writes to standard output or to a file. The file has mode 0600 and is rotated by size. It must not be
// that of another process. The records are a chain, which continues that of the file; rotation does not interrupt it. Open
// returns an error if the file cannot be written or an option is negative.
func Open(o Options) (*Log, error) {
	if o.Path == "" || o.Path == "stdout" {
		// The wrapper hides the file's Sync, which fails on pipes and terminals.
		l := New(zapcore.AddSync(struct{ io.Writer }{os.Stdout}), o)
		l.startChain(newChain())
		return l, nil
	}
	if o.MaxSizeMB < 0 || o.MaxBackups < 0 || o.MaxAgeDays < 0 {
		return nil, fmt.Errorf("audit log %q: size %d MB, %d backups, %d days: must not be negative; 0 is the default",
			o.Path, o.MaxSizeMB, o.MaxBackups, o.MaxAgeDays)
	}
	if err := prepareFile(o.Path); err != nil {
		return nil, err
	}
	c := newChain()
	unterminated, err := c.continueFile(o.Path)
	if err != nil {
		return nil, err
	}
	compression := "none"
	if o.Compress {
		compression = "gzip"
	}
	// timberjack is used instead of lumberjack: lumberjack's Close leaks a goroutine, and two of its rotations within one
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
	l.sink.close, l.sink.partial = file.Close, unterminated
	l.startChain(c)
	return l, nil
}

// prepareFile reports a wrong path at start-up instead of at the first payment. It also removes the access of other users to an
// existing file, because timberjack keeps its mode.
func prepareFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("audit log %q: create its directory: %w", path, err)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("audit log %q is a %s: want a regular file or stdout", path, info.Mode().Type())
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("audit log: %w: want a writable file or stdout", err)
	}
	defer file.Close()
	if err := file.Chmod(0o600); err != nil {
		return fmt.Errorf("audit log: %w: only its owner may have access", err)
	}
	return nil
}
