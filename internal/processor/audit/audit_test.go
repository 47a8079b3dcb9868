package audit

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/sensitive"
)

const (
	key            = "0d6aa59e-7d5f-5d9c-8a7c-4b8d1a2f3c4d"
	chargeRequest  = `{"card_token":"tok_visa","amount":1250,"currency":"USD","capture":true,"reference":"` + key + `","metadata":{"order":"o-17","florin_merchant_id":"acme","florin_payment_id":"pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc"}}`
	chargeResponse = `{"id":"ch_9f4d2a1041e84a6b9b1e","status":"succeeded","amount":1250,"currency":"USD","captured_amount":1250,"refunded_amount":0,"reference":"` + key + `","decline_code":null,"created_at":"2026-01-15T12:00:00.123456Z","payment_method":{"brand":"visa","last4":"4242","exp_month":12,"exp_year":2027},"metadata":{"order":"o-17","florin_merchant_id":"acme","florin_payment_id":"pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc"}}`
)

// charge returns a typical record.
func charge() Record {
	return Record{
		Time:      time.Date(2026, 1, 15, 13, 0, 0, 123456789, time.FixedZone("CET", 3600)),
		Processor: "simulator",
		Operation: "charge",
		PaymentID: "pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc",
		Attempt:   1,
		Method:    "POST",
		Path:      "/v1/charges",
		Key:       key,
		KeyHash:   "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
		Status:    200,
		Duration:  12345678 * time.Nanosecond,
		Sends:     1,
		Certainty: "answered",
		RequestID: "req_1",
		Request:   []byte(chargeRequest),
		Answer:    []byte(chargeResponse),
		Fields:    restFields,
	}
}

// restFields are the fields of the adapter rest.
var restFields = func() *Fields {
	fields, err := NewFields(rest.Profile().Audited)
	if err != nil {
		panic(err)
	}
	return fields
}()

// written returns the line that a log writes for a record.
func written(tb testing.TB, r Record) string {
	tb.Helper()
	var out bytes.Buffer
	l := New(zapcore.AddSync(&out), Options{})
	l.Write(r)
	require.Zero(tb, l.Failures())
	return out.String()
}

func TestLineHasAllFieldsAndOnlyAllowedValues(t *testing.T) {
	for name, tc := range map[string]struct {
		record Record
		want   string
	}{
		"charge": {record: charge(), want: `{"level":"info","time":"2026-01-15T12:00:00.123456789Z","msg":"processor call",` +
			`"processor":"simulator",` +
			`"operation":"charge","payment_id":"pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc","attempt":1,"method":"POST","path":"/v1/charges",` +
			`"key_hash":"5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef","status":200,"duration_ms":12.345,"sends":1,` +
			`"certainty":"answered","request_id":"req_1",` +
			`"request":{"card_token":"***","amount":1250,"currency":"USD","capture":true,"reference":"***","metadata":{"***":"***",` +
			`"florin_merchant_id":"acme","florin_payment_id":"pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc"}},` +
			`"answer":{"id":"ch_9f4d2a1041e84a6b9b1e","status":"succeeded","amount":1250,"currency":"USD","captured_amount":1250,` +
			`"refunded_amount":0,"reference":"***","decline_code":null,"created_at":"2026-01-15T12:00:00.123456Z",` +
			`"payment_method":"***","metadata":{"***":"***","florin_merchant_id":"acme",` +
			`"florin_payment_id":"pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc"}}}`},
		"no response": {
			record: Record{
				Time: time.Unix(0, 0), Processor: "simulator", Operation: "lookup", Attempt: 3, Method: "GET",
				Path: "/v1/payments?reference=" + key, Duration: 2 * time.Second, Sends: 2, Certainty: "ambiguous",
				Error: "read: connection reset by peer",
			},
			want: `{"level":"info","time":"1970-01-01T00:00:00Z","msg":"processor call","processor":"simulator",` +
				`"operation":"lookup","attempt":3,"method":"GET","path":"/v1/payments","status":0,"duration_ms":2000,"sends":2,"certainty":"ambiguous",` +
				`"error":"read: connection reset by peer"}`,
		},
		"form request, and a form as a response": {
			record: Record{
				Time: time.Unix(0, 0), RequestType: "application/x-www-form-urlencoded",
				Request: []byte("amount=1250&id=a%22b"), Answer: []byte("id=pi_1"), Fields: restFields,
			},
			want: `{"level":"info","time":"1970-01-01T00:00:00Z","msg":"processor call","attempt":0,"status":0,"duration_ms":0,"sends":0,` +
				`"request":{"amount":"1250","id":"***"},"answer":{"bytes":7,"not":"json"}}`,
		},
		"HTML response": {
			record: Record{Time: time.Unix(0, 0), Status: 502, Answer: []byte("<h1>Bad gateway</h1>")},
			want: `{"level":"info","time":"1970-01-01T00:00:00Z","msg":"processor call","attempt":0,"status":502,"duration_ms":0,"sends":0,` +
				`"answer":{"bytes":20,"not":"json"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.want+"\n", written(t, tc.record)) })
	}
}

func TestTextsOfRecordAreCleaned(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"plain":                   {text: "dial tcp: connection refused", want: "dial tcp: connection refused"},
		"percent":                 {text: "100% of 5", want: "100% of 5"},
		"card number":             {text: "card 4111 1111 1111 1111 refused", want: "***"},
		"API key":                 {text: "key sk_live_4eC39HqLyjWDarjtT1zdp7dc", want: "***"},
		"bearer token":            {text: "Authorization: Bearer abc", want: "***"},
		"idempotency key":         {text: "key " + key + " in use", want: "***"},
		"escaped idempotency":     {text: "key " + strings.ReplaceAll(key, "-", "%2D") + " in use", want: "***"},
		"control characters":      {text: "a\x00b\nc\x1b[31md\x7f", want: "a b c [31md "},
		"invisible characters":    {text: "a\u202eb\u200bc\u0085d", want: "a b c d"},
		"invalid UTF-8":           {text: "a\xffb", want: "a\uFFFDb"},
		"card cut by the limit":   {text: strings.Repeat("x ", 2000) + "4111111111111111", want: "***"},
		"longer than is searched": {text: strings.Repeat("x", sensitive.MaxSearch+1), want: "***"},
		"two kinds of escapes":    {text: `%Beare\u0072 7Fq2mVx9Lr4TzKpW`, want: "***"},
		"card with controls":      {text: "4111\x001111\x001111\x001111", want: "***"},
		"secret with invisible":   {text: "key sk\u200b_live_4eC39HqLyjWDarjtT1zdp7dc", want: "***"},
		"key with invisible":      {text: key[:8] + "\u200b" + key[8:] + "\u00ad", want: "***"},
		"client secret":           {text: "/v1/pi_3MtwBwLkdIwHu7ix_secret_YrKJUKribcBjcG8HVhfZluoGH", want: "***"},
		"times on two lines":      {text: "1767225600123\n1767225600124", want: "1767225600123 1767225600124"},
		"card in percent escape":  {text: "%34111111111111111", want: "***"},
	} {
		t.Run(name, func(t *testing.T) {
			for field, r := range map[string]Record{
				"error": {Error: tc.text}, "payment_id": {PaymentID: tc.text},
				"processor": {Processor: tc.text}, "operation": {Operation: tc.text}, "method": {Method: tc.text},
				"key_hash": {KeyHash: tc.text}, "certainty": {Certainty: tc.text},
			} {
				r.Key = key
				var got map[string]any
				require.NoError(t, json.Unmarshal([]byte(written(t, r)), &got))
				require.Equal(t, tc.want, got[field], field)
			}
		})
	}
}

func TestLongTextsAreCutBetweenCharacters(t *testing.T) {
	for extra := range 4 {
		long := strings.Repeat("x", extra) + strings.Repeat("🙂", 1000)
		var got struct{ Error, Certainty string }
		require.NoError(t, json.Unmarshal([]byte(written(t, Record{Error: long, Certainty: long})), &got))
		for limit, text := range map[int]string{maxError: got.Error, maxName: got.Certainty} {
			require.True(t, strings.HasPrefix(long, text))
			require.LessOrEqual(t, len(text), limit)
			require.Greater(t, len(text), limit-4)
		}
	}
}

func TestOnlyWordsAndIDsOfPathAreWritten(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/payment_intents/pi_3MtwBwLk/capture":                  "/v1/payment_intents/pi_3MtwBwLk/capture",
		"/payments/8535296650153317/void":                          "/payments/8535296650153317/void",
		"/v1/refunds?reference=x&email=jane@example.com#y":         "/v1/refunds",
		"/v1/refunds#y?z":                                          "/v1/refunds",
		"/customers/jane@example.com/cards/4242%204242":            "/customers/***/cards/***",
		"/customers/jane%40example.com":                            "/customers/***",
		"/accounts/DE89370400440532013000/x":                       "/accounts/***/x",
		"/phones/+491701234567/555-123-4567":                       "/phones/***/***",
		"/people/Jane%20Doe/1990-01-31/192.0.2.17":                 "/people/***/***/***",
		"/v1/tokens/4111111111111111":                              "***",
		"/v1/tokens/4111/1111/1111/1111":                           "***",
		"/v1/pi_3MtwBwLkdIwHu7ix_secret_YrKJUKribcBjcG8HVhfZluoGH": "***",
		"/payments/" + key:                                         "***",
		"/payments/" + strings.ReplaceAll(key, "-", "%2D"):         "/payments/***",
		"/x/" + strings.Repeat("a1", 100):                          "/x/***",
		"/a\x00b/\u202e":                                           "/***/***",
	} {
		var got struct{ Path string }
		require.NoError(t, json.Unmarshal([]byte(written(t, Record{Path: path, Key: key})), &got))
		require.Equal(t, want, got.Path, path)
	}
}

func TestRequestIDIsOnlyWrittenIfItIsOne(t *testing.T) {
	for id, want := range map[string]string{
		"req_Xj2kq8": "req_Xj2kq8", "0d6aa59e-7d5f-4d9c-8a7c-4b8d1a2f3c4e": "0d6aa59e-7d5f-4d9c-8a7c-4b8d1a2f3c4e",
		"Root=1-67891233-abcdef012345678912345678": "Root=1-67891233-abcdef012345678912345678", "abc": "abc",
		"jane@example.com": "***", "Jane Doe": "***", "4111111111111111": "***", key: "***", "DE89370400440532013000": "***",
	} {
		var got struct {
			RequestID string `json:"request_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(written(t, Record{RequestID: id, Key: key})), &got))
		require.Equal(t, want, got.RequestID, id)
	}
}

func TestExtremeValuesMakeValidLine(t *testing.T) {
	for _, r := range []Record{
		{},
		{Time: time.Unix(math.MaxInt64, 0), Attempt: math.MinInt, Status: math.MaxInt, Sends: -1, Duration: math.MinInt64},
		{Time: time.Unix(math.MinInt64, 0), Duration: math.MaxInt64},
	} {
		line := written(t, r)
		require.True(t, json.Valid([]byte(line)), line)
	}
}

func TestWriteNeitherModifiesNorKeepsBodies(t *testing.T) {
	var out bytes.Buffer
	l := New(zapcore.AddSync(&out), Options{})
	r := charge()
	request, response := string(r.Request), string(r.Answer)
	l.Write(r)
	require.Equal(t, request, string(r.Request))
	require.Equal(t, response, string(r.Answer))

	clear(r.Request)
	clear(r.Answer)
	first := out.String()
	l.Write(charge())
	require.Equal(t, first+first, out.String())
}
