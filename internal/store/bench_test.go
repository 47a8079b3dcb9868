package store

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a charge costs at its store: Begin and Record, by one caller and by many.
func BenchmarkBeginAndRecord(b *testing.B) {
	for _, database := range databases {
		b.Run(database.name, func(b *testing.B) {
			s := open(b, database.dsn(b))
			var n atomic.Int64
			once := func() error {
				c, _, err := s.BeginPayment(b.Context(), aCharge(fmt.Sprintf("order-%d", n.Add(1))), fingerprint)
				if err == nil {
					_, err = s.RecordPayment(b.Context(), succeeded(c), byProcessor)
				}
				return err
			}
			b.Run("one", func(b *testing.B) {
				for b.Loop() {
					require.NoError(b, once())
				}
			})
			b.Run("many", func(b *testing.B) {
				b.SetParallelism(16)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := once(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		})
	}
}
