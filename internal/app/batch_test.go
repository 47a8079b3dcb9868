package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/processor/batch"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// openWithBatches opens a processor with the simulator behind it. paths returns the paths of the requests so far.
func openWithBatches(t *testing.T, maxItems int) (opened *OpenProcessor, paths func() []string) {
	t.Helper()
	t.Setenv("FLORIN_TEST_KEY", "sk_secret")
	sim, err := simulator.Open(t.Context(), simulator.Options{APIKey: "sk_secret"})
	require.NoError(t, err)
	var mu sync.Mutex
	var seen []string
	handler := sim.Handler()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.URL.Path)
		mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		require.NoError(t, sim.Close())
		s.Close()
	})
	p := config.Processor{Adapter: "rest", BaseURL: s.URL, APIKey: config.Secret{Env: "FLORIN_TEST_KEY"}}
	// Longer than the test needs for all charges: a full batch does not wait.
	p.Batch = config.Batching{MaxItems: maxItems, Wait: 1e9}
	c, err := config.Config{Processors: map[string]config.Processor{"acme": p}}.Complete(BuiltIn)
	require.NoError(t, err)
	opened, err = openProcessor(t.Context(), "acme", c.Processors["acme"], BuiltIn, nil, nil, nil, nil)
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	return opened, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

func chargeOf(i int) processor.ChargeCall {
	return processor.ChargeCall{Key: fmt.Sprint("key-", i), KeyFirstUsed: time.Now(), PaymentID: fmt.Sprint("pay_", i), MerchantID: "acme",
		Amount: int64(100 + i), Currency: "EUR", PaymentMethod: "tok_visa"}
}

func TestChargesOfBatchesAreSentTogetherIfConfigured(t *testing.T) {
	for _, tc := range []struct {
		name     string
		maxItems int
		batch    bool
		want     []string
	}{
		{name: "parts of a batch", maxItems: 3, batch: true, want: []string{"/batches"}},
		{name: "interactive charges", maxItems: 3, want: []string{"/charges", "/charges", "/charges"}},
		{name: "parts of a batch, without batching", batch: true, want: []string{"/charges", "/charges", "/charges"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opened, paths := openWithBatches(t, tc.maxItems)
			ctx := t.Context()
			if tc.batch {
				ctx = batch.WithKind(ctx, batch.Queued)
			}
			var all sync.WaitGroup
			results := make([]processor.Result, 3)
			for i := range results {
				all.Go(func() {
					var err error
					if results[i], err = opened.Charge(ctx, chargeOf(i)); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			require.Equal(t, tc.want, paths())
			for i, r := range results {
				require.Equal(t, []any{payment.Succeeded, int64(100 + i), fmt.Sprint("key-", i)}, []any{r.Status, r.Amount, r.Reference})
			}
		})
	}
}

func TestAdapterThatSendsNoBatchesCannotBeConfiguredTo(t *testing.T) {
	_, err := withBatches(struct{ processor.Processor }{}, config.Batching{MaxItems: 2, Wait: 1})
	require.ErrorContains(t, err, "it is no processor.Batcher")
}
