#!/bin/sh
# Creates the namespace and the search attributes that Florin's workflows set. The variables TEMPORAL_* configure the
# connection.
set -eu

# The server accepts connections before it is ready: retry for a minute.
retry() {
  tries=30
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || { echo "gave up: $*" >&2; exit 1; }
    sleep 2
  done
}

# Temporal keeps closed workflows for a week. After that, payments can be read from the store only.
# These two commands ignore TEMPORAL_NAMESPACE: without -n they use the namespace "default".
create_namespace() {
  temporal operator namespace describe -n "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
    temporal operator namespace create -n "$TEMPORAL_NAMESPACE" --retention 7d
}

# Creating an attribute again has no effect if it has the same type, and fails if it has another one.
create_search_attributes() {
  temporal operator search-attribute create \
    --name PaymentStatus --type Keyword \
    --name PaymentId --type Keyword \
    --name MerchantId --type Keyword \
    --name Processor --type Keyword \
    --name Currency --type Keyword \
    --name FailureClass --type Keyword \
    --name Amount --type Int \
    --name Findings --type Int
}

# The server caches the namespace: for some seconds it refuses queries with new search attributes.
search_attributes_usable() {
  temporal workflow count --query "PaymentStatus = '' AND PaymentId = '' AND MerchantId = '' AND \
    Processor = '' AND Currency = '' AND FailureClass = '' AND Amount = 0 AND Findings = 0"
}

retry temporal operator cluster health
retry create_namespace
retry create_search_attributes
retry search_attributes_usable
