package httpclient

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/processor"
)

// lines returns the audit records of the calls in do, parsed and as text.
func lines(t *testing.T, baseURL string, do func(c *Client)) (records []map[string]any, text string) {
	t.Helper()
	var out bytes.Buffer
	log := audit.New(zapcore.AddSync(&out), audit.Options{})
	do(newClient(t, baseURL, func(o *Options) { o.Name, o.Audit = "acme", log }))
	require.NoError(t, log.Close())
	for line := range strings.Lines(out.String()) {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		records = append(records, record)
	}
	return records, out.String()
}

func TestEveryRequestOnTheWireHasAnAuditRecord(t *testing.T) {
	status := http.StatusUnauthorized
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "req_1")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"id":"ch_1","status":"succeeded","reference":"` + r.Header.Get("Idempotency-Key") + `"}`))
		status = http.StatusOK
	})
	call := charge()
	call.Operation, call.PaymentID = "charge", "pay_1"
	records, text := lines(t, s.URL, func(c *Client) {
		_, err := c.Do(retry.WithAttempt(t.Context(), 3), call)
		require.NoError(t, err)
	})
	require.Len(t, records, 2, "the rejected request and its replay")
	for i, want := range [][]any{{401.0, "not_executed"}, {200.0, "answered"}} {
		want = append(want, "acme", "charge", "pay_1", 3.0, "POST", "/charges", "req_1", hashKey(testKey))
		require.Equal(t, want, []any{records[i]["status"], records[i]["certainty"], records[i]["processor"],
			records[i]["operation"], records[i]["payment_id"], records[i]["attempt"], records[i]["method"],
			records[i]["path"], records[i]["request_id"], records[i]["key_hash"]})
	}
	require.NotContains(t, text, testKey)
	require.NotContains(t, text, "sk_secret")
}

func TestRequestWithoutAResponseHasAnAuditRecord(t *testing.T) {
	records, _ := lines(t, "http://127.0.0.1:1", func(c *Client) {
		_, err := c.Do(t.Context(), charge())
		require.Error(t, err)
	})
	require.Len(t, records, 1)
	require.Equal(t, []any{"not_executed", 0.0}, []any{records[0]["certainty"], records[0]["sends"]})
	require.NotEmpty(t, records[0]["error"])
}

func TestLookupIsRecordedUnderTheHashOfItsReference(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"data":[{"id":"` + testKey + `"}]}`))
	})
	records, text := lines(t, s.URL, func(c *Client) {
		_, err := c.Do(t.Context(), processor.Call{Method: http.MethodGet, Path: "/payments",
			Query: url.Values{"reference": {testKey}}, Operation: "lookup", Reference: testKey})
		require.NoError(t, err)
	})
	require.Equal(t, hashKey(testKey), records[0]["key_hash"])
	require.NotContains(t, text, testKey)
}

func TestLookupIsRecordedWithThePaymentOfItsContext(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"data":[]}`)) })
	records, _ := lines(t, s.URL, func(c *Client) {
		_, err := c.Do(audit.WithPaymentID(t.Context(), "pay_1"),
			processor.Call{Method: http.MethodGet, Path: "/payments", Operation: "lookup", Reference: testKey})
		require.NoError(t, err)
	})
	require.Len(t, records, 1)
	require.Equal(t, "pay_1", records[0]["payment_id"])
}

// Processors may quote the key that they refuse, and their text is withheld then. The operator needs to know which key to replace.
func TestRefusedKeyIsNamedByItsConfiguration(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	})
	c := newClient(t, s.URL, func(o *Options) { o.KeyName = "processors.acme.api_key" })
	_, err := c.Do(t.Context(), charge())
	require.EqualError(t, err, "authentication: HTTP 401: processors.acme.api_key was refused: Unauthorized")
}
