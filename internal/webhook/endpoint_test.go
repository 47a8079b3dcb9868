package webhook

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/processor/stripe"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/storetest"
	"github.com/florinpay/florin/payment"
)

const (
	signatureHeader = rest.SignatureHeader
	// private is in every body. It must not be logged, signaled or returned.
	private = "jenny.rosen@example.com"
)

// signal is a signal that was sent to a workflow.
type signal struct {
	workflowID string
	event      payment.ProcessorEvent
}

// fakeTemporal records signals and returns err.
type fakeTemporal struct {
	mu      sync.Mutex
	err     error
	signals []signal
	// started are the workflows that were started or signaled with SignalWithStartWorkflow.
	started []startedWorkflow
	// onSignal, if set, is called before a signal returns.
	onSignal func()
	// block, if set, blocks every call until it is closed. entered receives a value for each blocked call.
	block   chan struct{}
	entered chan struct{}
}

func (f *fakeTemporal) SignalWorkflow(ctx context.Context, workflowID, runID, signalName string, arg any) error {
	if _, bounded := ctx.Deadline(); !bounded || runID != "" || signalName != "processor-event" {
		return errors.New("want a deadline, no run ID and the signal processor-event")
	}
	if f.block != nil {
		f.entered <- struct{}{}
		<-f.block
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	event, ok := arg.(payment.ProcessorEvent)
	if !ok {
		return fmt.Errorf("argument is a %T: want a payment.ProcessorEvent", arg)
	}
	f.signals = append(f.signals, signal{workflowID: workflowID, event: event})
	err := f.err
	if f.onSignal != nil {
		f.onSignal()
	}
	return err
}

// startedWorkflow is a workflow that was started with a signal.
type startedWorkflow struct {
	signal
	request payment.RecheckRequest
	options client.StartWorkflowOptions
}

func (f *fakeTemporal) SignalWithStartWorkflow(ctx context.Context, workflowID, signalName string, signalArg any,
	options client.StartWorkflowOptions, workflow any, args ...any,
) (client.WorkflowRun, error) {
	if _, bounded := ctx.Deadline(); !bounded || workflow != "Recheck" || signalName != "processor-event" || len(args) != 1 {
		return nil, errors.New("want a deadline, the workflow Recheck, one argument and the signal processor-event")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	event, isEvent := signalArg.(payment.ProcessorEvent)
	request, isRequest := args[0].(payment.RecheckRequest)
	if !isEvent || !isRequest {
		return nil, fmt.Errorf("arguments are a %T and a %T", signalArg, args[0])
	}
	f.started = append(f.started, startedWorkflow{signal: signal{workflowID: workflowID, event: event}, request: request, options: options})
	return nil, f.err
}

// fixture is an endpoint for the processors acme and bolt, with a real store and a fake Temporal client.
type fixture struct {
	*Endpoint
	temporal *fakeTemporal
	store    *store.Store
	logs     *observer.ObservedLogs
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	payments := storetest.New(t)
	core, logs := observer.New(zapcore.DebugLevel)
	f := fixture{temporal: &fakeTemporal{}, store: payments, logs: logs}
	source := Source{Verifier: verifier(t, 0, secret), Header: signatureHeader, Event: rest.ReadEvent}
	var err error
	f.Endpoint, err = NewEndpoint(map[string]Source{"acme": source, "bolt": source}, payments, f.temporal, zap.New(core))
	require.NoError(t, err)
	return f
}

// begin stores a payment of the processor acme in the given status.
func (f fixture) begin(t *testing.T, key string, status payment.Status) payment.Charge {
	t.Helper()
	c := payment.Charge{
		PaymentID: payment.PaymentID("shop", key), MerchantID: "shop", IdempotencyKey: key, Status: payment.Processing,
		Amount: 1250, Currency: "USD", Processor: "acme", PaymentMethod: "tok_visa",
	}
	_, _, err := f.store.BeginPayment(t.Context(), c, "fingerprint of "+key)
	require.NoError(t, err)
	if status == payment.Processing {
		return c
	}
	c.Status, c.ProcessorPaymentID = status, "ch_"+key
	if status == payment.Succeeded {
		c.CapturedAmount = c.Amount
	}
	_, err = f.store.RecordPayment(t.Context(), c, store.Cause{By: "test"})
	require.NoError(t, err)
	return c
}

// reserve stores a refund of the payment.
func (f fixture) reserve(t *testing.T, key string, of payment.Charge) payment.Refund {
	t.Helper()
	r, _, _, err := f.store.ReserveRefund(t.Context(), payment.Refund{
		RefundID: payment.RefundID("shop", key), MerchantID: "shop", IdempotencyKey: key, PaymentID: of.PaymentID, Amount: 100,
	}, "fingerprint of "+key)
	require.NoError(t, err)
	return r
}

// eventBody returns the body of an event about an object. kind is, for example, payment or refund.
func eventBody(event, kind, id string) string {
	metadata := fmt.Sprintf(`{"florin_%s_id":%q,"florin_merchant_id":"shop"}`, kind, id)
	return fmt.Sprintf(`{"id":%q,"type":"payment.updated","data":{"email":%q,"metadata":%s}}`, event, private, metadata)
}

// post sends a body with a valid signature.
func (f fixture) post(t *testing.T, processor, body string) *httptest.ResponseRecorder {
	t.Helper()
	return f.send(t, http.MethodPost, "/webhooks/"+processor, Sign(secret, []byte(body), time.Now()), strings.NewReader(body))
}

func (f fixture) send(t *testing.T, method, path, signature string, body io.Reader) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, body)
	r.Header.Set(signatureHeader, signature)
	response := httptest.NewRecorder()
	f.ServeHTTP(response, r)
	return response
}

// requireResponse also requires that nothing private was logged or signaled.
func (f fixture) requireResponse(t *testing.T, status int, body string, got *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, body+"\n", got.Body.String())
	require.Equal(t, status, got.Code)
	require.Equal(t, status == http.StatusServiceUnavailable, got.Header().Get("Retry-After") != "")
	for _, line := range f.logs.All() {
		encoded, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg"}).EncodeEntry(line.Entry, line.Context)
		require.NoError(t, err)
		for _, secretText := range []string{private, "example.com", secret, "v1=", "tok_visa", "4242424242424242"} {
			require.NotContains(t, encoded.String(), secretText)
		}
	}
	require.NotContains(t, fmt.Sprint(f.temporal.signals), private)
}

func TestEventOfPendingPaymentOrRefundSignalsItsWorkflow(t *testing.T) {
	f := newFixture(t)
	pending := f.begin(t, "pending", payment.Pending)
	processing := f.begin(t, "processing", payment.Processing)
	authorized := f.begin(t, "authorized", payment.Authorized)
	succeeded := f.begin(t, "succeeded", payment.Succeeded)
	refund := f.reserve(t, "refund", succeeded)
	forged := strings.Replace(eventBody("evt_forged", "payment", pending.PaymentID), "shop", "other", 1)

	for name, c := range map[string]struct {
		processor, body string
		status          int
		response        string
		signal          string // workflow ID; empty if no signal is expected
	}{
		"pending payment": {
			processor: "acme", body: eventBody("evt_1", "payment", pending.PaymentID),
			status: 200, response: "signaled", signal: "charge/shop/pending",
		},
		"processing payment": {
			processor: "acme", body: eventBody("evt_2", "payment", processing.PaymentID),
			status: 200, response: "signaled", signal: "charge/shop/processing",
		},
		"authorized payment": {
			processor: "acme", body: eventBody("evt_3", "payment", authorized.PaymentID),
			status: 200, response: "signaled", signal: "charge/shop/authorized",
		},
		"pending refund": {
			processor: "acme", body: eventBody("evt_4", "refund", refund.RefundID),
			status: 200, response: "signaled", signal: "refund/shop/refund",
		},
		"final payment of another processor": {
			processor: "bolt", body: eventBody("evt_5", "payment", succeeded.PaymentID),
			status: 200, response: "ignored",
		},
		"payment of another processor": {
			processor: "bolt", body: eventBody("evt_7", "payment", pending.PaymentID),
			status: 200, response: "ignored",
		},
		"refund of another processor": {
			processor: "bolt", body: eventBody("evt_8", "refund", refund.RefundID),
			status: 200, response: "ignored",
		},
		"unknown payment": {
			processor: "acme", body: eventBody("evt_9", "payment", payment.PaymentID("shop", "unknown")),
			status: 200, response: "ignored",
		},
		"unknown refund": {
			processor: "acme", body: eventBody("evt_10", "refund", payment.RefundID("shop", "unknown")),
			status: 200, response: "ignored",
		},
		"another merchant": {processor: "acme", body: forged, status: 200, response: "ignored"},
		"no payment or refund": {
			processor: "acme", body: eventBody("evt_11", "customer", pending.PaymentID),
			status: 200, response: "unrelated",
		},
		"SQL in the payment ID": {
			processor: "acme", body: eventBody("evt_12", "payment", "pay_1' OR 1=1 --"),
			status: 200, response: "unrelated",
		},
		"JSON that is not an event": {
			processor: "acme", body: `{"email":"` + private + `"}`,
			status: 400, response: "unreadable",
		},
		"not JSON": {processor: "acme", body: private, status: 400, response: "unreadable"},
		"event ID of two lines": {
			processor: "acme", body: `{"id":"evt_1\nlevel=error","type":"t"}`,
			status: 400, response: "unreadable",
		},
		"event ID that is too long": {
			processor: "acme", body: `{"id":"` + strings.Repeat("e", 256) + `","type":"t"}`,
			status: 400, response: "unreadable",
		},
		"unknown processor": {
			processor: "acne", body: eventBody("evt_1", "payment", pending.PaymentID),
			status: 401, response: "mismatch",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f.temporal.signals = nil
			f.requireResponse(t, c.status, c.response, f.post(t, c.processor, c.body))
			if c.signal == "" {
				require.Empty(t, f.temporal.signals)
				return
			}
			require.Len(t, f.temporal.signals, 1)
			require.Equal(t, c.signal, f.temporal.signals[0].workflowID)
			require.Equal(t, "payment.updated", f.temporal.signals[0].event.Type)
		})
	}
	warnings := f.logs.FilterMessage("ignored an event about a payment or refund of another processor").FilterLevelExact(zapcore.WarnLevel)
	require.Equal(t, 3, warnings.Len())
	require.Empty(t, f.temporal.started)
}

func TestEventAboutSomethingFinalCausesALookup(t *testing.T) {
	f := newFixture(t)
	succeeded := f.begin(t, "succeeded", payment.Succeeded)
	refund := f.reserve(t, "refund", succeeded)
	refund.Status, refund.ProcessorRefundID = payment.Succeeded, "re_1"
	_, err := f.store.SettleRefund(t.Context(), refund, store.Cause{By: "test"})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		kind, id   string
		workflowID string
		want       payment.RecheckRequest
	}{
		"succeeded payment": {kind: "payment", id: succeeded.PaymentID, workflowID: "recheck/charge/shop/succeeded",
			want: payment.RecheckRequest{MerchantID: "shop", IdempotencyKey: "succeeded"}},
		"declined payment": {kind: "payment", id: f.begin(t, "declined", payment.Declined).PaymentID, workflowID: "recheck/charge/shop/declined",
			want: payment.RecheckRequest{MerchantID: "shop", IdempotencyKey: "declined"}},
		"succeeded refund": {kind: "refund", id: refund.RefundID, workflowID: "recheck/refund/shop/refund",
			want: payment.RecheckRequest{MerchantID: "shop", IdempotencyKey: "refund", Refund: true}},
	} {
		t.Run(name, func(t *testing.T) {
			f.temporal.started = nil
			body := eventBody("evt_"+c.workflowID, c.kind, c.id)
			f.requireResponse(t, 200, "recheck", f.post(t, "acme", body))
			f.requireResponse(t, 200, "known", f.post(t, "acme", body))
			require.Len(t, f.temporal.started, 1)
			got := f.temporal.started[0]
			require.Equal(t, c.workflowID, got.workflowID)
			require.Equal(t, c.want, got.request)
			require.Equal(t, "payment.updated", got.event.Type)
			require.Equal(t, "payments", got.options.TaskQueue)
			require.Equal(t, temporal.Priority{PriorityKey: 5, FairnessKey: "shop"}, got.options.Priority)
			require.NotEmpty(t, got.options.StaticSummary)
			attributes := got.options.TypedSearchAttributes
			require.Equal(t, 2, attributes.Size(), "no status, so that queries by status find each payment once")
			paymentID, _ := attributes.GetKeyword(temporal.NewSearchAttributeKeyKeyword("PaymentId"))
			require.Contains(t, []string{succeeded.PaymentID, c.id}, paymentID)
			require.NotContains(t, fmt.Sprint(got), private)
		})
	}
	require.Empty(t, f.temporal.signals)

	body := eventBody("evt_again", "payment", succeeded.PaymentID)
	f.temporal.err = serviceerror.NewUnavailable("connection refused")
	f.requireResponse(t, 503, "later", f.post(t, "acme", body))
	f.requireResponse(t, 503, "later", f.post(t, "acme", body))
	f.temporal.err = nil
	f.requireResponse(t, 200, "recheck", f.post(t, "acme", body))
}

// The payment becomes final after it was read, and its workflow ends before it is signaled.
func TestEventAboutAPaymentThatBecomesFinalMeanwhileCausesALookup(t *testing.T) {
	f := newFixture(t)
	c := f.begin(t, "pending", payment.Pending)
	f.temporal.err = serviceerror.NewNotFound("workflow execution already completed")
	f.temporal.onSignal = func() {
		c.Status, c.CapturedAmount = payment.Succeeded, c.Amount
		_, err := f.store.RecordPayment(t.Context(), c, store.Cause{By: "test"})
		require.NoError(t, err)
		f.temporal.err = nil
	}
	f.requireResponse(t, 200, "recheck", f.post(t, "acme", eventBody("evt_1", "payment", c.PaymentID)))
	require.Len(t, f.temporal.started, 1)
}

// Each payment causes an event about itself: it must not cost a lookup.
func TestEventThatSaysNothingNewCausesNoLookup(t *testing.T) {
	f := newFixture(t)
	const refunded = `"refunded_amount":100,`
	paid := f.begin(t, "paid", payment.Succeeded)
	refund := f.reserve(t, "refund", paid)
	refund.Status, refund.ProcessorRefundID = payment.Succeeded, "re_1"
	_, err := f.store.SettleRefund(t.Context(), refund, store.Cause{By: "test"})
	require.NoError(t, err)
	voided := f.begin(t, "voided", payment.Voided)
	declined := f.begin(t, "declined", payment.Declined)
	const aRefund = `"id":"re_1","status":"succeeded","amount":100,"currency":"USD"`
	const aPayment = `"id":"ch_paid","status":"succeeded","amount":1250,"currency":"USD"`
	for _, tt := range []struct {
		name, kind, data string
		about            string // florin_payment_id or florin_refund_id
		id               string
		want             string
	}{
		{name: "payment", kind: "payment.succeeded", data: aPayment, id: paid.PaymentID, want: "known"},
		{name: "payment with what was refunded", kind: "payment.succeeded", data: refunded + aPayment, id: paid.PaymentID, want: "known"},
		{name: "voided payment", kind: "payment.voided", data: `"id":"ch_voided","status":"voided","amount":1250,"currency":"USD"`,
			id: voided.PaymentID, want: "known"},
		{name: "declined payment", kind: "payment.declined", data: `"id":"ch_declined","status":"declined","amount":1250,"currency":"USD"`,
			id: declined.PaymentID, want: "known"},
		{name: "refund", kind: "refund.succeeded", data: aRefund, about: "refund", id: refund.RefundID, want: "known"},

		{name: "another type", kind: "payment.updated", data: aPayment, id: paid.PaymentID, want: "recheck"},
		{name: "another status", kind: "payment.voided", data: strings.Replace(aPayment, "succeeded", "voided", 1),
			id: paid.PaymentID, want: "recheck"},
		{name: "another payment with the same metadata", kind: "payment.succeeded", data: strings.Replace(aPayment, "ch_paid", "ch_2", 1),
			id: paid.PaymentID, want: "recheck"},
		{name: "another amount", kind: "payment.succeeded", data: `"captured_amount":1250,` + strings.Replace(aPayment, "1250", "1251", 1),
			id: paid.PaymentID, want: "recheck"},
		{name: "another currency", kind: "payment.succeeded", data: strings.Replace(aPayment, "USD", "EUR", 1),
			id: paid.PaymentID, want: "recheck"},
		{name: "another captured amount", kind: "payment.succeeded", data: `"captured_amount":1000,` + aPayment,
			id: paid.PaymentID, want: "recheck"},
		{name: "another refunded amount", kind: "payment.succeeded", data: `"refunded_amount":1250,` + aPayment,
			id: paid.PaymentID, want: "recheck"},
		{name: "a decline that can still be paid", kind: "payment.declined",
			data: `"id":"ch_declined","status":"declined","amount":1250,"currency":"USD","can_still_succeed":true`,
			id:   declined.PaymentID, want: "recheck"},
		{name: "refund that has failed", kind: "refund.declined", data: strings.Replace(aRefund, "succeeded", "declined", 1),
			about: "refund", id: refund.RefundID, want: "recheck"},
		{name: "another refund with the same metadata", kind: "refund.succeeded", data: strings.Replace(aRefund, "re_1", "re_2", 1),
			about: "refund", id: refund.RefundID, want: "recheck"},
		{name: "refund of another amount", kind: "refund.succeeded", data: strings.Replace(aRefund, "100", "101", 1), about: "refund",
			id: refund.RefundID, want: "recheck"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.temporal.started = nil
			body := fmt.Sprintf(`{"id":%q,"type":%q,"data":{%s,"email":%q,"metadata":{"florin_%s_id":%q,"florin_merchant_id":"shop"}}}`,
				"evt_"+strings.ReplaceAll(tt.name, " ", "_"), tt.kind, tt.data, private, cmp.Or(tt.about, "payment"), tt.id)
			f.requireResponse(t, 200, tt.want, f.post(t, "acme", body))
			require.Equal(t, tt.want == "recheck", len(f.temporal.started) == 1)
		})
	}
	pending := f.begin(t, "pending", payment.Pending)
	body := strings.Replace(eventBody("evt_pending", "payment", pending.PaymentID), "payment.updated", "payment.pending", 1)
	f.requireResponse(t, 200, "signaled", f.post(t, "acme", body))
}

// disputeBody is a dispute as Stripe sends it. It has no metadata of Florin's, but personal data.
const disputeBody = `{"id":"evt_1","type":"charge.dispute.created","data":{"object":{"object":"dispute","metadata":{},
	"id":"du_1","payment_intent":"pi_3MtwBwLkdIwHu7ix28a3tqPa","evidence":{"customer_email_address":"` + private + `"}}}}`

func TestDisputesAndUnrelatedEventsAreLoggedAndCounted(t *testing.T) {
	f := newFixture(t)
	f.sources["stripe"] = Source{Verifier: verifier(t, 0, secret), Header: signatureHeader, Event: stripe.ReadEvent}
	var counted []string
	f.SetObserver(func(processor, result string) { counted = append(counted, processor+" "+result) })
	pending := f.begin(t, "pending", payment.Pending)

	f.requireResponse(t, 200, "dispute", f.post(t, "stripe", disputeBody))
	f.requireResponse(t, 200, "unrelated", f.post(t, "stripe", `{"id":"evt_2","type":"payout.paid","data":{"object":{"object":"payout"}}}`))
	f.requireResponse(t, 200, "unrelated", f.post(t, "acme", `{"id":"evt_3","type":"new.kind"}`))
	require.Empty(t, f.temporal.signals)
	var logged []string
	for _, entry := range f.logs.All() {
		fields := entry.ContextMap()
		delete(fields, "recorded")
		require.Len(t, fields, 3, "processor, event and type")
		logged = append(logged, fmt.Sprint(entry.Level, " ", fields["processor"], " ", fields["event"], " ", fields["type"]))
	}
	require.Equal(t, []string{"warn stripe evt_1 charge.dispute.created", "info stripe evt_2 payout.paid", "info acme evt_3 new.kind"}, logged)

	f.requireResponse(t, 200, "signaled", f.post(t, "acme", eventBody("evt_4", "payment", pending.PaymentID)))
	f.requireResponse(t, 401, "unsigned", f.send(t, http.MethodPost, "/webhooks/acme", "", strings.NewReader("{}")))
	f.requireResponse(t, 401, "mismatch", f.post(t, "no-such-processor", disputeBody))
	require.Equal(t, []string{"stripe dispute", "stripe unrelated", "acme unrelated", "acme signaled", "acme unsigned"}, counted)
}

func TestDisputeOfAKnownPaymentIsRecordedOnce(t *testing.T) {
	f := newFixture(t)
	disputed := f.begin(t, "order-1", payment.Succeeded)
	f.begin(t, "order-2", payment.Succeeded)
	dispute := func(event, kind, id, payment string) string {
		return fmt.Sprintf(`{"id":%q,"type":"dispute.%s","data":{"id":%q,"payment_id":%q,"email":%q}}`, event, kind, id, payment, private)
	}
	for _, body := range []string{
		dispute("evt_1", "created", "dp_1", "ch_order-1"), dispute("evt_2", "closed", "dp_1", "ch_order-1"),
		dispute("evt_3", "created", "dp_2", "ch_order-1"), // the customer disputes it again
		dispute("evt_4", "created", "dp_3", "ch_of_another_system"), dispute("evt_5", "created", "dp_4", ""),
	} {
		f.requireResponse(t, 200, "dispute", f.post(t, "acme", body))
	}
	f.requireResponse(t, 200, "dispute", f.post(t, "bolt", dispute("evt_6", "created", "dp_5", "ch_order-1")))

	page, err := f.store.Divergences(t.Context(), payment.DivergenceFilter{})
	require.NoError(t, err)
	require.Len(t, page.Divergences, 2)
	got := page.Divergences[1]
	require.Equal(t, payment.DivergenceDispute, got.Kind)
	require.Equal(t, disputed.PaymentID, got.PaymentID)
	require.Equal(t, payment.Succeeded, got.StatusHere)
	require.Equal(t, "event", got.DetectedBy)
	require.Equal(t, map[string]string{"dispute": "dp_1", payment.EvidenceEventID: "evt_1"}, got.Evidence)
	require.Equal(t, 3, f.logs.FilterField(zap.Bool("recorded", true)).Len())
	require.Empty(t, f.temporal.signals)
	require.Empty(t, f.temporal.started, "a dispute is no reason for a lookup")

	require.NoError(t, f.store.Close())
	f.requireResponse(t, 503, "later", f.post(t, "acme", dispute("evt_7", "created", "dp_6", "ch_order-1")))
}

func TestInvalidRequestIsRejected(t *testing.T) {
	f := newFixture(t)
	body := eventBody("evt_1", "payment", f.begin(t, "pending", payment.Pending).PaymentID)
	good := Sign(secret, []byte(body), time.Now())
	largest := strings.NewReader(strings.Repeat(" ", MaxBody+1))
	for name, c := range map[string]struct {
		method, path string // POST and /webhooks/acme if empty
		signature    string
		body         io.Reader
		status       int
		response     string
	}{
		"no signature": {signature: "", body: strings.NewReader(body), status: 401, response: "unsigned"},
		"unknown scheme": {
			signature: strings.Replace(good, "v1=", "v0=", 1), body: strings.NewReader(body),
			status: 401, response: "unsigned",
		},
		"malformed header": {signature: "v1", body: strings.NewReader(body), status: 401, response: "malformed"},
		"signed an hour ago": {
			signature: Sign(secret, []byte(body), time.Now().Add(-time.Hour)), body: strings.NewReader(body),
			status: 401, response: "stale",
		},
		"signed with another secret": {
			signature: Sign("whsec_other", []byte(body), time.Now()), body: strings.NewReader(body),
			status: 401, response: "mismatch",
		},
		"signature of another body": {
			signature: good, body: strings.NewReader(body + " "),
			status: 401, response: "mismatch",
		},
		"body too large": {signature: good, body: largest, status: 413, response: "large"},
		"incomplete body": {
			signature: good, body: io.MultiReader(strings.NewReader(body), broken{}),
			status: 400, response: "cut",
		},
		"GET": {
			method: http.MethodGet, signature: good, body: nil,
			status: 405, response: "Method Not Allowed",
		},
		"no processor in the path": {
			path: "/webhooks/", signature: good, body: strings.NewReader(body),
			status: 404, response: "404 page not found",
		},
		"path below the processor": {
			path: "/webhooks/acme/x", signature: good, body: strings.NewReader(body),
			status: 404, response: "404 page not found",
		},
		"another path": {
			path: "/healthz", signature: good, body: strings.NewReader(body),
			status: 404, response: "404 page not found",
		},
	} {
		t.Run(name, func(t *testing.T) {
			method, path := cmp.Or(c.method, http.MethodPost), cmp.Or(c.path, "/webhooks/acme")
			f.requireResponse(t, c.status, c.response, f.send(t, method, path, c.signature, c.body))
		})
	}
	require.Empty(t, f.temporal.signals)
}

// broken is a body whose connection is closed.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestBodyOfMaximumSizeIsAccepted(t *testing.T) {
	f := newFixture(t)
	body := eventBody("evt_1", "payment", f.begin(t, "pending", payment.Pending).PaymentID)
	f.requireResponse(t, 200, "signaled", f.post(t, "acme", body+strings.Repeat(" ", MaxBody-len(body))))
}

func TestRepeatedEventSignalsOnce(t *testing.T) {
	f := newFixture(t)
	body := eventBody("evt_1", "payment", f.begin(t, "pending", payment.Pending).PaymentID)
	f.requireResponse(t, 200, "signaled", f.post(t, "acme", body))
	f.requireResponse(t, 200, "known", f.post(t, "acme", body))
	f.requireResponse(t, 200, "signaled", f.post(t, "acme", strings.Replace(body, "evt_1", "evt_2", 1)))
	require.Len(t, f.temporal.signals, 2)
}

func TestEventOfClosedWorkflowIsAcknowledged(t *testing.T) {
	f := newFixture(t)
	f.temporal.err = serviceerror.NewNotFound("workflow execution already completed")
	body := eventBody("evt_1", "payment", f.begin(t, "pending", payment.Pending).PaymentID)
	f.requireResponse(t, 200, "ended", f.post(t, "acme", body))
	f.requireResponse(t, 200, "known", f.post(t, "acme", body))
}

func TestEventShouldBeSentAgainIfTheSignalFails(t *testing.T) {
	for name, err := range map[string]error{
		"unavailable":  serviceerror.NewUnavailable("connection refused"),
		"timeout":      context.DeadlineExceeded,
		"no namespace": serviceerror.NewNamespaceNotFound("payments"),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			body := eventBody("evt_1", "payment", f.begin(t, "pending", payment.Pending).PaymentID)
			f.temporal.err = err
			f.requireResponse(t, 503, "later", f.post(t, "acme", body))
			f.requireResponse(t, 503, "later", f.post(t, "acme", body))
			f.temporal.err = nil
			f.requireResponse(t, 200, "signaled", f.post(t, "acme", body))
		})
	}
}

func TestEventShouldBeSentAgainIfTheStoreFails(t *testing.T) {
	f := newFixture(t)
	body := eventBody("evt_1", "payment", f.begin(t, "pending", payment.Pending).PaymentID)
	require.NoError(t, f.store.Close())
	f.requireResponse(t, 503, "later", f.post(t, "acme", body))
	require.Empty(t, f.temporal.signals)
}

// Event IDs that look like card numbers are still distinguished from each other.
func TestEventIDThatLooksLikeACardNumberIsWithheld(t *testing.T) {
	f := newFixture(t)
	body := eventBody("4242424242424242", "payment", f.begin(t, "pending", payment.Pending).PaymentID)
	f.requireResponse(t, 200, "signaled", f.post(t, "acme", body))
	f.requireResponse(t, 200, "known", f.post(t, "acme", body))
	f.requireResponse(t, 200, "signaled", f.post(t, "acme", strings.Replace(body, "4242424242424242", "5555555555554444", 1)))
	require.Contains(t, f.temporal.signals[0].event.ID, "withheld")
}

func TestRequestOverTheConcurrencyLimitIsRejected(t *testing.T) {
	f := newFixture(t)
	id := f.begin(t, "pending", payment.Pending).PaymentID
	f.temporal.block, f.temporal.entered = make(chan struct{}), make(chan struct{})
	responses := make(chan *httptest.ResponseRecorder, maxInFlight)
	for i := range maxInFlight {
		go func() { responses <- f.post(t, "acme", eventBody(fmt.Sprintf("evt_%d", i), "payment", id)) }()
	}
	for range maxInFlight {
		<-f.temporal.entered
	}
	f.requireResponse(t, 503, "busy", f.post(t, "acme", eventBody("evt_more", "payment", id)))
	close(f.temporal.block)
	for range maxInFlight {
		require.Equal(t, 200, (<-responses).Code)
	}
	f.temporal.block = nil
	f.requireResponse(t, 200, "signaled", f.post(t, "acme", eventBody("evt_more", "payment", id)))
}

func TestWarningsAreRateLimited(t *testing.T) {
	f := newFixture(t)
	for range 100 {
		f.requireResponse(t, 401, "unsigned", f.send(t, http.MethodPost, "/webhooks/acme", "", strings.NewReader("{}")))
	}
	require.Equal(t, 10, f.logs.Len())
}

// untouched is a body that must not be read.
type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestBodyIsNotReadBeforeTheHeaderIsChecked(t *testing.T) {
	f := newFixture(t)
	good := Sign(secret, nil, time.Now())
	for name, c := range map[string]struct {
		header http.Header
		length int64
		status int
		want   string
	}{
		"no signature":        {status: 401, want: "unsigned"},
		"malformed signature": {header: http.Header{signatureHeader: {"v1"}}, status: 401, want: "malformed"},
		"stale signature": {
			header: http.Header{signatureHeader: {Sign(secret, nil, time.Now().Add(-6*time.Minute))}}, status: 401, want: "stale",
		},
		"two signature headers": {header: http.Header{signatureHeader: {good, good}}, status: 401, want: "malformed"},
		"announced as too large": {
			header: http.Header{signatureHeader: {good}}, length: MaxBody + 1, status: 413, want: "large",
		},
	} {
		for _, processor := range []string{"acme", "no-such-processor"} {
			t.Run(name+" "+processor, func(t *testing.T) {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/"+processor, untouched{t})
				r.Header, r.ContentLength = c.header, c.length
				response := httptest.NewRecorder()
				f.ServeHTTP(response, r)
				f.requireResponse(t, c.status, c.want, response)
				require.Equal(t, "close", response.Header().Get("Connection"), "otherwise the server reads the body afterwards")
			})
		}
	}
}

func TestUnverifiedRequestsDoNotKeepProcessorsOut(t *testing.T) {
	f := newFixture(t)
	valid := eventBody("evt_1", "payment", f.begin(t, "pending", payment.Pending).PaymentID)
	var all sync.WaitGroup
	var slow []*io.PipeWriter
	for range 2 * maxInFlight {
		body, writer := io.Pipe()
		slow = append(slow, writer)
		all.Go(func() {
			f.requireResponse(t, 401, "mismatch",
				f.send(t, http.MethodPost, "/webhooks/acme", Sign("whsec_of_an_attacker", nil, time.Now()), body))
		})
	}
	for _, writer := range slow {
		_, _ = writer.Write([]byte("{")) // returns when the endpoint has begun to read
	}
	f.requireResponse(t, 200, "signaled", f.post(t, "acme", valid))
	for _, writer := range slow {
		_ = writer.Close()
	}
	all.Wait()
}

// A client without a secret must not find out which processors are configured, or which adapter they have.
func TestUnknownProcessorIsAnsweredLikeAWrongSignature(t *testing.T) {
	f := newFixture(t)
	source := Source{Verifier: verifier(t, 0, secret), Event: stripe.ReadEvent, Header: stripe.SignatureHeader}
	var err error
	f.Endpoint, err = NewEndpoint(map[string]Source{"stripe": source, "acme": f.sources["acme"]}, f.store, f.temporal, f.logger)
	require.NoError(t, err)
	body := eventBody("evt_1", "payment", "pay_1")
	wrong := Sign("whsec_of_an_attacker", []byte(body), time.Now())
	for _, header := range []http.Header{
		{},
		{signatureHeader: {wrong}}, {stripe.SignatureHeader: {wrong}},
		{signatureHeader: {wrong}, stripe.SignatureHeader: {wrong}},
		{signatureHeader: {wrong}, stripe.SignatureHeader: {"v1"}}, {signatureHeader: {"v1"}, stripe.SignatureHeader: {wrong}},
		{signatureHeader: {"v1"}}, {stripe.SignatureHeader: {"v1"}}, {"Other-Signature": {wrong}},
		{signatureHeader: {Sign("whsec_of_an_attacker", []byte(body), time.Now().Add(-time.Hour))}},
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodHead, http.MethodOptions} {
			for _, text := range []string{body, "", strings.Repeat(" ", MaxBody+1)} {
				var want *httptest.ResponseRecorder
				for _, processor := range []string{"acme", "stripe", "no-such-processor", "ACME", strings.Repeat("x", 100), `'"<\n`, "acme;x"} {
					r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(text))
					r.URL.Path = "/webhooks/" + processor
					r.URL.RawPath = r.URL.Path
					r.Header = header.Clone()
					response := httptest.NewRecorder()
					f.ServeHTTP(response, r)
					if want == nil {
						want = response
					}
					if strings.ContainsAny(processor, `"<`) { // it has to be escaped in a path
						require.Equal(t, http.StatusNotFound, response.Code)
						continue
					}
					require.Equal(t, want.Code, response.Code, "%s %v", processor, header)
					require.Equal(t, want.Body.String(), response.Body.String(), "%s %v", processor, header)
					require.Equal(t, want.Header(), response.Header(), "%s %v", processor, header)
				}
			}
		}
	}
	require.Empty(t, f.temporal.signals)
}

func TestUncleanPathIsNotFoundAndNeverRedirected(t *testing.T) {
	f := newFixture(t)
	body := eventBody("evt_1", "payment", f.begin(t, "pending", payment.Pending).PaymentID)
	s := httptest.NewServer(f)
	defer s.Close()
	for _, path := range []string{
		"//webhooks/acme", "/webhooks//acme", "/webhooks/../webhooks/acme", "/webhooks/./acme", "/webhooks/%2e%2e/webhooks/acme",
		"/webhooks/%2e/acme", "/webhooks/ac%6de", "/webhooks/acme/", "/webhooks/acme/.", "/webhooks/acme%2f", "/webhooks/acme/..",
		"/webhooks/..", "/webhooks/.", "/webhooks/%2e", "/webhooks/", "/webhooks", "/x/../webhooks/acme", "/%77ebhooks/acme", "/", "/Webhooks/acme",
	} {
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
		require.NoError(t, err)
		_, err = fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: florin\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s",
			path, signatureHeader, Sign(secret, []byte(body), time.Now()), len(body), body)
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusNotFound, response.StatusCode, path)
		require.Empty(t, response.Header.Get("Location"), path)
		_ = response.Body.Close()
		_ = connection.Close()
	}
	require.Empty(t, f.temporal.signals)
	f.requireResponse(t, 200, "signaled", f.post(t, "acme", body))
}
