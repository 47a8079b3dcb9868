package simulator

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
)

// metadata is what a client attaches to a payment or refund. The simulator stores and returns it without interpreting
// it. In the database it is JSON text.
type metadata map[string]string

// Value implements driver.Valuer.
func (m metadata) Value() (driver.Value, error) {
	if len(m) == 0 {
		return "{}", nil
	}
	text, err := json.Marshal(map[string]string(m))
	return string(text), err
}

// Scan implements sql.Scanner.
func (m *metadata) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("metadata in the database is %T: want string", v)
	}
	*m = nil
	if text == "{}" {
		return nil
	}
	return json.Unmarshal([]byte(text), (*map[string]string)(m))
}
