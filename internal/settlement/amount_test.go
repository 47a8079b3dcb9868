package settlement

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAmountsAreReadExactly(t *testing.T) {
	us, german, minor := Format{Decimal: ".", Thousands: ","}, Format{Decimal: ",", Thousands: "."}, Format{Decimal: ".", Minor: true}
	plain, swiss, spaced := Format{Decimal: "."}, Format{Decimal: ".", Thousands: "'"}, Format{Decimal: ",", Thousands: " "}
	for name, tt := range map[string]struct {
		format         Format
		cell, currency string
		want           int64
		negative       bool
		fault          string
	}{
		"major units":                 {format: plain, cell: "12.50", currency: "USD", want: 1250},
		"no decimals":                 {format: plain, cell: "12", currency: "USD", want: 1200},
		"one decimal":                 {format: plain, cell: "12.5", currency: "USD", want: 1250},
		"blanks":                      {format: plain, cell: "  12.50\t", currency: "USD", want: 1250},
		"zeros beyond the decimals":   {format: plain, cell: "12.50000", currency: "USD", want: 1250},
		"three decimals":              {format: plain, cell: "1.234", currency: "BHD", want: 1234},
		"yen":                         {format: plain, cell: "1250", currency: "JPY", want: 1250},
		"yen with zeros":              {format: plain, cell: "1250.00", currency: "JPY", want: 1250},
		"no float would be exact":     {format: plain, cell: "9007199254.99", currency: "USD", want: 900719925499},
		"minus":                       {format: plain, cell: "-12.50", currency: "USD", want: 1250, negative: true},
		"minus at the end":            {format: plain, cell: "12.50-", currency: "USD", want: 1250, negative: true},
		"typographic minus":           {format: plain, cell: "\u221212.50", currency: "USD", want: 1250, negative: true},
		"parentheses":                 {format: plain, cell: "(12.50)", currency: "USD", want: 1250, negative: true},
		"plus":                        {format: plain, cell: "+12.50", currency: "USD", want: 1250},
		"thousands":                   {format: us, cell: "1,234,567.89", currency: "USD", want: 123456789},
		"thousands without separator": {format: us, cell: "1234567.89", currency: "USD", want: 123456789},
		"lakhs":                       {format: us, cell: "12,34,567.00", currency: "INR", want: 123456700},
		"German":                      {format: german, cell: "1.234,56", currency: "EUR", want: 123456},
		"Swiss":                       {format: swiss, cell: "1'234.55", currency: "CHF", want: 123455},
		"narrow no-break spaces":      {format: spaced, cell: "1\u202f234,56", currency: "EUR", want: 123456},
		"no-break spaces":             {format: spaced, cell: "1\u00a0234,56", currency: "EUR", want: 123456},
		"minor units":                 {format: minor, cell: "1250", currency: "USD", want: 1250},
		"negative minor units":        {format: minor, cell: "-1250", currency: "USD", want: 1250, negative: true},
		"the largest":                 {format: plain, cell: "9999999999.99", currency: "USD", want: 999_999_999_999},

		"empty":                          {format: plain, cell: " ", currency: "USD", fault: "is empty"},
		"only a sign":                    {format: plain, cell: "-", currency: "USD", fault: "is empty"},
		"two signs":                      {format: plain, cell: "--1", currency: "USD", fault: "is not an amount"},
		"rounded":                        {format: plain, cell: "12.505", currency: "USD", fault: "rounding it would change the sum"},
		"decimal comma for thousands":    {format: us, cell: "12,50", currency: "USD", fault: "between other groups than thousands"},
		"separator in a wrong place":     {format: us, cell: ",123", currency: "USD", fault: "between other groups than thousands"},
		"thousands that are not allowed": {format: plain, cell: "1,234.50", currency: "USD", fault: "is not an amount"},
		"two points":                     {format: plain, cell: "1.2.3", currency: "USD", fault: "is not an amount"},
		"exponent":                       {format: plain, cell: "1e3", currency: "USD", fault: "is not an amount"},
		"letters":                        {format: plain, cell: "12.50 USD", currency: "USD", fault: "is not an amount"},
		"other digits":                   {format: plain, cell: "١٢", currency: "USD", fault: "is not an amount"},
		"too large":                      {format: plain, cell: "10000000000.00", currency: "USD", fault: "too large"},
		"far too large":                  {format: minor, cell: "99999999999999999999999", currency: "USD", fault: "too large"},
		"minor units with decimals":      {format: minor, cell: "12.50", currency: "USD", fault: "want minor units"},
		"only a point":                   {format: plain, cell: ".50", currency: "USD", fault: "is not an amount"},
		"a card number":                  {format: plain, cell: "4111 1111 1111 1111", currency: "USD", fault: "(looks like a card number)"},
	} {
		t.Run(name, func(t *testing.T) {
			got, negative, err := tt.format.amount(tt.cell, tt.currency)
			if tt.fault != "" {
				require.ErrorContains(t, err, tt.fault)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.negative, negative)
		})
	}
}
