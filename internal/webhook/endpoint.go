package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.temporal.io/api/serviceerror"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/florinpay/florin/internal/processor"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

const (
	// maxAtWork is how many requests are read or worked on at once, of MaxBody each.
	maxAtWork = 32
	// patience is for store and Temporal together. Processors wait for some ten seconds.
	patience = 5 * time.Second
	// retryAfter is in seconds.
	retryAfter = "5"
	// maxHeard is how many events are remembered.
	maxHeard = 10_000
)

// Source is a processor that sends events.
type Source struct {
	Verifier *Verifier
	// Header is where it puts the signature.
	Header string
	// Event is the adapter's.
	Event func(body []byte) (processor.Event, error)
}

// Store is what the endpoint asks package store for.
type Store interface {
	PaymentByID(ctx context.Context, merchantID, paymentID string) (payment.Charge, error)
	RefundByID(ctx context.Context, merchantID, refundID string) (payment.Refund, error)
}

// Signaler is what the endpoint asks a Temporal client for.
type Signaler interface {
	SignalWorkflow(ctx context.Context, workflowID, runID, signalName string, arg any) error
}

// Endpoint answers POST /webhooks/<processor>: a signed event about a payment or a refund becomes a signal to its workflow,
// which then asks the processor. Of the event itself nothing but its id and type goes anywhere.
//
// 200 is for everything that need not come again, 503 for what should.
type Endpoint struct {
	http.Handler
	sources  map[string]Source // by the processor's name
	store    Store
	temporal Signaler
	logger   *zap.Logger
	// warnings are bounded: whoever can reach us can cause them.
	warnings *zap.Logger
	atWork   chan struct{}
	// heard are the events that need not be told again, by processor and id.
	heard *lru.Cache[string, struct{}]
}

// NewEndpoint returns the endpoint of the processors that have a Source.
func NewEndpoint(sources map[string]Source, s Store, temporal Signaler, logger *zap.Logger) (*Endpoint, error) {
	heard, err := lru.New[string, struct{}](maxHeard)
	if err != nil {
		return nil, err
	}
	bounded := zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, 10, 0) // ten of each message in a minute
	})
	mux := http.NewServeMux()
	e := &Endpoint{
		Handler: mux, sources: sources, store: s, temporal: temporal,
		logger: logger, warnings: logger.WithOptions(bounded), atWork: make(chan struct{}, maxAtWork), heard: heard,
	}
	mux.HandleFunc("POST /webhooks/{processor}", e.receive)
	return e, nil
}

func (e *Endpoint) receive(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("processor")
	source, ok := e.sources[name]
	if !ok {
		answer(w, http.StatusNotFound, "unknown")
		return
	}
	select {
	case e.atWork <- struct{}{}:
		defer func() { <-e.atWork }()
	default:
		e.warnings.Warn("too many webhooks at once", zap.String("processor", name))
		answer(w, http.StatusServiceUnavailable, "busy")
		return
	}
	status, word := e.handle(r, http.MaxBytesReader(w, r.Body, MaxBody), name, source)
	answer(w, status, word)
}

// handle returns what to answer.
func (e *Endpoint) handle(r *http.Request, from io.Reader, name string, source Source) (status int, word string) {
	refuse := func(status int, word string) (int, string) {
		e.warnings.Warn("refused a webhook", zap.String("processor", name), zap.Int("status", status), zap.String("why", word))
		return status, word
	}
	body, err := io.ReadAll(from)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "large")
	case err != nil: // it was too slow, or went away
		return refuse(http.StatusBadRequest, "cut")
	}
	if err := source.Verifier.Verify(r.Header.Get(source.Header), body, time.Now()); err != nil {
		return refuse(http.StatusUnauthorized, reason(err))
	}
	event, err := source.Event(body)
	if err != nil {
		return refuse(http.StatusBadRequest, "unreadable")
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	return e.tell(ctx, name, event)
}

// reason is one word on why a signature is not accepted: whoever tries to forge one should not learn more.
func reason(err error) string {
	switch {
	case errors.Is(err, ErrNoSignature):
		return "unsigned"
	case errors.Is(err, ErrTooOld):
		return "stale"
	case errors.Is(err, ErrMismatch):
		return "mismatch"
	default:
		return "malformed"
	}
}

// tell signals the workflow of what the event is about, and returns what to answer.
func (e *Endpoint) tell(ctx context.Context, source string, event processor.Event) (status int, word string) {
	of := []zap.Field{
		zap.String("processor", source), zap.String("event", processor.Clip(event.ID)), zap.String("type", processor.Clip(event.Type)),
	}
	if event.MerchantID == "" {
		e.logger.Debug("an event is about nothing of ours", of...)
		return http.StatusOK, "ignored"
	}
	about, err := e.find(ctx, event)
	switch {
	case errors.Is(err, store.ErrNotFound): // of another Florin with the same account, perhaps
		e.logger.Debug("an event is about what the store does not have", of...)
		return http.StatusOK, "ignored"
	case err != nil:
		e.warnings.Warn("cannot look up what an event is about: it should come again", append(of, zap.Error(err))...)
		return http.StatusServiceUnavailable, "later"
	}
	of = append(of, zap.String("about", about.id))
	switch {
	case about.processor != source:
		e.warnings.Warn("an event is about what is another processor's", append(of, zap.String("belongs_to", about.processor))...)
		return http.StatusOK, "ignored"
	case about.final: // as is most of what a processor tells: our own calls brought the news before
		return http.StatusOK, "known"
	}
	// Remembered first, so that of two at once only one signals. Where that fails, the processor sends it again.
	key := source + " " + event.ID
	if heard, _ := e.heard.ContainsOrAdd(key, struct{}{}); heard {
		return http.StatusOK, "known"
	}
	err = e.temporal.SignalWorkflow(ctx, about.workflowID, "", payment.SignalProcessorEvent,
		payment.ProcessorEvent{ID: processor.Clip(event.ID), Type: processor.Clip(event.Type)})
	var ended *serviceerror.NotFound
	switch {
	case errors.As(err, &ended):
		e.logger.Debug("an event is about what has ended", of...)
		return http.StatusOK, "ended"
	case err != nil:
		e.heard.Remove(key)
		e.warnings.Warn("cannot signal a workflow: the event should come again", append(of, zap.Error(err))...)
		return http.StatusServiceUnavailable, "later"
	}
	e.logger.Info("a processor has news", of...)
	return http.StatusOK, "signaled"
}

// subject is what an event is about, as the store has it.
type subject struct {
	id         string // of the payment or refund
	workflowID string
	processor  string
	// final: nothing that the processor says can change it.
	final bool
}

func (e *Endpoint) find(ctx context.Context, event processor.Event) (subject, error) {
	if event.RefundID != "" {
		r, err := e.store.RefundByID(ctx, event.MerchantID, event.RefundID)
		return subject{id: r.RefundID, workflowID: payment.RefundWorkflowID(r.MerchantID, r.IdempotencyKey), processor: r.Processor, final: r.Status.Final()}, err
	}
	c, err := e.store.PaymentByID(ctx, event.MerchantID, event.PaymentID)
	return subject{id: c.PaymentID, workflowID: payment.ChargeWorkflowID(c.MerchantID, c.IdempotencyKey), processor: c.Processor, final: c.Status.Final()}, err
}

func answer(w http.ResponseWriter, status int, word string) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	http.Error(w, word, status)
}
