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

// violation is a broken promise of Florin. purchase is nil if the violation is not about one purchase.
type violation struct {
	purchase *purchase
	text     string
}

func violationOf(p *purchase, format string, args ...any) violation {
	return violation{purchase: p, text: fmt.Sprintf(format, args...)}
}

// records are the records of all systems, once no payment is in flight any more.
type records struct {
	ledger simulator.Ledger
	// charges and refunds are the results of the workflows, storedCharges and storedRefunds what the store has persisted.
	// The keys are the idempotency keys.
	charges, storedCharges map[string]payment.Charge
	refunds, storedRefunds map[string]payment.Refund
	// refundEvents are the transitions of each refund in the store, by its ID.
	refundEvents map[string][]store.Event
}

// compare reads the records of all systems and returns their contradictions.
func (s *system) compare(ctx context.Context, purchases []*purchase) ([]violation, error) {
	all := records{
		charges: map[string]payment.Charge{}, storedCharges: map[string]payment.Charge{},
		refunds: map[string]payment.Refund{}, storedRefunds: map[string]payment.Refund{}, refundEvents: map[string][]store.Event{},
	}
	var err error
	if all.ledger, err = s.readLedger(ctx); err != nil {
		return nil, err
	}
	if err := all.readStore(ctx, s.storeDSN); err != nil {
		return nil, err
	}
	found := s.readWorkflows(ctx, &all, purchases)
	found = append(found, all.disagreements(purchases)...)
	found = append(found, s.dataRaces()...)
	for i, v := range found {
		if v.purchase == nil {
			found[i].purchase = purchaseNamedIn(v.text, purchases)
		}
	}
	return found, nil
}

// dataRaces returns a violation for each process in which the race detector has found a data race. It finds none in binaries
// that were built without -race.
func (s *system) dataRaces() (found []violation) {
	for v := range s.processes {
		log, err := os.ReadFile(filepath.Join(s.dir, string(v)+".log"))
		if err != nil || bytes.Contains(log, []byte("WARNING: DATA RACE")) {
			found = append(found, violationOf(nil, "the log of the %s contains a data race, or cannot be read: %v", v, err))
		}
	}
	return found
}

// purchaseNamedIn returns the purchase whose keys or IDs appear in the text, or nil.
func purchaseNamedIn(text string, purchases []*purchase) *purchase {
	if i := slices.IndexFunc(purchases, func(p *purchase) bool { return p.namedIn([]byte(text)) }); i >= 0 {
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
		return ledger, fmt.Errorf("read the ledger: the simulator returned %s: want 200 OK", response.Status)
	}
	return ledger, json.NewDecoder(response.Body).Decode(&ledger)
}

func (all *records) readStore(ctx context.Context, dsn string) error {
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
			all.storedCharges[c.IdempotencyKey] = c
			refunds, err := opened.Refunds(ctx, c.MerchantID, c.PaymentID)
			if err != nil {
				return err
			}
			for _, r := range refunds {
				all.storedRefunds[r.IdempotencyKey] = r
				if all.refundEvents[r.RefundID], err = opened.Events(ctx, r.RefundID); err != nil {
					return err
				}
			}
		}
		if page.Next == "" {
			return nil
		}
		filter.Cursor = page.Next
	}
}

// readWorkflows reads the result of every workflow. A failed workflow has no result: that is correct only for a refund that
// was refused.
func (s *system) readWorkflows(ctx context.Context, all *records, purchases []*purchase) (found []violation) {
	for _, p := range purchases {
		key := p.key()
		c, status, err := workflowResult(ctx, s, payment.ChargeWorkflowID(merchant, key),
			func() (payment.Charge, error) { return s.client.Wait(ctx, merchant, key) },
			func() (payment.Charge, error) { return s.client.Get(ctx, merchant, key) })
		if err != nil {
			found = append(found, violationOf(p, "charge %s: no result (%s): %v", key, status, err))
			continue
		}
		all.charges[key] = c
		for _, r := range p.refunds {
			key := r.request.IdempotencyKey
			if len(r.results.all) == 0 {
				continue
			}
			refund, status, err := workflowResult(ctx, s, payment.RefundWorkflowID(merchant, key),
				func() (payment.Refund, error) { return s.client.WaitRefund(ctx, merchant, key) },
				func() (payment.Refund, error) { return s.client.GetRefund(ctx, merchant, key) })
			switch {
			case err == nil:
				all.refunds[key] = refund
			case status == enumspb.WORKFLOW_EXECUTION_STATUS_FAILED && isRefusal(err):
				// disagreements checks that the caller was refused, too, and that neither store nor ledger has the refund.
			default:
				found = append(found, violationOf(p, "refund %s: no result (%s): %v", key, status, err))
			}
		}
	}
	return found
}

// workflowResult returns the result of a closed workflow, or the current state of a running one, with the workflow's status.
func workflowResult[T any](
	ctx context.Context, s *system, workflowID string, result, current func() (T, error),
) (value T, status enumspb.WorkflowExecutionStatus, err error) {
	d, err := s.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return value, status, err
	}
	if status = d.GetWorkflowExecutionInfo().GetStatus(); status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		value, err = current()
	} else {
		value, err = result()
	}
	return value, status, err
}

// disagreements compares the records with each other and with the results that callers received.
func (all *records) disagreements(purchases []*purchase) (found []violation) {
	report := func(format string, args ...any) { found = append(found, violationOf(nil, format, args...)) }
	for key, r := range all.refunds {
		if all.failedLate(key) { // The result of a closed workflow does not reflect it.
			r.Status, r.Failure = payment.Failed, all.storedRefunds[key].Failure
			all.refunds[key] = r
		}
	}
	for _, d := range books.Compare(values(all.charges), values(all.refunds), all.ledger).Differences {
		report("workflows and ledger: %s", d)
	}
	for _, d := range books.Compare(values(all.storedCharges), values(all.storedRefunds), all.ledger).Differences {
		report("store and ledger: %s", d)
	}
	for reference, times := range executed(all.ledger) {
		if times > 1 {
			report("the idempotency key %s was executed %d times", reference, times)
		}
	}
	for key, c := range all.charges {
		stored, ok := all.storedCharges[key]
		// The result of a closed workflow does not reflect later refunds.
		c.RefundedAmount = stored.RefundedAmount
		if d := difference(c, stored); !ok || d != "" {
			report("charge %s: workflow and store: %s", key, d)
		}
	}
	for key, r := range all.refunds {
		stored, ok := all.storedRefunds[key]
		if d := difference(r, stored); !ok || d != "" {
			report("refund %s: workflow and store: %s", key, d)
		}
	}
	found = append(found, all.onlyInStore()...)
	found = append(found, all.wrongRefundSums(purchases)...)
	for _, p := range purchases {
		found = append(found, all.contradictedResults(p)...)
	}
	return found
}

// failedLate reports whether a refund failed after it had succeeded, and the processor itself has reported that: its ledger has it
// as declined, and a lookup is the cause of the transition in the store.
func (all *records) failedLate(key string) bool {
	stored := all.storedRefunds[key]
	events := all.refundEvents[stored.RefundID]
	if stored.Status != payment.Failed || len(events) == 0 {
		return false
	}
	last := events[len(events)-1]
	declined := slices.ContainsFunc(all.ledger.Refunds, func(r simulator.LedgerRefund) bool {
		return r.ID == stored.ProcessorRefundID && r.Status == string(payment.Declined)
	})
	return declined && last.From == payment.Succeeded && last.To == payment.Failed && last.Cause.By == "lookup"
}

// onlyInStore returns the payments and refunds that are in the store, but are not the result of a workflow.
func (all *records) onlyInStore() (found []violation) {
	for key := range all.storedCharges {
		if _, ok := all.charges[key]; !ok {
			found = append(found, violationOf(nil, "charge %s is in the store, but no workflow reported it", key))
		}
	}
	for key := range all.storedRefunds {
		if _, ok := all.refunds[key]; !ok {
			found = append(found, violationOf(nil, "refund %s is in the store, but no workflow reported it", key))
		}
	}
	return found
}

// wrongRefundSums compares the refunded amount of each payment with the sum of its refunds, in the store and in the ledger. What was
// refunded in the dashboard is no refund in the ledger.
func (all *records) wrongRefundSums(purchases []*purchase) (found []violation) {
	stored := map[string]int64{}
	for _, r := range all.storedRefunds {
		if r.Status == payment.Succeeded {
			stored[r.PaymentID] += r.Amount
		}
	}
	for _, c := range all.storedCharges {
		if c.RefundedAmount != stored[c.PaymentID] {
			found = append(found, violationOf(nil, "charge %s: its refunded amount in the store is %d, but its refunds there sum up to %d",
				c.IdempotencyKey, c.RefundedAmount, stored[c.PaymentID]))
		}
	}
	ledger := map[string]int64{}
	for _, r := range all.ledger.Refunds {
		if r.Status != string(payment.Declined) {
			ledger[r.PaymentID] += r.Amount
		}
	}
	for _, p := range all.ledger.Payments {
		inDashboard := slices.ContainsFunc(purchases, func(one *purchase) bool {
			return one.id() == p.Metadata["florin_payment_id"] && one.charge.PaymentMethod == refundedInDashboard
		})
		if inDashboard && p.RefundedAmount == p.CapturedAmount {
			continue
		}
		if p.RefundedAmount != ledger[p.ID] || p.RefundedAmount > p.CapturedAmount {
			found = append(found, violationOf(nil, "the ledger has %d of %d refunded for %s, but its refunds sum up to %d",
				p.RefundedAmount, p.CapturedAmount, p.Metadata["florin_payment_id"], ledger[p.ID]))
		}
	}
	return found
}

// contradictedResults returns the results of calls that the final state contradicts.
func (all *records) contradictedResults(p *purchase) (found []violation) {
	final, ok := all.charges[p.key()]
	if !ok {
		return nil // readWorkflows has reported it.
	}
	for _, result := range p.results.all {
		if problem := contradiction(result, final); problem != "" {
			found = append(found, violationOf(p, "charge %s: %s", p.key(), problem))
		}
	}
	requested := int64(0)
	for _, r := range p.refunds {
		if r.request.Amount == nil {
			requested += final.CapturedAmount
		} else {
			requested += *r.request.Amount
		}
	}
	for _, r := range p.refunds {
		for _, result := range r.results.all {
			key := r.request.IdempotencyKey
			problem := refundContradiction(result, all.refunds[key], requested > final.CapturedAmount, all.failedLate(key))
			if problem != "" {
				found = append(found, violationOf(p, "refund %s: %s", r.request.IdempotencyKey, problem))
			}
		}
	}
	return found
}

// executed counts how often the ledger has executed each idempotency key.
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

// difference describes the fields in which two records of one payment or refund differ. It returns "" if they are equal.
func difference[T any](first, second T) string {
	a, aErr := fieldsOf(first)
	b, bErr := fieldsOf(second)
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
			differ = append(differ, fmt.Sprintf("%s is absent and %v", name, b[name]))
		}
	}
	slices.Sort(differ)
	return strings.Join(differ, ", ")
}

// fieldsOf returns the fields of a record by their JSON names. It omits the times, because each system rounds them
// differently, and the processor's request ID, because the store updates it only together with other fields.
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
