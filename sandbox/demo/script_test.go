package demo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScriptOfTheDemoIsValid(t *testing.T) {
	steps, err := ReadScript(Builtin)
	require.NoError(t, err)
	require.Greater(t, len(steps), 12)
	last := steps[len(steps)-1]
	require.NotNil(t, last.Refund)
	require.Contains(t, last.Refund.PaymentID, "pay_", "the payment ID is derived from the charge's key")
}

func TestInvalidScriptLinesAreReportedWithTheirNumbers(t *testing.T) {
	const good = `{"charge":{"merchant_id":"acme","idempotency_key":"k","amount":1,"currency":"USD","payment_method":"tok_visa"}}`
	manual := strings.Replace(strings.TrimSuffix(good, "}"), `"k"`, `"k","capture":"manual"`, 1)
	path := filepath.Join(t.TempDir(), "script.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(good+`

{"charge":{"merchant_id":"acme","idempotency_key":"z","amount":0,"currency":"USD","payment_method":"tok_visa"}}
{"shows":"nothing"}
{"refund":{"merchant_id":"acme","idempotency_key":"r"},"of":"unknown"}
{"surprise":1}
{"refund":{"merchant_id":"acme","idempotency_key":"r"},"of":"k"}
`+manual+`}
`+manual+`,"capture":{},"void":true}
`+manual+`,"capture":{"amount":0}}
`+strings.TrimSuffix(good, "}")+`,"void":true}
{"refund":{"merchant_id":"acme","idempotency_key":"r"},"of":"k","void":true}
`+manual+`,"capture":{"amount":1}}
`), 0o600))
	_, err := ReadScript(path)
	for _, want := range []string{":3: invalid request: amount", ":4: want exactly one of charge and refund", `:5: of: no earlier line has a charge with the key "unknown"`, ":6:",
		":8: want capture or void", ":9: both capture and void", ":10: invalid request: amount", ":11: want capture or void", ":12: capture or void on a refund"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), ":7:")
	require.NotContains(t, err.Error(), ":13:")
}
