package webhook

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// claim is a parsed header that is not verified.
type claim struct {
	timestamp  string // as written, without blanks around it, because it is part of the signed text
	signedAt   time.Time
	signatures [][]byte
}

// blanks are the optional white space of an HTTP header (RFC 9110 section 5.6.3).
const blanks = " \t"

// parse parses t=<unix>,v1=<hex>,… with the elements in any order. Blanks around the elements, names and values are ignored: other
// senders and proxies write lists with them. Apart from that, parse accepts only what Stripe writes. Elements of unknown
// schemes are ignored: rejecting them would break Florin when Stripe adds a scheme, and trusting them would let an attacker
// choose the weakest scheme.
func parse(header string) (claim, error) {
	var c claim
	if header == "" {
		return c, fmt.Errorf("%w: the header is missing or empty", ErrNoSignature)
	}
	if len(header) > maxHeader {
		return c, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(header), maxHeader)
	}
	for element := range strings.SplitSeq(header, ",") {
		name, value, ok := strings.Cut(element, "=")
		name, value = strings.Trim(name, blanks), strings.Trim(value, blanks)
		if !ok || !isName(name) {
			return c, fmt.Errorf("%w: want elements of the form name=value, separated by commas", ErrMalformed)
		}
		switch name {
		case "t":
			if c.timestamp != "" {
				return c, fmt.Errorf("%w: more than one t", ErrMalformed)
			}
			// 40 bits are enough for more than 30,000 years and cannot overflow an int64.
			seconds, err := strconv.ParseUint(value, 10, 40)
			if err != nil || strconv.FormatUint(seconds, 10) != value {
				return c, fmt.Errorf("%w: t is not a time in Unix seconds", ErrMalformed)
			}
			c.timestamp, c.signedAt = value, time.Unix(int64(seconds), 0)
		case "v1":
			if len(c.signatures) == maxSignatures {
				return c, fmt.Errorf("%w: more than %d signatures", ErrMalformed, maxSignatures)
			}
			signature, err := hex.DecodeString(value)
			if err != nil || len(value) != 64 || value != strings.ToLower(value) {
				return c, fmt.Errorf("%w: v1 is not 64 lower-case hexadecimal digits", ErrMalformed)
			}
			c.signatures = append(c.signatures, signature)
		}
	}
	if len(c.signatures) == 0 {
		return c, fmt.Errorf("%w: the header has no v1", ErrNoSignature)
	}
	if c.timestamp == "" {
		return c, fmt.Errorf("%w: the header has no t", ErrMalformed)
	}
	return c, nil
}

// isName reports whether s may be the name of an element. A t or v1 with a space in it or in upper case is not a name: otherwise
// it would be ignored as an unknown scheme.
func isName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != ""
}
