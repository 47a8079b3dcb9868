package florintest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// DefaultProcessor is the processor of a charge that names none, unless [Options.Processors] is set.
const DefaultProcessor = "simulator"

// Options configure a Fake. The zero value works.
type Options struct {
	// Now returns the time of what happens to a payment. Nil means [time.Now].
	Now func() time.Time
	// Processors are the names of the configured processors. The first is the default. A charge that names another one is refused
	// with [florin.ErrInvalidRequest]. If Processors is empty, every name is accepted.
	Processors []string
}

// Fake is a [florin.API] that keeps payments in memory. It is safe for concurrent use. Create it with [New].
//
// Its methods return what those of [florin.Client] return, and they are described there. In addition, a test can decide how a payment
// ends ([Fake.Complete]), make calls fail ([Fake.FailNext], [Fake.LoseResponse]), and read what the service did ([Fake.Charges],
// [Fake.Refunds], [Fake.Calls], [Fake.CheckNoDoubleCharge]).
type Fake struct {
	now        func() time.Time
	processors []string

	mu sync.Mutex
	// changed is closed at the next change of a payment or refund; nil if no call waits for one.
	changed chan struct{}
	charges map[id]*charge
	refunds map[id]*refund
	// begun and begunRefunds are those that were not refused, oldest first.
	begun        []*charge
	begunRefunds []*refund
	faults       map[Method][]fault
	calls        map[Method]int
}

var _ florin.API = (*Fake)(nil)

// New returns a Fake without payments.
func New() *Fake { return NewWithOptions(Options{}) }

// NewWithOptions returns a Fake without payments.
func NewWithOptions(o Options) *Fake {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Fake{
		now: o.Now, processors: slices.Clone(o.Processors),
		charges: map[id]*charge{}, refunds: map[id]*refund{}, faults: map[Method][]fault{}, calls: map[Method]int{},
	}
}

// id identifies a payment or a refund.
type id struct{ merchantID, idempotencyKey string }

// record is a payment or a refund with what the fake needs to know besides.
type record[T payment.Charge | payment.Refund] struct {
	workflowID  string
	fingerprint string
	value       T
	// copy returns a copy of a value that shares nothing with it.
	copy func(T) T
	// result is the value at the time when the status became final: what the workflow would return. Refunds of a payment do not
	// change it.
	result T
	closed bool
	// refused is why the request was refused, if it was. The idempotency key can then be used again.
	refused error
	// reported reports whether Charge or Refund has returned the value before it was final.
	reported bool
	// resolutions has the value after each resolution, by the fingerprint of the resolution.
	resolutions map[string]T
}

// subject is a [*charge] or a [*refund].
type subject[T payment.Charge | payment.Refund] interface{ base() *record[T] }

func (r *record[T]) base() *record[T] { return r }

func (r *record[T]) errorf(format string, args ...any) error {
	return fmt.Errorf("workflow %s: "+format, append([]any{r.workflowID}, args...)...)
}

func (r *record[T]) refuse(code payment.RefusalCode, format string, args ...any) error {
	return r.errorf("%w", payment.Refuse(code, format, args...))
}

func (r *record[T]) refuseField(field, format string, args ...any) error {
	return r.errorf("%w", refusedField(field, format, args...))
}

// refusedField returns the refusal of a valid request that does not fit its payment.
func refusedField(field, format string, args ...any) *payment.Refusal {
	invalid := &payment.InvalidRequestError{Fields: []payment.FieldError{{Field: field, Problem: fmt.Sprintf(format, args...)}}}
	return &payment.Refusal{Code: payment.ErrInvalidRequest, Message: invalid.Error()}
}

// checkSame returns ErrIdempotencyMismatch if the record was made for a different request.
func (r *record[T]) checkSame(fingerprint string) error {
	if r.fingerprint != fingerprint {
		return r.errorf("%w", florin.ErrIdempotencyMismatch)
	}
	return nil
}

// run returns what StartCharge or StartRefund returns.
func (r *record[T]) run(id string) florin.Run {
	return florin.Run{ID: id, WorkflowID: r.workflowID, RunID: uuid.NewSHA1(uuid.Nil, []byte(r.workflowID)).String()}
}

// call executes one call of a method: it counts the call, validates the request, and applies the fault that the test wants. execute
// runs with the lock held, except while it waits in await.
func call[T any](
	ctx context.Context, f *Fake, m Method, subject string, validate func() error, execute func(context.Context) (T, error),
) (T, error) {
	var none T
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[m]++
	if validate != nil {
		if err := validate(); err != nil {
			return none, err
		}
	}
	if ctx.Err() != nil {
		return none, pending(ctx, subject)
	}
	fault := f.nextFault(m, subject)
	if fault == nil {
		return execute(ctx)
	}
	if fault.executed {
		// The caller is no longer there for what takes time.
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		_, _ = execute(ctx)
	}
	return none, fault.err
}

// find returns the payment or refund with this key, or ErrNotFound.
func find[S any](subjects map[id]S, key id, workflowID string) (S, error) {
	s, ok := subjects[key]
	if !ok {
		return s, fmt.Errorf("workflow %s: %w", workflowID, florin.ErrNotFound)
	}
	return s, nil
}

// get executes a call of Get or GetRefund.
func get[T payment.Charge | payment.Refund, S subject[T]](
	ctx context.Context, f *Fake, m Method, workflowID string, subjects map[id]S, key id,
) (T, error) {
	return call(ctx, f, m, workflowID, nil, func(context.Context) (none T, err error) {
		s, err := find(subjects, key, workflowID)
		if err != nil {
			return none, err
		}
		r := s.base()
		return r.copy(r.value), nil
	})
}

// wait executes a call of Wait or WaitRefund.
func wait[T payment.Charge | payment.Refund, S subject[T]](
	ctx context.Context, f *Fake, m Method, workflowID string, subjects map[id]S, key id,
) (T, error) {
	return call(ctx, f, m, workflowID, nil, func(ctx context.Context) (none T, err error) {
		s, err := find(subjects, key, workflowID)
		if err != nil {
			return none, err
		}
		r := s.base()
		if err := f.await(ctx, workflowID, func() bool { return r.closed }); err != nil {
			return none, err
		}
		if r.refused != nil {
			return none, r.refused
		}
		return r.copy(r.result), nil
	})
}

// await waits until done reports true. It releases the lock while it waits. It returns ErrOutcomePending if ctx is done first.
func (f *Fake) await(ctx context.Context, subject string, done func() bool) error {
	for !done() {
		if ctx.Err() != nil {
			return pending(ctx, subject)
		}
		if f.changed == nil {
			f.changed = make(chan struct{})
		}
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		f.mu.Lock()
	}
	return nil
}

// notify wakes the calls that wait for a change.
func (f *Fake) notify() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

func pending(ctx context.Context, subject string) error {
	return fmt.Errorf("workflow %s: %w: %w", subject, florin.ErrOutcomePending, context.Cause(ctx))
}

// time returns the current time as a store would keep it.
func (f *Fake) time() time.Time { return f.now().UTC().Truncate(time.Microsecond) }

// isTooLate reports whether nothing is sent any more for a request with this SendBy.
func (f *Fake) isTooLate(sendBy time.Time) bool { return !sendBy.IsZero() && !f.now().Before(sendBy) }

// processor returns the processor of a charge, or the refusal of a name that is not configured.
func (f *Fake) processor(name string) (string, *payment.Refusal) {
	switch {
	case name == "" && len(f.processors) == 0:
		return DefaultProcessor, nil
	case name == "":
		return f.processors[0], nil
	case len(f.processors) > 0 && !slices.Contains(f.processors, name):
		names := slices.Sorted(slices.Values(f.processors))
		return "", refusedField("processor", "%q is not configured: want %s", name, strings.Join(names, " or "))
	default:
		return name, nil
	}
}

// legal reports whether a status may follow another one.
func legal(transitions map[payment.Status][]payment.Status, from, to payment.Status) bool {
	return slices.Contains(transitions[from], to)
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
