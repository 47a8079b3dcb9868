package store

// Events of payments and refunds, the details that are stored as JSON, and the check of status transitions.

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/florinpay/florin/payment"
)

// Cause describes why a payment or refund changed. By names the actor: "processor", "lookup", "operator:jane". Evidence
// supports the change, such as the processor's request id. Causes are kept forever, so they must not contain secrets or card
// data.
//
// By is required and is cut to 100 characters. Evidence is cut to 20 pairs, keys to 64 and values to 500 characters: too much
// evidence must not prevent recording a payment.
type Cause struct {
	By       string            `json:"by"`
	Evidence map[string]string `json:"evidence,omitempty"`
}

// causeRequest is the cause of the first event of each payment and refund.
var causeRequest = Cause{By: "request"}

// Event is one change of a payment or a refund.
type Event struct {
	// At is when Florin learned of the change: the UpdatedAt that was recorded with it.
	At time.Time `json:"at"`
	// From is empty for the first event. It equals To if only details changed.
	From payment.Status `json:"from,omitempty"`
	To   payment.Status `json:"to"`
	// Amount is in minor units. For a payment it is the captured amount after the change, for a refund its amount.
	Amount int64 `json:"amount"`
	// ProcessorID is the processor's id of the payment or refund; empty if it was not known at that time.
	ProcessorID string `json:"processor_id,omitempty"`
	Cause       Cause  `json:"cause"`
}

// selectEvents has the time at which the subject began, so that PostgreSQL skips the months before it.
const selectEvents = `SELECT at, from_status, to_status, amount, processor_id, cause_by, evidence
	FROM payment_events WHERE subject_id = $1 AND at >= (
		SELECT created_at FROM payments WHERE payment_id = $1 UNION ALL SELECT created_at FROM refunds WHERE refund_id = $1)
	ORDER BY revision`

// Events returns the events of a payment or a refund, oldest first, except those of months that were detached from the database. It
// returns none for an unknown id.
func (s *Store) Events(ctx context.Context, id string) ([]Event, error) {
	var events []Event
	err := s.read().queryEach(ctx, selectEvents, []any{id}, func(row scanner) error {
		var e Event
		var evidence string
		if err := row.Scan(storedTime{&e.At}, optional{(*string)(&e.From)}, &e.To, &e.Amount, optional{&e.ProcessorID},
			&e.Cause.By, &evidence); err != nil {
			return err
		}
		events = append(events, e)
		return json.Unmarshal([]byte(evidence), &events[len(events)-1].Cause.Evidence)
	})
	return events, s.wrap(err, "events of %s", id)
}

const (
	maxCauseBy       = 100
	maxEvidence      = 20
	maxEvidenceKey   = 64
	maxEvidenceValue = 500
	// maxDetail is far above the length of the codes and messages that processors send.
	maxDetail = 2000
)

// encode returns the cause as it is stored, cut to the limits of [Cause]. It returns ErrInvalid if By is missing.
func (c Cause) encode() (by, evidence string, err error) {
	if c.By == "" {
		return "", "", fmt.Errorf("%w: cause: By is missing: want the actor, such as \"processor\" or \"operator:jane\"", ErrInvalid)
	}
	kept := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(c.Evidence)) {
		if len(kept) == maxEvidence {
			break
		}
		kept[clean(key, maxEvidenceKey)] = clean(c.Evidence[key], maxEvidenceValue)
	}
	text, err := json.Marshal(kept)
	return clean(c.By, maxCauseBy), string(text), err
}

// clean makes external text fit for both databases: valid UTF-8, without NUL, which PostgreSQL cannot store, and cut to
// limit characters. An unusual message of a processor must not prevent recording a payment.
func clean(text string, limit int) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if utf8.RuneCountInString(text) > limit {
		text = string([]rune(text)[:limit])
	}
	return text
}

func cleanDecline(d *payment.Decline) *payment.Decline {
	if d == nil {
		return nil
	}
	return &payment.Decline{
		Code: clean(d.Code, maxDetail), Kind: payment.DeclineKind(clean(string(d.Kind), maxDetail)),
		NetworkCode: clean(d.NetworkCode, maxDetail), AdviceCode: clean(d.AdviceCode, maxDetail), Message: clean(d.Message, maxDetail),
	}
}

func cleanFailure(f *payment.Failure) *payment.Failure {
	if f == nil {
		return nil
	}
	return &payment.Failure{
		Class: payment.FailureClass(clean(string(f.Class), maxDetail)), Message: clean(f.Message, maxDetail),
		HTTPStatus: f.HTTPStatus, ProcessorCode: clean(f.ProcessorCode, maxDetail),
	}
}

// encodeDetail returns a decline or a failure as JSON, and NULL for nil.
func encodeDetail[T any](value *T) (sql.NullString, error) {
	if value == nil {
		return sql.NullString{}, nil
	}
	text, err := json.Marshal(value)
	return sql.NullString{String: string(text), Valid: true}, err
}

// storedDetail scans a column that encodeDetail wrote. Nothing of an earlier scan into the same place stays.
type storedDetail[T any] struct{ to **T }

// Scan implements sql.Scanner.
func (d storedDetail[T]) Scan(from any) error {
	var text sql.NullString
	*d.to = nil
	if err := text.Scan(from); err != nil || !text.Valid {
		return err
	}
	return json.Unmarshal([]byte(text.String), d.to)
}

// transitionKind is the result of comparing a status to record with the stored one.
type transitionKind int

const (
	unchanged transitionKind = iota
	legal
	illegal
)

// checkTransition explains why an UPDATE statement of this package, which has the same rules in SQL, matched no row:
// nothing would change, or the transition is illegal. If the transition is legal, a concurrent call changed the row after
// the UPDATE.
func checkTransition(transitions map[payment.Status][]payment.Status, from, to payment.Status, sameDetails bool) transitionKind {
	switch {
	case from == to && sameDetails:
		return unchanged
	case from == to && !from.Final(), slices.Contains(transitions[from], to):
		return legal
	default:
		return illegal
	}
}

func illegalTransition(from, to payment.Status) error {
	if from == to {
		return fmt.Errorf("%w: it is %s, which is final: the details recorded with it cannot change", ErrIllegalTransition, from)
	}
	return fmt.Errorf("%w: from %s to %s", ErrIllegalTransition, from, to)
}
