package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

const card = "4242424242424242"

// request is a good line, changed by old-new pairs.
func request(oldnew ...string) string {
	return strings.NewReplacer(oldnew...).Replace(
		`{"merchant_id":"acme","idempotency_key":"order-1","amount":1250,"currency":"USD","payment_method":"tok_visa"}`)
}

func TestEveryBadLineIsNamedWithItsNumber(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want map[int]string // by line; empty: a good one
	}{
		"one good line":            {request(), map[int]string{1: ""}},
		"no end of line":           {request() + "\n" + request("order-1", "order-2"), map[int]string{1: "", 2: ""}},
		"lines of Windows":         {request() + "\r\n" + request("order-1", "order-2") + "\r\n", map[int]string{1: "", 2: ""}},
		"empty lines count":        {"\n\n" + request() + "\n  \n\n{\n", map[int]string{3: "", 6: "not a charge request: unexpected EOF"}},
		"not JSON":                 {"order-1", map[int]string{1: "not a charge request: invalid character 'o'"}},
		"a list":                   {"[]", map[int]string{1: "not a charge request: want one JSON object"}},
		"unknown field":            {request("amount", "amuont"), map[int]string{1: `not a charge request: json: unknown field "amuont"`}},
		"two values on a line":     {request() + " " + request(), map[int]string{1: "more than one JSON value on a line"}},
		"a closing brace too many": {request() + "}", map[int]string{1: "more than one JSON value on a line"}},
		"a comma after the value":  {request() + ",", map[int]string{1: "more than one JSON value on a line"}},
		"null":                     {"null", map[int]string{1: "invalid request: merchant_id"}},
		"amount 0":                 {request("1250", "0"), map[int]string{1: "invalid request: amount: 0: must be above 0, in minor units"}},
		"amount in major units":    {request("1250", "12.50"), map[int]string{1: "not a charge request: amount: want a whole number, in minor units"}},
		"amount as text":           {request("1250", `"1250"`), map[int]string{1: "not a charge request: amount: want a whole number, in minor units"}},
		"unknown currency":         {request("USD", "USX"), map[int]string{1: `invalid request: currency: unknown currency "USX"`}},
		"metadata as text":         {request(`}`, `,"metadata":"x"}`), map[int]string{1: "not a charge request: metadata: want map"}},
		"the same key twice":       {request() + "\n" + request("order-1", "order-2") + "\n\n" + request(), map[int]string{1: "", 2: "", 4: `idempotency_key "order-1" was used on line 1`}},
		"a key of two merchants":   {request() + "\n" + request("acme", "bolt"), map[int]string{1: "", 2: ""}},
		"a bad line frees its key": {request("1250", "0") + "\n" + request(), map[int]string{1: "amount", 2: ""}},
		"card number as token":     {request("tok_visa", card), map[int]string{1: "invalid request: payment_method: looks like a card number"}},
		"card number as a number":  {request(`"tok_visa"`, card), map[int]string{1: "not a charge request: payment_method: want string"}},
		"card number as key":       {request("order-1", card), map[int]string{1: "invalid request: idempotency_key: looks like a card number"}},
		"card number as merchant":  {request("acme", card), map[int]string{1: "invalid request: merchant_id: "}},
		"card number as amount":    {request("1250", card), map[int]string{1: "invalid request: amount: "}},
		"card number as fraction":  {request("1250", card+".5"), map[int]string{1: "amount: want a whole number"}},
		"card number as field":     {request("amount", card), map[int]string{1: "has what looks like a card number in it"}},
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

func TestAFileThatCannotBeReadToItsEndIsRefusedAsAWhole(t *testing.T) {
	_, err := readLines(strings.NewReader("\n" + request() + "\n" + strings.Repeat(" ", maxLine+1) + "\n"))
	require.ErrorContains(t, err, "line 3: bufio.Scanner: token too long (a line may have 1048576 bytes)")
	for _, file := range []string{"", "\n \n\t\n"} {
		_, err := readLines(strings.NewReader(file))
		require.EqualError(t, err, "no charge requests: want one JSON object a line")
	}
}

func TestAFileGoesWithNoFlagOfASingleCharge(t *testing.T) {
	for flag, value := range map[string]string{
		"merchant": "acme", "key": "order-1", "key-window": "1m", "amount": "12.50", "currency": "USD", "payment-method": "tok_visa", "capture": "manual",
		"processor": "simulator", "customer": "c", "description": "d", "metadata": "a=b",
	} {
		_, _, err := execute(t, request(), "charge", "--file", "-", "--"+flag, value)
		require.EqualError(t, err, fmt.Sprintf("--%s does not go with --file: each line has its own", flag))
		require.Equal(t, exitUsage, exitCode(err))
	}
	single := chargeCommand()
	single.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "file" || f.Name == "concurrency" {
			return
		}
		value := "a=b"
		if f.Value.Type() == "duration" {
			value = "1m"
		}
		_, _, err := execute(t, request(), "charge", "--file", "-", "--"+f.Name, value)
		require.ErrorContains(t, err, "does not go with --file", "--%s is new: refuse it with --file", f.Name)
	})
}

// With no good line there is nothing to connect for; it used to hide the bad lines behind a missing Temporal.
func TestBadLinesAreNamedWithoutTemporal(t *testing.T) {
	file := "{\n\n" + request("1250", "0")
	stdout, stderr, err := execute(t, file, "charge", "--file", "-")
	require.Equal(t, exitUsage, exitCode(err), "%v", err)
	require.Contains(t, stderr, "-:1: not a charge request: unexpected EOF\n-:3: invalid request: amount: 0: must be above 0")
	require.Contains(t, stdout, "error=2")

	_, stderr, err = execute(t, file+"\n"+request(), "charge", "--file", "-")
	require.Equal(t, exitError, exitCode(err), "%v", err)
	require.Contains(t, stderr, "-:3: invalid request: amount: 0")
}
