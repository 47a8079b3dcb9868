package histories

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/converter"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/replaytest"
)

// readable returns a history as JSON, with each payload as the value that it encodes.
func readable(t *testing.T, h *historypb.History) string {
	t.Helper()
	options := temporalproto.CustomJSONMarshalOptions{Metadata: map[string]any{commonpb.EnablePayloadShorthandMetadataKey: true}}
	text, err := options.Marshal(h)
	require.NoError(t, err)
	return string(text)
}

// corpus returns the paths of the recorded histories. Their requests are those of sandbox/histories.
func corpus(t *testing.T) []string {
	t.Helper()
	paths, err := replaytest.Files(cmp.Or(os.Getenv("HISTORIES"), "../../workflows/testdata/histories"))
	require.NoError(t, err)
	return paths
}

func TestScrubbedHistoryReplaysAndHasNoPersonalData(t *testing.T) {
	for _, path := range corpus(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			h, err := replaytest.Read(path)
			require.NoError(t, err)
			before := readable(t, h)
			clean, err := Scrub(h)
			require.NoError(t, err)
			require.Equal(t, before, readable(t, h), "the original is not modified")
			differences, err := replaytest.Check(clean, Options)
			require.NoError(t, err)
			require.Empty(t, differences)
			after := readable(t, clean)
			for _, personal := range []string{"tok_", "customer-1", "two pizzas", "cold pizza", `"order"`, "jane", "dashboard", "recorder"} {
				require.NotContains(t, after, personal)
			}
			require.Regexp(t, `acme|"(batch|reconcile)/`, after, "IDs are kept")
		})
	}
}

// A fingerprint is a hash of a whole request: an attacker who knows the rest of the request could try one payment method
// after the other.
func TestScrubbedHistoryHasTheFingerprintsOfTheScrubbedData(t *testing.T) {
	req := payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
		CustomerID: "customer-1", Metadata: map[string]string{"name": "Jane"},
	}
	resolution := payment.Resolution{Status: payment.Failed, By: "jane", Evidence: `saw "nothing" & <left>`}
	clean, err := Scrub(&historypb.History{Events: []*historypb.HistoryEvent{
		{EventId: 1, Attributes: &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{
			WorkflowExecutionStartedEventAttributes: &historypb.WorkflowExecutionStartedEventAttributes{
				WorkflowType: &commonpb.WorkflowType{Name: payment.WorkflowCharge}, Input: encoded(t, req), Identity: "1@laptop",
			},
		}},
		update(t, payment.UpdateOutcome, req.Fingerprint()+"/after/run-1", map[string]string{"fingerprint": req.Fingerprint()}),
		update(t, payment.UpdateResolve, resolution.Fingerprint(), resolution),
		update(t, "echo", "echo", "resolved by "+resolution.By+": "+resolution.Evidence),
	}})
	require.NoError(t, err)
	scrubbedRequest := payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", PaymentMethod: "scrubbed",
	}
	scrubbedResolution := payment.Resolution{Status: payment.Failed, By: "scrubbed", Evidence: "scrubbed"}
	text := readable(t, clean)
	require.NotContains(t, text, req.Fingerprint())
	require.NotContains(t, text, resolution.Fingerprint())
	require.NotContains(t, text, "jane")
	require.NotContains(t, text, "laptop")
	require.Contains(t, text, scrubbedRequest.Fingerprint()+"/after/run-1")
	require.Equal(t, 3, strings.Count(text, scrubbedRequest.Fingerprint()), "the ID of the update, its message and its argument")
	require.Contains(t, text, scrubbedResolution.Fingerprint())
	require.Contains(t, text, "resolved by scrubbed: scrubbed")
}

// A divergence has evidence of Florin's and the processor's, by name. A cause may also have an operator's.
func TestScrubbedEvidenceKeepsItsNames(t *testing.T) {
	clean, err := Scrub(&historypb.History{Events: []*historypb.HistoryEvent{
		update(t, "echo", "echo", map[string]any{
			"divergence": payment.Divergence{Kind: payment.DivergenceCaptured, Evidence: map[string]string{"captured_here": "12.50 USD"}},
			"cause":      map[string]any{"by": "operator:jane", "evidence": map[string]string{"evidence": "Jane's ticket", "request_id": "req_1"}},
		}),
	}})
	require.NoError(t, err)
	input := clean.GetEvents()[0].GetWorkflowExecutionUpdateAcceptedEventAttributes().GetAcceptedRequest().GetInput()
	var got struct {
		Divergence payment.Divergence
		Cause      struct {
			By       string
			Evidence map[string]string
		}
	}
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(input.GetArgs(), &got))
	require.Equal(t, map[string]string{"captured_here": "12.50 USD"}, got.Divergence.Evidence)
	require.Equal(t, "scrubbed", got.Cause.By)
	require.Equal(t, map[string]string{"evidence": "scrubbed", "request_id": "req_1"}, got.Cause.Evidence)
}

// update returns the event of an accepted update.
func update(t *testing.T, name, id string, arg any) *historypb.HistoryEvent {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"eventType": "WorkflowExecutionUpdateAccepted",
		"workflowExecutionUpdateAcceptedEventAttributes": map[string]any{
			"protocolInstanceId": id, "acceptedRequest": map[string]any{
				"input": map[string]any{"name": name, "args": []any{arg}}, "meta": map[string]string{"updateId": id},
			},
		},
	})
	require.NoError(t, err)
	event := &historypb.HistoryEvent{}
	options := temporalproto.CustomJSONUnmarshalOptions{Metadata: map[string]any{commonpb.EnablePayloadShorthandMetadataKey: true}}
	require.NoError(t, options.Unmarshal(text, event))
	return event
}

func encoded(t *testing.T, value any) *commonpb.Payloads {
	t.Helper()
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(value)
	require.NoError(t, err)
	return payloads
}

func TestEncryptedPayloadCannotBeScrubbed(t *testing.T) {
	encrypted := &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("binary/encrypted")}, Data: []byte("…")}
	signaled := &historypb.WorkflowExecutionSignaledEventAttributes{Input: &commonpb.Payloads{Payloads: []*commonpb.Payload{encrypted}}}
	_, err := Scrub(&historypb.History{Events: []*historypb.HistoryEvent{{
		EventId:    7,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionSignaledEventAttributes{WorkflowExecutionSignaledEventAttributes: signaled},
	}}})
	require.EqualError(t, err, `event 7: a payload is encoded as "binary/encrypted": only "json/plain" can be scrubbed`)
}

func TestPackedHistoryCanBeRead(t *testing.T) {
	path := corpus(t)[0]
	h, err := replaytest.Read(path)
	require.NoError(t, err)
	packed, err := Pack(h)
	require.NoError(t, err)
	copied := filepath.Join(t.TempDir(), FileName("charge/acme/an order:1", "run-1"))
	require.Equal(t, "charge_acme_an_order_1_run-1.json.gz", filepath.Base(copied))
	require.NoError(t, os.WriteFile(copied, packed, 0o600))
	read, err := replaytest.Read(copied)
	require.NoError(t, err)
	require.Equal(t, readable(t, h), readable(t, read))
	require.LessOrEqual(t, len(FileName(strings.Repeat("k", 300), strings.Repeat("r", 36))), 255)
}
