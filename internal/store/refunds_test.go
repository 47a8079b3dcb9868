package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestARefundTakesWhatItNeedsFromItsPayment(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		want := aRefund("r-1", c, 3_000)
		stored, of, created, err := s.ReserveRefund(t.Context(), want, fingerprint)
		require.NoError(t, err)
		require.True(t, created)
		want.Currency, want.Processor = "EUR", "rest"
		require.Equal(t, want, stored)
		require.Equal(t, c, of)
		byKey, err := s.Refund(t.Context(), "acme", "r-1")
		require.NoError(t, err)
		require.Equal(t, want, byKey)
		byID, err := s.RefundByID(t.Context(), "acme", want.RefundID)
		require.NoError(t, err)
		require.Equal(t, want, byID)
		_, err = s.RefundByID(t.Context(), "bolt", want.RefundID)
		require.ErrorIs(t, err, ErrNotFound, "another merchant's")

		want.Status, want.ProcessorRefundID, want.UpdatedAt = payment.Succeeded, "re_1", later.Add(time.Second)
		settled, err := s.SettleRefund(t.Context(), want, byProcessor)
		require.NoError(t, err)
		require.Equal(t, want, settled)
		again, err := s.SettleRefund(t.Context(), want, byProcessor)
		require.NoError(t, err)
		require.Equal(t, want, again)
		c.RefundedAmount = 3_000
		after, err := s.PaymentByID(t.Context(), "acme", c.PaymentID)
		require.NoError(t, err)
		require.Equal(t, c, after)

		events, err := s.Events(t.Context(), want.RefundID)
		require.NoError(t, err)
		require.Equal(t, []Event{
			{At: later, To: payment.Processing, Amount: 3_000, Cause: Cause{"request", map[string]string{}}},
			{At: later.Add(time.Second), From: payment.Processing, To: payment.Succeeded, Amount: 3_000, ProcessorID: "re_1", Cause: byProcessor},
		}, events)
		payments, err := s.Events(t.Context(), c.PaymentID)
		require.NoError(t, err)
		require.Len(t, payments, 2, "a refund is no event of its payment")

		all := reserve(t, s, aRefund("r-2", c, 0))
		require.Equal(t, int64(7_000), all.Amount, "all that is left")
		listed, err := s.Refunds(t.Context(), "acme", c.PaymentID)
		require.NoError(t, err)
		require.ElementsMatch(t, []payment.Refund{settled, all}, listed)
		listed, err = s.Refunds(t.Context(), "emca", c.PaymentID)
		require.NoError(t, err)
		require.Empty(t, listed)
		_, err = s.Refund(t.Context(), "emca", "r-1")
		require.ErrorIs(t, err, ErrNotFound)
	})
}

func TestEachStatusHoldsOrReleasesItsAmount(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		for status := range payment.RefundTransitions {
			c := paid(t, s, "order-"+string(status))
			r := reserve(t, s, aRefund("r-"+string(status), c, 4_000))
			for _, step := range pathTo(t, payment.RefundTransitions, status) {
				r = settle(t, s, r, step)
			}
			refunded, held := reserved(t, s, c)
			switch status {
			case payment.Succeeded:
				require.Equal(t, [2]int64{4_000, 0}, [2]int64{refunded, held}, status)
			case payment.Declined, payment.Failed:
				require.Equal(t, [2]int64{0, 0}, [2]int64{refunded, held}, status)
			default:
				require.Equal(t, [2]int64{0, 4_000}, [2]int64{refunded, held}, status)
			}
		}
	})
}

func TestTheSameRefundAgainReturnsWhatIsStored(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c, other := paid(t, s, "order-1"), paid(t, s, "order-2")
		r := settle(t, s, reserve(t, s, aRefund("r-1", c, 0)), payment.Succeeded)
		stored, of, created, err := s.ReserveRefund(t.Context(), aRefund("r-1", c, 0), fingerprint)
		require.NoError(t, err)
		require.False(t, created)
		require.Equal(t, r, stored)
		require.Equal(t, int64(10_000), of.RefundedAmount)

		for _, otherwise := range []payment.Refund{aRefund("r-1", c, 5), aRefund("r-1", other, 0), aRefund("r-1", aCharge("nowhere"), 0)} {
			_, _, _, err = s.ReserveRefund(t.Context(), otherwise, strings.Repeat("0", 64))
			require.ErrorIs(t, err, ErrMismatch)
		}
	})
}

func TestWhatCannotBeRefundedIsRefused(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		reserve(t, s, aRefund("r-0", c, 9_000))
		pending := aCharge("order-2")
		begin(t, s, pending)
		pending.Status = payment.Pending
		_, err := s.RecordPayment(t.Context(), pending, byProcessor)
		require.NoError(t, err)
		full := paid(t, s, "order-3")
		reserve(t, s, aRefund("r-full", full, 0))
		foreign := aRefund("r-1", c, 100)
		foreign.MerchantID = "emca"
		dollars := aRefund("r-1", c, 100)
		dollars.Currency = "USD"
		begun := aRefund("r-1", c, 100)
		begun.Status = payment.Succeeded
		stolen := aRefund("r-1", c, 100)
		stolen.RefundID = payment.RefundID("acme", "r-0")
		for what, tc := range map[string]struct {
			r    payment.Refund
			want error
			text string
		}{
			"unknown payment":    {aRefund("r-1", aCharge("order-9"), 100), ErrPaymentNotFound, "payment not found"},
			"another merchant's": {foreign, ErrPaymentNotFound, "payment not found"},
			"not succeeded":      {aRefund("r-1", pending, 100), ErrNotRefundable, "it is pending"},
			"too much":           {aRefund("r-1", c, 1_001), ErrExceedsCaptured, "10.01 EUR asked, but only 10.00 EUR is left"},
			"nothing left":       {aRefund("r-1", full, 0), ErrExceedsCaptured, "nothing is left"},
			"currency":           {dollars, ErrCurrency, `"USD", but the payment is in EUR`},
			"negative":           {aRefund("r-1", c, -1), ErrInvalid, "amount -1"},
			"status":             {begun, ErrInvalid, "begins as processing"},
			"another's id":       {stolen, ErrInvalid, "another refund has its id"},
		} {
			_, _, created, err := s.ReserveRefund(t.Context(), tc.r, fingerprint)
			require.ErrorIs(t, err, tc.want, what)
			require.ErrorContains(t, err, tc.text, what)
			require.False(t, Temporary(err), what)
			require.False(t, created)
		}
		requireWhole(t, s)
	})
}

func TestOnlyLegalTransitionsAreSettled(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		for from := range payment.RefundTransitions {
			for to := range payment.RefundTransitions {
				r := reserve(t, s, aRefund(fmt.Sprintf("%s-%s", from, to), c, 1))
				for _, step := range pathTo(t, payment.RefundTransitions, from) {
					r = settle(t, s, r, step)
				}
				r.Status = to
				_, err := s.SettleRefund(t.Context(), r, byProcessor)
				if judge(payment.RefundTransitions, from, to, true) == illegal {
					require.ErrorIs(t, err, ErrIllegalTransition)
					require.ErrorContains(t, err, fmt.Sprintf("from %s to %s", from, to))
				} else {
					require.NoError(t, err, "%s to %s", from, to)
				}
			}
		}
		requireWhole(t, s)
	})
}

func TestWhatCannotBeSettledIsRefused(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		first := reserve(t, s, aRefund("r-0", c, 1))
		first.ProcessorRefundID = "re_0"
		settle(t, s, first, payment.Succeeded)
		reserve(t, s, aRefund("r-1", c, 1))
		for what, tc := range map[string]struct {
			change func(*payment.Refund)
			cause  Cause
			want   error
		}{
			"unknown":            {func(r *payment.Refund) { r.RefundID = "ref_9" }, byProcessor, ErrNotFound},
			"another merchant":   {func(r *payment.Refund) { r.MerchantID = "emca" }, byProcessor, ErrNotFound},
			"a payment's status": {func(r *payment.Refund) { r.Status = payment.Voided }, byProcessor, ErrInvalid},
			"no cause":           {func(*payment.Refund) {}, Cause{}, ErrInvalid},
			"another's id":       {func(r *payment.Refund) { r.ProcessorRefundID = "re_0" }, byProcessor, ErrProcessorIDTaken},
		} {
			r := aRefund("r-1", c, 1)
			r.Status = payment.Succeeded
			tc.change(&r)
			_, err := s.SettleRefund(t.Context(), r, tc.cause)
			require.ErrorIs(t, err, tc.want, what)
			require.False(t, Temporary(err), what)
		}
	})
}

func TestConcurrentRefundsNeverExceedWhatWasCaptured(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		errs := make([]error, 1000)
		together(len(errs), func(i int) {
			_, _, _, errs[i] = s.ReserveRefund(t.Context(), aRefund(fmt.Sprintf("r-%d", i), c, 100), fingerprint)
		})
		reservedOnes := 0
		for _, err := range errs {
			if err == nil {
				reservedOnes++
			} else {
				require.ErrorIs(t, err, ErrExceedsCaptured)
			}
		}
		require.Equal(t, 100, reservedOnes)
		refunded, held := reserved(t, s, c)
		require.Zero(t, refunded)
		require.Equal(t, int64(10_000), held)
		requireWhole(t, s)
	})
}

// The rows themselves are safe too: without the lock that ReserveRefund takes, the database's own still holds.
func TestConcurrentRawRefundsNeverExceedWhatWasCaptured(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		errs := make([]error, 200)
		together(len(errs), func(i int) {
			r := aRefund(fmt.Sprintf("r-%d", i), c, 100)
			if i%2 == 0 {
				r.Amount = 150
			}
			_, errs[i] = s.db.Exec(rawRefund, rawRefundArgs(r)...)
		})
		var total int64
		for i, err := range errs {
			if err == nil {
				total += int64(100 + 50*((i+1)%2))
			}
		}
		require.Greater(t, total, int64(9_850))
		require.LessOrEqual(t, total, int64(10_000))
		_, held := reserved(t, s, c)
		require.Equal(t, total, held)
		requireWhole(t, s)
	})
}

func TestOneOfManyReservesTheRefund(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		payments := []payment.Charge{paid(t, s, "order-0"), paid(t, s, "order-1")}
		results := make([]bool, 100)
		errs := make([]error, 100)
		together(100, func(i int) { // all that is left: only the first may find something
			_, _, results[i], errs[i] = s.ReserveRefund(t.Context(), aRefund("r-1", payments[i%2], 0), "fingerprint-"+strconv.Itoa(i%2))
		})
		created, winner := 0, slices.Index(results, true)%2
		for i, err := range errs {
			if results[i] {
				created++
			}
			if i%2 == winner {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrMismatch)
			}
		}
		require.Equal(t, 1, created)
	})
}

func TestConcurrentSettlingKeepsTheSums(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		refunds := make([]payment.Refund, 100)
		for i := range refunds {
			refunds[i] = reserve(t, s, aRefund(fmt.Sprintf("r-%d", i), c, 100))
		}
		errs := make([]error, len(refunds))
		together(len(refunds), func(i int) {
			r := refunds[i]
			r.Status = []payment.Status{payment.Succeeded, payment.Declined, payment.Unknown, payment.Succeeded}[i%4]
			_, errs[i] = s.SettleRefund(t.Context(), r, byProcessor)
		})
		require.NoError(t, errors.Join(errs...))
		refunded, held := reserved(t, s, c)
		require.Equal(t, [2]int64{5_000, 2_500}, [2]int64{refunded, held})
		requireWhole(t, s)
	})
}

// Random calls, and a model of a few lines that says how each must end.
func TestRandomSequencesEndAsTheModelSays(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("FLORIN_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("FLORIN_TEST_SEED=%d", seed)
	onEachStore(t, func(t *testing.T, s *Store) {
		random := rand.New(rand.NewPCG(seed, 1))
		payments, refunds := map[string]payment.Charge{}, map[string]payment.Refund{}
		paymentStatuses, refundStatuses := sortedStatuses(payment.PaymentTransitions), sortedStatuses(payment.RefundTransitions)
		// left is what may still be refunded.
		left := func(c payment.Charge) int64 {
			sum := c.CapturedAmount
			for _, r := range refunds {
				if r.PaymentID == c.PaymentID && r.Status != payment.Declined && r.Status != payment.Failed {
					sum -= r.Amount
				}
			}
			return sum
		}
		for step := range 1500 {
			key := fmt.Sprintf("order-%d", random.IntN(12))
			c, begun := payments[key]
			refundKey := fmt.Sprintf("r-%d", random.IntN(40))
			r, isReserved := refunds[refundKey]
			switch random.IntN(4) {
			case 0:
				_, created, err := s.BeginPayment(t.Context(), aCharge(key), fingerprint)
				require.NoError(t, err, step)
				require.Equal(t, !begun, created, step)
				if created {
					payments[key] = aCharge(key)
				}
			case 1:
				to := paymentStatuses[random.IntN(len(paymentStatuses))]
				if random.IntN(2) == 0 {
					to = payment.Succeeded
				}
				next := aCharge(key)
				if next.Status = to; to == payment.Succeeded {
					next.CapturedAmount = next.Amount
				}
				next.ProcessorPaymentID = "ch_" + key
				_, err := s.RecordPayment(t.Context(), next, byProcessor)
				switch {
				case !begun:
					require.ErrorIs(t, err, ErrNotFound, step)
				case c.Status != to && !slices.Contains(payment.PaymentTransitions[c.Status], to):
					require.ErrorIs(t, err, ErrIllegalTransition, step)
				default:
					require.NoError(t, err, "step %d: %s to %s", step, c.Status, to)
					c.Status, c.CapturedAmount = to, next.CapturedAmount
					payments[key] = c
				}
			case 2:
				ask := aRefund(refundKey, aCharge(key), int64(random.IntN(4_000)))
				stored, _, created, err := s.ReserveRefund(t.Context(), ask, ask.PaymentID)
				switch {
				case isReserved && r.PaymentID != ask.PaymentID:
					require.ErrorIs(t, err, ErrMismatch, step)
				case isReserved:
					require.NoError(t, err, step)
					require.False(t, created)
					require.Equal(t, r.Amount, stored.Amount)
				case !begun:
					require.ErrorIs(t, err, ErrPaymentNotFound, step)
				case c.Status != payment.Succeeded:
					require.ErrorIs(t, err, ErrNotRefundable, step)
				case left(c) == 0 || ask.Amount > left(c):
					require.ErrorIs(t, err, ErrExceedsCaptured, step)
				default:
					require.NoError(t, err, step)
					if ask.Amount == 0 {
						ask.Amount = left(c)
					}
					require.Equal(t, ask.Amount, stored.Amount)
					refunds[refundKey] = ask
				}
			case 3:
				next := r
				if !isReserved {
					next = aRefund(refundKey, aCharge(key), 1)
				}
				next.Status = refundStatuses[random.IntN(len(refundStatuses))]
				_, err := s.SettleRefund(t.Context(), next, byProcessor)
				switch {
				case !isReserved:
					require.ErrorIs(t, err, ErrNotFound, step)
				case r.Status != next.Status && !slices.Contains(payment.RefundTransitions[r.Status], next.Status):
					require.ErrorIs(t, err, ErrIllegalTransition, step)
				default:
					require.NoError(t, err, step)
					refunds[refundKey] = next
				}
			}
		}
		for key, want := range payments {
			stored, err := s.Payment(t.Context(), "acme", key)
			require.NoError(t, err)
			require.Equal(t, want.Status, stored.Status)
			_, held := reserved(t, s, stored)
			require.Equal(t, left(want), stored.CapturedAmount-stored.RefundedAmount-held)
		}
		requireWhole(t, s)
	})
}

func sortedStatuses(transitions map[payment.Status][]payment.Status) []payment.Status {
	var statuses []payment.Status
	for status := range transitions {
		statuses = append(statuses, status)
	}
	slices.Sort(statuses)
	return statuses
}

// An operator has said that it succeeded, and not by what id the processor has it: a refund would be of nothing.
func TestWhatTheProcessorCannotBeAskedForIsNotRefundable(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := aCharge("order-1")
		_, _, err := s.BeginPayment(t.Context(), c, fingerprint)
		require.NoError(t, err)
		c.Status, c.CapturedAmount = payment.Succeeded, c.Amount
		_, err = s.RecordPayment(t.Context(), c, byProcessor)
		require.NoError(t, err)
		_, _, _, err = s.ReserveRefund(t.Context(), aRefund("r-1", c, 100), "fingerprint")
		require.ErrorIs(t, err, ErrNotRefundable)
		require.ErrorContains(t, err, "nobody knows the processor's id of it")
	})
}
