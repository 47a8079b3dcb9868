package simulator

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkCharge measures charges end to end: a real socket, idempotency and a ledger in a file.
func BenchmarkCharge(b *testing.B) {
	sim, err := Open(b.Context(), Options{Path: filepath.Join(b.TempDir(), "ledger.db"), APIKey: testKey})
	require.NoError(b, err)
	server := httptest.NewServer(sim.Handler())
	defer func() { server.Close(); require.NoError(b, sim.Close()) }()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}}
	var n atomic.Int64
	b.SetParallelism(100)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			key := fmt.Sprint("key-", n.Add(1))
			r, _ := http.NewRequest(http.MethodPost, server.URL+"/charges", strings.NewReader(chargeBody("tok_visa", key)))
			r.Header.Set("Authorization", "Bearer "+testKey)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", key)
			resp, err := client.Do(r)
			if err != nil || resp.StatusCode != http.StatusOK {
				b.Errorf("charge: %v %v", resp, err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "charges/s")
}
