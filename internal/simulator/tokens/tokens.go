// Package tokens has the table of the payment-method tokens that the simulated processor knows. It is data without behavior, and the
// package has no dependencies: package simulator serves the tokens, and package florintest reports their outcomes.
package tokens

import "slices"

// The operations that are special for a token.
const (
	Charge  = "charge"
	Capture = "capture" // includes void
	Refund  = "refund"
)

// Token is one row of the table of tokens.
type Token struct {
	Name        string
	Scope       string // the operation that is special: Charge, Capture or Refund; the others succeed
	Description string
	// ExpectedStatus is the status that a correct client reports in the end, in package payment's terms: of the payment
	// with scope Charge, of the payment after a capture with scope Capture, of the refund with scope Refund.
	ExpectedStatus string
	// FirstStatus is the status that the processor responds with first, if it decides only later.
	FirstStatus string
	// DeclineCode and DeclineKind are set if the operation is declined, now or later. A refund has no kind.
	DeclineCode, DeclineKind string
}

// All returns the table in its documented order.
func All() []Token { return slices.Clone(table) }

// Find returns the token with a name. It reports whether there is one.
func Find(name string) (t Token, known bool) {
	t, known = byName[name]
	return t, known
}

var byName = func() map[string]Token {
	m := make(map[string]Token, len(table))
	for _, t := range table {
		m[t.Name] = t
	}
	return m
}()
