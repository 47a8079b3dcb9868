package processortest

// Scenarios about what the response to a batch, or its absence, proves about each charge.

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func batchDeclines(t tester, p Protocol) {
	calls := smallBatch(p)
	record := recordOf(p, calls[1].Key, calls[1].Amount)
	record.Captured = 0
	responses := map[string]Response{}
	for _, d := range p.Declines {
		responses[d.Name] = d.Write(record)
	}
	for name, status := range p.PaymentStatuses {
		if status == payment.Declined {
			record.Status = name
			responses["the status "+name] = p.WritePayment(record)
		}
	}
	if len(responses) == 0 {
		t.Skip("the protocol has no declines of charges")
	}
	for _, name := range sorted(responses) {
		t.Run(name, func(t tester) {
			got := likeAlone(t, p, calls, responses[name])
			require.Nil(t, got.Err, "a decline is a result")
			require.Equal(t, payment.Declined, got.Result.Status)
			require.Equal(t, calls[1].Key, got.Result.Reference)
			checkDecline(t, &got.Result)
		})
	}
}

// refusals are responses without a business outcome, to a charge or to a whole batch.
func refusals(p Protocol) map[string]Response {
	all := map[string]Response{}
	for _, status := range []int{400, 403, 409, 422, 429, 500, 503} {
		all[fmt.Sprint(status)] = p.WriteError(status, "some_code", "some message")
	}
	for name, write := range map[string]func() Response{"a key in flight": p.WriteInFlight, "a used key": p.WriteMismatch,
		"a state conflict": p.WriteConflict, "a locked object": p.WriteObjectLevel} {
		if write != nil {
			all[name] = write()
		}
	}
	return all
}

func batchErrors(t tester, p Protocol) {
	calls := smallBatch(p)
	responses := refusals(p)
	for name, change := range defects {
		record := recordOf(p, calls[1].Key, calls[1].Amount)
		change(&record)
		responses[name] = p.WritePayment(record)
	}
	for _, name := range sorted(responses) {
		t.Run(name, func(t tester) {
			got := likeAlone(t, p, calls, responses[name])
			require.NotNil(t, got.Err, "the charge has no outcome")
		})
	}
}

func batchDifferences(t tester, p Protocol) {
	calls := smallBatch(p)
	changes := map[string]func(*Record){
		"amount":    func(r *Record) { r.Amount, r.Captured = 999, 999 },
		"currency":  func(r *Record) { r.Currency = "EUR" },
		"reference": func(r *Record) { r.Reference = keyOf("9") },
		"captured":  func(r *Record) { r.Captured = 1 },
		"another charge of the batch": func(r *Record) {
			*r = recordOf(p, calls[0].Key, calls[0].Amount)
		},
	}
	for _, name := range sorted(changes) {
		t.Run(name, func(t tester) {
			record := recordOf(p, calls[1].Key, calls[1].Amount)
			changes[name](&record)
			got := likeAlone(t, p, calls, p.WritePayment(record))
			require.Nil(t, got.Err)
			require.Equal(t, charge.wantResult(p, record, 1), got.Result)
		})
	}
}

func batchLacks(t tester, p Protocol) {
	calls := smallBatch(p)
	for _, lacking := range []int{0, len(calls) - 1} {
		t.Run(fmt.Sprint("charge ", lacking), func(t tester) {
			r := start(t, p, respond(p, func(items []BatchItem) []BatchItem {
				return slices.DeleteFunc(items, func(item BatchItem) bool { return item.Key == calls[lacking].Key })
			}))
			items := r.oneBatch(calls)
			r.requireAmbiguous(items[lacking], lacking)
			r.requireOwn(calls, items, lacking)
		})
	}
	t.Run("all charges", func(t tester) {
		r := start(t, p, respond(p, func([]BatchItem) []BatchItem { return nil }))
		for i, item := range r.oneBatch(calls) {
			r.requireAmbiguous(item, i)
		}
	})
	t.Run("a charge, and contains one that was not sent", func(t tester) {
		r := start(t, p, respond(p, func(items []BatchItem) []BatchItem {
			items[0] = paid(p, keyOf("9"), calls[0].Amount)
			return items
		}))
		items := r.oneBatch(calls)
		r.requireAmbiguous(items[0], 0)
		r.requireUnharmed(calls, items, 0)
	})
}

func batchTwice(t tester, p Protocol) {
	calls := smallBatch(p)
	refused := BatchItem{Key: calls[0].Key, Response: p.WriteError(http.StatusBadRequest, "some_code", "some message")}
	changes := map[string]func([]BatchItem) []BatchItem{
		"the same item": func(items []BatchItem) []BatchItem { return append(items, items[0]) },
		"first paid":    func(items []BatchItem) []BatchItem { return append(items, refused) },
		"first refused": func(items []BatchItem) []BatchItem { return append([]BatchItem{refused}, items...) },
	}
	for _, name := range sorted(changes) {
		t.Run(name, func(t tester) {
			r := start(t, p, respond(p, changes[name]))
			items := r.oneBatch(calls)
			r.requireAmbiguous(items[0], 0)
			r.requireUnharmed(calls, items, 0)
		})
	}
}

func batchMalformed(t tester, p Protocol) {
	calls := smallBatch(p)
	whole := paidBatch(p, calls)
	malformed := map[string]Response{
		"the response to a single charge": p.WritePayment(recordOf(p, calls[0].Key, calls[0].Amount)),
		"an error with status 200":        p.WriteError(http.StatusOK, "some_code", "try again later"),
	}
	for name, malform := range malformedResponses(p) {
		malformed[name] = malform(whole)
	}
	for _, name := range sorted(malformed) {
		t.Run(name, func(t tester) {
			r := start(t, p, always(malformed[name]))
			for i, item := range r.oneBatch(calls) {
				r.requireAmbiguous(item, i)
			}
		})
	}
	variants := ambiguousResponses(whole)
	for _, name := range sorted(variants) {
		t.Run("JSON that can be read in more than one way: "+name, func(t tester) {
			r := start(t, p, always(variants[name]))
			items := r.oneBatch(calls)
			r.requireAmbiguous(items[0], 0) // the only one whose amount is among those that the variants change
			r.requireUnharmed(calls, items, 0)
		})
	}
}

func batchFails(t tester, p Protocol) {
	calls := smallBatch(p)
	for _, want := range classifications(p.Profile) {
		responses := map[string]Response{
			"an empty body":         {Status: want.status},
			"a gateway's page":      {Status: want.status, Body: []byte("<html>" + cardNumber + "</html>")},
			"the protocol's error":  p.WriteError(want.status, "some_code", "some message"),
			"the body of a success": {Status: want.status, Body: paidBatch(p, calls).Body},
		}
		if want.status == http.StatusPaymentRequired {
			delete(responses, "the protocol's error") // may be a decline, whatever the code
		}
		for _, name := range sorted(responses) {
			t.Run(fmt.Sprintf("%d with %s", want.status, name), func(t tester) {
				r := start(t, p, always(responses[name]))
				for i, item := range r.chargeBatch(t.Context(), calls) {
					require.NotNil(t, item.Err, "item %d", i)
					r.requireFailure(item.Err, want.certainty, want.retry, want.class)
				}
				if want.status == http.StatusUnauthorized {
					r.requireRequests(2) // the client resends once with a fresh API key
					return
				}
				r.onlyRequest()
			})
		}
	}
	whole := refusals(p)
	for _, name := range sorted(whole) {
		t.Run("the whole batch: "+name, func(t tester) {
			r := start(t, p, always(whole[name]))
			for i, item := range r.oneBatch(calls) {
				requireSame(t, alone(t, p, calls[i], whole[name]), item, i)
			}
		})
	}
	for _, d := range p.Declines {
		t.Run("a decline of the whole batch: "+d.Name, func(t tester) {
			r := start(t, p, always(d.Write(recordOf(p, calls[0].Key, calls[0].Amount))))
			for i, item := range r.oneBatch(calls) {
				require.NotNil(t, item.Err, "item %d: the response does not say which charge was declined", i)
				require.Equal(t, processor.Ambiguous, item.Err.Certainty, "item %d", i)
			}
		})
	}
	t.Run("a refused connection", func(t tester) {
		baseURL := "http://" + unreachableAddress(t)
		r := start(t, p, nil, func(o *httpclient.Options) { o.BaseURL = baseURL })
		for i, item := range r.chargeBatch(t.Context(), calls) {
			require.NotNil(t, item.Err, "item %d", i)
			r.requireFailure(item.Err, processor.NotExecuted, true, payment.ClassNotSent)
		}
	})
}

func batchLost(t tester, p Protocol) {
	calls := smallBatch(p)
	handlers := map[string]http.HandlerFunc{
		"reset": reset, "closed before the response": closeWithoutResponse, "closed within the header": closeWithinHeader,
	}
	for _, name := range sorted(handlers) {
		t.Run(name, func(t tester) {
			r := start(t, p, always(Response{handler: handlers[name]}))
			for i, item := range r.oneBatch(calls) {
				require.NotNil(t, item.Err, "item %d", i)
				r.requireFailure(item.Err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
			}
		})
	}
	t.Run("canceled in flight", func(t tester) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := start(t, p, always(Response{handler: func(w http.ResponseWriter, req *http.Request) {
			cancel()
			hang(w, req)
		}}))
		for i, item := range r.chargeBatch(ctx, calls) {
			require.NotNil(t, item.Err, "item %d", i)
			r.requireFailure(item.Err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
		}
		r.onlyRequest()
	})
}

func batchRetryAfter(t tester, p Protocol) {
	calls := smallBatch(p)
	for _, status := range []int{429, 503} {
		response := p.WriteError(status, "some_code", "slow down")
		later := withRetryAfter(response)
		t.Run(fmt.Sprint(status, " to the request"), func(t tester) {
			r := start(t, p, always(later))
			for i, item := range r.oneBatch(calls) {
				require.NotNil(t, item.Err, "item %d", i)
				require.Equal(t, 7*time.Second, item.Err.RetryAfter, "item %d", i)
			}
		})
		t.Run(fmt.Sprint(status, " to a charge"), func(t tester) {
			item := func(response Response) []BatchItem { return []BatchItem{{Key: calls[1].Key, Response: response}} }
			if bytes.Equal(p.WriteBatch(item(response)).Body, p.WriteBatch(item(later)).Body) {
				t.Skip("the protocol has no Retry-After for a charge of a batch")
			}
			got := likeAlone(t, p, calls, later)
			require.NotNil(t, got.Err)
			require.Equal(t, 7*time.Second, got.Err.RetryAfter)
		})
	}
}
