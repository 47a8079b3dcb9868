package stripe

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Every response is a plausible result or an error with a certainty. A 2xx that cannot be read never proves that nothing was
// executed, and a success has an id.
func FuzzResponse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(f, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(f, err)
		body := string(content)
		status := 200
		if strings.HasPrefix(filepath.Base(file), "error_") {
			status = 402
		}
		f.Add(status, body)
		f.Add(status, strings.ReplaceAll(body, `"id": "`, `"id": "\u0000`))
		f.Add(status, strings.ReplaceAll(body, `"id": "`, `"id": "", "_": "`))
		f.Add(status, strings.ReplaceAll(body, `"has_more": false`, `"has_more": true`))
		f.Add(status, strings.ReplaceAll(body, `"currency": "usd"`, `"currency": "jpy\n"`))
		f.Add(status, strings.ReplaceAll(body, `"amount": `, `"amount": -`))
		f.Add(status, strings.ReplaceAll(body, `"amount_received": `, `"amount_received": 9223372036854775807, "_": `))
	}
	for _, status := range []int{200, 201, 400, 401, 402, 404, 409, 429, 500} {
		for _, body := range []string{
			``, `{}`, `null`, `[]`, `<html>`, `{"data":[]}`, `{"data":[null]}`, `{"data":[{}],"has_more":true}`, `{"error":null}`,
			`{"data":[{"id":"pi_1\n"}],"has_more":true}`, `{"error":{"type":"card_error","decline_code":"\u0000","message":"\ud800"}}`,
			`{"error":{"type":"card_error","payment_intent":{"id":"pi_1","object":"payment_intent","status":"succeeded"}}}`,
			"{\"id\":\"\xff\",\"object\":\"payment_intent\"}", `{"id":"pi_1","id":"pi_2","amount":1e3}`,
		} {
			f.Add(status, body)
		}
	}
	var status, requests int
	var body string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	f.Cleanup(s.Close)
	keys, err := credentials.New(f.Context(), func(context.Context) (credentials.Key, error) { return credentials.Key{Value: apiKey}, nil })
	require.NoError(f, err)
	client, err := httpclient.New(httpclient.Options{Profile: Profile(), BaseURL: s.URL, Credentials: keys,
		// A burst that is never reached: a rate that a 429 has cut refuses no call.
		Limiter: ratelimit.New(0, 1_000_000, 0), AttemptTimeout: 10 * time.Second, MaxInFlight: 1})
	require.NoError(f, err)
	f.Cleanup(client.Close)
	p := New(client)

	f.Fuzz(func(t *testing.T, fuzzedStatus int, fuzzedBody string) {
		if fuzzedStatus < 200 || fuzzedStatus > 599 || fuzzedStatus == 204 || fuzzedStatus == 304 {
			return // statuses without a body are tested elsewhere
		}
		status, body = fuzzedStatus, fuzzedBody
		success := status <= 299

		checkError := func(err error) {
			t.Helper()
			var e *processor.Error
			require.ErrorAs(t, err, &e)
			require.True(t, utf8.ValidString(err.Error()))
			require.NotContains(t, err.Error(), apiKey)
			require.Contains(t, payment.FailureClasses, e.Class)
			require.False(t, success && e.Certainty != processor.Ambiguous, "%s", err)
		}
		checkTexts := func(r processor.Result) {
			t.Helper()
			for _, text := range []string{r.ID, r.Currency, r.Reference, r.MerchantID} {
				require.Regexp(t, `\A[ -~]{0,255}\z`, text)
			}
			if r.Decline != nil {
				require.Equal(t, payment.Declined, r.Status)
				require.True(t, utf8.ValidString(r.Decline.Message))
				require.Regexp(t, `\A[ -~]{0,200}\z`, r.Decline.Code)
			}
		}
		check := func(r processor.Result, err error, statuses []payment.Status) {
			t.Helper()
			if err != nil {
				checkError(err)
				require.Equal(t, processor.Result{}, r)
				return
			}
			checkTexts(r)
			if !success {
				require.Equal(t, payment.Declined, r.Status)
				return
			}
			require.True(t, isID(r.ID) && r.Amount > 0 && r.CapturedAmount >= 0 && r.RefundedAmount >= 0, "%+v", r)
			require.Contains(t, statuses, r.Status)
		}
		payments := append(slices.Collect(maps.Values(paymentStatuses)), payment.Declined)
		refunds := slices.Collect(maps.Values(refundStatuses))
		for name, operate := range operations {
			r, err := operate(t.Context(), p)
			if name == "refund" {
				check(r, err, refunds)
			} else {
				check(r, err, payments)
			}
		}
		requests = 0
		for _, call := range []processor.LookupCall{
			chargeLookup, refundLookup,
			{Operation: payment.OperationCharge, Reference: key, ProcessorPaymentID: intentID},
			{Operation: payment.OperationCharge, Reference: key, NotBefore: time.Now().Add(-24 * time.Hour)},
		} {
			r, found, err := p.Lookup(t.Context(), call)
			switch {
			case err != nil:
				checkError(err)
				require.False(t, found)
			case found:
				require.True(t, success)
				require.Equal(t, key, r.Reference)
				check(r, err, append(payments, refunds...))
			default:
				require.True(t, success || call.ProcessorPaymentID == "", "not found with status %d", status)
			}
		}
		require.LessOrEqual(t, requests, maxPages+maxScanPages+10, "a list without an end is not read forever")
		for _, operation := range []payment.Operation{payment.OperationCharge, payment.OperationRefund} {
			page, err := p.List(t.Context(), processor.ListCall{Operation: operation})
			if err != nil {
				checkError(err)
				require.Nil(t, page.Records)
				continue
			}
			for _, r := range page.Records {
				checkTexts(r.Result)
				require.Equal(t, r.Unreadable == "", r.Status != "" && r.Amount > 0 && isID(r.ID), "%+v", r)
				require.True(t, r.ID == "" || isID(r.ID))
				require.Regexp(t, `\A[ -~]{0,200}\z`, r.Unreadable)
				_, err := json.Marshal(r)
				require.NoError(t, err)
			}
			require.True(t, page.Next == "" || isID(page.Next), "%q", page.Next)
			require.False(t, page.Next == "" && hasMore(body), "the rest of the list is lost")
		}
	})
}

// hasMore reports whether a body is a page of a list with more pages.
func hasMore(body string) bool {
	var list struct {
		HasMore bool `json:"has_more"`
	}
	return processor.DecodeJSON([]byte(body), &list) == nil && list.HasMore
}

// An event is an error, or has ids that are safe in a log and in a workflow's history.
func FuzzReadEvent(f *testing.F) {
	files, err := filepath.Glob("testdata/event_*.json")
	require.NoError(f, err)
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(body)
		f.Add([]byte(strings.ReplaceAll(string(body), `"id": "`, `"id": "\u0000`)))
	}
	for _, body := range []string{``, `null`, `{"id":"evt_1","type":"t"}`, `{"id":"evt_1","type":"t","data":null}`, disputeWithoutPayment} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		event, err := ReadEvent(body)
		if err != nil {
			require.ErrorIs(t, err, processor.ErrNoEvent)
			return
		}
		require.Regexp(t, `\A[ -~]{1,255}\z`, event.ID)
		require.Regexp(t, `\A[ -~]{1,255}\z`, event.Type)
		for _, id := range []string{event.MerchantID, event.PaymentID, event.RefundID, event.ProcessorPaymentID, event.DisputeID} {
			require.Regexp(t, `\A[ -~]{0,255}\z`, id)
		}
		require.False(t, event.PaymentID != "" && event.MerchantID == "")
		if event.Record != nil {
			require.True(t, isID(event.Record.ID))
			require.Positive(t, event.Record.Amount)
		}
	})
}

const disputeWithoutPayment = `{"id":"evt_1","type":"charge.dispute.created","data":{"object":{"object":"dispute","id":"dp_1\n",
	"payment_intent":null}}}`
