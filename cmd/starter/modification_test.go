package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// The command fails if its modification was not executed, even if the payment succeeded or is still authorized.
func TestExitCodeReflectsThatTheModificationWasNotExecuted(t *testing.T) {
	for status, want := range map[payment.Status]int{
		payment.Succeeded:            exitFailed,
		payment.Authorized:           exitFailed,
		payment.Voided:               exitFailed,
		payment.Expired:              exitFailed,
		payment.Failed:               exitFailed,
		payment.Declined:             exitDeclined,
		payment.RequiresAction:       exitUnknown,
		payment.Pending:              exitUnknown,
		"a status of a newer worker": exitUnknown,
	} {
		require.Equal(t, want, exitCode(&florin.NotExecutedError{Operation: payment.OperationVoid, Payment: payment.Charge{Status: status}}), status)
	}
}

func TestInvalidCaptureAmountIsRefusedBeforeConnecting(t *testing.T) {
	for name, c := range map[string]struct{ amount, currency, field, want string }{
		"zero":              {amount: "0.00", currency: "USD", field: "amount", want: `"0.00": must be above 0`},
		"negative amount":   {amount: "-1", currency: "USD", field: "amount", want: "is not a decimal number"},
		"too many decimals": {amount: "12.505", currency: "USD", field: "amount", want: "rounding it would change the sum"},
		"missing currency":  {amount: "12.50", currency: "", field: "currency", want: `unknown currency ""`},
		"card number":       {amount: card, currency: "USD", field: "amount", want: "looks like a card number"},
	} {
		t.Run(name, func(t *testing.T) {
			problems := refused(t, "capture", "--merchant", "acme", "--key", "order-1", "--amount="+c.amount, "--currency", c.currency)
			require.Len(t, problems, 1)
			require.Contains(t, problems[c.field], c.want)
			require.NotContains(t, problems[c.field], card)
		})
	}
}
