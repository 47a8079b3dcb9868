package payment

// The names that a Temporal server, saved histories, dashboards and services in other languages know.
// Changing one is a breaking change.
const (
	WorkflowCharge = "Charge"
	WorkflowRefund = "Refund"

	ActivityBeginPayment     = "BeginPayment"
	ActivityRecordPayment    = "RecordPayment"
	ActivityReserveRefund    = "ReserveRefund"
	ActivitySettleRefund     = "SettleRefund"
	ActivityGetPayment       = "GetPayment"
	ActivityGetRefund        = "GetRefund"
	ActivityListPayments     = "ListPayments"
	ActivityProcessorCharge  = "ProcessorCharge"
	ActivityProcessorCapture = "ProcessorCapture"
	ActivityProcessorVoid    = "ProcessorVoid"
	ActivityProcessorRefund  = "ProcessorRefund"
	ActivityProcessorLookup  = "ProcessorLookup"

	// TaskQueue runs the workflows and everything that is not a call to a processor.
	TaskQueue = "payments"

	// UpdateOutcome waits for the first outcome and returns the Charge or Refund.
	UpdateOutcome = "outcome"
	// UpdateCapture takes what a payment holds, or a part of it. Its argument, a CaptureRequest, may be left out.
	UpdateCapture = "capture"
	// UpdateVoid lets go of what a payment holds.
	UpdateVoid = "void"
	// UpdateResolve settles by an operator's word what the processor cannot clear up.
	UpdateResolve = "resolve"
	// SignalProcessorEvent says that the processor has news.
	SignalProcessorEvent = "processor-event"
	// QueryStatus returns the Charge or Refund as it stands.
	QueryStatus = "status"

	AttributePaymentStatus = "PaymentStatus"
	AttributePaymentID     = "PaymentId"
	AttributeMerchantID    = "MerchantId"
	AttributeProcessor     = "Processor"
	AttributeCurrency      = "Currency"
	AttributeFailureClass  = "FailureClass"
	AttributeAmount        = "Amount"
)

// ProcessorTaskQueue is the queue of the calls to one processor, and of nothing else: a rate limit of the
// queue counts exactly those.
func ProcessorTaskQueue(processor string) string { return "processor-" + processor }

// ChargeWorkflowID names the one workflow of a purchase.
func ChargeWorkflowID(merchantID, idempotencyKey string) string {
	return "charge/" + merchantID + "/" + idempotencyKey
}

// RefundWorkflowID names the one workflow of a refund.
func RefundWorkflowID(merchantID, idempotencyKey string) string {
	return "refund/" + merchantID + "/" + idempotencyKey
}
