package simulator

// The tokens: how a fault is asked for. A charge does what its card_token says; a capture, a void or a refund does what
// the token says that paid the payment.

// Token is one row of the table, for those who show or walk it.
type Token struct {
	Name  string
	Scope string // "charge", "capture" (and void) or "refund": which call is faulty; the other ones just succeed
	Does  string
	Ends  string // the status, in Florin's words, at which a correct client ends the payment (scope capture: once it was asked to capture; scope refund: the refund)
}

const (
	scopeCharge  = "charge"
	scopeCapture = "capture" // and void
	scopeRefund  = "refund"
)

// row is a token and what makes it so: script is what callers meet on POST, books what the ledger gets.
type row struct {
	Token
	script script
	books  booking
	hidden int  // so many lookups by reference do not find it yet
	lost   bool // every lookup fails; only GET /ledger knows
}

// booking is what an execution puts into the ledger. The zero value is a plain success.
type booking struct {
	status        string         // "": succeeded, or authorized where the charge is not to be captured
	settlesTo     string         // what status becomes after Options.PendingFor; "" is final
	declineCode   string         // with status or settlesTo declined
	declineKind   string         // hard, soft or action, of a charge
	declineStatus int            // HTTP status of a decline; 200 answers with the payment, others with an error
	alters        func(*payment) // a processor that books something else than it was asked for
	spelling      string         // how the status succeeded is written
}

// Tokens is the table of tokens, in the order to read it.
func Tokens() []Token {
	tokens := make([]Token, len(rows))
	for i, r := range rows {
		tokens[i] = r.Token
	}
	return tokens
}

var rowsByName = func() map[string]row {
	byName := make(map[string]row, len(rows))
	for _, r := range rows {
		byName[r.Name] = r
	}
	return byName
}()

// rowFor returns how token behaves in a call of that scope. A token of another scope behaves well. Only an unknown
// one is not ok.
func rowFor(token, scope string) (r row, ok bool) {
	r, ok = rowsByName[token]
	if ok && r.Scope != scope {
		return row{Token: r.Token}, true
	}
	return r, ok
}
