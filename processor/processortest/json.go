package processortest

// Scenarios about JSON that parsers read in different ways.

import (
	"bytes"
	"encoding/json"
	"regexp"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var jsonScenarios = []scenario{
	{name: "JSON that can be read in more than one way is ambiguous", doc: docMapping, skip: skipWithoutJSON, run: ambiguousJSON},
}

func skipWithoutJSON(p Protocol) string {
	if len(ambiguousResponses(charge.success(p))) == 0 {
		return "the protocol's records are not JSON objects"
	}
	return ""
}

// names matches the names of objects, and amounts the amounts of the suite's records, as far as the protocol writes them as
// numbers in minor units.
var (
	names   = regexp.MustCompile(`"(\w+)":`)
	amounts = regexp.MustCompile(`:(1250|1000|250)([,}\]])`)
)

// ambiguousResponses returns variants of a success that parsers of JSON disagree about, by what is wrong. It is empty if the body
// is not a JSON object.
func ambiguousResponses(whole Response) map[string]Response {
	var members map[string]json.RawMessage
	body := bytes.TrimSpace(whole.Body)
	if json.Unmarshal(body, &members) != nil || len(members) == 0 {
		return nil
	}
	with := func(body []byte) Response {
		variant := whole
		variant.Body = body
		return variant
	}
	// insert returns the body with more members at its end.
	insert := func(more string) Response {
		return with(append(bytes.Clone(body[:len(body)-1]), ","+more+"}"...))
	}
	all := map[string]Response{
		"an unknown name twice":           insert(`"zz_unknown":1,"zz_unknown":2`),
		"an unknown name twice in a part": insert(`"zz_unknown":[{"a":1,"a":2}]`),
		"invalid UTF-8":                   insert("\"zz_unknown\":\"\xff\""),
		"names in upper case":             with(names.ReplaceAllFunc(body, bytes.ToUpper)),
	}
	for name, value := range members {
		all["the name "+name+" twice"] = insert(`"` + name + `":` + string(value))
		all["the name "+name+" twice, once with null"] = insert(`"` + name + `":null`)
	}
	for name, number := range map[string]string{"a fraction of zero": ":$1.0$2", "an exponent": ":${1}e0$2", "quotes": `:"$1"$2`} {
		if amounts.Match(body) {
			all["amounts with "+name] = with(amounts.ReplaceAll(body, []byte(number)))
		}
	}
	return all
}

func ambiguousJSON(t tester, p Protocol) {
	eachOperation(t, p, func(t tester, op operation) {
		responses := ambiguousResponses(op.success(p))
		for _, name := range sorted(responses) {
			t.Run(name, func(t tester) {
				r := start(t, p, always(responses[name]))
				_, err := op.run(r)
				r.onlyRequest()
				r.requireFailure(err, processor.Ambiguous, true, payment.ClassInvalidResponse)
			})
		}
	})
	for _, q := range queries {
		variants := map[string]func(received) Response{}
		for name := range ambiguousResponses(q.success(p, Request{})) {
			variants[name] = func(got received) Response {
				whole := q.success(p, got.Request)
				if variant, ok := ambiguousResponses(whole)[name]; ok {
					return variant
				}
				return Response{Status: 500} // another kind of request, which does not have this variant
			}
		}
		q.withResponses(t, p, variants, func(r *rig) {
			if page, err := q.list(r, processor.ListCall{}); q.isList() && err == nil {
				requireUnreadable(r, page, 1)
				return
			}
			q.requireError(r)
		})
	}
}
