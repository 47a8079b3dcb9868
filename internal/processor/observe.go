package processor

import (
	"context"
	"net/http"
	"time"

	"github.com/florinpay/florin/payment"
)

// Observation is one attempt at a call, for metrics. It holds nothing of what was said.
type Observation struct {
	Processor string
	Operation string
	// Outcome is what the attempt proves about money; Class says why it is not Answered.
	Outcome Certainty
	Class   payment.FailureClass
	// Status is the HTTP status; 0 where no answer came.
	Status int
	// Attempt counts from 1.
	Attempt int
	// Waited is the time spent on the bulkhead and the limiter, Took the time on the wire.
	Waited, Took time.Duration
	// Sends is how often requests were written, by us and by net/http.
	Sends int
}

// Trace hears of each request just before it is sent, under the context of the call, and may add to its header. What it
// returns hears what came of it. Both must not block.
type Trace func(ctx context.Context, operation string, header http.Header) (ended func(Observation))

// Stats is how a client stands, for gauges.
type Stats struct {
	// InFlight calls of at most MaxInFlight.
	InFlight, MaxInFlight int
	// Breaker is closed, open or half-open; empty where there is none.
	Breaker string
	// RetriesLeft is what the retry budget has left now; 0 for a client that does not retry.
	RetriesLeft int
	// Held is how much longer the processor asked all calls to wait.
	Held time.Duration
	// Quota is what the processor said last is left of its rate limit; nil once that is over, or where it says
	// nothing.
	Quota *Quota
}

// Stats may be called at any time.
func (c *Client) Stats() Stats {
	s := Stats{InFlight: c.bulkhead.inFlight(), MaxInFlight: cap(c.bulkhead.slots)}
	if c.breaker != nil {
		s.Breaker = c.breaker.State()
	}
	if c.retry != nil && c.retry.Budget != nil {
		s.RetriesLeft = c.retry.Budget.Left()
	}
	s.Held, s.Quota = c.limiter.state()
	return s
}

// observed tells who observes, and traced, which is nil where nobody traces or nothing was to be sent.
func (c *Client) observed(ctx context.Context, call Call, a Answer, failed *Error, waited time.Duration, traced func(Observation)) {
	if c.observe == nil && traced == nil {
		return
	}
	o := Observation{
		Processor: c.name, Operation: call.Operation, Outcome: Answered, Status: a.Status, Attempt: attemptOf(ctx),
		Waited: waited, Took: a.Took, Sends: a.Sends,
	}
	if failed != nil {
		o.Outcome, o.Class = failed.Certainty, failed.Class
	}
	if traced != nil {
		traced(o)
	}
	if c.observe != nil {
		c.observe(o)
	}
}
