package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// versionTable is goose's. It has a name of our own because other programs may use goose in the same database.
const versionTable = "florin_migrations"

// noVersion is the version of a database that has not even the version table.
const noVersion int64 = -1

// Migrate brings the schema of a database up to this program's, and makes the file for SQLite. It returns the versions
// before and after; 0 is an empty database. Safe to repeat, and safe when several processes do it at once. A database
// that is newer is ErrTooNew and left alone.
func Migrate(ctx context.Context, dsn string) (from, to int64, err error) {
	t, err := parseDSN(dsn)
	if err != nil {
		return 0, 0, err
	}
	if err := t.create(); err != nil {
		return 0, 0, fmt.Errorf("migrate: %w", err)
	}
	from, to, err = t.migrate(ctx)
	return max(from, 0), max(to, 0), t.translate("migrate", err)
}

// migrate tries until it was not disturbed: a migration is a transaction, so that of several processes one makes it and
// the others fail without a trace, and find it made when they look again.
func (t target) migrate(ctx context.Context) (from, to int64, err error) {
	const (
		patience = 30 * time.Second
		pause    = 100 * time.Millisecond
	)
	from, to, err = t.migrateOnce(ctx)
	for began, before := time.Now(), from; err != nil; {
		moved := to != before
		if !moved && !Temporary(t.translate("", err)) || time.Since(began) > patience {
			return from, to, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return from, to, ctx.Err()
		}
		before, to, err = t.migrateOnce(ctx)
	}
	return from, to, nil
}

func (t target) migrateOnce(ctx context.Context) (before, after int64, err error) {
	db, err := t.open(ctx)
	if err != nil {
		return noVersion, noVersion, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if before, err = t.version(ctx, db); err != nil {
		return before, before, err
	}
	known, err := t.knownVersion()
	if err != nil {
		return before, before, err
	}
	if before > known {
		return before, before, t.checkVersion(ctx, db)
	}
	files, err := fs.Sub(migrations, "migrations/"+t.name)
	if err != nil {
		return before, before, err
	}
	provider, err := goose.NewProvider(t.goose, db, files, goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return before, before, err
	}
	_, err = provider.Up(ctx)
	after, versionErr := t.version(ctx, db)
	return before, after, errors.Join(err, versionErr)
}

// knownVersion is the newest migration of this program.
func (d dialect) knownVersion() (newest int64, err error) {
	files, err := fs.Glob(migrations, "migrations/"+d.name+"/*.sql")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		version, err := goose.NumericComponent(file)
		if err != nil {
			return 0, err
		}
		newest = max(newest, version)
	}
	return newest, nil
}

// version is the newest migration of a database.
func (d dialect) version(ctx context.Context, db *sql.DB) (int64, error) {
	var tables int
	if err := db.QueryRowContext(ctx, d.hasTable, versionTable).Scan(&tables); err != nil {
		return noVersion, err
	}
	if tables == 0 {
		return noVersion, nil
	}
	var version int64
	err := db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM "+versionTable).Scan(&version)
	return version, err
}

// checkVersion refuses a schema that this program does not know.
func (d dialect) checkVersion(ctx context.Context, db *sql.DB) error {
	version, err := d.version(ctx, db)
	if err != nil {
		return err
	}
	known, err := d.knownVersion()
	switch {
	case err != nil:
		return err
	case version < known:
		return fmt.Errorf("%w: its schema has version %d, this program needs %d: run: worker migrate", ErrOutdated, max(version, 0), known)
	case version > known:
		return fmt.Errorf("%w: its schema has version %d, this program knows %d: run the program that migrated it, or a newer one", ErrTooNew, version, known)
	}
	return nil
}
