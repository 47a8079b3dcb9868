package settlement

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

const (
	mapping = "reference=Order,amount=Amount,currency=Currency"
	header  = "Order,Amount,Currency\n"
)

func mustFormat(tb testing.TB, mapping string, values ...string) Format {
	tb.Helper()
	f, err := NewFormat("", mapping, values)
	require.NoError(tb, err)
	return f
}

func readAll(tb testing.TB, file string, f Format) (lines []Line) {
	tb.Helper()
	r, err := NewReader(strings.NewReader(file), f)
	require.NoError(tb, err)
	for {
		line, err := r.Next(time.Time{}, time.Time{})
		if errors.Is(err, io.EOF) {
			return lines
		}
		require.NoError(tb, err)
		lines = append(lines, line)
	}
}

func TestFilesInManyFormsAreRead(t *testing.T) {
	a, b := Line{Number: 2, Reference: "a", Amount: 1250, Currency: "USD"}, Line{Number: 3, Reference: "b", Amount: 100, Currency: "EUR"}
	at := func(l Line, number int64) Line { l.Number = number; return l }
	for name, tt := range map[string]struct {
		file string
		want []Line
	}{
		"plain":                        {file: header + "a,12.50,USD\nb,1.00,EUR\n", want: []Line{a, b}},
		"no line break at the end":     {file: header + "a,12.50,USD\nb,1.00,EUR", want: []Line{a, b}},
		"byte order mark":              {file: "\ufeff" + header + "a,12.50,USD\n", want: []Line{a}},
		"byte order mark and quotes":   {file: "\ufeff\"Order\",Amount,Currency\na,12.50,USD\n", want: []Line{a}},
		"CRLF":                         {file: "Order,Amount,Currency\r\na,12.50,USD\r\nb,1.00,EUR\r\n", want: []Line{a, b}},
		"empty lines":                  {file: "\n\n" + header + "\n \na,12.50,USD\n\n", want: []Line{at(a, 6)}},
		"semicolons":                   {file: "Order;Amount;Currency\na;12.50;USD\n", want: []Line{a}},
		"tabs":                         {file: "Order\tAmount\tCurrency\na\t12.50\tUSD\n", want: []Line{a}},
		"bars":                         {file: "Order|Amount|Currency\na|12.50|USD\n", want: []Line{a}},
		"other columns":                {file: "x,Currency,Order,y,Amount\n1,USD,a,2,12.50\n", want: []Line{a}},
		"quotes":                       {file: header + `"a","12.50","USD"` + "\n", want: []Line{a}},
		"delimiters in quotes":         {file: "Order,Note,Amount,Currency\na,\"x, y\",12.50,USD\n", want: []Line{a}},
		"quotes in quotes":             {file: "Order,Note,Amount,Currency\na,\"say \"\"hi\"\"\",12.50,USD\n", want: []Line{a}},
		"quotes in a field without":    {file: "Order,Note,Amount,Currency\na,5\" screen,12.50,USD\n", want: []Line{a}},
		"line breaks in quotes":        {file: "Order,Note,Amount,Currency\na,\"x\ny\r\n\nz\",12.50,USD\nb,,1.00,EUR\n", want: []Line{a, at(b, 6)}},
		"empty fields at the end":      {file: header + "a,12.50,USD,,\n", want: []Line{a}},
		"currency in lower case":       {file: header + "a,12.50,usd\n", want: []Line{a}},
		"blanks around values":         {file: "Order , Amount,Currency\n a , 12.50 , USD \n", want: []Line{a}},
		"Latin-1 in another column":    {file: "Order,Note,Amount,Currency\na,Caf\xe9,12.50,USD\n", want: []Line{a}},
		"a refund has a minus":         {file: header + "a,-12.50,USD\n", want: []Line{{Number: 2, Reference: "a", Refund: true, Amount: 1250, Currency: "USD"}}},
		"Florin's id of a payment":     {file: header + payment.PaymentID("acme", "1") + ",12.50,USD\n", want: []Line{{Number: 2, Reference: payment.ProcessorKey(payment.PaymentID("acme", "1"), payment.OperationCharge, 0), Amount: 1250, Currency: "USD"}}},
		"Florin's id of a refund":      {file: header + payment.RefundID("acme", "1") + ",-12.50,USD\n", want: []Line{{Number: 2, Reference: payment.ProcessorKey(payment.RefundID("acme", "1"), payment.OperationRefund, 0), Refund: true, Amount: 1250, Currency: "USD"}}},
		"a reference in upper case":    {file: header + "6F1D8C1E-5B0A-5C5E-9D35-0F1A7C9B2E64,12.50,USD\n", want: []Line{{Number: 2, Reference: "6f1d8c1e-5b0a-5c5e-9d35-0f1a7c9b2e64", Amount: 1250, Currency: "USD"}}},
		"two files":                    {file: header + "a,12.50,USD\n\ufeff" + header + "b,1.00,EUR\n", want: []Line{a, at(b, 4)}},
		"nothing but the header":       {file: header, want: nil},
		"header without a line break":  {file: strings.TrimSpace(header), want: nil},
		"column names that are quoted": {file: `"Order","Amount","Currency","a, b"` + "\na,12.50,USD,x\n", want: []Line{a}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tt.want, readAll(t, tt.file, mustFormat(t, mapping))) })
	}
}

// Each fault is of one line: the lines before and after it are read.
func TestUnreadableLineIsReportedAndTheOthersAreRead(t *testing.T) {
	for name, tt := range map[string]struct {
		mapping, header, line, fault string
		// next is the number of the line after it, if it is not 4.
		next      int64
		reference string
	}{
		"unknown currency":               {line: "x,1.00,XXY", fault: `currency: unknown currency "XXY"`, reference: "x"},
		"no currency":                    {line: "x,1.00,", fault: `currency: unknown currency ""`, reference: "x"},
		"no amount":                      {line: "x,,USD", fault: "amount: is empty", reference: "x"},
		"thousands that are not allowed": {line: `x,"1,234.50",USD`, fault: `amount: "1,234.50" is not an amount`, reference: "x"},
		"no reference":                   {line: ",1.00,USD", fault: "the line has neither a reference nor an id"},
		"too few fields":                 {line: "x,1.00", fault: "the line has 2 fields instead of 3", reference: "x"},
		"too many fields":                {line: "x,1.00,USD,more", fault: "the line has 4 fields instead of 3", reference: "x"},
		"a quote that is not closed":     {line: `x,"1.00,USD`, fault: "a quote is not closed", reference: "x"},
		"a quote that is closed later":   {line: "x,\"1.00,USD\nc,\"2.00,EUR", fault: "a quote is not closed", next: 5, reference: "x"},
		"text after a quote":             {line: `x,"1"00,USD`, fault: "there is text after a closing quote", reference: "x"},
		"NUL":                            {line: "x,1.00\x00,USD", fault: "the line has a NUL byte"},
		"a huge field":                   {line: "x,1.00," + strings.Repeat("U", 1<<20), fault: "longer than 262144 bytes"},
		"a long reference":               {line: strings.Repeat("x", 256) + ",1.00,USD", fault: "reference: is longer than 255 bytes"},
		"a card number":                  {line: "x,4111111111111111,USDX", fault: `unknown currency "USDX"`, reference: "x"},
		"a card number as an amount":     {line: "x,4111-1111-1111-1111,USD", fault: "(looks like a card number)", reference: "x"},
		"several faults":                 {line: ",,USD", fault: "the line has neither a reference nor an id; amount: is empty"},
		"unknown type": {
			mapping: ",type=Type", header: "Order,Amount,Currency,Type\n", line: "x,1.00,USD,payout",
			fault: `type: unknown type "payout": say what it means, such as --value "type:payout=ignore"`, reference: "x",
		},
		"unknown status": {
			mapping: ",status=Type", header: "Order,Amount,Currency,Type\n", line: "x,1.00,USD,paid",
			fault: `status: unknown status "paid": say what it means, such as --value "status:paid=succeeded"`, reference: "x",
		},
		"negative charge": {
			mapping: ",type=Type", header: "Order,Amount,Currency,Type\n", line: "x,-1.00,USD,charge",
			fault: `amount: "-1.00" is negative, and the line is no refund`, reference: "x",
		},
		"unknown time": {
			mapping: ",created=Type", header: "Order,Amount,Currency,Type\n", line: "x,1.00,USD,11/12/2026",
			fault: `created: time "11/12/2026": want RFC 3339`, reference: "x",
		},
		"fee": {
			mapping: ",fee=Type", header: "Order,Amount,Currency,Type\n", line: "x,1.00,USD,free",
			fault: `fee: "free" is not an amount`, reference: "x",
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, more := header, ""
			if tt.header != "" {
				first = tt.header
				more = map[string]string{",type=Type": ",charge", ",status=Type": ",succeeded", ",created=Type": ",2026-11-22", ",fee=Type": ",0.10"}[tt.mapping]
			}
			lines := readAll(t, first+"a,12.50,USD"+more+"\n"+tt.line+"\nb,1.00,EUR"+more+"\n", mustFormat(t, mapping+tt.mapping))
			require.Equal(t, "a", lines[0].Reference)
			require.Empty(t, lines[0].Unreadable)
			require.Equal(t, int64(3), lines[1].Number)
			require.Contains(t, lines[1].Unreadable, tt.fault)
			require.Equal(t, tt.reference, lines[1].Reference)
			require.Zero(t, lines[1].moved())
			require.NotContains(t, lines[1].Unreadable, "4111")
			last := lines[len(lines)-1]
			require.Equal(t, "b", last.Reference)
			require.Empty(t, last.Unreadable)
			require.Equal(t, max(4, tt.next), last.Number)
		})
	}
}

func TestHalfALineAtTheEndIsUnreadable(t *testing.T) {
	for _, half := range []string{"b", "b,1.0", `b,"1.`, "b,1.00,\"EU"} {
		lines := readAll(t, header+"a,12.50,USD\n"+half, mustFormat(t, mapping))
		require.Len(t, lines, 2, half)
		require.Empty(t, lines[0].Unreadable)
		require.Equal(t, int64(3), lines[1].Number)
		require.NotEmpty(t, lines[1].Unreadable)
		require.Equal(t, "b", lines[1].Reference)
	}
}

// Nothing is compared if the header is not what the mapping says.
func TestWrongHeaderIsAnError(t *testing.T) {
	for name, tt := range map[string]struct{ file, want string }{
		"empty file":      {file: "", want: "the file is empty"},
		"only blanks":     {file: "\n \n", want: "the file is empty"},
		"missing column":  {file: "Order,Sum,Currency\na,1,USD\n", want: `line 1: no column "Amount" for amount: the file has "Order", "Sum", "Currency"`},
		"other delimiter": {file: "Order;Sum;Currency\na;1;USD\n", want: `line 1: no column "Amount" for amount: the file has "Order", "Sum", "Currency"`},
		"twice":           {file: "Order,Amount,Amount,Currency\n", want: `two columns "Amount" for amount`},
		"open quote":      {file: "Order,\"Amount,Currency\n", want: "the header has a quote that is not closed"},
		"UTF-16":          {file: "\xff\xfeO\x00r\x00", want: "the file is in UTF-16"},
		"huge":            {file: strings.Repeat("x", 1<<20), want: "the header, is longer than"},
		"no header":       {file: "4111111111111111,1.00,USD\n", want: `the file has (looks like a card number), "1.00", "USD"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewReader(strings.NewReader(tt.file), mustFormat(t, mapping))
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestValuesHaveTheirMeanings(t *testing.T) {
	f := mustFormat(t, "id=Id,payment=Payment,amount=Gross,currency=Currency,type=Type,status=Status,created=Created,fee=Fee,net=Net",
		"type:SALE=charge", "type:Pay=out=ignore", "status:SETTLED=succeeded")
	file := "Id,Payment,Gross,Currency,Type,Status,Created,Fee,Net\n" +
		"ch_1,,10.00,USD,Sale,settled,2026-11-22T08:00:00Z,0.30,9.70\n" +
		"re_1,ch_1,-4.00,USD,refund,succeeded,2026-11-22 10:00:00,,-4.00\n" +
		"po_1,,5.70,USD,pay=out,settled,2026-11-22,,\n" +
		"ch_2,,1.00,USD,charge,declined,1795338000,-0.10,\n"
	r, err := NewReader(strings.NewReader(file), f)
	require.NoError(t, err)
	at := func(hour int) time.Time { return time.Date(2026, 11, 22, hour, 0, 0, 0, time.UTC) }
	for _, want := range []Line{
		{Number: 2, ID: "ch_1", Amount: 1000, Currency: "USD", Status: payment.Succeeded, CreatedAt: at(8)},
		{Number: 3, ID: "re_1", PaymentID: "ch_1", Refund: true, Amount: 400, Currency: "USD", Status: payment.Succeeded, CreatedAt: at(10)},
		{Number: 5, ID: "ch_2", Amount: 100, Currency: "USD", Status: payment.Declined, CreatedAt: at(9)},
	} {
		line, err := r.Next(time.Time{}, time.Time{})
		require.NoError(t, err)
		require.Equal(t, want, line)
	}
	_, err = r.Next(time.Time{}, time.Time{})
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, []int64{4, 1, 0}, []int64{r.Lines, r.Ignored, r.Outside})
	require.Equal(t, []int64{20, 570}, []int64{r.fees["USD"], r.nets["USD"]})
	require.Equal(t, at(8), r.first)
}

func TestStripesReportIsRead(t *testing.T) {
	f, err := NewFormat("stripe", "", nil)
	require.NoError(t, err)
	lines := readAll(t, "balance_transaction_id,created_utc,currency,gross,fee,net,reporting_category,source_id,payment_intent_id\n"+
		"txn_1,2026-09-14 10:02:11,eur,600.00,8.70,591.30,charge,ch_1,pi_1\n"+
		"txn_2,2026-09-15 11:00:00,eur,-20.00,0.00,-20.00,refund,re_1,pi_1\n"+
		"txn_3,2026-09-16 00:00:00,eur,-571.30,0.00,-571.30,payout,po_1,\n", f)
	require.Equal(t, []Line{
		{Number: 2, ID: "ch_1", PaymentID: "pi_1", Amount: 60000, Currency: "EUR", CreatedAt: time.Date(2026, 9, 14, 10, 2, 11, 0, time.UTC)},
		{Number: 3, ID: "re_1", PaymentID: "pi_1", Refund: true, Amount: 2000, Currency: "EUR", CreatedAt: time.Date(2026, 9, 15, 11, 0, 0, 0, time.UTC)},
	}, lines)
}

func TestMappingIsChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		preset, mapping string
		values          []string
		want            string
	}{
		"empty":            {want: "the mapping lacks [amount currency]"},
		"no identity":      {mapping: "amount=a,currency=c", want: "the mapping lacks reference, id and payment"},
		"unknown field":    {mapping: "sum=a", want: `unknown field "sum": want one of [reference`},
		"no column":        {mapping: "amount", want: "want field=column"},
		"unknown preset":   {preset: "adyen", want: `preset "adyen": want one of [stripe]`},
		"removed column":   {preset: "stripe", mapping: "amount=", want: "the mapping lacks [amount]"},
		"value of another": {preset: "stripe", values: []string{"amount:a=charge"}, want: "only type and status have values"},
		"value of nothing": {preset: "stripe", values: []string{"SALE"}, want: "want type:VALUE=charge"},
		"wrong meaning":    {preset: "stripe", values: []string{"type:SALE=sale"}, want: "want charge, refund or ignore"},
		"wrong status":     {preset: "stripe", values: []string{"status:SALE=sold"}, want: "want a status after ="},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewFormat(tt.preset, tt.mapping, tt.values)
			require.ErrorContains(t, err, tt.want)
		})
	}
	f, err := NewFormat("stripe", "reference=Order", nil)
	require.NoError(t, err)
	require.Equal(t, "Order", f.Columns[FieldReference])
	require.Equal(t, "gross", f.Columns[FieldAmount])
	require.NotContains(t, Presets["stripe"].Columns, FieldReference, "the preset is not changed")
}

func TestTimesAreReadInTheirZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return parsed
	}
	for cell, want := range map[string][2]string{
		"2026-11-22T08:00:00Z":      {"2026-11-22T08:00:00Z", "2026-11-22T08:00:01Z"},
		"2026-11-22T08:00:00-05:00": {"2026-11-22T13:00:00Z", "2026-11-22T13:00:01Z"},
		"2026-11-22 08:00:00Z":      {"2026-11-22T08:00:00Z", "2026-11-22T08:00:01Z"},
		"2026-11-22 08:00:00":       {"2026-11-22T07:00:00Z", "2026-11-22T07:00:01Z"},
		"2026-11-22T08:00:00.5":     {"2026-11-22T07:00:00.5Z", "2026-11-22T07:00:01.5Z"},
		"2026-11-22 08:00":          {"2026-11-22T07:00:00Z", "2026-11-22T07:01:00Z"},
		"2026-10-25":                {"2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"}, // 25 hours
		"1795338000":                {"2026-11-22T09:00:00Z", "2026-11-22T09:00:01Z"},
	} {
		from, until, err := Format{Zone: berlin}.time(cell)
		require.NoError(t, err, cell)
		require.Equal(t, [2]time.Time{at(want[0]), at(want[1])}, [2]time.Time{from, until}, cell)
	}
	for _, cell := range []string{"", "22.11.2026", "11/22/2026", "2026-13-01", "1969-12-31", "0001-01-01T00:00:00Z", "179533800"} {
		_, _, err := Format{Zone: berlin}.time(cell)
		require.Error(t, err, cell)
	}
}
