#!/bin/sh
# Creates Florin's database and its two roles, and sets their passwords: florin_owner owns the database, and "worker migrate" creates
# the tables as this role; florin_worker has no privileges except those that "worker migrate --grant-to florin_worker" grants. It may
# be repeated. The variables PG* configure the connection.
set -eu
export SECRETS="${SECRETS:-/secrets}"
PGPASSWORD=$(cat "$SECRETS/server/password")
export PGPASSWORD

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname postgres <<'SQL'
\set owner_password `cat "$SECRETS/migrate/password"`
\set worker_password `cat "$SECRETS/worker/password"`
SELECT 'CREATE ROLE florin_owner LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'florin_owner') \gexec
SELECT 'CREATE ROLE florin_worker LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'florin_worker') \gexec
ALTER ROLE florin_owner PASSWORD :'owner_password';
ALTER ROLE florin_worker PASSWORD :'worker_password';
SELECT 'CREATE DATABASE florin OWNER florin_owner' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'florin') \gexec
REVOKE ALL ON DATABASE florin FROM PUBLIC;
GRANT CONNECT ON DATABASE florin TO florin_worker;
SQL
