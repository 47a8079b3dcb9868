// Package demo runs the charges and refunds of a script through package florin, as a service would. It draws their
// progress and compares the outcomes with the simulator's ledger at the end.
package demo

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/florinpay/florin/payment"
)

// Step is one line of the script: a charge, or the refund of a charge on an earlier line.
type Step struct {
	// Shows describes what the step demonstrates.
	Shows string `json:"shows"`
	// Exactly one of Charge and Refund is set.
	Charge *payment.ChargeRequest `json:"charge,omitempty"`
	Refund *payment.RefundRequest `json:"refund,omitempty"`
	// Capture or Void is set for a charge with manual capture: the modification that follows the authorization.
	Capture *payment.CaptureRequest `json:"capture,omitempty"`
	Void    bool                    `json:"void,omitempty"`
	// Of is the idempotency key of the charge that Refund refunds.
	Of string `json:"of,omitempty"`
	// After is the idempotency key of a charge that must end before this step starts.
	After string `json:"after,omitempty"`
}

// Builtin is the name of the script that is part of the program.
const Builtin = "built-in"

//go:embed script.jsonl
var builtin []byte

// ReadScript reads and validates all lines of the file, or of the [Builtin] script. The error names every invalid one.
func ReadScript(path string) ([]Step, error) {
	content := builtin
	if path != Builtin {
		var err error
		if content, err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	var steps []Step
	var problems []error
	charged := map[string]bool{}
	scanner := bufio.NewScanner(bytes.NewReader(content))
	for number := 1; scanner.Scan(); number++ {
		if len(bytes.TrimSpace(scanner.Bytes())) == 0 {
			continue
		}
		step, err := readStep(scanner.Bytes(), charged)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w", path, number, err))
			continue
		}
		steps = append(steps, step)
	}
	return steps, errors.Join(append(problems, scanner.Err())...)
}

func readStep(text []byte, charged map[string]bool) (Step, error) {
	var s Step
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return s, err
	}
	switch {
	case (s.Charge == nil) == (s.Refund == nil):
		return s, errors.New("want exactly one of charge and refund")
	case s.After != "" && !charged[s.After]:
		return s, fmt.Errorf("after: no earlier line has a charge with the key %q", s.After)
	case s.Charge != nil:
		charged[s.Charge.IdempotencyKey] = true
		return s, errors.Join(s.Charge.Validate(), s.validateModification())
	case s.Capture != nil || s.Void:
		return s, errors.New("capture or void on a refund: want them on a charge with manual capture only")
	case !charged[s.Of]:
		return s, fmt.Errorf("of: no earlier line has a charge with the key %q", s.Of)
	default:
		s.Refund.PaymentID = payment.PaymentID(s.Refund.MerchantID, s.Of)
		return s, s.Refund.Validate()
	}
}

// validateModification checks that a charge has a capture or a void if its capture is manual, and only then. An
// authorized payment without one would keep the demo waiting until it times out.
func (s Step) validateModification() error {
	modified := s.Capture != nil || s.Void
	switch {
	case s.Capture != nil && s.Void:
		return errors.New("both capture and void: want one of them")
	case (s.Charge.Capture == payment.CaptureManual) != modified:
		return errors.New("want capture or void if the charge's capture is manual, and only then")
	case s.Capture != nil:
		return s.Capture.Validate()
	default:
		return nil
	}
}

func (s Step) merchant() string {
	if s.Charge != nil {
		return s.Charge.MerchantID
	}
	return s.Refund.MerchantID
}

func (s Step) key() string {
	if s.Charge != nil {
		return s.Charge.IdempotencyKey
	}
	return s.Refund.IdempotencyKey
}

func (s Step) workflowID() string {
	if s.Charge != nil {
		return payment.ChargeWorkflowID(s.merchant(), s.key())
	}
	return payment.RefundWorkflowID(s.merchant(), s.key())
}

// WorkflowIDs returns the workflow ID of every step.
func WorkflowIDs(steps []Step) []string {
	ids := make([]string, len(steps))
	for i, s := range steps {
		ids[i] = s.workflowID()
	}
	return ids
}
