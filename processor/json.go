package processor

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// DecodeJSON reads the JSON of a processor into v. Adapters use it for the bodies of responses and of events, because
// encoding/json reads a body in more ways than one: it takes "ID" for "id", and of a name that appears twice the last value.
//
// DecodeJSON is strict: names are case-sensitive, a name that appears twice in an object is an error, and so are invalid UTF-8,
// text after the value, and a number with a fraction or an exponent for an integer. Names that v does not have are ignored, so
// that a processor may add some. A null leaves the zero value. The error does not quote the body.
func DecodeJSON(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	var syntax *jsontext.SyntacticError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jsontext.ErrDuplicateName):
		return errors.New("the JSON has a name twice in one object")
	case errors.As(err, &syntax):
		return errors.New("the body is not one complete JSON value in UTF-8")
	default:
		return errors.New("the JSON has a value of another type than documented")
	}
}
