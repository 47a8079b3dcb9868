package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/florintest"
	"github.com/florinpay/florin/internal/settlement"
	"github.com/florinpay/florin/payment"
)

// Nothing is compared, and no connection is made.
func TestInvalidSettlementFileOrFlagIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "settlement.csv")
	require.NoError(t, os.WriteFile(path, []byte("Ref;Betrag;Currency\na;1,00;EUR\n"), 0o600))
	valid := []string{"--processor", "psp", "--map", "reference=Ref,amount=Betrag,currency=Currency", "--from", "2026-11-22T00:00:00Z", "--to", "2026-11-23T00:00:00Z"}
	for want, args := range map[string][]string{
		`no column "Amount" for amount: the file has "Ref", "Betrag", "Currency"`: {"--map", "reference=Ref,amount=Amount,currency=Currency"},
		"the mapping lacks [amount currency]":                                     {"--map", "reference=Ref"},
		`--processor "": want the name`:                                           {"--processor", ""},
		`--amounts "cents": want major or minor`:                                  {"--amounts", "cents"},
		`--decimal ";": want . or ,`:                                              {"--decimal", ";"},
		"is the decimal separator, too":                                           {"--decimal", ",", "--thousands", ","},
		`--thousands "x": want one of`:                                            {"--thousands", "x"},
		`--delimiter "::": want one ASCII character`:                              {"--delimiter", "::"},
		`--zone "Mars": want a name`:                                              {"--zone", "Mars"},
		`--from "yesterday": want an RFC 3339 time`:                               {"--from", "yesterday"},
		"--margin -1h0m0s, --lookback 168h0m0s: want 0 to 9600h0m0s":              {"--margin", "-1h"},
		"the time to compare is unknown":                                          {"--to", ""},
		"no such file":                                                            {"--file", path + "x"},
	} {
		_, _, err := execute(t, "", append(append([]string{"reconcile", "--file", path}, valid...), args...)...)
		require.ErrorContains(t, err, want)
		require.Equal(t, exitUsage, exitCode(err), "%v", err)
	}
	_, _, err := execute(t, "", append([]string{"reconcile", "file"}, valid...)...)
	require.ErrorContains(t, err, "0 files: want one")
	require.Equal(t, exitUsage, exitCode(err))
	_, _, err = execute(t, "Ref,Amount\n", append([]string{"reconcile", "file", "-"}, valid...)...)
	require.ErrorContains(t, err, `-: line 1: no column "Betrag"`)
	_, _, err = execute(t, "", append([]string{"reconcile", "file", path}, valid...)...)
	require.Equal(t, exitError, exitCode(err), "a valid file needs a connection")
}

// compareFile compares a file with the payments and refunds of a fake.
func compareFile(t *testing.T, fake *florintest.Fake, file string, args ...string) (stdout string, err error) {
	t.Helper()
	var f settlementFlags
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.Flags().Bool("json", false, "")
	f.flags(cmd.Flags())
	require.NoError(t, cmd.ParseFlags(append([]string{
		"--processor", "simulator", "--map", "reference=Ref,amount=Amount,currency=Currency,type=Type", "--margin", "0",
		"--from", "2026-11-22T00:00:00Z", "--to", "2026-11-23T00:00:00Z",
	}, args...)))
	var out, errOut bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	format, err := f.format()
	require.NoError(t, err)
	o, err := f.options()
	require.NoError(t, err)
	o.Lines, err = settlement.NewReader(strings.NewReader("Ref,Type,Amount,Currency\n"+file), format)
	require.NoError(t, err)
	o.Store = fake
	err = f.compare(cmd, o)
	return out.String(), err
}

func TestDifferencesAreFollowedByATableThatAddsUp(t *testing.T) {
	fake := florintest.NewWithOptions(florintest.Options{Now: func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }})
	charge := func(key string) string {
		c, err := fake.Charge(t.Context(), payment.ChargeRequest{
			MerchantID: "acme", IdempotencyKey: key, Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
		})
		require.NoError(t, err)
		return c.PaymentID
	}
	one, two := charge("1"), charge("2")
	_, err := fake.Refund(t.Context(), payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "r", PaymentID: one, Amount: new(int64(250))})
	require.NoError(t, err)
	same := one + ",charge,12.50,USD\n" + one + ",refund,-2.50,USD\n"

	out, err := compareFile(t, fake, same+two+",charge,12.50,USD\n")
	require.NoError(t, err)
	require.Equal(t, `2026-11-22T00:00:00Z to 2026-11-23T00:00:00Z, simulator: 3 lines (0 ignored, 0 outside), 2 payments, 1 refunds
                file   here  difference  explained  unexplained
    USD gross  25.00  25.00        0.00       0.00         0.00
  USD refunds   2.50   2.50        0.00       0.00         0.00
`, out)

	file := same + two + ",charge,10.00,USD\nforeign,charge,1.00,USD\nbroken,charge,x,USD\n"
	out, err = compareFile(t, fake, file)
	require.ErrorContains(t, err, "3 differences between the file and what is stored")
	require.Equal(t, exitError, exitCode(err))
	reference := payment.ProcessorKey(two, payment.OperationCharge, 0)
	for _, line := range []string{
		`amount  line 4  "` + reference + `"  ` + two + "  there 10.00 USD  here 12.50 USD\n",
		"missing_here  line 5  \"foreign\"  there 1.00 USD\n",
		`unreadable  line 6  "broken"  amount: "x" is not an amount: want digits, decimals after "."` + "\n",
	} {
		require.Contains(t, out, line)
	}
	require.Contains(t, out, `amount=1 missing_here=1 unreadable=1
                file   here  difference  explained  unexplained
    USD gross  23.50  25.00       -1.50      -1.50         0.00
  USD refunds   2.50   2.50        0.00       0.00         0.00
`)

	out, err = compareFile(t, fake, file, "--show", "1")
	require.Error(t, err)
	require.Equal(t, 1, strings.Count(out, "  line "))
	require.Contains(t, out, "… and 2 more: see --show\n")

	out, err = compareFile(t, fake, file, "--json", "--show", "1")
	require.Equal(t, exitError, exitCode(err))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 4)
	var finding settlement.Finding
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &finding))
	require.NotEmpty(t, finding.Kind)
	var last struct{ Summary settlement.Summary }
	require.NoError(t, json.Unmarshal([]byte(lines[3]), &last))
	require.Equal(t, int64(3), last.Summary.Found())
	require.Equal(t, settlement.Sums{There: 2350, Here: 2500, Explained: -150}, last.Summary.Totals[0].Gross)
}
