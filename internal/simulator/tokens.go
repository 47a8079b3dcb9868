package simulator

import "github.com/florinpay/florin/internal/simulator/tokens"

// The tokens, which select the faults. A charge behaves as its card_token describes. A capture, void or refund behaves
// as the token of its charge describes.

// Token is one row of the table of tokens.
type Token = tokens.Token

const (
	scopeCharge  = tokens.Charge
	scopeCapture = tokens.Capture // includes void
	scopeRefund  = tokens.Refund
)

// behavior is a token with what it does: script decides the faults of POST requests, effect what the ledger records.
type behavior struct {
	Token
	script        script
	effect        effect
	hiddenLookups int  // number of first lookups by reference that do not find the payment
	hiddenStatus  int  // HTTP status of these lookups; 0 responds with an empty list
	lookupsFail   bool // every lookup responds 500; only GET /ledger shows the payment or refund
}

// effect is what an execution records in the ledger. The zero value is a plain success.
type effect struct {
	status          string         // "" means succeeded, or authorized for a charge without capture
	later           []string       // changes, one after each Options.PendingFor: a status, or refundedElsewhere
	open            bool           // while the payment is declined, the customer can still pay it
	declineCode     string         // if status or one of later is declined
	declineKind     string         // hard, soft or action; charges only
	declineStatus   int            // HTTP status of a decline: 200 responds with the payment, others with an error
	alter           func(*payment) // changes the payment to something that was not requested
	successSpelling string         // written in responses in place of succeeded
}

// Tokens returns the table of tokens in its documented order.
func Tokens() []Token { return tokens.All() }

var behaviorByToken = func() map[string]behavior {
	byName := make(map[string]behavior, len(behaviors))
	for _, b := range behaviors {
		byName[b.Name] = b
	}
	return byName
}()

// behaviorFor returns the behavior of a token in an operation of the given scope. In an operation of another scope the
// token has no faults. It reports whether the token is known.
func behaviorFor(token, scope string) (b behavior, known bool) {
	b, known = behaviorByToken[token]
	if known && b.Scope != scope {
		return behavior{Token: b.Token}, true
	}
	return b, known
}
