package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/books"
)

// violation is something that Florin promises never happens. of is nil where it is not about one purchase.
type violation struct {
	of   *purchase
	text string
}

func about(p *purchase, format string, args ...any) violation {
	return violation{of: p, text: fmt.Sprintf(format, args...)}
}

// accounts are all books, once everything is at rest.
type accounts struct {
	ledger simulator.Ledger
	// The last words of the workflows, and what the store has, by idempotency key.
	charges, storedCharges map[string]payment.Charge
	refunds, storedRefunds map[string]payment.Refund
}

// compare reads all books and tells what they do not agree on.
func (s *system) compare(ctx context.Context, purchases []*purchase) ([]violation, error) {
	a := accounts{
		charges: map[string]payment.Charge{}, storedCharges: map[string]payment.Charge{},
		refunds: map[string]payment.Refund{}, storedRefunds: map[string]payment.Refund{},
	}
	var err error
	if a.ledger, err = s.readLedger(ctx); err != nil {
		return nil, err
	}
	if err := a.readStore(ctx, s.storeDSN); err != nil {
		return nil, err
	}
	found := s.lastWords(ctx, &a, purchases)
	found = append(found, a.disagreements(purchases)...)
	found = append(found, s.races()...)
	for i, v := range found {
		if v.of == nil {
			v.of = concerning(v.text, purchases)
		}
		found[i] = v
	}
	return found, nil
}

// races are those that the race detector has found in a process, where it was built in.
func (s *system) races() (found []violation) {
	for v := range s.processes {
		log, err := os.ReadFile(filepath.Join(s.dir, string(v)+".log"))
		if err != nil || bytes.Contains(log, []byte("WARNING: DATA RACE")) {
			found = append(found, about(nil, "the log of the %s tells of a data race, or cannot be read: %v", v, err))
		}
	}
	return found
}

// concerning finds the purchase that a text names.
func concerning(text string, purchases []*purchase) *purchase {
	if i := slices.IndexFunc(purchases, func(p *purchase) bool { return p.in([]byte(text)) }); i >= 0 {
		return purchases[i]
	}
	return nil
}

func (s *system) readLedger(ctx context.Context) (ledger simulator.Ledger, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.simulatorURL+"/ledger", nil)
	if err != nil {
		return ledger, err
	}
	request.Header.Set("Authorization", "Bearer "+apiKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ledger, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return ledger, fmt.Errorf("the ledger: %s", response.Status)
	}
	return ledger, json.NewDecoder(response.Body).Decode(&ledger)
}

func (a *accounts) readStore(ctx context.Context, dsn string) error {
	opened, err := store.Open(ctx, dsn)
	if err != nil {
		return err
	}
	defer opened.Close()
	for filter := (payment.Filter{Limit: 500}); ; {
		page, err := opened.Payments(ctx, filter)
		if err != nil {
			return err
		}
		for _, c := range page.Payments {
			a.storedCharges[c.IdempotencyKey] = c
			refunds, err := opened.Refunds(ctx, c.MerchantID, c.PaymentID)
			if err != nil {
				return err
			}
			for _, r := range refunds {
				a.storedRefunds[r.IdempotencyKey] = r
			}
		}
		if page.Next == "" {
			return nil
		}
		filter.Cursor = page.Next
	}
}

// lastWords asks every workflow. One that failed has none: that is right for a refund that was refused, and only there.
func (s *system) lastWords(ctx context.Context, a *accounts, purchases []*purchase) (found []violation) {
	for _, p := range purchases {
		key := p.key()
		c, ended, err := final(ctx, s, payment.ChargeWorkflowID(merchant, key), func() (payment.Charge, error) { return s.client.Wait(ctx, merchant, key) },
			func() (payment.Charge, error) { return s.client.Get(ctx, merchant, key) })
		if err != nil {
			found = append(found, about(p, "charge %s: no result (%s): %v", key, ended, err))
			continue
		}
		a.charges[key] = c
		for _, r := range p.refunds {
			key := r.request.IdempotencyKey
			if len(r.answers.told) == 0 {
				continue
			}
			given, ended, err := final(ctx, s, payment.RefundWorkflowID(merchant, key), func() (payment.Refund, error) { return s.client.WaitRefund(ctx, merchant, key) },
				func() (payment.Refund, error) { return s.client.GetRefund(ctx, merchant, key) })
			switch {
			case err == nil:
				a.refunds[key] = given
			case ended == enumspb.WORKFLOW_EXECUTION_STATUS_FAILED && isRefusal(err):
				// What its caller was told has to be the same; and the books must not have it.
			default:
				found = append(found, about(p, "refund %s: no result (%s): %v", key, ended, err))
			}
		}
	}
	return found
}

// final is the result of a workflow that has ended, and what one says that has not.
func final[T any](ctx context.Context, s *system, workflowID string, result, now func() (T, error)) (value T, status enumspb.WorkflowExecutionStatus, err error) {
	d, err := s.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return value, status, err
	}
	if status = d.GetWorkflowExecutionInfo().GetStatus(); status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		value, err = now()
	} else {
		value, err = result()
	}
	return value, status, err
}

// disagreements compares the books with each other and with what was told.
func (a *accounts) disagreements(purchases []*purchase) (found []violation) {
	say := func(format string, args ...any) { found = append(found, about(nil, format, args...)) }
	for _, d := range books.Compare(values(a.charges), values(a.refunds), a.ledger).Differences {
		say("workflows and ledger: %s", d)
	}
	for _, d := range books.Compare(values(a.storedCharges), values(a.storedRefunds), a.ledger).Differences {
		say("store and ledger: %s", d)
	}
	for reference, times := range executed(a.ledger) {
		if times > 1 {
			say("the key %s was executed %d times", reference, times)
		}
	}
	for key, c := range a.charges {
		stored, ok := a.storedCharges[key]
		// What was refunded of it after it ended, its result does not know.
		c.RefundedAmount = stored.RefundedAmount
		if d := difference(c, stored); !ok || d != "" {
			say("charge %s: workflow and store: %s", key, d)
		}
	}
	for key, r := range a.refunds {
		stored, ok := a.storedRefunds[key]
		if d := difference(r, stored); !ok || d != "" {
			say("refund %s: workflow and store: %s", key, d)
		}
	}
	found = append(found, a.unknownToWorkflows()...)
	found = append(found, a.refundSums()...)
	for _, p := range purchases {
		found = append(found, a.lies(p)...)
	}
	return found
}

// unknownToWorkflows is what only the store has.
func (a *accounts) unknownToWorkflows() (found []violation) {
	for key := range a.storedCharges {
		if _, ok := a.charges[key]; !ok {
			found = append(found, about(nil, "charge %s is in the store, but no workflow knows it", key))
		}
	}
	for key := range a.storedRefunds {
		if _, ok := a.refunds[key]; !ok {
			found = append(found, about(nil, "refund %s is in the store, but no workflow knows it", key))
		}
	}
	return found
}

// refundSums compares what payments have as refunded with the refunds, in the store and in the ledger.
func (a *accounts) refundSums() (found []violation) {
	sums := map[string]int64{}
	for _, r := range a.storedRefunds {
		if r.Status == payment.Succeeded {
			sums[r.PaymentID] += r.Amount
		}
	}
	for _, c := range a.storedCharges {
		if c.RefundedAmount != sums[c.PaymentID] {
			found = append(found, about(nil, "charge %s: the store has %d as refunded, but its refunds sum up to %d", c.IdempotencyKey, c.RefundedAmount, sums[c.PaymentID]))
		}
	}
	ledger := map[string]int64{}
	for _, r := range a.ledger.Refunds {
		if r.Status != string(payment.Declined) {
			ledger[r.PaymentID] += r.Amount
		}
	}
	for _, p := range a.ledger.Payments {
		if p.RefundedAmount != ledger[p.ID] || p.RefundedAmount > p.CapturedAmount {
			found = append(found, about(nil, "the ledger has %d of %d refunded of %s, but its refunds sum up to %d", p.RefundedAmount, p.CapturedAmount, p.Metadata["florin_payment_id"], ledger[p.ID]))
		}
	}
	return found
}

// lies are the answers to calls that are not true.
func (a *accounts) lies(p *purchase) (found []violation) {
	last, ok := a.charges[p.key()]
	if !ok {
		return nil // said already
	}
	for _, told := range p.answers.told {
		if problem := contradiction(told, last); problem != "" {
			found = append(found, about(p, "charge %s: %s", p.key(), problem))
		}
	}
	asked := int64(0)
	for _, r := range p.refunds {
		if r.request.Amount == nil {
			asked += last.CapturedAmount
		} else {
			asked += *r.request.Amount
		}
	}
	for _, r := range p.refunds {
		for _, told := range r.answers.told {
			if problem := refundContradiction(told, a.refunds[r.request.IdempotencyKey], asked > last.CapturedAmount); problem != "" {
				found = append(found, about(p, "refund %s: %s", r.request.IdempotencyKey, problem))
			}
		}
	}
	return found
}

// executed counts how often each key is in the ledger.
func executed(ledger simulator.Ledger) map[string]int {
	times := map[string]int{}
	for _, p := range ledger.Payments {
		times[p.Reference]++
	}
	for _, r := range ledger.Refunds {
		times[r.Reference]++
	}
	return times
}

func values[T any](of map[string]T) (all []T) {
	for _, v := range of {
		all = append(all, v)
	}
	return all
}

// difference names what two records of one payment or refund do not agree on.
func difference[T any](one, other T) string {
	a, aErr := fieldsOf(one)
	b, bErr := fieldsOf(other)
	if err := errors.Join(aErr, bErr); err != nil {
		return err.Error()
	}
	var differ []string
	for name := range a {
		if !reflect.DeepEqual(a[name], b[name]) {
			differ = append(differ, fmt.Sprintf("%s is %v and %v", name, a[name], b[name]))
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			differ = append(differ, fmt.Sprintf("%s is missing and %v", name, b[name]))
		}
	}
	slices.Sort(differ)
	return strings.Join(differ, ", ")
}

// fieldsOf leaves out when it was, which each book rounds for itself, and the processor's request id, which the store
// keeps only together with other news.
func fieldsOf(record any) (fields map[string]any, err error) {
	raw, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(raw, &fields)
	for _, name := range []string{"created_at", "updated_at", "processor_request_id"} {
		delete(fields, name)
	}
	return fields, err
}
