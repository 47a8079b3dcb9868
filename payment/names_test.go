package payment

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWireNamesNeverChange(t *testing.T) {
	require.Equal(t, "charge/acme/order-1", ChargeWorkflowID("acme", "order-1"))
	require.Equal(t, "refund/acme/order-1", RefundWorkflowID("acme", "order-1"))
	require.Equal(t, "recheck/charge/acme/order-1", RecheckWorkflowID(RecheckRequest{MerchantID: "acme", IdempotencyKey: "order-1"}))
	require.Equal(t, "recheck/refund/acme/order-1", RecheckWorkflowID(RecheckRequest{MerchantID: "acme", IdempotencyKey: "order-1", Refund: true}))
	require.Equal(t, "processor-simulator", ProcessorTaskQueue("simulator"))
	require.Equal(t, []string{"Charge", "Refund", "Recheck", "payments", "payments-read", "outcome", "status"},
		[]string{WorkflowCharge, WorkflowRefund, WorkflowRecheck, TaskQueue, ReadTaskQueue, UpdateOutcome, QueryStatus})
	require.Equal(t, []string{"BeginPayment", "ReserveRefund", "ProcessorCharge", "ProcessorRefund", "ProcessorLookup"},
		[]string{
			ActivityBeginPayment, ActivityReserveRefund, ActivityProcessorCharge, ActivityProcessorRefund, ActivityProcessorLookup,
		})
	require.Equal(t, []string{"BeginRecheck", "RecordRecheck", "ListDivergences", "AcknowledgeDivergence"},
		[]string{ActivityBeginRecheck, ActivityRecordRecheck, ActivityListDivergences, ActivityAcknowledgeDivergence})
	require.Equal(t, []string{"ControlProcessor", "ListProcessors", "pause", "resume", "rate"},
		[]string{ActivityControlProcessor, ActivityListProcessors, string(ControlPause), string(ControlResume), string(ControlRate)})
	require.Equal(t, "batch/june", BatchWorkflowID("june"))
	require.Equal(t, []string{"Batch", "payments-batch", "AddBatchLines", "GetBatch", "ListBatchLines", "ControlBatch", "SendBatchLines", "batch-changed"},
		[]string{
			WorkflowBatch, BatchTaskQueue, ActivityAddBatchLines, ActivityGetBatch, ActivityListBatchLines, ActivityControlBatch,
			ActivitySendBatchLines, SignalBatchChanged,
		})
	require.Equal(t, []string{"PaymentStatus", "PaymentId", "MerchantId", "Processor", "Currency", "FailureClass", "Amount"},
		[]string{
			AttributePaymentStatus, AttributePaymentID, AttributeMerchantID, AttributeProcessor, AttributeCurrency,
			AttributeFailureClass, AttributeAmount,
		})
	require.Equal(t,
		[]RefusalCode{"InvalidRequest", "IdempotencyMismatch", "PaymentNotFound", "RefundExceedsCaptured", "PaymentNotRefundable"},
		[]RefusalCode{
			ErrInvalidRequest, ErrIdempotencyMismatch, ErrPaymentNotFound, ErrRefundExceedsCaptured, ErrPaymentNotRefundable,
		})
	require.Equal(t, []FailureClass{"invalid_request", "idempotency_mismatch", "authentication", "permission", "config",
		"rate_limited", "unavailable", "not_sent", "state_conflict", "invalid_response", "outcome_unknown"}, FailureClasses)
}

// requireJSON checks the JSON of the value, and that decoding it returns the value.
func requireJSON[T any](t *testing.T, want string, value T) {
	t.Helper()
	written, err := json.Marshal(value)
	require.NoError(t, err)
	require.JSONEq(t, want, string(written))
	var decoded T
	require.NoError(t, json.Unmarshal(written, &decoded))
	require.Equal(t, value, decoded)
}

func TestJSONNeverChanges(t *testing.T) {
	at := time.Date(2026, 1, 15, 12, 30, 45, 0, time.UTC)
	decline := &Decline{Code: "lost_card", Kind: DeclineHard, NetworkCode: "41", AdviceCode: "03", Message: "no"}
	failure := &Failure{Class: ClassRateLimited, Message: "slow down", HTTPStatus: 429, ProcessorCode: "rate_limited"}

	requireJSON(t, `{"merchant_id":"acme","idempotency_key":"order-1","amount":1250,"currency":"USD","payment_method":"tok_visa",
		"capture":"manual","processor":"simulator","customer_id":"c-1","description":"two books",
		"metadata":{"basket":"2","order":"1"}}`, fullCharge())
	requireJSON(t, `{"merchant_id":"m","idempotency_key":"k","amount":1,"currency":"JPY","payment_method":"tok"}`,
		ChargeRequest{MerchantID: "m", IdempotencyKey: "k", Amount: 1, Currency: "JPY", PaymentMethod: "tok"})
	requireJSON(t, `{"payment_id":"pay_1","merchant_id":"acme","idempotency_key":"order-1","status":"needs_reconciliation",
		"amount":1250,"currency":"USD","captured_amount":1000,"refunded_amount":250,"processor":"simulator",
		"processor_payment_id":"ch_1","processor_request_id":"req_1","payment_method":"tok_visa",
		"decline":{"code":"lost_card","kind":"hard","network_code":"41","advice_code":"03","message":"no"},
		"failure":{"class":"rate_limited","message":"slow down","http_status":429,"processor_code":"rate_limited"},
		"created_at":"2026-01-15T12:30:45Z","updated_at":"2026-01-15T12:30:45Z"}`,
		Charge{PaymentID: "pay_1", MerchantID: "acme", IdempotencyKey: "order-1", Status: NeedsReconciliation, Amount: 1250,
			Currency: "USD", CapturedAmount: 1000, RefundedAmount: 250, Processor: "simulator", ProcessorPaymentID: "ch_1",
			ProcessorRequestID: "req_1", PaymentMethod: "tok_visa", Decline: decline, Failure: failure, CreatedAt: at, UpdatedAt: at})
	requireJSON(t, `{"merchant_id":"acme","idempotency_key":"refund-1","payment_id":"pay_6f1d8c1e-5b0a-5c5e-9d35-0f1a7c9b2e64",
		"amount":250,"currency":"USD","reason":"one book back","metadata":{"basket":"2","order":"1"}}`, fullRefund())
	requireJSON(t, `{"merchant_id":"m","idempotency_key":"k","payment_id":"p"}`,
		RefundRequest{MerchantID: "m", IdempotencyKey: "k", PaymentID: "p"})
	requireJSON(t, `{"merchant_id":"m","idempotency_key":"k"}`, RecheckRequest{MerchantID: "m", IdempotencyKey: "k"})
	requireJSON(t, `{"merchant_id":"m","idempotency_key":"k","refund":true,"unconfirmed":["div_2"],
		"earlier":{"lookups":20,"divergences":["div_1"],"failed_late":true}}`,
		RecheckRequest{MerchantID: "m", IdempotencyKey: "k", Refund: true, Unconfirmed: []string{"div_2"},
			Earlier: Recheck{Lookups: 20, Divergences: []string{"div_1"}, FailedLate: true}})
	requireJSON(t, `{"divergence_id":"div_1","by":"jane"}`, Acknowledgement{DivergenceID: "div_1", By: "jane"})
	requireJSON(t, `{"processor":"acme","action":"rate","per_second":2.5,"by":"jane","reason":"quota"}`,
		ControlChange{Processor: "acme", Action: ControlRate, PerSecond: 2.5, By: "jane", Reason: "quota"})
	requireJSON(t, `{"processors":[{"processor":"acme","configured_per_second":20,
		"control":{"paused":true,"per_second":2.5,"by":"jane","reason":"quota","at":"2026-01-15T12:30:45Z","revision":7},
		"workers":[{"worker":"1@host/AB","per_second":1.25,"burst":3,"demand":9,"applied":true}]}]}`,
		ProcessorStates{Processors: []ProcessorState{{
			Processor: "acme", ConfiguredPerSecond: 20,
			Control: ProcessorControl{Paused: true, PerSecond: 2.5, By: "jane", Reason: "quota", At: at, Revision: 7},
			Workers: []ProcessorWorker{{Worker: "1@host/AB", PerSecond: 1.25, Burst: 3, Demand: 9, Applied: true}},
		}}})
	requireJSON(t, `{"refund_id":"ref_1","payment_id":"pay_1","merchant_id":"acme","idempotency_key":"refund-1","status":"pending",
		"amount":250,"currency":"USD","processor":"simulator","processor_refund_id":"re_1",
		"decline":{"code":"lost_card","kind":"hard","network_code":"41","advice_code":"03","message":"no"},
		"failure":{"class":"rate_limited","message":"slow down","http_status":429,"processor_code":"rate_limited"},
		"created_at":"2026-01-15T12:30:45Z","updated_at":"2026-01-15T12:30:45Z"}`,
		Refund{RefundID: "ref_1", PaymentID: "pay_1", MerchantID: "acme", IdempotencyKey: "refund-1", Status: Pending, Amount: 250,
			Currency: "USD", Processor: "simulator", ProcessorRefundID: "re_1", Decline: decline, Failure: failure,
			CreatedAt: at, UpdatedAt: at})
}
