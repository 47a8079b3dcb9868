// Package processor defines the interface between Florin and the adapters for payment processors.
//
// An adapter translates between Florin's operations and one processor's protocol. It implements [Processor]: for each
// operation it writes one HTTP request, sends it through a [Client] and reads the response. What a response proves about
// money, and everything about getting one (rate limit, circuit breaker, credentials, time limits, audit log), is the
// client's. The client learns the peculiarities of the processor from the adapter's [Profile].
//
//	func (a *acme) Void(ctx context.Context, call processor.VoidCall) (processor.Result, error) {
//		var result processor.Result
//		answer, err := a.client.Do(ctx, processor.Call{
//			Method: http.MethodPost, Path: "/transactions/" + url.PathEscape(call.ProcessorPaymentID) + "/cancel",
//			Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: "void", PaymentID: call.PaymentID,
//			Decode: func(body []byte) (err error) { result, err = readTransaction(body); return err },
//		})
//		…
//	}
//
// An [Adapter] bundles the constructor, the profile and the reader of events. Package worker runs Florin with it, and package
// processortest is the conformance suite for it. docs/adapters.md is the guide.
//
// # Types in histories
//
// Temporal stores the arguments and results of activities in workflow histories, in JSON. [ChargeCall], [CaptureCall],
// [VoidCall], [RefundCall], [LookupCall] and [Result] are such types: a history that was recorded today has to be readable by
// every later version. Their JSON field names never change, and a new field has to be optional.
package processor
