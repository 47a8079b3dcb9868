#!/bin/sh
# Alpine's nc has -z: connect and send nothing. Debian's busybox is built without it.
[ "$1" = -z ] && shift
exec busybox nc -w 2 "$@" </dev/null
