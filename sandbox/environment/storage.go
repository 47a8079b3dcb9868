package environment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"go.temporal.io/server/common/config"
	serverlog "go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/resolver"
	"go.temporal.io/server/schema"
	postgresschema "go.temporal.io/server/schema/postgresql/v12"
	"go.temporal.io/server/schema/sqlite"
)

// storage has the databases of a Temporal server. With SQLite, both are the same one.
type storage struct{ main, visibility *config.SQL }

// sqliteStorage returns the database in the file temporal.db in dir, which it creates if missing, or one in memory if
// persistent is false.
func sqliteStorage(dir string, persistent bool) (storage, error) {
	db := &config.SQL{PluginName: sqliteplugin.PluginName, ConnectAttributes: map[string]string{}}
	if !persistent {
		db.DatabaseName = uuid.NewString()
		db.ConnectAttributes["mode"] = "memory"
		db.ConnectAttributes["cache"] = "shared"
		return storage{main: db, visibility: db}, nil
	}
	db.DatabaseName = filepath.Join(dir, "temporal.db")
	db.ConnectAttributes["mode"] = "rwc"
	db.ConnectAttributes["_journal_mode"] = "wal"
	db.ConnectAttributes["_synchronous"] = "normal"
	if _, err := os.Stat(db.DatabaseName); errors.Is(err, os.ErrNotExist) {
		if err := sqlite.SetupSchema(db); err != nil {
			return storage{}, fmt.Errorf("creating %s: %w", db.DatabaseName, err)
		}
	}
	return storage{main: db, visibility: db}, nil
}

// createPostgresStorage creates Temporal's two databases with their tables.
func createPostgresStorage(socketDir string) (created storage, err error) {
	database := func(name string) *config.SQL {
		return &config.SQL{
			PluginName: postgresql.PluginNamePGX, User: "florin", DatabaseName: name,
			ConnectAttributes: map[string]string{"host": socketDir}, MaxConns: 20, MaxIdleConns: 20,
		}
	}
	created = storage{main: database("temporal"), visibility: database("temporal_visibility")}
	for _, d := range []struct {
		db              *config.SQL
		schema, version string
	}{
		{db: created.main, schema: "temporal", version: postgresschema.Version},
		{db: created.visibility, schema: "visibility", version: postgresschema.VisibilityVersion},
	} {
		err := withAdminDB(database("postgres"), func(admin sqlplugin.AdminDB) error { return admin.CreateDatabase(d.db.DatabaseName) })
		if err == nil {
			err = withAdminDB(d.db, func(admin sqlplugin.AdminDB) error {
				return createTables(admin, d.db.DatabaseName, d.schema, d.version)
			})
		}
		if err != nil {
			return storage{}, fmt.Errorf("creating the database %s: %w", d.db.DatabaseName, err)
		}
	}
	return created, nil
}

func withAdminDB(db *config.SQL, do func(sqlplugin.AdminDB) error) (err error) {
	admin, err := sql.NewSQLAdminDB(sqlplugin.DbKindUnknown, db, resolver.NewNoopResolver(), serverlog.NewNoopLogger(), metrics.NoopMetricsHandler)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	return do(admin)
}

func createTables(admin sqlplugin.AdminDB, database, name, version string) error {
	content, err := fs.ReadFile(schema.Assets(), "postgresql/v12/"+name+"/schema.sql")
	if err != nil {
		return err
	}
	statements, err := persistence.LoadAndSplitQueryFromReaders([]io.Reader{bytes.NewReader(content)})
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if err := admin.Exec(statement); err != nil {
			return fmt.Errorf("%q: %w", statement, err)
		}
	}
	if err := admin.CreateSchemaVersionTables(); err != nil {
		return err
	}
	return admin.UpdateSchemaVersion(database, version, version)
}
