package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

const card = "4242424242424242"

// request returns a valid line, with the given old-new pairs of strings replaced.
func request(oldnew ...string) string {
	return strings.NewReplacer(oldnew...).Replace(
		`{"merchant_id":"acme","idempotency_key":"order-1","amount":1250,"currency":"USD","payment_method":"tok_visa"}`)
}

func TestInvalidLinesAreReportedWithTheirNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want map[int]string // error by line number; empty if the line is valid
	}{
		"one valid line": {file: request(), want: map[int]string{1: ""}},
		"no newline at the end": {file: request() + "\n" + request("order-1", "order-2"),
			want: map[int]string{1: "", 2: ""}},
		"Windows line endings": {file: request() + "\r\n" + request("order-1", "order-2") + "\r\n",
			want: map[int]string{1: "", 2: ""}},
		"empty lines are counted": {file: "\n\n" + request() + "\n  \n\n{\n",
			want: map[int]string{3: "", 6: "not a charge request: the JSON is not complete"}},
		"not JSON":   {file: "order-1", want: map[int]string{1: "not a charge request: invalid JSON at byte 1"}},
		"JSON array": {file: "[]", want: map[int]string{1: "not a charge request: want one JSON object"}},
		"unknown field": {file: request("amount", "amuont"),
			want: map[int]string{1: `not a charge request: unknown field "amuont"`}},
		"field in another case": {file: request(`}`, `,"CURRENCY":"EUR"}`),
			want: map[int]string{1: `not a charge request: unknown field "CURRENCY"`}},
		"field with a letter that folds": {file: request(`}`, `,"\u017frocessor":"x"}`),
			want: map[int]string{1: `not a charge request: unknown field "ſrocessor"`}},
		"field twice": {file: request(`}`, `,"amount":100000}`),
			want: map[int]string{1: `not a charge request: field "amount" appears twice`}},
		"field twice, once escaped": {file: request(`}`, `,"\u0061mount":100000}`),
			want: map[int]string{1: `not a charge request: field "amount" appears twice`}},
		"metadata key twice": {file: request(`}`, `,"metadata":{"a":"1","a":"2"}}`),
			want: map[int]string{1: `not a charge request: field "metadata.a" appears twice`}},
		"card number twice as field": {file: request(`}`, `,"metadata":{"`+card+`":"1","`+card+`":"2"}}`),
			want: map[int]string{1: `contains what looks like a card number`}},
		"card number at the end of a long field": {file: request("amount", strings.Repeat("x ", 45)+card),
			want: map[int]string{1: "contains what looks like a card number"}},
		"field with a long name": {file: request("amount", strings.Repeat("x", 1000)),
			want: map[int]string{1: "not a charge request: wrong or unknown field with a long name"}},
		"metadata key in another case":     {file: request(`}`, `,"metadata":{"a":"1","A":"2"}}`), want: map[int]string{1: ""}},
		"not UTF-8":                        {file: request("acme", "ac\xffme"), want: map[int]string{1: "not a charge request: not UTF-8"}},
		"byte order mark":                  {file: "\ufeff" + request() + "\n" + request("order-1", "order-2"), want: map[int]string{1: "", 2: ""}},
		"byte order mark on an empty line": {file: "\ufeff\r\n" + request(), want: map[int]string{2: ""}},
		"byte order mark of a later line": {file: request() + "\n\ufeff" + request("order-1", "order-2"),
			want: map[int]string{1: "", 2: "not a charge request: invalid JSON"}},
		"two values on one line": {file: request() + " " + request(),
			want: map[int]string{1: "more than one JSON value on the line"}},
		"extra closing brace":   {file: request() + "}", want: map[int]string{1: "more than one JSON value on the line"}},
		"comma after the value": {file: request() + ",", want: map[int]string{1: "more than one JSON value on the line"}},
		"null":                  {file: "null", want: map[int]string{1: "invalid request: merchant_id"}},
		"amount 0": {file: request("1250", "0"),
			want: map[int]string{1: "invalid request: amount: 0: must be above 0, in minor units"}},
		"amount in major units": {file: request("1250", "12.50"),
			want: map[int]string{1: "not a charge request: amount: want a whole number, in minor units"}},
		"amount with an exponent": {file: request("1250", "1e3"),
			want: map[int]string{1: "not a charge request: amount: want a whole number, in minor units"}},
		"whole amount with decimals": {file: request("1250", "1250.0"),
			want: map[int]string{1: "not a charge request: amount: want a whole number, in minor units"}},
		"amount as text": {file: request("1250", `"1250"`),
			want: map[int]string{1: "not a charge request: amount: want a whole number, in minor units"}},
		"unknown currency": {file: request("USD", "USX"),
			want: map[int]string{1: `invalid request: currency: unknown currency "USX"`}},
		"metadata as text": {file: request(`}`, `,"metadata":"x"}`),
			want: map[int]string{1: "not a charge request: metadata: want an object of strings"}},
		"the same key twice": {file: request() + "\n" + request("order-1", "order-2") + "\n\n" + request(),
			want: map[int]string{1: "", 2: "", 4: `idempotency_key "order-1" was used on line 1`}},
		"same key of two merchants": {file: request() + "\n" + request("acme", "bolt"), want: map[int]string{1: "", 2: ""}},
		"key of an invalid line":    {file: request("1250", "0") + "\n" + request(), want: map[int]string{1: "amount", 2: ""}},
		"card number as token": {file: request("tok_visa", card),
			want: map[int]string{1: "invalid request: payment_method: looks like a card number"}},
		"card number as a number": {file: request(`"tok_visa"`, card),
			want: map[int]string{1: "not a charge request: payment_method: want a string"}},
		"card number as key": {file: request("order-1", card),
			want: map[int]string{1: "invalid request: idempotency_key: looks like a card number"}},
		"card number as merchant": {file: request("acme", card), want: map[int]string{1: "invalid request: merchant_id: "}},
		"card number as amount":   {file: request("1250", card), want: map[int]string{1: "invalid request: amount: "}},
		"card number as fraction": {file: request("1250", card+".5"), want: map[int]string{1: "amount: want a whole number"}},
		"card number as field": {file: request("amount", card),
			want: map[int]string{1: "contains what looks like a card number"}},
	} {
		t.Run(name, func(t *testing.T) {
			lines, err := readLines(strings.NewReader(c.file))
			require.NoError(t, err)
			require.Len(t, lines, len(c.want))
			for _, l := range lines {
				want, known := c.want[l.Number]
				require.True(t, known, "line %d", l.Number)
				if want == "" {
					require.NoError(t, l.err)
					require.NotNil(t, l.req)
					require.Equal(t, l.req.IdempotencyKey, l.Key)
					continue
				}
				require.ErrorContains(t, l.err, want)
				require.Nil(t, l.req)
				require.Equal(t, exitUsage, exitCode(l.err))
				require.NotContains(t, l.Error+l.Key, card)
			}
		})
	}
}

func TestFileThatCannotBeReadCompletelyIsRefused(t *testing.T) {
	_, err := readLines(strings.NewReader("\n" + request() + "\n" + strings.Repeat(" ", maxLine+1) + "\n"))
	require.ErrorContains(t, err, "line 3: bufio.Scanner: token too long: a line may have at most 1048576 bytes")
	for _, file := range []string{"", "\n \n\t\n"} {
		_, err := readLines(strings.NewReader(file))
		require.EqualError(t, err, "no charge requests: want one JSON object on each line")
	}
}

func TestFlagsOfASingleChargeAreRefusedWithAFile(t *testing.T) {
	for flag, value := range map[string]string{
		"merchant": "acme", "key": "order-1", "key-window": "1m", "amount": "12.50", "currency": "USD", "payment-method": "tok_visa", "capture": "manual",
		"processor": "simulator", "customer": "c", "description": "d", "metadata": "a=b",
	} {
		_, _, err := execute(t, request(), "charge", "--file", "-", "--"+flag, value)
		require.EqualError(t, err, fmt.Sprintf("--%s cannot be used with --file: each line has its own value", flag))
		require.Equal(t, exitUsage, exitCode(err))
	}
	single := chargeCommand()
	single.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "file" || f.Name == "concurrency" || f.Name == "batch" {
			return
		}
		value := "a=b"
		if f.Value.Type() == "duration" {
			value = "1m"
		}
		_, _, err := execute(t, request(), "charge", "--file", "-", "--"+f.Name, value)
		require.ErrorContains(t, err, "cannot be used with --file", "--%s is a new flag: add it to the flags that chargeFile refuses", f.Name)
	})
}

// Regression test: without a Temporal server, the errors of invalid lines were not printed. A file without a valid line needs
// no connection.
func TestInvalidLinesAreReportedWithoutTemporal(t *testing.T) {
	file := "{\n\n" + request("1250", "0")
	stdout, stderr, err := execute(t, file, "charge", "--file", "-")
	require.Equal(t, exitUsage, exitCode(err), "%v", err)
	require.Contains(t, stderr, "-:1: not a charge request: the JSON is not complete\n-:3: invalid request: amount: 0: must be above 0")
	require.Contains(t, stdout, "error=2")

	_, stderr, err = execute(t, file+"\n"+request(), "charge", "--file", "-")
	require.Equal(t, exitError, exitCode(err), "%v", err)
	require.Contains(t, stderr, "-:3: invalid request: amount: 0")
}
