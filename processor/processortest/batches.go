package processortest

// Scenarios about batches: several charges in one request, see processor.Batcher.

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var batchScenarios = []scenario{
	{name: "each charge of a batch is sent under its own key with exactly the values of its call", doc: docBatches,
		skip: skipWithoutBatches, run: batchValues},
	{name: "the outcomes of a batch are in the order of its calls, whatever the order of the response", doc: docBatches,
		skip: skipWithoutBatches, run: batchOrder},
	{name: "a decline of one charge of a batch leaves the others as they are", doc: docBatches,
		skip: skipWithoutBatches, run: batchDeclines},
	{name: "an error of one charge of a batch is that of a single charge, and leaves the others as they are", doc: docBatches,
		skip: skipWithoutBatches, run: batchErrors},
	{name: "an amount, currency or reference of a batch that differs from the call is reported unchanged", doc: docBatches,
		skip: skipWithoutBatches, run: batchDifferences},
	{name: "a charge that the response to a batch lacks is ambiguous", doc: docBatches,
		skip: skipWithoutBatches, run: batchLacks},
	{name: "a charge that the response to a batch contains twice is ambiguous", doc: docBatches,
		skip: skipWithoutBatches, run: batchTwice},
	{name: "a malformed response to a batch leaves each charge ambiguous", doc: docBatches,
		skip: skipWithoutBatches, run: batchMalformed},
	{name: "a batch that is refused or fails as a whole has for each charge the error of a single one", doc: docBatches,
		skip: skipWithoutBatches, run: batchFails},
	{name: "a lost response to a batch leaves each charge ambiguous", doc: docBatches,
		skip: skipWithoutBatches, run: batchLost},
	{name: "each charge of a batch reports Retry-After", doc: docBatches,
		skip: skipWithoutBatches, run: batchRetryAfter},
	{name: "a batch that is sent again after a lost response charges once", doc: docBatches,
		skip: skipWithoutBatches, run: batchRepeated},
	{name: "a charge that must not be sent is left out of its batch, and the others are sent", doc: docBatches,
		skip: skipWithoutBatches, run: batchUnsendable},
	{name: "a batch larger than Profile.MaxBatch is cut into several requests", doc: docBatches,
		skip: skipWithoutBatches, run: batchTooLarge},
	{name: "no error of a batch contains an API key, a card number or a payment method", doc: docBatches,
		skip: skipWithoutBatches, run: batchSecrets},
	{name: "the audit log contains the ids of a batch, and neither its payment methods nor its texts", doc: docBatches,
		skip: skipWithoutBatches, run: batchAudited},
	{name: "concurrent batches each receive their own response", doc: docBatches,
		skip: skipWithoutBatches, run: batchesConcurrently},
}

func skipWithoutBatches(p Protocol) string {
	if p.Profile.MaxBatch == 0 {
		return "the profile says that the processor takes charges one by one"
	}
	return ""
}

// batchCalls returns n calls, which differ in everything that a response could mix up.
func batchCalls(n int) []processor.ChargeCall {
	calls := make([]processor.ChargeCall, n)
	for i := range calls {
		call := chargeCall(callOptions{key: fmt.Sprintf("%s%012d", keyPrefix[:24], i+1)})
		call.PaymentID = payment.PaymentID(merchantID, fmt.Sprint("order-", i+1))
		call.Amount += int64(i)
		call.PaymentMethod = fmt.Sprint(paymentMethod, "_", i+1)
		calls[i] = call
	}
	return calls
}

// smallBatch returns the calls of a batch that is one request.
func smallBatch(p Protocol) []processor.ChargeCall { return batchCalls(min(3, p.Profile.MaxBatch)) }

// batcher returns the adapter.
func (r *rig) batcher() processor.Batcher {
	r.Helper()
	batcher, ok := r.adapter.(processor.Batcher)
	require.True(r, ok, "the adapter is no processor.Batcher")
	return batcher
}

// chargeBatch sends the calls. It requires an item for each call: a result, or a complete error without secrets.
func (r *rig) chargeBatch(ctx context.Context, calls []processor.ChargeCall) []processor.BatchItem {
	r.Helper()
	items := r.batcher().ChargeBatch(ctx, calls)
	require.Len(r, items, len(calls), "want an item for each call")
	for i, item := range items {
		if item.Err != nil {
			require.Zero(r, item.Result, "item %d: the result must be zero with an error", i)
			r.requireError(item.Err)
		}
	}
	return items
}

// oneBatch sends the calls, and requires that they are one request.
func (r *rig) oneBatch(calls []processor.ChargeCall) []processor.BatchItem {
	r.Helper()
	items := r.chargeBatch(r.Context(), calls)
	r.onlyRequest()
	return items
}

// recordOf returns the processor's record of a charge that succeeded.
func recordOf(p Protocol, key string, amount int64) Record {
	record := charge.record(p, key)
	record.ID = fmt.Sprint("payment_", amount)
	record.Amount, record.Captured = amount, amount
	return record
}

// paid returns the item of a charge that succeeded.
func paid(p Protocol, key string, amount int64) BatchItem {
	return BatchItem{Key: key, Response: p.WritePayment(recordOf(p, key, amount))}
}

// executed returns the items of a processor that has executed each charge of a request. A charge that the adapter has sent on its
// own is a request with one.
func executed(p Protocol, got received) []BatchItem {
	var items []BatchItem
	for _, one := range chargesOf(got) {
		items = append(items, paid(p, sentKey(one.Request), one.Amount))
	}
	return items
}

// paidBatch writes the response of a processor that has executed each of the calls.
func paidBatch(p Protocol, calls []processor.ChargeCall) Response {
	var items []BatchItem
	for _, call := range calls {
		items = append(items, paid(p, call.Key, call.Amount))
	}
	return p.WriteBatch(items)
}

func chargesOf(got received) []received {
	if got.Operation == Batch {
		return got.charges
	}
	return []received{got}
}

// respond returns a script that sends the items of executed after change.
func respond(p Protocol, change func([]BatchItem) []BatchItem) func(received) Response {
	return func(got received) Response {
		items := change(executed(p, got))
		if got.Operation != Batch {
			return items[0].Response
		}
		return p.WriteBatch(items)
	}
}

func unchanged(items []BatchItem) []BatchItem { return items }

// instead returns a script that sends the response to the charge with the key, and executes the others.
func instead(p Protocol, key string, response Response) func(received) Response {
	return respond(p, func(items []BatchItem) []BatchItem {
		for i := range items {
			if items[i].Key == key {
				items[i].Response = response
			}
		}
		return items
	})
}

// own returns the item of a call that was executed with the nth request.
func own(p Protocol, call processor.ChargeCall, nth int) processor.BatchItem {
	return processor.BatchItem{Result: charge.wantResult(p, recordOf(p, call.Key, call.Amount), nth)}
}

// requireOwn requires that the charges succeeded with the first request, except the one at index except.
func (r *rig) requireOwn(calls []processor.ChargeCall, items []processor.BatchItem, except int) {
	r.Helper()
	for i, call := range calls {
		if i != except {
			require.Equal(r, own(r.protocol, call, 1), items[i], "item %d", i)
		}
	}
}

// requireAmbiguous requires that a charge may have been executed, and is sent again.
func (r *rig) requireAmbiguous(item processor.BatchItem, i int) {
	r.Helper()
	require.NotNil(r, item.Err, "item %d: the response does not prove %+v", i, item.Result)
	require.Equal(r, []any{processor.Ambiguous, true}, []any{item.Err.Certainty, item.Err.Retry},
		"certainty and retry of item %d: %v", i, item.Err)
}

// requireUnharmed requires that the charges have their own outcome or are ambiguous, except the one at index except.
func (r *rig) requireUnharmed(calls []processor.ChargeCall, items []processor.BatchItem, except int) {
	r.Helper()
	for i, call := range calls {
		if i == except {
			continue
		}
		if items[i].Err != nil {
			r.requireAmbiguous(items[i], i)
			continue
		}
		require.Equal(r, own(r.protocol, call, 1), items[i], "item %d", i)
	}
}

// alone returns the outcome of a call that is sent on its own and receives the response.
func alone(t tester, p Protocol, call processor.ChargeCall, response Response) processor.BatchItem {
	t.Helper()
	r := start(t, p, always(response))
	result, err := r.adapter.Charge(t.Context(), call)
	if err == nil {
		return processor.BatchItem{Result: result}
	}
	e := r.requireError(err)
	return processor.BatchItem{Err: &e}
}

// requireSame requires two items with the same result, or with errors that mean the same. The texts of errors may differ.
func requireSame(t tester, want, got processor.BatchItem, i int) {
	t.Helper()
	require.Equal(t, want.Result, got.Result, "item %d", i)
	require.Equal(t, want.Err == nil, got.Err == nil, "item %d: want the error %v, got %v", i, want.Err, got.Err)
	if want.Err == nil {
		return
	}
	values := func(e *processor.Error) []any {
		return []any{e.Class, e.Certainty, e.Retry, e.RetryAfter, e.HTTPStatus, e.Code}
	}
	require.Equal(t, values(want.Err), values(got.Err),
		"class, certainty, retry, Retry-After, status and code of item %d: %v", i, got.Err)
}

// likeAlone requires that the second charge of a batch, whose item has the response, ends as it would on its own, and that the
// others succeed. It returns the item.
func likeAlone(t tester, p Protocol, calls []processor.ChargeCall, response Response) processor.BatchItem {
	t.Helper()
	r := start(t, p, instead(p, calls[1].Key, response))
	items := r.oneBatch(calls)
	requireSame(t, alone(t, p, calls[1], response), items[1], 1)
	r.requireOwn(calls, items, 1)
	return items[1]
}

func batchValues(t tester, p Protocol) {
	const prefix = payment.ReservedMetadataPrefix
	calls := smallBatch(p)
	if skipWithoutAuthorizations(p) == "" {
		calls[1].Capture = payment.CaptureManual
	}
	r := start(t, p, respond(p, unchanged))
	r.oneBatch(calls)
	got := r.onlyRequest()
	require.Equal(t, Batch, got.Operation)
	require.Len(t, got.charges, len(calls))
	byKey := map[string]received{}
	for _, one := range got.charges {
		byKey[sentKey(one.Request)] = one
	}
	for i, call := range calls {
		one, ok := byKey[call.Key]
		require.True(t, ok, "charge %d has another key", i)
		require.Equal(t, ParsedRequest{Operation: Charge, Amount: call.Amount, Currency: call.Currency, Reference: call.Key,
			PaymentMethod: call.PaymentMethod, ManualCapture: call.Capture == payment.CaptureManual}, one.ParsedRequest)
		if p.ParseMetadata != nil {
			sent := p.ParseMetadata(one.Request)
			require.Subset(t, sent, map[string]string{prefix + "payment_id": call.PaymentID, prefix + "merchant_id": merchantID})
			require.Subset(t, sent, callerMetadata(), "metadata of the caller")
		}
	}
	t.Run("no calls", func(t tester) {
		r := start(t, p, respond(p, unchanged))
		require.Empty(t, r.chargeBatch(t.Context(), nil))
		r.requireRequests(0)
	})
}

func batchOrder(t tester, p Protocol) {
	changes := map[string]func([]BatchItem) []BatchItem{
		"that of the request": unchanged,
		"reversed": func(items []BatchItem) []BatchItem {
			slices.Reverse(items)
			return items
		},
		"rotated": func(items []BatchItem) []BatchItem { return append(items[1:], items[0]) },
	}
	for _, name := range sorted(changes) {
		t.Run(name, func(t tester) {
			calls := smallBatch(p)
			r := start(t, p, respond(p, changes[name]))
			r.requireOwn(calls, r.oneBatch(calls), -1)
		})
	}
}

// batchRepeated loses the response to a batch that was executed. The server knows the keys, and refuses one with another payload.
func batchRepeated(t tester, p Protocol) {
	calls := smallBatch(p)
	first := map[string]received{}
	r := start(t, p, func(got received) Response {
		var items []BatchItem
		for _, one := range chargesOf(got) {
			key := sentKey(one.Request)
			if _, known := first[key]; !known {
				first[key] = one
			}
			response := p.WritePayment(recordOf(p, key, first[key].Amount))
			if got.Operation == Batch && !bytes.Equal(first[key].Body, one.Body) || first[key].ParsedRequest != one.ParsedRequest {
				response = p.WriteError(http.StatusUnprocessableEntity, "some_code", "the key was used with another payload")
			}
			items = append(items, BatchItem{Key: key, Response: response})
		}
		switch {
		case got.nth == 1:
			return Response{handler: closeWithoutResponse}
		case got.Operation != Batch:
			return items[0].Response
		default:
			return p.WriteBatch(items)
		}
	})
	for i, item := range r.oneBatch(calls) {
		r.requireAmbiguous(item, i)
	}
	for i := range calls {
		calls[i].KeyFirstUsed = time.Now()
	}
	again := slices.Clone(calls)
	slices.Reverse(again)
	for i, item := range r.chargeBatch(t.Context(), again) {
		require.Equal(t, own(p, again[i], 2), item, "item %d of the batch that was sent again", i)
	}
	got, err := r.adapter.Charge(t.Context(), calls[0])
	require.NoError(t, err, "the charge on its own")
	require.Equal(t, own(p, calls[0], 3).Result, got)
	r.requireRequests(3)
	require.Len(t, first, len(calls), "charges that the processor executed")
}

func batchUnsendable(t tester, p Protocol) {
	for _, tc := range []struct {
		name      string
		skip      string
		change    func(*processor.ChargeCall)
		certainty processor.Certainty
		class     payment.FailureClass
	}{
		{name: "no key", change: func(c *processor.ChargeCall) { c.Key = "" },
			certainty: processor.NotExecuted, class: payment.ClassConfig},
		{name: "a key with a line break", change: func(c *processor.ChargeCall) { c.Key += "\n" },
			certainty: processor.NotExecuted, class: payment.ClassConfig},
		{name: "an expired key", skip: skipWithoutLifetime(p),
			change:    func(c *processor.ChargeCall) { c.KeyFirstUsed = time.Now().Add(-p.Profile.KeyLifetime - time.Second) },
			certainty: processor.Ambiguous, class: payment.ClassOutcomeUnknown},
	} {
		t.Run(tc.name, func(t tester) {
			if tc.skip != "" {
				t.Skip(tc.skip)
			}
			calls := smallBatch(p)
			tc.change(&calls[1])
			r := start(t, p, respond(p, unchanged))
			items := r.oneBatch(calls)
			require.Len(t, chargesOf(r.onlyRequest()), len(calls)-1, "charges that were sent")
			require.NotNil(t, items[1].Err)
			r.requireFailure(items[1].Err, tc.certainty, false, tc.class)
			r.requireOwn(calls, items, 1)
		})
	}
}

// batchTooLarge sends two charges more than a request may have, and has the first request fail.
func batchTooLarge(t tester, p Protocol) {
	calls := batchCalls(p.Profile.MaxBatch + 2)
	r := start(t, p, func(got received) Response {
		if got.nth == 1 {
			return p.WriteError(http.StatusInternalServerError, "some_code", "some message")
		}
		return respond(p, unchanged)(got)
	})
	items := r.chargeBatch(t.Context(), calls)
	sentWith := map[string]int{}
	for _, got := range r.sent() {
		require.LessOrEqual(t, len(chargesOf(got)), p.Profile.MaxBatch, "charges of one request")
		for _, one := range chargesOf(got) {
			require.Zero(t, sentWith[sentKey(one.Request)], "a charge was sent twice")
			sentWith[sentKey(one.Request)] = got.nth
		}
	}
	require.Len(t, sentWith, len(calls), "charges that were sent")
	for i, call := range calls {
		if sentWith[call.Key] == 1 {
			r.requireAmbiguous(items[i], i)
			continue
		}
		require.Equal(t, own(p, call, sentWith[call.Key]), items[i], "item %d", i)
	}
}

func batchSecrets(t tester, p Protocol) {
	calls := smallBatch(p)
	secrets := map[string]func(received) string{
		"API key":               func(got received) string { return "wrong key: " + got.Header.Get("Authorization") },
		"card number":           func(received) string { return cardNumber },
		"key of a charge":       func(received) string { return "not allowed: " + calls[1].Key },
		"key of another charge": func(received) string { return "used before: " + calls[0].Key },
	}
	for _, secret := range sorted(secrets) {
		text := secrets[secret]
		responses := map[string]func(received) Response{}
		for _, status := range []int{200, 400, 401, 500} {
			responses[fmt.Sprint("in the message of a ", status)] = func(got received) Response {
				return p.WriteError(status, "some_code", text(got))
			}
			responses[fmt.Sprint("in the code of a ", status)] = func(got received) Response {
				return p.WriteError(status, text(got), "")
			}
			responses[fmt.Sprint("as the body of a ", status)] = func(got received) Response {
				return Response{Status: status, Body: []byte(text(got))}
			}
		}
		for _, name := range sorted(responses) {
			t.Run(fmt.Sprintf("%s %s to the request", secret, name), func(t tester) {
				for i, item := range start(t, p, responses[name]).chargeBatch(t.Context(), calls) {
					require.NotNil(t, item.Err, "item %d", i)
				}
			})
		}
		maps.DeleteFunc(responses, func(name string, _ func(received) Response) bool { return strings.HasPrefix(name, "as the body") })
		responses["as the status of the record"] = func(got received) Response {
			record := recordOf(p, calls[1].Key, calls[1].Amount)
			record.Status = text(got)
			return p.WritePayment(record)
		}
		for _, name := range sorted(responses) {
			t.Run(fmt.Sprintf("%s %s to a charge", secret, name), func(t tester) {
				r := start(t, p, func(got received) Response { return instead(p, calls[1].Key, responses[name](got))(got) })
				items := r.chargeBatch(t.Context(), calls)
				require.NotNil(t, items[1].Err)
			})
		}
	}
}

func batchAudited(t tester, p Protocol) {
	calls := smallBatch(p)
	var lines bytes.Buffer
	log := audit.New(zapcore.AddSync(&lines), audit.Options{})
	r := start(t, p, respond(p, unchanged), func(o *httpclient.Options) { o.Audit = log })
	r.oneBatch(calls)
	require.NoError(t, log.Close())
	for _, text := range []string{paymentMethod, "customer_1", "two books", keyOf("")} {
		require.NotContains(t, lines.String(), text, "Profile.Audited names a field that is not the processor's own")
	}
	for _, call := range calls {
		if len(p.Profile.Audited) > 0 {
			require.Contains(t, lines.String(), `"`+recordOf(p, call.Key, call.Amount).ID+`"`)
		}
	}
}

func batchesConcurrently(t tester, p Protocol) {
	const batches = 16
	r := start(t, p, respond(p, unchanged), func(o *httpclient.Options) { o.MaxInFlight = batches })
	size, batcher := len(smallBatch(p)), r.batcher()
	calls := batchCalls(batches * size)
	all := concurrently(batches, func(i int) []processor.BatchItem {
		return batcher.ChargeBatch(t.Context(), calls[i*size:(i+1)*size])
	})
	items := slices.Concat(all...)
	require.Len(t, items, len(calls))
	for i, call := range calls {
		want := own(p, call, 1)
		want.Result.RequestID = items[i].Result.RequestID // the requests arrive in any order
		require.Equal(t, want, items[i], "item %d", i)
	}
	r.requireRequests(batches)
}
