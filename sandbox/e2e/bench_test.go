package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// BenchmarkCharge is one synchronous charge after the other through the warm sandbox.
func BenchmarkCharge(b *testing.B) {
	env := start(b, environment.Options{})
	for i := range 20 {
		_, err := env.Florin.Charge(b.Context(), charge(fmt.Sprintf("warm-%d", i), "tok_visa"))
		require.NoError(b, err)
	}
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		c, err := env.Florin.Charge(b.Context(), charge(fmt.Sprintf("bench-%d", i), "tok_visa"))
		took = append(took, time.Since(began))
		require.NoError(b, err)
		require.Equal(b, payment.Succeeded, c.Status)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
