package processortest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
	"github.com/florinpay/florin/processor/processortest"
)

// broken is Acme's adapter with a defect. The functions that are set replace the adapter's methods.
type broken struct {
	*acme
	charge func(*acme, context.Context, processor.ChargeCall) (processor.Result, error)
	refund func(*acme, context.Context, processor.RefundCall) (processor.Result, error)
	void   func(*acme, context.Context, processor.VoidCall) (processor.Result, error)
	lookup func(*acme, context.Context, processor.LookupCall) (processor.Result, bool, error)
	list   func(*acme, context.Context, processor.ListCall) (processor.Page, error)

	chargeBatch func(*acme, context.Context, []processor.ChargeCall) []processor.BatchItem
	// after changes the result and the error of every charge.
	after func(processor.ChargeCall, processor.Result, error) (processor.Result, error)
}

func (b broken) Charge(ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
	charge := (*acme).Charge
	if b.charge != nil {
		charge = b.charge
	}
	result, err := charge(b.acme, ctx, call)
	if b.after != nil {
		return b.after(call, result, err)
	}
	return result, err
}

func (b broken) Refund(ctx context.Context, call processor.RefundCall) (processor.Result, error) {
	if b.refund != nil {
		return b.refund(b.acme, ctx, call)
	}
	return b.acme.Refund(ctx, call)
}

func (b broken) Void(ctx context.Context, call processor.VoidCall) (processor.Result, error) {
	if b.void != nil {
		return b.void(b.acme, ctx, call)
	}
	return b.acme.Void(ctx, call)
}

func (b broken) Lookup(ctx context.Context, call processor.LookupCall) (processor.Result, bool, error) {
	if b.lookup != nil {
		return b.lookup(b.acme, ctx, call)
	}
	return b.acme.Lookup(ctx, call)
}

func (b broken) List(ctx context.Context, call processor.ListCall) (processor.Page, error) {
	if b.list != nil {
		return b.list(b.acme, ctx, call)
	}
	return b.acme.List(ctx, call)
}

func (b broken) ChargeBatch(ctx context.Context, calls []processor.ChargeCall) []processor.BatchItem {
	if b.chargeBatch != nil {
		return b.chargeBatch(b.acme, ctx, calls)
	}
	return b.acme.ChargeBatch(ctx, calls)
}

// changeError returns an adapter that changes every error of a charge.
func changeError(change func(*processor.Error)) broken {
	return broken{after: func(_ processor.ChargeCall, result processor.Result, err error) (processor.Result, error) {
		var e *processor.Error
		if errors.As(err, &e) {
			change(e)
		}
		return result, err
	}}
}

// changeResult returns an adapter that changes every result of a charge.
func changeResult(change func(processor.ChargeCall, *processor.Result)) broken {
	return broken{after: func(call processor.ChargeCall, result processor.Result, err error) (processor.Result, error) {
		if err == nil {
			change(call, &result)
		}
		return result, err
	}}
}

// chargeWith reads the response to a charge with read.
func chargeWith(read func(body []byte) (processor.Result, error)) broken {
	return broken{charge: func(a *acme, ctx context.Context, c processor.ChargeCall) (result processor.Result, err error) {
		answer, err := a.client.Do(ctx, processor.Call{Method: http.MethodPost, Path: "/transactions", Key: c.Key,
			Decode: func(body []byte) error {
				result, err = read(body)
				return err
			}})
		result.RequestID = answer.RequestID
		return result, err
	}}
}

// changePage returns an adapter that changes every page of a list, or rejects it if change returns true.
func changePage(change func(*processor.Page) (reject bool)) broken {
	return broken{list: func(a *acme, ctx context.Context, call processor.ListCall) (processor.Page, error) {
		page, err := a.List(ctx, call)
		if err == nil && change(&page) {
			return processor.Page{}, &processor.Error{Class: payment.ClassInvalidResponse, Certainty: processor.Ambiguous}
		}
		return page, err
	}}
}

// changeRecord returns an adapter that changes every record of a list.
func changeRecord(change func(*processor.Record)) broken {
	return changePage(func(page *processor.Page) bool {
		for i := range page.Records {
			change(&page.Records[i])
		}
		return false
	})
}

// changeCall returns an adapter that changes every charge before it is sent.
func changeCall(change func(*processor.ChargeCall)) broken {
	return broken{charge: func(a *acme, ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
		change(&call)
		return a.Charge(ctx, call)
	}}
}

// The names of the scenarios.
const (
	oneRequest        = "each operation is one request with exactly the values of the call"
	captureMode       = "a charge captures at once or only authorizes, as the call says"
	metadata          = "charges and refunds carry Florin's ids and the caller's metadata"
	idPaths           = "a payment id never changes the path of the request"
	listParameters    = "a list request carries its creation time, cursor and limit"
	keySent           = "the idempotency key is sent unchanged"
	repeated          = "a repeated call sends the same bytes under the same key"
	missingKey        = "a call without an idempotency key is not sent"
	badKey            = "an idempotency key that the processor would not accept is not sent"
	expiredKey        = "an expired idempotency key is not sent, and the outcome is ambiguous"
	keyInFlight       = "a key that is still in flight is ambiguous and retryable"
	keyMismatch       = "a key that was used with another payload is ambiguous and not retryable"
	rejectedAPIKey    = "a rejected API key is replaced once, under the same idempotency key"
	statusMapping     = "each status is mapped, in operations, lookups and lists"
	amounts           = "captured and refunded amounts are reported"
	capturedAlways    = "a captured amount is reported whatever the status"
	differences       = "an amount, currency or reference that differs from the call is reported unchanged"
	declines          = "a decline is a result with its code and kind, not an error"
	openDecline       = "a decline says whether it can still succeed"
	malformed         = "a malformed success response is ambiguous"
	ambiguousJSON     = "JSON that can be read in more than one way is ambiguous"
	unprintableText   = "a success with an id, currency or reference that is not printable ASCII is ambiguous"
	unprintableCode   = "the codes of a decline are printable ASCII"
	incomplete        = "a success without a valid id, status, amount, currency or reference is ambiguous"
	httpStatuses      = "each HTTP status has the documented certainty, retry flag and failure class"
	errorDetails      = "an error contains the processor's code, message and request id"
	conflict          = "a state conflict is ambiguous, because an earlier attempt may have caused it"
	retryAfter        = "an error reports Retry-After"
	lockedObject      = "a response about one object delays no other call and does not open the circuit breaker"
	retryHeader       = "the processor's retry header changes the retry flag, never the certainty"
	redirects         = "redirects are never followed"
	brokenConnection  = "a connection that breaks after the request was sent is ambiguous"
	timeout           = "a response timeout is ambiguous"
	canceled          = "a call that is canceled in flight is ambiguous"
	refusedConnection = "a refused connection proves that nothing was executed"
	lookupFinds       = "a lookup finds the matching record"
	lookupNotFound    = "a lookup accepts every not-found response of the protocol"
	lookupUndefined   = "a lookup response that the protocol does not define is an error, never not found"
	lookupOther       = "a lookup never returns a record with another reference"
	lookupDuplicates  = "two records with the same reference are an error"
	lookupRefundAlone = "a lookup of a refund without its payment id finds it or returns an error"
	listPages         = "a list is read page by page to its end"
	listEmpty         = "an empty list is an empty page"
	listUnreadable    = "an unreadable page is an error, never an empty page"
	listForeign       = "a list has the payments and refunds that Florin did not make"
	listTimes         = "a record of a list has the time of its creation"
	listOwnIDs        = "a record of a list has Florin's id"
	listUnchanged     = "an unchanged page is revalidated with its ETag"
	secrets           = "no error contains an API key or a card number that the processor repeats"
	auditedFields     = "the audit log contains the ids of an operation, and neither its payment method nor its texts"
	auditedLists      = "the audit log contains the ids of a list"
	concurrent        = "concurrent calls each receive their own response"
)

const (
	listUnreadableRecords = "an unreadable record of a list is reported, and does not hide the others"
	listRefundPayments    = "a refund of a list names its payment"
)

// defect is a mistake in an adapter that the suite must find.
type defect struct {
	name string
	// caughtBy are scenarios that fail because of the defect.
	caughtBy []string
	broken   broken
	// protocol changes the description of the adapter, such as its profile.
	protocol func(*processortest.Protocol)
}

func defects() []defect {
	var calls atomic.Int64
	var once sync.Once
	var first processor.Result
	var firstErr error
	return []defect{
		{name: "drops the idempotency key", caughtBy: []string{oneRequest, keySent, canceled},
			broken: changeCall(func(c *processor.ChargeCall) { c.Key = "" })},
		{name: "invents a missing idempotency key", caughtBy: []string{missingKey},
			broken: changeCall(func(c *processor.ChargeCall) {
				if c.Key == "" {
					c.Key = "invented"
				}
			})},
		{name: "sends a new key with every attempt", caughtBy: []string{repeated, keySent},
			broken: changeCall(func(c *processor.ChargeCall) {
				c.Key = fmt.Sprint("key-", calls.Add(1))
			})},
		{name: "truncates a key that is too long", caughtBy: []string{badKey},
			broken: changeCall(func(c *processor.ChargeCall) {
				c.Key = c.Key[:min(len(c.Key), 45)]
			})},
		{name: "drops the time of the key's first use", caughtBy: []string{expiredKey},
			broken: changeCall(func(c *processor.ChargeCall) {
				c.KeyFirstUsed = time.Time{}
			})},
		{name: "sends different bytes with every attempt", caughtBy: []string{repeated},
			broken: changeCall(func(c *processor.ChargeCall) {
				c.Description, c.MerchantID = "", fmt.Sprint("merchant-", calls.Add(1))
			})},
		{name: "charges another amount", caughtBy: []string{oneRequest},
			broken: changeCall(func(c *processor.ChargeCall) { c.Amount *= 100 })},
		{name: "charges another currency", caughtBy: []string{oneRequest},
			broken: changeCall(func(c *processor.ChargeCall) { c.Currency = "EUR" })},
		{name: "captures although the call only authorizes", caughtBy: []string{captureMode},
			broken: changeCall(func(c *processor.ChargeCall) { c.Capture = "" })},
		{name: "drops the caller's metadata", caughtBy: []string{metadata},
			broken: changeCall(func(c *processor.ChargeCall) { c.Metadata = nil })},
		{name: "drops the merchant id from the request", caughtBy: []string{metadata},
			broken: changeCall(func(c *processor.ChargeCall) { c.MerchantID = "" })},
		{name: "sends the request twice", caughtBy: []string{oneRequest, redirects},
			broken: broken{charge: func(a *acme, ctx context.Context, c processor.ChargeCall) (processor.Result, error) {
				_, _ = a.Charge(ctx, c)
				return a.Charge(ctx, c)
			}}},
		{name: "retries by itself", caughtBy: []string{httpStatuses, brokenConnection, timeout},
			broken: broken{charge: func(a *acme, ctx context.Context, c processor.ChargeCall) (processor.Result, error) {
				result, err := a.Charge(ctx, c)
				var e *processor.Error
				if errors.As(err, &e) && e.Retry {
					return a.Charge(ctx, c)
				}
				return result, err
			}}},
		{name: "follows redirects", caughtBy: []string{redirects, httpStatuses},
			broken: broken{charge: func(a *acme, ctx context.Context, c processor.ChargeCall) (processor.Result, error) {
				result, err := a.Charge(ctx, c)
				var e *processor.Error
				if errors.As(err, &e) && e.HTTPStatus/100 == 3 {
					return a.Charge(ctx, c)
				}
				return result, err
			}}},
		{name: "does not escape ids in paths", caughtBy: []string{idPaths},
			broken: broken{void: func(a *acme, ctx context.Context, c processor.VoidCall) (processor.Result, error) {
				return a.post(ctx, acmeStates,
					processor.Call{Path: "/transactions/" + c.ProcessorPaymentID + "/cancel", Key: c.Key})
			}}},
		{name: "voids instead of refunding", caughtBy: []string{oneRequest},
			broken: broken{refund: func(a *acme, ctx context.Context, c processor.RefundCall) (processor.Result, error) {
				return a.Void(ctx, processor.VoidCall{Key: c.Key, ProcessorPaymentID: c.ProcessorPaymentID})
			}}},

		{name: "accepts every 200", caughtBy: []string{malformed, incomplete},
			broken: broken{after: func(c processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
				var e *processor.Error
				if errors.As(err, &e) && e.HTTPStatus == http.StatusOK {
					return processor.Result{ID: "t", Status: payment.Succeeded, Amount: c.Amount, Currency: c.Currency,
						Reference: c.Key}, nil
				}
				return r, err
			}}},
		{name: "reports a malformed response as not executed", caughtBy: []string{malformed, incomplete},
			broken: changeError(func(e *processor.Error) {
				if e.Class == payment.ClassInvalidResponse {
					e.Certainty = processor.NotExecuted
				}
			})},
		{name: "reads names in any case, and of a name that appears twice the last one", caughtBy: []string{ambiguousJSON},
			broken: chargeWith(func(body []byte) (result processor.Result, err error) {
				var t transaction
				if err := json.Unmarshal(body, &t); err != nil {
					return result, err
				}
				return t.result(acmeStates)
			})},
		{name: "accepts every text in a record", caughtBy: []string{unprintableText},
			broken: chargeWith(func(body []byte) (result processor.Result, err error) {
				var t transaction
				if err := processor.DecodeJSON(body, &t); err != nil {
					return result, err
				}
				return t.result(acmeStates)
			})},
		{name: "removes control characters from ids", caughtBy: []string{unprintableText},
			broken: chargeWith(func(body []byte) (result processor.Result, err error) {
				var t transaction
				if err := processor.DecodeJSON(body, &t); err != nil {
					return result, err
				}
				t.ID = strings.Trim(t.ID, "\x00\n\x1b\x7f")
				return t.checked(acmeStates)
			})},
		{name: "finds a record with any text", caughtBy: []string{unprintableText},
			broken: broken{lookup: func(a *acme, ctx context.Context, c processor.LookupCall) (result processor.Result, found bool, err error) {
				get, states := processor.Call{Path: "/transactions", Query: url.Values{"order": {c.Reference}}}, acmeStates
				if c.Operation == payment.OperationRefund {
					get, states = processor.Call{Path: "/transactions/" + c.ProcessorPaymentID + "/returns"}, acmeReturnStates
				}
				_, _, err = a.get(ctx, get, func(list transactions) (err error) {
					result, err = list.Items[0].result(states)
					return err
				})
				return result, err == nil, err
			}}},
		{name: "rejects a page with a foreign reference that Florin cannot have written", caughtBy: []string{unprintableText},
			broken: changePage(func(page *processor.Page) bool {
				return slices.ContainsFunc(page.Records, func(r processor.Record) bool { return r.Reference == "" })
			})},
		{name: "reports the code of a decline as it is", caughtBy: []string{unprintableCode},
			protocol: func(p *processortest.Protocol) {
				p.Profile.Refusal = func(a processor.Answer) processor.Refusal {
					var body struct {
						Reason string `json:"reason"`
					}
					r := acmeRefusal(a)
					if r.Decline != nil && processor.DecodeJSON(a.Body, &body) == nil {
						r.Decline.Code = body.Reason
					}
					return r
				}
			}},
		{name: "reports a decline as an error", caughtBy: []string{declines},
			broken: broken{after: func(_ processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
				if err == nil && r.Status == payment.Declined {
					return processor.Result{}, &processor.Error{Certainty: processor.Answered}
				}
				return r, err
			}}},
		{name: "reports a decline as a success", caughtBy: []string{declines},
			broken: broken{after: func(c processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
				if err == nil && r.Status == payment.Declined {
					return processor.Result{ID: "t", Status: payment.Succeeded, Amount: c.Amount, Currency: c.Currency,
						CapturedAmount: c.Amount, Reference: c.Key}, nil
				}
				return r, err
			}}},
		{name: "reports every 4xx as a decline", caughtBy: []string{httpStatuses},
			broken: broken{after: func(c processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
				var e *processor.Error
				if errors.As(err, &e) && e.HTTPStatus/100 == 4 {
					return processor.Result{Status: payment.Declined, Reference: c.Key, Decline: acmeDecline("")}, nil
				}
				return r, err
			}}},
		{name: "drops the details of a decline", caughtBy: []string{declines, statusMapping},
			broken: changeResult(func(_ processor.ChargeCall, r *processor.Result) { r.Decline = nil })},
		{name: "reports every decline as final", caughtBy: []string{openDecline, statusMapping},
			broken: broken{
				lookup: func(a *acme, ctx context.Context, c processor.LookupCall) (processor.Result, bool, error) {
					result, found, err := a.Lookup(ctx, c)
					result.CanStillSucceed = false
					return result, found, err
				},
				after: func(_ processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
					r.CanStillSucceed = false
					return r, err
				},
			}},
		{name: "reports a refused void as voided", caughtBy: []string{openDecline},
			broken: broken{void: func(a *acme, ctx context.Context, c processor.VoidCall) (processor.Result, error) {
				result, err := a.Void(ctx, c)
				var e *processor.Error
				if errors.As(err, &e) && e.Class == payment.ClassStateConflict {
					return processor.Result{ID: c.ProcessorPaymentID, Status: payment.Voided}, nil
				}
				return result, err
			}}},
		{name: "reports every decline as soft", caughtBy: []string{declines},
			broken: changeResult(func(_ processor.ChargeCall, r *processor.Result) {
				if r.Decline != nil {
					r.Decline.Kind = payment.DeclineSoft
				}
			})},
		{name: "reports an authorization as a capture", caughtBy: []string{statusMapping},
			broken: changeResult(func(_ processor.ChargeCall, r *processor.Result) {
				if r.Status == payment.Authorized {
					r.Status = payment.Succeeded
				}
			})},
		{name: "reports the amount of the call instead of the response", caughtBy: []string{differences},
			broken: changeResult(func(c processor.ChargeCall, r *processor.Result) { r.Amount = c.Amount })},
		{name: "reports the currency of the call instead of the response", caughtBy: []string{differences},
			broken: changeResult(func(c processor.ChargeCall, r *processor.Result) { r.Currency = c.Currency })},
		{name: "reports the reference of the call instead of the response", caughtBy: []string{differences},
			broken: changeResult(func(c processor.ChargeCall, r *processor.Result) { r.Reference = c.Key })},
		{name: "reports the currency in lower case", caughtBy: []string{statusMapping, amounts},
			broken: changeResult(func(_ processor.ChargeCall,
				r *processor.Result) {
				r.Currency = strings.ToLower(r.Currency)
			})},
		{name: "drops the captured amount", caughtBy: []string{amounts, captureMode},
			broken: changeResult(func(_ processor.ChargeCall, r *processor.Result) { r.CapturedAmount = 0 })},
		{name: "drops the captured amount of a payment that is declined or voided", caughtBy: []string{capturedAlways},
			broken: changeResult(func(_ processor.ChargeCall, r *processor.Result) {
				if r.Status == payment.Declined || r.Status == payment.Voided {
					r.CapturedAmount = 0
				}
			})},
		{name: "finds a declined payment without its captured amount", caughtBy: []string{capturedAlways},
			broken: broken{lookup: func(a *acme, ctx context.Context, c processor.LookupCall) (processor.Result, bool, error) {
				result, found, err := a.Lookup(ctx, c)
				if result.Status == payment.Declined {
					result.CapturedAmount = 0
				}
				return result, found, err
			}}},
		{name: "lists voided payments without their captured amount", caughtBy: []string{capturedAlways},
			broken: broken{list: func(a *acme, ctx context.Context, c processor.ListCall) (processor.Page, error) {
				page, err := a.List(ctx, c)
				for i := range page.Records {
					if page.Records[i].Status == payment.Voided {
						page.Records[i].CapturedAmount = 0
					}
				}
				return page, err
			}}},
		{name: "reports a captured amount as a success", caughtBy: []string{capturedAlways},
			broken: changeResult(func(_ processor.ChargeCall, r *processor.Result) {
				if r.CapturedAmount > 0 {
					r.Status, r.Decline = payment.Succeeded, nil
				}
			})},
		{name: "drops the request id", caughtBy: []string{statusMapping},
			broken: changeResult(func(_ processor.ChargeCall, r *processor.Result) { r.RequestID = "" })},
		{name: "reports the id of the first request instead of the last", caughtBy: []string{rejectedAPIKey},
			broken: changeResult(func(_ processor.ChargeCall, r *processor.Result) { r.RequestID = "req_1" })},
		{name: "drops the merchant id from the result", caughtBy: []string{statusMapping},
			broken: changeResult(func(_ processor.ChargeCall, r *processor.Result) { r.MerchantID = "" })},
		{name: "returns the first result for every call", caughtBy: []string{concurrent},
			broken: broken{charge: func(a *acme, ctx context.Context, c processor.ChargeCall) (processor.Result, error) {
				once.Do(func() { first, firstErr = a.Charge(ctx, c) })
				return first, firstErr
			}}},

		{name: "reports a 500 as not executed", caughtBy: []string{httpStatuses},
			broken: changeError(func(e *processor.Error) {
				if e.HTTPStatus == http.StatusInternalServerError {
					e.Certainty = processor.NotExecuted
				}
			})},
		{name: "reports a 400 as retryable", caughtBy: []string{httpStatuses}, broken: changeError(func(e *processor.Error) {
			if e.HTTPStatus == http.StatusBadRequest {
				e.Retry = true
			}
		})},
		{name: "returns its own error type", caughtBy: []string{httpStatuses, errorDetails},
			broken: broken{after: func(_ processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
				if err != nil {
					err = errors.New("the charge failed")
				}
				return r, err
			}}},
		{name: "drops the processor's code and message", caughtBy: []string{errorDetails},
			broken: changeError(func(e *processor.Error) { e.Code, e.Message = "", "failed" })},
		{name: "drops Retry-After", caughtBy: []string{retryAfter},
			broken: changeError(func(e *processor.Error) { e.RetryAfter = 0 })},
		{name: "reports a missing response as not executed", caughtBy: []string{brokenConnection, timeout, canceled},
			broken: changeError(func(e *processor.Error) {
				if e.HTTPStatus == 0 {
					e.Certainty = processor.NotExecuted
				}
			})},
		{name: "reports every error as ambiguous", caughtBy: []string{refusedConnection, missingKey, badKey},
			broken: changeError(func(e *processor.Error) { e.Certainty = processor.Ambiguous })},
		{name: "ignores the retry header", caughtBy: []string{retryHeader}, broken: changeError(func(e *processor.Error) {
			e.Retry = e.HTTPStatus >= 500
		}), protocol: func(p *processortest.Protocol) { p.Profile.RetryHeader = "Acme-Try-Again" }},
		{name: "copies the response body into the error", caughtBy: []string{secrets},
			broken: broken{charge: func(a *acme, ctx context.Context, c processor.ChargeCall) (processor.Result, error) {
				result, err := a.Charge(ctx, c)
				var e *processor.Error
				if errors.As(err, &e) && e.HTTPStatus == http.StatusBadRequest {
					answer, _ := a.client.Do(ctx, processor.Call{Method: http.MethodPost, Path: "/transactions", Key: c.Key})
					e.Message = string(answer.Body)
				}
				return result, err
			}}},
		{name: "copies the payment method into the error", caughtBy: []string{httpStatuses},
			broken: broken{after: func(c processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
				var e *processor.Error
				if errors.As(err, &e) {
					e.Message += " for " + c.PaymentMethod
				}
				return r, err
			}}},
		{name: "copies the idempotency key into the cause of the error", caughtBy: []string{httpStatuses},
			broken: broken{after: func(c processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
				var e *processor.Error
				if errors.As(err, &e) {
					e.Err = fmt.Errorf("key %s", c.Key)
				}
				return r, err
			}}},

		{name: "reports every 404 as not found", caughtBy: []string{lookupUndefined, httpStatuses},
			broken: broken{lookup: func(a *acme, ctx context.Context,
				c processor.LookupCall) (processor.Result, bool, error) {
				result, found, err := a.Lookup(ctx, c)
				var e *processor.Error
				if errors.As(err, &e) && e.HTTPStatus == http.StatusNotFound {
					return processor.Result{}, false, nil
				}
				return result, found, err
			}}},
		{name: "reports a malformed lookup response as not found",
			caughtBy: []string{lookupUndefined, incomplete, lookupDuplicates},
			broken: broken{lookup: func(a *acme, ctx context.Context,
				c processor.LookupCall) (processor.Result, bool, error) {
				result, found, err := a.Lookup(ctx, c)
				var e *processor.Error
				if errors.As(err, &e) && e.HTTPStatus == http.StatusOK {
					return processor.Result{}, false, nil
				}
				return result, found, err
			}}},
		{name: "reports a lookup that it cannot send as not found", caughtBy: []string{lookupRefundAlone, idPaths},
			broken: broken{lookup: func(a *acme, ctx context.Context,
				c processor.LookupCall) (processor.Result, bool, error) {
				result, found, err := a.Lookup(ctx, c)
				var e *processor.Error
				if errors.As(err, &e) && e.HTTPStatus == 0 {
					return processor.Result{}, false, nil
				}
				return result, found, err
			}}},
		{name: "reports not found as an error", caughtBy: []string{lookupNotFound},
			broken: broken{lookup: func(a *acme, ctx context.Context,
				c processor.LookupCall) (processor.Result, bool, error) {
				result, found, err := a.Lookup(ctx, c)
				if err == nil && !found {
					err = &processor.Error{Class: payment.ClassInvalidResponse, Certainty: processor.Ambiguous}
				}
				return result, found, err
			}}},
		{name: "never finds a record", caughtBy: []string{lookupFinds, differences, lookupRefundAlone},
			broken: broken{lookup: func(*acme, context.Context, processor.LookupCall) (processor.Result, bool, error) {
				return processor.Result{}, false, nil
			}}},
		{name: "returns the first record of a lookup without checking its reference",
			caughtBy: []string{lookupOther, lookupDuplicates},
			broken: broken{lookup: func(a *acme, ctx context.Context,
				c processor.LookupCall) (result processor.Result, found bool, err error) {
				get := processor.Call{Path: "/transactions"}
				if c.Operation == payment.OperationRefund {
					get.Path += "/" + c.ProcessorPaymentID + "/returns"
				}
				_, _, err = a.get(ctx, get, func(list transactions) error {
					if found = len(list.Items) > 0; found {
						result, _ = list.Items[0].result(map[string]payment.Status{"settled": payment.Succeeded,
							"returned": payment.Succeeded})
					}
					return nil
				})
				return result, found, err
			}}},

		{name: "ends the list after the first page", caughtBy: []string{listPages},
			broken: broken{list: func(a *acme, ctx context.Context, c processor.ListCall) (processor.Page, error) {
				page, err := a.List(ctx, c)
				page.Next = ""
				return page, err
			}}},
		{name: "ignores the cursor of a list", caughtBy: []string{listPages, listParameters},
			broken: broken{list: func(a *acme, ctx context.Context, c processor.ListCall) (processor.Page, error) {
				c.Cursor = ""
				return a.List(ctx, c)
			}}},
		{name: "ignores the creation time of a list", caughtBy: []string{listParameters},
			broken: broken{list: func(a *acme, ctx context.Context, c processor.ListCall) (processor.Page, error) {
				c.CreatedAfter = time.Time{}
				return a.List(ctx, c)
			}}},
		{name: "reports an unreadable page as empty", caughtBy: []string{listUnreadable, httpStatuses},
			broken: broken{list: func(a *acme, ctx context.Context, c processor.ListCall) (processor.Page, error) {
				page, _ := a.List(ctx, c)
				return page, nil
			}}},
		{name: "reports an empty list as an error", caughtBy: []string{listEmpty},
			broken: broken{list: func(a *acme, ctx context.Context, c processor.ListCall) (processor.Page, error) {
				page, err := a.List(ctx, c)
				if err == nil && len(page.Records) == 0 {
					err = &processor.Error{Class: payment.ClassInvalidResponse, Certainty: processor.Ambiguous}
				}
				return page, err
			}}},
		{name: "lists payments instead of refunds", caughtBy: []string{listParameters, listPages, statusMapping},
			broken: broken{list: func(a *acme, ctx context.Context, c processor.ListCall) (processor.Page, error) {
				c.Operation = payment.OperationCharge
				return a.List(ctx, c)
			}}},
		{name: "rounds the creation time of a list up to seconds", caughtBy: []string{listParameters},
			broken: broken{list: func(a *acme, ctx context.Context, c processor.ListCall) (processor.Page, error) {
				c.CreatedAfter = c.CreatedAfter.Add(time.Second - 1).Truncate(time.Second)
				return a.List(ctx, c)
			}}},
		{name: "rejects a page that contains a foreign payment or refund", caughtBy: []string{listForeign},
			broken: changePage(func(page *processor.Page) bool {
				return slices.ContainsFunc(page.Records, func(r processor.Record) bool { return r.Reference == "" })
			})},
		{name: "omits foreign payments and refunds", caughtBy: []string{listForeign},
			broken: changePage(func(page *processor.Page) bool {
				page.Records = slices.DeleteFunc(page.Records, func(r processor.Record) bool { return r.Reference == "" })
				return false
			})},
		{name: "rejects a page that contains an unreadable record", caughtBy: []string{listUnreadableRecords, unprintableText},
			broken: changePage(func(page *processor.Page) bool {
				return slices.ContainsFunc(page.Records, func(r processor.Record) bool { return r.Unreadable != "" })
			})},
		{name: "omits unreadable records", caughtBy: []string{listUnreadableRecords, unprintableText, ambiguousJSON},
			broken: changePage(func(page *processor.Page) bool {
				page.Records = slices.DeleteFunc(page.Records, func(r processor.Record) bool { return r.Unreadable != "" })
				return false
			})},
		{name: "reports an unreadable record as read", caughtBy: []string{listUnreadableRecords},
			broken: changeRecord(func(r *processor.Record) { r.Unreadable = "" })},
		{name: "reports an unreadable record as succeeded", caughtBy: []string{listUnreadableRecords},
			broken: changeRecord(func(r *processor.Record) {
				if r.Unreadable != "" {
					r.Status = payment.Succeeded
				}
			})},
		{name: "reports an unreadable record without its id", caughtBy: []string{listUnreadableRecords},
			broken: changeRecord(func(r *processor.Record) {
				if r.Unreadable != "" {
					r.ID = ""
				}
			})},
		{name: "copies an unreadable record into the reason", caughtBy: []string{listUnreadableRecords},
			broken: changeRecord(func(r *processor.Record) {
				if r.Unreadable != "" {
					r.Unreadable = fmt.Sprintf("%500v\n", r.ID)
				}
			})},
		{name: "lists records without the time of their creation", caughtBy: []string{listTimes, listForeign},
			broken: changeRecord(func(r *processor.Record) { r.CreatedAt = time.Time{} })},
		{name: "reads the time of a creation as milliseconds", caughtBy: []string{listTimes},
			broken: changeRecord(func(r *processor.Record) { r.CreatedAt = time.UnixMilli(r.CreatedAt.Unix()).UTC() })},
		{name: "lists records without Florin's ids", caughtBy: []string{listOwnIDs},
			broken: changeRecord(func(r *processor.Record) { r.OwnID = "" })},
		{name: "takes any id in the metadata for Florin's", caughtBy: []string{listOwnIDs},
			broken: changeRecord(func(r *processor.Record) {
				if r.OwnID == "" {
					r.OwnID = "pay_forged"
				}
			})},
		{name: "lists refunds without their payments", caughtBy: []string{listRefundPayments, listForeign},
			broken: changeRecord(func(r *processor.Record) { r.ProcessorPaymentID = "" })},
		{name: "its profile does not name the ids of lists in the audit log", caughtBy: []string{auditedLists},
			protocol: func(p *processortest.Protocol) {
				p.Profile.Audited = map[string]processor.Shape{"id": processor.ShapeID}
			}},
		{name: "does not revalidate lists", caughtBy: []string{listUnchanged},
			protocol: func(p *processortest.Protocol) { p.ETags = true }},

		{name: "its profile does not recognize a key in flight", caughtBy: []string{keyInFlight},
			protocol: func(p *processortest.Protocol) {
				p.WriteInFlight = func() processortest.Response { return writeAcmeError(409, "busy", "", "") }
			}},
		{name: "its profile does not recognize a key that was used with another payload",
			caughtBy: []string{keyMismatch}, protocol: func(p *processortest.Protocol) {
				p.Profile.Mismatch = nil
			}},
		{name: "its profile does not recognize a state conflict", caughtBy: []string{conflict},
			protocol: func(p *processortest.Protocol) {
				p.Profile.Conflict = nil
			}},
		{name: "its profile does not recognize a locked object", caughtBy: []string{lockedObject},
			protocol: func(p *processortest.Protocol) {
				p.Profile.ObjectLevel = nil
			}},
		{name: "its profile names a wrong path for the id in the audit log", caughtBy: []string{auditedFields},
			protocol: func(p *processortest.Protocol) {
				p.Profile.Audited = map[string]processor.Shape{"transaction.id": processor.ShapeID}
			}},
		{name: "sends the payment method in a field that the audit log contains", caughtBy: []string{auditedFields},
			broken: broken{charge: func(a *acme, ctx context.Context, c processor.ChargeCall) (processor.Result, error) {
				return a.post(ctx, acmeStates, processor.Call{Path: "/transactions", Key: c.Key,
					Body: []byte(url.Values{"id": {c.PaymentMethod}, "order": {c.Key}}.Encode())})
			}},
			protocol: func(p *processortest.Protocol) {
				p.Profile.Audited = map[string]processor.Shape{"id": processor.ShapeCode}
			}},
		{name: "its profile treats every 400 as a used key", caughtBy: []string{httpStatuses},
			protocol: func(p *processortest.Protocol) {
				p.Profile.Mismatch = func(status int, _ string) bool { return status == http.StatusBadRequest }
			}},
		{name: "its profile treats every 402 as a decline", caughtBy: []string{httpStatuses},
			protocol: func(p *processortest.Protocol) {
				p.Profile.Refusal = func(a processor.Answer) processor.Refusal {
					r := acmeRefusal(a)
					if a.Status == http.StatusPaymentRequired {
						r.Decline = acmeDecline("")
					}
					return r
				}
			}},
	}
}

// Every defect is caught, and every scenario catches a defect.
func TestEveryDefectOfAnAdapterIsCaught(t *testing.T) {
	caught := map[string]bool{}
	for _, d := range slices.Concat(defects(), batchDefects()) {
		t.Run(d.name, func(t *testing.T) {
			p := acmeProtocol()
			if d.protocol != nil {
				d.protocol(&p)
			}
			p.New = func(c processor.Client) processor.Processor {
				b := d.broken
				b.acme = &acme{c}
				return b
			}
			for _, scenario := range d.caughtBy {
				failure, skipped := processortest.Failure(t, p, scenario)
				require.Empty(t, skipped)
				require.NotEmpty(t, failure, "the scenario %q does not fail", scenario)
				caught[scenario] = true
			}
		})
	}
	for _, scenario := range processortest.Scenarios() {
		require.True(t, caught[scenario], "no defect is caught by %q", scenario)
	}
}

// The adapter without defects passes every scenario, so only the defects above can be the reason for the failures there.
func TestScenariosThatDoNotApplyAreSkipped(t *testing.T) {
	p := acmeProtocol()
	p.ParseMetadata, p.Declines, p.WriteMismatch, p.WriteConflict, p.WriteObjectLevel = nil, nil, nil, nil, nil
	p.ListsHaveNoTimes, p.Profile.Audited = true, nil
	p.New, p.Profile.MaxBatch = newAcmeWithoutBatches, 0
	p.ParseBatch, p.WriteBatch = nil, nil
	writePage := p.WritePage
	p.WritePage = func(records []processortest.Record, next string) processortest.Response {
		for i := range records {
			records[i].CreatedAt = time.Time{}
		}
		return writePage(records, next)
	}
	p.Profile.KeyLifetime = 0
	p.PaymentStatuses = map[string]payment.Status{"settled": payment.Succeeded}
	p.OpenDeclines, p.DeclinesAreFinal = nil, true
	require.NoError(t, processortest.Check(p))
	var skips []string
	for _, scenario := range processortest.Scenarios() {
		failure, skipped := processortest.Failure(t, p, scenario)
		require.Empty(t, failure)
		if skipped != "" {
			skips = append(skips, scenario)
		}
	}
	require.Equal(t, []string{captureMode, metadata, expiredKey, keyInFlight, keyMismatch, declines, openDecline,
		unprintableCode, conflict, lockedObject, retryHeader, listTimes, listOwnIDs, listUnchanged, auditedLists,
		batchValues, batchOrder, batchDecline, batchError, batchDifferences, batchLacks, batchTwice, batchMalformed, batchFails,
		batchLost, batchRetryAfter, batchRepeated, batchUnsendable, batchTooLarge, batchSecrets, batchAudited, batchConcurrent}, skips)
}

// newAcmeWithoutBatches returns an adapter that is no processor.Batcher.
func newAcmeWithoutBatches(c processor.Client) processor.Processor {
	return struct{ processor.Processor }{&acme{c}}
}

func TestProtocolWithoutARequiredFieldIsRefused(t *testing.T) {
	require.EqualError(t, processortest.Check(processortest.Protocol{ParseRequest: parseAcme}),
		"processortest: Protocol.New is required")
	for want, change := range map[string]func(*processortest.Protocol){
		"PaymentStatuses and RefundStatuses need a status that means succeeded": func(p *processortest.Protocol) { p.RefundStatuses = nil },
		"Protocol needs either OpenDeclines or DeclinesAreFinal: can a declined payment still be paid?": func(p *processortest.Protocol) {
			p.OpenDeclines = nil
		},
		`OpenDeclines: "held" is not declined in PaymentStatuses`: func(p *processortest.Protocol) { p.OpenDeclines = []string{"held"} },
		"OpenDeclines need a status in PaymentStatuses that means voided": func(p *processortest.Protocol) {
			p.PaymentStatuses = map[string]payment.Status{"settled": payment.Succeeded, "reopened": payment.Declined}
		},
		"the adapter is a processor.Batcher: Profile.MaxBatch must be above 0": func(p *processortest.Protocol) { p.Profile.MaxBatch = 0 },
		"Profile.MaxBatch 1: want 0, or at least 2":                            func(p *processortest.Protocol) { p.Profile.MaxBatch = 1 },
		"Profile.MaxBatch is for an adapter that is a processor.Batcher": func(p *processortest.Protocol) {
			p.New = newAcmeWithoutBatches
		},
		"Protocol.ParseBatch and Protocol.WriteBatch are required with Profile.MaxBatch": func(p *processortest.Protocol) {
			p.WriteBatch = nil
		},
	} {
		p := acmeProtocol()
		change(&p)
		require.EqualError(t, processortest.Check(p), "processortest: "+want)
	}
}

func TestFailureBeginsWithTheRuleAndItsDocument(t *testing.T) {
	p := acmeProtocol()
	p.New = func(c processor.Client) processor.Processor {
		return broken{acme: &acme{c}, after: func(_ processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
			r.CanStillSucceed, r.Decline = false, nil
			return r, err
		}}
	}
	for rule, where := range map[string]string{
		statusMapping: statusMapping + "/charge: refused", // in a subtest
		declines:      declines + "/charge: 402 with a reason",
	} {
		failure, _ := processortest.Failure(t, p, rule)
		first, rest, _ := strings.Cut(failure, "\n")
		require.Equal(t, fmt.Sprintf("/%s: %s (docs/adapters.md#2-the-mapping)", where, rule), first)
		require.NotEmpty(t, rest)
	}
}
