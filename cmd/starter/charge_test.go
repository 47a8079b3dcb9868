package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// refused runs a command that must be refused before it connects. It returns the problems by field.
func refused(t *testing.T, args ...string) map[string]string {
	t.Helper()
	stdout, _, err := execute(t, "", args...)
	require.Equal(t, exitUsage, exitCode(err), "%v", err)
	require.Empty(t, stdout)
	var invalid *payment.InvalidRequestError
	require.ErrorAs(t, err, &invalid)
	problems := map[string]string{}
	for _, f := range invalid.Fields {
		require.NotContains(t, problems, f.Field, "the field is reported twice")
		problems[f.Field] = f.Problem
	}
	return problems
}

func TestAllInvalidFlagsOfAChargeAreReportedTogether(t *testing.T) {
	require.Equal(t, map[string]string{
		"merchant_id":     `"a/b": want 1 to 64 of A-Z a-z 0-9 . _ -`,
		"idempotency_key": `"": want 1 to 180 printable ASCII characters without /`,
		"amount":          `amount "12.505" has 3 decimals but USD has 2: rounding it would change the sum`,
		"payment_method":  "is missing: want a token of the processor's vault",
		"capture":         `"later": want "automatic" or "manual"`,
		"processor":       `"a b": want the name of a configured processor, 1 to 64 of A-Z a-z 0-9 . _ -`,
		"metadata":        `key "florin_x": keys that begin with florin_ are Florin's own`,
	}, refused(t, "charge", "--merchant", "a/b", "--amount", "12.505", "--currency", "USD",
		"--capture", "later", "--processor", "a b", "--metadata", "florin_x=1"))
}

// Regression test: without flags, the currency was reported in place of the missing amount.
func TestChargeWithoutFlagsReportsAllRequiredFlags(t *testing.T) {
	problems := refused(t, "charge")
	for _, field := range []string{"merchant_id", "idempotency_key", "amount", "currency", "payment_method"} {
		require.Contains(t, problems, field)
	}
	require.Contains(t, problems["amount"], "is missing")
}

func TestInvalidAmountIsRefusedBeforeConnecting(t *testing.T) {
	for name, c := range map[string]struct{ amount, currency, field, want string }{
		"too many decimals":    {amount: "12.505", currency: "USD", field: "amount", want: "rounding it would change the sum"},
		"yen with decimals":    {amount: "1250.0", currency: "JPY", field: "amount", want: "has 1 decimals but JPY has 0"},
		"zero":                 {amount: "0.00", currency: "USD", field: "amount", want: `"0.00": must be above 0`},
		"negative amount":      {amount: "-1", currency: "USD", field: "amount", want: "is not a decimal number"},
		"decimal comma":        {amount: "12,50", currency: "USD", field: "amount", want: "is not a decimal number"},
		"exponent":             {amount: "1e3", currency: "USD", field: "amount", want: "is not a decimal number"},
		"amount too large":     {amount: "10000000000.00", currency: "USD", field: "amount", want: "is too large"},
		"missing currency":     {amount: "12.50", currency: "", field: "currency", want: `unknown currency ""`},
		"lower-case currency":  {amount: "12.50", currency: "usd", field: "currency", want: `unknown currency "usd"`},
		"amount with currency": {amount: "12.50 USD", currency: "USD", field: "amount", want: "is not a decimal number"},
	} {
		t.Run(name, func(t *testing.T) {
			problems := refused(t, "charge", "--merchant", "acme", "--key", "order-1", "--payment-method", "tok_visa",
				"--amount="+c.amount, "--currency", c.currency)
			require.Len(t, problems, 1)
			require.Contains(t, problems[c.field], c.want)
		})
	}
}

func TestCardNumberIsRefusedAndNotPrinted(t *testing.T) {
	for _, flag := range []string{"merchant", "key", "amount", "currency", "payment-method", "customer", "description"} {
		t.Run(flag, func(t *testing.T) {
			args := map[string]string{"merchant": "acme", "key": "order-1", "amount": "12.50", "currency": "USD", "payment-method": "tok_visa"}
			args[flag] = card
			line := []string{"charge"}
			for name, value := range args {
				line = append(line, "--"+name, value)
			}
			stdout, stderr, err := execute(t, "", line...)
			require.Equal(t, exitUsage, exitCode(err), "%v", err)
			require.NotContains(t, err.Error()+stdout+stderr, card)
		})
	}
}
