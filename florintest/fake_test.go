package florintest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/florintest"
	"github.com/florinpay/florin/payment"
)

// charge is a request for 12.50 USD.
func charge(key, method string) payment.ChargeRequest {
	return payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: key, Amount: 1250, Currency: "USD", PaymentMethod: method}
}

func manual(key, method string) payment.ChargeRequest {
	req := charge(key, method)
	req.Capture = payment.CaptureManual
	return req
}

func refund(key, paymentID string, amount int64) payment.RefundRequest {
	return payment.RefundRequest{MerchantID: "acme", IdempotencyKey: key, PaymentID: paymentID, Amount: &amount}
}

func TestEachPaymentMethodHasItsDocumentedOutcome(t *testing.T) {
	counts := map[payment.Operation]int{}
	for _, m := range florintest.PaymentMethods() {
		counts[m.Operation]++
		t.Run(m.Name, func(t *testing.T) {
			fake := florintest.New()
			switch m.Operation {
			case payment.OperationCharge:
				c, err := fake.Charge(t.Context(), charge("key", m.Name))
				require.NoError(t, err)
				if m.FirstStatus != "" {
					require.Equal(t, m.FirstStatus, c.Status)
					require.NoError(t, fake.Complete("acme", "key", m.Status))
				}
				c, err = fake.Get(t.Context(), "acme", "key")
				require.NoError(t, err)
				require.Equal(t, m.Status, c.Status)
				require.Equal(t, c.Status == payment.Declined, c.Decline != nil)
			case payment.OperationCapture:
				_, err := fake.Charge(t.Context(), manual("key", m.Name))
				require.NoError(t, err)
				c, err := fake.Capture(t.Context(), "acme", "key", payment.CaptureRequest{})
				require.Equal(t, m.Status, c.Status)
				require.Equal(t, m.Status == payment.Succeeded, err == nil)
			case payment.OperationRefund:
				c, err := fake.Charge(t.Context(), charge("key", m.Name))
				require.NoError(t, err)
				r, err := fake.Refund(t.Context(), refund("key", c.PaymentID, 250))
				require.NoError(t, err)
				if m.FirstStatus != "" {
					require.Equal(t, m.FirstStatus, r.Status)
					require.NoError(t, fake.CompleteRefund("acme", "key", m.Status))
				}
				r, err = fake.GetRefund(t.Context(), "acme", "key")
				require.NoError(t, err)
				require.Equal(t, m.Status, r.Status)
			default:
				t.Errorf("unexpected operation %s", m.Operation)
			}
		})
	}
	require.Equal(t, map[payment.Operation]int{
		payment.OperationCharge: 60, payment.OperationCapture: 7, payment.OperationRefund: 8,
	}, counts)
}

func TestUnknownPaymentMethodFails(t *testing.T) {
	c, err := florintest.New().Charge(t.Context(), charge("key", "pm_of_another_processor"))
	require.NoError(t, err)
	require.Equal(t, payment.Failed, c.Status)
	require.Equal(t, "card_token_unknown", c.Failure.ProcessorCode)
}

func TestLostResponseHasItsEffect(t *testing.T) {
	fake := florintest.New()
	fake.LoseResponse(florintest.Charge, nil)
	_, err := fake.Charge(t.Context(), charge("key", "tok_visa"))
	require.ErrorIs(t, err, florin.ErrOutcomePending)
	require.Len(t, fake.Charges(), 1)
	require.Equal(t, payment.Succeeded, fake.Charges()[0].Status)

	c, err := fake.Charge(t.Context(), charge("key", "tok_visa"))
	require.NoError(t, err)
	require.Equal(t, []payment.Charge{c}, fake.Charges())
	require.Equal(t, 2, fake.Calls(florintest.Charge))
}

func TestLostResponseOfAWaitDoesNotBlock(t *testing.T) {
	fake := florintest.New()
	_, err := fake.Charge(t.Context(), charge("key", "tok_pending"))
	require.NoError(t, err)
	fake.LoseResponse(florintest.Wait, nil)
	_, err = fake.Wait(t.Context(), "acme", "key")
	require.ErrorIs(t, err, florin.ErrOutcomePending)
}

func TestEachMethodFailsAsRequested(t *testing.T) {
	fake, ctx := florintest.New(), t.Context()
	paid, err := fake.Charge(ctx, charge("paid", "tok_visa"))
	require.NoError(t, err)
	_, err = fake.Charge(ctx, manual("held", "tok_visa"))
	require.NoError(t, err)
	resolution := payment.Resolution{Status: payment.Failed, Evidence: "not in the dashboard", By: "jane"}
	for method, do := range map[florintest.Method]func() error{
		florintest.Charge:      func() error { _, err := fake.Charge(ctx, charge("new", "tok_visa")); return err },
		florintest.StartCharge: func() error { _, err := fake.StartCharge(ctx, charge("new", "tok_visa")); return err },
		florintest.Capture:     func() error { _, err := fake.Capture(ctx, "acme", "held", payment.CaptureRequest{}); return err },
		florintest.Void:        func() error { _, err := fake.Void(ctx, "acme", "held"); return err },
		florintest.Get:         func() error { _, err := fake.Get(ctx, "acme", "paid"); return err },
		florintest.Wait:        func() error { _, err := fake.Wait(ctx, "acme", "paid"); return err },
		florintest.List:        func() error { _, err := fake.List(ctx, payment.Filter{}); return err },
		florintest.Resolve:     func() error { _, err := fake.Resolve(ctx, "acme", "paid", resolution); return err },
		florintest.Refund:      func() error { _, err := fake.Refund(ctx, refund("new", paid.PaymentID, 1)); return err },
		florintest.StartRefund: func() error { _, err := fake.StartRefund(ctx, refund("new", paid.PaymentID, 1)); return err },
		florintest.GetRefund:   func() error { _, err := fake.GetRefund(ctx, "acme", "new"); return err },
		florintest.WaitRefund:  func() error { _, err := fake.WaitRefund(ctx, "acme", "new"); return err },
		florintest.ListRefunds: func() error {
			_, err := fake.ListRefunds(ctx, payment.RefundFilter{Processor: florintest.DefaultProcessor})
			return err
		},
		florintest.ResolveRefund: func() error { _, err := fake.ResolveRefund(ctx, "acme", "new", resolution); return err },
	} {
		t.Run(string(method), func(t *testing.T) {
			before := fake.Calls(method)
			first, second := errors.New("first"), errors.New("second")
			fake.FailNext(method, first)
			fake.FailNext(method, second)
			require.Equal(t, first, do())
			require.Equal(t, second, do())
			require.Equal(t, before+2, fake.Calls(method))
		})
	}
	require.Len(t, fake.Charges(), 2, "failed calls have no effect")
	require.Empty(t, fake.Refunds())
	held, err := fake.Get(ctx, "acme", "held")
	require.NoError(t, err)
	require.Equal(t, payment.Authorized, held.Status)
}

func TestInvalidRequestDoesNotUseUpAFault(t *testing.T) {
	fake := florintest.New()
	fake.FailNext(florintest.Charge, nil)
	var invalid *payment.InvalidRequestError
	_, err := fake.Charge(t.Context(), payment.ChargeRequest{})
	require.ErrorAs(t, err, &invalid)
	_, err = fake.Charge(t.Context(), charge("key", "tok_visa"))
	require.ErrorIs(t, err, florin.ErrOutcomePending)
}

func TestWaitReturnsOnceTheStatusIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := florintest.New()
		c, err := fake.Charge(t.Context(), charge("key", "tok_refund_pending"))
		require.NoError(t, err)
		_, err = fake.Charge(t.Context(), manual("held", "tok_visa"))
		require.NoError(t, err)
		_, err = fake.StartRefund(t.Context(), refund("refund", c.PaymentID, 250))
		require.NoError(t, err)
		charges, refunds := make(chan payment.Charge, 1), make(chan payment.Refund, 1)
		go func() {
			waited, _ := fake.Wait(t.Context(), "acme", "held")
			charges <- waited
		}()
		go func() {
			waited, _ := fake.WaitRefund(t.Context(), "acme", "refund")
			refunds <- waited
		}()
		synctest.Wait()
		require.Empty(t, charges)
		require.Empty(t, refunds)

		_, err = fake.Capture(t.Context(), "acme", "held", payment.CaptureRequest{})
		require.NoError(t, err)
		require.NoError(t, fake.CompleteRefund("acme", "refund", payment.Succeeded))
		require.Equal(t, payment.Succeeded, (<-charges).Status)
		require.Equal(t, payment.Succeeded, (<-refunds).Status)
	})
}

func TestWaitStopsWhenItsContextIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := florintest.New()
		_, err := fake.Charge(t.Context(), charge("key", "tok_pending"))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = fake.Wait(ctx, "acme", "key")
		require.ErrorIs(t, err, florin.ErrOutcomePending)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestChargeWaitsWhileTheOutcomeIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := florintest.New()
		_, err := fake.StartCharge(t.Context(), charge("key", "tok_pending"))
		require.NoError(t, err)
		require.NoError(t, fake.Complete("acme", "key", payment.Unknown))
		charges := make(chan payment.Charge, 1)
		go func() {
			c, _ := fake.Charge(t.Context(), charge("key", "tok_pending"))
			charges <- c
		}()
		synctest.Wait()
		require.Empty(t, charges)
		require.NoError(t, fake.Complete("acme", "key", payment.Declined))
		c := <-charges
		require.Equal(t, payment.Declined, c.Status)
		require.NotNil(t, c.Decline)
	})
}

func TestCompleteAllowsOnlyLegalTransitions(t *testing.T) {
	for from, method := range map[payment.Status]string{
		payment.Pending: "tok_pending", payment.RequiresAction: "tok_requires_action", payment.NeedsReconciliation: "tok_lost",
		payment.Succeeded: "tok_visa", payment.Declined: "tok_stolen_card", payment.Failed: "tok_403", payment.Conflicted: "tok_wrong_amount",
	} {
		for to := range payment.PaymentTransitions {
			t.Run(fmt.Sprintf("from %s to %s", from, to), func(t *testing.T) {
				fake := florintest.New()
				before, err := fake.Charge(t.Context(), charge("key", method))
				require.NoError(t, err)
				require.Equal(t, from, before.Status)
				err = fake.Complete("acme", "key", to)
				after, getErr := fake.Get(t.Context(), "acme", "key")
				require.NoError(t, getErr)
				for _, legal := range payment.PaymentTransitions[from] {
					if legal == to {
						require.NoError(t, err)
						require.Equal(t, to, after.Status)
						require.Greater(t, after.Revision, before.Revision)
						return
					}
				}
				require.Error(t, err)
				require.Equal(t, before, after)
			})
		}
	}
}

func TestCompleteRefundAllowsOnlyLegalTransitions(t *testing.T) {
	for from, method := range map[payment.Status]string{
		payment.Pending: "tok_refund_pending", payment.NeedsReconciliation: "tok_refund_lost", payment.Succeeded: "tok_visa",
	} {
		for to := range payment.RefundTransitions {
			t.Run(fmt.Sprintf("from %s to %s", from, to), func(t *testing.T) {
				fake := florintest.New()
				c, err := fake.Charge(t.Context(), charge("key", method))
				require.NoError(t, err)
				before, err := fake.Refund(t.Context(), refund("key", c.PaymentID, 250))
				require.NoError(t, err)
				require.Equal(t, from, before.Status)
				err = fake.CompleteRefund("acme", "key", to)
				after, getErr := fake.GetRefund(t.Context(), "acme", "key")
				require.NoError(t, getErr)
				for _, legal := range payment.RefundTransitions[from] {
					if legal == to {
						require.NoError(t, err)
						require.Equal(t, to, after.Status)
						return
					}
				}
				require.Error(t, err)
				require.Equal(t, before, after)
			})
		}
	}
}

func TestRefundThatFailsAfterItSucceededCanBeRefundedAgain(t *testing.T) {
	fake := florintest.New()
	c, err := fake.Charge(t.Context(), charge("key", "tok_visa"))
	require.NoError(t, err)
	_, err = fake.Refund(t.Context(), refund("first", c.PaymentID, 1000))
	require.NoError(t, err)
	require.NoError(t, fake.CompleteRefund("acme", "first", payment.Failed))
	c, err = fake.Get(t.Context(), "acme", "key")
	require.NoError(t, err)
	require.Zero(t, c.RefundedAmount)

	second, err := fake.Refund(t.Context(), refund("second", c.PaymentID, 1250))
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, second.Status)
	c, err = fake.Get(t.Context(), "acme", "key")
	require.NoError(t, err)
	require.EqualValues(t, 1250, c.RefundedAmount)
}

func TestRequestAfterItsSendByIsNotSent(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		sendBy time.Time
		want   payment.Status
	}{
		"none":    {want: payment.Succeeded},
		"later":   {sendBy: now.Add(time.Second), want: payment.Succeeded},
		"now":     {sendBy: now, want: payment.Failed},
		"earlier": {sendBy: now.Add(-time.Second), want: payment.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			fake := florintest.NewWithOptions(florintest.Options{Now: func() time.Time { return now }})
			req := charge("key", "tok_visa")
			req.SendBy = tc.sendBy
			c, err := fake.Charge(t.Context(), req)
			require.NoError(t, err)
			require.Equal(t, tc.want, c.Status)

			paid, err := fake.Charge(t.Context(), charge("paid", "tok_visa"))
			require.NoError(t, err)
			refundReq := refund("refund", paid.PaymentID, 250)
			refundReq.SendBy = tc.sendBy
			r, err := fake.Refund(t.Context(), refundReq)
			require.NoError(t, err)
			require.Equal(t, tc.want, r.Status)
			if tc.want == payment.Failed {
				require.Equal(t, payment.ClassNotSent, c.Failure.Class)
				require.Equal(t, payment.ClassNotSent, r.Failure.Class)
				require.Zero(t, c.CapturedAmount)
			}
		})
	}
}

func TestNoPaymentOfTheFakeIsDivergent(t *testing.T) {
	fake := florintest.New()
	_, err := fake.Charge(t.Context(), charge("key", "tok_visa"))
	require.NoError(t, err)
	page, err := fake.List(t.Context(), payment.Filter{Divergent: true})
	require.NoError(t, err)
	require.Empty(t, page.Payments)
}

func TestCompleteOfAnUnknownPaymentIsNotFound(t *testing.T) {
	fake := florintest.New()
	require.ErrorIs(t, fake.Complete("acme", "never", payment.Succeeded), florin.ErrNotFound)
	require.ErrorIs(t, fake.CompleteRefund("acme", "never", payment.Succeeded), florin.ErrNotFound)
}

func TestCompleteDecidesACaptureInFlight(t *testing.T) {
	amount := int64(1000)
	for status, captured := range map[payment.Status]int64{payment.Succeeded: 1000, payment.Authorized: 0} {
		t.Run(string(status), func(t *testing.T) {
			fake := florintest.New()
			_, err := fake.Charge(t.Context(), manual("key", "tok_capture_500_always"))
			require.NoError(t, err)
			_, err = fake.Capture(t.Context(), "acme", "key", payment.CaptureRequest{Amount: &amount})
			require.ErrorIs(t, err, florin.ErrOutcomePending)
			_, err = fake.Void(t.Context(), "acme", "key")
			require.ErrorIs(t, err, florin.ErrNotVoidable, "the capture is in flight")
			require.NoError(t, fake.Complete("acme", "key", status))
			c, err := fake.Get(t.Context(), "acme", "key")
			require.NoError(t, err)
			require.Equal(t, status, c.Status)
			require.Equal(t, captured, c.CapturedAmount)
		})
	}
}

func TestPendingPaymentWithManualCaptureIsAuthorizedFirst(t *testing.T) {
	fake := florintest.New()
	_, err := fake.Charge(t.Context(), manual("key", "tok_pending"))
	require.NoError(t, err)
	require.ErrorContains(t, fake.Complete("acme", "key", payment.Succeeded), "authorized")
	require.NoError(t, fake.Complete("acme", "key", payment.Authorized))
	require.NoError(t, fake.Complete("acme", "key", payment.Succeeded))
	c, err := fake.Get(t.Context(), "acme", "key")
	require.NoError(t, err)
	require.EqualValues(t, 1250, c.CapturedAmount)
}

func TestTimesAreTheGivenOnes(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 1234, time.FixedZone("", 3600))
	fake := florintest.NewWithOptions(florintest.Options{Now: func() time.Time { return now }})
	created := time.Date(2026, 5, 1, 11, 0, 0, 1000, time.UTC)
	_, err := fake.Charge(t.Context(), charge("key", "tok_pending"))
	require.NoError(t, err)
	now = now.Add(time.Hour)
	require.NoError(t, fake.Complete("acme", "key", payment.Succeeded))
	c, err := fake.Get(t.Context(), "acme", "key")
	require.NoError(t, err)
	require.Equal(t, created, c.CreatedAt)
	require.Equal(t, created.Add(time.Hour), c.UpdatedAt)
}

func TestPagesOfPaymentsThatBeganAtOneTimeAreNewestFirst(t *testing.T) {
	fake := florintest.NewWithOptions(florintest.Options{Now: func() time.Time { return time.Unix(1, 0) }})
	for i := range 5 {
		_, err := fake.Charge(t.Context(), charge(fmt.Sprint(i), "tok_visa"))
		require.NoError(t, err)
	}
	var keys []string
	filter := payment.Filter{MerchantID: "acme", Limit: 2}
	for first := true; first || filter.Cursor != ""; first = false {
		page, err := fake.List(t.Context(), filter)
		require.NoError(t, err)
		for _, c := range page.Payments {
			keys = append(keys, c.IdempotencyKey)
		}
		// A payment that begins later is not on a later page.
		_, err = fake.Charge(t.Context(), charge("later-"+page.Next, "tok_visa"))
		require.NoError(t, err)
		filter.Cursor = page.Next
	}
	require.Equal(t, []string{"4", "3", "2", "1", "0"}, keys)
}

func TestRefundsOfAProcessorAreListedNewestFirst(t *testing.T) {
	now := time.Unix(1, 0).UTC()
	fake := florintest.NewWithOptions(florintest.Options{Now: func() time.Time { now = now.Add(time.Second); return now }})
	var want []payment.ListedRefund
	for i, processor := range []string{"stripe", "adyen", "stripe", "stripe"} {
		req := charge(fmt.Sprint(i), "tok_visa")
		req.Processor = processor
		c, err := fake.Charge(t.Context(), req)
		require.NoError(t, err)
		r, err := fake.Refund(t.Context(), refund(fmt.Sprint(i), c.PaymentID, 10))
		require.NoError(t, err)
		if processor == "stripe" {
			want = append([]payment.ListedRefund{{Refund: r, ProcessorPaymentID: c.ProcessorPaymentID}}, want...)
		}
	}
	for _, limit := range []int{0, 1, 2} {
		var got []payment.ListedRefund
		filter := payment.RefundFilter{Processor: "stripe", Limit: limit}
		for first := true; first || filter.Cursor != ""; first = false {
			page, err := fake.ListRefunds(t.Context(), filter)
			require.NoError(t, err)
			got, filter.Cursor = append(got, page.Refunds...), page.Next
		}
		require.Equal(t, want, got)
	}
	page, err := fake.ListRefunds(t.Context(), payment.RefundFilter{Processor: "stripe", CreatedBefore: want[0].CreatedAt, CreatedFrom: want[1].CreatedAt})
	require.NoError(t, err)
	require.Equal(t, want[1:2], page.Refunds)
	for _, invalid := range []payment.RefundFilter{{}, {Processor: "stripe", Cursor: "nonsense"}} {
		_, err := fake.ListRefunds(t.Context(), invalid)
		require.ErrorIs(t, err, florin.ErrInvalidRequest)
	}
}

func TestProcessors(t *testing.T) {
	req := charge("key", "tok_visa")
	c, err := florintest.New().Charge(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, florintest.DefaultProcessor, c.Processor)

	fake := florintest.NewWithOptions(florintest.Options{Processors: []string{"stripe", "adyen"}})
	c, err = fake.Charge(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, "stripe", c.Processor)

	req = charge("elsewhere", "tok_visa")
	req.Processor = "nowhere"
	_, err = fake.Charge(t.Context(), req)
	require.ErrorIs(t, err, florin.ErrInvalidRequest)
	require.ErrorContains(t, err, "adyen or stripe")
	require.Len(t, fake.Charges(), 1)

	req.Processor = "nowhere"
	c, err = florintest.New().Charge(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, "nowhere", c.Processor)
}

func TestReturnedValuesShareNothingWithTheFake(t *testing.T) {
	fake := florintest.New()
	req := charge("key", "tok_stolen_card")
	req.Metadata = map[string]string{"order": "1"}
	c, err := fake.Charge(t.Context(), req)
	require.NoError(t, err)
	c.Decline.Code = "changed"
	req.Metadata["order"] = "changed"
	fake.ChargeRequests()[0].Metadata["order"] = "changed"
	fake.Charges()[0].Decline.Code = "changed"
	again, err := fake.Get(t.Context(), "acme", "key")
	require.NoError(t, err)
	require.Equal(t, "stolen_card", again.Decline.Code)
	require.Equal(t, "1", fake.ChargeRequests()[0].Metadata["order"])
}

func TestRefundsAreInspected(t *testing.T) {
	fake := florintest.New()
	c, err := fake.Charge(t.Context(), charge("key", "tok_visa"))
	require.NoError(t, err)
	req := refund("refund", c.PaymentID, 250)
	r, err := fake.Refund(t.Context(), req)
	require.NoError(t, err)
	_, err = fake.Refund(t.Context(), refund("too-much", c.PaymentID, 1001))
	require.ErrorIs(t, err, florin.ErrRefundExceedsCaptured)
	require.Equal(t, []payment.Refund{r}, fake.Refunds())
	require.Equal(t, []payment.RefundRequest{req}, fake.RefundRequests())
	require.EqualValues(t, 250, fake.Charges()[0].RefundedAmount)
}

// recorder is a TestingT that records failures.
type recorder struct{ failures []string }

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func TestDoubleChargeFailsTheTest(t *testing.T) {
	byOrder := func(req payment.ChargeRequest) string { return req.Metadata["order"] }
	for _, tt := range []struct {
		name     string
		second   func(*payment.ChargeRequest)
		purchase func(payment.ChargeRequest) string
		failures int
	}{
		{name: "the same request under another key", second: func(*payment.ChargeRequest) {}, failures: 1},
		{name: "another amount", second: func(r *payment.ChargeRequest) { r.Amount++ }},
		{name: "another merchant", second: func(r *payment.ChargeRequest) { r.MerchantID = "globex" }},
		{name: "a declined charge", second: func(r *payment.ChargeRequest) { r.PaymentMethod = "tok_stolen_card" }, purchase: byOrder},
		{name: "another payment method for one order", second: func(r *payment.ChargeRequest) { r.PaymentMethod = "tok_success" },
			purchase: byOrder, failures: 1},
		{name: "an unknown outcome for one order", second: func(r *payment.ChargeRequest) { r.PaymentMethod = "tok_lost" },
			purchase: byOrder, failures: 1},
		{name: "another order", second: func(r *payment.ChargeRequest) { r.Metadata = map[string]string{"order": "2"} }, purchase: byOrder},
		{name: "no order", second: func(r *payment.ChargeRequest) { r.Metadata = nil }, purchase: byOrder},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := florintest.New()
			first, second := charge("key-1", "tok_visa"), charge("key-2", "tok_visa")
			first.Metadata, second.Metadata = map[string]string{"order": "1"}, map[string]string{"order": "1"}
			tt.second(&second)
			for _, req := range []payment.ChargeRequest{first, first, second} {
				_, err := fake.Charge(t.Context(), req)
				require.NoError(t, err)
			}
			r := &recorder{}
			require.Equal(t, tt.failures == 0, fake.CheckNoDoubleCharge(r, tt.purchase))
			require.Len(t, r.failures, tt.failures)
		})
	}
}

func TestConcurrentCallsChargeOnceAndNeverRefundTooMuch(t *testing.T) {
	fake := florintest.New()
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			c, err := fake.Charge(t.Context(), charge("key", "tok_visa"))
			if err != nil {
				t.Error(err)
				return
			}
			_, err = fake.Refund(t.Context(), refund(fmt.Sprint(i), c.PaymentID, 100))
			if err != nil && !errors.Is(err, florin.ErrRefundExceedsCaptured) {
				t.Error(err)
			}
			_, _ = fake.Wait(t.Context(), "acme", "key")
			_, _ = fake.List(t.Context(), payment.Filter{})
			fake.Charges()
			fake.DoubleCharges(nil)
		})
	}
	group.Wait()
	require.Len(t, fake.Charges(), 1)
	require.Len(t, fake.Refunds(), 12)
	require.EqualValues(t, 1200, fake.Charges()[0].RefundedAmount)
	require.Equal(t, 50, fake.Calls(florintest.Charge))
}

func TestConcurrentModificationsHaveOneWinner(t *testing.T) {
	fake := florintest.New()
	_, err := fake.Charge(t.Context(), manual("key", "tok_visa"))
	require.NoError(t, err)
	var group sync.WaitGroup
	var mu sync.Mutex
	statuses := map[payment.Status]bool{}
	for i := range 20 {
		group.Go(func() {
			var c payment.Charge
			var err error
			if i%2 == 0 {
				c, err = fake.Capture(t.Context(), "acme", "key", payment.CaptureRequest{})
			} else {
				c, err = fake.Void(t.Context(), "acme", "key")
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				statuses[c.Status] = true
			} else if !errors.Is(err, florin.ErrNotCapturable) && !errors.Is(err, florin.ErrNotVoidable) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Len(t, statuses, 1)
}
