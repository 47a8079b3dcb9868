package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// ControlProcessor persists what an operator has decided about the calls to a processor, and returns the state of the processor as
// [Payments.ListProcessors] does. The workers obey within two seconds. If callers have to prove who they are, the operator is the caller, who
// must act for all merchants. ControlProcessor returns [payment.ErrInvalidRequest] for an invalid change and for an unknown processor.
func (p *Payments) ControlProcessor(ctx context.Context, change payment.ControlChange) (payment.ProcessorState, error) {
	if err := change.Validate(); err != nil {
		return payment.ProcessorState{}, storeError(payment.Refuse(payment.ErrInvalidRequest, "%v", err), change)
	}
	if p.Authorizer != nil {
		operator, err := p.allowRead(ctx, payment.ActivityControlProcessor, "", change)
		if err != nil {
			return payment.ProcessorState{}, err
		}
		change.By = operator.Subject
	}
	_, err := p.Store.ControlProcessor(ctx, change)
	if err != nil && !errors.Is(err, payment.ErrNotFound) {
		return payment.ProcessorState{}, requestError(err, change)
	}
	all, err := p.Store.Processors(ctx)
	if err != nil {
		return payment.ProcessorState{}, storeError(err)
	}
	names := make([]string, len(all))
	for i, s := range all {
		if names[i] = s.Processor; s.Processor == change.Processor {
			return processorState(s), nil
		}
	}
	unknown := &payment.InvalidRequestError{Fields: []payment.FieldError{{
		Field: "processor", Problem: fmt.Sprintf("%q: no worker is configured with it: want %s", change.Processor, strings.Join(names, " or ")),
	}}}
	return payment.ProcessorState{}, storeError(unknown, unknown)
}

// ListProcessors returns the state of every processor that a worker was ever configured with.
func (p *Payments) ListProcessors(ctx context.Context) (payment.ProcessorStates, error) {
	_, err := p.Authorizer.AllowForSome(authorize.ProofOfRead(ctx), readRequest(payment.ActivityListProcessors), time.Now())
	if err != nil {
		return payment.ProcessorStates{}, err
	}
	all, err := p.Store.Processors(ctx)
	states := payment.ProcessorStates{Processors: make([]payment.ProcessorState, len(all))}
	for i, s := range all {
		states.Processors[i] = processorState(s)
	}
	return states, storeError(err)
}

// processorState takes the workers whose lease has ended for lost, unless they had obeyed before.
func processorState(s store.ProcessorShares) payment.ProcessorState {
	state := payment.ProcessorState{Processor: s.Processor, Control: s.Control, Workers: []payment.ProcessorWorker{}}
	for _, share := range s.Shares {
		applied := share.AppliedRevision == s.Control.Revision
		if !s.Now.Before(share.LeaseUntil) {
			if !applied {
				state.Lost = append(state.Lost, payment.LostWorker{Worker: share.Worker, LeaseEnded: share.LeaseUntil})
			}
			continue
		}
		if rate := share.Configured.PerSecond; rate > 0 && (state.ConfiguredPerSecond == 0 || rate < state.ConfiguredPerSecond) {
			state.ConfiguredPerSecond = rate
		}
		state.Workers = append(state.Workers, payment.ProcessorWorker{
			Worker: share.Worker, PerSecond: share.Held.PerSecond, Burst: share.Held.Burst, Demand: share.Demand,
			Applied: applied,
		})
	}
	return state
}
