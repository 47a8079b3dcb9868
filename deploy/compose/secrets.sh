#!/bin/sh
# Writes random passwords and the URLs that contain them, on the first start. Each folder is a volume of its own: server is for the
# services that need PostgreSQL's superuser, migrate and worker for the service of this name. To rotate the password of one of these
# two, delete its files and start all services again.
set -eu
secrets=${SECRETS:-/secrets}

random() {
  value=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
  [ "${#value}" -eq 48 ] || { echo "no random password: $value" >&2; exit 1; }
  echo "$value"
}

write() { # file, content. A file is complete, or it does not exist.
  rm -f "$1.new"
  printf '%s\n' "$2" >"$1.new"
  chmod 0444 "$1.new" # for the users of the containers that mount the volume
  mv "$1.new" "$1"
}

password() { # folder
  [ -s "$secrets/$1/password" ] || { new=$(random) && write "$secrets/$1/password" "$new"; }
}

url() { # folder, role
  write "$secrets/$1/database-url" "postgres://$2:$(cat "$secrets/$1/password")@postgresql:5432/florin?sslmode=disable"
}

password server
password migrate
password worker
url migrate florin_owner
url worker florin_worker
