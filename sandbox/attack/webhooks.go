package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/florinpay/florin/payment"
)

// webhookAttacks send events that no processor has sent.
var webhookAttacks = []attack{
	{name: "webhooks: forged signatures", try: forgedWebhooks},
	{name: "webhooks: a captured event is sent again and again", try: replayedWebhook},
	{name: "webhooks: names of processors", try: guessedProcessors},
	{name: "webhooks: unclean paths and other methods", try: uncleanPaths},
	{name: "webhooks: signed events that lie", try: lyingWebhooks},
	{name: "webhooks: huge bodies and headers", try: hugeWebhooks},
	{name: "webhooks: slow connections keep out a signed event", try: slowWebhooks},
	{name: "health: what it says, and slow connections", try: healthEndpoint},
}

// post is a request to the endpoint for webhooks.
type post struct {
	path, header string
	body         []byte
}

// sign signs a body as processors do, independently of Florin's code.
func sign(secret string, body []byte, at time.Time) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

// newConnections is a client that makes a connection for each request: one that is kept alive has a place already.
var newConnections = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// send sends a request, and returns the status and the body of the response.
func (t *target) send(ctx context.Context, p post) (int, string, error) {
	if p.path == "" {
		p.path = "/webhooks/simulator"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+t.worker.webhooks+p.path, bytes.NewReader(p.body))
	if err != nil {
		return 0, "", err
	}
	if p.header != "" {
		r.Header.Set("Florin-Signature", p.header)
	}
	resp, err := newConnections.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, strings.TrimSpace(string(text)), err
}

// eventAbout returns the body of an event about a payment.
func eventAbout(id, kind string, c payment.Charge, data object) []byte {
	body, err := json.Marshal(object{"id": id, "type": kind, "data": object{
		"id": c.ProcessorPaymentID, "status": "succeeded", "amount": c.Amount, "currency": c.Currency, "captured_amount": c.Amount, "refunded_amount": 0,
		"reference": payment.ProcessorKey(c.PaymentID, payment.OperationCharge, 0),
		"metadata":  object{"florin_payment_id": c.PaymentID, "florin_merchant_id": c.MerchantID},
	}.with(data)})
	if err != nil {
		panic(err) // it consists of texts and numbers
	}
	return body
}

// signaled counts the signals in a workflow's history.
func (t *target) signaled(ctx context.Context, workflowID string) (int, error) {
	count := 0
	events := t.temporal.GetWorkflowHistory(ctx, workflowID, "", false, 1)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return 0, err
		}
		if event.GetWorkflowExecutionSignaledEventAttributes() != nil {
			count++
		}
	}
	return count, nil
}

func forgedWebhooks(ctx context.Context, t *target) (result, error) {
	c, err := t.authorized(ctx, "acme", "webhook forged")
	if err != nil {
		return result{}, err
	}
	now := time.Now()
	body := eventAbout("evt_forged", "payment.succeeded", c, nil)
	valid := sign(webhookSecret, body, now)
	other := sign(webhookSecret, []byte("{}"), now)
	for name, header := range map[string]string{
		"unsigned": "", "another secret": sign("whsec_guessed_by_somebody", body, now), "empty secret": sign("", body, now), "another body": other,
		"an hour old": sign(webhookSecret, body, now.Add(-time.Hour)), "of the future": sign(webhookSecret, body, now.Add(time.Hour)),
		"another time": strings.Replace(valid, "t=", "t=1", 1), "truncated": valid[:len(valid)-2], "v0": strings.Replace(valid, "v1=", "v0=", 1),
		"empty": "t=,v1=", "two times": fmt.Sprintf("t=%d,%s", now.Add(-time.Hour).Unix(), valid), "no hex": fmt.Sprintf("t=%d,v1=zz", now.Unix()),
		"negative": "t=-1,v1=" + strings.Repeat("0", 64), "many": fmt.Sprintf("t=%d%s", now.Unix(), strings.Repeat(",v1="+strings.Repeat("0", 64), 30)),
	} {
		status, text, err := t.send(ctx, post{header: header, body: body})
		if err != nil {
			return result{}, err
		}
		if status != http.StatusUnauthorized && status != http.StatusBadRequest {
			return succeeded("%s: %d %s", name, status, text), nil
		}
	}
	if n, err := t.signaled(ctx, chargeID("acme", "webhook forged")); err != nil || n > 0 {
		return succeeded("%d signals", n), err
	}
	// The witness: the same event with its signature is taken.
	if status, text, err := t.send(ctx, post{header: valid, body: body}); err != nil || status != http.StatusOK {
		return result{}, fmt.Errorf("a signed event gets %d %s: %w", status, text, err)
	}
	return repelled("14 signatures are rejected"), nil
}

func replayedWebhook(ctx context.Context, t *target) (result, error) {
	c, err := t.authorized(ctx, "acme", "webhook replayed")
	if err != nil {
		return result{}, err
	}
	body := eventAbout("evt_replayed", "payment.succeeded", c, nil)
	captured := post{header: sign(webhookSecret, body, time.Now()), body: body}
	for i := range 50 {
		status, text, err := t.send(ctx, captured)
		if err != nil {
			return result{}, err
		}
		if i > 0 && status == http.StatusOK && text != "known" {
			return succeeded("the repeated event: %d %s", status, text), nil
		}
	}
	captured.path = "/webhooks/patient"
	status, text, err := t.send(ctx, captured)
	if err != nil {
		return result{}, err
	}
	n, err := t.signaled(ctx, chargeID("acme", "webhook replayed"))
	if err == nil && n != 1 {
		return succeeded("%d signals; at another processor %d %s", n, status, text), nil
	}
	now, _, err := t.stored(ctx, "acme", "webhook replayed")
	if now.Status != payment.Authorized {
		return succeeded("the payment is %s", now.Status), err
	}
	return repelled("one signal for 50 events; at another processor %d %s", status, text), err
}

// guessedProcessors compares the responses for a processor that exists and for one that does not.
func guessedProcessors(ctx context.Context, t *target) (result, error) {
	now := time.Now()
	for name, p := range map[string]post{
		"unsigned": {}, "wrong": {header: sign("whsec_guessed_by_somebody", []byte("{}"), now), body: []byte("{}")}, "malformed": {header: "t=1"},
		"stale": {header: sign(webhookSecret, []byte("{}"), now.Add(-time.Hour)), body: []byte("{}")},
		"large": {header: sign("whsec_guessed_by_somebody", nil, now), body: make([]byte, 300<<10)},
	} {
		var answers []string
		for _, processor := range []string{"simulator", "nobody"} {
			p.path = "/webhooks/" + processor
			status, text, err := t.send(ctx, p)
			if err != nil && name != "large" { // the connection may be closed before the body was written
				return result{}, err
			}
			answers = append(answers, fmt.Sprint(status, text))
		}
		if answers[0] != answers[1] && name != "large" {
			return succeeded("%s: %q for one that exists, %q for another", name, answers[0], answers[1]), nil
		}
	}
	return repelled("the same responses"), nil
}

// raw writes bytes to an endpoint, and returns what it answers within two seconds.
func raw(ctx context.Context, address string, request []byte) (string, error) {
	conn, err := dial(ctx, address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	_, _ = conn.Write(request) // it may be closed already
	answer, _ := io.ReadAll(io.LimitReader(conn, 64<<10))
	return string(answer), nil
}

func uncleanPaths(ctx context.Context, t *target) (result, error) {
	body := []byte(`{"id":"evt_path","type":"x","data":{}}`)
	header := sign(webhookSecret, body, time.Now())
	tried := 0
	for _, path := range []string{
		"//webhooks/simulator", "/webhooks//simulator", "/webhooks/./simulator", "/webhooks/x/../simulator", "/webhooks/simulator/", "/webhooks/%73imulator",
		"/webhooks/simulator%2f..", "/webhooks/../metrics", "/metrics", "/healthz", "/debug/pprof/", "/webhooks/", "/webhooks", "/", "/webhooks/simulator%00",
		"/WEBHOOKS/simulator", "*", "http://evil.example/webhooks/simulator/x",
	} {
		for _, method := range []string{"POST", "GET", "PUT", "CONNECT", "TRACE"} {
			answer, err := raw(ctx, t.worker.webhooks, fmt.Appendf(nil,
				"%s %s HTTP/1.1\r\nHost: x\r\nFlorin-Signature: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", method, path, header, len(body), body))
			if err != nil {
				return result{}, err
			}
			tried++
			if strings.HasPrefix(answer, "HTTP/1.1 2") || strings.HasPrefix(answer, "HTTP/1.1 3") || strings.Contains(answer, "evil.example") {
				return succeeded("%s %s: %s", method, path, answer), nil
			}
		}
	}
	return repelled("%d requests get 4xx", tried), nil
}

// lyingWebhooks are signed: the processor's secret is known, but the processor's record decides.
func lyingWebhooks(ctx context.Context, t *target) (result, error) {
	c, err := t.authorized(ctx, "acme", "webhook lies")
	if err != nil {
		return result{}, err
	}
	other, err := t.succeeded(ctx, "globex", "webhook lies")
	if err != nil {
		return result{}, err
	}
	unmoved, err := t.unmoved(ctx, func() error {
		for i, body := range [][]byte{
			eventAbout("evt_lie_1", "payment.succeeded", c, nil),
			eventAbout("evt_lie_2", "payment.declined", c, object{"status": "declined"}),
			eventAbout("evt_lie_3", "payment.voided", c, object{"status": "voided", "amount": 1}),
			eventAbout("evt_lie_4", "payment.succeeded", c, object{"metadata": object{"florin_payment_id": other.PaymentID, "florin_merchant_id": "acme"}}),
			eventAbout("evt_lie_5", "payment.declined", other, object{"status": "declined"}),
			eventAbout("evt_lie_6\x1b[2J\n", strings.Repeat("t", 5000), c, nil),
			eventAbout("evt_lie_7", "4242424242424242", c, object{"id": "4242424242424242"}),
			[]byte(`{"id":"evt_lie_8","type":"payment.succeeded","data":null}`), []byte(`[]`), []byte(`{"id":5}`), []byte("\xff"), nil,
			[]byte(strings.Repeat(`{"data":`, 20000)), []byte(strings.Repeat(`[`, 200000)),
			[]byte(`{"id":"a","id":"b","type":"x","data":{"metadata":{"florin_merchant_id":{}}}}`),
		} {
			status, text, err := t.send(ctx, post{header: sign(webhookSecret, body, time.Now()), body: body})
			if err != nil {
				return fmt.Errorf("event %d: %w", i, err)
			}
			if status >= 500 && status != http.StatusServiceUnavailable {
				return fmt.Errorf("event %d: %d %s", i, status, text)
			}
		}
		return nil
	})
	if err != nil {
		return result{}, err
	}
	settle(ctx)
	now, _, err := t.stored(ctx, "acme", "webhook lies")
	then, _, err2 := t.stored(ctx, "globex", "webhook lies")
	if !unmoved || now.Status != payment.Authorized || then.Status != payment.Succeeded {
		return succeeded("they are %s and %s", now.Status, then.Status), err
	}
	if err == nil {
		err = err2
	}
	return repelled("the payments are as they were"), err
}

func hugeWebhooks(ctx context.Context, t *target) (result, error) {
	now := time.Now()
	for name, request := range map[string]string{
		"header":         "POST /webhooks/simulator HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"signature":      "POST /webhooks/simulator HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nFlorin-Signature: " + strings.Repeat("v1=0,", 2000) + "\r\n\r\n{}",
		"content length": "POST /webhooks/simulator HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\nFlorin-Signature: " + sign(webhookSecret, nil, now) + "\r\n\r\n",
		"smuggled": "POST /webhooks/simulator HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\nFlorin-Signature: " +
			sign(webhookSecret, nil, now) + "\r\n\r\n0\r\n\r\nPOST /webhooks/simulator HTTP/1.1\r\nHost: x\r\n\r\n",
		"http2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		answer, err := raw(ctx, t.worker.webhooks, []byte(request))
		if err != nil {
			return result{}, err
		}
		if strings.HasPrefix(answer, "HTTP/1.1 2") {
			return succeeded("%s: %s", name, answer), nil
		}
	}
	body := bytes.Repeat([]byte(" "), 64<<20)
	status, text, err := t.send(ctx, post{header: sign(webhookSecret, body, now), body: body})
	if err == nil && status == http.StatusOK {
		return succeeded("64 MiB: %d %s", status, text), nil
	}
	return t.takesEvents(ctx, "huge")
}

// takesEvents sends a signed event about a new payment.
func (t *target) takesEvents(ctx context.Context, name string) (result, error) {
	c, err := t.authorized(ctx, "acme", "webhook after "+name)
	if err != nil {
		return result{}, err
	}
	began := time.Now()
	body := eventAbout("evt_after_"+name, "payment.succeeded", c, nil)
	status, text, err := t.send(ctx, post{header: sign(webhookSecret, body, time.Now()), body: body})
	if err != nil || status != http.StatusOK {
		return succeeded("a signed event does not get through: %d %s %v", status, text, err), ctx.Err()
	}
	return repelled("a signed event got through in %s", time.Since(began).Round(time.Millisecond)), nil
}

// occupy opens silent connections, and one that writes a byte now and then.
func occupy(ctx context.Context, address string, n int) (free func(), err error) {
	var conns []net.Conn
	free = func() {
		for _, conn := range conns {
			_ = conn.Close() // the server may have closed it
		}
	}
	for i := range n {
		conn, err := dial(ctx, address)
		if err != nil {
			free()
			return nil, err
		}
		conns = append(conns, conn)
		if i%2 == 1 {
			_, _ = fmt.Fprintf(conn, "POST /webhooks/simulator HTTP/1.1\r\nHost: x\r\n") // and no more
		}
	}
	return free, nil
}

func slowWebhooks(ctx context.Context, t *target) (result, error) {
	free, err := occupy(ctx, t.worker.webhooks, 300)
	if err != nil {
		return result{}, err
	}
	defer free()
	return t.takesEvents(ctx, "slow")
}

func healthEndpoint(ctx context.Context, t *target) (result, error) {
	free, err := occupy(ctx, t.worker.health, 200)
	if err != nil {
		return result{}, err
	}
	defer free()
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/", "/../worker.yaml", "/config"} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.worker.health+path, http.NoBody)
		if err != nil {
			return result{}, err
		}
		resp, err := newConnections.Do(r)
		if err != nil {
			return succeeded("%s does not answer: %v", path, err), ctx.Err()
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close() // it was read
		if err != nil {
			return result{}, err
		}
		for _, secret := range []string{webhookSecret, apiKey, "acme", "evil"} {
			if strings.Contains(string(text), secret) {
				return succeeded("%s contains %q", path, secret), nil
			}
		}
		if strings.Contains(path, "debug") && resp.StatusCode == http.StatusOK {
			return succeeded("%s answers", path), nil
		}
	}
	return repelled("it answers, without merchants and secrets"), nil
}
