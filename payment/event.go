package payment

// ProcessorEvent is the argument of the signal SignalProcessorEvent: for whoever reads the history. Nothing is decided
// by it; it is a reason to ask the processor.
type ProcessorEvent struct {
	// ID and Type are the processor's.
	ID   string `json:"id"`
	Type string `json:"type"`
}
