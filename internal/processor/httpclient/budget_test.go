package httpclient

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/retry"
)

func TestSpentRetryBudgetEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handlers: []http.HandlerFunc{status(500)}}
		r := testRetry()
		budget, err := retry.NewBudget(0, 3)
		require.NoError(t, err)
		r.Budget = budget
		c := retrying(t, s, r)
		require.Equal(t, 3, c.Stats().RetriesLeft)
		for range 3 {
			_, err := c.Do(t.Context(), charge())
			require.Error(t, err)
		}
		require.EqualValues(t, 3+3, s.calls.Load(), "three calls and three retries")
		_, err = c.Do(t.Context(), charge())
		require.ErrorContains(t, err, "the retry budget is spent")
		require.Zero(t, c.Stats().RetriesLeft)
	})
}
