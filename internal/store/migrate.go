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

// versionTable is goose's table of applied migrations. It has a name of our own because other programs may use goose in the
// same database.
const versionTable = "florin_migrations"

// noVersion is the version of a database without the version table.
const noVersion int64 = -1

// Migrate applies the missing migrations to the database at dsn. For SQLite it creates the file if it is missing. It returns
// the version of the schema before and after; 0 is an empty database. In PostgreSQL, it also creates the partitions of payment_events for
// the coming twelve months. It is safe to repeat, and safe to run in several processes at the same time. Migrate returns ErrTooNew, and changes nothing, if the schema is newer than this program knows,
// and ErrInsecure, ErrExposed and ErrInvalid as [Open] does. Its role in PostgreSQL becomes the owner of the tables; another role
// gets its privileges from [Grant].
func Migrate(ctx context.Context, dsn string, options ...Option) (from, to int64, err error) {
	t, err := newTarget(dsn, options...)
	if err != nil {
		return 0, 0, err
	}
	t.allowOwner = true
	if err := t.createFile(); err != nil {
		return 0, 0, fmt.Errorf("migrate: %w", err)
	}
	from, to, err = t.migrate(ctx)
	return max(from, 0), max(to, 0), t.translate(err, "migrate")
}

// migrate retries while other processes migrate the same database. Each migration is a transaction: if several processes run
// it at the same time, one of them commits it. The others fail without effect, and find it applied when they try again.
func (t target) migrate(ctx context.Context) (from, to int64, err error) {
	const (
		maxWait = 30 * time.Second
		pause   = 100 * time.Millisecond
	)
	from, to, err = t.migrateOnce(ctx)
	for began, before := time.Now(), from; err != nil; {
		progressed := to != before
		if !progressed && !Temporary(t.translate(err, "")) || time.Since(began) > maxWait {
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
	db, err := t.open(ctx, writes)
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
	if err == nil && t.server != nil {
		err = addPartitions(ctx, db, time.Now())
	}
	after, versionErr := t.version(ctx, db)
	return before, after, errors.Join(err, versionErr)
}

// knownVersion returns the newest version among the migrations of this program.
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

// version returns the newest version among the applied migrations, and noVersion if the version table is missing.
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

// checkVersion returns ErrOutdated or ErrTooNew if the schema does not have the version of this program.
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
		return fmt.Errorf("%w: its schema has version %d, this program needs %d: run: worker migrate",
			ErrOutdated, max(version, 0), known)
	case version > known:
		return fmt.Errorf("%w: its schema has version %d, this program knows %d: run the program version that migrated it, or a newer one",
			ErrTooNew, version, known)
	}
	return nil
}
