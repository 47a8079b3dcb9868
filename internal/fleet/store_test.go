package fleet

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/postgrestest"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/store"
)

func sqliteDSN(t *testing.T) string {
	t.Helper()
	return "sqlite://" + filepath.Join(t.TempDir(), "florin.db")
}

func postgresDSN(t *testing.T) string {
	t.Helper()
	return postgrestest.ForTest(t).DSN()
}

// ledger adds up what all gates let through.
type ledger struct {
	mu      sync.Mutex
	permits map[string]ratelimit.Permit
	highest store.Rate
}

type ledgerGate struct {
	*ledger
	worker string
	random *rand.Rand
	asked  uint64
}

func (g *ledgerGate) Asked() uint64 {
	g.asked += uint64(g.random.IntN(10))
	return g.asked
}

func (g *ledgerGate) Permit(p ratelimit.Permit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.permits[g.worker] = p
	var all store.Rate
	for _, p := range g.permits {
		all.PerSecond += p.PerSecond
		all.Burst += p.Burst
	}
	g.highest = store.Rate{PerSecond: max(g.highest.PerSecond, all.PerSecond), Burst: max(g.highest.Burst, all.Burst)}
}

// Workers renew as fast as they can, and some end between what they are granted and its use.
func TestConcurrentRenewalsNeverGrantMoreThanTheLimit(t *testing.T) {
	for name, dsn := range map[string]func(*testing.T) string{"sqlite": sqliteDSN, "postgres": postgresDSN} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := dsn(t)
			_, _, err := store.Migrate(t.Context(), url)
			require.NoError(t, err)
			limit := store.Rate{PerSecond: 20, Burst: 20}
			ledger := &ledger{permits: map[string]ratelimit.Permit{}}
			var all sync.WaitGroup
			for process := range 3 {
				s, err := store.Open(t.Context(), url, store.AllowOwner(true))
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, s.Close()) })
				require.NoError(t, s.RegisterProcessors(t.Context(), []string{"acme", "globex"}))
				for i := range 5 {
					worker := fmt.Sprintf("w%d-%d", process, i)
					random := rand.New(rand.NewPCG(uint64(process), uint64(i)))
					processors := []Processor{
						{Name: "globex", Shared: limit, Gate: &gate{}},
						{Name: "acme", Shared: limit, Gate: &ledgerGate{ledger: ledger, worker: worker, random: random}},
					}
					all.Go(func() {
						f := New(s, worker, processors, zap.NewNop())
						for renewed, want := 0, 20+random.IntN(20); renewed < want; {
							if f.renew(t.Context()); !f.failing { // it may be, on a slow machine
								renewed++
							}
						}
						if random.IntN(2) == 0 { // it dies before it applies its last share
							f.renewals++
							require.NoError(t, s.RenewShares(t.Context(), f.names, func(p store.ProcessorShares) (store.RateShare, []string) {
								d := f.processor(p.Processor).decide(p, f.renewals)
								return d.own, d.ended
							}))
						}
					})
				}
			}
			all.Wait()
			require.LessOrEqual(t, ledger.highest.PerSecond, 20+1e-9)
			require.LessOrEqual(t, ledger.highest.Burst, 20)
			require.Greater(t, ledger.highest.PerSecond, 19.0)
		})
	}
}
