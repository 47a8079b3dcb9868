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
	untakenSend     = activities.CallFailure{Failure: payment.Failure{Class: payment.ClassOutcomeUnknown}, Ambiguous: true, NeverTaken: true}
)

func TestAmbiguityIsSticky(t *testing.T) {
	for name, tt := range map[string]struct {
		from         sendState
		sends        []activities.CallFailure
		acknowledged bool
		want         sendState
	}{
		"nothing":                                     {want: unsent},
		"a refusal":                                   {sends: []activities.CallFailure{notExecutedSend}, want: unsent},
		"a call that no worker picked up":             {sends: []activities.CallFailure{untakenSend}, want: untaken},
		"such a call of a known payment":              {sends: []activities.CallFailure{untakenSend}, acknowledged: true, want: ambiguous},
		"a lost response":                             {sends: []activities.CallFailure{ambiguousSend}, want: ambiguous},
		"a refusal after a lost response":             {sends: []activities.CallFailure{ambiguousSend, notExecutedSend}, want: ambiguous},
		"a call without worker after a refusal":       {sends: []activities.CallFailure{notExecutedSend, untakenSend}, want: untaken},
		"a call without worker after a lost response": {sends: []activities.CallFailure{ambiguousSend, untakenSend}, want: ambiguous},
		"a refusal after an earlier run":              {from: ambiguous, sends: []activities.CallFailure{notExecutedSend}, want: ambiguous},
		"a lost response after an answer":             {from: answered, sends: []activities.CallFailure{ambiguousSend}, want: answered},
	} {
		t.Run(name, func(t *testing.T) {
			s := sends{state: tt.from}
			for i, f := range tt.sends {
				at := long.Add(time.Duration(i) * time.Second)
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
		"after the grace period":                {state: ambiguous, after: time.Minute, grace: time.Minute, want: true},
		"before it":                             {state: ambiguous, after: time.Minute - 1, grace: time.Minute},
		"a processor without a grace period":    {state: ambiguous, after: 1000 * day},
		"a call that no worker picked up":       {state: untaken, want: true},
		"an operation that was never sent":      {state: unsent, after: day, grace: time.Minute},
		"an operation that the processor named": {state: answered, after: day, grace: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			s := sends{state: tt.state, last: long}
			require.Equal(t, tt.want, s.provesAbsence(long.Add(tt.after), tt.grace))
		})
	}
}

func TestRecordThatShowsNothingOfAModification(t *testing.T) {
	for class, tt := range map[payment.FailureClass]struct{ early, late, expired action }{
		payment.ClassStateConflict:       {early: conclude, late: conclude, expired: conclude},
		payment.ClassIdempotencyMismatch: {early: conclude, late: conclude, expired: conclude},
		payment.ClassOutcomeUnknown:      {early: resend, late: resend, expired: conclude},
		payment.ClassUnavailable:         {early: resend, late: resend, expired: conclude},
		payment.ClassRateLimited:         {early: resend, late: resend, expired: conclude},
		payment.ClassNotSent:             {early: resend, late: resend, expired: conclude},
		payment.ClassInvalidResponse:     {early: wait, late: conclude, expired: conclude},
		payment.ClassConfig:              {early: wait, late: conclude, expired: conclude},
	} {
		s := sends{state: ambiguous, last: long, failure: payment.Failure{Class: class}}
		require.Equal(t, tt.early, s.onUnchanged(long.Add(time.Second), time.Minute, true), class)
		require.Equal(t, tt.late, s.onUnchanged(long.Add(time.Minute), time.Minute, true), class)
		require.Equal(t, tt.expired, s.onUnchanged(long.Add(time.Second), time.Minute, false), class)
	}
}
