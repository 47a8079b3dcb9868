package processortest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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

// broken is Acme's adapter with a mistake: what is set takes the place of the adapter's own.
type broken struct {
	*acme
	charge func(*acme, context.Context, processor.ChargeCall) (processor.Result, error)
	refund func(*acme, context.Context, processor.RefundCall) (processor.Result, error)
	void   func(*acme, context.Context, processor.VoidCall) (processor.Result, error)
	lookup func(*acme, context.Context, processor.LookupCall) (processor.Result, bool, error)
	list   func(*acme, context.Context, processor.ListCall) (processor.Page, error)
	// ends changes how every charge ends.
	ends func(processor.ChargeCall, processor.Result, error) (processor.Result, error)
}

func (b broken) Charge(ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
	charge := (*acme).Charge
	if b.charge != nil {
		charge = b.charge
	}
	result, err := charge(b.acme, ctx, call)
	if b.ends != nil {
		return b.ends(call, result, err)
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

// changed changes every error of a charge.
func changed(change func(*processor.Error)) broken {
	return broken{ends: func(_ processor.ChargeCall, result processor.Result, err error) (processor.Result, error) {
		var e *processor.Error
		if errors.As(err, &e) {
			change(e)
		}
		return result, err
	}}
}

// told changes every result of a charge.
func told(change func(processor.ChargeCall, *processor.Result)) broken {
	return broken{ends: func(call processor.ChargeCall, result processor.Result, err error) (processor.Result, error) {
		if err == nil {
			change(call, &result)
		}
		return result, err
	}}
}

// asked changes every charge before it is made.
func asked(change func(*processor.ChargeCall)) broken {
	return broken{charge: func(a *acme, ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
		change(&call)
		return a.Charge(ctx, call)
	}}
}

// The scenarios, by what the mistakes below are about.
const (
	asks        = "each call is one request, which asks for exactly what the call says"
	holds       = "a charge takes the money, or only holds it, as the call says"
	travels     = "what Florin calls the payment, and whose it is, travels with it"
	paths       = "an id names one payment, and never another path"
	asksPages   = "a list asks for what is new, page by page"
	keySent     = "the idempotency key is sent, exactly as the call has it"
	repeats     = "a repeat is the same request under the same key, byte for byte"
	keyless     = "a call without a key is not sent"
	badKeys     = "a key that the processor would not take is not sent"
	forgotten   = "a key that the processor has forgotten is not sent, and nobody knows what it did"
	inFlight    = "a key that is still in use is asked for again"
	mismatch    = "a key that was used for something else is never sent again"
	fresh       = "a refused API key is replaced once, under the same idempotency key"
	statuses    = "each status is understood, in answers, lookups and lists"
	amounts     = "what was captured and given back is told"
	hidden      = "another amount, currency or reference than asked is reported as it is"
	declined    = "a decline is a result with its code and kind, and no error"
	unbelieved  = "a success that cannot be believed is ambiguous"
	incomplete  = "a success without an id, status, amount, currency or reference is ambiguous"
	meanings    = "each HTTP status means what it means for money"
	words       = "the processor's own words and its name for the request are in the error"
	conflict    = "a payment that is in no state for the call may be so by our own doing"
	retryAfter  = "Retry-After is told"
	retryHeader = "the processor's own header says whether to try again, and nothing about money"
	redirects   = "a redirect is never followed"
	breaks      = "a connection that breaks after the request is ambiguous"
	slow        = "no answer in time is ambiguous"
	givenUp     = "a caller that gives up while the request is under way learns nothing about money"
	refusedConn = "a refused connection has done nothing"
	finds       = "a lookup finds the one record"
	findsNone   = "a lookup finds nothing only by the protocol's own word"
	unanswered  = "a lookup that nobody answered as the protocol does is an error"
	strangers   = "a record with another reference is not ours"
	twins       = "two records with our reference are an error"
	refundAlone = "a refund whose payment is not known is found, or it is an error"
	pages       = "a list is read page by page to its end"
	emptyList   = "an empty list is an empty page"
	unreadable  = "a page that cannot be read is an error, and never an empty one"
	foreign     = "a payment that somebody else made does not hide ours"
	unchanged   = "a page that has not changed is not sent again"
	leaks       = "what a processor repeats of our API key, or of a card number, is in no error"
	atOnce      = "many calls at once each get their own answer"
)

// mistake is one that the suite has to find.
type mistake struct {
	name string
	// caught are scenarios that fail because of it.
	caught []string
	broken broken
	// protocol changes what is said about the adapter instead.
	protocol func(*processortest.Protocol)
}

func mistakes() []mistake {
	var calls atomic.Int64
	var once sync.Once
	var first processor.Result
	var firstErr error
	return []mistake{
		{name: "it loses the key", caught: []string{asks, keySent, givenUp}, broken: asked(func(c *processor.ChargeCall) { c.Key = "" })},
		{name: "it invents a key", caught: []string{keyless}, broken: asked(func(c *processor.ChargeCall) {
			if c.Key == "" {
				c.Key = "invented"
			}
		})},
		{name: "it sends a new key with every repeat", caught: []string{repeats, keySent}, broken: asked(func(c *processor.ChargeCall) {
			c.Key = fmt.Sprint("key-", calls.Add(1))
		})},
		{name: "it cuts a key that is too long", caught: []string{badKeys}, broken: asked(func(c *processor.ChargeCall) {
			c.Key = c.Key[:min(len(c.Key), 45)]
		})},
		{name: "it forgets when the key was first used", caught: []string{forgotten}, broken: asked(func(c *processor.ChargeCall) {
			c.KeyFirstUsed = time.Time{}
		})},
		{name: "its request differs from one repeat to the next", caught: []string{repeats}, broken: asked(func(c *processor.ChargeCall) {
			c.Description, c.MerchantID = "", fmt.Sprint("merchant-", calls.Add(1))
		})},
		{name: "it charges other money", caught: []string{asks}, broken: asked(func(c *processor.ChargeCall) { c.Amount *= 100 })},
		{name: "it charges another currency", caught: []string{asks}, broken: asked(func(c *processor.ChargeCall) { c.Currency = "EUR" })},
		{name: "it always takes the money", caught: []string{holds}, broken: asked(func(c *processor.ChargeCall) { c.Capture = "" })},
		{name: "it loses the metadata", caught: []string{travels}, broken: asked(func(c *processor.ChargeCall) { c.Metadata = nil })},
		{name: "it loses whose the payment is", caught: []string{travels}, broken: asked(func(c *processor.ChargeCall) { c.MerchantID = "" })},
		{name: "it asks twice", caught: []string{asks, redirects}, broken: broken{charge: func(a *acme, ctx context.Context, c processor.ChargeCall) (processor.Result, error) {
			_, _ = a.Charge(ctx, c)
			return a.Charge(ctx, c)
		}}},
		{name: "it tries again by itself", caught: []string{meanings, breaks, slow}, broken: broken{charge: func(a *acme, ctx context.Context, c processor.ChargeCall) (processor.Result, error) {
			result, err := a.Charge(ctx, c)
			var e *processor.Error
			if errors.As(err, &e) && e.Retry {
				return a.Charge(ctx, c)
			}
			return result, err
		}}},
		{name: "it goes on to where a redirect leads", caught: []string{redirects, meanings}, broken: broken{charge: func(a *acme, ctx context.Context, c processor.ChargeCall) (processor.Result, error) {
			result, err := a.Charge(ctx, c)
			var e *processor.Error
			if errors.As(err, &e) && e.HTTPStatus/100 == 3 {
				return a.Charge(ctx, c)
			}
			return result, err
		}}},
		{name: "it builds paths of whatever an id is", caught: []string{paths}, broken: broken{void: func(a *acme, ctx context.Context, c processor.VoidCall) (processor.Result, error) {
			return a.post(ctx, acmeStates, processor.Call{Path: "/transactions/" + c.ProcessorPaymentID + "/cancel", Key: c.Key})
		}}},
		{name: "it voids where it should refund", caught: []string{asks}, broken: broken{refund: func(a *acme, ctx context.Context, c processor.RefundCall) (processor.Result, error) {
			return a.Void(ctx, processor.VoidCall{Key: c.Key, ProcessorPaymentID: c.ProcessorPaymentID})
		}}},

		{name: "it believes every 200", caught: []string{unbelieved, incomplete}, broken: broken{ends: func(c processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
			var e *processor.Error
			if errors.As(err, &e) && e.HTTPStatus == http.StatusOK {
				return processor.Result{ID: "t", Status: payment.Succeeded, Amount: c.Amount, Currency: c.Currency, Reference: c.Key}, nil
			}
			return r, err
		}}},
		{name: "it calls what it cannot read failed", caught: []string{unbelieved, incomplete}, broken: changed(func(e *processor.Error) {
			if e.Class == payment.ClassInvalidResponse {
				e.Certainty = processor.NotExecuted
			}
		})},
		{name: "it reports a decline as an error", caught: []string{declined}, broken: broken{ends: func(_ processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
			if err == nil && r.Status == payment.Declined {
				return processor.Result{}, &processor.Error{Certainty: processor.Answered}
			}
			return r, err
		}}},
		{name: "it takes a decline for a success", caught: []string{declined}, broken: broken{ends: func(c processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
			if err == nil && r.Status == payment.Declined {
				return processor.Result{ID: "t", Status: payment.Succeeded, Amount: c.Amount, Currency: c.Currency, CapturedAmount: c.Amount, Reference: c.Key}, nil
			}
			return r, err
		}}},
		{name: "it calls every refusal a decline", caught: []string{meanings}, broken: broken{ends: func(c processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
			var e *processor.Error
			if errors.As(err, &e) && e.HTTPStatus/100 == 4 {
				return processor.Result{Status: payment.Declined, Reference: c.Key, Decline: acmeDecline("")}, nil
			}
			return r, err
		}}},
		{name: "it says of no decline why", caught: []string{declined, statuses}, broken: told(func(_ processor.ChargeCall, r *processor.Result) { r.Decline = nil })},
		{name: "it takes every decline for a soft one", caught: []string{declined}, broken: told(func(_ processor.ChargeCall, r *processor.Result) {
			if r.Decline != nil {
				r.Decline.Kind = payment.DeclineSoft
			}
		})},
		{name: "it takes held money for taken money", caught: []string{statuses}, broken: told(func(_ processor.ChargeCall, r *processor.Result) {
			if r.Status == payment.Authorized {
				r.Status = payment.Succeeded
			}
		})},
		{name: "it says what was asked for, not what was done", caught: []string{hidden}, broken: told(func(c processor.ChargeCall, r *processor.Result) { r.Amount = c.Amount })},
		{name: "it hides another currency", caught: []string{hidden}, broken: told(func(c processor.ChargeCall, r *processor.Result) { r.Currency = c.Currency })},
		{name: "it hides another reference", caught: []string{hidden}, broken: told(func(c processor.ChargeCall, r *processor.Result) { r.Reference = c.Key })},
		{name: "it leaves the currency as it came", caught: []string{statuses, amounts}, broken: told(func(_ processor.ChargeCall, r *processor.Result) { r.Currency = strings.ToLower(r.Currency) })},
		{name: "it does not say what was captured", caught: []string{amounts, holds}, broken: told(func(_ processor.ChargeCall, r *processor.Result) { r.CapturedAmount = 0 })},
		{name: "it loses the name of the request", caught: []string{statuses}, broken: told(func(_ processor.ChargeCall, r *processor.Result) { r.RequestID = "" })},
		{name: "it names the request that was refused", caught: []string{fresh}, broken: told(func(_ processor.ChargeCall, r *processor.Result) { r.RequestID = "req_1" })},
		{name: "it loses whose a payment was", caught: []string{statuses}, broken: told(func(_ processor.ChargeCall, r *processor.Result) { r.MerchantID = "" })},
		{name: "it gives every call the answer of the first", caught: []string{atOnce}, broken: broken{charge: func(a *acme, ctx context.Context, c processor.ChargeCall) (processor.Result, error) {
			once.Do(func() { first, firstErr = a.Charge(ctx, c) })
			return first, firstErr
		}}},

		{name: "it takes a 500 for proof that nothing happened", caught: []string{meanings}, broken: changed(func(e *processor.Error) {
			if e.HTTPStatus == http.StatusInternalServerError {
				e.Certainty = processor.NotExecuted
			}
		})},
		{name: "it lets a bad request be sent again", caught: []string{meanings}, broken: changed(func(e *processor.Error) {
			if e.HTTPStatus == http.StatusBadRequest {
				e.Retry = true
			}
		})},
		{name: "it has errors of its own", caught: []string{meanings, words}, broken: broken{ends: func(_ processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
			if err != nil {
				err = errors.New("the charge failed")
			}
			return r, err
		}}},
		{name: "it loses the processor's words", caught: []string{words}, broken: changed(func(e *processor.Error) { e.Code, e.Message = "", "failed" })},
		{name: "it loses Retry-After", caught: []string{retryAfter}, broken: changed(func(e *processor.Error) { e.RetryAfter = 0 })},
		{name: "it takes silence for proof that nothing happened", caught: []string{breaks, slow, givenUp}, broken: changed(func(e *processor.Error) {
			if e.HTTPStatus == 0 {
				e.Certainty = processor.NotExecuted
			}
		})},
		{name: "it takes everything for ambiguous", caught: []string{refusedConn, keyless, badKeys}, broken: changed(func(e *processor.Error) { e.Certainty = processor.Ambiguous })},
		{name: "it knows better than the processor whether to try again", caught: []string{retryHeader}, broken: changed(func(e *processor.Error) {
			e.Retry = e.HTTPStatus >= 500
		}), protocol: func(p *processortest.Protocol) { p.Profile.RetryHeader = "Acme-Try-Again" }},
		{name: "it repeats in its errors what the processor says", caught: []string{leaks}, broken: broken{charge: func(a *acme, ctx context.Context, c processor.ChargeCall) (processor.Result, error) {
			result, err := a.Charge(ctx, c)
			var e *processor.Error
			if errors.As(err, &e) && e.HTTPStatus == http.StatusBadRequest {
				answer, _ := a.client.Do(ctx, processor.Call{Method: http.MethodPost, Path: "/transactions", Key: c.Key})
				e.Message = string(answer.Body)
			}
			return result, err
		}}},
		{name: "it names the payment method in its errors", caught: []string{meanings}, broken: broken{ends: func(c processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
			var e *processor.Error
			if errors.As(err, &e) {
				e.Message += " for " + c.PaymentMethod
			}
			return r, err
		}}},
		{name: "it names the idempotency key in the cause", caught: []string{meanings}, broken: broken{ends: func(c processor.ChargeCall, r processor.Result, err error) (processor.Result, error) {
			var e *processor.Error
			if errors.As(err, &e) {
				e.Err = fmt.Errorf("key %s", c.Key)
			}
			return r, err
		}}},

		{name: "it takes every 404 for not found", caught: []string{unanswered, meanings}, broken: broken{lookup: func(a *acme, ctx context.Context, c processor.LookupCall) (processor.Result, bool, error) {
			result, found, err := a.Lookup(ctx, c)
			var e *processor.Error
			if errors.As(err, &e) && e.HTTPStatus == http.StatusNotFound {
				return processor.Result{}, false, nil
			}
			return result, found, err
		}}},
		{name: "it takes what it cannot read for not found", caught: []string{unanswered, incomplete, twins}, broken: broken{lookup: func(a *acme, ctx context.Context, c processor.LookupCall) (processor.Result, bool, error) {
			result, found, err := a.Lookup(ctx, c)
			var e *processor.Error
			if errors.As(err, &e) && e.HTTPStatus == http.StatusOK {
				return processor.Result{}, false, nil
			}
			return result, found, err
		}}},
		{name: "it takes a lookup that it cannot make for not found", caught: []string{refundAlone, paths}, broken: broken{lookup: func(a *acme, ctx context.Context, c processor.LookupCall) (processor.Result, bool, error) {
			result, found, err := a.Lookup(ctx, c)
			var e *processor.Error
			if errors.As(err, &e) && e.HTTPStatus == 0 {
				return processor.Result{}, false, nil
			}
			return result, found, err
		}}},
		{name: "it reports what is not found as an error", caught: []string{findsNone}, broken: broken{lookup: func(a *acme, ctx context.Context, c processor.LookupCall) (processor.Result, bool, error) {
			result, found, err := a.Lookup(ctx, c)
			if err == nil && !found {
				err = &processor.Error{Class: payment.ClassInvalidResponse, Certainty: processor.Ambiguous}
			}
			return result, found, err
		}}},
		{name: "it never finds anything", caught: []string{finds, hidden, refundAlone}, broken: broken{lookup: func(*acme, context.Context, processor.LookupCall) (processor.Result, bool, error) {
			return processor.Result{}, false, nil
		}}},
		{name: "it takes the first record that a lookup brings", caught: []string{strangers, twins}, broken: broken{lookup: func(a *acme, ctx context.Context, c processor.LookupCall) (result processor.Result, found bool, err error) {
			get := processor.Call{Path: "/transactions"}
			if c.Operation == payment.OperationRefund {
				get.Path += "/" + c.ProcessorPaymentID + "/returns"
			}
			_, _, err = a.get(ctx, get, func(list transactions) error {
				if found = len(list.Items) > 0; found {
					result, _ = list.Items[0].result(map[string]payment.Status{"settled": payment.Succeeded, "returned": payment.Succeeded})
				}
				return nil
			})
			return result, found, err
		}}},

		{name: "its list ends with the first page", caught: []string{pages}, broken: broken{list: func(a *acme, ctx context.Context, c processor.ListCall) (processor.Page, error) {
			page, err := a.List(ctx, c)
			page.Next = ""
			return page, err
		}}},
		{name: "its list begins anew with every page", caught: []string{pages, asksPages}, broken: broken{list: func(a *acme, ctx context.Context, c processor.ListCall) (processor.Page, error) {
			c.Cursor = ""
			return a.List(ctx, c)
		}}},
		{name: "it lists everything, not what is new", caught: []string{asksPages}, broken: broken{list: func(a *acme, ctx context.Context, c processor.ListCall) (processor.Page, error) {
			c.CreatedAfter = time.Time{}
			return a.List(ctx, c)
		}}},
		{name: "it takes a page that it cannot read for an empty one", caught: []string{unreadable, meanings}, broken: broken{list: func(a *acme, ctx context.Context, c processor.ListCall) (processor.Page, error) {
			page, _ := a.List(ctx, c)
			return page, nil
		}}},
		{name: "it takes an empty list for an error", caught: []string{emptyList}, broken: broken{list: func(a *acme, ctx context.Context, c processor.ListCall) (processor.Page, error) {
			page, err := a.List(ctx, c)
			if err == nil && len(page.Payments) == 0 {
				err = &processor.Error{Class: payment.ClassInvalidResponse, Certainty: processor.Ambiguous}
			}
			return page, err
		}}},
		{name: "it refuses a page with a payment that is not ours", caught: []string{foreign}, broken: broken{list: func(a *acme, ctx context.Context, c processor.ListCall) (page processor.Page, err error) {
			_, _, err = a.get(ctx, processor.Call{Path: "/transactions"}, func(list transactions) error {
				for _, item := range list.Items {
					if _, err := item.result(acmeStates); err != nil {
						return err
					}
				}
				return nil
			})
			return page, err
		}}},
		{name: "it does not keep lists", caught: []string{unchanged}, protocol: func(p *processortest.Protocol) { p.ETags = true }},

		{name: "its profile does not recognize a key in use", caught: []string{inFlight}, protocol: func(p *processortest.Protocol) {
			p.InFlight = func() processortest.Answer { return writeAcmeError(409, "busy", "", "") }
		}},
		{name: "its profile does not recognize a key that was used for something else", caught: []string{mismatch}, protocol: func(p *processortest.Protocol) {
			p.Profile.Mismatch = nil
		}},
		{name: "its profile does not recognize a conflict", caught: []string{conflict}, protocol: func(p *processortest.Protocol) {
			p.Profile.Conflict = nil
		}},
		{name: "its profile takes every 400 for a used key", caught: []string{meanings}, protocol: func(p *processortest.Protocol) {
			p.Profile.Mismatch = func(status int, _ string) bool { return status == http.StatusBadRequest }
		}},
		{name: "its profile takes every 402 for a decline", caught: []string{meanings}, protocol: func(p *processortest.Protocol) {
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

func TestEveryMistakeOfAnAdapterIsCaught(t *testing.T) {
	caught := map[string]bool{}
	for _, m := range mistakes() {
		t.Run(m.name, func(t *testing.T) {
			p := acmeProtocol()
			if m.protocol != nil {
				m.protocol(&p)
			}
			p.New = func(c processor.Client) processor.Processor {
				b := m.broken
				b.acme = &acme{c}
				return b
			}
			for _, scenario := range m.caught {
				failure, skipped := processortest.Failure(t, p, scenario)
				require.Empty(t, skipped)
				require.NotEmpty(t, failure, "%s: not caught", scenario)
				caught[scenario] = true
			}
		})
	}
	for _, scenario := range processortest.Scenarios() {
		require.True(t, caught[scenario], "no mistake is caught by %q", scenario)
	}
}

// Where nothing is wrong nothing fails, so what catches a mistake above is the mistake.
func TestWhatAProtocolDoesNotHaveIsSkippedByName(t *testing.T) {
	p := acmeProtocol()
	p.Metadata, p.Declines, p.Mismatch, p.Conflict = nil, nil, nil, nil
	p.Profile.KeyLifetime = 0
	p.PaymentStatuses = map[string]payment.Status{"settled": payment.Succeeded}
	var skips []string
	for _, scenario := range processortest.Scenarios() {
		failure, skipped := processortest.Failure(t, p, scenario)
		require.Empty(t, failure)
		if skipped != "" {
			skips = append(skips, scenario)
		}
	}
	require.Equal(t, []string{holds, travels, forgotten, inFlight, mismatch, declined, conflict, retryHeader, unchanged}, skips)
}

func TestAProtocolWithoutItsWritersIsRefusedByName(t *testing.T) {
	require.EqualError(t, processortest.Check(processortest.Protocol{Read: readAcme}), "processortest: Protocol.Error is nil")
	p := acmeProtocol()
	p.RefundStatuses = nil
	require.EqualError(t, processortest.Check(p), "processortest: PaymentStatuses and RefundStatuses each need a name for succeeded")
}
