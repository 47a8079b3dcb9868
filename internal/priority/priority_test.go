package priority

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
)

func TestBatchesAreWhatNoCustomerWaitsFor(t *testing.T) {
	require.False(t, IsBatch(temporal.Priority{}), "of another client")
	require.False(t, IsBatch(Interactive("acme")))
	require.True(t, IsBatch(Batch("acme")))
	require.True(t, IsBatch(Background("acme")))
}
