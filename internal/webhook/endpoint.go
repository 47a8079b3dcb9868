package webhook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/florinpay/florin/internal/caller"
	"github.com/florinpay/florin/internal/priority"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

const (
	// maxInFlight is how many verified events are processed concurrently.
	maxInFlight = 32
	// handleTimeout limits the calls of the store and of Temporal together. Processors wait about ten seconds for a response.
	handleTimeout = 5 * time.Second
	// retryAfter is in seconds.
	retryAfter = "5"
	// maxSignaled is how many events are kept for deduplication.
	maxSignaled = 10_000
)

// prefix is the path of all processors.
const prefix = "/webhooks/"

// Source is a processor that sends events.
type Source struct {
	// Verifier is a [Verifier] or a [Rotating].
	Verifier interface {
		Verify(header string, body []byte, now time.Time) error
		SignRequest(digest string, at time.Time) string
	}
	// Header is the name of the header with the signature.
	Header string
	// Event parses the body of an event. It is implemented by the adapter.
	Event func(body []byte) (processor.Event, error)
}

// Store reads payments and refunds, and records disputes; [store.Store] implements it. Its methods that read return an error that
// wraps [payment.ErrNotFound] if there is none with the ID.
type Store interface {
	PaymentByID(ctx context.Context, merchantID, paymentID string) (payment.Charge, error)
	PaymentByProcessorID(ctx context.Context, processor, processorPaymentID string) (payment.Charge, error)
	RefundByID(ctx context.Context, merchantID, refundID string) (payment.Refund, error)
	RecordDivergence(ctx context.Context, d payment.Divergence) (created bool, err error)
}

// Signaler signals workflows; a Temporal client implements it. SignalWorkflow returns a *serviceerror.NotFound if the workflow is
// not running. SignalWithStartWorkflow starts it if it is not running.
type Signaler interface {
	SignalWorkflow(ctx context.Context, workflowID, runID, signalName string, arg any) error
	SignalWithStartWorkflow(ctx context.Context, workflowID, signalName string, signalArg any,
		options client.StartWorkflowOptions, workflow any, workflowArgs ...any) (client.WorkflowRun, error)
}

// Endpoint serves POST /webhooks/<processor>. For a signed event about a payment or a refund it signals the workflow, which then
// looks up the state at the processor. If the payment or refund is final, it starts or signals the workflow that looks up what is
// final, unless the event contains just what is stored. Only the IDs and the type of an event are logged, signaled and recorded, nothing
// else of it.
//
// The status is 200 if the processor should not send the event again, and 503 if it should. A request that cannot be a valid
// event gets a status from 400 to 413, and its connection is closed.
//
// Every client that reaches the endpoint can send requests. So the body is read only after the format and the time of the
// signature header have been checked, and only a verified event takes one of the slots that limit the work in flight. The caller
// must limit the number of connections. A request for a processor that is not configured gets the response of a wrong signature, so
// that a client cannot find out which ones are.
//
// An event about a dispute signals no workflow: it is logged and counted, and recorded as a divergence of its payment. An event
// about nothing that Florin made is only logged and counted.
type Endpoint struct {
	sources map[string]Source // by processor name
	// headers are the names of the headers with a signature, of all sources. Each is read for every processor, so that the response
	// does not depend on the name.
	headers []string
	// decoy stands for each processor that is not configured. No signature matches its secret.
	decoy    Source
	store    Store
	temporal Signaler
	logger   *zap.Logger
	// limited is rate-limited: for warnings that every client that reaches the endpoint can cause, and for events that have nothing
	// to do with Florin, of which there may be many.
	limited *zap.Logger
	// count, if not nil, is called with the processor and the result of each request.
	count func(processor, result string)
	// slots limits the number of verified events in flight.
	slots chan struct{}
	// signaled holds the recent events whose workflow was signaled, by processor and event ID.
	signaled *lru.Cache[string, struct{}]
}

// NewEndpoint returns an endpoint for the events of the given processors. The keys of sources are processor names.
func NewEndpoint(sources map[string]Source, s Store, temporal Signaler, logger *zap.Logger) (*Endpoint, error) {
	signaled, err := lru.New[string, struct{}](maxSignaled)
	if err != nil {
		return nil, err
	}
	limited := zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, 10, 0) // ten of each message per minute
	})
	decoy, err := New([]string{rand.Text()}, 0)
	if err != nil {
		return nil, err
	}
	headers := map[string]bool{}
	for _, source := range sources {
		headers[http.CanonicalHeaderKey(source.Header)] = true
	}
	return &Endpoint{
		sources: sources, headers: slices.Sorted(maps.Keys(headers)), decoy: Source{Verifier: decoy}, store: s, temporal: temporal,
		logger: logger, limited: logger.WithOptions(limited), slots: make(chan struct{}, maxInFlight), signaled: signaled,
	}, nil
}

// SetObserver makes the endpoint call count for each request to a configured processor, with the processor's name and the body of
// the response, which is one of few words. It must be called before the endpoint is used.
func (e *Endpoint) SetObserver(count func(processor, result string)) { e.count = count }

// ServeHTTP implements [http.Handler]. It is no [http.ServeMux], which redirects a path that is not clean.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, found := strings.CutPrefix(r.URL.EscapedPath(), prefix)
	switch {
	case !found, name == "", strings.ContainsAny(name, "/%"), name == ".", name == "..":
		closeAfterResponse(w)
		http.NotFound(w, r)
		return
	case r.Method != http.MethodPost:
		closeAfterResponse(w)
		w.Header().Set("Allow", http.MethodPost)
		respond(w, http.StatusMethodNotAllowed, http.StatusText(http.StatusMethodNotAllowed))
		return
	}
	source, configured := e.sources[name]
	if !configured {
		source = e.decoy
	}
	status, result := e.handle(w, r, name, source)
	if e.count != nil && configured {
		e.count(name, result)
	}
	respond(w, status, result)
}

// handle reads, verifies and processes one event. It returns the status and the body of the response.
func (e *Endpoint) handle(w http.ResponseWriter, r *http.Request, name string, source Source) (status int, result string) {
	reject := func(status int, result string) (int, string) {
		e.limited.Warn("rejected a webhook",
			zap.String("processor", processor.Clip(name)), zap.Int("status", status), zap.String("why", result))
		closeAfterResponse(w)
		return status, result
	}
	now := time.Now()
	header, err := e.signature(r)
	if err == nil {
		_, err = check(header, DefaultTolerance, now)
	}
	if err != nil {
		return reject(http.StatusUnauthorized, reason(err))
	}
	if r.ContentLength > MaxBody {
		return reject(http.StatusRequestEntityTooLarge, "large")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return reject(http.StatusRequestEntityTooLarge, "large")
	case err != nil: // the client was too slow or closed the connection
		return reject(http.StatusBadRequest, "cut")
	}
	if err := source.Verifier.Verify(header, body, now); err != nil {
		return reject(http.StatusUnauthorized, reason(err))
	}
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	default:
		e.limited.Warn("did not accept a webhook: too many events in flight", zap.String("processor", name))
		return http.StatusServiceUnavailable, "busy"
	}
	event, err := source.Event(body)
	if err != nil {
		return reject(http.StatusBadRequest, "unreadable")
	}
	ctx, cancel := context.WithTimeout(r.Context(), handleTimeout)
	defer cancel()
	return e.notify(ctx, name, event)
}

// signature returns the value of the only signature header.
func (e *Endpoint) signature(r *http.Request) (string, error) {
	var values []string
	for _, header := range e.headers {
		values = append(values, r.Header[header]...)
	}
	switch len(values) {
	case 0:
		return "", ErrNoSignature
	case 1:
		return values[0], nil
	default:
		return "", fmt.Errorf("%w: there are %d signature headers, want one", ErrMalformed, len(values))
	}
}

// reason returns why a signature is rejected, as one word. A client that tries to forge signatures must not learn more.
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

// notify signals the workflow of the payment or refund that the event is about. It returns the status and the body of the
// response.
func (e *Endpoint) notify(ctx context.Context, source string, event processor.Event) (status int, result string) {
	fields := []zap.Field{
		zap.String("processor", source), zap.String("event", processor.Clip(event.ID)), zap.String("type", processor.Clip(event.Type)),
	}
	switch {
	case event.Dispute:
		return e.recordDispute(ctx, source, event, fields)
	case event.MerchantID == "":
		e.limited.Info("ignored an event without a Florin payment or refund", fields...)
		return http.StatusOK, "unrelated"
	}
	about, err := e.find(ctx, event)
	switch {
	case errors.Is(err, payment.ErrNotFound): // perhaps another Florin installation uses the same processor account
		e.logger.Debug("ignored an event about an unknown payment or refund", fields...)
		return http.StatusOK, "ignored"
	case err != nil:
		return e.later("failed to read the payment or refund of an event: the processor should send it again", err, fields)
	}
	fields = append(fields, zap.String("about", about.id))
	if about.processor != source {
		e.limited.Warn("ignored an event about a payment or refund of another processor",
			append(fields, zap.String("belongs_to", about.processor))...)
		return http.StatusOK, "ignored"
	}
	// The event is added before the signal, so that only one of two concurrent requests signals. If the signal fails, the event is
	// removed and the processor sends it again.
	key := source + " " + event.ID
	if found, _ := e.signaled.ContainsOrAdd(key, struct{}{}); found {
		return http.StatusOK, "known"
	}
	status, result = e.signal(ctx, about, event, fields)
	if status != http.StatusOK {
		e.signaled.Remove(key)
	}
	return status, result
}

// signal signals the workflow of the subject or, if it is final, the workflow that looks it up again.
func (e *Endpoint) signal(
	ctx context.Context, about subject, event processor.Event, fields []zap.Field,
) (status int, result string) {
	if about.final {
		return e.recheck(ctx, about, event, fields)
	}
	signed, err := e.prove(ctx, about.processor, about.workflowID())
	if err != nil {
		return e.later("failed to sign a signal: the processor should send the event again", err, fields)
	}
	err = e.temporal.SignalWorkflow(signed, about.workflowID(), "", payment.SignalProcessorEvent, signalOf(event))
	var notRunning *serviceerror.NotFound
	switch {
	case errors.As(err, &notRunning):
		// It may have become final after it was read.
		if about, err = e.find(ctx, event); err != nil {
			return e.later("failed to read the payment or refund of an event: the processor should send it again", err, fields)
		}
		if about.final {
			return e.recheck(ctx, about, event, fields)
		}
		e.limited.Warn("ignored an event: the workflow is not running, and the payment or refund is not final", fields...)
		return http.StatusOK, "ended"
	case err != nil:
		return e.later("failed to signal a workflow: the processor should send the event again", err, fields)
	}
	e.logger.Info("signaled a workflow about a processor event", fields...)
	return http.StatusOK, "signaled"
}

// recheck starts the workflow that looks up a final payment or refund, or signals it if it is running. An event that contains just what is
// stored, such as that of a payment that has succeeded, starts none.
func (e *Endpoint) recheck(
	ctx context.Context, about subject, event processor.Event, fields []zap.Field,
) (status int, result string) {
	if about.known {
		e.logger.Debug("ignored an event that says nothing new", fields...)
		return http.StatusOK, "known"
	}
	req := about.RecheckRequest
	options := client.StartWorkflowOptions{
		TaskQueue:             payment.TaskQueue,
		Priority:              priority.Background(req.MerchantID),
		StaticSummary:         temporalweb.RecheckSummary(req),
		StaticDetails:         temporalweb.RecheckDetails(req),
		TypedSearchAttributes: temporal.NewSearchAttributes(temporalweb.RecheckAttributes(req, about.paymentID)...),
	}
	id := payment.RecheckWorkflowID(req)
	signed, err := e.prove(ctx, about.processor, id)
	if err != nil {
		return e.later("failed to sign a signal: the processor should send the event again", err, fields)
	}
	_, err = e.temporal.SignalWithStartWorkflow(signed, id, payment.SignalProcessorEvent, signalOf(event),
		options, payment.WorkflowRecheck, req)
	if err != nil {
		return e.later("failed to start a recheck: the processor should send the event again", err, fields)
	}
	e.logger.Info("received an event about a final payment or refund: it is looked up", fields...)
	return http.StatusOK, "recheck"
}

// recordDispute records a dispute as a divergence of its payment, once for each dispute. A dispute of a payment that Florin does
// not know is only logged: perhaps another system uses the same processor account.
func (e *Endpoint) recordDispute(
	ctx context.Context, source string, event processor.Event, fields []zap.Field,
) (status int, result string) {
	const advice = "a processor reports a dispute: handle it in the processor's dashboard"
	disputed, err := e.store.PaymentByProcessorID(ctx, source, event.ProcessorPaymentID)
	switch {
	case errors.Is(err, payment.ErrNotFound):
		e.logger.Warn(advice, append(fields, zap.Bool("recorded", false))...)
		return http.StatusOK, "dispute"
	case err != nil:
		return e.later("failed to read the payment of a dispute: the processor should send the event again", err, fields)
	}
	fields = append(fields, zap.String("about", disputed.PaymentID))
	evidence := map[string]string{payment.EvidenceEventID: processor.Clip(event.ID)}
	if event.DisputeID != "" {
		evidence["dispute"] = processor.Clip(event.DisputeID)
	}
	_, err = e.store.RecordDivergence(ctx, payment.Divergence{
		PaymentID: disputed.PaymentID, MerchantID: disputed.MerchantID, Kind: payment.DivergenceDispute, StatusHere: disputed.Status,
		Evidence: evidence, DetectedBy: "event",
	})
	if err != nil {
		return e.later("failed to record a dispute: the processor should send the event again", err, fields)
	}
	e.logger.Warn(advice, append(fields, zap.Bool("recorded", true))...)
	return http.StatusOK, "dispute"
}

// later logs why an event could not be processed. It returns the response that makes the processor send the event again.
func (e *Endpoint) later(message string, err error, fields []zap.Field) (status int, result string) {
	e.limited.Warn(message, append(fields, zap.Error(err))...)
	return http.StatusServiceUnavailable, "later"
}

// prove returns a context for the signal to a workflow, with the proof that this endpoint has verified an event of the processor.
func (e *Endpoint) prove(ctx context.Context, processor, workflowID string) (context.Context, error) {
	return Prove(ctx, e.sources[processor].Verifier, processor, workflowID)
}

// Signer signs what a worker asks for on behalf of a processor. [Verifier] and [Rotating] are Signers.
type Signer interface {
	SignRequest(digest string, at time.Time) string
}

// Prove returns a context for the signal processor-event to a workflow, with the proof that its sender has a webhook secret of the
// processor.
func Prove(ctx context.Context, by Signer, processor, workflowID string) (context.Context, error) {
	request := caller.Request{Kind: caller.Signal, Name: payment.SignalProcessorEvent, WorkflowID: workflowID}
	digest, err := request.Digest()
	if err != nil {
		return nil, err
	}
	return caller.WithProof(ctx, caller.Proof{Processor: processor, Signature: by.SignRequest(digest, time.Now())}), nil
}

// signalOf returns the argument of the signal about an event.
func signalOf(event processor.Event) payment.ProcessorEvent {
	return payment.ProcessorEvent{ID: processor.Clip(event.ID), Type: processor.Clip(event.Type)}
}

// subject is the payment or refund that an event is about, as it is stored.
type subject struct {
	payment.RecheckRequest
	id        string // payment or refund ID
	paymentID string
	processor string
	// final reports whether the status is final, so that its own workflow has ended. known reports whether the event contains just
	// what is stored.
	final, known bool
}

func (s subject) workflowID() string {
	if s.Refund {
		return payment.RefundWorkflowID(s.MerchantID, s.IdempotencyKey)
	}
	return payment.ChargeWorkflowID(s.MerchantID, s.IdempotencyKey)
}

// find returns the subject of an event. The error wraps [payment.ErrNotFound] if it is not stored.
func (e *Endpoint) find(ctx context.Context, event processor.Event) (subject, error) {
	if event.RefundID != "" {
		r, err := e.store.RefundByID(ctx, event.MerchantID, event.RefundID)
		return subject{
			RecheckRequest: payment.RecheckRequest{MerchantID: r.MerchantID, IdempotencyKey: r.IdempotencyKey, Refund: true},
			id:             r.RefundID, paymentID: r.PaymentID, processor: r.Processor, final: r.Final(), known: knowsRefund(r, event.Record),
		}, err
	}
	c, err := e.store.PaymentByID(ctx, event.MerchantID, event.PaymentID)
	return subject{
		RecheckRequest: payment.RecheckRequest{MerchantID: c.MerchantID, IdempotencyKey: c.IdempotencyKey},
		id:             c.PaymentID, paymentID: c.PaymentID, processor: c.Processor, final: c.Final(), known: knowsPayment(c, event.Record),
	}, err
}

// knowsPayment reports whether the record shows nothing that is not stored: the same payment at the processor with the same status and
// the same amounts. Without a record, an event may be about anything.
func knowsPayment(c payment.Charge, there *processor.Result) bool {
	return there != nil && there.ID == c.ProcessorPaymentID && there.Status == c.Status && !there.CanStillSucceed &&
		there.Amount == c.Amount && there.Currency == c.Currency && there.CapturedAmount == c.CapturedAmount &&
		(there.RefundedUnknown || there.RefundedAmount == c.RefundedAmount)
}

// knowsRefund is knowsPayment for a refund.
func knowsRefund(r payment.Refund, there *processor.Result) bool {
	return there != nil && there.ID == r.ProcessorRefundID && there.Status == r.Status &&
		there.Amount == r.Amount && there.Currency == r.Currency
}

// closeAfterResponse makes the server close the connection. Otherwise it would wait for the rest of the body.
func closeAfterResponse(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // if it is not supported, the connection ends later
}

func respond(w http.ResponseWriter, status int, body string) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	http.Error(w, body, status)
}
