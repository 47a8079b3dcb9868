// Package processor defines what an adapter for a payment processor implements, and the HTTP client that it uses.
//
// An adapter translates between Florin's operations and one processor's protocol. It implements [Processor]: for each
// operation it writes one HTTP request, sends it through a [Client] and reads the response. The client decides what a response
// proves about money, by the adapter's [Profile]. It also applies the rate limit, the circuit breaker, the timeouts and the
// credentials, and writes the audit log.
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
// An [Adapter] combines the constructor, the profile and the reader of events. Package worker runs Florin with it, and package
// processortest tests it. docs/adapters.md is the guide, and examples/ownprocessor a complete adapter in a module of its own.
//
// # Types in histories
//
// Temporal stores the arguments and results of activities in workflow histories, in JSON. [ChargeCall], [CaptureCall],
// [VoidCall], [RefundCall], [LookupCall] and [Result] are such types: a history that was recorded today has to be readable by
// every later version. Their JSON field names never change, and a new field has to be optional.
package processor
