package payment

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// request is a request for which an idempotency key can be derived.
type request interface {
	ChargeRequest | RefundRequest
	content() string
}

// ContentKey derives an idempotency key from the content of a request and a time window, for a caller that has no name of its own
// for the purchase or refund. Two requests get the same key, and so are the same purchase, if they are equal in everything but
// their idempotency key, and their times at are in the same window. Windows follow each other from 1970-01-01T00:00:00Z on. Each
// has the length window: whole seconds, at least one.
//
// A key of the caller's own is better, because ContentKey can only guess what the caller means. Both wrong guesses cost money:
//
//   - Two customers who order exactly the same within one window are charged once.
//   - A retry is charged again if a window ends between the first call and the retry, even if they are a millisecond apart. If at
//     is the time of each call, a window ends between the two with the probability delay/window, where delay is the time between
//     them: with a window of 10 minutes and a delay of 6 seconds, for one retry in 100.
//
// There are two ways to make a retry safe. Either store the key and send it again at any time. Or pass the time of the purchase,
// stored with it, instead of the time of the call: then the key is always the same.
//
// The key is "auto-" and a UUID of version 5. The content cannot be read from it but, as with [ChargeRequest.Fingerprint], the
// key confirms a correct guess of the whole content and the time. Do not publish the key of a request that does not pass
// Validate: the request may contain a card number.
func ContentKey[R request](req R, at time.Time, window time.Duration) (string, error) {
	if window < time.Second || window%time.Second != 0 {
		return "", fmt.Errorf("window %s: want whole seconds, at least 1s", window)
	}
	if at.IsZero() {
		// A caller that forgets the time would get the same key for equal purchases forever.
		return "", errors.New("the time is missing: want the time of the purchase")
	}
	length := int64(window / time.Second)
	// The length is part of the derived name: windows of different lengths overlap, but may have the same number.
	return "auto-" + derive("content-key", req.content(), strconv.FormatInt(length, 10),
		strconv.FormatInt(floorDiv(at.Unix(), length), 10)), nil
}

// content returns the fingerprint of the request without its key. It differs from that of every request that passes Validate.
func (r ChargeRequest) content() string {
	r.IdempotencyKey = ""
	return r.Fingerprint()
}

func (r RefundRequest) content() string {
	r.IdempotencyKey = ""
	return r.Fingerprint()
}

// floorDiv returns a/b rounded down. Go rounds toward zero, which would join the windows before and after 1970.
func floorDiv(a, b int64) int64 {
	if a%b < 0 {
		return a/b - 1
	}
	return a / b
}
