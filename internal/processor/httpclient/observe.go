package httpclient

import (
	"context"
	"net/http"
	"time"

	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Observation describes one attempt at a call, for metrics. It contains nothing of the request or the response.
type Observation struct {
	Processor string
	Operation string
	// Certainty is what the attempt proves about money. Class is why it is not Answered.
	Certainty processor.Certainty
	Class     payment.FailureClass
	// Status is the HTTP status; 0 if no response arrived.
	Status int
	// Attempt counts from 1.
	Attempt int
	// Waited is the time spent waiting for a free slot among the calls in flight and for the limiter, Took the time on the wire.
	Waited, Took time.Duration
	// Sends is how often the request was written, by this client and by net/http.
	Sends int
}

// Trace is called for each request just before it is sent, with the context of the call, and may add to its header. The function
// that it returns is called with the outcome. Both must not block.
type Trace func(ctx context.Context, operation string, header http.Header) (ended func(Observation))

// Stats is the current state of a client, for gauges.
type Stats struct {
	// InFlight is the number of calls in flight, at most MaxInFlight.
	InFlight, MaxInFlight int
	// Breaker is closed, open or half-open; empty for a client without a breaker.
	Breaker string
	// RetriesLeft is the rest of the retry budget; 0 for a client that does not retry.
	RetriesLeft int
	// PerSecond is the rate that this client may use, in calls per second; +Inf without a limit. Paused reports that calls that move
	// money are refused.
	PerSecond float64
	Paused    bool
	// Held is how much longer all calls are held back, because the processor asked for it or refuses all of them.
	Held time.Duration
	// CutTo is the rate to which 429 responses have cut the calls, in calls per second; 0 if they have not.
	CutTo float64
	// Quota is the rest of the processor's rate limit, as last reported; nil if it is not known.
	Quota *ratelimit.Quota
}

// Stats returns the current state of the client.
func (c *Client) Stats() Stats {
	s := Stats{InFlight: c.bulkhead.inFlight(), MaxInFlight: cap(c.bulkhead.slots)}
	if c.breaker != nil {
		s.Breaker = c.breaker.State()
	}
	if c.retry != nil && c.retry.Budget != nil {
		s.RetriesLeft = c.retry.Budget.Left()
	}
	limits := c.limiter.State()
	s.PerSecond, s.Paused = limits.PerSecond, limits.Paused
	s.Held, s.CutTo, s.Quota = limits.Held, limits.CutTo, limits.Quota
	return s
}

// observed reports an attempt to the observer and to ended, which is nil if the attempt is not traced or nothing was to be sent.
func (c *Client) observed(ctx context.Context, call processor.Call, a processor.Answer, failed *processor.Error, waited time.Duration, ended func(Observation)) {
	if c.observe == nil && ended == nil {
		return
	}
	o := Observation{
		Processor: c.name, Operation: call.Operation, Certainty: processor.Answered, Status: a.Status, Attempt: retry.Attempt(ctx),
		Waited: waited, Took: a.Took, Sends: a.Sends,
	}
	if failed != nil {
		o.Certainty, o.Class = failed.Certainty, failed.Class
	}
	if ended != nil {
		ended(o)
	}
	if c.observe != nil {
		c.observe(o)
	}
}
