#!/bin/sh
# Creates the namespace and the search attributes that Florin's workflows set. The connection is in TEMPORAL_*.
set -eu

# The port opens before the server has settled: allow it a minute.
retry() {
  tries=30
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || { echo "gave up: $*" >&2; exit 1; }
    sleep 2
  done
}

# A payment can be asked for in Temporal for a week after it ended, and in the store after that.
# These two commands ignore TEMPORAL_NAMESPACE: without -n they mean "default".
create_namespace() {
  temporal operator namespace describe -n "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
    temporal operator namespace create -n "$TEMPORAL_NAMESPACE" --retention 7d
}

# One that exists with the same type is left alone; one with another type is an error.
create_search_attributes() {
  temporal operator search-attribute create \
    --name PaymentStatus --type Keyword \
    --name PaymentId --type Keyword \
    --name MerchantId --type Keyword \
    --name Processor --type Keyword \
    --name Currency --type Keyword \
    --name FailureClass --type Keyword \
    --name Amount --type Int
}

# The server works from a cached copy of the namespace: for seconds it refuses what was just registered.
search_attributes_usable() {
  temporal workflow count --query "PaymentStatus = '' AND PaymentId = '' AND MerchantId = '' AND \
    Processor = '' AND Currency = '' AND FailureClass = '' AND Amount = 0"
}

retry temporal operator cluster health
retry create_namespace
retry create_search_attributes
retry search_attributes_usable
