package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/postgrestest"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// databaseBehind starts a PostgreSQL behind the proxy. It returns a store on it directly, and one through the proxy.
func databaseBehind(t *testing.T, g *gate) (direct, through *store.Store) {
	t.Helper()
	if err := postgrestest.Available(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	// Not t.TempDir: the user postgres must be able to reach it.
	dir, err := os.MkdirTemp("", "florin-pg-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	cluster, err := postgrestest.Start(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop()) })
	_, _, err = store.Migrate(t.Context(), cluster.DSN())
	require.NoError(t, err)
	direct = open(t, cluster.DSN())

	d, err := newDoor(t.Context(), net.JoinHostPort(loopback, "0"))
	require.NoError(t, err)
	proxy := &databaseProxy{gate: g, socket: cluster.Socket()}
	ended := make(chan error, 1)
	go func() { ended <- proxy.serve(context.WithoutCancel(t.Context()), d) }()
	t.Cleanup(func() { require.NoError(t, d.Close()); require.NoError(t, <-ended) })
	return direct, open(t, "postgres://florin@"+d.address+"/postgres?sslmode=disable")
}

func open(t *testing.T, dsn string) *store.Store {
	t.Helper()
	opened, err := store.Open(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = opened.Close() }) // its connections may be broken
	return opened
}

func TestAWriteToTheStoreIsStruckWhereItSays(t *testing.T) {
	var g gate
	direct, through := databaseBehind(t, &g)
	ctx := t.Context()
	c := payment.Charge{MerchantID: merchant, Amount: 1000, Currency: "USD", Processor: plain, PaymentMethod: "tok_visa"}
	named := func(key string) payment.Charge {
		c := c
		c.IdempotencyKey, c.PaymentID = key, payment.PaymentID(merchant, key)
		return c
	}
	refundOf := func(key string) payment.Refund {
		return payment.Refund{MerchantID: merchant, IdempotencyKey: key, RefundID: payment.RefundID(merchant, key), PaymentID: payment.PaymentID(merchant, key), Amount: 600}
	}
	// steps are what the workflows do to the store, in order; written asks the database itself.
	steps := []struct {
		what    string
		do      func(s *store.Store, key string) error
		written func(key string) bool
	}{
		{begin, func(s *store.Store, key string) error {
			_, _, err := s.BeginPayment(ctx, named(key), "f")
			return err
		}, func(key string) bool {
			_, err := direct.Payment(ctx, merchant, key)
			return err == nil
		}},
		{record, func(s *store.Store, key string) error {
			c := named(key)
			c.Status, c.CapturedAmount, c.ProcessorPaymentID = payment.Succeeded, c.Amount, "ch_"+key
			_, err := s.RecordPayment(ctx, c, store.Cause{By: "processor"})
			return err
		}, func(key string) bool {
			c, err := direct.Payment(ctx, merchant, key)
			return err == nil && c.Status == payment.Succeeded
		}},
		{reserve, func(s *store.Store, key string) error {
			_, _, _, err := s.ReserveRefund(ctx, refundOf(key), "f")
			return err
		}, func(key string) bool {
			_, err := direct.Refund(ctx, merchant, key)
			return err == nil
		}},
		{settleWrite, func(s *store.Store, key string) error {
			r := refundOf(key)
			r.Status, r.Currency, r.ProcessorRefundID = payment.Succeeded, "USD", "re_"+key
			_, err := s.SettleRefund(ctx, r, store.Cause{By: "processor"})
			return err
		}, func(key string) bool {
			r, err := direct.Refund(ctx, merchant, key)
			return err == nil && r.Status == payment.Succeeded
		}},
	}
	keys := 0
	for i, step := range steps {
		for _, when := range []point{before, beforeCommit, after} {
			if when == beforeCommit && step.what != reserve {
				continue // PostgreSQL commits it by itself
			}
			t.Run(string(at(step.what, when)), func(t *testing.T) {
				keys++
				key := fmt.Sprintf("order-%04d", keys)
				for _, earlier := range steps[:i] {
					require.NoError(t, earlier.do(through, key), "the statements of others are left alone")
				}
				atDeath := false
				s := armed(t, &g, at(step.what, when), func() { atDeath = step.written(key) })
				require.Error(t, step.do(through, key), "the caller gets no answer")
				require.True(t, s.struck())
				require.Equal(t, when == after, atDeath, "written when the victim died")
				require.Equal(t, when == after, step.written(key), "written in the end")
				require.True(t, (&purchase{charge: payment.ChargeRequest{IdempotencyKey: key}, refunds: []*refund{{request: payment.RefundRequest{IdempotencyKey: key}}}}).in(s.held),
					"it tells whose write it was")
				require.NoError(t, step.do(through, key), "it may be repeated")
				require.True(t, step.written(key))
			})
		}
	}
}

func TestARefundThatIsRefusedWritesNothingToStrikeAt(t *testing.T) {
	var g gate
	_, through := databaseBehind(t, &g)
	for _, when := range []point{before, beforeCommit, after} {
		s := armed(t, &g, at(reserve, when), func() {})
		_, _, _, err := through.ReserveRefund(t.Context(), payment.Refund{MerchantID: merchant, IdempotencyKey: "none", RefundID: "ref_1", PaymentID: "pay_1"}, "f")
		require.ErrorIs(t, err, store.ErrPaymentNotFound)
		require.False(t, s.struck())
	}
}
