package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/payment"
)

// resolutions is where an operator's decision waits for the operation whose outcome is unknown.
type resolutions struct {
	// waiting is to be applied. A call to the processor that begins later discards it: the operator did not know of that call.
	waiting *payment.Resolution
	// refusal is why the last one was not applied.
	refusal error
	// updates are the updates that wait for a resolution.
	updates waiters
	// callInFlight reports that a call to the processor is in flight: its outcome cannot be known yet.
	callInFlight bool
}

// handleResolve handles the update resolve. The operation applies the resolution, unless the processor responds first. validate
// refuses a resolution that contradicts what is known of the payment or refund.
func (m *machine[T]) handleResolve(ctx workflow.Context, statuses []payment.Status, validate func(payment.Resolution) error) error {
	return workflow.SetUpdateHandlerWithOptions(ctx, payment.UpdateResolve,
		func(ctx workflow.Context, resolution payment.Resolution) (T, error) {
			m.resolutions.updates.enter()
			defer m.resolutions.updates.leave()
			if operator := authorize.SubjectOf(ctx); operator != "" {
				resolution.By = operator // whatever he calls himself
			}
			ctx, _ = workflow.NewDisconnectedContext(ctx)
			if err := m.validateOnceBegun(ctx, func() error { return m.validateResolve(resolution, validate) }); err != nil {
				return m.value, err
			}
			m.resolutions.waiting, m.resolutions.refusal = &resolution, nil
			if err := workflow.Await(ctx, func() bool {
				return m.continuing || m.isStored() && (m.resolutions.waiting == nil || m.status().Final())
			}); err != nil {
				return m.value, err
			}
			if m.continuing && m.resolutions.waiting != nil {
				return m.value, errContinued()
			}
			m.resolutions.waiting = nil
			if m.resolutions.refusal != nil {
				return m.value, m.resolutions.refusal
			}
			if m.status() != resolution.Status {
				return m.value, refuse(payment.ErrNotResolvable, "it is %s: the processor has responded meanwhile, or the operation was sent again", m.status())
			}
			return m.value, nil
		},
		workflow.UpdateHandlerOptions{
			Description: "Records an operator's decision on an unknown outcome.",
			Validator: func(_ workflow.Context, resolution payment.Resolution) error {
				if err := m.resolutions.updates.full(maxResolutionsWaiting, maxResolutionsAccepted); err != nil {
					return err
				}
				if err := resolution.Validate(statuses); err != nil || !m.hasBegun {
					return applicationError(err)
				}
				return m.validateResolve(resolution, validate)
			},
		})
}

// validateResolve refuses a resolution if there is nothing to resolve, or not now.
func (m *machine[T]) validateResolve(resolution payment.Resolution, validate func(payment.Resolution) error) error {
	switch status := m.status(); {
	case status != payment.Unknown && status != payment.NeedsReconciliation:
		return refuse(payment.ErrNotResolvable, "it is %s: only what is %s or %s can be resolved", status, payment.Unknown, payment.NeedsReconciliation)
	case m.resolutions.callInFlight:
		return refuse(payment.ErrNotResolvable, "a call to the processor is in flight: wait for its end, and check again what the processor has")
	case m.resolutions.waiting != nil:
		return refuse(payment.ErrNotResolvable, "another resolution is being recorded")
	}
	return validate(resolution)
}

// handleResolution applies the pending resolution, if there is one and the outcome is still unknown. The processor is asked first: what it
// has counts more than what an operator has read in a dashboard some time ago.
func (o *operation) handleResolution(ctx workflow.Context) {
	resolution := o.resolutions.waiting
	if resolution == nil {
		return
	}
	defer func() { o.resolutions.waiting = nil }()
	if !o.isUnknown() { // the processor has responded before
		return
	}
	found, err := o.callLookup(ctx, "check what an operator has resolved", "", nil)
	if (err != nil || !found.Found) && resolution.ProcessorID != "" && !o.subject.acknowledged() {
		if found, err = o.lookUpNamed(ctx, resolution.ProcessorID); err != nil {
			o.resolutions.refusal = err
			return
		}
	}
	seen := "no response"
	switch {
	case err != nil:
	case !found.Found:
		seen = "not found"
	case o.subject.isUnchanged(found.Result):
		seen = string(found.Result.Status)
		if resolution.Status != found.Result.Status || found.Result.CanStillSucceed {
			o.resolutions.refusal = refuse(payment.ErrNotResolvable, "according to the processor the payment is %s", seen)
			return
		}
	default:
		seen = string(found.Result.Status)
		failure := o.subject.failure()
		o.apply(ctx, o.found(found.Result))
		if now := o.subject.failure(); o.isUnknown() && (failure == nil || now != nil && *now != *failure) {
			o.resolutions.refusal = refuse(payment.ErrNotResolvable, "the processor has something else than was requested: look again, and resolve it then")
			return
		}
	}
	if o.isUnknown() {
		cause := activities.Cause{By: "operator:" + resolution.By, Evidence: map[string]string{"evidence": resolution.Evidence, "lookup": seen}}
		if resolution.WithoutProcessorID {
			cause.Evidence["without_processor_id"] = "true"
		}
		o.resolutions.refusal = o.subject.applyResolution(ctx, *resolution, cause)
	}
}

// lookUpNamed reads the record whose id an operator has named. It returns a refusal unless the processor confirms that the record is that
// of the operation: with a wrong id, another payment would be captured, voided or refunded later.
func (o *operation) lookUpNamed(ctx workflow.Context, id string) (activities.LookupResult, error) {
	found, err := o.callLookup(ctx, "check the id that an operator has named", id, nil)
	switch {
	case err != nil:
		return found, refuse(payment.ErrNotResolvable, "the processor did not confirm the id %q: resolve it again later, or without an id", id)
	case !found.Found:
		return found, invalidField("processor_id", "%q: the processor has nothing under this id", id)
	case found.Result.ID != id || found.Result.Reference != o.reference:
		return found, invalidField("processor_id", "%q: it has another reference at the processor than %s: it is something else", id, o.reference)
	default:
		return found, nil
	}
}

// isUnknown reports whether the outcome is unknown, so that an operator can resolve it.
func (o *operation) isUnknown() bool {
	status := o.subject.status()
	return status == payment.Unknown || status == payment.NeedsReconciliation
}

// checkProcessorID refuses a resolution with another processor's id than the known one.
func checkProcessorID(r payment.Resolution, id string) error {
	if r.ProcessorID == "" || id == "" || r.ProcessorID == id {
		return nil
	}
	return invalidField("processor_id", "%q: at the processor its id is %q", r.ProcessorID, id)
}

// resolvedFailure is the failure of what an operator has resolved as failed, voided or expired.
func resolvedFailure(r payment.Resolution) *payment.Failure {
	return &payment.Failure{Class: payment.ClassOutcomeUnknown, Message: fmt.Sprintf("resolved by %s: %s", r.By, r.Evidence)}
}

// resolvedDecline is the decline of what an operator has resolved as declined.
func resolvedDecline(r payment.Resolution) *payment.Decline {
	return &payment.Decline{Code: "resolved", Kind: payment.DeclineSoft, Message: fmt.Sprintf("resolved by %s: %s", r.By, r.Evidence)}
}
