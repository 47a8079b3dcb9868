package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
)

// record is what a status machine is about.
type record interface {
	comparable
	payment.Charge | payment.Refund
	Final() bool
}

// machine is the status machine of one payment or refund. transition is the only way to change the status, persist the only way to
// store it; both publish it in Temporal Web.
type machine[T record] struct {
	definition definition[T]
	// value is the current state, stored the one that the store has. Callers never see an outcome before it is stored.
	value, stored T
	// failed is the error with which the workflow fails: there will be no outcome.
	failed error
	// since is when the payment or refund first had each status, in this run or an earlier one, and enteredAt when it last got the current
	// one. Both are times of the workflow: those of the store are from the clocks of workers.
	since     map[payment.Status]time.Time
	enteredAt time.Time
	// hasBegun reports that the state is that of the store: before that, nothing is known of what earlier runs have done.
	hasBegun bool
	// continuing reports that the workflow continues in a new run.
	continuing bool
	// outcomes are the updates that wait for the first outcome under another id than the fingerprint.
	outcomes waiters
	resolutions
}

// definition is what distinguishes payments from refunds.
type definition[T record] struct {
	// name is payment or refund.
	name        string
	fingerprint string
	transitions map[payment.Status][]payment.Status
	// activity persists the record.
	activity string
	// conflicted is the status if the processor responds with the id of another payment or refund.
	conflicted payment.Status
	fields     func(*T) fields
	// entered is called after each transition, before it is published.
	entered func()
	// attributes are published with an outcome, details with every transition.
	attributes func() []temporal.SearchAttributeUpdate
	details    func() string
}

// fields points to what a payment and a refund have in common.
type fields struct {
	id, processor, processorID string
	status                     *payment.Status
	failure                    **payment.Failure
	updatedAt                  *time.Time
}

func (m *machine[T]) fields() fields { return m.definition.fields(&m.value) }

func (m *machine[T]) status() payment.Status { return *m.fields().status }

func (m *machine[T]) failure() *payment.Failure { return *m.fields().failure }

// isStored reports whether the store has the current state.
func (m *machine[T]) isStored() bool { return m.value == m.stored }

// begin sets the state to what the store has. since is nil for a new payment or refund. A clock that was ahead does not count.
func (m *machine[T]) begin(ctx workflow.Context, value T, since map[payment.Status]time.Time) {
	m.isNowStored(value)
	m.hasBegun = true
	now := workflow.Now(ctx).UTC()
	m.enteredAt = earlier(*m.fields().updatedAt, now)
	m.since = map[payment.Status]time.Time{m.status(): m.enteredAt}
	for _, status := range workflow.DeterministicKeys(since) {
		m.since[status] = earlier(since[status], now)
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// firstIn is when the payment or refund first had its current status.
func (m *machine[T]) firstIn() time.Time {
	if since, known := m.since[m.status()]; known {
		return since
	}
	return m.enteredAt // another run has stored it
}

// isNowStored takes over the state that the store has.
func (m *machine[T]) isNowStored(value T) { m.value, m.stored = value, value }

// transition changes the status. failure is the reason for it; nil clears the previous one. To the current status, it only replaces
// the failure, such as that of a modification that was not executed. An illegal transition is a bug: it panics, so that the workflow
// task fails and is retried, and the payment waits for corrected code.
func (m *machine[T]) transition(ctx workflow.Context, to payment.Status, failure *payment.Failure) {
	f := m.fields()
	from := *f.status
	if from == to {
		if failure != nil {
			*f.failure = failure
			m.definition.entered()
			m.describe(ctx)
		}
		return
	}
	mustBeLegal(m.definition.transitions, from, to)
	m.enteredAt = workflow.Now(ctx).UTC()
	*f.status, *f.failure, *f.updatedAt = to, failure, m.enteredAt
	if _, before := m.since[to]; !before && m.since != nil {
		m.since[to] = m.enteredAt
	}
	m.definition.entered()
	m.publish(ctx)
	logTransition(ctx, m.definition.name, f.id, from, to, failure)
}

// advance takes over a state that an activity has reached and stored.
func (m *machine[T]) advance(ctx workflow.Context, value T) {
	from := m.status()
	m.isNowStored(value)
	f := m.fields()
	mustBeLegal(m.definition.transitions, from, *f.status)
	m.enteredAt = workflow.Now(ctx).UTC()
	m.since[*f.status] = m.enteredAt
	m.definition.entered()
	m.publish(ctx)
	logTransition(ctx, m.definition.name, f.id, from, *f.status, *f.failure)
}

// persist stores the current state, unless the store has it. A processor's id that belongs to another payment or refund is a conflict:
// the processor responded for the wrong one. The status goes back to the stored one, and from there to the conflict.
func (m *machine[T]) persist(ctx workflow.Context, cause activities.Cause) {
	if m.isStored() {
		return
	}
	before := m.status()
	if m.store(ctx, cause) == nil {
		if m.status() != before { // another run has stored more
			m.enteredAt = workflow.Now(ctx).UTC()
			m.publish(ctx)
		}
		return
	}
	cause.Evidence = map[string]string{"processor_" + m.definition.name + "_id": m.fields().processorID}
	m.value = m.stored
	m.transition(ctx, m.definition.conflicted, &payment.Failure{
		Class: payment.ClassInvalidResponse, Message: fmt.Sprintf("the processor responded with the id of another %s: clear it up with the processor", m.definition.name),
	})
	if err := m.store(ctx, cause); err != nil {
		panic(err)
	}
}

// persistResolution stores an operator's decision. A processor's id that belongs to another payment or refund is the operator's
// mistake: the status goes back to the stored one, and the refusal is returned.
func (m *machine[T]) persistResolution(ctx workflow.Context, cause activities.Cause) error {
	if m.store(ctx, cause) == nil {
		return nil
	}
	id := m.fields().processorID
	m.value = m.stored
	m.publish(ctx)
	return invalidField("processor_id", "%q is the id of another %s: check it in the processor's dashboard", id, m.definition.name)
}

// store runs the local activity. Its only error is that the processor's id is taken. Any other refusal is a bug, or caused by another
// program: the workflow task fails and is retried, and the payment waits until an operator has looked.
func (m *machine[T]) store(ctx workflow.Context, cause activities.Cause) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	var stored T
	err := workflow.ExecuteLocalActivity(withStoreOptions(ctx, "persist: "+string(m.status())), m.definition.activity, m.value, cause).Get(ctx, &stored)
	var refusal *temporal.ApplicationError
	switch {
	case err == nil:
		m.isNowStored(stored)
		return nil
	case errors.As(err, &refusal) && refusal.Type() == activities.ErrorProcessorIDTaken:
		return err
	default:
		panic(fmt.Sprintf("%s: %v", m.definition.activity, err))
	}
}

// publish shows the current state in Temporal Web: search attributes once there is an outcome, or it is unknown, and details.
func (m *machine[T]) publish(ctx workflow.Context) {
	f := m.fields()
	if f.status.HasOutcome() || *f.status == payment.Unknown {
		upsertAttributes(ctx, append(temporalweb.OutcomeAttributes(f.processor, *f.status, *f.failure), m.definition.attributes()...))
	}
	m.describe(ctx)
}

// describe updates the details in Temporal Web.
func (m *machine[T]) describe(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, m.definition.details())
}

// upsertAttributes panics if Temporal refuses, as on any bug: the worker checks at its start that the attributes are registered.
func upsertAttributes(ctx workflow.Context, attributes []temporal.SearchAttributeUpdate) {
	if err := workflow.UpsertTypedSearchAttributes(ctx, attributes...); err != nil {
		panic(fmt.Sprintf("search attributes: %v", err))
	}
}

func mustBeLegal(transitions map[payment.Status][]payment.Status, from, to payment.Status) {
	for _, legal := range transitions[from] {
		if legal == to {
			return
		}
	}
	panic(fmt.Sprintf("illegal transition from %s to %s", from, to))
}

// logTransition writes the one log line of a transition. Replays do not log.
func logTransition(ctx workflow.Context, what, id string, from, to payment.Status, failure *payment.Failure) {
	logger, keyvals := workflow.GetLogger(ctx), []any{what + "_id", id, "from", from, "status", to}
	if failure != nil {
		keyvals = append(keyvals, "failure_class", failure.Class, "failure", failure.Message)
	}
	switch to {
	case payment.NeedsReconciliation, payment.Conflicted:
		logger.Error(what+" needs an operator", keyvals...)
	case payment.Unknown:
		logger.Warn(what+" changed its status", keyvals...)
	default:
		logger.Info(what+" changed its status", keyvals...)
	}
}

// Temporal allows ten updates of a workflow in flight, and two thousand in a run. Each kind may use up only its share, so that no caller keeps
// another one out. An outcome whose id is the fingerprint does not count: repeated, it is the same update.
const (
	maxOutcomesWaiting  = 3
	maxOutcomesAccepted = 100

	maxModificationsWaiting  = 3
	maxModificationsAccepted = 1000

	maxResolutionsWaiting  = 2
	maxResolutionsAccepted = 500
)

// waiters counts the updates of one kind.
type waiters struct{ waiting, accepted int }

// enter counts an update that was accepted and waits, until leave.
func (w *waiters) enter() {
	w.accepted++
	w.waiting++
}

func (w *waiters) leave() { w.waiting-- }

// full refuses another update if its kind has used up its share.
func (w *waiters) full(maxWaiting, maxAccepted int) error {
	if w.waiting < maxWaiting && w.accepted < maxAccepted {
		return nil
	}
	return refuse(payment.ErrTooManyUpdates, "%d updates of this kind wait, and there were %d: repeat one under its own update ID, or query %s",
		w.waiting, w.accepted, payment.QueryStatus)
}

// handleReads handles the query status and the update outcome.
func (m *machine[T]) handleReads(ctx workflow.Context) error {
	if err := workflow.SetQueryHandler(ctx, payment.QueryStatus, func() (T, error) { return m.value, nil }); err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, payment.UpdateOutcome,
		func(ctx workflow.Context, _ payment.OutcomeRequest) (T, error) {
			if !m.isOwnOutcome(ctx) {
				m.outcomes.enter()
				defer m.outcomes.leave()
			}
			// Canceling the workflow must not end the update of a caller.
			ctx, _ = workflow.NewDisconnectedContext(ctx)
			err := workflow.Await(ctx, func() bool { return m.failed != nil || m.continuing || m.isStored() && m.status().HasOutcome() })
			if err != nil {
				return m.value, err
			}
			if m.failed == nil && !m.status().HasOutcome() {
				return m.value, errContinued()
			}
			return m.value, m.failed
		},
		workflow.UpdateHandlerOptions{
			Description: "Waits for the first outcome.",
			Validator: func(ctx workflow.Context, req payment.OutcomeRequest) error {
				switch {
				case req.Fingerprint != "" && req.Fingerprint != m.definition.fingerprint:
					return refuse(payment.ErrIdempotencyMismatch, "%s", payment.ErrIdempotencyMismatch.Error())
				case !m.isOwnOutcome(ctx):
					return m.outcomes.full(maxOutcomesWaiting, maxOutcomesAccepted)
				}
				return nil
			},
		})
}

// isOwnOutcome reports whether the ID of the current update is the fingerprint of the request.
func (m *machine[T]) isOwnOutcome(ctx workflow.Context) bool {
	return workflow.GetCurrentUpdateInfo(ctx).ID == m.definition.fingerprint
}

// validateOnceBegun validates an update that may have arrived before the state was read from the store. A validator that runs after that
// has validated it before.
func (m *machine[T]) validateOnceBegun(ctx workflow.Context, validate func() error) error {
	if m.hasBegun {
		return nil
	}
	if err := workflow.Await(ctx, func() bool { return m.hasBegun || m.failed != nil }); err != nil {
		return err
	}
	return validate()
}

// errContinued ends an update that waits when the workflow continues in a new run.
func errContinued() error {
	return temporal.NewNonRetryableApplicationError("the workflow continues in a new run: send the update again", payment.ErrorContinued, nil)
}

// shouldContinue reports whether the workflow should continue in a new run: because Temporal suggests it, as the history is long, or
// because a newer build of the worker is current. The new run begins with the stored state, so nothing else may be in memory.
func (m *machine[T]) shouldContinue(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	return m.isStored() && m.resolutions.waiting == nil && (info.GetContinueAsNewSuggested() || info.GetTargetWorkerDeploymentVersionChanged())
}

// continueAsNew ends this run and begins the next one, with the same request. A pinned run continues with the current build. The updates
// that wait are sent again by their callers.
func (m *machine[T]) continueAsNew(ctx workflow.Context, name string, request any) error {
	m.continuing = true
	drain(workflow.GetSignalChannel(ctx, payment.SignalProcessorEvent))
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return err
	}
	return workflow.NewContinueAsNewErrorWithOptions(ctx, workflow.ContinueAsNewErrorOptions{
		InitialVersioningBehavior: workflow.ContinueAsNewVersioningBehaviorAutoUpgrade,
	}, name, request)
}

// finish waits for the update handlers in flight before the workflow closes. A workflow that fails before it has begun ends as failed
// for its queries; the store knows nothing of it.
func (m *machine[T]) finish(ctx workflow.Context, err error) (T, error) {
	if workflow.IsContinueAsNewError(err) {
		return m.value, err
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err != nil && m.status() == payment.Processing {
		failure := payment.Failure{Class: payment.ClassInvalidRequest, Message: err.Error()}
		var refusal *temporal.ApplicationError
		if errors.As(err, &refusal) {
			failure.Message = refusal.Message() // without the activity and the workflow around it
		}
		m.transition(ctx, payment.Failed, &failure)
	}
	m.failed = err
	// The remaining signals have no effect. The SDK would warn about them.
	drain(workflow.GetSignalChannel(ctx, payment.SignalProcessorEvent))
	if waitErr := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); waitErr != nil {
		return m.value, waitErr
	}
	return m.value, err
}
