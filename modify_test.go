package florin

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// A nil error means that the payment is as requested; what provably did nothing carries the payment.
func TestModificationWithoutErrorIsDone(t *testing.T) {
	const (
		done        = "done"
		notExecuted = "not executed"
	)
	capture := modification{operation: payment.OperationCapture, done: func(c payment.Charge) bool { return c.Captured(payment.CaptureRequest{}) }}
	void := modification{operation: payment.OperationVoid, done: func(c payment.Charge) bool { return c.Status == payment.Voided }}
	for status, want := range map[payment.Status]struct{ capture, void any }{
		payment.Succeeded:           {capture: done, void: notExecuted},
		payment.Authorized:          {capture: notExecuted, void: notExecuted},
		payment.RequiresAction:      {capture: ErrOutcomePending, void: notExecuted},
		payment.Pending:             {capture: ErrOutcomePending, void: notExecuted},
		payment.Declined:            {capture: notExecuted, void: notExecuted},
		payment.Voided:              {capture: notExecuted, void: done},
		payment.Expired:             {capture: notExecuted, void: done},
		payment.Unknown:             {capture: ErrOutcomePending, void: ErrOutcomePending},
		payment.NeedsReconciliation: {capture: ErrOutcomePending, void: ErrOutcomePending},
		payment.Conflicted:          {capture: ErrConflicted, void: ErrConflicted},
	} {
		charge := payment.Charge{PaymentID: "pay_1", Status: status, Amount: 1250, CapturedAmount: 1250, Currency: "USD"}
		for _, c := range []struct {
			m    modification
			want any
		}{{m: capture, want: want.capture}, {m: void, want: want.void}} {
			err := c.m.outcome("charge/acme/order-1", charge)
			switch c.want {
			case done:
				require.NoError(t, err, "%s of %s", c.m.operation, status)
			case notExecuted:
				var got *NotExecutedError
				require.ErrorAs(t, err, &got, "%s of %s", c.m.operation, status)
				require.Equal(t, charge, got.Payment)
				require.Equal(t, c.m.operation, got.Operation)
			default:
				require.ErrorIs(t, err, c.want.(error), "%s of %s", c.m.operation, status)
			}
		}
	}
	err := &NotExecutedError{Operation: payment.OperationCapture, Payment: payment.Charge{
		PaymentID: "pay_1", Status: payment.Authorized, Failure: &payment.Failure{Class: payment.ClassStateConflict, Message: "the processor declined the capture"},
	}}
	require.EqualError(t, err, "the capture of payment pay_1 was not executed: the payment is authorized: state_conflict: the processor declined the capture")
}
