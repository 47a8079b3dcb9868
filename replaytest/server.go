package replaytest

import (
	"time"

	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/durationpb"
)

// The functions in this file do what a Temporal server does with the options of an activity before it records them. Without them,
// a timeout that the code no longer sets would look like one that was never recorded.

// normalizeTimeouts sets missing timeouts and caps the others, like validateAndNormalizeTimeouts in the server's
// chasm/lib/activity. run is the run timeout of the workflow, or 0.
func normalizeTimeouts(a *historypb.ActivityTaskScheduledEventAttributes, run time.Duration) {
	toClose, toStart := a.GetScheduleToCloseTimeout().AsDuration(), a.GetScheduleToStartTimeout().AsDuration()
	attempt := a.GetStartToCloseTimeout().AsDuration()
	switch {
	case toClose > 0:
		toStart, attempt = capped(toStart, toClose), capped(attempt, toClose)
	default:
		toClose = run
		if toStart <= 0 {
			toStart = run
		}
	}
	heartbeat := a.GetHeartbeatTimeout().AsDuration()
	if run > 0 {
		toClose, toStart, attempt, heartbeat = min(toClose, run), min(toStart, run), min(attempt, run), min(heartbeat, run)
	}
	a.ScheduleToCloseTimeout, a.ScheduleToStartTimeout = durationpb.New(toClose), durationpb.New(toStart)
	a.StartToCloseTimeout, a.HeartbeatTimeout = durationpb.New(attempt), durationpb.New(min(heartbeat, attempt))
}

// capped returns the smaller of d and limit, or limit if d is not set.
func capped(d, limit time.Duration) time.Duration {
	if d <= 0 {
		return limit
	}
	return min(d, limit)
}

// retryPolicy sets missing fields like retrypolicy.EnsureDefaults in the server.
func retryPolicy(p *temporal.RetryPolicy) *commonpb.RetryPolicy {
	if p == nil {
		p = &temporal.RetryPolicy{}
	}
	initial, multiplier := p.InitialInterval, p.BackoffCoefficient
	if initial == 0 {
		initial = time.Second
	}
	if multiplier == 0 {
		multiplier = 2
	}
	maxInterval := p.MaximumInterval
	if maxInterval == 0 {
		maxInterval = 100 * initial
	}
	return &commonpb.RetryPolicy{
		InitialInterval: durationpb.New(initial), BackoffCoefficient: multiplier, MaximumInterval: durationpb.New(maxInterval),
		MaximumAttempts: p.MaximumAttempts, NonRetryableErrorTypes: p.NonRetryableErrorTypes,
	}
}
