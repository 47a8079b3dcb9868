// Package demo runs the payments of a file through package florin, as a service would, shows them while they
// run, and compares the books in the end.
package demo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/florinpay/florin/payment"
)

// Step is one line of the script: a charge, or the refund of a charge of the same script.
type Step struct {
	// Shows is what there is to see, for people.
	Shows  string                 `json:"shows"`
	Charge *payment.ChargeRequest `json:"charge,omitempty"`
	Refund *payment.RefundRequest `json:"refund,omitempty"`
	// Capture or Void is what becomes of a charge that only holds the money.
	Capture *payment.CaptureRequest `json:"capture,omitempty"`
	Void    bool                    `json:"void,omitempty"`
	// Of is the idempotency key of the charge to refund.
	Of string `json:"of,omitempty"`
	// After is the idempotency key of a charge that has to end before this one starts.
	After string `json:"after,omitempty"`
}

// ReadScript reads and checks all lines before anything is started.
func ReadScript(path string) ([]Step, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
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
		return s, errors.New("want either a charge or a refund")
	case s.After != "" && !charged[s.After]:
		return s, fmt.Errorf("after: %q is no charge of an earlier line", s.After)
	case s.Charge != nil:
		charged[s.Charge.IdempotencyKey] = true
		return s, errors.Join(s.Charge.Validate(), s.validateOrder())
	case s.Capture != nil || s.Void:
		return s, errors.New("a refund is neither captured nor voided")
	case !charged[s.Of]:
		return s, fmt.Errorf("of: %q is no charge of an earlier line", s.Of)
	default:
		s.Refund.PaymentID = payment.PaymentID(s.Refund.MerchantID, s.Of)
		return s, s.Refund.Validate()
	}
}

// validateOrder: held money that nobody takes or lets go of would keep the demo waiting.
func (s Step) validateOrder() error {
	ordered := s.Capture != nil || s.Void
	switch {
	case s.Capture != nil && s.Void:
		return errors.New("want either capture or void")
	case (s.Charge.Capture == payment.CaptureManual) != ordered:
		return errors.New("want capture or void with a charge whose capture is manual, and only there")
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

// WorkflowIDs names the workflow of every step.
func WorkflowIDs(steps []Step) []string {
	ids := make([]string, len(steps))
	for i, s := range steps {
		ids[i] = s.workflowID()
	}
	return ids
}
