package rest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var chargeLookup = processor.LookupCall{Operation: payment.OperationCharge, Reference: key}

func TestLookupFindsTheRecord(t *testing.T) {
	body := `{"data":[` + paid("succeeded",
		`,"captured_amount":1250,"refunded_amount":50,"metadata":{"florin_merchant_id":"acme","order":"1"}`) +
		`],"next_cursor":""}`
	got, found, err := start(t, 200, body).Lookup(t.Context(), chargeLookup)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, processor.Result{ID: "ch_1", Status: payment.Succeeded, Amount: 1250, Currency: "USD",
		CapturedAmount: 1250,
		RefundedAmount: 50, Reference: key, RequestID: "req_1", MerchantID: "acme"}, got)
}

func TestLookupIgnoresRecordsWithAnotherReference(t *testing.T) {
	matching := paid("succeeded", "")
	got, found, err := start(t, 200, `{"data":[`+strings.Replace(matching, key, "other", 1)+`,`+matching+
		`]}`).Lookup(t.Context(), chargeLookup)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, key, got.Reference)
}

func TestNotFoundIsNotAnError(t *testing.T) {
	for status, body := range map[int]string{200: `{"data":[]}`, 404: `{"error":{"code":"payment_not_found"}}`} {
		got, found, err := start(t, status, body).Lookup(t.Context(), chargeLookup)
		require.NoError(t, err)
		require.False(t, found)
		require.Zero(t, got)
	}
}

// Taking one of these for "not found" could lead to a double charge.
func TestUnreadableLookupResponseIsAnError(t *testing.T) {
	whole := paid("succeeded", "")
	for name, body := range map[string]string{
		"empty": ``, "null": `null`, "no data": `{}`, "null data": `{"data":null}`, "data is an object": `{"data":{}}`,
		"a list": `[]`,
		"HTML":   `<html>`, "half the body": `{"data":[`, "a payment": whole, "an error": `{"error":{"code":"x"}}`,
		"empty record":          `{"data":[{}]}`,
		"null record":           `{"data":[null]}`,
		"unknown status":        `{"data":[` + paid("settled", "") + `]}`,
		"without reference":     `{"data":[` + strings.Replace(whole, key, "", 1) + `]}`,
		"two records":           `{"data":[` + whole + `,` + whole + `]}`,
		"data twice":            `{"data":[],"data":[]}`,
		"data in another case":  `{"DATA":[]}`,
		"a name twice":          `{"data":[` + paid("succeeded", `,"status":"voided"`) + `]}`,
		"a next page":           `{"data":[` + whole + `],"next_cursor":"c"}`,
		"only a next page":      `{"data":[],"next_cursor":"c"}`,
		"another reference":     `{"data":[` + strings.Replace(whole, key, "other", 1) + `]}`,
		"beyond the size limit": `{"data":[` + strings.Repeat(" ", 1<<20) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, found, err := start(t, 200, body).Lookup(t.Context(), chargeLookup)
			require.False(t, found)
			requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
		})
	}
	for status, class := range map[int]payment.FailureClass{
		204: payment.ClassInvalidResponse, 206: payment.ClassInvalidResponse, 302: payment.ClassConfig,
		400: payment.ClassInvalidRequest,
		401: payment.ClassAuthentication, 403: payment.ClassPermission, 404: payment.ClassConfig,
		410: payment.ClassInvalidRequest, 429: payment.ClassRateLimited,
		500: payment.ClassUnavailable, 503: payment.ClassUnavailable,
	} {
		_, found, err := start(t, status, ``).Lookup(t.Context(), chargeLookup)
		require.False(t, found)
		var e *processor.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, class, e.Class, status)
	}
}

func TestDeclineOfALookupOrAListIsAnError(t *testing.T) {
	for _, status := range []int{402, 422} {
		f := start(t, status, `{"error":{"code":"card_declined","decline_code":"lost_card"}}`)
		_, found, err := f.Lookup(t.Context(), chargeLookup)
		require.False(t, found)
		requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
		_, err = f.List(t.Context(), processor.ListCall{})
		requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
	}
}
