package payment

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// If one of these ids changed, a payment that continues after an upgrade would be charged again.
func TestIdsNeverChange(t *testing.T) {
	const paymentID, refundID = "pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc", "ref_d07ff4cd-4518-52d0-963b-8809dc11e4b5"
	require.Equal(t, paymentID, PaymentID("acme", "order-1"))
	require.Equal(t, refundID, RefundID("acme", "order-1"))
	require.Equal(t, "efeeb2a8-efa9-5974-af78-6609d753d2a0", ProcessorKey(paymentID, OperationCharge, 0))
	require.Equal(t, "42799c77-60c6-5f0f-b070-093fc5a95932", ProcessorKey(paymentID, OperationCharge, 1))
	require.Equal(t, "25c7c02d-89ae-5f0e-8356-39d2b5422610", ProcessorKey(refundID, OperationRefund, 0))
}

func TestIdsAreUUIDsOfVersion5AndFitEveryProcessor(t *testing.T) {
	for _, id := range []string{PaymentID("", ""), PaymentID("acme", strings.Repeat("k", 180)), PaymentID("ä/\x00", "🙂")} {
		u, err := uuid.Parse(strings.TrimPrefix(id, "pay_"))
		require.NoError(t, err)
		require.EqualValues(t, 5, u.Version())
		require.Len(t, id, 40)
		require.Len(t, ProcessorKey(id, OperationCharge, 1<<40), 36)
	}
}

func TestDifferentNamesHaveDifferentIds(t *testing.T) {
	ids := map[string]string{}
	add := func(what, id string) {
		require.NotContains(t, ids, id, what)
		ids[id] = what
	}
	for _, pair := range [][2]string{
		{"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"", "abc"}, {"a\x02bc", ""}, {"a", "b/c"}, {"a/b", "c"}, {"A", "bc"},
	} {
		add("payment "+strings.Join(pair[:], "|"), strings.TrimPrefix(PaymentID(pair[0], pair[1]), "pay_"))
		add("refund "+strings.Join(pair[:], "|"), strings.TrimPrefix(RefundID(pair[0], pair[1]), "ref_"))
	}
	for _, id := range []string{"pay_1", "pay_", "pay_11"} {
		for _, operation := range []Operation{OperationCharge, OperationRefund} {
			for _, sequence := range []int{0, 1, 10, 11} {
				add("key", ProcessorKey(id, operation, sequence))
			}
		}
	}
}
