#!/bin/sh
# Installs the Debian packages that the check of docker-compose.yml needs, where they are missing.
set -eu
missing=""
need() { # file or command, package
  command -v "$1" >/dev/null || [ -e "$1" ] || missing="$missing $2"
}
need podman podman
need buildah buildah
need runc runc
need iptables iptables
need /usr/lib/podman/netavark netavark
need /usr/lib/podman/aardvark-dns aardvark-dns
need /bin/busybox busybox-static
need chromium chromium
need /etc/ssl/certs/ca-certificates.crt ca-certificates
need /usr/share/zoneinfo/UTC tzdata
[ -n "$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null)" ] || missing="$missing postgresql"
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null || { echo "missing, and there is no apt-get to install them:$missing" >&2; exit 1; }
echo "installing:$missing"
sudo=""
[ "$(id -u)" -eq 0 ] || sudo=sudo
$sudo apt-get update -qq
# shellcheck disable=SC2086 # a list of packages
$sudo apt-get install -y -qq --no-install-recommends $missing
