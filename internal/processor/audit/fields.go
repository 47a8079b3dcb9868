package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/florinpay/florin/internal/sensitive"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Fields are the fields of the bodies of one processor whose values are written, by path. A nil *Fields has none. Fields are safe
// for concurrent use.
type Fields struct{ root node }

// node is one position in a body.
type node struct {
	// shape is the form of the values that are written here; nil if none are.
	shape func(text string) bool
	// fields are the nodes inside an object, element that of every element of an array. A value for which there is no node below
	// is masked as a whole.
	fields  map[string]*node
	element *node
	// metadata is true if the only fields that are written are Florin's own. Then customers of the merchant choose the other
	// names, which are masked, too.
	metadata bool
}

// NewFields returns the fields that an adapter or a configuration names, see [processor.Profile.Audited]. Of a path that occurs
// more than once, the last shape counts. It returns an error, which names the path, for a path that is malformed or leads through
// a field that is never written, and for an unknown shape.
func NewFields(lists ...map[string]processor.Shape) (*Fields, error) {
	f := &Fields{}
	for _, list := range lists {
		for _, path := range slices.Sorted(maps.Keys(list)) {
			fits, ok := shapes[list[path]]
			if !ok {
				return nil, fmt.Errorf("%q has the shape %q: want %s", path, list[path], shapeNames)
			}
			at, err := f.root.at(path)
			if err != nil {
				return nil, err
			}
			at.shape = fits
		}
	}
	f.root.markMetadata()
	return f, nil
}

// at returns the node at a path, and adds it if it does not exist.
func (n *node) at(path string) (*node, error) {
	for i, part := range strings.Split(path, ".") {
		name := strings.TrimRight(part, "[]")
		brackets := part[len(name):]
		arrays := strings.Count(brackets, "[]")
		switch {
		case len(brackets) != 2*arrays, name == "" && (i > 0 || arrays == 0), strings.Trim(name, nameCharacters) != "":
			return nil, fmt.Errorf("%q is not a path: want names of letters, digits, _ and -, separated by dots, "+
				"with [] after that of an array, such as data[].id", path)
		case isClosed(name):
			return nil, fmt.Errorf("%q: %s is never written, nor is anything in it: it may identify a card, an account or a person",
				path, name)
		}
		if name != "" {
			if n.fields[name] == nil {
				if n.fields == nil {
					n.fields = map[string]*node{}
				}
				n.fields[name] = &node{}
			}
			n = n.fields[name]
		}
		for range arrays {
			if n.element == nil {
				n.element = &node{}
			}
			n = n.element
		}
	}
	return n, nil
}

const nameCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

func (n *node) markMetadata() {
	n.metadata = len(n.fields) > 0
	for name, inside := range n.fields {
		n.metadata = n.metadata && strings.HasPrefix(name, payment.ReservedMetadataPrefix)
		inside.markMetadata()
	}
	if n.element != nil {
		n.element.markMetadata()
	}
}

// inside returns the node of a field, nil if nothing of it is written, and whether its name is written.
func (n *node) inside(name, key string) (field *node, nameAllowed bool) {
	if field = n.fields[name]; field != nil {
		return field, true
	}
	return nil, !n.metadata && isIdentifier(name) && !sensitive.Contains(name, key)
}

// writes reports whether a text may be written at this node.
func (n *node) writes(text, key string) bool {
	return n != nil && n.shape != nil && (text == "" || n.shape(text) && !sensitive.Contains(text, key))
}

// maxNameDigits is how many digits the name of a field may have, such as address_line1 or sha256.
const maxNameDigits = 4

// isIdentifier reports whether a name looks like a field of a protocol. Any other name may itself be content, for example
// the key of a map by card number.
func isIdentifier(name string) bool {
	digits := 0
	for _, c := range []byte(name) {
		switch {
		case isDigit(c):
			digits++
		case c != '_' && (c < 'a' || c > 'z'):
			return false
		}
	}
	return name != "" && len(name) <= 40 && digits <= maxNameDigits
}

// isClosed reports whether a field is never written, and never entered: it is known to contain what identifies a card, an account
// or a person, or what is secret. The name may be written in any case, with any separators: cardNumber, card_number, CARD-NUMBER.
func isClosed(name string) bool {
	var words []string
	start := 0
	for i, c := range name {
		switch {
		case c == '_' || c == '-':
			words = append(words, name[start:i])
			start = i + 1
		case i > start && unicode.IsUpper(c) && unicode.IsLower(rune(name[i-1])):
			words = append(words, name[start:i])
			start = i
		}
	}
	words = append(words, name[start:])
	if slices.ContainsFunc(words, func(word string) bool { return closed[strings.ToLower(word)] }) {
		return true
	}
	return closed[strings.ToLower(strings.Join(words, ""))]
}

// closed are words of names, and whole names without their separators.
var closed = func() map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(`
		card cards cardnumber cardholder cardholdername holder holdername pan cvc cvc2 cvv cvv2 cvn csc securitycode pin
		expiry expiration exp track track1 track2 cryptogram fingerprint
		number account accounts accountnumber iban bic bank routing routingnumber sortcode wallet
		source paymentmethod paymentmethoddata paymentmethodoptions paymentmethoddetails paymentinstrument
		customer customers payer payee cardowner billing shipping name names firstname lastname fullname surname
		email emails emailaddress mail phone phones phonenumber msisdn address addresses street zip postcode postalcode
		birth birthdate birthday dob dateofbirth ssn passport tax taxid nationalid ip ipaddress device
		password passwd passphrase secret secrets token tokens key keys apikey credential credentials authorization signature nonce`) {
		set[name] = true
	}
	return set
}()
