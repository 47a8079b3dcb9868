package main

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/postgrestest"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// serveDatabaseProxy starts a PostgreSQL behind the proxy. It returns a store that bypasses the proxy, and one that uses it.
func serveDatabaseProxy(t *testing.T, trigger *trigger) (direct, proxied *store.Store) {
	t.Helper()
	cluster := postgrestest.ForTest(t)
	_, _, err := store.Migrate(t.Context(), cluster.DSN())
	require.NoError(t, err)
	dsn, err := cluster.CreateRole(t.Context(), workerRole)
	require.NoError(t, err)
	require.NoError(t, store.Grant(t.Context(), cluster.DSN(), workerRole))
	direct = openStore(t, dsn)

	l, err := newProxyListener(t.Context(), net.JoinHostPort(loopback, "0"))
	require.NoError(t, err)
	proxy := &databaseProxy{trigger: trigger, socket: cluster.Socket()}
	ended := make(chan error, 1)
	go func() { ended <- proxy.serve(context.WithoutCancel(t.Context()), l) }()
	t.Cleanup(func() { require.NoError(t, l.Close()); require.NoError(t, <-ended) })
	return direct, openStore(t, "postgres://"+workerRole+"@"+l.address+"/postgres?sslmode=disable")
}

func openStore(t *testing.T, dsn string) *store.Store {
	t.Helper()
	opened, err := store.Open(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = opened.Close() }) // An error is expected: its connections may be broken.
	return opened
}

func TestVictimIsKilledAtThePointOfAWriteToTheStore(t *testing.T) {
	var trigger trigger
	direct, proxied := serveDatabaseProxy(t, &trigger)
	ctx := t.Context()
	chargeOf := func(key string) payment.Charge {
		return payment.Charge{
			MerchantID: merchant, IdempotencyKey: key, PaymentID: payment.PaymentID(merchant, key),
			Amount: 1000, Currency: "USD", Processor: plain, PaymentMethod: "tok_visa",
		}
	}
	refundOf := func(key string) payment.Refund {
		return payment.Refund{
			MerchantID: merchant, IdempotencyKey: key, RefundID: payment.RefundID(merchant, key),
			PaymentID: payment.PaymentID(merchant, key), Amount: 600,
		}
	}
	// steps are the writes of the workflows, in their order. persisted reads the database without the proxy.
	steps := []struct {
		exchange  string
		write     func(s *store.Store, key string) error
		persisted func(key string) bool
	}{
		{
			exchange: beginPayment,
			write: func(s *store.Store, key string) error {
				_, _, err := s.BeginPayment(ctx, chargeOf(key), "f")
				return err
			},
			persisted: func(key string) bool {
				_, err := direct.Payment(ctx, merchant, key)
				return err == nil
			},
		},
		{
			exchange: recordPayment,
			write: func(s *store.Store, key string) error {
				c := chargeOf(key)
				c.Status, c.CapturedAmount, c.ProcessorPaymentID = payment.Succeeded, c.Amount, "ch_"+key
				_, err := s.RecordPayment(ctx, c, store.Cause{By: "processor"})
				return err
			},
			persisted: func(key string) bool {
				c, err := direct.Payment(ctx, merchant, key)
				return err == nil && c.Status == payment.Succeeded
			},
		},
		{
			exchange: reserveRefund,
			write: func(s *store.Store, key string) error {
				_, _, _, err := s.ReserveRefund(ctx, refundOf(key), "f")
				return err
			},
			persisted: func(key string) bool {
				_, err := direct.Refund(ctx, merchant, key)
				return err == nil
			},
		},
		{
			exchange: recordRefund,
			write: func(s *store.Store, key string) error {
				r := refundOf(key)
				r.Status, r.Currency, r.ProcessorRefundID = payment.Succeeded, "USD", "re_"+key
				_, err := s.SettleRefund(ctx, r, store.Cause{By: "processor"})
				return err
			},
			persisted: func(key string) bool {
				r, err := direct.Refund(ctx, merchant, key)
				return err == nil && r.Status == payment.Succeeded
			},
		},
	}
	keys := 0
	for i, step := range steps {
		for _, moment := range []point{before, beforeCommit, after} {
			if moment == beforeCommit && step.exchange != reserveRefund {
				continue // The other writes have no explicit transaction: PostgreSQL commits each statement by itself.
			}
			t.Run(string(at(step.exchange, moment)), func(t *testing.T) {
				keys++
				key := fmt.Sprintf("order-%04d", keys)
				for _, earlier := range steps[:i] {
					require.NoError(t, earlier.write(proxied, key), "other writes do not reach the point")
				}
				persistedAtKill := false
				k := armKill(t, &trigger, at(step.exchange, moment), func() { persistedAtKill = step.persisted(key) })
				require.Error(t, step.write(proxied, key), "the caller gets no response")
				require.True(t, k.succeeded())
				require.Equal(t, moment == after, persistedAtKill, "persisted when the victim was killed")
				require.Equal(t, moment == after, step.persisted(key), "persisted after the kill")
				p := &purchase{
					charge:  payment.ChargeRequest{IdempotencyKey: key},
					refunds: []*refund{{request: payment.RefundRequest{IdempotencyKey: key}}},
				}
				require.True(t, p.namedIn(k.message), "the dropped message names the purchase")
				require.NoError(t, step.write(proxied, key), "the write can be repeated")
				require.True(t, step.persisted(key))
			})
		}
	}
}

func TestRefusedRefundReachesNoPointOfTheStore(t *testing.T) {
	var trigger trigger
	_, proxied := serveDatabaseProxy(t, &trigger)
	ofUnknownPayment := payment.Refund{MerchantID: merchant, IdempotencyKey: "none", RefundID: "ref_1", PaymentID: "pay_1"}
	for _, moment := range []point{before, beforeCommit, after} {
		k := armKill(t, &trigger, at(reserveRefund, moment), func() {})
		_, _, _, err := proxied.ReserveRefund(t.Context(), ofUnknownPayment, "f")
		require.ErrorIs(t, err, payment.ErrPaymentNotFound)
		require.False(t, k.succeeded())
	}
}
