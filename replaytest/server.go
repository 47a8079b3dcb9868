package replaytest

import (
	"time"

	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/durationpb"
)

// What a server makes of an activity's options before it writes them down. Without it, a timeout that is not asked for any
// more would look like one that never was.

// asServer fills in the timeouts that are left out, and bounds the others, as validateAndNormalizeTimeouts of the server's
// chasm/lib/activity does.
func asServer(a *historypb.ActivityTaskScheduledEventAttributes, run time.Duration) {
	whole, start, attempt := a.GetScheduleToCloseTimeout().AsDuration(), a.GetScheduleToStartTimeout().AsDuration(), a.GetStartToCloseTimeout().AsDuration()
	switch {
	case whole > 0:
		start, attempt = within(start, whole), within(attempt, whole)
	default:
		whole = run
		if start <= 0 {
			start = run
		}
	}
	beat := a.GetHeartbeatTimeout().AsDuration()
	if run > 0 {
		whole, start, attempt, beat = min(whole, run), min(start, run), min(attempt, run), min(beat, run)
	}
	a.ScheduleToCloseTimeout, a.ScheduleToStartTimeout = durationpb.New(whole), durationpb.New(start)
	a.StartToCloseTimeout, a.HeartbeatTimeout = durationpb.New(attempt), durationpb.New(min(beat, attempt))
}

// within is d, which is no more than limit, and limit where it is left out.
func within(d, limit time.Duration) time.Duration {
	if d <= 0 {
		return limit
	}
	return min(d, limit)
}

// retryPolicy fills in what is left out as retrypolicy.EnsureDefaults of the server does.
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
	longest := p.MaximumInterval
	if longest == 0 {
		longest = 100 * initial
	}
	return &commonpb.RetryPolicy{
		InitialInterval: durationpb.New(initial), BackoffCoefficient: multiplier, MaximumInterval: durationpb.New(longest),
		MaximumAttempts: p.MaximumAttempts, NonRetryableErrorTypes: p.NonRetryableErrorTypes,
	}
}
