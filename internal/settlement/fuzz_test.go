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

// Whatever a file contains, each of its lines is read, skipped or unreadable, in order, and nothing that is said about it is a card number.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"", "\ufeff" + header, header + "a,12.50,USD\r\nb,1.00,EUR\r\n", header + "a,\"12.50\n\",USD\n", header + "a,\"1,234.50\",USD\n",
		header + "a,12.50,XXY\n", "Order,Sum\n", header + "a,12.5", header + "a,\"12.", header + "a,-12.50,USD\n", header + "a,1\x00,USD\n",
		header + "4111111111111111,4111 1111 1111 1111,USD\n", header + "a,\"1\"x,USD\nb,\"1,USD\nc,2,USD\n", "Order;Amount;Currency\na;1.234,50;EUR\n",
		header + strings.Repeat("a", 300) + ",1,USD\n", "\xff\xfe", header + "a,١٢,USD\n", header + "a,(1.00),USD\na,1.00-,USD\n",
	} {
		f.Add(seed)
	}
	format, err := NewFormat("", mapping, nil)
	require.NoError(f, err)
	format.Thousands = ","
	f.Fuzz(func(t *testing.T, file string) {
		r, err := NewReader(strings.NewReader(file), format)
		if err != nil {
			return
		}
		last, lines := int64(1), int64(0)
		for {
			line, err := r.Next(time.Time{}, time.Time{})
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			lines++
			require.Greater(t, line.Number, last)
			require.GreaterOrEqual(t, line.Amount, int64(0))
			require.LessOrEqual(t, line.Amount, payment.MaxAmount)
			require.False(t, payment.ContainsCardNumber(line.Unreadable), line.Unreadable)
			if line.Unreadable == "" {
				_, err := payment.Exponent(line.Currency)
				require.NoError(t, err)
				require.NotEmpty(t, line.Reference)
			}
			last = line.Number
		}
		require.Equal(t, r.Lines, lines)
		require.LessOrEqual(t, last, int64(strings.Count(file, "\n"))+1)
	})
}
