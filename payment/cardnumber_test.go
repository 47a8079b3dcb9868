package payment

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// testCards are test numbers that card networks and processors have published.
var testCards = []string{
	"4111111111111111", "4242424242424242", "4012888888881881", "4000056655665556", "4222222222222", // Visa
	"5555555555554444", "5105105105105100", "2223003122003222", "2223000048400011", "5200828282828210", // Mastercard
	"378282246310005", "371449635398431", "378734493671000", "341111111111111", // American Express
	"6011111111111117", "6011000990139424", "6445644564456445", // Discover
	"30569309025904", "38520000023237", "36227206271667", "3056930009020004", // Diners Club
	"3530111333300000", "3566002020360505", // JCB
	"6200000000000005", "6200000000000047", "6205500000000000004", // UnionPay
	"6759649826438453", "5018000000000009", // Maestro
	"2200000000000004", // Mir
}

// grouped returns the digits in groups of four, or in the groups of an American Express card, with sep between them.
func grouped(digits, sep string) string {
	if len(digits) == 15 {
		return digits[:4] + sep + digits[4:10] + sep + digits[10:]
	}
	var groups []string
	for ; len(digits) > 4; digits = digits[4:] {
		groups = append(groups, digits[:4])
	}
	return strings.Join(append(groups, digits), sep)
}

func TestPublishedTestCardsAreDetected(t *testing.T) {
	for _, card := range testCards {
		t.Run(card, func(t *testing.T) {
			for _, written := range []string{card, grouped(card, " "), grouped(card, "-"), grouped(card, "  "), grouped(card, " - ")} {
				require.True(t, LooksLikeCardNumber(written), written)
				for _, text := range []string{
					"%s", "card %s", "%s is my card", "(%s)", "tok_%s", "card%sx", "pan=%s;", "für €%s!", "%s.", "\"%s\"\n",
					// Digits next to the number, such as an expiry date or the number of an order.
					"%s 12/27", "%s 12 27 123", "%s-123", "order 12 %s", "2026 %s", "7-%s-7", "0000 %s",
				} {
					require.True(t, ContainsCardNumber(fmt.Sprintf(text, written)), text, written)
				}
			}
		})
	}
}

// separators are what may stand between the groups of a card number.
var separators = []string{
	" ", "-", "  ", " - ", ".", "_", "/", ",", ", ", "\t", "\n", "\r\n", "\u00a0", "\u202f", "\u2013", "\u2212", "\u200b", "\u00ad", "+", "][", "|", "*",
}

// scripts are the digits of some scripts, and those of ASCII.
var scripts = []string{"0123456789", "０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗", "𝟶𝟷𝟸𝟹𝟺𝟻𝟼𝟽𝟾𝟿"}

// inScript returns a text with the digits of a script.
func inScript(text, script string) string {
	digits := []rune(script)
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && isDigit(byte(r)) {
			return digits[r-'0']
		}
		return r
	}, text)
}

func TestCardNumbersAreDetectedInEveryGroupingAndScript(t *testing.T) {
	for _, card := range testCards {
		for _, separator := range separators {
			for _, script := range scripts {
				written := inScript(grouped(card, separator), script)
				require.True(t, LooksLikeCardNumber(written), "%q", written)
				for _, text := range []string{"%s", "card %s", "tok_%s", "%s" + separator + "27", "(%s)"} {
					require.True(t, ContainsCardNumber(fmt.Sprintf(text, written)), text, "%q", written)
				}
			}
		}
	}
	for _, written := range []string{
		"41 11 11 11 11 11 11 11", "4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1", "4\u200b1\u200b11 1111 1111 1111", // blanks and dashes
		"411111/1111111111", "4111.1111,1111/1111", "4111 1111.1111_1111", "4.111111111111111e+15", "4111\xff1111\xff1111\xff1111",
	} {
		require.True(t, ContainsCardNumber(written), "%q", written)
	}
}

// The value of a digit is computed from its place in its script.
func TestDigitsOfEveryScriptAreRead(t *testing.T) {
	for _, r := range unicode.Nd.R16 {
		require.Zero(t, (r.Hi-r.Lo+1)%10, "%x", r.Lo)
	}
	for _, r := range unicode.Nd.R32 {
		require.Zero(t, (r.Hi-r.Lo+1)%10, "%x", r.Lo)
	}
	for _, script := range scripts {
		for i, r := range []rune(script) {
			digit, ok := digitOf(r)
			require.True(t, ok)
			require.Equal(t, byte('0'+i), digit, string(r))
		}
	}
	for _, r := range "a-é²①Ⅳ\u00a0" {
		_, ok := digitOf(r)
		require.False(t, ok, string(r))
	}
}

func TestOtherNumbersAreNotTakenForCardNumbers(t *testing.T) {
	for _, s := range []string{
		"", " ", "-", "tok_visa", "tok_1MqLiJ2eZvKYlo2C", "pm_card_visa", "card_9f8e7d", "4111", "411111111111",
		"4111111111111112",                                   // fails the Luhn check
		"41111111111111111111",                               // 20 digits
		"1767225600", "1767225600123", "1767225600123456789", // Unix seconds, milliseconds, nanoseconds
		"order-0012345678", "INV-2026-000123", "2026-01-15T12:30:45Z", "+49 30 901820", "10.0.0.255",
		"9f4d2a10-41e8-4a6b-9b1e-0a2b3c4d5e6f",
		"4111111111111111" + "abcdefabcdefabcd", // a hash
		"41111111-1111-1111-aaaa-aaaaaaaaaaaa",  // a UUID
	} {
		require.False(t, ContainsCardNumber(s), s)
		require.False(t, LooksLikeCardNumber(s), s)
	}
}

func TestListsOfPricesDatesAndAddressesAreNotTakenForCardNumbers(t *testing.T) {
	for i := range 1000 {
		for _, format := range []string{
			"50.%02d, 51.25, 60.00, 12.50", "4,%02d + 4,99 + 5,49 + 36,50 + 3,99", "30.12.2026 %06d", "30/12/2026, %06d", "36/2026, 15.01.2026, %d",
			"52.14.123.200, 10.0.%d.255", "4.12.%d.4567.89012", "4111:1111:1111:%04d",
		} {
			require.False(t, ContainsCardNumber(fmt.Sprintf(format, i)), format, i)
		}
	}
}

func TestDatesInOrderNumbersAreNotTakenForCardNumbers(t *testing.T) {
	// 14 to 17 digits that begin with 2. One in ten has a valid check digit.
	for i := range 1000 {
		for _, format := range []string{"20260115%06d", "20260115-%06d", "2026-01-15 %06d", "20261231%09d", "2019-12-31-%05d"} {
			require.False(t, ContainsCardNumber(fmt.Sprintf(format, i*977%100_000)), format, i)
		}
	}
}

// Callers use such ids as idempotency keys.
func TestUUIDsAndHashesAreNeverTakenForCardNumbers(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	for range 50_000 {
		id, err := uuid.NewRandomFromReader(random)
		require.NoError(t, err)
		require.False(t, ContainsCardNumber("order_"+id.String()+".1"))
		require.False(t, ContainsCardNumber(strings.ReplaceAll(id.String(), "-", "")))
		require.False(t, ContainsCardNumber(fmt.Sprintf("%x", sha256.Sum256(id[:]))))
	}
}

func FuzzContainsCardNumber(f *testing.F) {
	f.Add("pay ", " 12/27")
	f.Add("1", "2")
	f.Fuzz(func(t *testing.T, before, after string) {
		_ = ContainsCardNumber(before + after)
		_ = LooksLikeCardNumber(before + after)
		// Digits directly before or after the number are part of it, and a hash around it hides it.
		if strings.ContainsAny(before+after, "abcdefABCDEF") || strings.ContainsFunc(before+after, unicode.IsDigit) {
			return
		}
		require.True(t, ContainsCardNumber(before+"4111111111111111"+after))
	})
}
