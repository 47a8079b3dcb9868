package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestEveryStatusOccursInTheSmallestCorpus(t *testing.T) {
	found := map[payment.Status]int{}
	c := corpus{size: 10_000, end: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}
	merchants := map[string]int{}
	for n := range c.size {
		r := c.row(n)
		found[r.status]++
		merchants[r.merchant]++
		require.False(t, r.updatedAt.After(c.end))
	}
	for status := range payment.PaymentTransitions {
		require.Equal(t, status != payment.Processing, found[status] > 0, status)
	}
	require.Equal(t, 1, found[payment.Expired])
	require.Equal(t, 1, merchants[rareMerchant])
	require.Greater(t, merchants[bigMerchant], 3000)
}

func TestSQLiteIsComparedWithItself(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out, size{small: 10_000, sqlite: 10_000, rounds: 1, calls: 1, dir: t.TempDir()}))
	require.Regexp(t, `(?m)^ *begin( +\S+){7} *$`, out.String())
	require.Regexp(t, `(?m)^growth: payments=10000 worst_ratio=\d+\.\d\d worst_list_ms=\d+\.\d$`, out.String())
}
