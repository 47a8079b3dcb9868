package audit

import (
	"strings"
	"time"

	"github.com/florinpay/florin/processor"
)

// shapes are the forms of values that may be written. None of them has room for a sentence, an address or a card number, and
// no text that fits one needs an escape sequence in JSON.
var shapes = map[processor.Shape]func(text string) bool{
	processor.ShapeID:       isID,
	processor.ShapeCode:     isCode,
	processor.ShapeAmount:   isAmount,
	processor.ShapeCurrency: isCurrency,
	processor.ShapeTime:     isTime,
	processor.ShapeBool:     func(text string) bool { return text == "true" || text == "false" },
}

const shapeNames = "id, code, amount, currency, time or bool"

const (
	maxID   = 128
	maxCode = 64
	// maxAmountDigits is less than the digits of any card number.
	maxAmountDigits = 12
	// maxCodeDigits is the longest number within a code. A longer one may be a part of a card number or a one-time password.
	maxCodeDigits = 5
)

// isID reports whether text can be an id that a processor assigns: letters, digits and _ - . : =, at least one of them a digit.
func isID(text string) bool {
	return len(text) <= maxID && strings.ContainsAny(text, "0123456789") && consistsOf(text, "_-.:=") && !isIBAN(text)
}

// isCode reports whether text can be one of the codes that a processor documents: letters, digits and _ - . without long numbers.
func isCode(text string) bool {
	return text != "" && len(text) <= maxCode && consistsOf(text, "_-.") && longestNumber(text) <= maxCodeDigits && !isIBAN(text)
}

// consistsOf reports whether text has only letters, digits and separators. Digits that are grouped, without any letter, such as
// those of a date, an IP address, a phone number or a social security number, do not count.
func consistsOf(text, separators string) bool {
	digits, letters := 0, 0
	for _, c := range []byte(text) {
		switch {
		case isDigit(c):
			digits++
		case 'a' <= c|0x20 && c|0x20 <= 'z':
			letters++
		case strings.IndexByte(separators, c) < 0:
			return false
		}
	}
	return letters > 0 || digits == 0 || digits == len(text)
}

// isAmount reports whether text is an integer that is no longer than an amount in minor units can be.
func isAmount(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	return digits != "" && len(digits) <= maxAmountDigits && longestNumber(digits) == len(digits)
}

// isCurrency reports whether text is written like a code of ISO 4217, in any case.
func isCurrency(text string) bool {
	for _, c := range []byte(text) {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return len(text) == len("USD")
}

// Times in seconds and milliseconds since 1970 have to be between 2000 and 2100.
const (
	year2000 = 946_684_800
	year2100 = 4_102_444_800
)

// isTime reports whether text is a time of RFC 3339, or a number of seconds or milliseconds since 1970.
func isTime(text string) bool {
	if longestNumber(text) < len(text) {
		_, err := time.Parse(time.RFC3339, text)
		return err == nil
	}
	if len(text) > len("4102444800000") {
		return false
	}
	var number int64
	for _, c := range []byte(text) {
		number = 10*number + int64(c-'0')
	}
	return year2000 <= number && number < year2100 || 1000*year2000 <= number && number < 1000*year2100
}

// isIBAN reports whether text is an international bank account number: a country, two check digits, and up to 30 letters and
// digits.
func isIBAN(text string) bool {
	if len(text) < 15 || len(text) > 34 {
		return false
	}
	remainder := 0
	for i := range len(text) {
		c := text[(i+4)%len(text)]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if at := (i + 4) % len(text); !letter && !isDigit(c) || at < 2 && !letter || at >= 2 && at < 4 && letter {
			return false
		}
		if letter {
			remainder = (100*remainder + int(c|0x20-'a') + 10) % 97
		} else {
			remainder = (10*remainder + int(c-'0')) % 97
		}
	}
	return remainder == 1
}

// longestNumber returns the length of the longest sequence of digits.
func longestNumber(text string) (longest int) {
	run := 0
	for _, c := range []byte(text) {
		if !isDigit(c) {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
