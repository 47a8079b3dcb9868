package payment

import (
	"math"
	"slices"
	"time"
)

// ControlAction is what an operator does with the calls to a processor.
type ControlAction string

// The actions of a [ControlChange].
const (
	// ControlPause stops every call that moves money. Lookups continue.
	ControlPause ControlAction = "pause"
	// ControlResume ends a pause.
	ControlResume ControlAction = "resume"
	// ControlRate sets the rate of the calls of all workers together.
	ControlRate ControlAction = "rate"
)

// ControlActions are all actions.
var ControlActions = []ControlAction{ControlPause, ControlResume, ControlRate}

// Limits of a ControlChange.
const (
	maxControlReason = 500
	maxControlRate   = 1_000_000
)

// ControlChange is the argument of [ActivityControlProcessor].
type ControlChange struct {
	// Processor is the name of a configured processor.
	Processor string        `json:"processor"`
	Action    ControlAction `json:"action"`
	// PerSecond is the new rate in calls per second, for [ControlRate] only; fractions are valid. 0: as the workers are configured.
	PerSecond float64 `json:"per_second,omitempty"`
	// By identifies the operator, as [Resolution.By]. Reason is why: 1 to 500 bytes, as [Resolution.Evidence]. Both are kept forever.
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// Validate returns nil or an [*InvalidRequestError] that lists every invalid field. Whether the processor is configured is not checked.
func (c ControlChange) Validate() error {
	var v validator
	if c.Processor == "" {
		v.add("processor", "want the name of a configured processor")
	}
	v.processor(c.Processor)
	if !slices.Contains(ControlActions, c.Action) {
		v.add("action", "%s: want one of %v", quote(string(c.Action)), ControlActions)
	}
	switch {
	case math.IsNaN(c.PerSecond), c.PerSecond < 0, c.PerSecond > maxControlRate:
		v.add("per_second", "want 0 to %d calls per second", maxControlRate)
	case c.PerSecond > 0 && c.Action != ControlRate:
		v.add("per_second", "want it only with action %s", ControlRate)
	}
	v.operatorText("by", c.By, maxBy)
	v.operatorText("reason", c.Reason, maxControlReason)
	return v.err()
}

// ProcessorControl is what operators have decided about the calls to a processor.
type ProcessorControl struct {
	Paused bool `json:"paused"`
	// PerSecond is the rate that an operator has set for all workers together, in calls per second. 0: as the workers are configured.
	PerSecond float64 `json:"per_second,omitempty"`
	// By, Reason and At describe the latest change.
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	// Revision counts the changes. 0: there was none.
	Revision int64 `json:"revision"`
}

// ProcessorState is the state of the calls to a processor.
type ProcessorState struct {
	Processor string           `json:"processor"`
	Control   ProcessorControl `json:"control"`
	// ConfiguredPerSecond is the lowest rate that the running workers are configured with, for all of them together, in calls per second.
	// 0: they have no limit, or each worker has one of its own.
	ConfiguredPerSecond float64 `json:"configured_per_second,omitempty"`
	// Workers are those that run, by name.
	Workers []ProcessorWorker `json:"workers"`
	// Lost are the workers that do not obey the control and have stopped to renew their shares within the last hour, without having been
	// stopped, by name. Each has died, is frozen or cannot reach the store; in that last case it still sends.
	Lost []LostWorker `json:"lost,omitempty"`
}

// LostWorker is a worker that does not renew its share of a processor's rate any more.
type LostWorker struct {
	Worker string `json:"worker"`
	// LeaseEnded is when its share has ended, some seconds after it was last renewed.
	LeaseEnded time.Time `json:"lease_ended"`
}

// ProcessorWorker is a running worker, as far as the calls to one processor are concerned.
type ProcessorWorker struct {
	Worker string `json:"worker"`
	// PerSecond and Burst are its share of the rate. Both are 0 if the rate of all workers together has no limit.
	PerSecond float64 `json:"per_second"`
	Burst     int     `json:"burst"`
	// Demand is how many calls the worker has to make, in calls per second.
	Demand float64 `json:"demand"`
	// Applied reports whether the worker obeys the latest revision of the control.
	Applied bool `json:"applied"`
}

// ProcessorStates is the result of [ActivityListProcessors].
type ProcessorStates struct {
	Processors []ProcessorState `json:"processors"`
}
