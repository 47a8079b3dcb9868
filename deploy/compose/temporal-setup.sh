#!/bin/sh
# Brings Temporal's two databases to the schema of this admin-tools image, and creates Florin's, which the service
# migrate fills. The connection is in SQL_*.
set -eu

schema=/etc/temporal/schema/postgresql/v12

upgrade() { # database, schema directory
  temporal-sql-tool --db "$1" create # an existing database is not an error
  temporal-sql-tool --db "$1" setup-schema -v 0.0 # leaves a higher version alone
  temporal-sql-tool --db "$1" update-schema -d "$schema/$2/versioned"
}

upgrade temporal temporal
upgrade temporal_visibility visibility
temporal-sql-tool --db florin create
