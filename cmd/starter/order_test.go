package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// An order succeeds only where it was carried out, also if all is well with the payment.
func TestTheExitCodeSaysWhetherAnOrderWasCarriedOut(t *testing.T) {
	for status, want := range map[payment.Status]struct{ capture, void int }{
		payment.Succeeded:            {exitOK, exitFailed},
		payment.Authorized:           {exitFailed, exitFailed},
		payment.Voided:               {exitFailed, exitOK},
		payment.Expired:              {exitFailed, exitFailed},
		payment.Failed:               {exitFailed, exitFailed},
		payment.Declined:             {exitDeclined, exitDeclined},
		payment.Processing:           {exitUnknown, exitUnknown},
		payment.RequiresAction:       {exitUnknown, exitUnknown},
		payment.Pending:              {exitUnknown, exitUnknown},
		payment.Unknown:              {exitUnknown, exitUnknown},
		payment.NeedsReconciliation:  {exitUnknown, exitUnknown},
		payment.Conflicted:           {exitUnknown, exitUnknown},
		"a status of a newer worker": {exitUnknown, exitUnknown},
	} {
		require.Equal(t, want.capture, exitCode(orderOutcome("capture", status, payment.Succeeded)), status)
		require.Equal(t, want.void, exitCode(orderOutcome("void", status, payment.Voided)), status)
	}
	require.EqualError(t, orderOutcome("capture", payment.Authorized, payment.Succeeded), "the capture was not carried out: the payment is authorized")
	require.EqualError(t, orderOutcome("void", payment.Pending, payment.Voided), "the payment is pending")
}

func TestABadAmountOfACaptureNeverReachesTheWorker(t *testing.T) {
	for name, c := range map[string]struct{ amount, currency, field, want string }{
		"nothing":           {"0.00", "USD", "amount", `"0.00": must be above 0`},
		"a negative amount": {"-1", "USD", "amount", "is not a decimal number"},
		"too many decimals": {"12.505", "USD", "amount", "rounding it would change the sum"},
		"no currency":       {"12.50", "", "currency", `unknown currency ""`},
		"a card number":     {card, "USD", "amount", "looks like a card number"},
	} {
		t.Run(name, func(t *testing.T) {
			problems := refused(t, "capture", "--merchant", "acme", "--key", "order-1", "--amount="+c.amount, "--currency", c.currency)
			require.Len(t, problems, 1)
			require.Contains(t, problems[c.field], c.want)
			require.NotContains(t, problems[c.field], card)
		})
	}
}
