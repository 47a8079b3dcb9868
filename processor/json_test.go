package processor

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// record is what the tests decode into. Nested is a pointer, as optional parts of a response are.
type record struct {
	ID     string            `json:"id"`
	Amount int64             `json:"amount"`
	Meta   map[string]string `json:"meta"`
	Nested *record           `json:"nested"`
}

func TestJSONThatHasOneMeaningIsDecoded(t *testing.T) {
	for body, want := range map[string]record{
		`{"id":"a","amount":1250}`:                   {ID: "a", Amount: 1250},
		" {\"id\" : \"a\"}\n":                        {ID: "a"},
		`{"id":"a","ID":"b","Id":"c","AMOUNT":1}`:    {ID: "a"},
		`{"id":"a","\u017fid":"b","new":{"id":"b"}}`: {ID: "a"},
		`{"\u0069d":"a"}`:                            {ID: "a"},
		`{"id":null,"amount":null,"meta":null}`:      {},
		`{"meta":{"k":"lower","K":"upper"}}`:         {Meta: map[string]string{"k": "lower", "K": "upper"}},
		`{"id":"a","nested":{"id":"b"}}`:             {ID: "a", Nested: &record{ID: "b"}},
		`null`:                                       {},
	} {
		var got record
		require.NoError(t, DecodeJSON([]byte(body), &got), body)
		require.Equal(t, want, got, body)
	}
}

func TestJSONThatCanBeReadInTwoWaysIsRefused(t *testing.T) {
	const twice, incomplete, other = "the JSON has a name twice in one object", "the body is not one complete JSON value in UTF-8",
		"the JSON has a value of another type than documented"
	for body, want := range map[string]string{
		`{"id":"4111111111111111","id":"b"}`:                    twice,
		`{"id":"a","\u0069d":"b"}`:                              twice,
		`{"nested":{"id":"a","id":"b"}}`:                        twice,
		`{"meta":{"k":"a","k":"b"}}`:                            twice,
		`{"new":[{"4111111111111111":1,"4111111111111111":2}]}`: twice,
		``:                                incomplete,
		`{"id":"a"`:                       incomplete,
		`{"id":"a"}{"id":"b"}`:            incomplete,
		`<html>4111111111111111`:          incomplete,
		"\ufeff{}":                        incomplete,
		"{\"id\":\"\xff\"}":               incomplete,
		"{\"new\":\"\xff\"}":              incomplete,
		`{"new":"\ud800"}`:                incomplete,
		`{"amount":12.0}`:                 other,
		`{"amount":12.5}`:                 other,
		`{"amount":1e3}`:                  other,
		`{"amount":"12"}`:                 other,
		`{"amount":9223372036854775808}`:  other,
		`{"id":4111111111111111}`:         other,
		`{"meta":{"4111111111111111":1}}`: other,
		`[{"id":"a"}]`:                    other,
		`"a"`:                             other,
	} {
		var got record
		require.EqualError(t, DecodeJSON([]byte(body), &got), want, body)
	}
}
