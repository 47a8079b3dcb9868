package florin

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/florinpay/florin/payment"
)

// Earlier releases accepted other characters in keys. An InvalidRequestError is proof that no money moved, so that a key may get one only
// if nothing has begun under it.
func TestKeyOfAnEarlierReleaseIsRefusedOnlyIfNothingHasBegunUnderIt(t *testing.T) {
	const running, completed = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	for name, tt := range map[string]struct {
		temporal closingTemporal
		key      string
		refused  bool
	}{
		"a new key":                  {temporal: closingTemporal{described: completed}, key: "order-1"},
		"never used":                 {temporal: closingTemporal{described: completed}, key: "{order}", refused: true},
		"stored":                     {temporal: closingTemporal{described: completed, stored: payment.Succeeded}, key: "{order}"},
		"running":                    {temporal: closingTemporal{described: running, queried: []payment.Status{payment.Processing}}, key: "{order}"},
		"the store is down":          {temporal: closingTemporal{described: completed, readErr: errors.New("no database")}, key: "{order}"},
		"invalid in each release":    {temporal: closingTemporal{described: completed, stored: payment.Succeeded}, key: "a/b", refused: true},
		"known to Temporal, stopped": {temporal: closingTemporal{described: completed, queried: []payment.Status{payment.Processing, payment.Processing}}, key: "{order}"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.temporal.outcome = payment.Succeeded
			c := NewClient(&tt.temporal, Options{})
			got, err := c.Charge(t.Context(), payment.ChargeRequest{
				MerchantID: "acme", IdempotencyKey: tt.key, Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
			})
			if tt.refused {
				var invalid *payment.InvalidRequestError
				require.ErrorAs(t, err, &invalid)
				require.Equal(t, "idempotency_key", invalid.Fields[0].Field)
				require.Empty(t, got)
				return
			}
			require.NoError(t, err)
			require.Equal(t, payment.Succeeded, got.Status)
		})
	}
}
