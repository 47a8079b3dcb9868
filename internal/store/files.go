package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// requireFile returns ErrOutdated if the SQLite file is missing: only [Migrate] creates it. It makes an existing one private.
func (t target) requireFile() error {
	if t.file == "" {
		return nil
	}
	if _, err := os.Stat(t.file); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: the file %s does not exist: run: worker migrate", ErrOutdated, t.file)
	}
	return makePrivate(t.file)
}

// createFile creates an empty SQLite file that only this user may read, unless it exists. SQLite gives the files that it
// creates beside it the same permissions.
func (t target) createFile() error {
	if t.file == "" {
		return nil
	}
	if err := requirePrivate(filepath.Dir(t.file)); err != nil {
		return err
	}
	f, err := os.OpenFile(t.file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), makePrivate(t.file))
}

// hasModes reports whether modes say who may access a file. On Windows, access control lists do.
const hasModes = runtime.GOOS != "windows"

// requirePrivate returns ErrExposed if every user may replace the files in a directory, because it is writable for all of them and has
// no sticky bit. A directory that is writable for its group is accepted: that is the default of some systems.
func requirePrivate(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && hasModes && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
		err = fmt.Errorf("%w: every user may replace the files in %s: run: chmod o-w %[2]s", ErrExposed, dir)
	}
	return err
}

// makePrivate removes the permissions of other users from a SQLite file and from the files beside it, which contain parts of it. It
// returns ErrExposed if that is impossible, or if every user may replace the files.
func makePrivate(file string) error {
	file, err := filepath.EvalSymlinks(file) // SQLite creates the others beside the file itself
	if err != nil {
		return err
	}
	if err := requirePrivate(filepath.Dir(file)); err != nil {
		return err
	}
	for _, name := range []string{file, file + "-wal", file + "-shm", file + "-journal"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && hasModes && info.Mode().Perm()&0o077 != 0 {
			err = os.Chmod(name, 0o600)
		}
		if err != nil {
			return fmt.Errorf("%w: cannot make it private to this user, run the worker as its owner: %w", ErrExposed, err)
		}
	}
	return nil
}
