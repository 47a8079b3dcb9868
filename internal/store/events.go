package store

// Events, and the details that are stored as JSON.

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

// Cause says who or what made a change: "processor", "lookup", "operator:jane". Evidence is what it is known by, such
// as the processor's request id. It is kept for ever, so no secret and no card data belongs into it.
//
// By is needed, in at most 100 characters. Evidence is cut to 20 pairs with keys of 64 characters and values of 500:
// too much of it must not keep a payment from being recorded.
type Cause struct {
	By       string            `json:"by"`
	Evidence map[string]string `json:"evidence,omitempty"`
}

// causeRequest is the cause of the first event of each payment and refund.
var causeRequest = Cause{By: "request"}

// Event is one thing that happened to a payment or a refund.
type Event struct {
	// At is when Florin knew: the UpdatedAt of what was recorded.
	At time.Time `json:"at"`
	// From is empty for the first event. It equals To where only details changed.
	From payment.Status `json:"from,omitempty"`
	To   payment.Status `json:"to"`
	// Amount is what was captured of a payment by then, or the amount of the refund.
	Amount int64 `json:"amount"`
	// ProcessorID is the processor's id of the payment or refund, as far as it was known by then.
	ProcessorID string `json:"processor_id,omitempty"`
	Cause       Cause  `json:"cause"`
}

const selectEvents = `SELECT at, from_status, to_status, amount, processor_id, cause_by, evidence
	FROM payment_events WHERE subject_id = $1 ORDER BY revision`

// Events returns what happened to a payment or a refund, oldest first; nothing for an id that is not known.
func (s *Store) Events(ctx context.Context, id string) ([]Event, error) {
	var events []Event
	err := s.read().each(ctx, selectEvents, []any{id}, func(row scanner) error {
		var e Event
		var evidence string
		if err := row.Scan(storedTime{&e.At}, optional{(*string)(&e.From)}, &e.To, &e.Amount, optional{&e.ProcessorID},
			&e.Cause.By, &evidence); err != nil {
			return err
		}
		events = append(events, e)
		return json.Unmarshal([]byte(evidence), &events[len(events)-1].Cause.Evidence)
	})
	return events, s.fail(err, "events of %s", id)
}

const (
	maxCauseBy       = 100
	maxEvidence      = 20
	maxEvidenceKey   = 64
	maxEvidenceValue = 500
	// maxDetail is far above what processors say in a sentence.
	maxDetail = 2000
)

// bounded is the cause as it is stored.
func (c Cause) bounded() (by, evidence string, err error) {
	if c.By == "" {
		return "", "", fmt.Errorf("%w: cause: By is missing: want who says so, such as \"processor\" or \"operator:jane\"", ErrInvalid)
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

// clean makes text from outside fit for a database: UTF-8 without the NUL that PostgreSQL does not store, and not
// longer than limit characters. A processor's strange message must not keep a payment from being recorded.
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

// detail stores a decline or a failure as JSON; nil is NULL.
func detail[T any](value *T) (sql.NullString, error) {
	if value == nil {
		return sql.NullString{}, nil
	}
	text, err := json.Marshal(value)
	return sql.NullString{String: string(text), Valid: true}, err
}

// storedDetail scans what detail stored.
type storedDetail[T any] struct{ to **T }

// Scan implements sql.Scanner.
func (d storedDetail[T]) Scan(from any) error {
	var text sql.NullString
	if err := text.Scan(from); err != nil || !text.Valid {
		*d.to = nil
		return err
	}
	return json.Unmarshal([]byte(text.String), d.to)
}

// verdict is what recording a status on top of the one that is stored comes to.
type verdict int

const (
	same verdict = iota
	legal
	illegal
)

// judge says what the UPDATE statements, which have the same rule, made of a call that changed nothing.
func judge(transitions map[payment.Status][]payment.Status, from, to payment.Status, sameDetails bool) verdict {
	switch {
	case from == to && sameDetails:
		return same
	case from == to && len(transitions[from]) > 0, slices.Contains(transitions[from], to):
		return legal
	default:
		return illegal
	}
}

// refused words an illegal move.
func refused(from, to payment.Status) error {
	if from == to {
		return fmt.Errorf("%w: it is %s, which is final: what was recorded with it cannot become something else", ErrIllegalTransition, from)
	}
	return fmt.Errorf("%w: from %s to %s", ErrIllegalTransition, from, to)
}
