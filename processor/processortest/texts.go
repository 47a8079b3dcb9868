package processortest

// Scenarios about ids and other texts that Florin stores. A database may refuse a text with a NUL, after the money has moved.

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var textScenarios = []scenario{
	{name: "a success with an id, currency or reference that is not printable ASCII is ambiguous", doc: docMapping, run: unprintableTexts},
	{name: "the codes of a decline are printable ASCII", doc: docMapping, skip: skipWithoutDeclines, run: unprintableCodes},
}

// unprintable returns variants of a text that must not be stored.
func unprintable(text string) map[string]string {
	return map[string]string{
		"a NUL in front":           "\x00" + text,
		"a NUL at the end":         text + "\x00",
		"a line break":             text + "\n",
		"an escape sequence":       "\x1b[2J" + text,
		"a DEL":                    text + "\x7f",
		"a letter with accent":     text + "é",
		"a zero-width space":       text + "\u200b",
		"more than 255 characters": strings.Repeat(text, 256),
	}
}

func unprintableTexts(t tester, p Protocol) {
	fields := map[string]func(*Record) *string{
		"id":          func(r *Record) *string { return &r.ID },
		"currency":    func(r *Record) *string { return &r.Currency },
		"reference":   func(r *Record) *string { return &r.Reference },
		"merchant id": func(r *Record) *string { return &r.MerchantID },
	}
	if p.ParseMetadata == nil {
		delete(fields, "merchant id")
	}
	eachOperation(t, p, func(t tester, op operation) {
		for _, field := range sorted(fields) {
			record := op.record(p, keyOf("1"))
			variants := unprintable(*fields[field](&record))
			for _, name := range sorted(variants) {
				t.Run(field+" with "+name, func(t tester) {
					record := record
					*fields[field](&record) = variants[name]
					r := start(t, p, always(op.response(p, record)))
					got, err := op.run(r)
					r.onlyRequest()
					require.Zero(t, got)
					r.requireFailure(err, processor.Ambiguous, true, payment.ClassInvalidResponse)
				})
			}
		}
	})
	for _, q := range lookupQueries {
		for _, field := range sorted(fields) {
			if field == "reference" {
				continue // not our record: see lookupOtherReferences
			}
			record := q.subject.record(p, keyOf("1"))
			variants := unprintable(*fields[field](&record))
			for _, name := range sorted(variants) {
				t.Run(q.name+": "+field+" with "+name, func(t tester) {
					record := record
					*fields[field](&record) = variants[name]
					q.requireError(start(t, p, func(got received) Response { return p.WriteLookup(got.Request, []Record{record}) }))
				})
			}
		}
	}
	eachList(t, func(t tester, q query) {
		for _, field := range sorted(fields) {
			record := q.subject.record(p, keyOf("1"))
			variants := unprintable(*fields[field](&record))
			for _, name := range sorted(variants) {
				t.Run(field+" with "+name, func(t tester) {
					other, own := record, q.subject.record(p, keyOf("2"))
					other.ID, own.ID = "record_8", "record_9"
					*fields[field](&other) = variants[name]
					page := q.page(t, p, p.WritePage([]Record{other, own}, ""))
					require.Len(t, page.Records, 2)
					requirePrintable(t, page.Records[0].Result)
					require.Equal(t, q.subject.wantRecord(p, own), page.Records[1])
					// Florin cannot have written such a reference: the record is another system's, and readable.
					require.Equal(t, field != "reference", page.Records[0].Unreadable != "")
				})
			}
		}
	})
}

var printable = regexp.MustCompile(`\A[ -~]{0,255}\z`)

// requirePrintable requires that everything in a result can be stored.
func requirePrintable(t tester, r processor.Result) {
	t.Helper()
	texts := []string{r.ID, string(r.Status), r.Currency, r.Reference, r.RequestID, r.MerchantID}
	if r.Decline != nil {
		texts = append(texts, r.Decline.Code, string(r.Decline.Kind), r.Decline.NetworkCode, r.Decline.AdviceCode)
		require.NotRegexp(t, `[[:cntrl:]]`, r.Decline.Message)
	}
	for _, text := range texts {
		require.Regexp(t, printable, text)
	}
}

// unprintableCodes puts characters in front of everything in a decline that the adapter reports. It is enough for protocols in
// JSON; in another one the body contains the escape sequences as text.
func unprintableCodes(t tester, p Protocol) {
	for _, tc := range []struct {
		operation
		declines []Decline
	}{{operation: charge, declines: p.Declines}, {operation: refund, declines: p.RefundDeclines}} {
		for _, d := range tc.declines {
			for _, escape := range []string{`\u0000`, `\n`, `\u001b`, `é`, `\u200b`} {
				t.Run(string(tc.Operation)+": "+d.Name+" and "+escape, func(t tester) {
					response := d.Write(tc.record(p, keyOf("1")))
					for _, text := range []string{d.Want.Code, d.Want.NetworkCode, d.Want.AdviceCode, d.Want.Message} {
						if text != "" {
							response.Body = bytes.ReplaceAll(response.Body, []byte(`"`+text), []byte(`"`+escape+text))
						}
					}
					r := start(t, p, always(response))
					got, err := tc.run(r)
					if err != nil {
						r.requireError(err)
						return
					}
					require.Equal(t, payment.Declined, got.Status)
					requirePrintable(t, got)
				})
			}
		}
	}
}
