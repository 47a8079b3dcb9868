// Package payment defines what all parts of Florin share: amounts of money, requests and their validation, results, statuses and
// their legal transitions, failures and declines, refusals, derived ids and keys, and the names that Temporal knows. It does no
// I/O and depends neither on Temporal nor on HTTP.
//
// The JSON form of the types is a public interface: services in other languages, recorded workflow histories and dashboards rely
// on it. Amounts are integers in the minor unit of their currency, currencies are upper-case codes of ISO 4217, and times are in
// UTC.
//
// Requests, results and resolutions are inputs, results and update arguments of workflows. Temporal stores them in the workflow's
// history, where every reader of the namespace can see them. They must contain neither secrets nor card numbers:
// [ChargeRequest.Validate], [RefundRequest.Validate] and [Resolution.Validate] refuse text that looks like a card number.
package payment
