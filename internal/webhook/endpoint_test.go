package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

const (
	signatureHeader = rest.SignatureHeader
	// private is in every body, and must not come out anywhere.
	private = "jenny.rosen@example.com"
)

// sent is a signal as Temporal gets it.
type sent struct {
	workflowID string
	event      payment.ProcessorEvent
}

// temporal takes signals and answers with err.
type temporal struct {
	mu      sync.Mutex
	err     error
	signals []sent
	// hold, if set, keeps every signal until it is closed; entered counts those that are kept.
	hold    chan struct{}
	entered chan struct{}
}

func (f *temporal) SignalWorkflow(ctx context.Context, workflowID, runID, signalName string, arg any) error {
	if _, bounded := ctx.Deadline(); !bounded || runID != "" || signalName != "processor-event" {
		return errors.New("not as it should be asked")
	}
	if f.hold != nil {
		f.entered <- struct{}{}
		<-f.hold
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	event, ok := arg.(payment.ProcessorEvent)
	if !ok {
		return fmt.Errorf("a %T", arg)
	}
	f.signals = append(f.signals, sent{workflowID: workflowID, event: event})
	return f.err
}

// bench is an endpoint for the processors acme and bolt, with all that is around it.
type bench struct {
	*Endpoint
	temporal *temporal
	store    *store.Store
	logs     *observer.ObservedLogs
}

func newBench(t *testing.T) bench {
	t.Helper()
	dsn := "sqlite://" + filepath.Join(t.TempDir(), "florin.db")
	_, _, err := store.Migrate(t.Context(), dsn)
	require.NoError(t, err)
	books, err := store.Open(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = books.Close() }) // closed by the test of a store that is away
	core, logs := observer.New(zapcore.DebugLevel)
	b := bench{temporal: &temporal{}, store: books, logs: logs}
	source := Source{Verifier: verifier(t, 0, secret), Header: signatureHeader, Event: rest.Event}
	b.Endpoint, err = NewEndpoint(map[string]Source{"acme": source, "bolt": source}, books, b.temporal, zap.New(core))
	require.NoError(t, err)
	return b
}

// begin makes a payment known, under way at acme; its status is what is given.
func (b bench) begin(t *testing.T, key string, status payment.Status) payment.Charge {
	t.Helper()
	c := payment.Charge{
		PaymentID: payment.PaymentID("shop", key), MerchantID: "shop", IdempotencyKey: key, Status: payment.Processing,
		Amount: 1250, Currency: "USD", Processor: "acme", PaymentMethod: "tok_visa",
	}
	_, _, err := b.store.BeginPayment(t.Context(), c, "fingerprint of "+key)
	require.NoError(t, err)
	if status == payment.Processing {
		return c
	}
	c.Status, c.ProcessorPaymentID = status, "ch_"+key
	if status == payment.Succeeded {
		c.CapturedAmount = c.Amount
	}
	_, err = b.store.RecordPayment(t.Context(), c, store.Cause{By: "test"})
	require.NoError(t, err)
	return c
}

func (b bench) reserve(t *testing.T, key string, of payment.Charge) payment.Refund {
	t.Helper()
	r, _, _, err := b.store.ReserveRefund(t.Context(), payment.Refund{
		RefundID: payment.RefundID("shop", key), MerchantID: "shop", IdempotencyKey: key, PaymentID: of.PaymentID, Amount: 100,
	}, "fingerprint of "+key)
	require.NoError(t, err)
	return r
}

// about is the body of an event about what is named by a kind, such as payment, and an id.
func about(event, kind, id string) string {
	return fmt.Sprintf(`{"id":%q,"type":"payment.updated","data":{"email":%q,"metadata":{"florin_%s_id":%q,"florin_merchant_id":"shop"}}}`, event, private, kind, id)
}

// post sends a body that is signed as it should be.
func (b bench) post(t *testing.T, processor, body string) *httptest.ResponseRecorder {
	t.Helper()
	return b.send(t, http.MethodPost, "/webhooks/"+processor, Sign(secret, []byte(body), time.Now()), strings.NewReader(body))
}

func (b bench) send(t *testing.T, method, path, signature string, body io.Reader) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, body)
	r.Header.Set(signatureHeader, signature)
	answer := httptest.NewRecorder()
	b.ServeHTTP(answer, r)
	return answer
}

// requireAnswer also looks for what must not be anywhere.
func (b bench) requireAnswer(t *testing.T, status int, word string, got *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, word+"\n", got.Body.String())
	require.Equal(t, status, got.Code)
	require.Equal(t, status == http.StatusServiceUnavailable, got.Header().Get("Retry-After") != "")
	for _, line := range b.logs.All() {
		encoded, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg"}).EncodeEntry(line.Entry, line.Context)
		require.NoError(t, err)
		for _, word := range []string{private, "example.com", secret, "v1=", "tok_visa", "4242424242424242"} {
			require.NotContains(t, encoded.String(), word)
		}
	}
	require.NotContains(t, fmt.Sprint(b.temporal.signals), private)
}

func TestAnEventBecomesASignal(t *testing.T) {
	b := newBench(t)
	open := b.begin(t, "open", payment.Pending)
	calling := b.begin(t, "calling", payment.Processing)
	held := b.begin(t, "held", payment.Authorized)
	paid := b.begin(t, "paid", payment.Succeeded)
	declined := b.begin(t, "declined", payment.Declined)
	refund := b.reserve(t, "refund", paid)
	forged := strings.Replace(about("evt_forged", "payment", open.PaymentID), "shop", "other", 1)

	for name, c := range map[string]struct {
		processor, body string
		status          int
		word            string
		signal          string // the workflow; empty: none
	}{
		"a pending payment":            {processor: "acme", body: about("evt_1", "payment", open.PaymentID), status: 200, word: "signaled", signal: "charge/shop/open"},
		"a payment that is being made": {processor: "acme", body: about("evt_2", "payment", calling.PaymentID), status: 200, word: "signaled", signal: "charge/shop/calling"},
		"a payment that holds money":   {processor: "acme", body: about("evt_3", "payment", held.PaymentID), status: 200, word: "signaled", signal: "charge/shop/held"},
		"a refund":                     {processor: "acme", body: about("evt_4", "refund", refund.RefundID), status: 200, word: "signaled", signal: "refund/shop/refund"},
		"a payment that is settled":    {processor: "acme", body: about("evt_5", "payment", paid.PaymentID), status: 200, word: "known", signal: ""},
		"a payment that was declined":  {processor: "acme", body: about("evt_6", "payment", declined.PaymentID), status: 200, word: "known", signal: ""},
		"another processor's payment":  {processor: "bolt", body: about("evt_7", "payment", open.PaymentID), status: 200, word: "ignored", signal: ""},
		"another processor's refund":   {processor: "bolt", body: about("evt_8", "refund", refund.RefundID), status: 200, word: "ignored", signal: ""},
		"a payment of nobody's":        {processor: "acme", body: about("evt_9", "payment", payment.PaymentID("shop", "nobody")), status: 200, word: "ignored", signal: ""},
		"a refund of nobody's":         {processor: "acme", body: about("evt_10", "refund", payment.RefundID("shop", "nobody")), status: 200, word: "ignored", signal: ""},
		"another merchant's":           {processor: "acme", body: forged, status: 200, word: "ignored", signal: ""},
		"nothing of ours":              {processor: "acme", body: about("evt_11", "customer", open.PaymentID), status: 200, word: "ignored", signal: ""},
		"an id that was made up":       {processor: "acme", body: about("evt_12", "payment", "pay_1' OR 1=1 --"), status: 200, word: "ignored", signal: ""},
		"no event":                     {processor: "acme", body: `{"email":"` + private + `"}`, status: 400, word: "unreadable", signal: ""},
		"no JSON":                      {processor: "acme", body: private, status: 400, word: "unreadable", signal: ""},
		"an id of more than one line":  {processor: "acme", body: `{"id":"evt_1\nlevel=error","type":"t"}`, status: 400, word: "unreadable", signal: ""},
		"an id without an end":         {processor: "acme", body: `{"id":"` + strings.Repeat("e", 256) + `","type":"t"}`, status: 400, word: "unreadable", signal: ""},
		"a processor of nobody's":      {processor: "acne", body: about("evt_1", "payment", open.PaymentID), status: 404, word: "unknown", signal: ""},
	} {
		t.Run(name, func(t *testing.T) {
			b.temporal.signals = nil
			b.requireAnswer(t, c.status, c.word, b.post(t, c.processor, c.body))
			if c.signal == "" {
				require.Empty(t, b.temporal.signals)
				return
			}
			require.Len(t, b.temporal.signals, 1)
			require.Equal(t, c.signal, b.temporal.signals[0].workflowID)
			require.Equal(t, "payment.updated", b.temporal.signals[0].event.Type)
		})
	}
	require.Equal(t, 2, b.logs.FilterMessage("an event is about what is another processor's").FilterLevelExact(zapcore.WarnLevel).Len())
}

func TestWhatIsNotSignedAsItShouldBeIsRefused(t *testing.T) {
	b := newBench(t)
	body := about("evt_1", "payment", b.begin(t, "open", payment.Pending).PaymentID)
	good := Sign(secret, []byte(body), time.Now())
	largest := strings.NewReader(strings.Repeat(" ", MaxBody+1))
	for name, c := range map[string]struct {
		method, path, signature string
		body                    io.Reader
		status                  int
		word                    string
	}{
		"no signature":        {method: http.MethodPost, path: "/webhooks/acme", signature: "", body: strings.NewReader(body), status: 401, word: "unsigned"},
		"no known scheme":     {method: http.MethodPost, path: "/webhooks/acme", signature: strings.Replace(good, "v1=", "v0=", 1), body: strings.NewReader(body), status: 401, word: "unsigned"},
		"not in the form":     {method: http.MethodPost, path: "/webhooks/acme", signature: "v1", body: strings.NewReader(body), status: 401, word: "malformed"},
		"an hour old":         {method: http.MethodPost, path: "/webhooks/acme", signature: Sign(secret, []byte(body), time.Now().Add(-time.Hour)), body: strings.NewReader(body), status: 401, word: "stale"},
		"by another secret":   {method: http.MethodPost, path: "/webhooks/acme", signature: Sign("whsec_other", []byte(body), time.Now()), body: strings.NewReader(body), status: 401, word: "mismatch"},
		"of another body":     {method: http.MethodPost, path: "/webhooks/acme", signature: good, body: strings.NewReader(body + " "), status: 401, word: "mismatch"},
		"too large":           {method: http.MethodPost, path: "/webhooks/acme", signature: good, body: largest, status: 413, word: "large"},
		"cut off":             {method: http.MethodPost, path: "/webhooks/acme", signature: good, body: io.MultiReader(strings.NewReader(body), broken{}), status: 400, word: "cut"},
		"another method":      {method: http.MethodGet, path: "/webhooks/acme", signature: good, body: nil, status: 405, word: "Method Not Allowed"},
		"no processor":        {method: http.MethodPost, path: "/webhooks/", signature: good, body: strings.NewReader(body), status: 404, word: "404 page not found"},
		"below the processor": {method: http.MethodPost, path: "/webhooks/acme/x", signature: good, body: strings.NewReader(body), status: 404, word: "404 page not found"},
		"somewhere else":      {method: http.MethodPost, path: "/healthz", signature: good, body: strings.NewReader(body), status: 404, word: "404 page not found"},
	} {
		t.Run(name, func(t *testing.T) {
			b.requireAnswer(t, c.status, c.word, b.send(t, c.method, c.path, c.signature, c.body))
		})
	}
	require.Empty(t, b.temporal.signals)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestABodyAsLargeAsMayBeIsRead(t *testing.T) {
	b := newBench(t)
	body := about("evt_1", "payment", b.begin(t, "open", payment.Pending).PaymentID)
	b.requireAnswer(t, 200, "signaled", b.post(t, "acme", body+strings.Repeat(" ", MaxBody-len(body))))
}

func TestTheSameEventSignalsOnce(t *testing.T) {
	b := newBench(t)
	body := about("evt_1", "payment", b.begin(t, "open", payment.Pending).PaymentID)
	b.requireAnswer(t, 200, "signaled", b.post(t, "acme", body))
	b.requireAnswer(t, 200, "known", b.post(t, "acme", body))
	b.requireAnswer(t, 200, "signaled", b.post(t, "acme", strings.Replace(body, "evt_1", "evt_2", 1)))
	require.Len(t, b.temporal.signals, 2)
}

func TestWhatHasEndedNeedsNoSignal(t *testing.T) {
	b := newBench(t)
	b.temporal.err = serviceerror.NewNotFound("workflow execution already completed")
	body := about("evt_1", "payment", b.begin(t, "open", payment.Pending).PaymentID)
	b.requireAnswer(t, 200, "ended", b.post(t, "acme", body))
	b.requireAnswer(t, 200, "known", b.post(t, "acme", body))
}

func TestWithoutTemporalTheEventShouldComeAgain(t *testing.T) {
	for name, err := range map[string]error{
		"not there":    serviceerror.NewUnavailable("connection refused"),
		"too slow":     context.DeadlineExceeded,
		"no namespace": serviceerror.NewNamespaceNotFound("payments"),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			body := about("evt_1", "payment", b.begin(t, "open", payment.Pending).PaymentID)
			b.temporal.err = err
			b.requireAnswer(t, 503, "later", b.post(t, "acme", body))
			b.requireAnswer(t, 503, "later", b.post(t, "acme", body))
			b.temporal.err = nil
			b.requireAnswer(t, 200, "signaled", b.post(t, "acme", body))
		})
	}
}

func TestWithoutTheStoreTheEventShouldComeAgain(t *testing.T) {
	b := newBench(t)
	body := about("evt_1", "payment", b.begin(t, "open", payment.Pending).PaymentID)
	require.NoError(t, b.store.Close())
	b.requireAnswer(t, 503, "later", b.post(t, "acme", body))
	require.Empty(t, b.temporal.signals)
}

// An id that looks like a card number is told apart from another one, but not written down.
func TestASensitiveIDOfAnEventIsWithheld(t *testing.T) {
	b := newBench(t)
	body := about("4242424242424242", "payment", b.begin(t, "open", payment.Pending).PaymentID)
	b.requireAnswer(t, 200, "signaled", b.post(t, "acme", body))
	b.requireAnswer(t, 200, "known", b.post(t, "acme", body))
	b.requireAnswer(t, 200, "signaled", b.post(t, "acme", strings.Replace(body, "4242424242424242", "5555555555554444", 1)))
	require.Contains(t, b.temporal.signals[0].event.ID, "withheld")
}

func TestMoreThanCanBeWorkedOnIsSentAway(t *testing.T) {
	b := newBench(t)
	id := b.begin(t, "open", payment.Pending).PaymentID
	b.temporal.hold, b.temporal.entered = make(chan struct{}), make(chan struct{})
	answers := make(chan *httptest.ResponseRecorder, maxAtWork)
	for i := range maxAtWork {
		go func() { answers <- b.post(t, "acme", about(fmt.Sprintf("evt_%d", i), "payment", id)) }()
	}
	for range maxAtWork {
		<-b.temporal.entered
	}
	b.requireAnswer(t, 503, "busy", b.post(t, "acme", about("evt_more", "payment", id)))
	close(b.temporal.hold)
	for range maxAtWork {
		require.Equal(t, 200, (<-answers).Code)
	}
	b.temporal.hold = nil
	b.requireAnswer(t, 200, "signaled", b.post(t, "acme", about("evt_more", "payment", id)))
}

func TestAFloodDoesNotFillTheLog(t *testing.T) {
	b := newBench(t)
	for range 100 {
		b.requireAnswer(t, 401, "unsigned", b.send(t, http.MethodPost, "/webhooks/acme", "", strings.NewReader("{}")))
	}
	require.Equal(t, 10, b.logs.Len())
}
