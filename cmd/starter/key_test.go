package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// aCentury is a key window that does not end during a test: it started in 1970.
const aCentury = "876000h"

// inThisCentury returns the key in the window of aCentury.
func inThisCentury(t *testing.T, derive func(time.Time, time.Duration) (string, error)) string {
	t.Helper()
	key, err := derive(time.Unix(0, 0), 876000*time.Hour)
	require.NoError(t, err)
	return key
}

func TestAutomaticKeyIsPrintedBeforeConnecting(t *testing.T) {
	charge := payment.ChargeRequest{MerchantID: "acme", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa", Metadata: map[string]string{"order": "1"}}
	refund := payment.RefundRequest{MerchantID: "acme", PaymentID: payment.PaymentID("acme", "order-1"), Amount: new(int64(500)), Currency: "USD"}
	for name, c := range map[string]struct {
		line string
		want string
	}{
		"charge": {
			"charge --merchant acme --amount 12.50 --currency USD --payment-method tok_visa --metadata order=1",
			inThisCentury(t, func(at time.Time, window time.Duration) (string, error) {
				return payment.ContentKey(charge, at, window)
			}),
		},
		"refund": {
			"refund --merchant acme --charge-key order-1 --amount 5.00 --currency USD",
			inThisCentury(t, func(at time.Time, window time.Duration) (string, error) {
				return payment.ContentKey(refund, at, window)
			}),
		},
	} {
		for _, output := range []string{"", " --json"} {
			t.Run(name+output, func(t *testing.T) {
				// There is no Temporal server: the key is printed although the command fails.
				stdout, stderr, err := execute(t, "", strings.Fields(c.line+" --key auto --key-window "+aCentury+output)...)
				require.ErrorContains(t, err, "no Temporal server answers")
				require.Empty(t, stdout, "standard output is for the outcome only")
				require.Equal(t, "to retry: --key "+c.want+"\n", stderr)
			})
		}
	}
}

func TestDefaultWindowOfAnAutomaticKeyIsTenMinutes(t *testing.T) {
	line := strings.Fields("refund --merchant acme --charge-key order-1 --key auto")
	req := payment.RefundRequest{MerchantID: "acme", PaymentID: payment.PaymentID("acme", "order-1")}
	before := time.Now()
	_, stderr, err := execute(t, "", line...)
	require.ErrorContains(t, err, "no Temporal server answers")
	var possible []string // two keys, if a new window began during the command
	for _, at := range []time.Time{before, time.Now()} {
		key, err := payment.ContentKey(req, at, 10*time.Minute)
		require.NoError(t, err)
		possible = append(possible, "to retry: --key "+key+"\n")
	}
	require.Contains(t, possible, stderr)
}

func TestInvalidKeyWindowIsAUsageError(t *testing.T) {
	for _, line := range []string{
		"charge --merchant acme --amount 12.50 --currency USD --payment-method tok_visa",
		"refund --merchant acme --charge-key order-1",
	} {
		for flags, want := range map[string]string{
			"--key auto --key-window 0s":             "--key-window: window 0s: want whole seconds, at least 1s",
			"--key auto --key-window -1m":            "--key-window: window -1m0s: want whole seconds, at least 1s",
			"--key auto --key-window 1.5s":           "--key-window: window 1.5s: want whole seconds, at least 1s",
			"--key auto --key-window 10":             `invalid argument "10" for "--key-window" flag`,
			"--key order-1 --key-window 1m":          "--key-window can be used only with --key auto",
			"--key Auto --key-window 1m":             "--key-window can be used only with --key auto",
			"--key-window 1m --key auto-12345678-90": "--key-window can be used only with --key auto",
		} {
			_, stderr, err := execute(t, "", strings.Fields(line+" "+flags)...)
			require.ErrorContains(t, err, want)
			require.Equal(t, exitUsage, exitCode(err))
			require.Empty(t, stderr)
		}
	}
}

func TestOtherKeysAreNotPrinted(t *testing.T) {
	for _, key := range []string{"order-1", "Auto", "auto-", "automatic", "auto-44a7270c-55e8-559e-a5f5-80543c77e044"} {
		_, stderr, err := execute(t, "", "refund", "--merchant", "acme", "--charge-key", "order-1", "--key", key)
		require.ErrorContains(t, err, "no Temporal server answers")
		require.Empty(t, stderr)
	}
}

// A key derived from a card number could confirm a guess of the number.
func TestNoKeyIsDerivedFromAnInvalidRequest(t *testing.T) {
	stdout, stderr, err := execute(t, "", "charge", "--key", "auto", "--merchant", "acme", "--amount", "12.50", "--currency", "USD", "--payment-method", card)
	require.Equal(t, exitUsage, exitCode(err), "%v", err)
	require.Empty(t, stdout+stderr)
	require.NotContains(t, err.Error(), "auto")
}

// In a file, each line must have its own key. If auto were special there, two equal lines would be one charge, and the
// same file could charge again a few minutes later.
func TestAutoIsAnOrdinaryKeyInAFile(t *testing.T) {
	lines, err := readLines(strings.NewReader(request("order-1", autoKey) + "\n" + request("order-1", autoKey, "1250", "99")))
	require.NoError(t, err)
	require.Len(t, lines, 2)
	require.Equal(t, autoKey, lines[0].req.IdempotencyKey)
	require.Equal(t, autoKey, lines[0].Key)
	require.EqualError(t, lines[1].err, `idempotency_key "auto" was used on line 1`)
}
