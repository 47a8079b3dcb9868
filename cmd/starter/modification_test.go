package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// The command fails if its modification was not executed, even if the payment succeeded or is still authorized.
func TestExitCodeReflectsWhetherTheModificationWasExecuted(t *testing.T) {
	for status, want := range map[payment.Status]struct{ capture, void int }{
		payment.Succeeded:            {capture: exitOK, void: exitFailed},
		payment.Authorized:           {capture: exitFailed, void: exitFailed},
		payment.Voided:               {capture: exitFailed, void: exitOK},
		payment.Expired:              {capture: exitFailed, void: exitFailed},
		payment.Failed:               {capture: exitFailed, void: exitFailed},
		payment.Declined:             {capture: exitDeclined, void: exitDeclined},
		payment.Processing:           {capture: exitUnknown, void: exitUnknown},
		payment.RequiresAction:       {capture: exitUnknown, void: exitUnknown},
		payment.Pending:              {capture: exitUnknown, void: exitUnknown},
		payment.Unknown:              {capture: exitUnknown, void: exitUnknown},
		payment.NeedsReconciliation:  {capture: exitUnknown, void: exitUnknown},
		payment.Conflicted:           {capture: exitUnknown, void: exitUnknown},
		"a status of a newer worker": {capture: exitUnknown, void: exitUnknown},
	} {
		require.Equal(t, want.capture, exitCode(modificationOutcome("capture", status, payment.Succeeded)), status)
		require.Equal(t, want.void, exitCode(modificationOutcome("void", status, payment.Voided)), status)
	}
	require.EqualError(t, modificationOutcome("capture", payment.Authorized, payment.Succeeded), "the capture was not executed: the payment is authorized")
	require.EqualError(t, modificationOutcome("void", payment.Pending, payment.Voided), "the payment is pending")
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
