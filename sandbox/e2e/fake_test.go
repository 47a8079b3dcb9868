package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/florintest"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// TestFakeReportsWhatTheClientReports runs each scenario with the real client and with the fake of package florintest, and requires equal
// results.
func TestFakeReportsWhatTheClientReports(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{Tune: slower, Simulator: simulator.Options{PendingFor: 6 * time.Second}})
	table := fakeScenarios()
	fromClient := make([][]string, len(table))
	var group errgroup.Group
	group.SetLimit(32)
	for i, scenario := range table {
		group.Go(func() error {
			fromClient[i] = scenario.play(t.Context(), realSystem(env))
			return nil
		})
	}
	require.NoError(t, group.Wait())
	for i, scenario := range table {
		t.Run(scenario.name, func(t *testing.T) {
			fake := florintest.NewWithOptions(florintest.Options{
				Processors: []string{environment.ProcessorName, environment.BackupName},
			})
			require.Equal(t, scenario.withResponse(fromClient[i]), scenario.play(t.Context(), fakeSystem(fake)))
		})
	}
}

// slower gives the worker time for its lookups while many scenarios run: otherwise, a payment that is found late counts as not executed.
func slower(c *config.Config) {
	for name, p := range c.Processors {
		p.ScheduleToClose = activities.Duration(6 * time.Second)
		p.AbsenceProofAfter = new(activities.Duration(6 * time.Second))
		p.Resolve.For = activities.Duration(14 * time.Second)
		c.Processors[name] = p
	}
}

// system is the real client or the fake.
type system struct {
	florin.API
	// complete returns once the processor has given the payment, or the refund, this status.
	complete, completeRefund func(ctx context.Context, key string, status payment.Status) error
}

func fakeSystem(fake *florintest.Fake) system {
	return system{
		API: fake,
		complete: func(_ context.Context, key string, status payment.Status) error {
			return fake.Complete("acme", key, status)
		},
		completeRefund: func(_ context.Context, key string, status payment.Status) error {
			return fake.CompleteRefund("acme", key, status)
		},
	}
}

func realSystem(env *environment.Environment) system {
	return system{
		API: retryingResolver{env.Florin},
		complete: func(ctx context.Context, key string, status payment.Status) error {
			return pollUntil(ctx, func() (bool, error) {
				c, err := env.Florin.Get(ctx, "acme", key)
				return c.Status == status, err
			})
		},
		completeRefund: func(ctx context.Context, key string, status payment.Status) error {
			return pollUntil(ctx, func() (bool, error) {
				r, err := env.Florin.GetRefund(ctx, "acme", key)
				return r.Status == status, err
			})
		},
	}
}

// again calls read, and calls it again while a slow machine has no worker for it in time.
func again[T any](ctx context.Context, read func() (T, error)) (value T, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if value, err = read(); !errors.Is(err, florin.ErrNoWorker) || ctx.Err() != nil {
			return value, err
		}
	}
}

func (p retryingResolver) Get(ctx context.Context, merchantID, key string) (payment.Charge, error) {
	return again(ctx, func() (payment.Charge, error) { return p.Client.Get(ctx, merchantID, key) })
}

func (p retryingResolver) GetRefund(ctx context.Context, merchantID, key string) (payment.Refund, error) {
	return again(ctx, func() (payment.Refund, error) { return p.Client.GetRefund(ctx, merchantID, key) })
}

func (p retryingResolver) Charge(ctx context.Context, req payment.ChargeRequest) (payment.Charge, error) {
	return again(ctx, func() (payment.Charge, error) { return p.Client.Charge(ctx, req) })
}

func (p retryingResolver) Refund(ctx context.Context, req payment.RefundRequest) (payment.Refund, error) {
	return again(ctx, func() (payment.Refund, error) { return p.Client.Refund(ctx, req) })
}

func (p retryingResolver) Capture(ctx context.Context, merchantID, key string, req payment.CaptureRequest) (payment.Charge, error) {
	return again(ctx, func() (payment.Charge, error) { return p.Client.Capture(ctx, merchantID, key, req) })
}

func (p retryingResolver) Void(ctx context.Context, merchantID, key string) (payment.Charge, error) {
	return again(ctx, func() (payment.Charge, error) { return p.Client.Void(ctx, merchantID, key) })
}

func (p retryingResolver) List(ctx context.Context, f payment.Filter) (payment.Page, error) {
	return again(ctx, func() (payment.Page, error) { return p.Client.List(ctx, f) })
}

func (p retryingResolver) ListRefunds(ctx context.Context, f payment.RefundFilter) (payment.RefundPage, error) {
	return again(ctx, func() (payment.RefundPage, error) { return p.Client.ListRefunds(ctx, f) })
}

// retryingResolver repeats a resolution that is refused because a call to the processor is in flight, and any read.
type retryingResolver struct{ *florin.Client }

func (p retryingResolver) Resolve(ctx context.Context, merchantID, key string, r payment.Resolution) (payment.Charge, error) {
	var c payment.Charge
	var refused error
	err := pollUntil(ctx, func() (bool, error) {
		c, refused = p.Client.Resolve(ctx, merchantID, key, r)
		if !errors.Is(refused, florin.ErrNotResolvable) {
			return true, nil
		}
		current, err := p.Get(ctx, merchantID, key)
		return current.Status != payment.NeedsReconciliation, err
	})
	return c, cmp.Or(refused, err)
}

// pollUntil calls done until it reports true or fails, for at most 30 seconds.
func pollUntil(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// scenario is a series of calls. Its keys begin with its name, so that all scenarios can use one environment.
type scenario struct {
	name string
	run  func(p *player)
	// failure is that of a payment that is retried until the time for retries is over.
	failure string
}

// withResponse returns the results as if the last attempt had a response. On a busy machine, the time for retries may end during an
// attempt, and then the failure is that its outcome is unknown; or while Florin's own rate limit lets no call pass, after a 429 of another
// scenario, and then the failure is that one.
func (s scenario) withResponse(results []string) []string {
	replaced := slices.Clone(results)
	if s.failure == "" {
		return replaced
	}
	for i := range replaced {
		for _, withoutResponse := range []payment.FailureClass{payment.ClassOutcomeUnknown, payment.ClassUnavailable} {
			replaced[i] = strings.ReplaceAll(replaced[i], fmt.Sprintf("failed %s 0  message", withoutResponse), "failed "+s.failure+" message")
		}
	}
	return replaced
}

func (s scenario) play(ctx context.Context, sys system) []string {
	p := &player{ctx: ctx, system: sys, key: s.name}
	s.run(p)
	return p.results
}

// player makes the calls of a scenario and records the results.
type player struct {
	system
	ctx     context.Context
	key     string
	results []string
}

func (p *player) record(call string, result any, err error) {
	p.results = append(p.results, fmt.Sprintf("%s: %s%s", call, describe(result), describeError(err)))
}

// describe writes a result without times, revisions, the processor's ids, and the texts of failures. It writes whether they are set.
func describe(result any) string {
	switch v := result.(type) {
	case payment.Charge:
		v.CreatedAt, v.UpdatedAt, v.Revision, v.ProcessorRequestID = time.Time{}, time.Time{}, 0, ""
		v.ProcessorPaymentID = isSet(v.ProcessorPaymentID)
		decline, failure := describeDetails(v.Decline, v.Failure)
		var modification payment.Modification
		if v.Modification != nil {
			modification = *v.Modification
			modification.BeganAt, modification.RunID = time.Time{}, ""
		}
		v.Decline, v.Failure, v.Modification = nil, nil, nil
		return fmt.Sprintf("%+v%s%s %+v", v, decline, failure, modification)
	case payment.Refund:
		v.CreatedAt, v.UpdatedAt = time.Time{}, time.Time{}
		v.ProcessorRefundID = isSet(v.ProcessorRefundID)
		decline, failure := describeDetails(v.Decline, v.Failure)
		v.Decline, v.Failure = nil, nil
		return fmt.Sprintf("%+v%s%s", v, decline, failure)
	case payment.Page:
		lines := []string{"next " + isSet(v.Next)}
		for _, c := range v.Payments {
			lines = append(lines, describe(c))
		}
		return strings.Join(lines, "\n  ")
	case florin.Run:
		v.RunID = isSet(v.RunID)
		return fmt.Sprintf("%+v", v)
	default:
		return fmt.Sprintf("%+v", v)
	}
}

func describeDetails(d *payment.Decline, f *payment.Failure) (decline, failure string) {
	if d != nil {
		decline = fmt.Sprintf(" declined %+v", *d)
	}
	if f != nil {
		status, code := f.HTTPStatus, f.ProcessorCode
		if f.Class == payment.ClassOutcomeUnknown { // it depends on the load whether the last send got a response at all
			status, code = 0, ""
		}
		failure = fmt.Sprintf(" failed %s %d %s message %s", f.Class, status, code, isSet(f.Message))
	}
	return decline, failure
}

func isSet(text string) string {
	if text == "" {
		return "absent"
	}
	return "present"
}

// describeError writes what errors.Is and errors.As find.
func describeError(err error) string {
	if err == nil {
		return ""
	}
	var text []string
	for _, target := range []error{
		florin.ErrInvalidRequest, florin.ErrIdempotencyMismatch, florin.ErrNotFound, florin.ErrPaymentNotFound, florin.ErrPaymentNotRefundable,
		florin.ErrRefundExceedsCaptured, florin.ErrNotResolvable, florin.ErrNotCapturable, florin.ErrNotVoidable,
		florin.ErrCaptureExceedsAuthorized, florin.ErrOutcomePending, florin.ErrStopped, florin.ErrConflicted,
		context.DeadlineExceeded, context.Canceled,
	} {
		if errors.Is(err, target) {
			text = append(text, target.Error())
		}
	}
	var invalid *payment.InvalidRequestError
	if errors.As(err, &invalid) {
		text = append(text, fmt.Sprintf("%+v", invalid.Fields))
	}
	var notExecuted *florin.NotExecutedError
	if errors.As(err, &notExecuted) {
		text = append(text, fmt.Sprintf("%s not executed: %s", notExecuted.Operation, describe(notExecuted.Payment)))
	}
	if len(text) == 0 {
		text = append(text, "unexpected: "+err.Error())
	}
	return " error " + strings.Join(text, ", ")
}

// request returns a charge with a key of the scenario.
func (p *player) request(suffix, token string) payment.ChargeRequest {
	return charge(p.key+suffix, token)
}

func (p *player) manual(suffix, token string) payment.ChargeRequest {
	return manual(p.key+suffix, token)
}

func (p *player) charge(req payment.ChargeRequest) payment.Charge {
	c, err := p.Charge(p.ctx, req)
	p.record("charge", c, err)
	return c
}

func (p *player) startCharge(req payment.ChargeRequest) {
	run, err := p.StartCharge(p.ctx, req)
	p.record("start charge", run, err)
}

func (p *player) get(key string) payment.Charge {
	c, err := p.Get(p.ctx, "acme", key)
	p.record("get", c, err)
	return c
}

// wait gives up soon if the payment stays as it is.
func (p *player) wait(key string) {
	current, err := p.Get(p.ctx, "acme", key)
	ctx, cancel := context.WithTimeout(p.ctx, maxWait(err == nil && !current.Final()))
	defer cancel()
	c, err := p.Wait(ctx, "acme", key)
	p.record("wait", c, err)
}

func maxWait(inVain bool) time.Duration {
	if inVain {
		return 300 * time.Millisecond
	}
	return 30 * time.Second
}

func (p *player) capture(key string, req payment.CaptureRequest) {
	c, err := p.Capture(p.ctx, "acme", key, req)
	p.record("capture", c, err)
}

func (p *player) void(key string) {
	c, err := p.Void(p.ctx, "acme", key)
	p.record("void", c, err)
}

func (p *player) resolve(key string, r payment.Resolution) {
	c, err := p.Resolve(p.ctx, "acme", key, r)
	p.record("resolve", c, err)
}

func (p *player) refund(req payment.RefundRequest) {
	r, err := p.Refund(p.ctx, req)
	p.record("refund", r, err)
}

func (p *player) startRefund(req payment.RefundRequest) {
	run, err := p.StartRefund(p.ctx, req)
	p.record("start refund", run, err)
}

func (p *player) getRefund(key string) {
	r, err := p.GetRefund(p.ctx, "acme", key)
	p.record("get refund", r, err)
}

func (p *player) waitRefund(key string) {
	current, err := p.GetRefund(p.ctx, "acme", key)
	ctx, cancel := context.WithTimeout(p.ctx, maxWait(err == nil && !current.Final()))
	defer cancel()
	r, err := p.WaitRefund(ctx, "acme", key)
	p.record("wait for refund", r, err)
}

func (p *player) resolveRefund(key string, r payment.Resolution) {
	refund, err := p.ResolveRefund(p.ctx, "acme", key, r)
	p.record("resolve refund", refund, err)
}

func (p *player) list(f payment.Filter) payment.Page {
	page, err := p.List(p.ctx, f)
	p.record("list", page, err)
	return page
}

// decide lets the processor decide, and records an error.
func (p *player) decide(key string, status payment.Status) {
	if err := p.complete(p.ctx, key, status); err != nil {
		p.record("complete", nil, err)
	}
}

func (p *player) decideRefund(key string, status payment.Status) {
	if err := p.completeRefund(p.ctx, key, status); err != nil {
		p.record("complete refund", nil, err)
	}
}

// fakeScenarios returns a scenario for each token, and those that are not about a token.
func fakeScenarios() []scenario {
	var table []scenario
	var rateLimited []string
	failures := map[string]string{
		"tok_500_always": "unavailable 500 internal_error", "tok_refund_500_always": "unavailable 500 internal_error",
	}
	for _, m := range florintest.PaymentMethods() {
		switch {
		case strings.HasPrefix(m.Name, "tok_429"):
			rateLimited = append(rateLimited, m.Name)
		case m.Operation == payment.OperationCharge:
			table = append(table,
				scenario{name: "charge-" + m.Name, run: func(p *player) { p.playCharge(m) }, failure: failures[m.Name]},
				scenario{name: "authorize-" + m.Name, run: func(p *player) { p.playAuthorization(m) }, failure: failures[m.Name]})
		case m.Operation == payment.OperationCapture:
			table = append(table,
				scenario{name: "capture-" + m.Name, run: func(p *player) { p.playCapture(m) }},
				scenario{name: "void-" + m.Name, run: func(p *player) { p.playVoid(m) }},
				scenario{name: "charge-" + m.Name, run: func(p *player) { p.charge(p.request("", m.Name)) }})
		case m.Operation == payment.OperationRefund:
			table = append(table, scenario{name: "refund-" + m.Name, run: func(p *player) { p.playRefund(m) }, failure: failures[m.Name]})
		}
	}
	for name, r := range resolutions {
		table = append(table, scenario{name: "resolve-" + name, run: func(p *player) { p.playResolution(r) }})
	}
	for _, status := range []payment.Status{payment.Succeeded, payment.Authorized, payment.Voided} {
		table = append(table, scenario{name: "resolve-capture-" + string(status), run: func(p *player) { p.playResolutionOfCapture(status) }})
	}
	for _, status := range payment.ResolvedRefundStatuses {
		table = append(table, scenario{name: "resolve-refund-" + string(status), run: func(p *player) { p.playResolutionOfRefund(status) }})
	}
	visa := florintest.PaymentMethods()[0]
	return append(table,
		scenario{name: "rate-limited", run: func(p *player) { p.playRateLimits(rateLimited) }, failure: "rate_limited 429 rate_limited"},
		scenario{name: "unknown-token", run: func(p *player) { p.charge(p.request("", "tok_unknown")) }},
		scenario{name: "capture-without-fault", run: func(p *player) { p.playCapture(visa) }},
		scenario{name: "void-without-fault", run: func(p *player) { p.playVoid(visa) }},
		scenario{name: "void-undecided", run: (*player).playVoidOfUndecided},
		scenario{name: "refund-without-fault", run: func(p *player) { p.playRefund(visa) }},
		scenario{name: "refund-refused", run: (*player).playRefusedRefunds},
		scenario{name: "refunded", run: (*player).playReadsAfterARefund},
		scenario{name: "started", run: (*player).playStarts},
		scenario{name: "invalid", run: (*player).playInvalidRequests},
		scenario{name: "capture-refused", run: (*player).playRefusedCaptures},
		scenario{name: "not-found", run: (*player).playNotFound},
		scenario{name: "unknown-processor", run: (*player).playUnknownProcessor},
		scenario{name: "merchants", run: (*player).playMerchants},
		scenario{name: "resolve-refused", run: (*player).playRefusedResolutions},
		scenario{name: "context", run: (*player).playDoneContext},
		scenario{name: "list", run: (*player).playList},
	)
}

func (p *player) playCharge(m florintest.PaymentMethod) {
	req := p.request("", m.Name)
	p.charge(req)
	if m.FirstStatus != "" {
		p.charge(req)
		p.wait(p.key + "-never")
		p.decide(p.key, m.Status)
	}
	p.get(p.key)
	p.wait(p.key)
	p.charge(req)
	p.startCharge(req)
	other := req
	other.Amount++
	p.charge(other)
	p.startCharge(other)
	p.get(p.key)
	p.capture(p.key, full)
	p.void(p.key)
	if m.Name != "tok_refunded_in_dashboard" { // nothing may be left to refund
		p.refund(refund(p.key, payment.PaymentID("acme", p.key), 250))
	}
}

func (p *player) playAuthorization(m florintest.PaymentMethod) {
	p.charge(p.manual("", m.Name))
	if status := m.Status; m.FirstStatus != "" {
		if status == payment.Succeeded {
			status = payment.Authorized
		}
		p.decide(p.key, status)
	}
	p.get(p.key)
	p.wait(p.key)
	p.capture(p.key, partial(1000))
	p.charge(p.manual("", m.Name))
	p.void(p.key)
	p.get(p.key)
}

func (p *player) playRateLimits(methods []string) {
	for _, token := range methods {
		req := p.request("-"+token, token)
		req.Processor = environment.BackupName
		p.charge(req)
		p.charge(req)
	}
}

func (p *player) playCapture(m florintest.PaymentMethod) {
	p.charge(p.manual("", m.Name))
	for range 2 {
		p.capture(p.key, partial(1000))
	}
	p.get(p.key)
	p.capture(p.key, partial(999))
	p.capture(p.key, full)
	p.charge(p.manual("", m.Name))
	p.wait(p.key)
	if m.Name != "tok_capture_403" && m.Name != "tok_capture_declined" {
		p.void(p.key)
		p.get(p.key)
	}
}

func (p *player) playVoid(m florintest.PaymentMethod) {
	p.charge(p.manual("", m.Name))
	for range 2 {
		p.void(p.key)
	}
	p.get(p.key)
	p.capture(p.key, full)
	p.refund(refund(p.key, payment.PaymentID("acme", p.key), 250))
	p.charge(p.manual("", m.Name))
	p.wait(p.key)
}

func (p *player) playVoidOfUndecided() {
	p.charge(p.request("-action", "tok_requires_action"))
	p.void(p.key + "-action")
	p.void(p.key + "-action")
	p.get(p.key + "-action")
	p.charge(p.request("-pending", "tok_pending"))
	p.capture(p.key+"-pending", full)
	p.void(p.key + "-pending")
	p.get(p.key + "-pending")
	p.decide(p.key+"-pending", payment.Succeeded)
	p.get(p.key + "-pending")
}

func (p *player) playRefund(m florintest.PaymentMethod) {
	paid := p.charge(p.request("", m.Name))
	req := refund(p.key+"-1", paid.PaymentID, 250)
	p.refund(req)
	if m.Operation == payment.OperationRefund && m.FirstStatus != "" {
		p.get(p.key)
		p.decideRefund(p.key+"-1", m.Status)
	}
	p.refund(req)
	p.getRefund(p.key + "-1")
	p.waitRefund(p.key + "-1")
	p.startRefund(req)
	other := refund(p.key+"-1", paid.PaymentID, 251)
	p.refund(other)
	p.startRefund(other)
	p.get(p.key)
	rest := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: p.key + "-2", PaymentID: paid.PaymentID}
	p.refund(rest)
	if m.Operation == payment.OperationRefund && m.FirstStatus != "" {
		p.decideRefund(p.key+"-2", m.Status)
	}
	p.getRefund(p.key + "-2")
	p.get(p.key)
	p.refund(refund(p.key+"-3", paid.PaymentID, 1251))
}

func (p *player) playRefusedRefunds() {
	paid := p.charge(p.request("", "tok_visa"))
	held := p.charge(p.manual("-held", "tok_visa"))
	declined := p.charge(p.request("-declined", "tok_stolen_card"))
	currency := refund(p.key+"-currency", paid.PaymentID, 100)
	currency.Currency = "EUR"
	foreign := refund(p.key+"-foreign", paid.PaymentID, 100)
	foreign.MerchantID = "globex"
	for _, req := range []payment.RefundRequest{
		refund(p.key+"-unknown", payment.PaymentID("acme", "never"), 100), foreign, refund(p.key+"-held", held.PaymentID, 100),
		refund(p.key+"-declined", declined.PaymentID, 100), refund(p.key+"-exceeds", paid.PaymentID, 1251), currency,
	} {
		p.refund(req)
		p.refund(req)
		p.getRefund(req.IdempotencyKey)
		p.waitRefund(req.IdempotencyKey)
	}
	p.startRefund(refund(p.key+"-started", paid.PaymentID, 1251))
	p.waitRefund(p.key + "-started")
	p.getRefund(p.key + "-started")
	p.resolveRefund(p.key+"-started", payment.Resolution{Status: payment.Failed, Evidence: "none", By: "jane"})
	p.refund(refund(p.key+"-started", paid.PaymentID, 100)) // the key can be used again
	p.get(p.key)
	rest := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: p.key + "-rest", PaymentID: paid.PaymentID, Currency: "USD"}
	p.refund(rest)
	rest.IdempotencyKey = p.key + "-nothing-left"
	p.refund(rest)
	p.refund(refund(p.key+"-one", paid.PaymentID, 1))
	p.get(p.key)
}

func (p *player) playReadsAfterARefund() {
	for _, req := range []payment.ChargeRequest{p.request("-automatic", "tok_visa"), p.manual("-manual", "tok_visa"), p.request("-pending", "tok_pending")} {
		key := req.IdempotencyKey
		c := p.charge(req)
		switch c.Status {
		case payment.Authorized:
			p.capture(key, full)
		case payment.Pending:
			p.decide(key, payment.Succeeded)
		default:
		}
		p.refund(refund(key, c.PaymentID, 250))
		p.get(key)
		p.wait(key)
		p.charge(req)
		p.capture(key, full)
		p.void(key)
	}
}

func (p *player) playStarts() {
	for _, token := range []string{"tok_visa", "tok_stolen_card", "tok_403"} {
		req := p.request("-"+token, token)
		p.startCharge(req)
		c, err := p.Wait(p.ctx, "acme", req.IdempotencyKey)
		p.record("wait", c, err)
		p.startCharge(req)
		p.charge(req)
		other := req
		other.Description = "another purchase"
		p.charge(other)
		p.startCharge(other)
	}
	paid := payment.PaymentID("acme", p.key+"-tok_visa")
	p.startRefund(refund(p.key, paid, 250))
	r, err := p.WaitRefund(p.ctx, "acme", p.key)
	p.record("wait for refund", r, err)
	p.refund(refund(p.key, paid, 250))
	p.get(p.key + "-tok_visa")
	p.charge(p.request("-tok_visa", "tok_visa"))
}

func (p *player) playInvalidRequests() {
	p.charge(payment.ChargeRequest{})
	p.startCharge(payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: "a/b", Amount: -1, Currency: "usd", PaymentMethod: "4242 4242 4242 4242"})
	p.refund(payment.RefundRequest{})
	p.startRefund(refund(p.key, "nonsense", 0))
	p.capture(p.key, partial(0))
	p.capture(p.key, payment.CaptureRequest{Currency: "usd"})
	p.resolve(p.key, payment.Resolution{Status: payment.Pending})
	p.resolveRefund(p.key, payment.Resolution{Status: payment.Voided})
	p.get(p.key)
}

func (p *player) playRefusedCaptures() {
	p.charge(p.manual("", "tok_visa"))
	p.capture(p.key, partial(1251))
	p.capture(p.key, payment.CaptureRequest{Currency: "EUR"})
	p.capture(p.key, payment.CaptureRequest{Amount: new(int64(1251)), Currency: "EUR"})
	p.get(p.key)
	p.capture(p.key, payment.CaptureRequest{Currency: "USD"})
	p.capture(p.key, partial(1251))
	p.capture(p.key, payment.CaptureRequest{Currency: "EUR"})
	p.capture(p.key, partial(1250))
}

func (p *player) playNotFound() {
	p.get(p.key)
	p.wait(p.key)
	p.getRefund(p.key)
	p.waitRefund(p.key)
	p.capture(p.key, full)
	p.void(p.key)
	p.resolve(p.key, payment.Resolution{Status: payment.Failed, Evidence: "none", By: "jane"})
	p.resolveRefund(p.key, payment.Resolution{Status: payment.Failed, Evidence: "none", By: "jane"})
}

func (p *player) playUnknownProcessor() {
	req := p.request("", "tok_visa")
	req.Processor = "nowhere"
	p.charge(req)
	p.get(p.key)
	p.wait(p.key)
	p.capture(p.key, full)
	p.void(p.key)
	p.resolve(p.key, payment.Resolution{Status: payment.Failed, Evidence: "none", By: "jane"})
	p.refund(refund(p.key, payment.PaymentID("acme", p.key), 100))
	p.charge(p.request("", "tok_visa")) // the key can be used again
	p.get(p.key)
	req = p.request("-started", "tok_visa")
	req.Processor = "nowhere"
	p.startCharge(req)
	c, err := p.Wait(p.ctx, "acme", req.IdempotencyKey)
	p.record("wait", c, err)
}

func (p *player) playMerchants() {
	first := p.request("", "tok_visa")
	p.charge(first)
	second := p.request("", "tok_stolen_card")
	second.MerchantID = "globex"
	p.charge(second)
	p.get(p.key)
	c, err := p.Get(p.ctx, "globex", p.key)
	p.record("get", c, err)
}

// resolutions are the decisions on a charge whose outcome is unknown, by the name of their scenario.
var resolutions = map[string]payment.Resolution{
	"succeeded":  {Status: payment.Succeeded, Evidence: "in the dashboard", By: "jane", ProcessorID: "ch_dashboard_1"},
	"no-id":      {Status: payment.Succeeded, Evidence: "in the dashboard", By: "jane"},
	"without-id": {Status: payment.Succeeded, Evidence: "in the dashboard", By: "jane", WithoutProcessorID: true},
	"partly":     {Status: payment.Succeeded, Evidence: "in the dashboard", By: "jane", CapturedAmount: 1000, ProcessorID: "ch_dashboard_2"},
	"declined":   {Status: payment.Declined, Evidence: "in the dashboard", By: "jane"},
	"failed":     {Status: payment.Failed, Evidence: "not in the dashboard", By: "jane"},
	"voided":     {Status: payment.Voided, Evidence: "in the dashboard", By: "jane"},
	"expired":    {Status: payment.Expired, Evidence: "in the dashboard", By: "jane"},
	"authorized": {Status: payment.Authorized, Evidence: "in the dashboard", By: "jane", ProcessorID: "ch_dashboard_3"},
}

func (p *player) playResolution(r payment.Resolution) {
	p.charge(p.request("", "tok_lost"))
	p.resolve(p.key, r)
	p.resolve(p.key, r)
	p.get(p.key)
	p.charge(p.request("", "tok_lost"))
	p.wait(p.key)
	if r.Status != payment.Succeeded || r.ProcessorID == "" { // otherwise the processor has no payment of this id to refund
		p.refund(refund(p.key, payment.PaymentID("acme", p.key), 250))
	}
	r.By = "joe"
	p.resolve(p.key, r)
	if r.Status != payment.Authorized { // nor to void
		p.void(p.key)
	}
}

func (p *player) playRefusedResolutions() {
	succeeded := payment.Resolution{Status: payment.Succeeded, Evidence: "in the dashboard", By: "jane"}
	p.charge(p.request("-done", "tok_visa"))
	p.resolve(p.key+"-done", succeeded)
	p.charge(p.manual("-held", "tok_visa"))
	p.resolve(p.key+"-held", succeeded)
	p.charge(p.manual("-lost", "tok_lost"))
	for _, r := range []payment.Resolution{
		succeeded, // without the captured amount
		{Status: payment.Succeeded, Evidence: "in the dashboard", By: "jane", CapturedAmount: 1251},
		{Status: payment.Authorized, Evidence: "in the dashboard", By: "jane"}, // without the processor's id
	} {
		p.resolve(p.key+"-lost", r)
	}
	p.get(p.key + "-lost")
}

func (p *player) playResolutionOfCapture(status payment.Status) {
	p.charge(p.manual("", "tok_capture_500_always"))
	p.capture(p.key, partial(1000))
	r := payment.Resolution{Status: status, Evidence: "in the dashboard", By: "jane", ProcessorID: "another"}
	p.resolve(p.key, r)
	r.ProcessorID = ""
	if status == payment.Succeeded {
		r.CapturedAmount = 1000
	}
	p.resolve(p.key, r)
	p.get(p.key)
	p.wait(p.key)
	if status.Final() {
		p.capture(p.key, partial(1000))
		p.void(p.key)
	}
}

func (p *player) playResolutionOfRefund(status payment.Status) {
	paid := p.charge(p.request("", "tok_refund_lost"))
	p.refund(refund(p.key, paid.PaymentID, 400))
	p.get(p.key)
	p.refund(refund(p.key+"-exceeds", paid.PaymentID, 851))
	r := payment.Resolution{Status: status, Evidence: "in the dashboard", By: "jane"}
	withAmount := r
	withAmount.CapturedAmount = 400
	p.resolveRefund(p.key, withAmount)
	p.resolveRefund(p.key, r)
	r.WithoutProcessorID = status == payment.Succeeded
	p.resolveRefund(p.key, r)
	p.resolveRefund(p.key, r)
	p.getRefund(p.key)
	p.waitRefund(p.key)
	r.By = "joe"
	p.resolveRefund(p.key, r)
	p.get(p.key)
	p.refund(refund(p.key+"-all", paid.PaymentID, 1251))
}

func (p *player) playDoneContext() {
	paid := p.charge(p.request("", "tok_visa"))
	p.charge(p.manual("-held", "tok_visa"))
	whole := p.ctx
	ctx, cancel := context.WithCancel(whole)
	cancel()
	p.ctx = ctx
	p.charge(p.request("", "tok_visa"))
	p.charge(payment.ChargeRequest{})
	p.get(p.key)
	p.wait(p.key)
	p.capture(p.key+"-held", full)
	p.void(p.key + "-held")
	p.refund(refund(p.key, paid.PaymentID, 100))
	p.getRefund(p.key)
	p.list(payment.Filter{MerchantID: "acme"})
	p.ctx = whole
	p.get(p.key + "-held")
	p.getRefund(p.key)
}

func (p *player) playList() {
	var third payment.Charge
	for i, token := range []string{"tok_visa", "tok_stolen_card", "tok_visa", "tok_403", "tok_lookup_late", "tok_insufficient_funds"} {
		req := p.request(fmt.Sprint("-", i), token)
		req.MerchantID = "lister"
		if i%2 == 1 {
			req.Processor = environment.BackupName
		}
		c := p.charge(req)
		if i == 2 {
			third = c
		}
	}
	filter := payment.Filter{MerchantID: "lister", Limit: 2}
	for {
		page := p.list(filter)
		if filter.Cursor = page.Next; filter.Cursor == "" {
			break
		}
	}
	for _, f := range []payment.Filter{
		{}, {Limit: 6}, {Limit: -1}, {Limit: 1000},
		{Statuses: []payment.Status{payment.Declined, payment.Failed}},
		{Statuses: []payment.Status{payment.Voided}},
		{Processor: environment.BackupName},
		{Processor: environment.ProcessorName, Statuses: []payment.Status{payment.Succeeded}, Limit: 1},
		{CreatedFrom: third.CreatedAt}, {CreatedBefore: third.CreatedAt},
		{Cursor: "nonsense"}, {Statuses: []payment.Status{"paid"}}, {Statuses: []payment.Status{"paid"}, Cursor: "nonsense"},
	} {
		f.MerchantID = "lister"
		p.list(f)
	}
	p.list(payment.Filter{MerchantID: "without-payments"})
}
