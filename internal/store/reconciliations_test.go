package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

var window = Window{Lag: 10 * time.Minute, Overlap: 2 * time.Hour}

func beginRun(t *testing.T, s *Store, runID string) payment.Reconciliation {
	t.Helper()
	r, err := s.BeginReconciliation(t.Context(), payment.Reconciliation{RunID: runID, Processor: "rest", WorkflowID: "reconcile/rest"}, window)
	require.NoError(t, err)
	return r
}

func endRunAs(t *testing.T, s *Store, runID string, complete bool, reason string) payment.Reconciliation {
	t.Helper()
	r, err := s.EndReconciliation(t.Context(), runID, complete, reason, payment.ReconcileCounts{Pages: 2, Listed: 300, Compared: 299, Checked: 3, Hurried: 1})
	require.NoError(t, err)
	return r
}

func TestWindowBeginsBeforeTheEndOfTheLastCompleteOne(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		now := time.Now()
		first := beginRun(t, s, "run-1")
		require.WithinDuration(t, now.Add(-window.Lag), first.WindowTo, time.Minute)
		require.Equal(t, first.WindowTo.Add(-window.Overlap), first.WindowFrom, "nothing is stored")
		require.Equal(t, first, beginRun(t, s, "run-1"), "a run that has begun keeps its window")
		endRunAs(t, s, "run-1", false, "the processor does not respond")

		paid(t, s, "order-1")
		second := beginRun(t, s, "run-2")
		require.Equal(t, morning.Add(-window.Overlap), second.WindowFrom, "no window is complete: it begins with the oldest payment")
		ended := endRunAs(t, s, "run-2", true, "")
		require.True(t, ended.Complete)
		require.Equal(t, payment.ReconcileCounts{Pages: 2, Listed: 300, Compared: 299, Checked: 3, Hurried: 1}, ended.Counts)
		require.Equal(t, ended, endRunAs(t, s, "run-2", false, "too late"), "a run ends once")
		watermarks, err := s.Watermarks(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]time.Time{"rest": second.WindowTo}, watermarks)

		last, err := s.LastReconciliations(t.Context())
		require.NoError(t, err)
		require.Equal(t, []payment.Reconciliation{ended}, last)

		third := beginRun(t, s, "run-3")
		require.Equal(t, second.WindowTo.Add(-window.Overlap), third.WindowFrom)
		fourth := beginRun(t, s, "run-4")
		require.Equal(t, third.WindowFrom, fourth.WindowFrom, "a run that did not end leaves the watermark")
		third, err = s.Reconciliation(t.Context(), "run-3")
		require.NoError(t, err)
		require.False(t, third.Complete)
		require.Contains(t, third.Reason, "run-4 began")
		page, err := s.Reconciliations(t.Context(), payment.ReconciliationFilter{Processor: "rest", Limit: 3})
		require.NoError(t, err)
		require.Len(t, page.Reconciliations, 3)
		require.Equal(t, fourth, page.Reconciliations[0])
		page, err = s.Reconciliations(t.Context(), payment.ReconciliationFilter{Cursor: page.Next})
		require.NoError(t, err)
		require.Len(t, page.Reconciliations, 1)
		require.Equal(t, "the processor does not respond", page.Reconciliations[0].Reason)
	})
}

// A schedule that was paused for a day: the next window begins where the last complete one has ended, however long ago.
func TestPauseOfADayLeavesNoGap(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		aDayAgo := formatTime(time.Now().Add(-24 * time.Hour))
		err := s.write(t.Context(), func(q querier) error {
			return q.exec(t.Context(), insertRun, "run-1", "rest", "reconcile/rest", formatTime(morning), aDayAgo, aDayAgo)
		})
		require.NoError(t, err)
		before := endRunAs(t, s, "run-1", true, "")
		require.Equal(t, before.WindowTo.Add(-window.Overlap), beginRun(t, s, "run-2").WindowFrom)
	})
}

func TestRunsOfReconciliationNeverChange(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		beginRun(t, s, "run-1")
		for name, statement := range map[string]string{
			"delete":     "DELETE FROM reconciliation_runs",
			"window":     "UPDATE reconciliation_runs SET window_to = '2027-01-01T00:00:00.000000Z', ended_at = '2027-01-01T00:00:00.000000Z'",
			"not an end": "UPDATE reconciliation_runs SET listed = 7",
			"ended": `INSERT INTO reconciliation_runs (run_id, processor, workflow_id, window_from, window_to, started_at, ended_at)
				VALUES ('run-2', 'rest', 'w', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z')`,
		} {
			_, err := s.db.ExecContext(t.Context(), statement)
			require.Error(t, err, name)
		}
		endRunAs(t, s, "run-1", true, "")
		_, err := s.db.ExecContext(t.Context(), "UPDATE reconciliation_runs SET complete = FALSE")
		require.Error(t, err)
	})
}

func TestRecordsOfARunAreMatchedByReference(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		paid(t, s, "order-1")
		run := beginRun(t, s, "run-1")
		inside := run.WindowTo.Add(-time.Minute)
		records := []ListedRecord{
			{ID: "ch_1", Reference: "ref-1", CreatedAt: inside, Record: `{"id":"ch_1"}`},
			{ID: "ch_2", Reference: "ref-1", CreatedAt: inside, Record: `{}`},
			{ID: "ch_3", Reference: "ref-3", Record: `{}`},
			{ID: "ch_4", Reference: "", CreatedAt: inside, Record: `{}`},
			{ID: "ch_5", Reference: "later", CreatedAt: run.WindowTo, Record: `{}`},
			{ID: "ch_1", Reference: "ref-1", CreatedAt: inside, Record: `{"id":"ch_1","listed":"twice"}`},
		}
		for range 2 {
			require.NoError(t, s.StageRecords(t.Context(), "run-1", payment.OperationCharge, records))
		}
		found, err := s.RecordsByReference(t.Context(), "run-1", payment.OperationCharge, []string{"ref-1", "ref-9"})
		require.NoError(t, err)
		require.Equal(t, map[string][]ListedRecord{"ref-1": {records[5], records[1]}}, found)
		found, err = s.RecordsByReference(t.Context(), "run-1", payment.OperationRefund, []string{"ref-1"})
		require.NoError(t, err)
		require.Empty(t, found)

		checks := []Check{
			{Operation: payment.OperationCharge, SubjectID: "pay_1", MerchantID: "acme"},
			{Operation: payment.OperationRefund, SubjectID: "record re_1", RecordID: "re_1"},
		}
		for range 2 {
			require.NoError(t, s.CompareRecords(t.Context(), "run-1", payment.OperationCharge, []string{"ref-1"}, checks))
		}
		unmatched, err := s.UnmatchedRecords(t.Context(), run, payment.OperationCharge, "", 10)
		require.NoError(t, err)
		require.Equal(t, []ListedRecord{records[2], records[3]}, unmatched, "other windows contain what is later")
		unmatched, err = s.UnmatchedRecords(t.Context(), run, payment.OperationCharge, "ch_3", 10)
		require.NoError(t, err)
		require.Equal(t, []ListedRecord{records[3]}, unmatched)

		open, err := s.Checks(t.Context(), "run-1", 0, 10)
		require.NoError(t, err)
		require.Equal(t, []Check{{Operation: payment.OperationCharge, SubjectID: "pay_1", MerchantID: "acme", Doubts: []string{}}, open[1]}, open)
		require.NoError(t, s.RecordCheck(t.Context(), "run-1", Check{Operation: payment.OperationCharge, SubjectID: "pay_1", Round: 1, Doubts: []string{"div_1"}}))
		require.NoError(t, s.RecordCheck(t.Context(), "run-1", Check{Operation: payment.OperationRefund, SubjectID: "record re_1", Round: 1}))
		open, err = s.Checks(t.Context(), "run-1", 1, 10)
		require.NoError(t, err)
		require.Equal(t, []Check{{Operation: payment.OperationCharge, SubjectID: "pay_1", MerchantID: "acme", Round: 1, Doubts: []string{"div_1"}}}, open)

		more, err := s.CleanReconciliations(t.Context(), "rest", 2)
		require.NoError(t, err)
		require.False(t, more, "the run has not ended")
		endRunAs(t, s, "run-1", true, "")
		for more = true; more; {
			more, err = s.CleanReconciliations(t.Context(), "rest", 2)
			require.NoError(t, err)
		}
		for _, table := range []string{"reconciliation_records", "reconciliation_checks"} {
			var rows int
			require.NoError(t, s.db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&rows))
			require.Zero(t, rows, table)
		}
	})
}

func TestDivergenceOfARecordWithoutAPaymentIsRecordedOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		beginRun(t, s, "run-1")
		missing := payment.Divergence{
			Processor: "rest", ProcessorRecordID: "ch_9", Kind: payment.DivergenceMissingHere, StatusThere: "pending",
			Evidence: map[string]string{"amount_there": "12.50 USD"}, DetectedAt: time.Now().UTC().Truncate(time.Microsecond), DetectedBy: "reconcile",
		}
		missing = recordDivergence(t, s, missing)
		again := missing
		again.StatusThere, again.Evidence = "succeeded", map[string]string{"amount_there": "12.50 USD", "captured_there": "12.50 USD"}
		created, err := s.RecordDivergence(t.Context(), again)
		require.NoError(t, err)
		require.False(t, created, "it is the same record")
		require.Equal(t, []payment.Divergence{missing}, divergences(t, s, payment.DivergenceFilter{Processor: "rest"}))
		require.Empty(t, divergences(t, s, payment.DivergenceFilter{Processor: "stripe"}))
		require.Empty(t, divergences(t, s, payment.DivergenceFilter{MerchantID: "acme"}))
		other := again
		other.Processor = "stripe"
		recordDivergence(t, s, other)

		without := missing
		without.ProcessorRecordID = ""
		_, err = s.RecordDivergence(t.Context(), without)
		require.ErrorIs(t, err, ErrInvalid)
		require.Equal(t, int64(1), endRunAs(t, s, "run-1", true, "").Counts.Findings)

		page, err := s.Payments(t.Context(), Filter{Divergent: true})
		require.NoError(t, err)
		require.Empty(t, page.Payments)
	})
}

func TestRefundsOfAProcessorAreReadByTheirIndex(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		var want, got []string
		for i := range 5 {
			want = append(want, reserve(t, s, newRefund(fmt.Sprintf("r-%d", i), c, 100)).RefundID)
		}
		r := settle(t, s, reserve(t, s, newRefund("r-9", c, 100)), payment.Declined)
		want = append(want, r.RefundID)
		for cursor := ""; ; {
			refunds, next, err := s.RefundsOfProcessor(t.Context(), "rest", morning, later.Add(time.Second), cursor, 2)
			require.NoError(t, err)
			for _, r := range refunds {
				got = append(got, r.RefundID)
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		require.ElementsMatch(t, want, got)
		refunds, _, err := s.RefundsOfProcessor(t.Context(), "rest", morning, later, "", 10)
		require.NoError(t, err)
		require.Empty(t, refunds)
		plan := readPlan(t, s, selectRefundsOfProcessor+"AND (created_at, refund_id) > ($4, $5) ORDER BY created_at, refund_id LIMIT 10",
			"rest", formatTime(morning), formatTime(later), formatTime(morning), "ref_1")
		require.Contains(t, plan, "refunds_of_processor")
		require.NotContains(t, strings.ToLower(plan), "sort")
		require.NotContains(t, plan, "TEMP B-TREE")

		var unknown []string
		for cursor := ""; ; {
			refunds, next, err := s.UnknownRefunds(t.Context(), "rest", cursor, 2)
			require.NoError(t, err)
			for _, r := range refunds {
				unknown = append(unknown, r.RefundID)
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		require.ElementsMatch(t, want[:5], unknown)
		for _, args := range [][]any{{"rest"}, {"rest", formatTime(later), "ref_1"}} {
			after := map[int]string{1: "", 3: "AND (created_at, refund_id) > ($2, $3) "}[len(args)]
			plan = readPlan(t, s, selectUnknownRefunds+after+"ORDER BY created_at, refund_id LIMIT 10", args...)
			require.Contains(t, plan, "refunds_open")
		}
	})
}

// An operator may resolve without an id.
func TestWhatHasNoIDIsReadByItsIndex(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		of := paid(t, s, "order-0")
		settle(t, s, reserve(t, s, newRefund("r-0", of, 100)), payment.Declined)
		begin(t, s, newCharge("order-9"))
		var payments, refunds, gotPayments, gotRefunds []string
		for i := range 3 {
			c := succeeded(begin(t, s, newCharge(fmt.Sprintf("order-%d", i+1))))
			c.ProcessorPaymentID = ""
			c, err := s.RecordPayment(t.Context(), c, byProcessor)
			require.NoError(t, err)
			payments = append(payments, c.PaymentID)
			refunds = append(refunds, settle(t, s, reserve(t, s, newRefund(fmt.Sprintf("r-%d", i+1), of, 100)), payment.Succeeded).RefundID)
		}
		for cursor := ""; ; {
			page, next, err := s.UnidentifiedPayments(t.Context(), "rest", cursor, 2)
			require.NoError(t, err)
			for _, c := range page {
				gotPayments = append(gotPayments, c.PaymentID)
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		for cursor := ""; ; {
			page, next, err := s.UnidentifiedRefunds(t.Context(), "rest", cursor, 2)
			require.NoError(t, err)
			for _, r := range page {
				gotRefunds = append(gotRefunds, r.RefundID)
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		require.ElementsMatch(t, payments, gotPayments)
		require.ElementsMatch(t, refunds, gotRefunds)
		for index, list := range map[string][2]string{
			"payments_unidentified": {selectUnidentifiedPayments, "payment_id"}, "refunds_unidentified": {selectUnidentifiedRefunds, "refund_id"},
		} {
			for _, cursor := range []string{"", newCursor(morning, "x")} {
				statement, args, err := oldestFirst(list[0], list[1], []any{"rest"}, cursor, 10)
				require.NoError(t, err)
				plan := readPlan(t, s, statement, args...)
				require.Contains(t, plan, index)
				require.NotContains(t, strings.ToLower(plan), "sort")
				require.NotContains(t, plan, "TEMP B-TREE")
			}
		}
		_, _, err := s.UnidentifiedPayments(t.Context(), "rest", "no cursor", 2)
		require.ErrorIs(t, err, ErrInvalid)
		_, _, err = s.UnidentifiedRefunds(t.Context(), "rest", "no cursor", 2)
		require.ErrorIs(t, err, ErrInvalid)
	})
}

// What a processor reports must not seem to be unknown because the database that answers reads lags behind: it would be a payment that was made
// outside Florin.
func TestWhatAProcessorReportsIsSearchedAsOfTheLastWrite(t *testing.T) {
	for _, database := range databases {
		t.Run(database.name, func(t *testing.T) {
			s, behind := open(t, database.dsn(t)), open(t, database.dsn(t))
			current := s.reads
			s.reads = behind.reads
			t.Cleanup(func() { s.reads = current })
			c := paid(t, s, "order-1")
			r := reserve(t, s, newRefund("r-1", c, 100))
			r.ProcessorRefundID = "re_1"
			r = settle(t, s, r, payment.Succeeded)
			found, err := s.PaymentByProcessorID(t.Context(), "rest", c.ProcessorPaymentID)
			require.NoError(t, err)
			require.Equal(t, c.PaymentID, found.PaymentID)
			refund, err := s.RefundByProcessorID(t.Context(), "rest", "re_1")
			require.NoError(t, err)
			require.Equal(t, r, refund)
			for _, id := range []string{c.PaymentID, r.RefundID} {
				identity, err := s.Identity(t.Context(), id)
				require.NoError(t, err)
				require.Equal(t, "acme", identity.MerchantID)
			}
			refunds, err := s.Refunds(t.Context(), c.MerchantID, c.PaymentID)
			require.NoError(t, err)
			require.Equal(t, []payment.Refund{r}, refunds)
		})
	}
}

func TestRefundIsFoundByItsProcessorsID(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		r := reserve(t, s, newRefund("r-1", paid(t, s, "order-1"), 100))
		r.ProcessorRefundID = "re_1"
		r = settle(t, s, r, payment.Succeeded)
		found, err := s.RefundByProcessorID(t.Context(), "rest", "re_1")
		require.NoError(t, err)
		require.Equal(t, r, found)
		_, err = s.RefundByProcessorID(t.Context(), "stripe", "re_1")
		require.ErrorIs(t, err, payment.ErrNotFound)
	})
}

// A worker whose clock was ahead has completed a window: until that time, the windows follow from the last one that is not in the future.
func TestWatermarkInTheFutureLeavesNoGap(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		now := time.Now()
		for i, until := range []time.Time{now.Add(-24 * time.Hour), now.Add(24 * time.Hour)} {
			id := fmt.Sprintf("run-%d", i)
			err := s.write(t.Context(), func(q querier) error {
				return q.exec(t.Context(), insertRun, id, "rest", "reconcile/rest", formatTime(morning), formatTime(until), formatTime(until))
			})
			require.NoError(t, err)
			endRunAs(t, s, id, true, "")
		}
		require.WithinDuration(t, now.Add(-24*time.Hour-window.Overlap), beginRun(t, s, "run-2").WindowFrom, time.Millisecond)
	})
}

// A processor may ignore the size of a page.
func TestPageOfAnySizeIsKept(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		beginRun(t, s, "run-1")
		records := make([]ListedRecord, 12_000)
		for i := range records {
			records[i] = ListedRecord{ID: fmt.Sprintf("ch_%05d", i), Reference: "ref", Record: `{}`}
		}
		require.NoError(t, s.StageRecords(t.Context(), "run-1", payment.OperationCharge, records))
		found, err := s.RecordsByReference(t.Context(), "run-1", payment.OperationCharge, []string{"ref"})
		require.NoError(t, err)
		require.Len(t, found["ref"], len(records))
	})
}
