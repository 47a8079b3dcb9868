package store

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin/payment"
)

var batchHash = strings.Repeat("a", 64)

func chargeLine(line int64, key string) payment.BatchLine {
	return payment.BatchLine{Line: line, Charge: &payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: key, Amount: 10_000, Currency: "EUR", PaymentMethod: "tok_vaulted",
	}}
}

func refundLine(line int64, key string, of payment.Charge) payment.BatchLine {
	return payment.BatchLine{Line: line, Refund: &payment.RefundRequest{MerchantID: of.MerchantID, IdempotencyKey: key, PaymentID: of.PaymentID}}
}

// addBatch stores a batch of these lines, which starts.
func addBatch(tb testing.TB, s *Store, name string, lines ...payment.BatchLine) payment.Batch {
	tb.Helper()
	b, err := s.AddBatchLines(tb.Context(), payment.BatchChunk{
		Name: name, ContentHash: batchHash, Lines: int64(len(lines)), Chunk: lines, Complete: true,
	}, "shop")
	require.NoError(tb, err)
	return b
}

func claim(tb testing.TB, s *Store, name string, limit int) (lines []int64) {
	tb.Helper()
	_, claimed, err := s.ClaimBatchLines(tb.Context(), name, 0, limit)
	require.NoError(tb, err)
	for _, l := range claimed {
		lines = append(lines, l.Line)
	}
	return lines
}

func batchChange(name string, action payment.BatchAction) payment.BatchChange {
	return payment.BatchChange{Name: name, Action: action, By: "jane", Reason: "incident 4711"}
}

func TestBatchIsReceivedInChunksThatMayBeRepeated(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		head := payment.BatchChunk{Name: "june", ContentHash: batchHash, Lines: 3, InFlight: 7, PerSecond: 2.5}
		first := head
		first.Chunk = []payment.BatchLine{chargeLine(1, "k-1"), chargeLine(3, "k-3")}
		var b payment.Batch
		for range 2 {
			var err error
			b, err = s.AddBatchLines(t.Context(), first, "shop")
			require.NoError(t, err)
			require.Equal(t, payment.BatchReceiving, b.State)
			require.Equal(t, int64(2), b.Received)
			require.Equal(t, int64(3), b.LastLine)
		}
		require.Empty(t, claim(t, s, "june", 10), "nothing starts before all lines are there")

		early := head
		early.Complete = true
		_, err := s.AddBatchLines(t.Context(), early, "shop")
		require.ErrorIs(t, err, ErrInvalid)
		require.ErrorContains(t, err, "2 of 3 lines were handed over")

		last := head
		last.Chunk, last.Complete = []payment.BatchLine{chargeLine(4, "k-4")}, true
		for range 2 {
			b, err = s.AddBatchLines(t.Context(), last, "shop")
			require.NoError(t, err)
			require.Equal(t, payment.BatchRunning, b.State)
			require.Equal(t, int64(3), b.Waiting)
			require.Equal(t, 7, b.InFlight)
			require.InDelta(t, 2.5, b.PerSecond, 0)
		}
		stored, err := s.Batch(t.Context(), "june")
		require.NoError(t, err)
		require.Equal(t, b, stored)
		merchants, err := s.BatchMerchants(t.Context(), "june", 10)
		require.NoError(t, err)
		require.Equal(t, []string{"acme"}, merchants)
	})
}

func TestChunkOfAnotherBatchIsRefused(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		good := payment.BatchChunk{Name: "june", ContentHash: batchHash, Lines: 2, Chunk: []payment.BatchLine{chargeLine(1, "k-1")}}
		_, err := s.AddBatchLines(t.Context(), good, "shop")
		require.NoError(t, err)
		for name, tt := range map[string]struct {
			change func(*payment.BatchChunk)
			by     string
			want   error
			text   string
		}{
			"another file":            {change: func(c *payment.BatchChunk) { c.ContentHash = strings.Repeat("b", 64) }, by: "shop", want: payment.ErrIdempotencyMismatch},
			"another number of lines": {change: func(c *payment.BatchChunk) { c.Lines = 3 }, by: "shop", want: payment.ErrIdempotencyMismatch},
			"another caller":          {change: func(*payment.BatchChunk) {}, by: "mallory", want: payment.ErrIdempotencyMismatch},
			"a key twice": {
				change: func(c *payment.BatchChunk) { c.Chunk = []payment.BatchLine{chargeLine(2, "k-1")} }, by: "shop", want: ErrInvalid,
				text: `line 2: idempotency_key "k-1" was used on line 1`,
			},
			"too many lines": {
				change: func(c *payment.BatchChunk) {
					c.Chunk = []payment.BatchLine{chargeLine(2, "k-2"), chargeLine(3, "k-3")}
				}, by: "shop", want: ErrInvalid,
			},
			"an invalid line": {
				change: func(c *payment.BatchChunk) {
					c.Chunk = []payment.BatchLine{chargeLine(2, "k-2")}
					c.Chunk[0].Charge.Amount = 0
				}, by: "shop", want: ErrInvalid, text: "lines.2.amount",
			},
		} {
			t.Run(name, func(t *testing.T) {
				c := good
				tt.change(&c)
				_, err := s.AddBatchLines(t.Context(), c, tt.by)
				require.ErrorIs(t, err, tt.want)
				require.ErrorContains(t, err, tt.text)
				b, err := s.Batch(t.Context(), "june")
				require.NoError(t, err)
				require.Equal(t, int64(1), b.Received)
			})
		}
	})
}

func TestLineOfABatchIsClaimedOnceAndEndsOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		paidBefore := paid(t, s, "order-1")
		var lines []payment.BatchLine
		for i := range int64(40) {
			lines = append(lines, chargeLine(i+1, "k-"+strings.Repeat("x", int(i+1))))
		}
		lines = append(lines, refundLine(41, "r-1", paidBefore))
		addBatch(t, s, "june", lines...)

		var mu sync.Mutex
		claimed := map[int64]int{}
		runConcurrently(20, func(int) {
			_, got, err := s.ClaimBatchLines(t.Context(), "june", 0, 3)
			mu.Lock()
			defer mu.Unlock()
			for _, l := range got {
				claimed[l.Line]++
			}
			if err != nil && !Temporary(err) {
				t.Error(err)
			}
		})
		require.Len(t, claimed, 41)
		for line, times := range claimed {
			require.Equal(t, 1, times, "line %d", line)
		}
		open, err := s.OpenBatchLines(t.Context(), "june", 39, 10)
		require.NoError(t, err)
		require.Equal(t, []OpenLine{{BatchLine: lines[39]}, {BatchLine: lines[40]}}, open)

		_, _, err = s.BeginPayment(t.Context(), newCharge("k-x"), lines[0].Fingerprint())
		require.NoError(t, err)
		begin(t, s, newCharge("k-xxx")) // another purchase under the key of line 3
		statuses, err := s.BatchLineStatuses(t.Context(), "june", []int64{1, 2, 3, 41})
		require.NoError(t, err)
		require.Equal(t, map[int64]payment.Status{1: payment.Processing, 2: "", 3: payment.LineRefused, 41: ""}, statuses)
		open, err = s.OpenBatchLines(t.Context(), "june", 2, 1)
		require.NoError(t, err)
		require.Equal(t, []OpenLine{{BatchLine: lines[2], Status: payment.LineRefused}}, open)

		ends := []LineEnd{
			{Line: 1, Status: payment.Succeeded}, {Line: 2, Status: payment.Declined}, {Line: 3, Status: payment.LineRefused, Refusal: "no such payment"},
			{Line: 4, Status: payment.Voided}, {Line: 5, Status: payment.Failed}, {Line: 6, Status: payment.Authorized},
		}
		ended, err := s.EndBatchLines(t.Context(), "june", ends)
		require.NoError(t, err)
		require.Equal(t, map[payment.Status]int64{
			payment.Succeeded: 1, payment.Declined: 1, payment.LineRefused: 1, payment.Voided: 1, payment.Failed: 1, payment.Authorized: 1,
		}, ended)
		ended, err = s.EndBatchLines(t.Context(), "june", ends)
		require.NoError(t, err)
		require.Empty(t, ended, "each line ends once")
		b, err := s.FinishBatch(t.Context(), "june")
		require.NoError(t, err)
		require.Equal(t, payment.BatchRunning, b.State, "35 lines are open")
		require.Equal(t, []int64{0, 35, 1, 1, 1, 2, 0, 1}, []int64{
			b.Waiting, b.Open, b.Succeeded, b.Authorized, b.Declined, b.Failed, b.Conflicted, b.Refused,
		})
		var rest []LineEnd
		for i := int64(7); i <= 41; i++ {
			rest = append(rest, LineEnd{Line: i, Status: payment.Succeeded})
		}
		_, err = s.EndBatchLines(t.Context(), "june", rest)
		require.NoError(t, err)
		b, err = s.FinishBatch(t.Context(), "june")
		require.NoError(t, err)
		require.Equal(t, payment.BatchCompleted, b.State)
		require.True(t, b.Finished())
		again, err := s.FinishBatch(t.Context(), "june")
		require.NoError(t, err)
		require.Equal(t, b, again)
	})
}

func TestPauseAndCancelCountFromWhenTheyArePersisted(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		addBatch(t, s, "june", chargeLine(1, "k-1"), chargeLine(2, "k-2"), chargeLine(3, "k-3"))
		require.Len(t, claim(t, s, "june", 1), 1)
		b, err := s.ControlBatch(t.Context(), batchChange("june", payment.BatchPause))
		require.NoError(t, err)
		require.Equal(t, payment.BatchPaused, b.State)
		require.Equal(t, int64(1), b.Revision)
		require.Empty(t, claim(t, s, "june", 1))
		again, err := s.ControlBatch(t.Context(), batchChange("june", payment.BatchPause))
		require.NoError(t, err)
		require.Equal(t, b, again)
		_, err = s.ControlBatch(t.Context(), batchChange("june", payment.BatchResume))
		require.NoError(t, err)
		require.Len(t, claim(t, s, "june", 1), 1)

		rate, perSecond := batchChange("june", payment.BatchRate), 0.5
		rate.PerSecond, rate.InFlight = &perSecond, 9
		b, err = s.ControlBatch(t.Context(), rate)
		require.NoError(t, err)
		require.InDelta(t, 0.5, b.PerSecond, 0)
		require.Equal(t, 9, b.InFlight)

		b, err = s.ControlBatch(t.Context(), batchChange("june", payment.BatchCancel))
		require.NoError(t, err)
		require.Equal(t, payment.BatchCanceled, b.State)
		require.Empty(t, claim(t, s, "june", 1))
		_, err = s.ControlBatch(t.Context(), batchChange("june", payment.BatchResume))
		require.ErrorIs(t, err, ErrInvalid)
		b, err = s.FinishBatch(t.Context(), "june")
		require.NoError(t, err)
		require.False(t, b.Finished(), "two lines were started and have not ended")
		_, err = s.EndBatchLines(t.Context(), "june", []LineEnd{{Line: 1, Status: payment.Succeeded}, {Line: 2, Status: payment.Succeeded}})
		require.NoError(t, err)
		b, err = s.FinishBatch(t.Context(), "june")
		require.NoError(t, err)
		require.True(t, b.Finished())
		require.Equal(t, payment.BatchCanceled, b.State)
		require.Equal(t, int64(1), b.Waiting)

		require.Equal(t, []string{"1 paused", "2 running", "3 running", "4 canceled"},
			queryLines(t, s.db, "SELECT revision, state FROM batch_events ORDER BY revision"))
		_, err = s.ControlBatch(t.Context(), batchChange("july", payment.BatchPause))
		require.ErrorIs(t, err, payment.ErrNotFound)
	})
}

func TestLinesOfABatchAreListedWithTheirPayments(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		old := paid(t, s, "order-1")
		addBatch(t, s, "june", chargeLine(1, "k-1"), chargeLine(2, "k-2"), refundLine(3, "r-1", old))
		claim(t, s, "june", 2)
		c := begin(t, s, newCharge("k-1"))
		c.Status, c.Decline = payment.Declined, &payment.Decline{Code: "lost_card", Kind: payment.DeclineHard}
		_, err := s.RecordPayment(t.Context(), c, byProcessor)
		require.NoError(t, err)
		_, err = s.EndBatchLines(t.Context(), "june", []LineEnd{
			{Line: 1, Status: payment.Declined}, {Line: 2, Status: payment.LineRefused, Refusal: "key of another purchase"},
		})
		require.NoError(t, err)
		want := []payment.BatchResult{
			{
				Line: 1, Operation: payment.OperationCharge, MerchantID: "acme", IdempotencyKey: "k-1", ID: c.PaymentID, Status: payment.Declined,
				Current: payment.Declined, Amount: 10_000, Currency: "EUR", Decline: c.Decline,
			},
			{
				Line: 2, Operation: payment.OperationCharge, MerchantID: "acme", IdempotencyKey: "k-2", ID: payment.PaymentID("acme", "k-2"),
				Status: payment.LineRefused, Refusal: "key of another purchase",
			},
			{
				Line: 3, Operation: payment.OperationRefund, MerchantID: "acme", IdempotencyKey: "r-1", ID: payment.RefundID("acme", "r-1"),
				Status: payment.LineWaiting,
			},
		}
		page, err := s.BatchLines(t.Context(), payment.BatchLineFilter{Name: "june"})
		require.NoError(t, err)
		require.Equal(t, payment.BatchLinePage{Lines: want}, page)
		page, err = s.BatchLines(t.Context(), payment.BatchLineFilter{Name: "june", Limit: 2})
		require.NoError(t, err)
		require.Equal(t, payment.BatchLinePage{Lines: want[:2], Next: 2}, page)
		page, err = s.BatchLines(t.Context(), payment.BatchLineFilter{Name: "june", Limit: 2, After: page.Next})
		require.NoError(t, err)
		require.Equal(t, payment.BatchLinePage{Lines: want[2:]}, page)
		page, err = s.BatchLines(t.Context(), payment.BatchLineFilter{Name: "june", Status: payment.LineWaiting})
		require.NoError(t, err)
		require.Equal(t, want[2:], page.Lines)
		require.Equal(t, []string{"1 ", "2 "}, queryLines(t, s.db, "SELECT line, request FROM batch_lines WHERE line < 3 ORDER BY line"),
			"the request is removed with the end of its line")
	})
}

func TestOnlyStartedLinesOfAKnownCallerAreAccepted(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		line := chargeLine(1, "k-1")
		addBatch(t, s, "june", line)
		accepted := func(id, fingerprint string) bool {
			ok, err := s.AcceptedInBatch(t.Context(), id, fingerprint)
			require.NoError(t, err)
			return ok
		}
		require.False(t, accepted(line.ID(), line.Fingerprint()), "it waits")
		claim(t, s, "june", 1)
		require.True(t, accepted(line.ID(), line.Fingerprint()))
		other := *line.Charge
		other.Amount++
		require.False(t, accepted(line.ID(), other.Fingerprint()), "another request")
		_, err := s.EndBatchLines(t.Context(), "june", []LineEnd{{Line: 1, Status: payment.LineRefused, Refusal: "no such processor"}})
		require.NoError(t, err)
		require.False(t, accepted(line.ID(), line.Fingerprint()), "its caller knows that nothing will come of it")
		_, err = s.AddBatchLines(t.Context(), payment.BatchChunk{
			Name: "anonymous", ContentHash: batchHash, Lines: 1, Chunk: []payment.BatchLine{chargeLine(1, "k-2")}, Complete: true,
		}, "")
		require.NoError(t, err)
		claim(t, s, "anonymous", 1)
		unproven := chargeLine(1, "k-2")
		require.False(t, accepted(unproven.ID(), unproven.Fingerprint()), "its caller did not have to prove who it is")
	})
}

// A processor may take days for an outcome. Such lines are open for callers, and are read apart from those that are in flight.
func TestLineWithoutAnOutcomeIsKeptApart(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		pending := chargeLine(1, "k-1")
		lines := []payment.BatchLine{pending, chargeLine(2, "k-2"), chargeLine(3, "k-3")}
		addBatch(t, s, "june", lines...)
		claim(t, s, "june", 3)
		_, _, err := s.BeginPayment(t.Context(), newCharge("k-1"), pending.Fingerprint())
		require.NoError(t, err)
		_, err = s.EndBatchLines(t.Context(), "june", []LineEnd{{Line: 3, Status: payment.Declined}})
		require.NoError(t, err)
		for range 2 {
			require.NoError(t, s.MarkBatchLinesResponded(t.Context(), "june", []int64{1, 3}))
		}
		require.NoError(t, s.MarkBatchLinesResponded(t.Context(), "june", nil))

		open, err := s.OpenBatchLines(t.Context(), "june", 0, 10)
		require.NoError(t, err)
		require.Equal(t, []OpenLine{{BatchLine: lines[1]}}, open)
		responded, err := s.RespondedBatchLines(t.Context(), "june", 0, 10)
		require.NoError(t, err)
		require.Equal(t, []RespondedLine{{Line: 1, Status: payment.Processing}}, responded)
		responded, err = s.RespondedBatchLines(t.Context(), "june", 1, 10)
		require.NoError(t, err)
		require.Empty(t, responded)
		requests, err := s.BatchRequests(t.Context(), "june", []int64{1, 2, 3})
		require.NoError(t, err)
		require.Equal(t, lines[:2], requests)
		page, err := s.BatchLines(t.Context(), payment.BatchLineFilter{Name: "june", Status: payment.LineOpen})
		require.NoError(t, err)
		require.Len(t, page.Lines, 2)
		require.Equal(t, payment.LineOpen, page.Lines[0].Status)
		accepted, err := s.AcceptedInBatch(t.Context(), pending.ID(), pending.Fingerprint())
		require.NoError(t, err)
		require.True(t, accepted, "its workflow may be started again")

		at, err := s.BatchSweptAt(t.Context(), "june")
		require.NoError(t, err)
		require.Zero(t, at)
		require.NoError(t, s.MarkBatchSwept(t.Context(), "june"))
		at, err = s.BatchSweptAt(t.Context(), "june")
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), at, time.Minute)

		ended, err := s.EndBatchLines(t.Context(), "june", []LineEnd{{Line: 1, Status: payment.Succeeded}, {Line: 2, Status: payment.Succeeded}})
		require.NoError(t, err)
		require.Equal(t, map[payment.Status]int64{payment.Succeeded: 2}, ended)
		b, err := s.FinishBatch(t.Context(), "june")
		require.NoError(t, err)
		require.True(t, b.Finished())
	})
}

// A worker whose heartbeats were lost works on a batch beside its successor: neither must end the other one's transaction.
func TestTwoWorkersOnOneBatchDoNotBlockEachOther(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		const n = 400
		lines, numbers, ends := make([]payment.BatchLine, n), make([]int64, n), make([]LineEnd, n)
		for i := range lines {
			number := int64(i + 1)
			lines[i], numbers[i] = chargeLine(number, fmt.Sprintf("k-%d", i)), number
			ends[n-1-i] = LineEnd{Line: number, Status: payment.LineRefused, Refusal: "no such processor"}
		}
		addBatch(t, s, "june", lines...)
		require.Len(t, claim(t, s, "june", n), n)
		var workers errgroup.Group
		for range 2 {
			workers.Go(func() error {
				_, err := s.EndBatchLines(t.Context(), "june", ends)
				return err
			})
			workers.Go(func() error {
				for range 20 {
					if err := s.MarkBatchLinesResponded(t.Context(), "june", numbers); err != nil {
						return err
					}
				}
				return nil
			})
		}
		require.NoError(t, workers.Wait())
		b, err := s.FinishBatch(t.Context(), "june")
		require.NoError(t, err)
		require.Equal(t, int64(n), b.Refused)
		require.True(t, b.Finished())
	})
}

func TestUnfinishedBatchesAreCounted(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		before := time.Now().Add(-time.Minute)
		addBatch(t, s, "june", chargeLine(1, "k-1"), chargeLine(2, "k-2"))
		addBatch(t, s, "july", chargeLine(1, "k-1"))
		claim(t, s, "june", 1)
		backlog, err := s.UnfinishedBatches(t.Context())
		require.NoError(t, err)
		running := backlog[payment.BatchRunning]
		require.True(t, running.OldestProgress.After(before))
		require.True(t, running.OldestAttention.After(before))
		first := running.OldestAttention
		running.OldestProgress, running.OldestAttention = time.Time{}, time.Time{}
		require.Equal(t, BatchBacklog{Batches: 2, Waiting: 2, Open: 1}, running)

		for _, name := range []string{"june", "july"} {
			_, err = s.FinishBatch(t.Context(), name)
			require.NoError(t, err)
		}
		backlog, err = s.UnfinishedBatches(t.Context())
		require.NoError(t, err)
		require.True(t, backlog[payment.BatchRunning].OldestAttention.After(first), "they were worked on, and have not finished")
	})
}

func TestDatabaseEnforcesTheRulesOfBatches(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		addBatch(t, s, "june", chargeLine(1, "k-1"), chargeLine(2, "k-2"), chargeLine(3, "k-3"))
		claim(t, s, "june", 2)
		_, err := s.EndBatchLines(t.Context(), "june", []LineEnd{{Line: 1, Status: payment.Succeeded}})
		require.NoError(t, err)
		require.NoError(t, s.MarkBatchLinesResponded(t.Context(), "june", []int64{2}))
		_, err = s.ControlBatch(t.Context(), batchChange("june", payment.BatchPause))
		require.NoError(t, err)
		for what, statement := range map[string]string{
			"delete a line":                   "DELETE FROM batch_lines",
			"delete a batch":                  "DELETE FROM batches",
			"delete an event":                 "DELETE FROM batch_events",
			"delete a merchant":               "DELETE FROM batch_merchants",
			"change an event":                 "UPDATE batch_events SET reason = 'another'",
			"invent an event":                 "INSERT INTO batch_events SELECT batch, revision + 1, state, per_second, in_flight, changed_by, reason, changed_at FROM batch_events",
			"add a line to a started batch":   "INSERT INTO batch_lines SELECT batch, 9, operation, merchant_id, 'k-9', 'pay_9', fingerprint, request, 'waiting', NULL FROM batch_lines WHERE line = 3",
			"change the amount of a line":     "UPDATE batch_lines SET request = '{}' WHERE line = 3",
			"change the key of a line":        "UPDATE batch_lines SET id = 'pay_other' WHERE line = 3",
			"start an ended line again":       "UPDATE batch_lines SET status = 'open' WHERE line = 1",
			"start a responded line again":    "UPDATE batch_lines SET status = 'open' WHERE line = 2",
			"respond to an ended line":        "UPDATE batch_lines SET status = 'responded' WHERE line = 1",
			"respond to a waiting line":       "UPDATE batch_lines SET status = 'responded' WHERE line = 3",
			"end a line that was not started": "UPDATE batch_lines SET status = 'succeeded' WHERE line = 3",
			"end a line twice":                "UPDATE batch_lines SET status = 'declined' WHERE line = 1",
			"start lines of a paused batch":   "UPDATE batches SET started = started + 1",
			"count back":                      "UPDATE batches SET succeeded = 0",
			"count too much":                  "UPDATE batches SET succeeded = 3",
			"resume without a revision":       "UPDATE batches SET state = 'running'",
			"complete with open lines":        "UPDATE batches SET state = 'completed', finished_at = created_at",
			"another content":                 "UPDATE batches SET content_hash = '" + strings.Repeat("c", 64) + "'",
			"begin with lines":                "INSERT INTO batches SELECT 'july', content_hash, state, per_second, in_flight, changed_by, reason, changed_at, revision, lines, received, last_line, started, succeeded, authorized, declined, failed, conflicted, refused, created_by, created_at, started_at, progressed_at, attended_at, swept_at, finished_at FROM batches",
		} {
			_, err := s.db.Exec(statement)
			require.Error(t, err, what)
			require.ErrorIs(t, s.wrap(err, "raw"), ErrInvalid, what)
		}
	})
}
