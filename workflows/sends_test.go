package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
)

var (
	notExecutedSend = activities.CallFailure{Failure: payment.Failure{Class: payment.ClassRateLimited}}
	ambiguousSend   = activities.CallFailure{Failure: payment.Failure{Class: payment.ClassOutcomeUnknown}, Ambiguous: true}
	untakenSend     = activities.CallFailure{
		Failure: payment.Failure{Class: payment.ClassOutcomeUnknown}, Ambiguous: true, NeverTaken: true,
	}
)

func TestAmbiguityIsSticky(t *testing.T) {
	type failures = []activities.CallFailure
	for name, tt := range map[string]struct {
		from         sendState
		sends        failures
		acknowledged bool
		want         sendState
	}{
		"nothing was sent":                {want: unsent},
		"a refusal":                       {sends: failures{notExecutedSend}, want: unsent},
		"a call that no worker picked up": {sends: failures{untakenSend}, want: untaken},
		"a call of an acknowledged payment that no worker picked up": {sends: failures{untakenSend}, acknowledged: true, want: ambiguous},
		"a lost response":                                        {sends: failures{ambiguousSend}, want: ambiguous},
		"a refusal after a lost response":                        {sends: failures{ambiguousSend, notExecutedSend}, want: ambiguous},
		"a call that no worker picked up, after a refusal":       {sends: failures{notExecutedSend, untakenSend}, want: untaken},
		"a call that no worker picked up, after a lost response": {sends: failures{ambiguousSend, untakenSend}, want: ambiguous},
		"a refusal after an earlier run may have sent it":        {from: ambiguous, sends: failures{notExecutedSend}, want: ambiguous},
		"a lost response after the processor has responded":      {from: answered, sends: failures{ambiguousSend}, want: answered},
	} {
		t.Run(name, func(t *testing.T) {
			s := sends{state: tt.from}
			for i, f := range tt.sends {
				at := baseTime.Add(time.Duration(i) * time.Second)
				s.fail(at, f, tt.acknowledged)
				require.Equal(t, at, s.last)
				require.Equal(t, f.Failure, s.failure)
			}
			require.Equal(t, tt.want, s.state)
			require.Equal(t, tt.want != unsent, s.mayBeExecuted())
		})
	}
}

func TestAbsenceIsProofOnlyAfterTheGracePeriod(t *testing.T) {
	for name, tt := range map[string]struct {
		state        sendState
		after, grace time.Duration
		want         bool
	}{
		"after the grace period":                           {state: ambiguous, after: time.Minute, grace: time.Minute, want: true},
		"before the end of the grace period":               {state: ambiguous, after: time.Minute - 1, grace: time.Minute},
		"a processor whose absence is never proof":         {state: ambiguous, after: 1000 * day},
		"a call that no worker picked up":                  {state: untaken, want: true},
		"an operation that was never sent":                 {state: unsent, after: day, grace: time.Minute},
		"an operation that the processor has acknowledged": {state: answered, after: day, grace: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			s := sends{state: tt.state, last: baseTime}
			require.Equal(t, tt.want, s.provesAbsence(baseTime.Add(tt.after), tt.grace))
		})
	}
}

func TestUnchangedRecordLeadsToWaitResendOrConclude(t *testing.T) {
	for class, tt := range map[payment.FailureClass]struct {
		// early is before the end of the grace period, late after it, and expired after the key lifetime.
		early, late, expired action
	}{
		payment.ClassStateConflict:       {early: conclude, late: conclude, expired: conclude},
		payment.ClassIdempotencyMismatch: {early: conclude, late: conclude, expired: conclude},
		payment.ClassOutcomeUnknown:      {early: resend, late: resend, expired: conclude},
		payment.ClassUnavailable:         {early: resend, late: resend, expired: conclude},
		payment.ClassRateLimited:         {early: resend, late: resend, expired: conclude},
		payment.ClassNotSent:             {early: resend, late: resend, expired: conclude},
		payment.ClassInvalidResponse:     {early: wait, late: conclude, expired: conclude},
		payment.ClassConfig:              {early: wait, late: conclude, expired: conclude},
	} {
		s := sends{state: ambiguous, last: baseTime, failure: payment.Failure{Class: class}}
		require.Equal(t, tt.early, s.onUnchanged(baseTime.Add(time.Second), time.Minute, true), class)
		require.Equal(t, tt.late, s.onUnchanged(baseTime.Add(time.Minute), time.Minute, true), class)
		require.Equal(t, tt.expired, s.onUnchanged(baseTime.Add(time.Second), time.Minute, false), class)
	}
}
