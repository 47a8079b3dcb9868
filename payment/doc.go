// Package payment is the vocabulary of Florin: money, requests, results, statuses and their legal
// transitions, failure classes, ids and keys, and the names that a Temporal server and saved
// histories know. It does no I/O and imports neither Temporal nor HTTP.
package payment
