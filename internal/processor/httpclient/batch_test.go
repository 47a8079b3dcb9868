package httpclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// testItem is an item of a response to a batch.
type testItem struct {
	Key        string `json:"key"`
	Status     int    `json:"status"`
	Body       string `json:"body"`
	RetryAfter string `json:"retry_after"`
}

func keyOf(i int) string { return fmt.Sprintf("%s%d", testKey[:len(testKey)-1], i) }

// batchOf returns a batch with n charges, whose success has to be the body OK.
func batchOf(n int) processor.BatchCall {
	batch := processor.BatchCall{
		Path: "/batches",
		Encode: func(parts []processor.Call) ([]byte, error) {
			keys := make([]string, len(parts))
			for i, part := range parts {
				keys[i] = part.Key
			}
			return json.Marshal(keys)
		},
		Decode: func(body []byte) (map[string]processor.Answer, error) {
			var items []testItem
			if err := json.Unmarshal(body, &items); err != nil {
				return nil, errors.New("no items")
			}
			byKey := map[string]processor.Answer{}
			for _, item := range items {
				byKey[item.Key] = processor.Answer{Status: item.Status, Body: []byte(item.Body),
					Header: http.Header{"Retry-After": {item.RetryAfter}}}
			}
			return byKey, nil
		},
	}
	for i := range n {
		batch.Parts = append(batch.Parts, processor.Call{Key: keyOf(i), Method: http.MethodPost, Path: "/charges", Operation: "charge",
			PaymentID: fmt.Sprint("pay_", i), Body: fmt.Appendf(nil, `{"id":"a%d","secret":"s"}`, i),
			Decode: func(body []byte) error {
				if string(body) != "OK" {
					return errors.New("not OK")
				}
				return nil
			}})
	}
	return batch
}

// serveBatch responds to each batch with the items, or as respond says. It returns the URL and the bodies that it has received.
func serveBatch(t *testing.T, respond func(http.ResponseWriter), items ...testItem) (url string, received chan string) {
	t.Helper()
	received = make(chan string, 10)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- r.Method + " " + r.URL.Path + " " + string(body)
		w.Header().Set("X-Request-Id", "req_1")
		if respond != nil {
			respond(w)
			return
		}
		_ = json.NewEncoder(w).Encode(items)
	})
	return s.URL, received
}

// errorOf returns the error of an answer, which must be an *processor.Error without a key.
func errorOf(t *testing.T, a processor.BatchAnswer) processor.Error {
	t.Helper()
	var e *processor.Error
	require.ErrorAs(t, a.Err, &e)
	require.NotContains(t, e.Error(), testKey[:len(testKey)-1])
	return *e
}

func TestEachPartOfABatchIsClassifiedAsACallOfItsOwn(t *testing.T) {
	url, received := serveBatch(t, nil,
		testItem{Key: keyOf(1), Status: 402, Body: "lost_card"},
		testItem{Key: keyOf(0), Status: 200, Body: "OK"},
		testItem{Key: keyOf(2), Status: 200, Body: "half"},
		testItem{Key: keyOf(3), Status: 500},
		testItem{Key: keyOf(4), Status: 429, RetryAfter: "7"},
		testItem{Key: keyOf(5), Status: 422, Body: "mismatch"},
		testItem{Key: keyOf(6), Status: 400, Body: "used " + keyOf(6)},
		testItem{Key: keyOf(7), Status: 99},
		testItem{Key: "another", Status: 200, Body: "OK"},
	)
	c := newClient(t, url, func(o *Options) {
		o.Profile = processor.Profile{
			Refusal: func(a processor.Answer) processor.Refusal {
				r := processor.Refusal{Code: string(a.Body), Message: string(a.Body)}
				if a.Status == http.StatusPaymentRequired {
					r.Decline = &payment.Decline{Code: string(a.Body)}
				}
				return r
			},
			Mismatch: func(_ int, code string) bool { return code == "mismatch" },
		}
	})
	answers := c.DoBatch(t.Context(), batchOf(9))
	require.Len(t, answers, 9)
	require.Len(t, received, 1, "one request")
	require.Contains(t, <-received, "POST /batches [")

	require.NoError(t, answers[0].Err)
	require.Equal(t, []any{200, "req_1", 1}, []any{answers[0].Answer.Status, answers[0].Answer.RequestID, answers[0].Answer.Sends})
	require.NoError(t, answers[1].Err)
	require.Equal(t, &payment.Decline{Code: "lost_card"}, answers[1].Answer.Decline)
	for i, want := range map[int]processor.Error{
		2: {Class: payment.ClassInvalidResponse, Certainty: processor.Ambiguous, Retry: true, HTTPStatus: 200},
		3: {Class: payment.ClassUnavailable, Certainty: processor.Ambiguous, Retry: true, HTTPStatus: 500},
		4: {Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true, HTTPStatus: 429, RetryAfter: 7 * time.Second},
		5: {Class: payment.ClassIdempotencyMismatch, Certainty: processor.Ambiguous, HTTPStatus: 422},
		6: {Class: payment.ClassInvalidRequest, Certainty: processor.NotExecuted, HTTPStatus: 400},
		7: {Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Retry: true, HTTPStatus: 200}, // no HTTP status
		8: {Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Retry: true, HTTPStatus: 200}, // missing
	} {
		got := errorOf(t, answers[i])
		if i != 6 {
			require.Equal(t, "req_1", got.RequestID, i)
		} else {
			require.Equal(t, processor.Withheld, got.Message)
		}
		got.Code, got.Message, got.RequestID = "", "", ""
		require.Equal(t, want, got, i)
	}
}

func TestErrorOfAPartHasNoKeyOfAnotherPart(t *testing.T) {
	url, _ := serveBatch(t, nil,
		testItem{Key: keyOf(0), Status: 200, Body: "OK"},
		testItem{Key: keyOf(1), Status: 400, Body: "duplicate of " + keyOf(0)},
		testItem{Key: keyOf(2), Status: 200, Body: "OK"},
	)
	c := newClient(t, url, func(o *Options) {
		o.Profile = processor.Profile{Refusal: func(a processor.Answer) processor.Refusal {
			return processor.Refusal{Code: string(a.Body), Message: string(a.Body)}
		}}
	})
	answers := c.DoBatch(t.Context(), batchOf(3))
	got := errorOf(t, answers[1])
	require.Equal(t, []string{processor.Withheld, processor.Withheld}, []string{got.Code, got.Message})
	require.NoError(t, answers[0].Err)
	require.NoError(t, answers[2].Err)
}

func TestEveryPartHasTheErrorOfTheWholeBatch(t *testing.T) {
	for name, tc := range map[string]struct {
		respond func(http.ResponseWriter)
		want    processor.Error
	}{
		"reset": {respond: func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
			want: processor.Error{Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Retry: true}},
		"500": {respond: func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
			want: processor.Error{Class: payment.ClassUnavailable, Certainty: processor.Ambiguous, Retry: true, HTTPStatus: 500}},
		"429": {respond: func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) },
			want: processor.Error{Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true, HTTPStatus: 429}},
		"404": {respond: func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
			want: processor.Error{Class: payment.ClassConfig, Certainty: processor.NotExecuted, HTTPStatus: 404}},
		"not a list": {respond: func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"key":"`+keyOf(0)+`"}`) },
			want: processor.Error{Class: payment.ClassInvalidResponse, Certainty: processor.Ambiguous, Retry: true, HTTPStatus: 200}},
		"half a list": {respond: func(w http.ResponseWriter) { _, _ = io.WriteString(w, `[{"key":"`+keyOf(0)+`"`) },
			want: processor.Error{Class: payment.ClassInvalidResponse, Certainty: processor.Ambiguous, Retry: true, HTTPStatus: 200}},
		"a decline": {respond: func(w http.ResponseWriter) { w.WriteHeader(http.StatusPaymentRequired) },
			want: processor.Error{Class: payment.ClassInvalidResponse, Certainty: processor.Ambiguous, Retry: true, HTTPStatus: 402}},
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := serveBatch(t, tc.respond)
			c := newClient(t, url, func(o *Options) {
				o.Profile.Refusal = func(a processor.Answer) processor.Refusal {
					if a.Status == http.StatusPaymentRequired {
						return processor.Refusal{Decline: &payment.Decline{Code: "no"}}
					}
					return processor.Refusal{Message: "no " + keyOf(1)}
				}
			})
			answers := c.DoBatch(t.Context(), batchOf(3))
			require.Len(t, answers, 3)
			for i := range answers {
				got := errorOf(t, answers[i])
				got.Code, got.Message, got.RequestID, got.Err = "", "", "", nil
				require.Equal(t, tc.want, got)
				require.Nil(t, answers[i].Answer.Decline)
			}
			require.NotSame(t, answers[0].Err, answers[1].Err, "a caller may change its error")
		})
	}
}

func TestPartThatMustNotBeSentIsNotInTheRequest(t *testing.T) {
	url, received := serveBatch(t, nil, testItem{Key: keyOf(1), Status: 200, Body: "OK"})
	c := newClient(t, url, func(o *Options) { o.Profile = processor.Profile{KeyLifetime: time.Hour, KeyMaxLength: len(testKey)} })
	batch := batchOf(5)
	batch.Parts[0].KeyFirstUsed = time.Now().Add(-2 * time.Hour)
	batch.Parts[2].Key = keyOf(1)
	batch.Parts[3].Key = ""
	batch.Parts[4].Key += "x"
	answers := c.DoBatch(t.Context(), batch)
	require.Equal(t, `POST /batches ["`+keyOf(1)+`"]`, <-received)
	require.NoError(t, answers[1].Err)
	expired := errorOf(t, answers[0])
	require.Equal(t, []any{processor.Ambiguous, processor.CodeKeyExpired}, []any{expired.Certainty, expired.Code})
	for _, i := range []int{2, 3, 4} {
		require.Equal(t, processor.NotExecuted, errorOf(t, answers[i]).Certainty)
	}
	batch.Parts = batch.Parts[:1]
	require.Error(t, c.DoBatch(t.Context(), batch)[0].Err)
	require.Empty(t, received, "a batch without parts is not sent")

	batch = batchOf(1)
	batch.Encode = func([]processor.Call) ([]byte, error) { return nil, errors.New("no") }
	require.Equal(t, processor.NotExecuted, errorOf(t, c.DoBatch(t.Context(), batch)[0]).Certainty)
	require.Empty(t, received)
}

func TestBatchIsOneCallForTheRateLimitAndHasOneSlot(t *testing.T) {
	url, received := serveBatch(t, nil, testItem{Key: keyOf(0), Status: 200, Body: "OK"}, testItem{Key: keyOf(1), Status: 200, Body: "OK"})
	limiter := ratelimit.New(0.001, 2, 0)
	c := newClient(t, url, func(o *Options) { o.Limiter = limiter })
	for range 2 {
		for _, a := range c.DoBatch(t.Context(), batchOf(2)) {
			require.NoError(t, a.Err)
		}
	}
	for _, a := range c.DoBatch(t.Context(), batchOf(2)) {
		require.Equal(t, processor.NotExecuted, errorOf(t, a).Certainty)
	}
	require.Len(t, received, 2)
}

func TestRefusedPartsSlowOtherCallsDownAndOpenTheBreaker(t *testing.T) {
	items := make([]testItem, 20)
	for i := range items {
		items[i] = testItem{Key: keyOf(i), Status: 503, RetryAfter: "60"}
	}
	url, _ := serveBatch(t, nil, items...)
	circuit, err := breaker.New(breaker.Options{Window: time.Minute, MinCalls: 20, FailureRatio: 0.5, OpenFor: time.Minute, SlowCall: time.Minute, Probes: 1})
	require.NoError(t, err)
	c := newClient(t, url, func(o *Options) { o.Breaker = circuit })
	c.DoBatch(t.Context(), batchOf(20))
	require.Greater(t, c.Stats().Held, 50*time.Second)
	require.Equal(t, "open", circuit.State())
	require.Zero(t, c.Stats().InFlight)
}

func TestEachPartOfABatchHasAnAuditRecordAndAnObservation(t *testing.T) {
	url, _ := serveBatch(t, nil, testItem{Key: keyOf(0), Status: 200, Body: "OK"}, testItem{Key: keyOf(1), Status: 500, Body: `{"id":"e9"}`})
	var out bytes.Buffer
	log := audit.New(zapcore.AddSync(&out), audit.Options{})
	var seen []Observation
	c := newClient(t, url, func(o *Options) {
		o.Name, o.Audit = "acme", log
		o.Profile.Audited = map[string]processor.Shape{"id": processor.ShapeID}
		o.Observe = func(one Observation) { seen = append(seen, one) }
	})
	ctx := retry.WithAttempts(t.Context(), map[string]int{keyOf(1): 3})
	c.DoBatch(ctx, batchOf(3))
	require.NoError(t, log.Close())
	var records []map[string]any
	for line := range strings.Lines(out.String()) {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		records = append(records, record)
	}
	require.Len(t, records, 4, "the request, and each part")
	for i, want := range [][]any{
		{"batch", nil, 1.0, 200.0, "answered", nil},
		{"charge", "pay_0", 1.0, 200.0, "answered", hashKey(keyOf(0))},
		{"charge", "pay_1", 3.0, 500.0, "ambiguous", hashKey(keyOf(1))},
		{"charge", "pay_2", 1.0, 200.0, "ambiguous", hashKey(keyOf(2))},
	} {
		r := records[i]
		hash := r["key_hash"]
		if i == 0 {
			hash = nil
		}
		require.Equal(t, want, []any{r["operation"], r["payment_id"], r["attempt"], r["status"], r["certainty"], hash})
		require.Equal(t, []any{"/batches", "req_1"}, []any{r["path"], r["request_id"]})
	}
	require.Contains(t, out.String(), `"id":"a1"`)
	require.Contains(t, out.String(), `"id":"e9"`)
	require.NotContains(t, out.String(), testKey[:len(testKey)-1])

	var observed [][]any
	for _, o := range seen {
		observed = append(observed, []any{o.Operation, o.Certainty, o.Status, o.Attempt})
	}
	require.Equal(t, [][]any{{"batch", processor.Answered, 200, 1}, {"batch_charge", processor.Answered, 200, 1},
		{"batch_charge", processor.Ambiguous, 500, 3}, {"batch_charge", processor.Ambiguous, 200, 1}}, observed)
}
