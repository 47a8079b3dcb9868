package store

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

var (
	pause  = payment.ControlChange{Processor: "acme", Action: payment.ControlPause, By: "jane", Reason: "incident 4711"}
	resume = payment.ControlChange{Processor: "acme", Action: payment.ControlResume, By: "joe", Reason: "incident 4711 is over"}
)

func register(tb testing.TB, s *Store, processors ...string) {
	tb.Helper()
	require.NoError(tb, s.RegisterProcessors(tb.Context(), processors))
}

func control(t *testing.T, s *Store, change payment.ControlChange) payment.ProcessorControl {
	t.Helper()
	c, err := s.ControlProcessor(t.Context(), change)
	require.NoError(t, err)
	return c
}

func TestControlOfAProcessorIsKeptWithItsHistory(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		register(t, s, "acme", "globex")
		register(t, s, "globex", "acme") // again
		began := time.Now().Add(-time.Second)

		paused := control(t, s, pause)
		require.WithinRange(t, paused.At, began, time.Now().Add(time.Second))
		require.Equal(t, payment.ProcessorControl{Paused: true, By: "jane", Reason: "incident 4711", At: paused.At, Revision: 1}, paused)
		require.Equal(t, paused, control(t, s, pause), "the same change is no second one")
		limited := control(t, s, payment.ControlChange{Processor: "acme", Action: payment.ControlRate, PerSecond: 2.5, By: "jane", Reason: "start slowly"})
		require.True(t, limited.Paused)
		require.InDelta(t, 2.5, limited.PerSecond, 0)
		resumed := control(t, s, resume)
		require.Equal(t, payment.ProcessorControl{PerSecond: 2.5, By: "joe", Reason: "incident 4711 is over", At: resumed.At, Revision: 3}, resumed)

		events, err := s.ControlEvents(t.Context(), "acme")
		require.NoError(t, err)
		require.Equal(t, []payment.ProcessorControl{paused, limited, resumed}, events)
		all, err := s.Processors(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Equal(t, resumed, all[0].Control)
		require.Equal(t, payment.ProcessorControl{By: "worker", Reason: "as configured", At: all[1].Control.At}, all[1].Control)

		_, err = s.ControlProcessor(t.Context(), payment.ControlChange{Processor: "none", Action: payment.ControlPause, By: "jane", Reason: "why"})
		require.ErrorIs(t, err, payment.ErrNotFound)
		_, err = s.ControlProcessor(t.Context(), payment.ControlChange{Processor: "acme", Action: payment.ControlPause, By: "jane"})
		require.ErrorIs(t, err, ErrInvalid)
	})
}

func TestConcurrentChangesOfAControlAreAllKept(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		register(t, s, "acme")
		runConcurrently(20, func(i int) {
			change := pause
			change.Action, change.PerSecond = payment.ControlRate, float64(i+1)
			control(t, s, change)
		})
		events, err := s.ControlEvents(t.Context(), "acme")
		require.NoError(t, err)
		require.Len(t, events, 20)
		for i, event := range events {
			require.Equal(t, int64(i+1), event.Revision)
		}
	})
}

func TestDatabaseRefusesChangesOfControlsWithoutAnEvent(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		register(t, s, "acme", "globex")
		control(t, s, pause)
		contents := func() []string {
			return append(queryLines(t, s.db, "SELECT processor, paused, rate, changed_by, reason, revision FROM processor_controls ORDER BY 1"),
				queryLines(t, s.db, "SELECT processor, revision, paused, rate, changed_by, reason FROM processor_control_events ORDER BY 1, 2")...)
		}
		before := contents()
		for what, statement := range map[string]string{
			"resumed without a revision":    "UPDATE processor_controls SET paused = NOT paused WHERE processor = 'acme'",
			"revision that skips one":       "UPDATE processor_controls SET revision = revision + 2 WHERE processor = 'acme'",
			"time that goes back":           "UPDATE processor_controls SET revision = revision + 1, at = '2001-01-01T00:00:00.000000Z' WHERE processor = 'acme'",
			"renamed":                       "UPDATE processor_controls SET revision = revision + 1, processor = 'other' WHERE processor = 'globex'",
			"rate of 0":                     "UPDATE processor_controls SET revision = revision + 1, rate = 0 WHERE processor = 'acme'",
			"negative rate":                 "UPDATE processor_controls SET revision = revision + 1, rate = -1 WHERE processor = 'acme'",
			"no operator":                   "UPDATE processor_controls SET revision = revision + 1, changed_by = '' WHERE processor = 'acme'",
			"no reason":                     "UPDATE processor_controls SET revision = revision + 1, reason = '' WHERE processor = 'acme'",
			"deleted":                       "DELETE FROM processor_controls WHERE processor = 'globex'",
			"begins with a rate":            "INSERT INTO processor_controls (processor, rate, at) VALUES ('new', 1, '2026-01-15T09:30:00.000000Z')",
			"begins with a revision":        "INSERT INTO processor_controls (processor, revision, at) VALUES ('new', 1, '2026-01-15T09:30:00.000000Z')",
			"event changed":                 "UPDATE processor_control_events SET changed_by = 'mallory'",
			"event deleted":                 "DELETE FROM processor_control_events",
			"event that did not happen":     "INSERT INTO processor_control_events SELECT processor, revision + 1, paused, rate, changed_by, reason, at FROM processor_controls WHERE processor = 'acme'",
			"event of a control unchanged":  "INSERT INTO processor_control_events SELECT processor, revision, paused, rate, changed_by, reason, at FROM processor_controls WHERE processor = 'globex'",
			"share of an unknown processor": "INSERT INTO rate_shares VALUES ('none', 'w', 0, 1, 0, 0, 0, 1, 0, '2026-01-15T09:30:00.000000Z', '2026-01-15T09:30:00.000000Z')",
			"negative share":                "INSERT INTO rate_shares VALUES ('acme', 'w', 0, 1, 0, -1, 0, 1, 0, '2026-01-15T09:30:00.000000Z', '2026-01-15T09:30:00.000000Z')",
		} {
			_, err := s.db.Exec(statement)
			require.ErrorIs(t, s.wrap(err, "raw"), ErrInvalid, what)
			require.Equal(t, before, contents(), what)
		}
		if s.dialect.name == "sqlite" {
			execSQL(t, s, "INSERT OR REPLACE INTO processor_controls (processor, at) VALUES ('acme', '2026-01-15T09:30:00.000000Z')")
			require.Equal(t, before, contents(), "replaced")
			return
		}
		for _, table := range []string{"processor_controls CASCADE", "processor_control_events"} {
			_, err := s.db.Exec("TRUNCATE " + table)
			require.ErrorIs(t, s.wrap(err, "raw"), ErrInvalid)
		}
	})
}

// share returns a renewal that reserves a rate.
func share(worker string, renewal int64, perSecond float64, now time.Time) RateShare {
	return RateShare{
		Worker: worker, Configured: Rate{PerSecond: 20, Burst: 5}, Demand: 12.5, Held: Rate{PerSecond: perSecond, Burst: 2}, Renewal: renewal,
		AppliedRevision: 1, Since: now, LeaseUntil: now.Add(6 * time.Second),
	}
}

func TestSharesAreRenewedAndReleased(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		register(t, s, "acme", "globex")
		now := map[string]time.Time{}
		renew := func(worker string, renewal int64, perSecond float64, ended ...string) {
			require.NoError(t, s.RenewShares(t.Context(), []string{"globex", "acme"}, func(p ProcessorShares) (RateShare, []string) {
				now[p.Processor] = p.Now
				return share(worker, renewal, perSecond, p.Now), ended
			}))
		}
		workers := func() (all []string) {
			states, err := s.Processors(t.Context())
			require.NoError(t, err)
			for _, state := range states {
				for _, share := range state.Shares {
					all = append(all, state.Processor+"/"+share.Worker)
				}
			}
			return all
		}
		renew("one", 1, 5)
		require.WithinDuration(t, time.Now(), now["acme"], 5*time.Second)
		states, err := s.Processors(t.Context())
		require.NoError(t, err)
		require.Equal(t, []RateShare{share("one", 1, 5, now["globex"])}, states[1].Shares)

		renew("two", 1, 7)
		renew("one", 3, 6)
		third := now["acme"]
		renew("one", 2, 20)
		states, err = s.Processors(t.Context())
		require.NoError(t, err)
		require.Equal(t, share("one", 3, 6, third), states[0].Shares[0], "a renewal that is persisted late has no effect")
		require.Equal(t, []string{"acme/one", "acme/two", "globex/one", "globex/two"}, workers())

		renew("three", 1, 1, "two")
		states, err = s.Processors(t.Context())
		require.NoError(t, err)
		require.Equal(t, "two", states[0].Shares[2].Worker, "operators still see it")
		require.Zero(t, states[0].Shares[2].Held)
		for range 2 {
			require.NoError(t, s.ReleaseShares(t.Context(), "one"))
			require.Equal(t, []string{"acme/three", "acme/two", "globex/three", "globex/two"}, workers())
		}
		require.NoError(t, s.RenewShares(t.Context(), []string{"globex", "acme"}, func(p ProcessorShares) (RateShare, []string) {
			long := share("two", 2, 7, p.Now)
			long.LeaseUntil = p.Now.Add(-keepEnded - time.Second)
			return long, nil
		}))
		renew("three", 2, 1, "two")
		require.Equal(t, []string{"acme/three", "globex/three"}, workers())
	})
}

// Renewals that each take what the others leave never reserve more than there is: one after the other decides.
func TestConcurrentRenewalsDecideOneAfterTheOther(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		const limit = 20.0
		names := []string{"acme", "globex", "initech"}
		register(t, s, names...)
		runConcurrently(16, func(i int) {
			worker := strings.Repeat("w", i+1)
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for renewal := range int64(10) {
				wanted := random.Float64() * limit
				some := names[:1+random.IntN(len(names))]
				require.NoError(t, s.RenewShares(t.Context(), some, func(p ProcessorShares) (RateShare, []string) {
					left := limit
					for _, other := range p.Shares {
						if other.Worker != worker {
							left -= other.Held.PerSecond
						}
					}
					require.GreaterOrEqual(t, left, -1e-9)
					return share(worker, renewal+1, min(wanted, max(left, 0)), p.Now), nil
				}))
			}
		})
	})
}
