package webhook

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// claim is what a header says, before anything of it is believed.
type claim struct {
	timestamp  string // as it was written: it is part of what was signed
	signedAt   time.Time
	signatures [][]byte
}

// parse reads t=<unix>,v1=<hex>,… with the elements in any order. It is as strict as what Stripe writes, but for
// the elements of schemes that we do not know: those are skipped, or a new scheme would stop us, and never
// believed, or an attacker would choose the weakest.
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
		if !ok || !isName(name) {
			return c, fmt.Errorf("%w: want elements of the form name=value with commas between them", ErrMalformed)
		}
		switch name {
		case "t":
			if c.timestamp != "" {
				return c, fmt.Errorf("%w: more than one t", ErrMalformed)
			}
			// 40 bits last for 30000 years and leave no room for an overflow.
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
				return c, fmt.Errorf("%w: v1 is not 64 hexadecimal digits in lower case", ErrMalformed)
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

// isName catches a t or v1 with a space or in upper case, which would pass as an unknown scheme.
func isName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != ""
}
