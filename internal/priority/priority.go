// Package priority decides which waiting task a worker gets first. Tasks that a customer waits for come before those of batches, and
// these before the ones that have time. Among equal ones, Temporal dispatches the tasks of different merchants in turn, so that a
// merchant with many payments does not delay the others: the merchant is the fairness key.
//
// Temporal applies it only to tasks that have to wait, and only if its settings turn it on; see docs/fairness.md. Otherwise it has no effect.
package priority

import "go.temporal.io/sdk/temporal"

// Temporal has the levels 1 to 5 by default. Interactive tasks have its default level, so that the tasks of workflows which were started
// without a priority, such as by another client, rank with them.
const (
	interactive = 3
	batch       = 4
	background  = 5
)

// Interactive is the priority of what a customer or an operator waits for.
func Interactive(merchantID string) temporal.Priority { return of(interactive, merchantID) }

// Batch is the priority of what is one of many, such as a line of a file.
func Batch(merchantID string) temporal.Priority { return of(batch, merchantID) }

// Background is the priority of what no caller waits for, such as the lookup of a payment that is old.
func Background(merchantID string) temporal.Priority { return of(background, merchantID) }

// IsBatch reports whether no customer waits for what has this priority: it is that of [Batch], or lower.
func IsBatch(p temporal.Priority) bool { return p.PriorityKey >= batch }

// maxKey is the longest fairness key that Temporal accepts, in bytes, and also the longest merchant ID. A longer one is cut, so that
// Florin, and not Temporal, refuses or answers the call.
const maxKey = 64

func of(level int, merchantID string) temporal.Priority {
	return temporal.Priority{PriorityKey: level, FairnessKey: merchantID[:min(len(merchantID), maxKey)]}
}
