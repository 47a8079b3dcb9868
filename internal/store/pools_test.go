package store

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// holdReads starts n lists that do not read on after their first row. They end with the test.
func holdReads(t *testing.T, s *Store, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, n)
	t.Cleanup(func() {
		cancel()
		for range n {
			<-done
		}
	})
	q := s.read()
	for range n {
		go func() {
			done <- q.queryEach(ctx, selectPayment, nil, func(scanner) error {
				<-ctx.Done()
				return ctx.Err()
			})
		}()
	}
	require.Eventually(t, func() bool { return s.reads.Stats().InUse == s.reads.Stats().MaxOpenConnections }, 10*time.Second, time.Millisecond)
}

// Every call that writes must work while lists use all connections for reading, also the calls that find their change persisted or
// refused, which read.
func TestUnfinishedListsDoNotBlockWriters(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		r := reserve(t, s, newRefund("r-1", c, 100))
		d := newDivergence(c)
		holdReads(t, s, 32)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		for range 2 {
			other, _, err := s.BeginPayment(ctx, newCharge("order-2"), fingerprint)
			require.NoError(t, err)
			if other.Status == payment.Processing {
				_, err = s.RecordPayment(ctx, succeeded(other), byProcessor)
				require.NoError(t, err)
			}
			_, err = s.RecordPayment(ctx, c, byProcessor)
			require.NoError(t, err)
			_, _, _, err = s.ReserveRefund(ctx, newRefund("r-2", c, 100), fingerprint)
			require.NoError(t, err)
			r.Status, r.ProcessorRefundID = payment.Succeeded, "re_1"
			_, err = s.SettleRefund(ctx, r, byProcessor)
			require.NoError(t, err)
			_, err = s.RecordDivergence(ctx, d)
			require.NoError(t, err)
			_, err = s.AcknowledgeDivergence(ctx, d.ID(), "jane", "because")
			require.NoError(t, err)
		}
		declined := c
		declined.Status, declined.CapturedAmount = payment.Declined, 0
		_, err := s.RecordPayment(ctx, declined, byProcessor)
		require.ErrorIs(t, err, ErrIllegalTransition)
	})
}

func TestReadEndsAtItsTimeLimit(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		s.readTimeout = 100 * time.Millisecond
		began := time.Now()
		err := s.read().queryEach(t.Context(), "WITH RECURSIVE endless (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM endless) SELECT count(*) FROM endless", nil,
			func(scanner) error { return nil })
		err = s.wrap(err, "list payments")
		require.EqualError(t, err, "list payments: the read takes longer than 100ms")
		require.True(t, Temporary(err))
		require.Less(t, time.Since(began), 5*time.Second)

		holdReads(t, s, 32) // each of them gives its connection back at its time limit
		s.readTimeout = 10 * time.Second
		page, err := s.Payments(t.Context(), Filter{MerchantID: c.MerchantID})
		require.NoError(t, err)
		require.Len(t, page.Payments, 1)
		require.Less(t, time.Since(began), 5*time.Second)
	})
}

// The limit of the caller's context is reported as such, not as the limit of the read.
func TestReadEndsWithItsContext(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.Payments(ctx, Filter{})
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, Temporary(err))
	})
}

// Plans are made for reads only, once for all arguments: see planning.
func TestPostgreSQLPlansReadsByTheirIndexes(t *testing.T) {
	s := open(t, postgresDSN(t))
	for setting, want := range map[string][2]string{
		"plan_cache_mode": {"force_generic_plan", "auto"}, "enable_sort": {"off", "on"}, "enable_seqscan": {"off", "on"},
		"jit": {"off", queryLines(t, s.db, "SELECT reset_val FROM pg_settings WHERE name = 'jit'")[0]},
	} {
		require.Equal(t, want[0], queryLines(t, s.reads, "SHOW "+setting)[0], setting)
		require.Equal(t, want[1], queryLines(t, s.db, "SHOW "+setting)[0], setting)
	}
}

// PostgreSQL itself ends a read whose worker cannot cancel it any more.
func TestPostgreSQLLimitsReadsOnly(t *testing.T) {
	s := open(t, postgresDSN(t))
	require.Equal(t, []string{"10s"}, queryLines(t, s.reads, "SHOW statement_timeout"))
	require.Equal(t, []string{"0"}, queryLines(t, s.db, "SHOW statement_timeout"))
}

func TestConnectionsAreDividedBetweenReadsAndWrites(t *testing.T) {
	for _, tc := range []struct {
		dsn           string
		reads, writes int
	}{
		{dsn: "postgres://h/db", reads: 4, writes: 12},
		{dsn: "postgres://h/db?pool_max_conns=2", reads: 1, writes: 1},
		{dsn: "postgres://h/db?pool_max_conns=3", reads: 1, writes: 2},
		{dsn: "postgres://h/db?pool_max_conns=40", reads: 10, writes: 30},
		{dsn: "sqlite:///florin.db", reads: 3, writes: 1},
	} {
		target, err := parseDSN(tc.dsn)
		require.NoError(t, err)
		require.Equal(t, tc.reads, target.conns(reads), tc.dsn)
		require.Equal(t, tc.writes, target.conns(writes), tc.dsn)
	}
}
