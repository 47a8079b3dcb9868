package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/processor"
)

// stripeCharge is the request for a charge as stripe-go encodes it.
const stripeCharge = "amount=1250&capture_method=automatic&confirm=true&currency=usd&description=Order+17&expand[0]=latest_charge" +
	"&metadata[florin_merchant_id]=acme&metadata[florin_payment_id]=pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc&metadata[order]=o-17" +
	"&payment_method=pm_card_visa&payment_method_types[0]=card"

// formFields are the fields that the tests of forms allow.
var formFields = map[string]processor.Shape{
	"capture_method": processor.ShapeCode, "confirm": processor.ShapeBool, "expand[]": processor.ShapeCode,
	"payment_method_types[]": processor.ShapeCode, "x.id": processor.ShapeID, "x.y[].id": processor.ShapeID, "list[][]": processor.ShapeID,
}

func redactedForm(tb testing.TB, in string) string {
	tb.Helper()
	return redactedAs(formEncoded, in, fieldsOf(tb, known, formFields))
}

// onlySizeOfForm returns what is written of a body that is not a form.
func onlySizeOfForm(in string) string { return fmt.Sprintf(`{"bytes":%d,"not":"form"}`, len(in)) }

func TestOnlyAllowedValuesOfFormAreWritten(t *testing.T) {
	for in, want := range map[string]string{
		stripeCharge: `{"amount":"1250","capture_method":"automatic","confirm":"true","currency":"usd","description":"***","expand[0]":"latest_charge",` +
			`"metadata[florin_merchant_id]":"acme","metadata[florin_payment_id]":"pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc","metadata[***]":"***",` +
			`"payment_method":"***","payment_method_types[0]":"card"}`,

		// The order is kept, and so are repeated names.
		"id=a1&amount=1&id=b2": `{"id":"a1","amount":"1","id":"b2"}`,
		"id=&x=":               `{"id":"","x":"***"}`,

		// Brackets and dots are paths.
		"payment_method_data[type]=card&payment_method_data[card][token]=tok_visa": `{"payment_method_data[***]":"***","payment_method_data[***][***]":"***"}`,
		"id[secret]=x&x[id]=y1&x[y][0][id]=z1":                                     `{"id[secret]":"***","x[id]":"y1","x[y][0][id]":"z1"}`,
		"list[0][12]=a1&list[][]=b2&list[0]=c3":                                    `{"list[0][12]":"a1","list[][]":"b2","list[0]":"***"}`,
		"ids[x][0]=a1&ids[12345][0]=a1&id[0]=a1":                                   `{"ids[x][***]":"***","ids[***][***]":"***","id[0]":"***"}`,
		"0=a1&0[1]=b2&17[id]=c3":                                                   `{"0":"***","0[***]":"***","17[***]":"***"}`,
		"x%5Bid%5D=a1&%69d=b2&%6D%65ssage=c":                                       `{"x[id]":"a1","id":"b2","message":"***"}`,
		"x.id=a1&x.jane=1&x..id=2&.id=3":                                           `{"x.id":"a1","x.jane":"***","x.***.***":"***","***.***":"***"}`,
		"meta.florin_payment_id=p1&meta.basket=b7":                                 `{"meta.florin_payment_id":"p1","meta.***":"***"}`,

		// Metadata, payment methods and customers.
		"metadata[id]=a1&metadata[0]=b2&metadata[x][code]=c":               `{"metadata[***]":"***","metadata[***]":"***","metadata[***][***]":"***"}`,
		"metadata=x&metadata[]=y&x[metadata][id]=a1":                       `{"metadata":"***","metadata[***]":"***","x[metadata][***]":"***"}`,
		"metadata[Order+No]=1&metadata[a%5Bid%5D]=b&metadata[a-b]=c":       `{"metadata[***]":"***","metadata[***]":"***","metadata[***]":"***"}`,
		"card[number]=4242&card[cvc]=123&card[id]=card_1":                  `{"card[***]":"***","card[***]":"***","card[***]":"***"}`,
		"mandate_data[customer_acceptance][online][ip_address]=192.0.2.17": `{"mandate_data[***][***][***]":"***"}`,

		// Names that may be content, or are malformed.
		"=a&Id=b&%C3%A4=c&a+b=d":                       `{"***":"***","***":"***","***":"***","***":"***"}`,
		"4111111111111111=1&x[4111111111111111]=1":     `{"***":"***","***":"***"}`,
		"x[4111][1111][1111][1111]=1":                  `{"***":"***"}`,
		"x.4111.1111.1111.1111=1":                      `{"***":"***"}`,
		"x[%34111111111111111]=1&x[%2534111]=1":        `{"***":"***","x[***]":"***"}`,
		"x[sk_live_4eC39]=1&x[whsec_a]=1&sk_live[a]=1": `{"***":"***","***":"***","***":"***"}`,
		"x[" + key + "]=1&" + key + "=1":               `{"***":"***","***":"***"}`,
		"x[" + strings.Repeat("a", 40) + "]=1":         `{"x[` + strings.Repeat("a", 40) + `]":"***"}`,
		"x[" + strings.Repeat("a", 41) + "]=1":         `{"x[***]":"***"}`,
		"x" + strings.Repeat("[0]", 85) + "=1":         `{"x` + `[0]` + strings.Repeat("[***]", 84) + `":"***"}`,
		"x" + strings.Repeat("[0]", 86) + "=1":         `{"***":"***"}`,
		"id[=a&id[0=a&id]=a&id[0]x=a&[id]=a":           `{"***":"***","***":"***","***":"***","***":"***","***[***]":"***"}`,
		"id[x]y]=a&id[[x]]=a":                          `{"id[***]":"***","id[***]":"***"}`,

		// Allowed paths with sensitive values.
		"id=4111111111111111&id=jane%40example.com&id=Jane+Doe": `{"id":"***","id":"***","id":"***"}`,
		"id=4111+1111+1111+1111":                                `{"id":"***"}`,
		"id=4111%201111%201111%201111":                          `{"id":"***"}`,
		"id=4111%2B1111%2B1111%2B1111":                          `{"id":"***"}`,
		"id=%34%31%31%31111111111111":                           `{"id":"***"}`,
		"id=%2534111111111111111":                               `{"id":"***"}`,
		"id=%EF%BC%94111111111111111":                           `{"id":"***"}`,
		"code=Bearer+abc&code=Bearer%20abc":                     `{"code":"***","code":"***"}`,
		"code=sk_live_4eC39HqLy&code=sk%5Flive%5F4eC39HqLy":     `{"code":"***","code":"***"}`,
		"id=" + key: `{"id":"***"}`,
		"id=" + strings.ReplaceAll(key, "-", "%2D"):              `{"id":"***"}`,
		"metadata[florin_payment_id]=4111111111111111":           `{"metadata[florin_payment_id]":"***"}`,
		"code=a%00b&code=a%E2%80%AEb&code=a%FFb&code=a%22b%5Cc":  `{"code":"***","code":"***","code":"***","code":"***"}`,
		"reference=" + key + "&idempotency_key=o-17&reason=text": `{"reference":"***","idempotency_key":"***","reason":"***"}`,
	} {
		t.Run(in, func(t *testing.T) {
			got := redactedForm(t, in)
			require.Equal(t, want, got)
			require.True(t, json.Valid([]byte(got)))
		})
	}
}

func TestOnlySizeIsWrittenOfInvalidForm(t *testing.T) {
	for _, in := range []string{
		" ", "OK", "&", "tok_visa", "id", "id=a&", "&id=a", "id=a&&id=b", "id=a&secret", "id=a;cvc=123", "id=a=b", "id=a b", "id=a\n", "id=ä",
		"id=%", "id=%4", "id=%zz", "%=a", "%4=a", "x=%u0034", `{"id":"a"}`, `id="a"`, "<html>id=a</html>", "id=a\x00",
		"id=a&x=" + strings.Repeat("x", 1<<20) + "%",
	} {
		t.Run(in[:min(len(in), 20)], func(t *testing.T) { require.Equal(t, onlySizeOfForm(in), redactedForm(t, in)) })
	}
}

func TestOnlySizeIsWrittenOfUnknownMediaType(t *testing.T) {
	for _, mediaType := range []string{"text/xml", "multipart/form-data", "application/x-www-form-urlencoded; charset=utf-8"} {
		for _, in := range []string{`{"id":"a"}`, "id=a"} {
			require.Equal(t, onlySize(in), redactedAs(mediaType, in, fieldsOf(t, known)))
		}
	}
}

func TestLargeFormIsCutAfterRedaction(t *testing.T) {
	large := "amount=1" + strings.Repeat("&x[id]=ch_1&card[number]=4242", 10_000)
	got := redactedForm(t, large)
	require.True(t, strings.HasPrefix(got, fmt.Sprintf(`{"bytes":%d,"cut":{"amount":"1","x[id]":"ch_1","card[***]":"***",`, len(large))))
	require.True(t, json.Valid([]byte(got)))
	require.InDelta(t, maxBody, len(got), 1000)

	// A form that fits after masking is written completely. A form with an error after the limit is invalid.
	require.JSONEq(t, `{"x":"***"}`, redactedForm(t, "x="+strings.Repeat("x", 1<<20)))
	require.Equal(t, onlySizeOfForm(large+"&x"), redactedForm(t, large+"&x"))
}
