package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// batched gathers charges with the priority of a batch for long enough that a slow machine finds several.
func batched(c *config.Config) {
	p := c.Processors[environment.ProcessorName]
	p.Batch = config.Batching{MaxItems: 10, Wait: activities.Duration(300 * time.Millisecond)}
	c.Processors[environment.ProcessorName] = p
}

func TestChargesOfABatchAreSentTogetherAndEachHasItsOwnOutcome(t *testing.T) {
	for name, tt := range map[string]struct {
		tune   func(*config.Config)
		faults simulator.Rates
	}{
		"by the workflows' worker":    {},
		"by the queue":                {tune: queued},
		"although responses are lost": {faults: simulator.Rates{"batch_lost": 0.5}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := start(t, environment.Options{Simulator: simulator.Options{Faults: tt.faults}, Tune: func(c *config.Config) {
				batched(c)
				if tt.tune != nil {
					tt.tune(c)
				}
			}})
			const n = 40
			client := florin.NewClient(env.Temporal, florin.Options{Batch: true})
			token := func(i int) string { return []string{"tok_visa", "tok_visa", "tok_visa", "tok_insufficient_funds"}[i%4] }
			for i := range n {
				_, err := client.StartCharge(t.Context(), charge(fmt.Sprint("batch-", i), token(i)))
				require.NoError(t, err)
			}
			requests := map[string]int{}
			for i := range n {
				got, err := client.Wait(t.Context(), "acme", fmt.Sprint("batch-", i))
				require.NoError(t, err)
				want := payment.Succeeded
				if i%4 == 3 {
					want = payment.Declined
				}
				require.Equal(t, want, got.Status)
				if want == payment.Succeeded {
					requests[got.ProcessorRequestID]++
				}
			}
			if tt.faults == nil {
				require.Less(t, len(requests), n/2, "charges that were sent together have the id of one request")
			}
			ledger, err := env.Simulator.Ledger(t.Context())
			require.NoError(t, err)
			references := map[string]bool{}
			for _, p := range ledger.Payments {
				require.False(t, references[p.Reference], "charged twice")
				references[p.Reference] = true
			}
			require.Len(t, references, n)
		})
	}
}
