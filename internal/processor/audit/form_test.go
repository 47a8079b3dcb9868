package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// stripeCharge is the request for a charge as stripe-go encodes it.
const stripeCharge = "amount=1250&capture_method=automatic&confirm=true&currency=usd&description=Order+17&expand[0]=latest_charge" +
	"&metadata[florin_merchant_id]=acme&metadata[florin_payment_id]=pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc&metadata[order]=o-17" +
	"&payment_method=pm_card_visa&payment_method_types[0]=card"

func redactedForm(in string, allow ...string) string { return redactedAs(formEncoded, in, allow...) }

// onlySizeOfForm returns what is written of a body that is not a form.
func onlySizeOfForm(in string) string { return fmt.Sprintf(`{"bytes":%d,"not":"form"}`, len(in)) }

func TestOnlyAllowedValuesOfFormAreWritten(t *testing.T) {
	for in, want := range map[string]string{
		stripeCharge: `{"amount":"1250","capture_method":"automatic","confirm":"true","currency":"usd","description":"***","expand[0]":"latest_charge",` +
			`"metadata[florin_merchant_id]":"acme","metadata[florin_payment_id]":"pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc","metadata[order]":"***",` +
			`"payment_method":"***","payment_method_types[0]":"card"}`,

		// The order is kept, and so are repeated names.
		"id=a&amount=1&id=b": `{"id":"a","amount":"1","id":"b"}`,
		"id=&x=":             `{"id":"","x":"***"}`,

		// The last part of a name determines the rule.
		"payment_method_data[type]=card&payment_method_data[card][token]=tok_visa": `{"payment_method_data[type]":"card","payment_method_data[card][token]":"***"}`,
		"id[secret]=x&x[id]=y":             `{"id[secret]":"***","x[id]":"y"}`,
		"id[0]=a&id[12][3]=b&x[0]=c":       `{"id[0]":"a","id[12][3]":"b","x[0]":"***"}`,
		"x[0][id]=a&id[0][x]=b":            `{"x[0][id]":"a","id[0][x]":"***"}`,
		"0=a&0[1]=b&17[id]=c":              `{"0":"***","0[1]":"***","17[id]":"c"}`,
		"x%5Bid%5D=a&%69d=b&%6D%65ssage=c": `{"x[id]":"a","id":"b","message":"***"}`,

		// Metadata, payment methods and customers.
		"metadata[id]=a&metadata[0]=b&metadata[x][code]=c":                 `{"metadata[id]":"***","metadata[0]":"***","metadata[x][code]":"***"}`,
		"metadata=x&metadata[]=y&x[metadata][id]=a":                        `{"metadata":"***","metadata[***]":"***","x[metadata][id]":"***"}`,
		"metadata[Order+No]=1&metadata[a%5Bid%5D]=b&metadata[a-b]=c":       `{"metadata[***]":"***","metadata[***]":"***","metadata[***]":"***"}`,
		"payment_method_options[blik][code]=777123&customer[id]=cus_1":     `{"payment_method_options[blik][code]":"***","customer[id]":"***"}`,
		"card[number]=4242&card[cvc]=123&card[id]=card_1":                  `{"card[number]":"***","card[cvc]":"***","card[id]":"***"}`,
		"mandate_data[customer_acceptance][online][ip_address]=192.0.2.17": `{"mandate_data[customer_acceptance][online][ip_address]":"***"}`,

		// Names that may be content, or are malformed.
		"=a&Id=b&%C3%A4=c&a+b=d":                                                           `{"***":"***","***":"***","***":"***","***":"***"}`,
		"4111111111111111=1&x[4111111111111111]=1":                                         `{"***":"***","***":"***"}`,
		"x[4111][1111][1111][1111]=1":                                                      `{"***":"***"}`,
		"x[%34111111111111111]=1&x[%2534111]=1":                                            `{"***":"***","x[***]":"***"}`,
		"x[4111+1111+1111+1111]=1&x[4111%201111]=1":                                        `{"***":"***","x[***]":"***"}`,
		"x[sk_live_4eC39]=1&x[whsec_a]=1&sk_live[a]=1":                                     `{"***":"***","***":"***","***":"***"}`,
		"x[" + key + "]=1&" + key + "=1":                                                   `{"***":"***","***":"***"}`,
		"x[" + strings.Repeat("a", 40) + "]=1&x[" + strings.Repeat("a", 41) + "]=1":        `{"x[` + strings.Repeat("a", 40) + `]":"***","x[***]":"***"}`,
		"id" + strings.Repeat("[0]", 84) + "=1&" + "id" + strings.Repeat("[0]", 85) + "=1": `{"id` + strings.Repeat("[0]", 84) + `":"1","***":"***"}`,
		"id[=a&id[0=a&id]=a&id[0]x=a&[id]=a&id[x]y]=a&id[[x]]=a": `{"***":"***","***":"***","***":"***","***":"***","***[id]":"a","id[***]":"***",` +
			`"id[***]":"***"}`,

		// Allowed names with sensitive values.
		"id=4111111111111111":                               `{"id":"***"}`,
		"id=4111+1111+1111+1111":                            `{"id":"***"}`,
		"id=4111%201111%201111%201111":                      `{"id":"***"}`,
		"id=4111%2B1111%2B1111%2B1111":                      `{"id":"***"}`,
		"id=%34%31%31%31111111111111":                       `{"id":"***"}`,
		"id=%2534111111111111111":                           `{"id":"***"}`,
		"id=%EF%BC%94111111111111111":                       `{"id":"***"}`,
		"code=Bearer+abc&code=Bearer%20abc":                 `{"code":"***","code":"***"}`,
		"code=sk_live_4eC39HqLy&code=sk%5Flive%5F4eC39HqLy": `{"code":"***","code":"***"}`,
		"id=" + key: `{"id":"***"}`,
		"id=" + strings.ReplaceAll(key, "-", "%2D"):              `{"id":"***"}`,
		"metadata[florin_payment_id]=4111111111111111":           `{"metadata[florin_payment_id]":"***"}`,
		"code=a%00b&code=a%E2%80%AEb&code=a%FFb":                 `{"code":"***","code":"***","code":"***"}`,
		"code=" + strings.Repeat("%78", 256):                     `{"code":"` + strings.Repeat("x", 256) + `"}`,
		"code=" + strings.Repeat("x", 257):                       `{"code":"***"}`,
		"reference=" + key + "&idempotency_key=o-17&reason=text": `{"reference":"***","idempotency_key":"***","reason":"***"}`,

		// Values that are encoded differently.
		"code=a%22b%5Cc+d%26e%3Df": `{"code":"a\"b\\c d&e=f"}`,
		"code=%C3%BC+%F0%9F%99%82": `{"code":"ü 🙂"}`,
	} {
		t.Run(in, func(t *testing.T) {
			got := redactedForm(in)
			require.Equal(t, want, got)
			require.True(t, json.Valid([]byte(got)))
		})
	}
}

func TestFurtherNamesCanBeAllowedInForms(t *testing.T) {
	allow := []string{"message", "merchantRef", `a"b`, "metadata"}
	for in, want := range map[string]string{
		"message=not+now&x[merchantRef]=r-1&x[a%22b]=c": `{"message":"not now","x[merchantRef]":"r-1","x[a\"b]":"c"}`,
		"metadata[merchantRef]=r-1&metadata[17]=x":      `{"metadata[merchantRef]":"r-1","metadata[17]":"***"}`,
		"message=4111+1111+1111+1111":                   `{"message":"***"}`,
	} {
		require.Equal(t, want, redactedForm(in, allow...))
	}
}

func TestOnlySizeIsWrittenOfInvalidForm(t *testing.T) {
	for _, in := range []string{
		" ", "OK", "&", "tok_visa", "id", "id=a&", "&id=a", "id=a&&id=b", "id=a&secret", "id=a;cvc=123", "id=a=b", "id=a b", "id=a\n", "id=ä",
		"id=%", "id=%4", "id=%zz", "%=a", "%4=a", "x=%u0034", `{"id":"a"}`, `id="a"`, "<html>id=a</html>", "id=a\x00",
		"id=a&x=" + strings.Repeat("x", 1<<20) + "%",
	} {
		t.Run(in[:min(len(in), 20)], func(t *testing.T) { require.Equal(t, onlySizeOfForm(in), redactedForm(in)) })
	}
}

func TestOnlySizeIsWrittenOfUnknownMediaType(t *testing.T) {
	for _, mediaType := range []string{"text/xml", "multipart/form-data", "application/x-www-form-urlencoded; charset=utf-8"} {
		for _, in := range []string{`{"id":"a"}`, "id=a"} {
			require.Equal(t, onlySize(in), redactedAs(mediaType, in))
		}
	}
}

func TestLargeFormIsCutAfterRedaction(t *testing.T) {
	large := "amount=1" + strings.Repeat("&x[id]=ch_1&card[number]=4242", 10_000)
	got := redactedForm(large)
	require.True(t, strings.HasPrefix(got, fmt.Sprintf(`{"bytes":%d,"cut":{"amount":"1","x[id]":"ch_1","card[number]":"***",`, len(large))))
	require.True(t, json.Valid([]byte(got)))
	require.InDelta(t, maxBody, len(got), 1000)

	// A form that fits after masking is written completely. A form with an error after the limit is invalid.
	require.JSONEq(t, `{"x":"***"}`, redactedForm("x="+strings.Repeat("x", 1<<20)))
	require.Equal(t, onlySizeOfForm(large+"&x"), redactedForm(large+"&x"))
}
