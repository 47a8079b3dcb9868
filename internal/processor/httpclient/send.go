package httpclient

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/internal/processor/classify"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// attempt makes one attempt at a call. It ends after the attempt timeout, and no later than until unless that is zero.
func (c *Client) attempt(ctx context.Context, call processor.Call, until time.Time) (processor.Answer, *processor.Error) {
	if err := c.check(call); err != nil {
		c.observed(ctx, call, processor.Answer{}, err, 0, nil)
		return processor.Answer{}, err
	}
	arrived := time.Now()
	if end := arrived.Add(c.timeout); until.IsZero() || end.Before(until) {
		until = end
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()

	if err := c.bulkhead.enter(ctx); err != nil {
		c.observed(ctx, call, processor.Answer{}, err, time.Since(arrived), nil)
		return processor.Answer{}, err
	}
	defer c.bulkhead.leave()

	bearer := c.credentials.Bearer(ctx)
	answer, err := c.send(ctx, cancel, call, bearer, arrived)
	if err == nil || answer.Status != http.StatusUnauthorized {
		return answer, err
	}
	if cause := c.credentials.Refresh(ctx, bearer); cause != nil {
		// The processor refused the current key, and no other can be read now: a later attempt may succeed.
		err.Class, err.Retry, err.Err = payment.ClassUnavailable, true, cause
		err.Message = "the processor refused the current API key, and reading it again failed: " + cause.Error()
		return answer, err
	}
	again, errAgain := c.send(ctx, cancel, call, c.credentials.Bearer(ctx), time.Now())
	again.Sends += answer.Sends
	if errAgain != nil && answer.Sends > 1 {
		// The 401 refuses only the last of the first sends.
		errAgain.Certainty = processor.Ambiguous
	}
	return again, errAgain
}

// send sends one request as soon as the limiter allows it. cancel ends ctx.
func (c *Client) send(ctx context.Context, cancel context.CancelFunc, call processor.Call, bearer string, arrived time.Time) (answer processor.Answer, failed *processor.Error) {
	waited := time.Duration(0)
	var ended func(Observation)
	defer func() {
		withholdKey(call, failed)
		c.observed(ctx, call, answer, failed, waited, ended)
	}()
	wait := c.limiter.Wait
	if movesMoney(call) {
		wait = c.limiter.WaitToSend
	}
	if err := wait(ctx); err != nil {
		waited = time.Since(arrived)
		return processor.Answer{}, asError(err)
	}
	w := wire{cancel: cancel}
	req, err := c.request(httptrace.WithClientTrace(ctx, w.trace()), call, bearer)
	if err != nil {
		return processor.Answer{}, refuse("the request cannot be built: " + processor.Clip(err.Error()))
	}
	// The breaker is asked last: a call that it lets pass must report soon. One that then waited for the bulkhead or the limiter would
	// occupy a probe of a half-open breaker.
	passed, err := c.breaker.Allow()
	if err != nil {
		return processor.Answer{}, asError(err)
	}
	if c.trace != nil {
		ended = c.trace(ctx, call.Operation, req.Header)
	}
	began := time.Now()
	waited = began.Sub(arrived)
	transport := c.connections.transport()
	answer, err = roundTrip(transport, req, bearer)
	answer.Took, answer.Sends = time.Since(began), int(w.sends.Load())
	objectLevel := c.report(passed, answer, w.breakerError(ctx, answer, err))
	if err != nil {
		failed = classify.NetworkError(w.cause(err), answer.Sends > 0)
		if w.sentTooOften() {
			// The other kept connections are as old.
			transport.CloseIdleConnections()
		}
		if containsAPIKey(failed.Message, bearer) { // it quotes a response that is not HTTP
			failed.Message = processor.Withheld
		}
	} else {
		failed = c.judge(call, &answer)
		if failed != nil && failed.Class == payment.ClassAuthentication && c.keyName != "" {
			// The processor's own text may quote the key, and is withheld then.
			failed.Message = c.keyName + " was refused: " + failed.Message
		}
		c.applyBackpressure(answer, objectLevel)
	}
	c.record(ctx, began, call, answer, failed)
	return answer, failed
}

// withholdKey removes the texts of an error that contain the key of the call. failed may be nil.
func withholdKey(call processor.Call, failed *processor.Error) {
	if failed == nil || call.Key == "" {
		return
	}
	for _, text := range []*string{&failed.Code, &failed.Message} {
		if strings.Contains(*text, call.Key) {
			*text = processor.Withheld
		}
	}
}

// judge returns what a response means: nil for a success or a decline, which it adds to the answer.
func (c *Client) judge(call processor.Call, a *processor.Answer) *processor.Error {
	switch {
	case a.Status == http.StatusNotModified && call.Header.Get("If-None-Match") != "":
		return nil
	case a.Status < 200 || a.Status > 299:
		decline, failed := classify.Response(*a, c.profile)
		if decline != nil && call.Key == "" {
			return processor.Malformed(*a, "the response to a read is a decline")
		}
		a.Decline = decline
		return failed
	case a.Truncated:
		return processor.Malformed(*a, "the response did not arrive completely")
	default:
		return decode(call, *a)
	}
}

func decode(call processor.Call, a processor.Answer) *processor.Error {
	if call.Decode == nil {
		return nil
	}
	if err := call.Decode(a.Body); err != nil {
		return processor.Malformed(a, processor.Clip(err.Error()))
	}
	return nil
}

// report reports an attempt to the breaker, also if a function of the profile panics: a probe without a report would keep the
// breaker half-open. It returns whether the response is about one object only.
func (c *Client) report(passed breaker.Passed, a processor.Answer, err error) (objectLevel bool) {
	defer func() {
		passed.Report(breaker.Outcome{Status: a.Status, Err: err, ObjectLevel: objectLevel, Took: a.Took})
	}()
	return classify.ObjectLevel(a, c.profile)
}

// applyBackpressure slows the other calls down as far as the response asks for. A 429 is one of many calls: it cuts the rate. A 503
// with a Retry-After is about the whole processor, and each further call could have an unknown outcome: all calls wait. Another response
// shows that the call was not refused for the rate.
func (c *Client) applyBackpressure(a processor.Answer, objectLevel bool) {
	switch {
	case objectLevel:
	case a.Status == http.StatusTooManyRequests:
		c.limiter.Refused(a.RetryAfter)
	case a.Status != http.StatusServiceUnavailable:
		c.limiter.Accepted()
	case a.RetryAfter > 0:
		c.limiter.Hold(a.RetryAfter)
	}
	if quota, ok := ratelimit.ParseQuota(a.Header); ok {
		c.limiter.Pace(quota)
	}
}
