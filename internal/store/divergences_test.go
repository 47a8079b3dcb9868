package store

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// newDivergence returns a divergence of a payment that the processor reports with another captured amount.
func newDivergence(of payment.Charge) payment.Divergence {
	return payment.Divergence{
		PaymentID: of.PaymentID, MerchantID: of.MerchantID, Kind: payment.DivergenceCaptured, StatusHere: of.Status, StatusThere: "succeeded",
		Evidence:   map[string]string{"captured_here": "10000", "captured_there": "9000", payment.EvidenceRequestID: "req_7"},
		DetectedAt: later, DetectedBy: "lookup",
	}
}

func recordDivergence(t *testing.T, s *Store, d payment.Divergence) payment.Divergence {
	t.Helper()
	created, err := s.RecordDivergence(t.Context(), d)
	require.NoError(t, err)
	require.True(t, created)
	d.DivergenceID = d.ID()
	if d.Processor == "" {
		d.Processor = "rest"
	}
	return d
}

func divergences(t *testing.T, s *Store, f payment.DivergenceFilter) []payment.Divergence {
	t.Helper()
	page, err := s.Divergences(t.Context(), f)
	require.NoError(t, err)
	return page.Divergences
}

func TestSameContradictionIsRecordedOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		first := recordDivergence(t, s, newDivergence(c))
		again := newDivergence(c)
		again.DetectedAt, again.DetectedBy = later.Add(time.Hour), "operator:jane"
		again.Evidence[payment.EvidenceRequestID] = "req_8"
		created, err := s.RecordDivergence(t.Context(), again)
		require.NoError(t, err)
		require.False(t, created)
		require.Equal(t, []payment.Divergence{first}, divergences(t, s, payment.DivergenceFilter{}))

		var news atomic.Int64
		another := newDivergence(c)
		another.Evidence["captured_there"] = "8000"
		runConcurrently(50, func(int) {
			if created, err := s.RecordDivergence(t.Context(), another); err == nil && created {
				news.Add(1)
			}
		})
		require.Equal(t, int64(1), news.Load())

		_, err = s.AcknowledgeDivergence(t.Context(), first.DivergenceID, "jane", "because")
		require.NoError(t, err)
		created, err = s.RecordDivergence(t.Context(), again)
		require.NoError(t, err)
		require.False(t, created, "also after it was acknowledged")

		stored, err := s.PaymentByID(t.Context(), "acme", c.PaymentID)
		require.NoError(t, err)
		require.Equal(t, c, stored, "the payment itself does not change")
	})
}

func TestAcknowledgedDivergenceIsNoLongerOpen(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c, other := paid(t, s, "order-1"), paid(t, s, "order-2")
		r := settle(t, s, reserve(t, s, newRefund("r-1", other, 500)), payment.Failed)
		first := recordDivergence(t, s, newDivergence(c))
		second := recordDivergence(t, s, payment.Divergence{
			PaymentID: other.PaymentID, RefundID: r.RefundID, MerchantID: "acme", Kind: payment.DivergenceRefundStatus, StatusHere: r.Status,
			StatusThere: "succeeded", Evidence: map[string]string{}, DetectedAt: later.Add(time.Second), DetectedBy: "lookup",
		})
		require.Equal(t, []payment.Divergence{second, first}, divergences(t, s, payment.DivergenceFilter{Open: true}))
		open, err := s.OpenDivergences(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[payment.DivergenceKind]int64{payment.DivergenceCaptured: 1, payment.DivergenceRefundStatus: 1}, open)
		page, err := s.Payments(t.Context(), Filter{Divergent: true, Statuses: []payment.Status{payment.Succeeded}})
		require.NoError(t, err)
		require.Len(t, page.Payments, 2)

		acknowledged, err := s.AcknowledgeDivergence(t.Context(), first.DivergenceID, "jane", "because")
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), acknowledged.AcknowledgedAt, time.Minute)
		first.AcknowledgedAt, first.AcknowledgedBy, first.AcknowledgedReason = acknowledged.AcknowledgedAt, "jane", "because"
		require.Equal(t, first, acknowledged)
		again, err := s.AcknowledgeDivergence(t.Context(), first.DivergenceID, "joe", "because")
		require.NoError(t, err)
		require.Equal(t, first, again, "the first acknowledgement counts")

		require.Equal(t, []payment.Divergence{second}, divergences(t, s, payment.DivergenceFilter{Open: true}))
		require.Equal(t, []payment.Divergence{second, first}, divergences(t, s, payment.DivergenceFilter{MerchantID: "acme"}))
		require.Equal(t, []payment.Divergence{first}, divergences(t, s, payment.DivergenceFilter{PaymentID: c.PaymentID}))
		require.Equal(t, []payment.Divergence{first}, divergences(t, s, payment.DivergenceFilter{Kind: payment.DivergenceCaptured}))
		require.Empty(t, divergences(t, s, payment.DivergenceFilter{MerchantID: "emca"}))
		open, err = s.OpenDivergences(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[payment.DivergenceKind]int64{payment.DivergenceRefundStatus: 1}, open)
		page, err = s.Payments(t.Context(), Filter{Divergent: true})
		require.NoError(t, err)
		require.Len(t, page.Payments, 1)
		require.Equal(t, other.PaymentID, page.Payments[0].PaymentID)

		_, err = s.AcknowledgeDivergence(t.Context(), "div_9", "jane", "because")
		require.ErrorIs(t, err, payment.ErrNotFound)
		_, err = s.AcknowledgeDivergence(t.Context(), second.DivergenceID, "", "because")
		require.ErrorIs(t, err, ErrInvalid)
	})
}

func TestDivergencesAreListedPageByPage(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		var want, got []string
		for i := range 5 {
			d := newDivergence(c)
			d.Evidence["captured_there"], d.DetectedAt = fmt.Sprint(i), later.Add(time.Duration(i/2)*time.Second)
			want = append(want, recordDivergence(t, s, d).DivergenceID)
		}
		for f := (payment.DivergenceFilter{Limit: 2}); ; {
			page, err := s.Divergences(t.Context(), f)
			require.NoError(t, err)
			for _, d := range page.Divergences {
				got = append(got, d.DivergenceID)
			}
			if f.Cursor = page.Next; f.Cursor == "" {
				break
			}
		}
		require.ElementsMatch(t, want, got)
		for _, f := range []payment.DivergenceFilter{
			{Cursor: "x"}, {Kind: "paid"}, {MerchantID: strings.Repeat("x", 65)}, {PaymentID: strings.Repeat("x", 65)},
			{Cursor: strings.Repeat("A", 1000)},
		} {
			_, err := s.Divergences(t.Context(), f)
			require.ErrorIs(t, err, ErrInvalid)
		}
	})
}

func TestInvalidDivergencesAreRefused(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c, other := paid(t, s, "order-1"), paid(t, s, "order-2")
		r := reserve(t, s, newRefund("r-1", other, 500))
		for what, change := range map[string]func(*payment.Divergence){
			"unknown kind":                func(d *payment.Divergence) { d.Kind = "paid" },
			"unknown payment":             func(d *payment.Divergence) { d.PaymentID = "pay_9" },
			"payment of another merchant": func(d *payment.Divergence) { d.MerchantID = "emca" },
			"refund of another payment":   func(d *payment.Divergence) { d.RefundID = r.RefundID },
			"unknown refund":              func(d *payment.Divergence) { d.RefundID = "ref_9" },
			"no status here":              func(d *payment.Divergence) { d.StatusHere = "" },
			"no actor":                    func(d *payment.Divergence) { d.DetectedBy = "" },
		} {
			d := newDivergence(c)
			change(&d)
			created, err := s.RecordDivergence(t.Context(), d)
			require.ErrorIs(t, err, ErrInvalid, what)
			require.False(t, created, what)
		}
		require.Empty(t, divergences(t, s, payment.DivergenceFilter{}))
	})
}

// Whatever a processor sends must not prevent recording the divergence, and must not fill the table.
func TestTextsAndNumberOfDivergencesAreLimited(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		long := newDivergence(c)
		long.StatusThere, long.DetectedBy = "\x00\xff"+strings.Repeat("é", 1000), strings.Repeat("x", 1000)
		long.Evidence = map[string]string{}
		for i := range 30 {
			long.Evidence[fmt.Sprintf("%02d%s", i, strings.Repeat("k", 100))] = "\x00" + strings.Repeat("v", 1000)
		}
		created, err := s.RecordDivergence(t.Context(), long)
		require.NoError(t, err)
		require.True(t, created)
		stored := divergences(t, s, payment.DivergenceFilter{})[0]
		require.Len(t, []rune(stored.StatusThere), maxDivergenceStatus)
		require.Len(t, stored.DetectedBy, maxCauseBy)
		require.Len(t, stored.Evidence, maxEvidence)
		created, err = s.RecordDivergence(t.Context(), long)
		require.NoError(t, err)
		require.False(t, created)

		for i := range maxDivergences + 5 {
			d := newDivergence(c)
			d.Evidence["captured_there"] = fmt.Sprint(i)
			created, err := s.RecordDivergence(t.Context(), d)
			require.NoError(t, err)
			require.Equal(t, i < maxDivergences-1, created, i)
		}
		recordDivergence(t, s, newDivergence(paid(t, s, "order-2"))) // other payments have limits of their own
	})
}

func TestDatabaseRefusesChangesOfDivergences(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		recordDivergence(t, s, newDivergence(c))
		dispute := newDivergence(c)
		dispute.Kind = payment.DivergenceDispute
		recordDivergence(t, s, dispute)
		_, err := s.AcknowledgeDivergence(t.Context(), dispute.ID(), "jane", "because")
		require.NoError(t, err)
		open, acknowledged := "divergence_id = '"+newDivergence(c).ID()+"'", "divergence_id = '"+dispute.ID()+"'"
		const insert = "INSERT INTO divergences (divergence_id, payment_id, merchant_id, kind, status_here, status_there, detected_at, detected_by, evidence, fingerprint, acknowledged_at, acknowledged_by) "
		row := "VALUES ('div_9', '" + c.PaymentID + "', 'acme', 'amount', 'succeeded', '', '2026-01-15T09:30:00.000000Z', 'sql', '{}', 'f', %s)"
		contents := func() []string {
			return queryLines(t, s.db, "SELECT divergence_id, kind, status_there, detected_by, evidence, acknowledged_by FROM divergences ORDER BY 1")
		}
		before := contents()
		for what, statement := range map[string]string{
			"deleted":                                  "DELETE FROM divergences WHERE " + open,
			"all deleted":                              "DELETE FROM divergences",
			"evidence changed":                         "UPDATE divergences SET evidence = '{}' WHERE " + open,
			"evidence changed with acknowledgement":    "UPDATE divergences SET evidence = '{}', acknowledged_at = detected_at, acknowledged_by = 'sql' WHERE " + open,
			"acknowledged without an operator":         "UPDATE divergences SET acknowledged_at = detected_at WHERE " + open,
			"acknowledged by an empty name":            "UPDATE divergences SET acknowledged_at = detected_at, acknowledged_by = '' WHERE " + open,
			"acknowledged again":                       "UPDATE divergences SET acknowledged_by = 'sql' WHERE " + acknowledged,
			"acknowledgement removed":                  "UPDATE divergences SET acknowledged_at = NULL, acknowledged_by = NULL WHERE " + acknowledged,
			"begins acknowledged":                      insert + fmt.Sprintf(row, "'2026-01-15T09:30:00.000000Z', 'sql'"),
			"unknown kind":                             strings.Replace(insert+fmt.Sprintf(row, "NULL, NULL"), "'amount'", "'paid'", 1),
			"evidence that is not a JSON object":       strings.Replace(insert+fmt.Sprintf(row, "NULL, NULL"), "'{}'", "'[]'", 1),
			"of another merchant's payment":            strings.Replace(insert+fmt.Sprintf(row, "NULL, NULL"), "'acme'", "'emca'", 1),
			"status at the processor that is too long": strings.Replace(insert+fmt.Sprintf(row, "NULL, NULL"), "''", "'"+strings.Repeat("x", 65)+"'", 1),
		} {
			_, err := s.db.Exec(statement)
			require.ErrorIs(t, s.wrap(err, "raw"), ErrInvalid, what)
			require.Equal(t, before, contents(), what)
		}
		if s.dialect.name == "sqlite" {
			execSQL(t, s, "INSERT OR REPLACE INTO divergences (divergence_id, payment_id, merchant_id, kind, status_here, status_there, detected_at, detected_by, evidence, fingerprint) "+
				"SELECT divergence_id, payment_id, merchant_id, kind, status_here, status_there, detected_at, 'sql', '{}', fingerprint FROM divergences")
			execSQL(t, s, "INSERT OR REPLACE INTO divergences (divergence_id, payment_id, merchant_id, kind, status_here, status_there, detected_at, detected_by, evidence, fingerprint) "+
				"SELECT 'div_9', payment_id, merchant_id, kind, status_here, status_there, detected_at, 'sql', '{}', fingerprint FROM divergences")
			require.Equal(t, before, contents(), "replaced")
			return
		}
		_, err = s.db.Exec("TRUNCATE divergences")
		require.ErrorIs(t, s.wrap(err, "raw"), ErrInvalid)
	})
}
