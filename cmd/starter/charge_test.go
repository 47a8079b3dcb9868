package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// refused runs a command that must be refused before anything connects, and returns the bad fields.
func refused(t *testing.T, args ...string) map[string]string {
	t.Helper()
	stdout, _, err := execute(t, "", args...)
	require.Equal(t, exitUsage, exitCode(err), "%v", err)
	require.Empty(t, stdout)
	var invalid *payment.InvalidRequestError
	require.ErrorAs(t, err, &invalid)
	problems := map[string]string{}
	for _, f := range invalid.Fields {
		require.NotContains(t, problems, f.Field, "named twice")
		problems[f.Field] = f.Problem
	}
	return problems
}

func TestAllBadFlagsOfAChargeAreReportedAtOnce(t *testing.T) {
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

// Without any flag, the missing amount was left out: the currency was named in its place.
func TestAChargeWithoutFlagsNamesAllThatAreMissing(t *testing.T) {
	problems := refused(t, "charge")
	for _, field := range []string{"merchant_id", "idempotency_key", "amount", "currency", "payment_method"} {
		require.Contains(t, problems, field)
	}
	require.Contains(t, problems["amount"], "is missing")
}

func TestABadAmountNeverReachesTheWorker(t *testing.T) {
	for name, c := range map[string]struct{ amount, currency, field, want string }{
		"too many decimals":    {"12.505", "USD", "amount", "rounding it would change the sum"},
		"decimals of yen":      {"1250.0", "JPY", "amount", "has 1 decimals but JPY has 0"},
		"nothing":              {"0.00", "USD", "amount", `"0.00": must be above 0`},
		"a negative amount":    {"-1", "USD", "amount", "is not a decimal number"},
		"a decimal comma":      {"12,50", "USD", "amount", "is not a decimal number"},
		"an exponent":          {"1e3", "USD", "amount", "is not a decimal number"},
		"too much":             {"10000000000.00", "USD", "amount", "is too large"},
		"no currency":          {"12.50", "", "currency", `unknown currency ""`},
		"a currency in lower":  {"12.50", "usd", "currency", `unknown currency "usd"`},
		"an amount with words": {"12.50 USD", "USD", "amount", "is not a decimal number"},
	} {
		t.Run(name, func(t *testing.T) {
			problems := refused(t, "charge", "--merchant", "acme", "--key", "order-1", "--payment-method", "tok_visa",
				"--amount="+c.amount, "--currency", c.currency)
			require.Len(t, problems, 1)
			require.Contains(t, problems[c.field], c.want)
		})
	}
}

func TestACardNumberIsRefusedAndNeverRepeated(t *testing.T) {
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
