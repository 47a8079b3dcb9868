package config

import (
	"errors"
	"regexp"

	"github.com/florinpay/florin/internal/sensitive"
)

// withhold returns the problem without what looks like a secret in it: an operator may have written one where it does not belong.
func withhold(problem error) error {
	text := words.ReplaceAllStringFunc(problem.Error(), func(word string) string {
		if sensitive.Text(word) {
			return "…"
		}
		return word
	})
	if text == problem.Error() {
		return problem
	}
	return errors.New(text + " (what looks like a secret is not shown)")
}

// words are what white space and quotation marks separate.
var words = regexp.MustCompile("[^\\s\"'`]+")
