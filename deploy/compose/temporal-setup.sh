#!/bin/sh
# Migrates Temporal's two databases to the schema of this admin-tools image. The variables SQL_* configure the connection.
set -eu
SQL_PASSWORD=$(cat /secrets/server/password)
export SQL_PASSWORD

schema=/etc/temporal/schema/postgresql/v12

upgrade() { # database, schema directory
  temporal-sql-tool --db "$1" create # succeeds if the database exists
  temporal-sql-tool --db "$1" setup-schema -v 0.0 # does not change a higher version
  temporal-sql-tool --db "$1" update-schema -d "$schema/$2/versioned"
}

upgrade temporal temporal
upgrade temporal_visibility visibility
