package stripe

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v85"

	"github.com/florinpay/florin/payment"
)

// exportedConstants returns the constants in stripe-go's source by type, then by name. It parses the source, because a program
// cannot list constants.
func exportedConstants(t *testing.T) map[string]map[string]string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}",
		"github.com/stripe/stripe-go/v85").Output()
	require.NoError(t, err)
	constants := map[string]map[string]string{}
	for _, name := range []string{"error.go", "paymentintent.go", "refund.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), name), nil,
			parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			typed, isNamed := spec.Type.(*ast.Ident)
			literal, isLiteral := spec.Values[0].(*ast.BasicLit)
			if !isNamed || !isLiteral || !spec.Names[0].IsExported() {
				return true
			}
			value, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			if constants[typed.Name] == nil {
				constants[typed.Name] = map[string]string{}
			}
			constants[typed.Name][spec.Names[0].Name] = value
			return true
		})
	}
	return constants
}

// keys returns the keys of a table as strings.
func keys[K ~string, V any](table map[K]V) []string {
	var all []string
	for key := range table {
		all = append(all, string(key))
	}
	return all
}

// Fails after an update of stripe-go that adds or removes a code, so that codes.go is updated.
func TestExactlyTheCodesOfStripeGoAreClassified(t *testing.T) {
	constants := exportedConstants(t)
	for name, tc := range map[string]struct {
		classified []string
		atLeast    int
	}{
		"ErrorType":           {classified: keys(errorTypes), atLeast: 6},
		"ErrorCode":           {classified: keys(errorCodes), atLeast: 186},
		"DeclineCode":         {classified: keys(declineCodes), atLeast: 47},
		"PaymentIntentStatus": {classified: keys(paymentStatuses), atLeast: 7},
		"RefundStatus":        {classified: keys(refundStatuses), atLeast: 5},
		"RefundFailureReason": {classified: keys(refundFailures), atLeast: 3},
	} {
		t.Run(name, func(t *testing.T) {
			require.GreaterOrEqual(t, len(constants[name]), tc.atLeast, "constants found in the source")
			var unclassified []string
			for constant, value := range constants[name] {
				if !slices.Contains(tc.classified, value) {
					unclassified = append(unclassified, constant)
				}
			}
			slices.Sort(unclassified)
			require.Empty(t, unclassified, "new in stripe-go: classify them in codes.go")
			exported := slices.Collect(maps.Values(constants[name]))
			require.Empty(t, slices.DeleteFunc(tc.classified, func(code string) bool { return slices.Contains(exported, code) }),
				"removed from stripe-go")
		})
	}
}

func TestCodeWithTwoMeaningsPanics(t *testing.T) {
	require.PanicsWithValue(t, "listed twice: a", func() {
		invert[stripe.ErrorCode](map[meaning]string{byStatus: "a", conflict: "a"})
	})
}

func TestDeclineKind(t *testing.T) {
	for code, want := range map[stripe.DeclineCode]payment.DeclineKind{
		"lost_card": payment.DeclineHard, "stolen_card": payment.DeclineHard, "fraudulent": payment.DeclineHard,
		"pickup_card":  payment.DeclineHard,
		"expired_card": payment.DeclineHard, "do_not_try_again": payment.DeclineHard,
		"insufficient_funds": payment.DeclineSoft, "do_not_honor": payment.DeclineSoft,
		"try_again_later":         payment.DeclineSoft,
		"authentication_required": payment.DeclineAction, "incorrect_cvc": payment.DeclineAction,
		"": payment.DeclineSoft, "unknown_code": payment.DeclineSoft,
	} {
		require.Equal(t, want, declineKind("card_declined", code, ""), code)
		require.Equal(t, payment.DeclineHard, declineKind("card_declined", code, "do_not_try_again"), code)
	}
	require.Equal(t, payment.DeclineHard, declineKind("expired_card", "", ""))
	require.Equal(t, payment.DeclineAction, declineKind("authentication_required", "", "try_again_later"))
	require.Equal(t, payment.DeclineSoft, declineKind("", "", ""))
}

// A conflict is not a decline, even with a 402.
func TestOnlyA402IsADecline(t *testing.T) {
	for code, meaning := range errorCodes {
		for kind := range errorTypes {
			for _, status := range []int{400, 404, 409, 422, 429, 500} {
				require.False(t, isDecline(status, kind, code), "%d %s %s", status, kind, code)
			}
			want := kinds[meaning] != "" || kind == stripe.ErrorTypeCard && meaning != conflict && meaning != inFlight
			require.Equal(t, want, isDecline(402, kind, code), "%s %s", kind, code)
		}
	}
}

func TestProfileFollowsStripesDocumentation(t *testing.T) {
	p := Profile()
	require.Equal(t, []any{"24h0m0s", 255, "0s", "Stripe-Should-Retry", false},
		[]any{p.KeyLifetime.String(), p.KeyMaxLength, p.AbsenceProofAfter.String(), p.RetryHeader,
			p.Unavailable503NotExecuted})
	require.True(t, p.InFlight(409, "idempotency_key_in_use"))
	require.True(t, p.InFlight(429, "lock_timeout"))
	require.False(t, p.InFlight(429, "rate_limit"))
	require.True(t, p.ObjectLevel(429, "lock_timeout"))
	require.False(t, p.ObjectLevel(429, "rate_limit"))
	require.False(t, p.ObjectLevel(429, ""))
	require.True(t, p.Mismatch(400, "idempotency_error"))
	require.False(t, p.Mismatch(409, "idempotency_error"), "a 409 means a key in use")
	require.False(t, p.Mismatch(400, ""))
}
