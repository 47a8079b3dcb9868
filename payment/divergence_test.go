package payment

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFingerprintOfADivergenceIsThatOfTheContradiction(t *testing.T) {
	base := Divergence{
		PaymentID: "pay_1", MerchantID: "acme", Kind: DivergenceAmount, StatusHere: Succeeded, StatusThere: "succeeded",
		Evidence: map[string]string{"amount": "900", EvidenceRequestID: "req_1"}, DetectedAt: time.Unix(1, 0), DetectedBy: "lookup",
	}
	for name, tc := range map[string]struct {
		change func(*Divergence)
		same   bool
	}{
		"seen later":           {change: func(d *Divergence) { d.DetectedAt = time.Unix(2, 0) }, same: true},
		"seen by another":      {change: func(d *Divergence) { d.DetectedBy = "operator:jane" }, same: true},
		"another request id":   {change: func(d *Divergence) { d.Evidence[EvidenceRequestID] = "req_2" }, same: true},
		"an event id":          {change: func(d *Divergence) { d.Evidence[EvidenceEventID] = "evt_1" }, same: true},
		"another amount":       {change: func(d *Divergence) { d.Evidence["amount"] = "901" }},
		"another kind":         {change: func(d *Divergence) { d.Kind = DivergenceCaptured }},
		"another payment":      {change: func(d *Divergence) { d.PaymentID = "pay_2" }},
		"a refund":             {change: func(d *Divergence) { d.RefundID = "ref_1" }},
		"another status here":  {change: func(d *Divergence) { d.StatusHere = Declined }},
		"another status there": {change: func(d *Divergence) { d.StatusThere = "disputed" }},
		"no evidence":          {change: func(d *Divergence) { d.Evidence = nil }},
	} {
		changed := base
		changed.Evidence = map[string]string{"amount": "900", EvidenceRequestID: "req_1"}
		tc.change(&changed)
		require.Equal(t, tc.same, base.ID() == changed.ID(), name)
		require.Equal(t, tc.same, base.Fingerprint() == changed.Fingerprint(), name)
	}
	require.Equal(t, "req_1", base.Evidence[EvidenceRequestID], "the evidence itself is kept")
}

func TestJSONOfADivergenceHasTheNamesOfTheContract(t *testing.T) {
	text, err := json.Marshal(Divergence{
		DivergenceID: "div_1", PaymentID: "pay_1", RefundID: "ref_1", MerchantID: "acme", Kind: DivergenceRefundStatus, StatusHere: Failed,
		StatusThere: "succeeded", Evidence: map[string]string{"amount": "900"}, DetectedAt: time.Unix(0, 0).UTC(), DetectedBy: "lookup",
	})
	require.NoError(t, err)
	require.JSONEq(t, `{"divergence_id": "div_1", "payment_id": "pay_1", "refund_id": "ref_1", "merchant_id": "acme", "kind": "refund_status",
		"status_here": "failed", "status_there": "succeeded", "evidence": {"amount": "900"}, "detected_at": "1970-01-01T00:00:00Z",
		"detected_by": "lookup"}`, string(text))
}

func TestAcknowledgementNeedsADivergenceAndAnOperator(t *testing.T) {
	valid := Acknowledgement{DivergenceID: Divergence{PaymentID: "pay_1"}.ID(), By: "jane"}
	require.NoError(t, valid.Validate())
	for name, tt := range map[string]struct {
		change func(*Acknowledgement)
		want   string
	}{
		"no id":                {change: func(a *Acknowledgement) { a.DivergenceID = "" }, want: "divergence_id"},
		"an unprintable id":    {change: func(a *Acknowledgement) { a.DivergenceID = "div_\n" }, want: "divergence_id"},
		"a long id":            {change: func(a *Acknowledgement) { a.DivergenceID += strings.Repeat("0", 64) }, want: "divergence_id"},
		"no operator":          {change: func(a *Acknowledgement) { a.By = "" }, want: "by: want 1 to 80 characters"},
		"a card as the author": {change: func(a *Acknowledgement) { a.By = "4242424242424242" }, want: "by: looks like a card number"},
	} {
		a := valid
		tt.change(&a)
		require.ErrorContains(t, a.Validate(), tt.want, name)
		require.ErrorIs(t, a.Validate(), ErrInvalidRequest, name)
	}
}
