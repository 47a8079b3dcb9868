package activities

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/payment"
)

// The caller has no proof: only what has begun may go on, and only in a run that follows the one that has begun it.
func TestStartWithoutAProofIsPermittedOnlyToWhatHasBegun(t *testing.T) {
	began := time.Date(2026, 11, 28, 12, 0, 0, 123456789, time.UTC)
	refusing := &authorize.Authorizer{
		Verifier: &authorize.Verifier{}, Refused: func(string, string) {}, Log: func(string, string, error) {},
	}
	for name, tt := range map[string]struct {
		begun     bool
		storeDown bool
		start     Start
		permitted bool
		retried   bool
	}{
		"a new payment": {start: Start{At: began}},
		"again":         {begun: true, start: Start{At: began.Add(time.Hour)}},
		"in a workflow task after the one that has begun it": {begun: true, start: Start{At: began}, permitted: true},
		"while the store is down":                            {begun: true, storeDown: true, start: Start{At: began}, retried: true},
		"continued as new":                                   {begun: true, start: Start{At: began.Add(time.Hour), Continued: true}, permitted: true},
		"continued as new, and the row is lost":              {start: Start{At: began, Continued: true}, retried: true},
		"reset from the run that has begun it":               {begun: true, start: Start{At: began, Reset: true}, permitted: true},
		"reset from a run that was refused":                  {begun: true, start: Start{At: began.Add(time.Hour), Reset: true}},
		"reset, and the row is lost":                         {start: Start{At: began, Reset: true}},
		"reset while the store is down":                      {begun: true, storeDown: true, start: Start{At: began, Reset: true}, retried: true},
	} {
		t.Run(name, func(t *testing.T) {
			env, p := newPayments(t)
			if tt.begun {
				value, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase, Start{At: began})
				decode[BeginResult](t, value, err)
			}
			p.Authorizer = refusing
			if tt.storeDown {
				require.NoError(t, p.Store.Close())
			}
			_, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase, tt.start)
			var refused *temporal.ApplicationError
			switch {
			case tt.permitted:
				require.NoError(t, err)
			case tt.retried:
				require.ErrorAs(t, err, &refused)
				require.False(t, refused.NonRetryable(), "%v", err)
			default:
				requireRefusal(t, err, payment.ErrNotAuthorized)
			}
		})
	}
}
