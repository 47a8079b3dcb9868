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
	t.Parallel()
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
	t.Parallel()
	for name, tt := range map[string]struct {
		state        sendState
		after, grace time.Duration
		complete     bool
		want         bool
	}{
		"after the grace period":                {state: ambiguous, after: time.Minute, grace: time.Minute, want: true},
		"before it":                             {state: ambiguous, after: time.Minute - 1, grace: time.Minute},
		"a processor without a grace period":    {state: ambiguous, after: 1000 * day},
		"a call that no worker picked up":       {state: untaken, want: true},
		"a refusal and a complete list":         {state: rejected, complete: true, want: true},
		"a refusal and a search index":          {state: rejected, after: time.Minute - 1, grace: time.Minute},
		"a refusal after the grace period":      {state: rejected, after: time.Minute, grace: time.Minute, want: true},
		"a lost response and a complete list":   {state: ambiguous, complete: true},
		"an operation that was never sent":      {state: unsent, after: day, grace: time.Minute},
		"an operation that the processor named": {state: answered, after: day, grace: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			s := sends{state: tt.state, last: baseTime}
			require.Equal(t, tt.want, s.provesAbsence(baseTime.Add(tt.after), tt.grace, tt.complete))
		})
	}
}

func TestRecordThatShowsNothingOfAModification(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		state    sendState
		class    payment.FailureClass
		after    time.Duration
		sendable bool
		want     action
	}{
		"a refusal of the only send":                    {state: rejected, class: payment.ClassStateConflict, sendable: true, want: conclude},
		"a refusal after a lost response":               {state: ambiguous, class: payment.ClassStateConflict, sendable: true, want: wait},
		"a refusal after a lost response and the grace": {state: ambiguous, class: payment.ClassStateConflict, after: time.Minute, sendable: true, want: conclude},
		"a lost response":                               {state: ambiguous, class: payment.ClassOutcomeUnknown, sendable: true, want: resend},
		"a lost response of an expired key":             {state: ambiguous, class: payment.ClassOutcomeUnknown, want: wait},
		"such a response after the grace":               {state: ambiguous, class: payment.ClassOutcomeUnknown, after: time.Minute, want: conclude},
		"an unavailable processor":                      {state: ambiguous, class: payment.ClassUnavailable, sendable: true, want: resend},
		"a rate limit":                                  {state: ambiguous, class: payment.ClassRateLimited, sendable: true, want: resend},
		"a call that was not sent":                      {state: ambiguous, class: payment.ClassNotSent, sendable: true, want: resend},
		"an unreadable response":                        {state: ambiguous, class: payment.ClassInvalidResponse, sendable: true, want: wait},
		"a key that was used for another payload":       {state: ambiguous, class: payment.ClassIdempotencyMismatch, sendable: true, want: wait},
	} {
		s := sends{state: tt.state, last: baseTime, failure: payment.Failure{Class: tt.class}}
		require.Equal(t, tt.want, s.onUnchanged(baseTime.Add(tt.after), time.Minute, tt.sendable), name)
	}
}

func TestRefusalForTheStateOfThePaymentIsOneOnlyForTheFirstSend(t *testing.T) {
	t.Parallel()
	conflict := activities.CallFailure{Failure: payment.Failure{Class: payment.ClassStateConflict}, Ambiguous: true}
	s := sends{}
	s.fail(baseTime, conflict, true)
	require.Equal(t, rejected, s.state)
	conflict.Earlier = true
	s.fail(baseTime, conflict, true)
	require.Equal(t, ambiguous, s.state)
}
