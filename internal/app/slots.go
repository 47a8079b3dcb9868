package app

import (
	"context"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin/internal/processor/ratelimit"
)

// ahead is how long a call may wait for the rate limit after a worker has taken its task: long enough to get the next task meanwhile. A
// worker that gets tasks more slowly uses the tokens that are left over as soon as it can, up to the burst.
const ahead = ratelimit.Ahead

// arriving is the time after which the call of a task has reached the rate limit, which counts it from then on. Until then the task counts
// as a poll: otherwise further tasks would be taken meanwhile.
const arriving = 25 * time.Millisecond

// recheckRate is the longest time after which a worker notices that the rate has been changed.
const recheckRate = 100 * time.Millisecond

// A worker whose rate is so low that no call is allowed within noRate takes one task after askAgain nevertheless. If there is one, its call
// shows that the worker needs a share of the rate; it returns to the queue.
const (
	noRate   = time.Hour
	askAgain = time.Second
)

// callSlots are the slots of a worker for the calls to one processor. A worker takes a task only if its call is about to be allowed by
// the rate limit. So calls wait in Temporal's task queue, which dispatches those of different merchants in turn, and by priority. In
// the worker, they would wait in the order in which they came, and most of them longer than a call may wait, so that it returns to the
// queue behind others.
type callSlots struct {
	worker.SlotSupplier
	limiter *ratelimit.Limiter
	// polls are the slots for which the worker has no task yet, or a new one.
	polls atomic.Int32
	// backlog reports whether the last poll that ended has brought a task, so that others probably wait.
	backlog atomic.Bool
	// turn is held by the reservation that waits for the rate limit, changed has a value after polls has decreased.
	turn, changed chan struct{}
}

// newCallTuner returns the slots of a worker that only makes calls, size of them at once.
func newCallTuner(size int, limiter *ratelimit.Limiter) (worker.WorkerTuner, error) {
	slots, err := newCallSlots(size, limiter)
	if err != nil {
		return nil, err
	}
	unused, err := worker.NewFixedSizeSlotSupplier(1)
	if err != nil {
		return nil, err
	}
	return worker.NewCompositeTuner(worker.CompositeTunerOptions{
		ActivitySlotSupplier: slots, WorkflowSlotSupplier: unused, LocalActivitySlotSupplier: unused, NexusSlotSupplier: unused,
		SessionActivitySlotSupplier: unused,
	})
}

func newCallSlots(size int, limiter *ratelimit.Limiter) (*callSlots, error) {
	slots, err := worker.NewFixedSizeSlotSupplier(size)
	return &callSlots{SlotSupplier: slots, limiter: limiter, turn: make(chan struct{}, 1), changed: make(chan struct{}, 1)}, err
}

// ReserveSlot implements [worker.SlotSupplier].
func (c *callSlots) ReserveSlot(ctx context.Context, info worker.SlotReservationInfo) (*worker.SlotPermit, error) {
	if err := c.waitForRate(ctx); err != nil {
		return nil, err
	}
	permit, err := c.SlotSupplier.ReserveSlot(ctx, info)
	if err != nil {
		c.endPoll()
	}
	return permit, err
}

// waitForRate returns once a further call would not wait longer than ahead, and counts it as a poll. While tasks wait for that, it counts
// them as demand: otherwise a worker with a small share of the rate would never get a larger one.
func (c *callSlots) waitForRate(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	began := time.Now()
	for {
		polls := c.polls.Load()
		longer := c.limiter.Delay(int(polls)+1) - min(ahead, c.limiter.MaxWait())
		if longer <= 0 || polls == 0 && longer > noRate && time.Since(began) >= askAgain {
			c.polls.Add(1)
			return nil
		}
		select {
		case <-time.After(min(longer, recheckRate)):
			if longer > recheckRate && c.backlog.Load() {
				c.limiter.Miss()
			}
		case <-c.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TryReserveSlot implements [worker.SlotSupplier]. It is for activities on the task queue of their workflow, which calls never have.
func (c *callSlots) TryReserveSlot(worker.SlotReservationInfo) *worker.SlotPermit { return nil }

// used is the user data of the permit of a slot that has a task.
type used struct{}

// MarkSlotUsed implements [worker.SlotSupplier].
func (c *callSlots) MarkSlotUsed(info worker.SlotMarkUsedInfo) {
	info.Permit().UserData = used{}
	c.backlog.Store(true)
	time.AfterFunc(arriving, c.endPoll)
	c.SlotSupplier.MarkSlotUsed(info)
}

// ReleaseSlot implements [worker.SlotSupplier].
func (c *callSlots) ReleaseSlot(info worker.SlotReleaseInfo) {
	if info.Permit().UserData == nil {
		c.backlog.Store(false)
		c.endPoll()
	}
	c.SlotSupplier.ReleaseSlot(info)
}

// endPoll counts one poll less.
func (c *callSlots) endPoll() {
	c.polls.Add(-1)
	select {
	case c.changed <- struct{}{}:
	default:
	}
}
