package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// simulated returns an adapter that talks to the simulator, which shares no code with it. statuses returns the HTTP statuses of
// all responses so far.
func simulated(t *testing.T) (p *Processor, statuses func() []int) {
	t.Helper()
	sim, err := simulator.Open(t.Context(), simulator.Options{APIKey: "sk_secret", PendingFor: time.Nanosecond})
	require.NoError(t, err)
	s := httptest.NewServer(sim.Handler())
	t.Cleanup(func() {
		require.NoError(t, sim.Close())
		s.Close()
	})
	credentials, err := credentials.New(t.Context(), func(context.Context) (credentials.Key, error) {
		return credentials.Key{Value: "sk_secret"}, nil
	})
	require.NoError(t, err)
	var seen []int
	client, err := httpclient.New(httpclient.Options{Profile: Profile(), BaseURL: s.URL, Credentials: credentials,
		Limiter: ratelimit.New(0, 1, 0), AttemptTimeout: 10 * time.Second, MaxInFlight: 1,
		Observe: func(o httpclient.Observation) { seen = append(seen, o.Status) }})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return New(client), func() []int { return seen }
}

// chargeAs returns a charge under a key. The token determines the outcome in the simulator.
func chargeAs(key, token string) processor.ChargeCall {
	call := chargeCall
	call.Key, call.PaymentMethod = key, token
	return call
}

// withoutIDs requires success and clears the ids, which differ between runs.
func withoutIDs(t *testing.T, r processor.Result, err error) processor.Result {
	t.Helper()
	require.NoError(t, err)
	require.Regexp(t, `^req_`, r.RequestID)
	r.ID, r.RequestID = "", ""
	return r
}

func TestSimulatorAuthorizesCapturesPartiallyAndRefunds(t *testing.T) {
	p, _ := simulated(t)
	call := chargeAs("charge", "tok_visa")
	call.Capture = payment.CaptureManual
	authorized, err := p.Charge(t.Context(), call)
	require.Equal(t, processor.Result{Status: payment.Authorized, Amount: 1250, Currency: "USD", Reference: "charge",
		MerchantID: "acme"}, withoutIDs(t, authorized, err))

	capture := processor.CaptureCall{Key: "capture", ProcessorPaymentID: authorized.ID, Amount: 1000, Currency: "USD"}
	for range 2 { // the second call returns the stored response
		captured, err := p.Capture(t.Context(), capture)
		require.Equal(t, processor.Result{Status: payment.Succeeded, Amount: 1250, Currency: "USD", CapturedAmount: 1000,
			Reference:  "charge",
			MerchantID: "acme"}, withoutIDs(t, captured, err))
	}

	toRefund := refundCall
	toRefund.Key, toRefund.ProcessorPaymentID = "refund", authorized.ID
	refunded, err := p.Refund(t.Context(), toRefund)
	wantRefund := processor.Result{Status: payment.Succeeded, Amount: 250, Currency: "USD", Reference: "refund",
		MerchantID: "acme"}
	require.Equal(t, wantRefund, withoutIDs(t, refunded, err))

	for _, call := range []processor.LookupCall{
		{Operation: payment.OperationCharge, Reference: "charge"},
		{Operation: payment.OperationCharge, Reference: "charge", ProcessorPaymentID: authorized.ID},
	} {
		found, ok, err := p.Lookup(t.Context(), call)
		require.True(t, ok)
		require.Equal(t, authorized.ID, found.ID)
		require.Equal(t, processor.Result{Status: payment.Succeeded, Amount: 1250, Currency: "USD", CapturedAmount: 1000,
			RefundedAmount: 250,
			Reference:      "charge", MerchantID: "acme"}, withoutIDs(t, found, err))
	}
	found, ok, err := p.Lookup(t.Context(),
		processor.LookupCall{Operation: payment.OperationRefund, Reference: "refund", ProcessorPaymentID: authorized.ID})
	require.True(t, ok)
	require.Equal(t, refunded.ID, found.ID)
	require.Equal(t, wantRefund, withoutIDs(t, found, err))
}

func TestSimulatorVoidsAnAuthorization(t *testing.T) {
	p, _ := simulated(t)
	call := chargeAs("charge", "tok_visa")
	call.Capture = payment.CaptureManual
	authorized, err := p.Charge(t.Context(), call)
	require.NoError(t, err)
	voided, err := p.Void(t.Context(), processor.VoidCall{Key: "void", ProcessorPaymentID: authorized.ID})
	require.Equal(t, processor.Result{Status: payment.Voided, Amount: 1250, Currency: "USD", Reference: "charge",
		MerchantID: "acme"}, withoutIDs(t, voided, err))
	require.NotEqual(t, authorized.RequestID, voided.RequestID)

	_, err = p.Capture(t.Context(), processor.CaptureCall{Key: "capture", ProcessorPaymentID: authorized.ID, Amount: 1250,
		Currency: "USD"})
	requireFailure(t, err, processor.Ambiguous, payment.ClassStateConflict, "state_conflict")
}

func TestSimulatorVoidsADeclineThatCanStillSucceed(t *testing.T) {
	p, _ := simulated(t)
	declined, err := p.Charge(t.Context(), chargeAs("charge", "tok_declined_open"))
	require.NoError(t, err)
	lookup := processor.LookupCall{Operation: payment.OperationCharge, Reference: "charge"}
	found, _, err := p.Lookup(t.Context(), lookup)
	require.NoError(t, err)
	for _, got := range []processor.Result{declined, found} {
		require.Equal(t, []any{payment.Declined, true}, []any{got.Status, got.CanStillSucceed})
	}
	voided, err := p.Void(t.Context(), processor.VoidCall{Key: "void", ProcessorPaymentID: declined.ID})
	require.Equal(t, processor.Result{Status: payment.Voided, Amount: 1250, Currency: "USD", Reference: "charge",
		MerchantID: "acme"}, withoutIDs(t, voided, err))

	// A customer who pays before the void makes it a state conflict.
	_, err = p.Charge(t.Context(), chargeAs("paid", "tok_action_declined_then_paid"))
	require.NoError(t, err)
	lookup.Reference = "paid"
	paid, _, err := p.Lookup(t.Context(), lookup)
	require.NoError(t, err)
	require.Equal(t, []any{payment.Succeeded, false}, []any{paid.Status, paid.CanStillSucceed})
	_, err = p.Void(t.Context(), processor.VoidCall{Key: "void of paid", ProcessorPaymentID: paid.ID})
	requireFailure(t, err, processor.Ambiguous, payment.ClassStateConflict, "state_conflict")
}

func TestSimulatorFaultsAreClassified(t *testing.T) {
	p, _ := simulated(t)
	malformed := processor.Error{Certainty: processor.Ambiguous, Class: payment.ClassInvalidResponse, HTTPStatus: 200}
	limited := processor.Error{Certainty: processor.NotExecuted, Class: payment.ClassRateLimited, HTTPStatus: 429,
		RetryAfter: time.Second}
	for _, tc := range []struct {
		token string
		want  processor.Error
	}{
		{token: "tok_id_control", want: malformed},
		{token: "tok_429_object", want: limited}, // delays no other call
		{token: "tok_429_fraction", want: limited},
	} {
		_, err := p.Charge(t.Context(), chargeAs(tc.token, tc.token))
		var e *processor.Error
		require.ErrorAs(t, err, &e)
		got := processor.Error{Certainty: e.Certainty, Class: e.Class, HTTPStatus: e.HTTPStatus, RetryAfter: e.RetryAfter}
		require.Equal(t, tc.want, got, tc.token)
	}
}

func TestSimulatorListsPagesAndRevalidatesUnchangedOnes(t *testing.T) {
	p, statuses := simulated(t)
	began := time.Now().Add(-time.Minute)
	for i := range 5 {
		_, err := p.Charge(t.Context(), chargeAs(fmt.Sprint("charge-", i), "tok_visa"))
		require.NoError(t, err)
	}
	read := func() (references []string) {
		t.Helper()
		call := processor.ListCall{CreatedAfter: began, Limit: 2}
		for {
			page, err := p.List(t.Context(), call)
			require.NoError(t, err)
			for _, r := range page.Records {
				references = append(references, r.Reference)
			}
			if call.Cursor = page.Next; call.Cursor == "" {
				return references
			}
		}
	}
	all := []string{"charge-0", "charge-1", "charge-2", "charge-3", "charge-4"}
	require.Equal(t, all, read())
	require.Equal(t, all, read())
	require.Equal(t, []int{200, 200, 200, 304, 304, 304}, statuses()[5:])
	_, err := p.Charge(t.Context(), chargeAs("charge-5", "tok_visa"))
	require.NoError(t, err)
	require.Equal(t, append(all, "charge-5"), read())
	require.Equal(t, []int{304, 304, http.StatusOK}, statuses()[12:])

	page, err := p.List(t.Context(), processor.ListCall{CreatedAfter: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, processor.Page{Records: []processor.Record{}}, page)
}

func TestSimulatorListsWhatWasCreatedAtTheTimeItself(t *testing.T) {
	p, _ := simulated(t)
	call := chargeAs("charge", "tok_visa")
	call.PaymentID = payment.PaymentID("acme", "order-1")
	_, err := p.Charge(t.Context(), call)
	require.NoError(t, err)
	page, err := p.List(t.Context(), processor.ListCall{})
	require.NoError(t, err)
	require.Len(t, page.Records, 1)
	created := page.Records[0].CreatedAt
	require.WithinDuration(t, time.Now(), created, time.Minute)
	require.Equal(t, call.PaymentID, page.Records[0].OwnID)
	for _, after := range []time.Time{created, created.Truncate(time.Second), created.Add(-time.Nanosecond)} {
		again, err := p.List(t.Context(), processor.ListCall{CreatedAfter: after})
		require.NoError(t, err)
		require.Equal(t, page, again)
	}
}

func TestSimulatorListsRefundsAndRevalidatesUnchangedPages(t *testing.T) {
	p, statuses := simulated(t)
	paid, err := p.Charge(t.Context(), chargeAs("charge", "tok_visa"))
	require.NoError(t, err)
	call := processor.ListCall{Operation: payment.OperationRefund, CreatedAfter: time.Now().Add(-time.Minute), Limit: 2}
	var made []string
	for i := range 3 {
		refund := refundCall
		refund.Key, refund.ProcessorPaymentID = fmt.Sprint("refund-", i), paid.ID
		refund.RefundID = payment.RefundID("acme", refund.Key)
		_, err := p.Refund(t.Context(), refund)
		require.NoError(t, err)
		made = append(made, refund.RefundID)
	}
	for range 2 {
		var ids []string
		for call.Cursor = ""; ; {
			page, err := p.List(t.Context(), call)
			require.NoError(t, err)
			for _, r := range page.Records {
				ids = append(ids, r.OwnID)
				require.Equal(t, []any{payment.Succeeded, int64(250), "USD", paid.ID, "acme", ""},
					[]any{r.Status, r.Amount, r.Currency, r.ProcessorPaymentID, r.MerchantID, r.Unreadable})
				require.WithinDuration(t, time.Now(), r.CreatedAt, time.Minute)
			}
			if call.Cursor = page.Next; call.Cursor == "" {
				break
			}
		}
		require.Equal(t, made, ids)
	}
	require.Equal(t, []int{200, 200, 304, 304}, statuses()[4:])
}

func TestSimulatorReportsUnknownPaymentsAsNotFound(t *testing.T) {
	p, _ := simulated(t)
	for _, operation := range []payment.Operation{payment.OperationCharge, payment.OperationRefund} {
		result, found, err := p.Lookup(t.Context(), processor.LookupCall{Operation: operation, Reference: "unknown"})
		require.NoError(t, err)
		require.False(t, found)
		require.Zero(t, result)
	}
	// An operation on an unknown payment is not executed. An id cannot change the path.
	for _, id := range []string{"ch_unknown", "../charges", "a/b?c#d"} {
		_, err := p.Capture(t.Context(), processor.CaptureCall{Key: "capture " + id, ProcessorPaymentID: id, Amount: 1})
		requireFailure(t, err, processor.NotExecuted, payment.ClassConfig, "payment_not_found")
		call := refundCall
		call.Key, call.ProcessorPaymentID = "refund "+id, id
		_, err = p.Refund(t.Context(), call)
		requireFailure(t, err, processor.NotExecuted, payment.ClassConfig, "payment_not_found")
	}
}

func TestSimulatorOutcomesAreMapped(t *testing.T) {
	p, _ := simulated(t)
	for token, want := range map[string]processor.Result{
		"tok_success": {Status: payment.Succeeded, Amount: 1250, Currency: "USD", CapturedAmount: 1250,
			Reference: "tok_success", MerchantID: "acme"},
		"tok_pending": {Status: payment.Pending, Amount: 1250, Currency: "USD", Reference: "tok_pending",
			MerchantID: "acme"},
		"tok_requires_action": {Status: payment.RequiresAction, Amount: 1250, Currency: "USD",
			Reference: "tok_requires_action", MerchantID: "acme"},
		"tok_insufficient_funds":      {Status: payment.Declined, Reference: "tok_insufficient_funds"},
		"tok_stolen_card":             {Status: payment.Declined, Reference: "tok_stolen_card"},
		"tok_authentication_required": {Status: payment.Declined, Reference: "tok_authentication_required"},
		"tok_declined_200": {Status: payment.Declined, Amount: 1250, Currency: "USD",
			Reference: "tok_declined_200", MerchantID: "acme"},
		"tok_declined_422": {Status: payment.Declined, Reference: "tok_declined_422"},
		"tok_wrong_amount": {Status: payment.Succeeded, Amount: 1350, Currency: "USD", CapturedAmount: 1350,
			Reference: "tok_wrong_amount", MerchantID: "acme"},
	} {
		got, err := p.Charge(t.Context(), chargeAs(token, token))
		got = withoutIDs(t, got, err)
		require.Equal(t, want.Status == payment.Declined, got.Decline != nil, token)
		got.Decline = nil
		require.Equal(t, want, got)

		// A declined payment can be looked up, too.
		found, ok, err := p.Lookup(t.Context(), processor.LookupCall{Operation: payment.OperationCharge, Reference: token})
		require.NoError(t, err)
		require.True(t, ok, token)
		if want.Status == payment.Declined {
			require.Equal(t, payment.Declined, found.Status)
			require.NotNil(t, found.Decline)
		}
	}
	_, err := p.Charge(t.Context(), func() processor.ChargeCall {
		call := chargeAs("tok_success", "tok_success")
		call.Amount++
		return call
	}())
	requireFailure(t, err, processor.Ambiguous, payment.ClassIdempotencyMismatch, "idempotency_mismatch")
}

// requireFailure is requireError for a server that generates the request ids.
func requireFailure(t *testing.T, err error, certainty processor.Certainty, class payment.FailureClass, code string) {
	t.Helper()
	var e *processor.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, []any{certainty, class, code}, []any{e.Certainty, e.Class, e.Code}, "%v", err)
	require.Regexp(t, `^req_`, e.RequestID)
}

// An operator has named the id. The record may be of another payment: the workflow compares the reference.
func TestSimulatorIsAskedForTheRecordThatAnOperatorHasNamed(t *testing.T) {
	p, _ := simulated(t)
	paid, err := p.Charge(t.Context(), chargeAs("tok_visa", "tok_visa"))
	require.NoError(t, err)
	refund := refundCall
	refund.ProcessorPaymentID = paid.ID
	refunded, err := p.Refund(t.Context(), refund)
	require.NoError(t, err)
	for _, tt := range []struct {
		operation     payment.Operation
		id, reference string
		found         bool
	}{
		{payment.OperationCharge, paid.ID, paid.Reference, true},
		{payment.OperationRefund, refunded.ID, refunded.Reference, true},
		{operation: payment.OperationCharge, id: "ch_unknown"},
		{operation: payment.OperationRefund, id: "re_unknown"},
		{operation: payment.OperationCharge, id: "../refunds"},
	} {
		result, found, err := p.Lookup(t.Context(), processor.LookupCall{Operation: tt.operation, Reference: "another", ID: tt.id})
		require.NoError(t, err, tt.id)
		require.Equal(t, []any{tt.found, tt.reference}, []any{found, result.Reference}, tt.id)
	}
	_, _, err = p.Lookup(t.Context(), processor.LookupCall{Operation: payment.OperationCharge, ID: ".."})
	var refused *processor.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, payment.ClassInvalidRequest, refused.Class)
}
