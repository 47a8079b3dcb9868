package activities

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.uber.org/zap/zapcore"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// apiKey does not have the form of a key. It can be recognized only because the client knows it.
const apiKey = "florin4everAPIkey"

// secrets are planted in responses. needle is the part that must not be written anywhere.
var secrets = []struct{ planted, needle string }{
	{planted: apiKey, needle: apiKey},
	{planted: "Bearer " + apiKey, needle: apiKey},
	{planted: "4111111111111111", needle: "4111111111111111"},
	{planted: "4111 1111-1111 1111", needle: "4111111111111111"},
	{planted: "sk_live_4eC39HqLyjWDarjtT1zdp7dc", needle: "4eC39HqLyjWDarjtT1zdp7dc"},
	{planted: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2", needle: "MfKQ9r8GKYqrTwjUPD8ILPZIo2"},
	{planted: "pi_1_secret_zdp7dc4eC39HqLyj", needle: "zdp7dc4eC39HqLyj"},
	{planted: "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", needle: "eyJzdWIiOiIxIn0"},
}

// FuzzNoSecretReachesAHistory plants secrets in every part of a processor's response. Neither what Temporal stores of the call,
// nor a log line, nor an audit record may contain them.
func FuzzNoSecretReachesAHistory(f *testing.F) {
	bodies := []string{
		`{"error":{"code":"%s","message":"no"}}`,
		`{"error":{"code":"c","message":"refused: %s, sorry"}}`,
		`{"error":{"code":"c","message":"no","decline_code":"%s"}}`,
		`{"error":{"code":"c","message":"%s","decline_code":"d","decline_kind":"%[1]s"}}`,
		`{"id":"ch_1","status":"%s"}`,
		`{"id":"ch_1","status":"declined","amount":1250,"currency":"USD","reference":"r","decline_code":"%s"}`,
		`<html>%s</html>`,
		`%s`,
	}
	for secret := range secrets {
		for body := range bodies {
			f.Add(secret, bodies[body], []int{200, 400, 402, 500}[(secret+body)%4], "", "")
		}
		f.Add(secret, `{}`, 400, "X-Request-Id", "")
		f.Add(secret, `{}`, 307, "Location", "https://h/?k=")
		f.Add(secret, `{}`, 429, "Retry-After", "")
		f.Add(secret, `{}`, 401, "WWW-Authenticate", "Basic realm=")
	}
	f.Fuzz(func(t *testing.T, secret int, body string, status int, header, before string) {
		if secret < 0 || secret >= len(secrets) || status < 200 || status > 599 || strings.Count(body, "%") > 2 {
			return
		}
		planted := secrets[secret]
		for _, written := range writtenFor(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()[http.CanonicalHeaderKey(header)] = []string{before + planted.planted}
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, body, planted.planted)
		}) {
			ungrouped := strings.NewReplacer(" ", "", "-", "").Replace(written)
			require.NotContains(t, ungrouped, planted.needle)
			require.NotContains(t, ungrouped, apiKey)
		}
	})
}

func TestAPIKeyInAMalformedHTTPResponseIsNotWritten(t *testing.T) {
	for _, written := range writtenFor(t, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nno colon %s\r\n\r\n", apiKey)
			c.Close()
		}
	}) {
		require.NotContains(t, written, apiKey)
	}
}

// writtenFor returns everything that is written about one charge to which the processor responds with the handler: what Temporal
// stores, the log and the audit log.
func writtenFor(t *testing.T, respond http.HandlerFunc) (written []string) {
	t.Helper()
	s := httptest.NewServer(respond)
	defer s.Close()
	keys, err := credentials.New(t.Context(), func(context.Context) (credentials.Key, error) {
		return credentials.Key{Value: apiKey}, nil
	})
	require.NoError(t, err)
	var audited, logged bytes.Buffer
	client, err := httpclient.New(httpclient.Options{
		Name: "acme", Profile: rest.Profile(), BaseURL: s.URL, Credentials: keys, Limiter: ratelimit.New(0, 1, 0),
		AttemptTimeout: 10 * time.Second, MaxInFlight: 1, Audit: audit.New(zapcore.AddSync(&audited), audit.Options{}),
	})
	require.NoError(t, err)
	defer client.Close()

	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.NewTextHandler(&logged, nil))))
	env := suite.NewTestActivityEnvironment()
	NewProcessor(rest.New(client), rest.Profile(), retry.DefaultBackoff, 5*time.Minute, Guard{}).Register(env)
	call := order1()
	call.Amount, call.Currency, call.PaymentMethod = 1250, "USD", "tok_visa"
	result, err := inWorkflow(env, payment.WorkflowCharge, "charge/acme/order-1").ExecuteActivity(payment.ActivityProcessorCharge, call)
	if err != nil {
		failure := temporal.GetDefaultFailureConverter().ErrorToFailure(err)
		stored, err := protojson.Marshal(failure)
		require.NoError(t, err)
		var details CallFailure
		var application *temporal.ApplicationError
		require.ErrorAs(t, temporal.GetDefaultFailureConverter().FailureToError(failure), &application)
		require.NoError(t, application.Details(&details))
		text, err := json.Marshal(details)
		require.NoError(t, err)
		written = append(written, string(stored), string(text))
	} else {
		var value processor.Result
		require.NoError(t, result.Get(&value))
		text, err := json.Marshal(value)
		require.NoError(t, err)
		written = append(written, string(text))
	}
	require.NotEmpty(t, audited.String())
	// A secret may be written with the escape sequences of JSON or Go.
	for _, text := range []string{audited.String(), logged.String()} {
		if unquoted, err := strconv.Unquote(`"` + text + `"`); err == nil {
			written = append(written, unquoted)
		}
		written = append(written, text)
	}
	return written
}
