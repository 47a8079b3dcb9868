package payment

// ProcessorEvent is the argument of the signal [SignalProcessorEvent]: the processor has sent an event about the payment or
// refund. Temporal stores it in the workflow's history. The workflow looks the payment up and decides nothing by the event
// itself, because events may arrive late, twice or out of order.
type ProcessorEvent struct {
	// ID and Type are the processor's, for readers of the history.
	ID   string `json:"id"`
	Type string `json:"type"`
}
