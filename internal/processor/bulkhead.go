package processor

import (
	"context"
	"fmt"
	"time"

	"github.com/florinpay/florin/payment"
)

// bulkhead bounds the calls in flight to one processor, so that a slow one takes no more than its share of this
// process. Its size also bounds the connections.
type bulkhead struct {
	slots    chan struct{}
	patience time.Duration
}

func newBulkhead(size int, patience time.Duration) bulkhead {
	return bulkhead{slots: make(chan struct{}, size), patience: patience}
}

// enter takes a slot, which leave gives back. It waits no longer than the patience and the context allow.
func (b bulkhead) enter(ctx context.Context) *Error {
	select {
	case b.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(b.patience)
	defer timer.Stop()
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return &Error{Class: payment.ClassUnavailable, Certainty: NotExecuted, Retry: true,
			Message: fmt.Sprintf("all %d calls that may be in flight are", cap(b.slots))}
	case <-ctx.Done():
		return &Error{Class: payment.ClassNotSent, Certainty: NotExecuted, Retry: true, Err: context.Cause(ctx),
			Message: fmt.Sprintf("stopped while all %d calls that may be in flight were", cap(b.slots))}
	}
}

func (b bulkhead) leave() { <-b.slots }

func (b bulkhead) inFlight() int { return len(b.slots) }
