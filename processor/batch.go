package processor

import "context"

// Batcher is a [Processor] whose protocol takes several charges in one request. It is optional, and is used only for processors
// whose configuration turns it on (batch).
type Batcher interface {
	Processor
	// ChargeBatch makes the charges in one request, or in a few if one would be too large, each under its own Key and as
	// [Processor.Charge] would make it. It returns one item for each call, in the order of the calls, whose keys differ. Of a
	// request that failed as a whole, each item has the error: after a lost response, each charge may have been executed. So may
	// one whose item the response lacks. It is safe to repeat with any of the calls, also by Charge.
	ChargeBatch(ctx context.Context, calls []ChargeCall) []BatchItem
}

// BatchItem is the outcome of one charge of a batch.
type BatchItem struct {
	Result Result
	// Err is nil if there is a result.
	Err *Error
}

// BatchClient is a [Client] that can send several calls in one request. That of a worker is one.
type BatchClient interface {
	Client
	// DoBatch sends the parts of the batch in one request, which counts as one call for the rate limit. A part that must not be
	// sent, such as one whose key has expired, gets its own error, and the others are sent. DoBatch returns one answer for each
	// part, in their order. What the response to a part proves about money is decided as for a call of its own. Of a request
	// without a valid response, each part has the error; a part that the response lacks is ambiguous. DoBatch makes one attempt.
	DoBatch(ctx context.Context, batch BatchCall) []BatchAnswer
}

// BatchCall is one HTTP request with several calls in it.
type BatchCall struct {
	// Path is that of the request, as in [Call]. It is a POST.
	Path string
	// Parts are calls that move money, each as it would be sent on its own: with its Key, Operation, PaymentID, Body and Decode.
	// Their keys differ.
	Parts []Call
	// Encode returns the body of the request with these parts, which are those of Parts that may be sent.
	Encode func(parts []Call) ([]byte, error)
	// Decode reads the response to the request, which is a success: the responses to its parts, by their keys, each with Status,
	// Body and Header as if the part had been sent on its own. If it returns an error, the response is malformed and each part
	// ambiguous.
	Decode func(body []byte) (map[string]Answer, error)
}

// BatchAnswer is the answer to one part of a batch. Err is an [*Error], or nil for a success or a decline, as with [Client.Do].
type BatchAnswer struct {
	Answer Answer
	Err    error
}
