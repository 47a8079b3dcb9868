package payment

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// request is what a key can be derived for.
type request interface {
	ChargeRequest | RefundRequest
	content() string
}

// ContentKey derives an idempotency key from what a request asks for, for a caller that has no name of its own
// for the purchase or refund. Requests that are equal in everything but their idempotency key, and whose at lies
// in the same window, get the same key and so are one purchase; in another window they are another. Windows
// follow one another from 1970-01-01T00:00:00Z on, each of the given length: whole seconds, at least one.
//
// A key of the caller's own is better, because content and time can only guess what is meant, and both guesses
// cost money. Two customers' clicks that ask for exactly the same within one window are charged once. One click
// that is tried again is charged twice when the window's edge lies between the two, be they a millisecond apart:
// with at as the time of each try, that happens to about one retry in window/delay. There are two ways to make
// retries safe. Either keep the key and send it again, whatever the time is. Or let at be the time of the
// purchase, stored with it, and not of the try: then the key is the same for ever.
//
// The key is "auto-" and a UUID: nothing of the content can be read from it, but, like a Fingerprint, it
// confirms a guess of all the content and the time. So do not show the key of a request that does not pass
// Validate: it may hold a card number.
func ContentKey[R request](req R, at time.Time, window time.Duration) (string, error) {
	if window < time.Second || window%time.Second != 0 {
		return "", fmt.Errorf("window %s: want whole seconds, at least 1s", window)
	}
	if at.IsZero() {
		// Forgotten, it would put all purchases of all times into one window.
		return "", errors.New("the time is missing: want that of the purchase")
	}
	length := int64(window / time.Second)
	// The length is part of the name: windows of different lengths overlap, and yet may have one number.
	return "auto-" + derive("content-key", req.content(), strconv.FormatInt(length, 10),
		strconv.FormatInt(floorDiv(at.Unix(), length), 10)), nil
}

// content is the fingerprint of the request without its key. No request that passes Validate has it.
func (r ChargeRequest) content() string {
	r.IdempotencyKey = ""
	return r.Fingerprint()
}

func (r RefundRequest) content() string {
	r.IdempotencyKey = ""
	return r.Fingerprint()
}

// floorDiv rounds down also before 1970, where Go rounds up: the windows around it would be one.
func floorDiv(a, b int64) int64 {
	if a%b < 0 {
		return a/b - 1
	}
	return a / b
}
