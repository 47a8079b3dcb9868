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
	f.signals = append(f.signals, sent{workflowID, event})
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
	source := Source{Verifier: verifier(t, 0, secret), Header: signatureHeader, Event: rest.ReadEvent}
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
		"a pending payment":            {"acme", about("evt_1", "payment", open.PaymentID), 200, "signaled", "charge/shop/open"},
		"a payment that is being made": {"acme", about("evt_2", "payment", calling.PaymentID), 200, "signaled", "charge/shop/calling"},
		"a payment that holds money":   {"acme", about("evt_3", "payment", held.PaymentID), 200, "signaled", "charge/shop/held"},
		"a refund":                     {"acme", about("evt_4", "refund", refund.RefundID), 200, "signaled", "refund/shop/refund"},
		"a payment that is settled":    {"acme", about("evt_5", "payment", paid.PaymentID), 200, "known", ""},
		"a payment that was declined":  {"acme", about("evt_6", "payment", declined.PaymentID), 200, "known", ""},
		"another processor's payment":  {"bolt", about("evt_7", "payment", open.PaymentID), 200, "ignored", ""},
		"another processor's refund":   {"bolt", about("evt_8", "refund", refund.RefundID), 200, "ignored", ""},
		"a payment of nobody's":        {"acme", about("evt_9", "payment", payment.PaymentID("shop", "nobody")), 200, "ignored", ""},
		"a refund of nobody's":         {"acme", about("evt_10", "refund", payment.RefundID("shop", "nobody")), 200, "ignored", ""},
		"another merchant's":           {"acme", forged, 200, "ignored", ""},
		"nothing of ours":              {"acme", about("evt_11", "customer", open.PaymentID), 200, "ignored", ""},
		"an id that was made up":       {"acme", about("evt_12", "payment", "pay_1' OR 1=1 --"), 200, "ignored", ""},
		"no event":                     {"acme", `{"email":"` + private + `"}`, 400, "unreadable", ""},
		"no JSON":                      {"acme", private, 400, "unreadable", ""},
		"an id of more than one line":  {"acme", `{"id":"evt_1\nlevel=error","type":"t"}`, 400, "unreadable", ""},
		"an id without an end":         {"acme", `{"id":"` + strings.Repeat("e", 256) + `","type":"t"}`, 400, "unreadable", ""},
		"a processor of nobody's":      {"acne", about("evt_1", "payment", open.PaymentID), 404, "unknown", ""},
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
		"no signature":        {http.MethodPost, "/webhooks/acme", "", strings.NewReader(body), 401, "unsigned"},
		"no known scheme":     {http.MethodPost, "/webhooks/acme", strings.Replace(good, "v1=", "v0=", 1), strings.NewReader(body), 401, "unsigned"},
		"not in the form":     {http.MethodPost, "/webhooks/acme", "v1", strings.NewReader(body), 401, "malformed"},
		"an hour old":         {http.MethodPost, "/webhooks/acme", Sign(secret, []byte(body), time.Now().Add(-time.Hour)), strings.NewReader(body), 401, "stale"},
		"by another secret":   {http.MethodPost, "/webhooks/acme", Sign("whsec_other", []byte(body), time.Now()), strings.NewReader(body), 401, "mismatch"},
		"of another body":     {http.MethodPost, "/webhooks/acme", good, strings.NewReader(body + " "), 401, "mismatch"},
		"too large":           {http.MethodPost, "/webhooks/acme", good, largest, 413, "large"},
		"cut off":             {http.MethodPost, "/webhooks/acme", good, io.MultiReader(strings.NewReader(body), broken{}), 400, "cut"},
		"another method":      {http.MethodGet, "/webhooks/acme", good, nil, 405, "Method Not Allowed"},
		"no processor":        {http.MethodPost, "/webhooks/", good, strings.NewReader(body), 404, "404 page not found"},
		"below the processor": {http.MethodPost, "/webhooks/acme/x", good, strings.NewReader(body), 404, "404 page not found"},
		"somewhere else":      {http.MethodPost, "/healthz", good, strings.NewReader(body), 404, "404 page not found"},
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
