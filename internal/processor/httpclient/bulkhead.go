package httpclient

import (
	"context"
	"fmt"
	"time"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// bulkhead limits the number of calls in flight to one processor, so that a slow one occupies no more than its share of this process. Its
// size also bounds the connections.
type bulkhead struct {
	slots   chan struct{}
	maxWait time.Duration
}

func newBulkhead(size int, maxWait time.Duration) bulkhead {
	return bulkhead{slots: make(chan struct{}, size), maxWait: maxWait}
}

// enter takes a slot, which leave returns. It waits no longer than the maximum wait and until ctx is done.
func (b bulkhead) enter(ctx context.Context) *processor.Error {
	select {
	case b.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(b.maxWait)
	defer timer.Stop()
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return &processor.Error{Class: payment.ClassUnavailable, Certainty: processor.NotExecuted, Retry: true,
			Message: fmt.Sprintf("all %d calls that may be in flight are", cap(b.slots))}
	case <-ctx.Done():
		return &processor.Error{Class: payment.ClassNotSent, Certainty: processor.NotExecuted, Retry: true, Err: context.Cause(ctx),
			Message: fmt.Sprintf("canceled while all %d calls that may be in flight were", cap(b.slots))}
	}
}

func (b bulkhead) leave() { <-b.slots }

func (b bulkhead) inFlight() int { return len(b.slots) }

func (b bulkhead) full() bool { return len(b.slots) == cap(b.slots) }
