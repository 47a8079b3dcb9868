package store

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkBeginAndRecord measures what a charge costs at the store, with one caller and with many concurrent ones.
func BenchmarkBeginAndRecord(b *testing.B) {
	for _, database := range databases {
		b.Run(database.name, func(b *testing.B) {
			s := open(b, database.dsn(b))
			var n atomic.Int64
			beginAndRecord := func() error {
				c, _, err := s.BeginPayment(b.Context(), newCharge(fmt.Sprintf("order-%d", n.Add(1))), fingerprint)
				if err == nil {
					_, err = s.RecordPayment(b.Context(), succeeded(c), byProcessor)
				}
				return err
			}
			b.Run("sequential", func(b *testing.B) {
				for b.Loop() {
					require.NoError(b, beginAndRecord())
				}
			})
			b.Run("concurrent", func(b *testing.B) {
				b.SetParallelism(16)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := beginAndRecord(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		})
	}
}
