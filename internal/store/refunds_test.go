package store

import (
	"cmp"
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

func TestRefundReservesAndThenRefundsItsAmount(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		want := newRefund("r-1", c, 3_000)
		stored, refunded, created, err := s.ReserveRefund(t.Context(), want, fingerprint)
		require.NoError(t, err)
		require.True(t, created)
		want.Currency, want.Processor = "EUR", "rest"
		require.Equal(t, want, stored)
		require.Equal(t, c, refunded)
		byKey, err := s.Refund(t.Context(), "acme", "r-1")
		require.NoError(t, err)
		require.Equal(t, want, byKey)
		byID, err := s.RefundByID(t.Context(), "acme", want.RefundID)
		require.NoError(t, err)
		require.Equal(t, want, byID)
		_, err = s.RefundByID(t.Context(), "bolt", want.RefundID)
		require.ErrorIs(t, err, payment.ErrNotFound, "refund of another merchant")

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
			{At: later, To: payment.Processing, Amount: 3_000, Cause: Cause{By: "request", Evidence: map[string]string{}}},
			{At: later.Add(time.Second), From: payment.Processing, To: payment.Succeeded, Amount: 3_000, ProcessorID: "re_1", Cause: byProcessor},
		}, events)
		payments, err := s.Events(t.Context(), c.PaymentID)
		require.NoError(t, err)
		require.Len(t, payments, 2, "a refund appends no event to its payment")

		rest := reserve(t, s, newRefund("r-2", c, 0))
		require.Equal(t, int64(7_000), rest.Amount, "all of the remaining amount")
		listed, err := s.Refunds(t.Context(), "acme", c.PaymentID)
		require.NoError(t, err)
		require.ElementsMatch(t, []payment.Refund{settled, rest}, listed)
		listed, err = s.Refunds(t.Context(), "emca", c.PaymentID)
		require.NoError(t, err)
		require.Empty(t, listed)
		_, err = s.Refund(t.Context(), "emca", "r-1")
		require.ErrorIs(t, err, payment.ErrNotFound)
	})
}

func TestRefundStatusReservesRefundsOrReleasesTheAmount(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		for status := range payment.RefundTransitions {
			c := paid(t, s, "order-"+string(status))
			r := reserve(t, s, newRefund("r-"+string(status), c, 4_000))
			for _, step := range pathTo(t, payment.RefundTransitions, status) {
				r = settle(t, s, r, step)
			}
			refundedAmount, reservedAmount := amounts(t, s, c)
			switch status {
			case payment.Succeeded:
				require.Equal(t, [2]int64{4_000, 0}, [2]int64{refundedAmount, reservedAmount}, status)
			case payment.Declined, payment.Failed:
				require.Equal(t, [2]int64{0, 0}, [2]int64{refundedAmount, reservedAmount}, status)
			default:
				require.Equal(t, [2]int64{0, 4_000}, [2]int64{refundedAmount, reservedAmount}, status)
			}
		}
	})
}

func TestReserveWithAUsedKeyReturnsTheStoredRefund(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c, other := paid(t, s, "order-1"), paid(t, s, "order-2")
		r := settle(t, s, reserve(t, s, newRefund("r-1", c, 0)), payment.Succeeded)
		stored, refunded, created, err := s.ReserveRefund(t.Context(), newRefund("r-1", c, 0), fingerprint)
		require.NoError(t, err)
		require.False(t, created)
		require.Equal(t, r, stored)
		require.Equal(t, int64(10_000), refunded.RefundedAmount)

		for _, different := range []payment.Refund{newRefund("r-1", c, 5), newRefund("r-1", other, 0), newRefund("r-1", newCharge("missing"), 0)} {
			_, _, _, err = s.ReserveRefund(t.Context(), different, strings.Repeat("0", 64))
			require.ErrorIs(t, err, payment.ErrIdempotencyMismatch)
		}
	})
}

func TestReserveRefusesInvalidRefunds(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		reserve(t, s, newRefund("r-0", c, 9_000))
		pending := newCharge("order-2")
		begin(t, s, pending)
		pending.Status = payment.Pending
		_, err := s.RecordPayment(t.Context(), pending, byProcessor)
		require.NoError(t, err)
		full := paid(t, s, "order-3")
		reserve(t, s, newRefund("r-full", full, 0))
		foreign := newRefund("r-1", c, 100)
		foreign.MerchantID = "emca"
		dollars := newRefund("r-1", c, 100)
		dollars.Currency = "USD"
		notProcessing := newRefund("r-1", c, 100)
		notProcessing.Status = payment.Succeeded
		takenID := newRefund("r-1", c, 100)
		takenID.RefundID = payment.RefundID("acme", "r-0")
		for what, tc := range map[string]struct {
			r    payment.Refund
			want error
			text string
		}{
			"unknown payment": {
				r: newRefund("r-1", newCharge("order-9"), 100), want: payment.ErrPaymentNotFound, text: "payment not found",
			},
			"payment of another merchant": {
				r: foreign, want: payment.ErrPaymentNotFound, text: "payment not found",
			},
			"payment not succeeded": {
				r: newRefund("r-1", pending, 100), want: payment.ErrPaymentNotRefundable, text: "its status is pending",
			},
			"amount above the remaining amount": {
				r: newRefund("r-1", c, 1_001), want: payment.ErrRefundExceedsCaptured, text: "refund of 10.01 EUR, remaining 10.00 EUR",
			},
			"nothing remaining": {
				r: newRefund("r-1", full, 0), want: payment.ErrRefundExceedsCaptured, text: "nothing remains to refund",
			},
			"another currency": {
				r: dollars, want: payment.ErrInvalidRequest, text: `refund in "USD", payment in EUR`,
			},
			"negative amount": {
				r: newRefund("r-1", c, -1), want: ErrInvalid, text: "amount -1",
			},
			"not processing": {
				r: notProcessing, want: ErrInvalid, text: "must begin as processing",
			},
			"id of another refund": {
				r: takenID, want: ErrInvalid, text: "another refund has this id",
			},
		} {
			_, _, created, err := s.ReserveRefund(t.Context(), tc.r, fingerprint)
			require.ErrorIs(t, err, tc.want, what)
			require.ErrorContains(t, err, tc.text, what)
			require.False(t, Temporary(err), what)
			require.False(t, created)
		}
		requireConsistent(t, s)
	})
}

func TestSettleRecordsOnlyLegalTransitions(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		for from := range payment.RefundTransitions {
			for to := range payment.RefundTransitions {
				r := reserve(t, s, newRefund(fmt.Sprintf("%s-%s", from, to), c, 1))
				r.ProcessorRefundID = "re_" + r.IdempotencyKey
				for _, step := range pathTo(t, payment.RefundTransitions, from) {
					r = settle(t, s, r, step)
				}
				r.Status = to
				_, err := s.SettleRefund(t.Context(), r, byProcessor)
				if checkTransition(payment.RefundTransitions, from, to, true) == illegal {
					require.ErrorIs(t, err, ErrIllegalTransition)
					require.ErrorContains(t, err, fmt.Sprintf("from %s to %s", from, to))
				} else {
					require.NoError(t, err, "%s to %s", from, to)
				}
			}
		}
		requireConsistent(t, s)
	})
}

func TestSettleRefusesInvalidRefunds(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		first := reserve(t, s, newRefund("r-0", c, 1))
		first.ProcessorRefundID = "re_0"
		settle(t, s, first, payment.Succeeded)
		reserve(t, s, newRefund("r-1", c, 1))
		for what, tc := range map[string]struct {
			change func(*payment.Refund)
			cause  Cause
			want   error
		}{
			"unknown refund": {
				change: func(r *payment.Refund) { r.RefundID = "ref_9" },
				cause:  byProcessor, want: payment.ErrNotFound,
			},
			"refund of another merchant": {
				change: func(r *payment.Refund) { r.MerchantID = "emca" },
				cause:  byProcessor, want: payment.ErrNotFound,
			},
			"status of payments only": {
				change: func(r *payment.Refund) { r.Status = payment.Voided },
				cause:  byProcessor, want: ErrInvalid,
			},
			"no cause": {
				change: func(*payment.Refund) {},
				cause:  Cause{}, want: ErrInvalid,
			},
			"processor's id of another refund": {
				change: func(r *payment.Refund) { r.ProcessorRefundID = "re_0" },
				cause:  byProcessor, want: ErrProcessorIDTaken,
			},
		} {
			r := newRefund("r-1", c, 1)
			r.Status = payment.Succeeded
			tc.change(&r)
			_, err := s.SettleRefund(t.Context(), r, tc.cause)
			require.ErrorIs(t, err, tc.want, what)
			require.False(t, Temporary(err), what)
		}
	})
}

func TestConcurrentRefundsNeverExceedTheCapturedAmount(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		errs := make([]error, 1000)
		runConcurrently(len(errs), func(i int) {
			_, _, _, errs[i] = s.ReserveRefund(t.Context(), newRefund(fmt.Sprintf("r-%d", i), c, 100), fingerprint)
		})
		successes := 0
		for _, err := range errs {
			if err == nil {
				successes++
			} else {
				require.ErrorIs(t, err, payment.ErrRefundExceedsCaptured)
			}
		}
		require.Equal(t, 100, successes)
		refundedAmount, reservedAmount := amounts(t, s, c)
		require.Zero(t, refundedAmount)
		require.Equal(t, int64(10_000), reservedAmount)
		requireConsistent(t, s)
	})
}

// Raw SQL does not take the lock of ReserveRefund: the triggers of the database must lock the payment.
func TestConcurrentRawRefundsNeverExceedTheCapturedAmount(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		errs := make([]error, 200)
		runConcurrently(len(errs), func(i int) {
			r := newRefund(fmt.Sprintf("r-%d", i), c, 100)
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
		_, reservedAmount := amounts(t, s, c)
		require.Equal(t, total, reservedAmount)
		requireConsistent(t, s)
	})
}

func TestConcurrentReservesOfOneKeyCreateOneRefund(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		payments := []payment.Charge{paid(t, s, "order-0"), paid(t, s, "order-1")}
		results := make([]bool, 100)
		errs := make([]error, 100)
		runConcurrently(100, func(i int) { // each for all of the remaining amount: only one can reserve it
			_, _, results[i], errs[i] = s.ReserveRefund(t.Context(), newRefund("r-1", payments[i%2], 0), "fingerprint-"+strconv.Itoa(i%2))
		})
		created, winner := 0, slices.Index(results, true)%2
		for i, err := range errs {
			if results[i] {
				created++
			}
			if i%2 == winner {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, payment.ErrIdempotencyMismatch)
			}
		}
		require.Equal(t, 1, created)
	})
}

func TestConcurrentSettlesKeepTheSumsCorrect(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		refunds := make([]payment.Refund, 100)
		for i := range refunds {
			refunds[i] = reserve(t, s, newRefund(fmt.Sprintf("r-%d", i), c, 100))
		}
		errs := make([]error, len(refunds))
		runConcurrently(len(refunds), func(i int) {
			r := refunds[i]
			r.Status = []payment.Status{payment.Succeeded, payment.Declined, payment.Unknown, payment.Succeeded}[i%4]
			_, errs[i] = s.SettleRefund(t.Context(), r, byProcessor)
		})
		require.NoError(t, errors.Join(errs...))
		refundedAmount, reservedAmount := amounts(t, s, c)
		require.Equal(t, [2]int64{5_000, 2_500}, [2]int64{refundedAmount, reservedAmount})
		requireConsistent(t, s)
	})
}

// The test runs random calls and compares each result with a small model. FLORIN_TEST_SEED repeats a logged sequence.
func TestRandomSequencesMatchTheModel(t *testing.T) {
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
		// remaining returns the amount that may still be refunded.
		remaining := func(c payment.Charge) int64 {
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
				_, created, err := s.BeginPayment(t.Context(), newCharge(key), fingerprint)
				require.NoError(t, err, step)
				require.Equal(t, !begun, created, step)
				if created {
					payments[key] = newCharge(key)
				}
			case 1:
				to := paymentStatuses[random.IntN(len(paymentStatuses))]
				if random.IntN(2) == 0 {
					to = payment.Succeeded
				}
				next := newCharge(key)
				if next.Status = to; to == payment.Succeeded {
					next.CapturedAmount = next.Amount
				}
				next.ProcessorPaymentID = "ch_" + key
				_, err := s.RecordPayment(t.Context(), next, byProcessor)
				switch {
				case !begun:
					require.ErrorIs(t, err, payment.ErrNotFound, step)
				case c.Status != to && !slices.Contains(payment.PaymentTransitions[c.Status], to):
					require.ErrorIs(t, err, ErrIllegalTransition, step)
				default:
					require.NoError(t, err, "step %d: %s to %s", step, c.Status, to)
					c.Status, c.CapturedAmount = to, next.CapturedAmount
					payments[key] = c
				}
			case 2:
				next := newRefund(refundKey, newCharge(key), int64(random.IntN(4_000)))
				stored, _, created, err := s.ReserveRefund(t.Context(), next, next.PaymentID)
				switch {
				case isReserved && r.PaymentID != next.PaymentID:
					require.ErrorIs(t, err, payment.ErrIdempotencyMismatch, step)
				case isReserved:
					require.NoError(t, err, step)
					require.False(t, created)
					require.Equal(t, r.Amount, stored.Amount)
				case !begun:
					require.ErrorIs(t, err, payment.ErrPaymentNotFound, step)
				case c.Status != payment.Succeeded:
					require.ErrorIs(t, err, payment.ErrPaymentNotRefundable, step)
				case remaining(c) == 0 || next.Amount > remaining(c):
					require.ErrorIs(t, err, payment.ErrRefundExceedsCaptured, step)
				default:
					require.NoError(t, err, step)
					if next.Amount == 0 {
						next.Amount = remaining(c)
					}
					require.Equal(t, next.Amount, stored.Amount)
					refunds[refundKey] = next
				}
			case 3:
				next := r
				if !isReserved {
					next = newRefund(refundKey, newCharge(key), 1)
				}
				next.Status = refundStatuses[random.IntN(len(refundStatuses))]
				next.ProcessorRefundID = "re_" + refundKey
				_, err := s.SettleRefund(t.Context(), next, byProcessor)
				switch {
				case !isReserved:
					require.ErrorIs(t, err, payment.ErrNotFound, step)
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
			_, reservedAmount := amounts(t, s, stored)
			require.Equal(t, remaining(want), stored.CapturedAmount-stored.RefundedAmount-reservedAmount)
		}
		requireConsistent(t, s)
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

// An operator may resolve a payment as succeeded without its id at the processor. A refund request needs that id.
func TestPaymentWithoutProcessorIDIsNotRefundable(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := newCharge("order-1")
		_, _, err := s.BeginPayment(t.Context(), c, fingerprint)
		require.NoError(t, err)
		c.Status, c.CapturedAmount = payment.Succeeded, c.Amount
		_, err = s.RecordPayment(t.Context(), c, byProcessor)
		require.NoError(t, err)
		_, _, _, err = s.ReserveRefund(t.Context(), newRefund("r-1", c, 100), "fingerprint")
		require.ErrorIs(t, err, payment.ErrPaymentNotRefundable)
		require.ErrorContains(t, err, "its id at the processor is unknown")
	})
}

// A processor may report that a refund succeeded, and days later that it failed: the customer's bank returned the money.
func TestRefundThatFailsAfterItSucceededReleasesItsAmount(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		first := reserve(t, s, newRefund("r-1", c, 6_000))
		first.ProcessorRefundID, first.UpdatedAt = "re_1", later
		first = settle(t, s, first, payment.Succeeded)
		observed := observe(s)

		first.UpdatedAt = later.Add(72 * time.Hour)
		first.Failure = &payment.Failure{Class: payment.ClassInvalidRequest, ProcessorCode: "expired_or_canceled_card"}
		failed := settle(t, s, first, payment.Failed)
		require.Equal(t, payment.Failed, failed.Status)
		require.Equal(t, first.Failure, failed.Failure)
		require.Equal(t, failed, settle(t, s, first, payment.Failed), "safe to repeat")
		refundedAmount, reservedAmount := amounts(t, s, c)
		require.Equal(t, [2]int64{0, 0}, [2]int64{refundedAmount, reservedAmount})
		events, err := s.Events(t.Context(), first.RefundID)
		require.NoError(t, err)
		require.Len(t, events, 3)
		require.Equal(t, Event{
			At: later.Add(72 * time.Hour), From: payment.Succeeded, To: payment.Failed, Amount: 6_000, ProcessorID: "re_1", Cause: byProcessor,
		}, events[2])
		require.Equal(t, []Transition{{
			Refund: true, Processor: "rest", Currency: "EUR", From: payment.Succeeded, To: payment.Failed, After: 72 * time.Hour,
		}}, observed())

		_, _, _, err = s.ReserveRefund(t.Context(), newRefund("r-2", c, 10_001), fingerprint)
		require.ErrorIs(t, err, payment.ErrRefundExceedsCaptured)
		second := reserve(t, s, newRefund("r-2", c, 0))
		require.Equal(t, int64(10_000), second.Amount, "the amount can be refunded again")
		second = settle(t, s, second, payment.Succeeded)
		_, _, _, err = s.ReserveRefund(t.Context(), newRefund("r-3", c, 1), fingerprint)
		require.ErrorIs(t, err, payment.ErrRefundExceedsCaptured)
		// Nothing makes the first refund count again: not even the processor's report that it succeeded after all.
		first.Status = payment.Succeeded
		_, err = s.SettleRefund(t.Context(), first, byProcessor)
		require.ErrorIs(t, err, ErrIllegalTransition)
		require.Equal(t, payment.Succeeded, second.Status)
		refundedAmount, reservedAmount = amounts(t, s, c)
		require.Equal(t, [2]int64{10_000, 0}, [2]int64{refundedAmount, reservedAmount})
		requireConsistent(t, s)
	})
}

// "Not executed" is concluded from a missing refund, and so has no id of the processor. A run that concludes it after another
// run recorded the success must not make the amount refundable again.
func TestSucceededRefundFailsOnlyByTheProcessorsReportAboutIt(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		r := reserve(t, s, newRefund("r-1", c, 6_000))
		r.ProcessorRefundID = "re_1"
		succeeded := settle(t, s, r, payment.Succeeded)
		for _, id := range []string{"", "re_2"} {
			r.Status, r.ProcessorRefundID = payment.Failed, id
			_, err := s.SettleRefund(t.Context(), r, byProcessor)
			require.ErrorIs(t, err, ErrIllegalTransition, id)
			require.ErrorContains(t, err, "from succeeded to failed")
		}
		stored, err := s.RefundByID(t.Context(), "acme", r.RefundID)
		require.NoError(t, err)
		require.Equal(t, succeeded, stored)

		// The operator who resolved it as succeeded gave no id: the report of the processor is the first one with an id.
		resolved := settle(t, s, reserve(t, s, newRefund("r-2", c, 1_000)), payment.Succeeded)
		resolved.ProcessorRefundID = "re_2"
		require.Equal(t, "re_2", settle(t, s, resolved, payment.Failed).ProcessorRefundID)
		requireConsistent(t, s)
	})
}

func TestDetailsOfASucceededRefundCannotChange(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		r := settle(t, s, reserve(t, s, newRefund("r-1", c, 6_000)), payment.Succeeded)
		r.ProcessorRefundID = "re_1"
		_, err := s.SettleRefund(t.Context(), r, byProcessor)
		require.ErrorIs(t, err, ErrIllegalTransition)
		require.ErrorContains(t, err, "it is succeeded, which is final")
	})
}

func TestConcurrentRefundsAfterLateFailuresNeverExceedTheCapturedAmount(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		refunds := make([]payment.Refund, 10)
		for i := range refunds {
			refunds[i] = reserve(t, s, newRefund(fmt.Sprintf("r-%d", i), c, 1_000))
			refunds[i].ProcessorRefundID = fmt.Sprintf("re_%d", i)
			refunds[i] = settle(t, s, refunds[i], payment.Succeeded)
		}
		errs := make([]error, 100)
		runConcurrently(len(errs), func(i int) {
			if i < len(refunds) {
				failed := refunds[i]
				failed.Status = payment.Failed
				_, errs[i] = s.SettleRefund(t.Context(), failed, byProcessor)
				return
			}
			_, _, _, errs[i] = s.ReserveRefund(t.Context(), newRefund(fmt.Sprintf("r-%d", i), c, 300), fingerprint)
		})
		require.NoError(t, errors.Join(errs[:len(refunds)]...))
		for _, err := range errs[len(refunds):] {
			require.True(t, err == nil || errors.Is(err, payment.ErrRefundExceedsCaptured), err)
		}
		rest := reserve(t, s, newRefund("r-rest", c, 0))
		refundedAmount, reservedAmount := amounts(t, s, c)
		require.Zero(t, refundedAmount)
		require.Equal(t, int64(10_000), reservedAmount)
		require.LessOrEqual(t, rest.Amount, int64(10_000))
		requireConsistent(t, s)
	})
}

// A refund must take as long as the first one, however many the payment has.
func TestRefundDoesNotReadTheOtherRefundsOfItsPayment(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		var refunds []payment.Refund
		for i := range 50 {
			refunds = append(refunds, reserve(t, s, newRefund(fmt.Sprintf("r-%d", i), c, 100)))
		}
		if s.dialect.name == "sqlite" { // it does not count what it reads
			require.Empty(t, queryLines(t, s.db, "SELECT name FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%sum(%'"))
			return
		}
		tx, err := s.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer tx.Rollback()
		_, err = tx.Exec("SET LOCAL enable_seqscan = off; DISCARD PLANS") // PostgreSQL prefers a sequential scan of a small table
		require.NoError(t, err)
		require.LessOrEqual(t, rowsRead(t, tx, "refunds", rawRefund, rawRefundArgs(newRefund("r-50", c, 100))...), 2)
		require.LessOrEqual(t, rowsRead(t, tx, "refunds", "UPDATE refunds SET status = 'succeeded', revision = revision + 1, cause_by = 'sql', cause_evidence = '{}' WHERE refund_id = $1",
			refunds[25].RefundID), 3)
	})
}

func TestRefundsOfAProcessorAreListedPageByPage(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		at := func(minute int) time.Time { return later.Add(time.Duration(minute) * time.Minute) }
		of := paid(t, s, "order-1")
		elsewhere := newCharge("order-2")
		elsewhere.Processor = "stripe"
		other, err := s.RecordPayment(t.Context(), succeeded(begin(t, s, elsewhere)), byProcessor)
		require.NoError(t, err)
		var want []payment.ListedRefund
		for i := range 5 {
			r := newRefund(fmt.Sprintf("refund-%d", i), of, 10)
			r.CreatedAt = at(i / 2) // two at a time
			r.UpdatedAt = r.CreatedAt
			want = append(want, payment.ListedRefund{Refund: reserve(t, s, r), ProcessorPaymentID: of.ProcessorPaymentID})
		}
		reserve(t, s, newRefund("refund-9", other, 10))
		slices.SortFunc(want, func(a, b payment.ListedRefund) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.RefundID, a.RefundID))
		})

		list := func(f payment.RefundFilter) (all []payment.ListedRefund) {
			for f.Processor = of.Processor; ; {
				page, err := s.RefundsAt(t.Context(), f)
				require.NoError(t, err)
				all = append(all, page.Refunds...)
				if f.Cursor = page.Next; f.Cursor == "" {
					return all
				}
				require.Len(t, page.Refunds, f.Limit)
			}
		}
		require.Equal(t, want, list(payment.RefundFilter{Limit: 1}))
		require.Equal(t, want, list(payment.RefundFilter{Limit: 2}))
		require.Equal(t, want, list(payment.RefundFilter{}))
		require.Equal(t, want[1:3], list(payment.RefundFilter{CreatedFrom: at(1), CreatedBefore: at(2)}))
		for name, f := range map[string]payment.RefundFilter{
			"no processor":   {},
			"invalid cursor": {Processor: "rest", Cursor: "nonsense"},
			"invalid time":   {Processor: "rest", CreatedFrom: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)},
		} {
			_, err := s.RefundsAt(t.Context(), f)
			require.ErrorIs(t, err, ErrInvalid, name)
		}
	})
}

// Each page reads few more refunds than it has, however many there are.
func TestRefundsAreReadInTheOrderOfTheirIndex(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		manyPayments(t, s)
		cursor := newCursor(morning, "ref_1")
		for _, f := range []payment.RefundFilter{
			{}, {Cursor: cursor}, {CreatedFrom: morning}, {CreatedFrom: morning, CreatedBefore: later},
			{CreatedFrom: morning, CreatedBefore: later, Cursor: cursor},
		} {
			f.Processor = "rest"
			statement, args, err := refundPageQuery(f, 51)
			require.NoError(t, err)
			plan := readPlan(t, s, statement, args...)
			require.Regexp(t, `refunds_of_processor\b`, plan)
			require.Regexp(t, `payments_pkey|sqlite_autoindex_payments_1 \(payment_id=\?\)`, plan)
			require.NotRegexp(t, `Seq Scan|Bitmap|(^|> *)Sort|SCAN|TEMP B-TREE`, plan)
		}
	})
}
