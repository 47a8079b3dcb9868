#!/bin/sh
# Starts the Temporal server, which takes the password of its database from the environment only.
set -eu
POSTGRES_PWD=$(cat /secrets/server/password)
export POSTGRES_PWD
exec /etc/temporal/entrypoint.sh
