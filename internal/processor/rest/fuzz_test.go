package rest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
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
// executed.
func FuzzResponse(f *testing.F) {
	for _, status := range []int{200, 201, 202, 400, 402, 404, 409, 422, 429, 500} {
		for _, body := range []string{
			``, `{}`, `null`, `[]`, `<html>`, `{"data":[]}`, `{"data":[null]}`, paid("succeeded", ""),
			paid("declined", `,"decline_code":"lost"`),
			`{"data":[` + paid("success", "") + `],"next_cursor":"c"}`, paid("pending", `,"captured_amount":-1`),
			`{"error":{"code":"payment_not_found"}}`, `{"error":{"code":"idempotency_mismatch"}}`,
			`{"error":{"decline_code":"x","decline_kind":"hard"}}`,
			"{\"id\":\"\xff\",\"status\":\"succeeded\"}", `{"id":"ch_1","id":"ch_2","amount":1e3}`,
		} {
			f.Add(status, body)
			f.Add(status, strings.ReplaceAll(body, `"ch_1"`, `"\u0000ch_1"`))
		}
	}
	var status int
	var body string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	f.Cleanup(s.Close)
	credentials, err := credentials.New(f.Context(),
		func(context.Context) (credentials.Key, error) { return credentials.Key{Value: "sk_secret"}, nil })
	require.NoError(f, err)
	client, err := httpclient.New(httpclient.Options{Profile: Profile(), BaseURL: s.URL, Credentials: credentials,
		Limiter: ratelimit.New(0, 1, 0), AttemptTimeout: 10 * time.Second, MaxInFlight: 1})
	require.NoError(f, err)
	f.Cleanup(client.Close)
	p := New(client)

	f.Fuzz(func(t *testing.T, fuzzedStatus int, fuzzedBody string) {
		if fuzzedStatus < 200 || fuzzedStatus > 599 || fuzzedStatus == 204 || fuzzedStatus == 304 {
			return // statuses without a body are tested elsewhere
		}
		status, body = fuzzedStatus, fuzzedBody
		success := status <= 299

		check := func(r processor.Result, err error, statuses map[string]payment.Status) {
			t.Helper()
			var e *processor.Error
			if err != nil {
				require.ErrorAs(t, err, &e)
				require.True(t, utf8.ValidString(err.Error()))
				require.Contains(t, payment.FailureClasses, e.Class)
				require.False(t, success && e.Certainty != processor.Ambiguous, "%s", err)
				require.Equal(t, processor.Result{}, r)
				return
			}
			for _, text := range []string{r.ID, r.Currency, r.Reference, r.MerchantID} {
				require.Regexp(t, `\A[ -~]{0,255}\z`, text)
			}
			if r.Decline != nil {
				require.Equal(t, payment.Declined, r.Status)
				require.True(t, utf8.ValidString(r.Decline.Message))
				require.Regexp(t, `\A[ -~]{1,200}\z`, r.Decline.Code)
			}
			if !success {
				require.Equal(t, payment.Declined, r.Status)
				return
			}
			require.True(t, r.ID != "" && r.Amount > 0 && r.CapturedAmount >= 0 && r.RefundedAmount >= 0, "%+v", r)
			require.Contains(t, slices.Collect(maps.Values(statuses)), r.Status)
		}
		r, err := p.Charge(t.Context(), chargeCall)
		check(r, err, chargeStatuses)
		r, err = p.Refund(t.Context(), refundCall)
		check(r, err, refundStatuses)
		r, found, err := p.Lookup(t.Context(), processor.LookupCall{Operation: payment.OperationCharge, Reference: key})
		switch {
		case found:
			require.True(t, success)
			require.Equal(t, key, r.Reference)
			check(r, err, chargeStatuses)
		case err == nil:
			require.True(t, status == http.StatusNotFound || success, "not found with status %d", status)
		}
		for _, operation := range []payment.Operation{payment.OperationCharge, payment.OperationRefund} {
			page, err := p.List(t.Context(), processor.ListCall{Operation: operation})
			var e *processor.Error
			require.Equal(t, err != nil, errors.As(err, &e))
			require.False(t, err != nil && page.Records != nil)
			for _, r := range page.Records {
				for _, text := range []string{r.ID, r.Currency, r.Reference, r.MerchantID, r.ProcessorPaymentID, r.OwnID, r.Unreadable} {
					require.Regexp(t, `\A[ -~]{0,255}\z`, text)
				}
				_, err := json.Marshal(r)
				require.NoError(t, err)
				require.Equal(t, r.Unreadable == "", r.ID != "" && r.Status != "" && r.Amount > 0, "%+v", r)
			}
		}
	})
}
