package store

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestBegunPaymentIsStoredCompletely(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := newCharge("order 1 {é}~")
		c.IdempotencyKey = "order 1 {}~"
		begun := begin(t, s, c)
		c.Revision = 1
		require.Equal(t, c, begun)
		byKey, err := s.Payment(t.Context(), "acme", c.IdempotencyKey)
		require.NoError(t, err)
		require.Equal(t, c, byKey)
		byID, err := s.PaymentByID(t.Context(), "acme", c.PaymentID)
		require.NoError(t, err)
		require.Equal(t, c, byID)
		events, err := s.Events(t.Context(), c.PaymentID)
		require.NoError(t, err)
		require.Equal(t, []Event{{At: morning, To: payment.Processing, Cause: Cause{By: "request", Evidence: map[string]string{}}}}, events)
	})
}

func TestBeginWithAUsedKeyReturnsTheStoredPayment(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		first := begin(t, s, newCharge("order-1"))
		again := newCharge("order-1")
		again.CreatedAt, again.UpdatedAt, again.Processor = later, later, "stripe"
		stored, created, err := s.BeginPayment(t.Context(), again, fingerprint)
		require.NoError(t, err)
		require.False(t, created)
		require.Equal(t, first, stored, "the stored times and processor are returned")

		recorded, err := s.RecordPayment(t.Context(), succeeded(first), byProcessor)
		require.NoError(t, err)
		stored, created, err = s.BeginPayment(t.Context(), again, fingerprint)
		require.NoError(t, err)
		require.False(t, created)
		require.Equal(t, recorded, stored)

		_, _, err = s.BeginPayment(t.Context(), again, strings.Repeat("0", 64))
		require.ErrorIs(t, err, payment.ErrIdempotencyMismatch)
		require.False(t, Temporary(err))
	})
}

func TestIdempotencyKeysAreScopedToTheMerchant(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		begin(t, s, newCharge("order-1"))
		other := newCharge("order-1")
		other.MerchantID, other.PaymentID = "emca", payment.PaymentID("emca", "order-1")
		begin(t, s, other)
		_, err := s.PaymentByID(t.Context(), "acme", other.PaymentID)
		require.ErrorIs(t, err, payment.ErrNotFound)
		_, err = s.Payment(t.Context(), "acme", "order-2")
		require.ErrorIs(t, err, payment.ErrNotFound)
		_, err = s.RecordPayment(t.Context(), succeeded(newCharge("order-2")), byProcessor)
		require.ErrorIs(t, err, payment.ErrNotFound)
	})
}

func TestBeginRefusesInvalidPayments(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		for what, change := range map[string]func(*payment.Charge){
			"not processing":           func(c *payment.Charge) { c.Status = payment.Succeeded },
			"zero amount":              func(c *payment.Charge) { c.Amount = 0 },
			"negative amount":          func(c *payment.Charge) { c.Amount = -1 },
			"amount above the maximum": func(c *payment.Charge) { c.Amount = payment.MaxAmount + 1 },
			"lower-case currency":      func(c *payment.Charge) { c.Currency = "eur" },
			"long currency":            func(c *payment.Charge) { c.Currency = "EURO" },
			"no currency":              func(c *payment.Charge) { c.Currency = "" },
			"no merchant":              func(c *payment.Charge) { c.MerchantID = "" },
			"no idempotency key":       func(c *payment.Charge) { c.IdempotencyKey = "" },
			"no processor":             func(c *payment.Charge) { c.Processor = "" },
			"payment method too long":  func(c *payment.Charge) { c.PaymentMethod = strings.Repeat("tok_vaulted", 30) },
			"id of another payment":    func(c *payment.Charge) { c.PaymentID = payment.PaymentID("acme", "taken") },
		} {
			if what == "id of another payment" {
				begin(t, s, newCharge("taken"))
			}
			c := newCharge("order-1")
			change(&c)
			_, created, err := s.BeginPayment(t.Context(), c, fingerprint)
			require.ErrorIs(t, err, ErrInvalid, what)
			require.False(t, created)
			require.False(t, Temporary(err))
			require.NotContains(t, err.Error(), "tok_")
		}
	})
}

func TestZeroTimesBecomeNow(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := newCharge("order-1")
		c.CreatedAt, c.UpdatedAt = time.Time{}, time.Time{}
		stored := begin(t, s, c)
		require.WithinDuration(t, time.Now(), stored.CreatedAt, time.Minute)
		require.Equal(t, stored.CreatedAt, stored.UpdatedAt)
		require.Equal(t, time.UTC, stored.CreatedAt.Location())
	})
}

func TestTimesAreStoredInUTCWithMicroseconds(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := newCharge("order-1")
		c.CreatedAt = time.Date(2026, 3, 29, 1, 59, 59, 987_654_321, time.FixedZone("", 2*60*60))
		c.UpdatedAt = c.CreatedAt.Add(-time.Hour)
		want := time.Date(2026, 3, 28, 23, 59, 59, 987_654_000, time.UTC)
		stored := begin(t, s, c)
		require.Equal(t, want, stored.CreatedAt)
		require.Equal(t, want, stored.UpdatedAt, "updated is never before created")
		c.Status, c.UpdatedAt = payment.Pending, want.Add(-time.Hour)
		stored, err := s.RecordPayment(t.Context(), c, byProcessor)
		require.NoError(t, err)
		require.Equal(t, want, stored.UpdatedAt, "updated is never set back")
	})
}

func TestEachRecordedStateAppendsAnEvent(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := begin(t, s, newCharge("order-1"))
		at := morning
		record := func(status payment.Status, cause Cause, change func(*payment.Charge)) payment.Charge {
			at = at.Add(time.Millisecond)
			c.Status, c.UpdatedAt, c.Failure, c.Decline = status, at, nil, nil
			change(&c)
			want := c
			want.Revision++
			stored, err := s.RecordPayment(t.Context(), c, cause)
			require.NoError(t, err)
			require.Equal(t, want, stored)
			c.Revision = stored.Revision
			again, err := s.RecordPayment(t.Context(), c, cause)
			require.NoError(t, err)
			require.Equal(t, want, again, "safe to repeat")
			return stored
		}
		record(payment.Unknown, Cause{By: "processor"}, func(c *payment.Charge) {
			c.Failure = &payment.Failure{
				Class: payment.ClassOutcomeUnknown, Message: "the response was lost: \"é\"\n", HTTPStatus: 504, ProcessorCode: "x",
			}
		})
		record(payment.RequiresAction, Cause{By: "lookup"}, func(c *payment.Charge) { c.ProcessorPaymentID = "ch_1" })
		record(payment.Pending, byProcessor, func(c *payment.Charge) { c.ProcessorRequestID = "req_2" })
		byOperator := Cause{By: "operator:jane", Evidence: map[string]string{"ticket": "42", "note": "é"}}
		c = record(payment.Succeeded, byOperator, func(c *payment.Charge) { c.CapturedAmount = c.Amount })

		events, err := s.Events(t.Context(), c.PaymentID)
		require.NoError(t, err)
		empty := map[string]string{}
		require.Equal(t, []Event{
			{At: morning, To: payment.Processing, Cause: Cause{By: "request", Evidence: empty}},
			{At: morning.Add(1 * time.Millisecond), From: payment.Processing, To: payment.Unknown, Cause: Cause{By: "processor", Evidence: empty}},
			{At: morning.Add(2 * time.Millisecond), From: payment.Unknown, To: payment.RequiresAction, ProcessorID: "ch_1", Cause: Cause{By: "lookup", Evidence: empty}},
			{At: morning.Add(3 * time.Millisecond), From: payment.RequiresAction, To: payment.Pending, ProcessorID: "ch_1", Cause: byProcessor},
			{
				At: morning.Add(4 * time.Millisecond), From: payment.Pending, To: payment.Succeeded, Amount: 10_000, ProcessorID: "ch_1",
				Cause: byOperator,
			},
		}, events)
	})
}

func TestDeclineIsStoredCompletely(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := begin(t, s, newCharge("order-1"))
		c.Status, c.UpdatedAt = payment.Declined, later
		c.Decline = &payment.Decline{Code: "do_not_honor", Kind: payment.DeclineSoft, NetworkCode: "05", AdviceCode: "02", Message: "Ask your bank"}
		stored, err := s.RecordPayment(t.Context(), c, byProcessor)
		require.NoError(t, err)
		c.Revision = 2
		require.Equal(t, c, stored)
	})
}

// The test tries every pair of statuses on both databases.
func TestOnlyLegalTransitionsAreRecorded(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		for from := range payment.PaymentTransitions {
			for to := range payment.PaymentTransitions {
				c := begin(t, s, newCharge(fmt.Sprintf("%s-%s", from, to)))
				for _, step := range pathTo(t, payment.PaymentTransitions, from) {
					c.Status = step
					_, err := s.RecordPayment(t.Context(), c, byProcessor)
					require.NoError(t, err)
				}
				before, err := s.PaymentByID(t.Context(), c.MerchantID, c.PaymentID)
				require.NoError(t, err)
				c.Status = to
				stored, err := s.RecordPayment(t.Context(), c, byProcessor)
				if checkTransition(payment.PaymentTransitions, from, to, true) != illegal {
					require.NoError(t, err, "%s to %s", from, to)
					require.Equal(t, to, stored.Status)
					continue
				}
				require.ErrorIs(t, err, ErrIllegalTransition)
				require.ErrorContains(t, err, fmt.Sprintf("from %s to %s", from, to))
				require.False(t, Temporary(err))
				after, err := s.PaymentByID(t.Context(), c.MerchantID, c.PaymentID)
				require.NoError(t, err)
				require.Equal(t, before, after)
			}
		}
		requireConsistent(t, s)
	})
}

// pathTo returns the shortest path of transitions from processing to a status.
func pathTo(tb testing.TB, transitions map[payment.Status][]payment.Status, to payment.Status) []payment.Status {
	tb.Helper()
	paths := map[payment.Status][]payment.Status{payment.Processing: {}}
	for queue := []payment.Status{payment.Processing}; len(queue) > 0; queue = queue[1:] {
		for _, next := range transitions[queue[0]] {
			if _, seen := paths[next]; !seen {
				paths[next] = append(append([]payment.Status{}, paths[queue[0]]...), next)
				queue = append(queue, next)
			}
		}
	}
	require.Contains(tb, paths, to)
	return paths[to]
}

func TestDetailsOfAFinalStatusCannotChange(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := begin(t, s, newCharge("order-1"))
		c.Status, c.UpdatedAt = payment.Unknown, later
		c.Failure = &payment.Failure{Class: payment.ClassOutcomeUnknown, Message: "first"}
		_, err := s.RecordPayment(t.Context(), c, byProcessor)
		require.NoError(t, err)
		c.Failure = &payment.Failure{Class: payment.ClassOutcomeUnknown, Message: "second"}
		c.ProcessorPaymentID = "ch_1"
		stored, err := s.RecordPayment(t.Context(), c, byProcessor)
		require.NoError(t, err)
		c.Revision = 3
		require.Equal(t, c, stored)

		c.ProcessorRequestID = "req_9"
		stored, err = s.RecordPayment(t.Context(), c, byProcessor)
		require.NoError(t, err)
		require.Empty(t, stored.ProcessorRequestID, "a new request id alone changes nothing")
		events, err := s.Events(t.Context(), c.PaymentID)
		require.NoError(t, err)
		require.Len(t, events, 3)

		c.ProcessorPaymentID = ""
		c.Status, c.Failure, c.CapturedAmount = payment.Succeeded, nil, c.Amount
		stored, err = s.RecordPayment(t.Context(), c, byProcessor)
		require.NoError(t, err)
		require.Equal(t, "ch_1", stored.ProcessorPaymentID, "a known id is kept")

		c.CapturedAmount--
		_, err = s.RecordPayment(t.Context(), c, byProcessor)
		require.ErrorIs(t, err, ErrIllegalTransition)
		require.ErrorContains(t, err, "it is succeeded, which is final")
	})
}

func TestRecordIgnoresTheRefundedAmount(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := succeeded(begin(t, s, newCharge("order-1")))
		c.RefundedAmount = 700
		stored, err := s.RecordPayment(t.Context(), c, byProcessor)
		require.NoError(t, err)
		require.Zero(t, stored.RefundedAmount)
	})
}

func TestRecordRefusesInvalidPayments(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		other := paid(t, s, "order-0")
		begin(t, s, newCharge("order-1"))
		for what, tc := range map[string]struct {
			change func(*payment.Charge)
			cause  Cause
			want   error
		}{
			"unknown status": {
				change: func(c *payment.Charge) { c.Status = "paid" },
				cause:  byProcessor, want: ErrInvalid,
			},
			"no status": {
				change: func(c *payment.Charge) { c.Status = "" },
				cause:  byProcessor, want: ErrInvalid,
			},
			"negative captured amount": {
				change: func(c *payment.Charge) { c.CapturedAmount = -1 },
				cause:  byProcessor, want: ErrInvalid,
			},
			"captured amount above the amount": {
				change: func(c *payment.Charge) { c.CapturedAmount = c.Amount + 1 },
				cause:  byProcessor, want: ErrInvalid,
			},
			"processor's id too long": {
				change: func(c *payment.Charge) { c.ProcessorPaymentID = strings.Repeat("x", 256) },
				cause:  byProcessor, want: ErrInvalid,
			},
			"no cause": {
				change: func(*payment.Charge) {},
				cause:  Cause{}, want: ErrInvalid,
			},
			"processor's id of another payment": {
				change: func(c *payment.Charge) { c.ProcessorPaymentID = other.ProcessorPaymentID },
				cause:  byProcessor, want: ErrProcessorIDTaken,
			},
		} {
			c := succeeded(newCharge("order-1"))
			tc.change(&c)
			_, err := s.RecordPayment(t.Context(), c, tc.cause)
			require.ErrorIs(t, err, tc.want, what)
			require.False(t, Temporary(err), what)
			require.NotContains(t, err.Error(), "tok_", what)
		}
		requireConsistent(t, s)
	})
}

// An unusual response of a processor must not prevent recording a payment.
func TestInvalidAndLongTextIsCleanedAndCut(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := begin(t, s, newCharge("order-1"))
		c.Status, c.ProcessorRequestID = payment.Declined, strings.Repeat("ü", 300)
		c.Decline = &payment.Decline{Code: "a\x00b", Kind: payment.DeclineHard, Message: "\xff" + strings.Repeat("é", 3000)}
		cause := Cause{By: strings.Repeat("b", 200), Evidence: map[string]string{"\x00": strings.Repeat("v", 900)}}
		for i := range 40 {
			cause.Evidence[fmt.Sprintf("key-%d", i)] = "v"
		}
		stored, err := s.RecordPayment(t.Context(), c, cause)
		require.NoError(t, err)
		require.Equal(t, "a\uFFFDb", stored.Decline.Code)
		require.Equal(t, "\uFFFD"+strings.Repeat("é", 1999), stored.Decline.Message)
		require.Equal(t, strings.Repeat("ü", 255), stored.ProcessorRequestID)
		again, err := s.RecordPayment(t.Context(), c, cause)
		require.NoError(t, err, "recording the same uncleaned text again changes nothing")
		require.Equal(t, stored, again)
		events, err := s.Events(t.Context(), c.PaymentID)
		require.NoError(t, err)
		require.Len(t, events, 2)
		require.Len(t, events[1].Cause.By, 100)
		require.Len(t, events[1].Cause.Evidence, 20)
		require.Equal(t, strings.Repeat("v", 500), events[1].Cause.Evidence["\uFFFD"])
	})
}

func TestConcurrentBeginsCreateOnePayment(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		var created atomic.Int64
		stored := make([]payment.Charge, 200)
		errs := make([]error, 200)
		runConcurrently(200, func(i int) {
			c := newCharge("order-1")
			c.CreatedAt = c.CreatedAt.Add(time.Duration(i) * time.Millisecond)
			c.UpdatedAt = c.CreatedAt
			var isNew bool
			if stored[i], isNew, errs[i] = s.BeginPayment(t.Context(), c, fingerprint); isNew {
				created.Add(1)
			}
		})
		require.NoError(t, errors.Join(errs...))
		require.Equal(t, int64(1), created.Load())
		for _, c := range stored {
			require.Equal(t, stored[0], c)
		}
		requireConsistent(t, s)
	})
}

func TestConcurrentRecordsKeepOneFinalStatus(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		begin(t, s, newCharge("order-1"))
		errs := make([]error, 100)
		runConcurrently(100, func(i int) {
			c := succeeded(newCharge("order-1"))
			if i%2 == 1 { // half of the calls record another final status
				c.Status, c.CapturedAmount = payment.Declined, 0
			}
			_, errs[i] = s.RecordPayment(t.Context(), c, byProcessor)
		})
		final, err := s.Payment(t.Context(), "acme", "order-1")
		require.NoError(t, err)
		for i, err := range errs {
			if (final.Status == payment.Succeeded) == (i%2 == 0) {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrIllegalTransition)
			}
		}
		events, err := s.Events(t.Context(), final.PaymentID)
		require.NoError(t, err)
		require.Len(t, events, 2)
	})
}

func TestPagesContainEveryPaymentOnceWhenTimesAreEqual(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		const n = 25
		want := map[string]bool{}
		for i := range n {
			c := newCharge(fmt.Sprintf("order-%d", i))
			c.CreatedAt = morning.Add(time.Duration(i/10) * time.Microsecond) // ten have the same time
			c.UpdatedAt = c.CreatedAt
			want[begin(t, s, c).PaymentID] = true
		}
		for _, limit := range []int{1, 3, 5, 24, 25, 26} {
			f := Filter{MerchantID: "acme", Limit: limit}
			var all []payment.Charge
			for {
				page, err := s.Payments(t.Context(), f)
				require.NoError(t, err)
				require.LessOrEqual(t, len(page.Payments), limit)
				all = append(all, page.Payments...)
				if f.Cursor = page.Next; f.Cursor == "" {
					break
				}
				require.NotContains(t, f.Cursor, "pay_", "the cursor is opaque")
			}
			require.Len(t, all, n)
			seen := map[string]bool{}
			for i, c := range all {
				seen[c.PaymentID] = true
				if i > 0 {
					before := all[i-1]
					require.True(t, c.CreatedAt.Before(before.CreatedAt) || c.CreatedAt.Equal(before.CreatedAt) && c.PaymentID < before.PaymentID)
				}
			}
			require.Equal(t, want, seen)
		}
	})
}

func TestPaymentsAreFiltered(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		keys := func(f Filter) []string {
			t.Helper()
			page, err := s.Payments(t.Context(), f)
			require.NoError(t, err)
			found := []string{}
			for _, c := range page.Payments {
				found = append(found, c.IdempotencyKey)
			}
			return found
		}
		at := func(minute int) time.Time { return morning.Add(time.Duration(minute) * time.Minute) }
		for i, status := range []payment.Status{payment.Succeeded, payment.Processing, payment.Unknown, payment.Conflicted} {
			c := newCharge(fmt.Sprintf("%d", i))
			c.CreatedAt, c.UpdatedAt = at(i), at(i)
			if i == 3 {
				c.MerchantID, c.Processor = "emca", "stripe"
			}
			c = begin(t, s, c)
			if c.Status = status; status != payment.Processing {
				_, err := s.RecordPayment(t.Context(), c, byProcessor)
				require.NoError(t, err)
			}
		}
		require.Equal(t, []string{"3", "2", "1", "0"}, keys(Filter{}))
		require.Equal(t, []string{"2", "1", "0"}, keys(Filter{MerchantID: "acme"}))
		require.Equal(t, []string{"3"}, keys(Filter{Processor: "stripe"}))
		require.Equal(t, []string{"3", "2"}, keys(Filter{Statuses: []payment.Status{payment.Unknown, payment.Conflicted}}))
		require.Equal(t, []string{"2", "0"}, keys(Filter{Statuses: []payment.Status{payment.Unknown, payment.Succeeded}}))
		require.Equal(t, []string{"2", "1"}, keys(Filter{CreatedFrom: at(1), CreatedBefore: at(3)}))
		require.Equal(t, []string{"3", "2"}, keys(Filter{Limit: 2}))
		require.Equal(t, []string{}, keys(Filter{MerchantID: "other"}))

		for _, f := range []Filter{{Statuses: []payment.Status{"paid"}}, {Cursor: "x"}, {Cursor: "eA"}, {Cursor: newCursor(morning, "\x00")},
			{MerchantID: strings.Repeat("x", 65)}, {Processor: strings.Repeat("x", 65)}, {Cursor: strings.Repeat("A", 1000)},
			{Statuses: slices.Repeat([]payment.Status{payment.Pending}, 100)}, {CreatedFrom: time.Unix(1<<40, 0)},
		} {
			_, err := s.Payments(t.Context(), f)
			require.ErrorIs(t, err, ErrInvalid)
		}
		_, err := s.Payments(t.Context(), Filter{Limit: 1 << 40})
		require.NoError(t, err)
	})
}

// The plans are those that PostgreSQL made when the tables were empty and it had no statistics.
func TestChargeDoesNotReadOtherPaymentsInANewDatabase(t *testing.T) {
	s := open(t, postgresDSN(t))
	tx, err := s.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	var begun, persisted, read int
	for n := range 200 {
		c := newCharge(fmt.Sprintf("order-%d", n))
		begun = rowsRead(t, tx, "payments", rawPayment, rawPaymentArgs(c)...)
		args, err := updatePaymentArgs(succeeded(c), byProcessor, nil)
		require.NoError(t, err)
		persisted = rowsRead(t, tx, "payments", updatePayment, args...)
		read = rowsRead(t, tx, "payments", selectPaymentByID, c.MerchantID, c.PaymentID)
		read += rowsRead(t, tx, "payments", selectPaymentByKey, c.MerchantID, c.IdempotencyKey)
	}
	require.LessOrEqual(t, begun, 2)
	require.LessOrEqual(t, persisted, 4)
	require.LessOrEqual(t, read, 2)
}

// Each list must be read in the order of one index, which has an entry for nothing else: PostgreSQL with the plan that it makes for
// any arguments, whatever the statistics.
func TestEveryListIsReadInTheOrderOfOneIndex(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		manyPayments(t, s)
		if s.dialect.name == "postgres" {
			execSQL(t, s, "ANALYZE payments")
		}
		for _, kind := range []struct {
			index string
			Filter
		}{
			{index: "payments_list"},
			{index: "payments_list_of_merchant", Filter: Filter{MerchantID: "new"}},
			{index: "payments_list_of_processor", Filter: Filter{Processor: "old"}},
			{index: "payments_list_of_both", Filter: Filter{MerchantID: "acme", Processor: "old"}},
		} {
			for _, statuses := range [][]payment.Status{nil, {payment.Voided}, {payment.Failed, payment.Unknown}} {
				for _, more := range []Filter{
					{},
					{Cursor: newCursor(morning, "pay_1")},
					{CreatedFrom: morning, CreatedBefore: later},
					{CreatedBefore: later, Cursor: newCursor(morning, "pay_1")},
					{CreatedFrom: morning, CreatedBefore: later, Cursor: newCursor(morning, "pay_1")},
				} {
					f := more
					f.MerchantID, f.Processor, f.Statuses = kind.MerchantID, kind.Processor, statuses
					statement, args, err := s.dialect.pageQuery(f, 51)
					require.NoError(t, err)
					plan := readPlan(t, s, statement, args...)
					require.Regexp(t, kind.index+`\b`, plan)
					require.NotRegexp(t, `Seq Scan|Bitmap|Filter|(^|> *)Sort|SCAN|TEMP B-TREE`, plan)
					parts := len(statuses)
					if parts == 0 {
						parts = len(payment.PaymentTransitions)
					}
					require.Len(t, regexp.MustCompile(kind.index+`\b`).FindAllString(plan, -1), parts, plan)
				}
			}
		}
	})
}

// Of two upper limits, a database may begin to read at the higher one, and pass all pages before this one.
func TestPageHasOneUpperLimit(t *testing.T) {
	cursor := newCursor(morning.Add(time.Hour), "pay_1")
	for before, same := range map[time.Time]Filter{
		morning.Add(2 * time.Hour): {Cursor: cursor},
		morning.Add(time.Hour):     {CreatedBefore: morning.Add(time.Hour)},
		morning:                    {CreatedBefore: morning},
	} {
		statement, args, err := postgres.pageQuery(Filter{CreatedBefore: before, Cursor: cursor}, 51)
		require.NoError(t, err)
		want, wantArgs, err := postgres.pageQuery(same, 51)
		require.NoError(t, err)
		require.Equal(t, want, statement)
		require.Equal(t, wantArgs, args)

		statement, args, err = refundPageQuery(payment.RefundFilter{CreatedBefore: before, Cursor: cursor}, 51)
		require.NoError(t, err)
		want, wantArgs, err = refundPageQuery(payment.RefundFilter{CreatedBefore: same.CreatedBefore, Cursor: same.Cursor}, 51)
		require.NoError(t, err)
		require.Equal(t, want, statement)
		require.Equal(t, wantArgs, args)
	}
}

// A list of divergent payments reads all of them, but nothing else.
func TestDivergentPaymentsAreReadByTheirIDs(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		manyPayments(t, s)
		for _, f := range []Filter{
			{Divergent: true},
			{Divergent: true, MerchantID: "acme", Processor: "old", Statuses: []payment.Status{payment.Failed, payment.Unknown}, CreatedFrom: morning},
		} {
			statement, args, err := s.dialect.pageQuery(f, 51)
			require.NoError(t, err)
			plan := readPlan(t, s, statement, args...)
			require.Contains(t, plan, "divergences_open")
			require.Regexp(t, `payments_pkey|sqlite_autoindex_payments_1 \(payment_id=\?\)`, plan)
			require.NotRegexp(t, `Seq Scan|SCAN payments|payments_list`, plan)
		}
	})
}

// readPlan returns the plan of a statement on a connection for reads. That of PostgreSQL is the one of a prepared statement that is
// used again.
func readPlan(t *testing.T, s *Store, statement string, args ...any) string {
	t.Helper()
	if s.dialect.name == "sqlite" {
		return strings.Join(queryLines(t, s.reads, "EXPLAIN QUERY PLAN "+statement, args...), "\n")
	}
	tx, err := s.reads.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = tx.Exec("PREPARE planned AS " + statement)
	require.NoError(t, err)
	explain := "EXPLAIN EXECUTE planned"
	for i, arg := range args {
		explain += map[bool]string{true: " (", false: ", "}[i == 0] + fmt.Sprintf("'%v'", arg)
	}
	if len(args) > 0 {
		explain += ")"
	}
	plan := strings.Join(queryLines(t, tx, explain), "\n")
	_, err = tx.Exec("DEALLOCATE planned")
	require.NoError(t, err)
	return plan
}

// manyPayments stores 1000 payments of two merchants in three statuses. One in a hundred is of another processor.
func manyPayments(t *testing.T, s *Store) {
	t.Helper()
	series := "generate_series(1, 1000) AS series (n)"
	name, at := "'order-' || n", "CAST('2026-01-01T00:00:00Z' AS timestamptz) + n * INTERVAL '1 second'"
	if s.dialect.name == "sqlite" {
		series = "(WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < 1000) SELECT n FROM series)"
		at = "strftime('%Y-%m-%dT%H:%M:%f000Z', '2026-01-01', n || ' seconds')"
	}
	execSQL(t, s, `INSERT INTO payments (payment_id, merchant_id, idempotency_key, fingerprint, status, amount, currency, processor, payment_method,
		created_at, updated_at, cause_by, cause_evidence)
		SELECT `+name+`, CASE n % 2 WHEN 0 THEN 'acme' ELSE 'emca' END, `+name+`, 'f', 'processing', 100, 'EUR',
			CASE n % 100 WHEN 0 THEN 'old' ELSE 'rest' END, 'tok', `+at+", "+at+", 'sql', '{}' FROM "+series)
	execSQL(t, s, `UPDATE payments SET status = CASE WHEN payment_id LIKE '%3' THEN 'failed' ELSE 'succeeded' END, revision = revision + 1
		WHERE payment_id NOT LIKE '%7'`)
}

// A filter with several statuses is one list for each of them, which the query merges.
func TestListWithSeveralStatusesIsMergedInOrder(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		manyPayments(t, s)
		for _, f := range []Filter{
			{Statuses: []payment.Status{payment.Failed, payment.Processing, payment.Failed, payment.Unknown}},
			{Statuses: []payment.Status{payment.Failed, payment.Processing, payment.Succeeded}, MerchantID: "acme", Processor: "rest"},
			{Statuses: []payment.Status{payment.Failed}, MerchantID: "emca"},
		} {
			var want, got []string
			for _, line := range queryLines(t, s.db, "SELECT payment_id, status, merchant_id, processor FROM payments ORDER BY created_at DESC, payment_id DESC") {
				row := strings.Fields(line)
				if slices.Contains(f.Statuses, payment.Status(row[1])) && (f.MerchantID == "" || f.MerchantID == row[2]) && (f.Processor == "" || f.Processor == row[3]) {
					want = append(want, row[0])
				}
			}
			for f.Limit = 100; ; {
				page, err := s.Payments(t.Context(), f)
				require.NoError(t, err)
				for _, c := range page.Payments {
					got = append(got, c.PaymentID)
				}
				if f.Cursor = page.Next; f.Cursor == "" {
					break
				}
			}
			require.Greater(t, len(want), 90)
			require.Equal(t, want, got)
		}
	})
}

// Two runs of a workflow may both be at work on a payment, after a reset. A run that does not know the modification in flight must not
// replace or remove it: the record that it may have been executed would be lost.
func TestModificationInFlightIsRemovedOnlyByItsEnd(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := begin(t, s, newCharge("order-1"))
		c.Status, c.ProcessorPaymentID = payment.Authorized, "ch_1"
		c, err := s.RecordPayment(t.Context(), c, byProcessor)
		require.NoError(t, err)
		unaware := c

		c.Modification = &payment.Modification{
			Operation: payment.OperationCapture, Amount: 500, StatusBefore: payment.Authorized, BeganAt: c.CreatedAt.Add(time.Second),
		}
		for range 2 { // as if the activity was repeated
			stored, err := s.RecordPayment(t.Context(), c, byProcessor)
			require.NoError(t, err)
			require.Equal(t, c.Modification, stored.Modification)
		}
		another := unaware
		another.Modification = &payment.Modification{
			Operation: payment.OperationVoid, StatusBefore: payment.Authorized, BeganAt: c.CreatedAt.Add(2 * time.Second),
		}
		removed := unaware
		removed.Status = payment.Unknown
		for _, change := range []payment.Charge{another, removed} {
			_, err := s.RecordPayment(t.Context(), change, byProcessor)
			require.ErrorIs(t, err, ErrIllegalTransition)
		}

		c.Status = payment.Unknown
		_, err = s.RecordPayment(t.Context(), c, byProcessor)
		require.NoError(t, err, "the run that knows it goes on")

		c.Status, c.Modification, c.Modifications = payment.Authorized, nil, 1
		stored, err := s.RecordPayment(t.Context(), c, byProcessor)
		require.NoError(t, err)
		require.Nil(t, stored.Modification)
		require.EqualValues(t, 1, stored.Modifications)

		another.Modifications = 1
		_, err = s.RecordPayment(t.Context(), another, byProcessor)
		require.NoError(t, err)
		final := succeeded(stored)
		final.Modifications = 1
		_, err = s.RecordPayment(t.Context(), final, byProcessor)
		require.NoError(t, err, "a final status needs no modification")
	})
}

// Temporal may discard a workflow task after it has stored a modification. Nothing was sent, and the next task of the same run may
// begin another one.
func TestRunReplacesItsOwnModificationThatWasNeverSent(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := begin(t, s, newCharge("order-1"))
		c.Status, c.ProcessorPaymentID = payment.Authorized, "ch_1"
		c, err := s.RecordPayment(t.Context(), c, byProcessor)
		require.NoError(t, err)
		record := func(runID string, after time.Duration, amount int64) error {
			c.Modification = &payment.Modification{
				Operation: payment.OperationCapture, Amount: amount, StatusBefore: payment.Authorized,
				BeganAt: c.CreatedAt.Add(after), RunID: runID,
			}
			stored, err := s.RecordPayment(t.Context(), c, byProcessor)
			if err == nil {
				require.Equal(t, c.Modification, stored.Modification)
			}
			return err
		}
		require.NoError(t, record("run 1", time.Second, 500))
		require.NoError(t, record("run 1", 2*time.Second, 500))
		require.NoError(t, record("run 1", 3*time.Second, 0)) // a field that is left out does not stay
		require.ErrorIs(t, record("run 2", 4*time.Second, 1000), ErrIllegalTransition)
	})
}

// A dispute names the payment by the processor's id only.
func TestPaymentIsFoundByItsProcessorsID(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		begin(t, s, newCharge("order-2")) // without an id of the processor
		found, err := s.PaymentByProcessorID(t.Context(), c.Processor, c.ProcessorPaymentID)
		require.NoError(t, err)
		require.Equal(t, c, found)
		for what, key := range map[string][2]string{
			"another processor": {"stripe", c.ProcessorPaymentID},
			"an unknown id":     {c.Processor, "ch_9"},
			"no id":             {c.Processor, ""},
		} {
			_, err := s.PaymentByProcessorID(t.Context(), key[0], key[1])
			require.ErrorIs(t, err, payment.ErrNotFound, what)
		}
		explain := "EXPLAIN QUERY PLAN "
		tx, err := s.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer tx.Rollback()
		if s.dialect.name == "postgres" { // in a small table, PostgreSQL prefers a sequential scan or any index
			explain = "EXPLAIN "
			_, err := tx.Exec("SET LOCAL enable_seqscan = off")
			require.NoError(t, err)
		}
		plan := strings.Join(queryLines(t, tx, explain+selectPaymentByProcessorID, "rest", "ch_1"), "\n")
		require.Regexp(t, `Index Scan using payments_one_per_processor_id|`+
			`USING INDEX sqlite_autoindex_payments_\d+ \(processor=\? AND processor_payment_id=\?\)`, plan)
	})
}
