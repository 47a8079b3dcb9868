package payment

// The names that the Temporal server, recorded histories, dashboards and services in other languages know. Changing one is a
// breaking change.
const (
	// WorkflowCharge is the workflow of one payment: [ChargeRequest] to [Charge]. Its ID is [ChargeWorkflowID].
	WorkflowCharge = "Charge"
	// WorkflowRefund is the workflow of one refund: [RefundRequest] to [Refund]. Its ID is [RefundWorkflowID].
	WorkflowRefund = "Refund"
	// WorkflowRecheck looks a final payment or refund up at its processor, because that has sent an event about it:
	// [RecheckRequest] to [Recheck]. Its ID is [RecheckWorkflowID].
	WorkflowRecheck = "Recheck"
	// WorkflowReconcile compares a processor's payments and refunds with the stored ones: [ReconcileRequest] to [Reconciliation]. A schedule
	// starts it, see [ReconcileScheduleID]. It moves no money.
	WorkflowReconcile = "Reconcile"

	// WorkflowBatch starts the lines of a batch: [BatchRequest] to [Batch]. Its ID is [BatchWorkflowID].
	WorkflowBatch = "Batch"

	// TaskQueue is the task queue of the workflows. The activities that write the store are local activities of them, and no worker
	// executes an activity from this queue.
	TaskQueue = "payments"
	// ReadTaskQueue is the task queue of the reads, which services execute without a workflow.
	ReadTaskQueue = "payments-read"

	// ActivityChargeInline persists a new payment and, if it can be sent at once, makes the first attempt and persists the outcome. It is a
	// local activity of the workflow, like the next seven.
	ActivityChargeInline = "ChargeInline"
	// ActivityRefundInline reserves a new refund and, if it can be sent at once, makes the first attempt and persists the outcome.
	ActivityRefundInline = "RefundInline"
	// ActivityBeginPayment persists a new payment, or reads one that has begun, and sends nothing.
	ActivityBeginPayment = "BeginPayment"
	// ActivityRecordPayment persists the state of a payment.
	ActivityRecordPayment = "RecordPayment"
	// ActivityReserveRefund persists a new refund and reserves its amount, or reads one that has begun, and sends nothing.
	ActivityReserveRefund = "ReserveRefund"
	// ActivitySettleRefund persists the state of a refund.
	ActivitySettleRefund = "SettleRefund"
	// ActivityBeginRecheck reads what to look up for a [RecheckRequest].
	ActivityBeginRecheck = "BeginRecheck"
	// ActivityRecordRecheck persists how a processor's record contradicts a final payment or refund.
	ActivityRecordRecheck = "RecordRecheck"

	// ActivityBeginReconciliation persists that a reconciliation has begun, and decides its window. It is a local activity, like the next.
	ActivityBeginReconciliation = "BeginReconciliation"
	// ActivityEndReconciliation persists how a reconciliation has ended.
	ActivityEndReconciliation = "EndReconciliation"

	// ActivityGetPayment returns the [Charge] for a merchant id and an idempotency key. It is a standalone activity on
	// [ReadTaskQueue], which a service executes without a workflow, like the next eight.
	ActivityGetPayment = "GetPayment"
	// ActivityGetRefund returns the [Refund] for a merchant id and an idempotency key.
	ActivityGetRefund = "GetRefund"
	// ActivityGetIdentity returns the [Identity] of the payment or refund with an id, for operators.
	ActivityGetIdentity = "GetIdentity"
	// ActivityListPayments returns the [Page] for a [Filter].
	ActivityListPayments = "ListPayments"
	// ActivityListRefunds returns the [RefundPage] for a [RefundFilter].
	ActivityListRefunds = "ListRefunds"
	// ActivityListDivergences returns the [DivergencePage] for a [DivergenceFilter].
	ActivityListDivergences = "ListDivergences"
	// ActivityAcknowledgeDivergence persists that an operator has dealt with a divergence, and returns the [Divergence]. Its
	// argument is an [Acknowledgement].
	ActivityAcknowledgeDivergence = "AcknowledgeDivergence"
	// ActivityControlProcessor persists what an operator has decided about the calls to a processor, and returns the [ProcessorState].
	// Its argument is a [ControlChange].
	ActivityControlProcessor = "ControlProcessor"
	// ActivityListProcessors returns the [ProcessorStates]. It has no argument.
	ActivityListProcessors = "ListProcessors"
	// ActivityListReconciliations returns the [ReconciliationPage] for a [ReconciliationFilter].
	ActivityListReconciliations = "ListReconciliations"

	// BatchTaskQueue is the task queue of what sends the lines of batches.
	BatchTaskQueue = "payments-batch"
	// ActivityAddBatchLines persists lines of a batch, and returns the [Batch]. It is a standalone activity on [ReadTaskQueue], like the
	// next three. Its argument is a [BatchChunk].
	ActivityAddBatchLines = "AddBatchLines"
	// ActivityGetBatch returns the [Batch] with a name.
	ActivityGetBatch = "GetBatch"
	// ActivityListBatchLines returns the [BatchLinePage] for a [BatchLineFilter].
	ActivityListBatchLines = "ListBatchLines"
	// ActivityControlBatch persists what a caller has decided about a batch, and returns the [Batch]. Its argument is a [BatchChange].
	ActivityControlBatch = "ControlBatch"
	// ActivitySendBatchLines starts lines of a batch for some time, and returns the [Batch]. It runs on [BatchTaskQueue], for the workflow
	// of the batch only. Its argument is the [BatchRequest].
	ActivitySendBatchLines = "SendBatchLines"
	// SignalBatchChanged makes the workflow of a batch read it again. Its argument, a [BatchChange], is only for readers of the history.
	SignalBatchChanged = "batch-changed"

	// ActivityProcessorCharge charges at the processor. It runs on the [ProcessorTaskQueue], like the next four.
	ActivityProcessorCharge = "ProcessorCharge"
	// ActivityProcessorCapture captures at the processor.
	ActivityProcessorCapture = "ProcessorCapture"
	// ActivityProcessorVoid voids at the processor.
	ActivityProcessorVoid = "ProcessorVoid"
	// ActivityProcessorRefund refunds at the processor.
	ActivityProcessorRefund = "ProcessorRefund"
	// ActivityProcessorLookup reads the processor's record of a charge or a refund.
	ActivityProcessorLookup = "ProcessorLookup"

	// ActivityAskProcessor reads the processor's record of a payment or refund for an operator. It is a standalone activity on the
	// [ProcessorTaskQueue]. Its argument is a [ProcessorQuestion].
	ActivityAskProcessor = "AskProcessor"

	// ActivityReconcileRecords lists, compares and looks up a part of what a processor has. It runs on the [ReconcileTaskQueue].
	ActivityReconcileRecords = "ReconcileRecords"

	// ErrorContinued is the type of the application error of an update that waited when the workflow continued in a new run: send the
	// update again, and the new run receives it.
	ErrorContinued = "Continued"

	// UpdateOutcome waits for the first outcome and returns the Charge or Refund. Its argument, an [OutcomeRequest], may be
	// omitted.
	UpdateOutcome = "outcome"
	// UpdateCapture captures an authorized payment, or a part of it, and returns the Charge. Its argument, a [CaptureRequest],
	// may be omitted.
	UpdateCapture = "capture"
	// UpdateVoid voids an authorized payment, or cancels a pending one, and returns the Charge. It has no argument.
	UpdateVoid = "void"
	// UpdateResolve records an operator's decision on an unknown outcome, and returns the Charge or Refund. Its argument is a
	// [Resolution].
	UpdateResolve = "resolve"
	// SignalProcessorEvent notifies the workflow that the processor has sent an event. Its argument is a [ProcessorEvent]. It starts
	// a [WorkflowRecheck] if the payment or refund is final. If the workers require proofs, one without a proof is ignored.
	SignalProcessorEvent = "processor-event"
	// QueryStatus returns the current Charge, Refund, Reconciliation or Batch.
	QueryStatus = "status"

	// AttributePaymentStatus is a search attribute of type Keyword: the [Status] of the payment or refund.
	AttributePaymentStatus = "PaymentStatus"
	// AttributePaymentID is a search attribute of type Keyword: the [PaymentID], for a refund that of its payment.
	AttributePaymentID = "PaymentId"
	// AttributeMerchantID is a search attribute of type Keyword.
	AttributeMerchantID = "MerchantId"
	// AttributeProcessor is a search attribute of type Keyword: the name of the configured processor.
	AttributeProcessor = "Processor"
	// AttributeCurrency is a search attribute of type Keyword: an ISO 4217 code.
	AttributeCurrency = "Currency"
	// AttributeFailureClass is a search attribute of type Keyword: a [FailureClass]. It is not set without a failure.
	AttributeFailureClass = "FailureClass"
	// AttributeAmount is a search attribute of type Int: the requested amount in minor units.
	AttributeAmount = "Amount"
	// AttributeFindings is a search attribute of type Int: the number of divergences that a reconciliation has recorded.
	AttributeFindings = "Findings"
)

// ProcessorTaskQueue returns the task queue of the calls to one processor. Nothing else runs there, so a rate limit of the queue
// counts exactly these calls.
func ProcessorTaskQueue(processor string) string { return "processor-" + processor }

// ReconcileTaskQueue returns the task queue of the reconciliation of one processor. It is not that of the calls, because a part takes
// minutes, in which it would occupy a place of a payment.
func ReconcileTaskQueue(processor string) string { return "reconcile-" + processor }

// ChargeWorkflowID returns the ID of the payment's workflow. There is one for each idempotency key.
func ChargeWorkflowID(merchantID, idempotencyKey string) string {
	return "charge/" + merchantID + "/" + idempotencyKey
}

// RefundWorkflowID returns the ID of the refund's workflow. There is one for each idempotency key.
func RefundWorkflowID(merchantID, idempotencyKey string) string {
	return "refund/" + merchantID + "/" + idempotencyKey
}

// RecheckWorkflowID returns the ID of the workflow that looks up a final payment, or a final refund. At most one runs at a time.
func RecheckWorkflowID(r RecheckRequest) string {
	if r.Refund {
		return "recheck/" + RefundWorkflowID(r.MerchantID, r.IdempotencyKey)
	}
	return "recheck/" + ChargeWorkflowID(r.MerchantID, r.IdempotencyKey)
}

// BatchWorkflowID returns the ID of the workflow of a batch.
func BatchWorkflowID(name string) string { return "batch/" + name }
