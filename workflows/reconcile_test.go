package workflows

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/storetest"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// ledger is a processor that lists and looks up records, and does nothing else.
type ledger struct {
	processor.Processor
	mu                sync.Mutex
	payments, refunds []processor.Record
	// hidden are the ids of records that are looked up, and are not in lists yet.
	hidden map[string]bool
	// listed and lookedUp are called before each call; nil: nothing happens.
	listed   func(call processor.ListCall) error
	lookedUp func(call processor.LookupCall) error
	// endless makes the list begin again after its end.
	endless bool
	lists   int
	lookups []processor.LookupCall
}

func (l *ledger) of(operation payment.Operation) *[]processor.Record {
	if operation == payment.OperationRefund {
		return &l.refunds
	}
	return &l.payments
}

func (l *ledger) List(_ context.Context, call processor.ListCall) (processor.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lists++
	if l.listed != nil {
		if err := l.listed(call); err != nil {
			return processor.Page{}, err
		}
	}
	var page processor.Page
	from, _ := strconv.Atoi(call.Cursor)
	all := *l.of(call.Operation)
	for i := from; i < len(all); i++ {
		if len(page.Records) == 3 {
			page.Next = strconv.Itoa(i)
			break
		}
		if !all[i].CreatedAt.Before(call.CreatedAfter) && !l.hidden[all[i].ID] {
			page.Records = append(page.Records, all[i])
		}
	}
	if page.Next == "" && l.endless {
		page.Next = "0"
	}
	return page, nil
}

func (l *ledger) Lookup(_ context.Context, call processor.LookupCall) (processor.Result, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lookups = append(l.lookups, call)
	if l.lookedUp != nil {
		if err := l.lookedUp(call); err != nil {
			return processor.Result{}, false, err
		}
	}
	for _, r := range *l.of(call.Operation) {
		if r.Unreadable == "" && (call.ID == r.ID || call.ID == "" && call.Reference == r.Reference) {
			return r.Result, true, nil
		}
	}
	return processor.Result{}, false, nil
}

// books are a store and a ledger that agree.
type books struct {
	db      *store.Store
	ledger  *ledger
	hurried []string // the workflows that were notified
	ended   bool     // no workflow runs
	// terminated is the ID of a workflow that does not run. unsigned reports that no workflow would accept a signal.
	terminated string
	unsigned   bool
	window     store.Window
}

func newBooks(t *testing.T) *books {
	t.Helper()
	return &books{db: storetest.New(t), ledger: &ledger{hidden: map[string]bool{}}, window: store.Window{Lag: 10 * time.Minute, Overlap: 2 * time.Hour}}
}

// pay adds a payment of 12.50 USD in this status on both sides.
func (b *books) pay(t *testing.T, key string, status payment.Status) payment.Charge {
	t.Helper()
	at := baseTime.Add(time.Duration(len(b.ledger.payments)) * time.Minute)
	c, _, err := b.db.BeginPayment(t.Context(), payment.Charge{
		PaymentID: payment.PaymentID("acme", key), MerchantID: "acme", IdempotencyKey: key, Amount: 1250, Currency: "USD",
		Processor: "sim", PaymentMethod: "tok_visa", CreatedAt: at, UpdatedAt: at,
	}, "fingerprint")
	require.NoError(t, err)
	if status != payment.Processing {
		c.Status, c.ProcessorPaymentID = status, "ch_"+key
		if status == payment.Succeeded {
			c.CapturedAmount = c.Amount
		}
		c, err = b.db.RecordPayment(t.Context(), c, activities.Cause{By: "test"})
		require.NoError(t, err)
	}
	b.ledger.payments = append(b.ledger.payments, processor.Record{
		Result: processor.Result{
			ID: "ch_" + key, Status: status, Amount: 1250, Currency: "USD", CapturedAmount: c.CapturedAmount,
			Reference: payment.ProcessorKey(c.PaymentID, payment.OperationCharge, 0), MerchantID: "acme",
		},
		CreatedAt: at.Add(time.Second), OwnID: c.PaymentID,
	})
	return c
}

// refund adds a refund of 1.00 USD in this status on both sides.
func (b *books) refund(t *testing.T, key string, of payment.Charge, status payment.Status) payment.Refund {
	t.Helper()
	at := of.CreatedAt.Add(time.Hour)
	r, _, _, err := b.db.ReserveRefund(t.Context(), payment.Refund{
		RefundID: payment.RefundID("acme", key), PaymentID: of.PaymentID, MerchantID: "acme", IdempotencyKey: key, Amount: 100,
		CreatedAt: at, UpdatedAt: at,
	}, "fingerprint")
	require.NoError(t, err)
	r.Status, r.ProcessorRefundID = status, "re_"+key
	r, err = b.db.SettleRefund(t.Context(), r, activities.Cause{By: "test"})
	require.NoError(t, err)
	if status == payment.Succeeded {
		b.payment("ch_" + of.IdempotencyKey).RefundedAmount += 100
	}
	b.ledger.refunds = append(b.ledger.refunds, processor.Record{
		Result: processor.Result{
			ID: "re_" + key, Status: status, Amount: 100, Currency: "USD",
			Reference: payment.ProcessorKey(r.RefundID, payment.OperationRefund, 0), MerchantID: "acme",
		},
		CreatedAt: at.Add(time.Second), OwnID: r.RefundID, ProcessorPaymentID: of.ProcessorPaymentID,
	})
	return r
}

func recordOf(all []processor.Record, id string) *processor.Record {
	return &all[slices.IndexFunc(all, func(r processor.Record) bool { return r.ID == id })]
}

func (b *books) payment(id string) *processor.Record { return recordOf(b.ledger.payments, id) }

func (b *books) refundRecord(id string) *processor.Record { return recordOf(b.ledger.refunds, id) }

func (b *books) environment(t *testing.T) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(10 * time.Minute)
	Register(env)
	(&activities.Payments{
		Store: b.db, Default: "sim", Terms: map[string]activities.Terms{"sim": testTerms}, Windows: map[string]store.Window{"sim": b.window},
	}).RegisterWrites(env)
	r := &activities.Reconciler{Processor: b.ledger, Name: "sim", Store: b.db}
	r.Runs = func(_ context.Context, id string) (bool, error) { return !b.ended && id != b.terminated, nil }
	if !b.unsigned {
		r.Hurry = func(_ context.Context, id string) error {
			if b.ended || id == b.terminated {
				return serviceerror.NewNotFound("workflow execution already completed")
			}
			b.hurried = append(b.hurried, id)
			return nil
		}
	}
	r.Register(env)
	return env
}

// reconcile runs a reconciliation to its end.
func (b *books) reconcile(t *testing.T) (payment.Reconciliation, error) {
	t.Helper()
	b.hurried, b.ledger.lookups = nil, nil
	env := b.environment(t)
	runReconcile(env, payment.ReconcileRequest{Processor: "sim"})
	require.True(t, env.IsWorkflowCompleted())
	var result payment.Reconciliation
	if err := env.GetWorkflowError(); err != nil {
		return result, err
	}
	return result, env.GetWorkflowResult(&result)
}

// runReconcile runs the workflow as the schedule starts it.
func runReconcile(env *testsuite.TestWorkflowEnvironment, request payment.ReconcileRequest) {
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: payment.ReconcileScheduleID("sim") + "-2026-01-15T13:00:00Z", TaskQueue: payment.TaskQueue})
	env.ExecuteWorkflow(payment.WorkflowReconcile, request)
}

// run returns the only run in the store.
func (b *books) run(t *testing.T) payment.Reconciliation {
	t.Helper()
	page, err := b.db.Reconciliations(t.Context(), payment.ReconciliationFilter{})
	require.NoError(t, err)
	require.Len(t, page.Reconciliations, 1)
	return page.Reconciliations[0]
}

// findings returns the recorded divergences as "kind id: evidence", in their order as text.
func (b *books) findings(t *testing.T) (texts []string) {
	t.Helper()
	page, err := b.db.Divergences(t.Context(), payment.DivergenceFilter{Processor: "sim", Limit: 500})
	require.NoError(t, err)
	for _, d := range page.Divergences {
		require.Equal(t, "reconcile", d.DetectedBy)
		about := d.ProcessorRecordID
		for _, key := range []string{"a", "b", "c", "d", "e"} {
			switch {
			case d.RefundID == payment.RefundID("acme", key):
				about = "refund " + key
			case d.RefundID == "" && d.PaymentID == payment.PaymentID("acme", key):
				about = strings.TrimSpace("payment " + key + " " + about)
			}
		}
		texts = append(texts, fmt.Sprintf("%s %s", d.Kind, about))
	}
	slices.Sort(texts)
	return texts
}

func TestReconciliationFindsEachKindOfDifference(t *testing.T) {
	t.Parallel()
	reference := func(key string) string {
		return payment.ProcessorKey(payment.PaymentID("acme", key), payment.OperationCharge, 0)
	}
	outside := func(id string, status payment.Status) processor.Record {
		return processor.Record{Result: processor.Result{ID: id, Status: status, Amount: 700, Currency: "USD"}, CreatedAt: baseTime.Add(90 * time.Second)}
	}
	for name, tt := range map[string]struct {
		change  func(t *testing.T, b *books)
		want    []string
		hurried []string
	}{
		"nothing": {change: func(*testing.T, *books) {}},
		"made outside": {change: func(_ *testing.T, b *books) {
			b.ledger.payments = append(b.ledger.payments, outside("ch_x", payment.Succeeded), outside("ch_y", payment.Pending))
		}, want: []string{"missing_here ch_x", "missing_here ch_y"}},
		"declined outside": {change: func(_ *testing.T, b *books) {
			b.ledger.payments = append(b.ledger.payments, outside("ch_x", payment.Declined))
		}},
		"declined outside, can still succeed": {change: func(_ *testing.T, b *books) {
			r := outside("ch_x", payment.Declined)
			r.CanStillSucceed = true
			b.ledger.payments = append(b.ledger.payments, r)
		}, want: []string{"missing_here ch_x"}},
		"made outside, claims a payment": {change: func(_ *testing.T, b *books) {
			r := outside("ch_x", payment.Succeeded)
			r.OwnID = payment.PaymentID("acme", "a")
			b.ledger.payments = append(b.ledger.payments, r)
		}, want: []string{"missing_here ch_x"}},
		"lost by the store": {change: func(_ *testing.T, b *books) {
			r := outside("ch_x", payment.Succeeded)
			r.OwnID, r.Reference = payment.PaymentID("acme", "z"), reference("z")
			b.ledger.payments = append(b.ledger.payments, r)
		}, want: []string{"missing_here ch_x"}},
		"deleted": {change: func(_ *testing.T, b *books) {
			b.ledger.payments = slices.DeleteFunc(b.ledger.payments, func(r processor.Record) bool { return r.ID == "ch_a" || r.ID == "ch_d" })
		}, want: []string{"missing_there payment a"}},
		"not listed yet": {change: func(_ *testing.T, b *books) { b.ledger.hidden["ch_a"], b.ledger.hidden["re_a"] = true, true }},
		"has lost its reference": {change: func(_ *testing.T, b *books) {
			b.payment("ch_a").Reference, b.payment("ch_a").OwnID = "", ""
		}},
		"amount":        {change: func(_ *testing.T, b *books) { b.payment("ch_a").Amount = 9900 }, want: []string{"amount payment a"}},
		"currency":      {change: func(_ *testing.T, b *books) { b.payment("ch_a").Currency = "EUR" }, want: []string{"currency payment a"}},
		"captured":      {change: func(_ *testing.T, b *books) { b.payment("ch_a").CapturedAmount = 1000 }, want: []string{"captured payment a"}},
		"refunded":      {change: func(_ *testing.T, b *books) { b.payment("ch_b").RefundedAmount = 300 }, want: []string{"refunded payment b"}},
		"less refunded": {change: func(_ *testing.T, b *books) { b.payment("ch_a").RefundedAmount = 0 }, want: []string{"refunded payment a"}},
		"status": {change: func(_ *testing.T, b *books) {
			b.payment("ch_a").Status = payment.Voided
			b.payment("ch_d").Status, b.payment("ch_d").CapturedAmount = payment.Succeeded, 1250
		}, want: []string{"status payment a", "status payment d"}},
		"duplicate": {change: func(_ *testing.T, b *books) {
			r := outside("ch_0", payment.Succeeded)
			r.Reference = reference("a")
			declined := outside("ch_1", payment.Declined)
			declined.Reference = reference("a")
			b.ledger.payments = append([]processor.Record{r, declined}, b.ledger.payments...)
		}, want: []string{"duplicate_reference payment a ch_0"}},
		"unreadable": {change: func(_ *testing.T, b *books) {
			b.ledger.payments = append(b.ledger.payments,
				processor.Record{Unreadable: "unknown status", CreatedAt: baseTime},
				processor.Record{Result: processor.Result{ID: "ch_x"}, Unreadable: "no amount", CreatedAt: baseTime})
			b.payment("ch_a").Unreadable = "unknown status"
		}, want: []string{"unreadable ch_x", "unreadable payment a ch_a", "unreadable unidentified-e25989465048d543"}},
		"unreadable, and a refund with the same id": {change: func(_ *testing.T, b *books) {
			r := processor.Record{Result: processor.Result{ID: "42"}, Unreadable: "no amount", CreatedAt: baseTime}
			b.ledger.payments, b.ledger.refunds = append(b.ledger.payments, r), append(b.ledger.refunds, r)
		}, want: []string{"unreadable 42", "unreadable 42"}},
		"refunded outside": {change: func(_ *testing.T, b *books) {
			r := outside("re_x", payment.Succeeded)
			r.ProcessorPaymentID = "ch_b"
			b.ledger.refunds = append(b.ledger.refunds, r)
			b.payment("ch_b").RefundedAmount += 700
		}, want: []string{"refund_missing_here re_x", "refunded payment b"}},
		"refund deleted": {change: func(_ *testing.T, b *books) { b.ledger.refunds = nil }, want: []string{"refund_missing_there refund a"}},
		"refund status": {change: func(t *testing.T, b *books) {
			b.refund(t, "b", b.pay(t, "e", payment.Succeeded), payment.Failed)
			b.refundRecord("re_b").Status = payment.Succeeded
		}, want: []string{"refund_status refund b"}},
		"refund amount": {change: func(_ *testing.T, b *books) { b.refundRecord("re_a").Amount = 101 }, want: []string{"amount refund a"}},
		"still running": {change: func(_ *testing.T, b *books) {
			b.payment("ch_c").Status = payment.Succeeded
			b.payment("ch_c").CapturedAmount = 1250
		}, hurried: []string{payment.ChargeWorkflowID("acme", "c")}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBooks(t)
			a := b.pay(t, "a", payment.Succeeded)
			b.pay(t, "b", payment.Succeeded)
			b.pay(t, "c", payment.Processing)
			b.pay(t, "d", payment.Declined)
			b.refund(t, "a", a, payment.Succeeded)
			tt.change(t, b)
			result, err := b.reconcile(t)
			require.NoError(t, err)
			require.True(t, result.Complete)
			require.Equal(t, tt.want, b.findings(t))
			require.Equal(t, tt.hurried, b.hurried)
			require.Equal(t, int64(len(tt.want)), result.Counts.Findings)
			require.EqualValues(t, len(b.ledger.payments)+len(b.ledger.refunds)-len(b.ledger.hidden), result.Counts.Listed)
			charge, err := b.db.Payment(t.Context(), "acme", "a")
			require.NoError(t, err)
			require.Equal(t, payment.Succeeded, charge.Status, "a reconciliation changes no payment")
		})
	}
}

func TestRefundThatFailedLateIsFoundByReconciliation(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	b.refund(t, "a", b.pay(t, "a", payment.Succeeded), payment.Succeeded)
	b.refundRecord("re_a").Status = payment.Declined
	_, err := b.reconcile(t)
	require.NoError(t, err)
	r, err := b.db.Refund(t.Context(), "acme", "a")
	require.NoError(t, err)
	require.Equal(t, payment.Failed, r.Status)
}

func TestTooManyFindingsEndTheReconciliation(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	for i := range 1005 {
		b.ledger.payments = append(b.ledger.payments, processor.Record{
			Result: processor.Result{ID: fmt.Sprintf("ch_%04d", i), Status: payment.Succeeded, Amount: 1, Currency: "USD"}, CreatedAt: time.Now().Add(-time.Hour),
		})
	}
	_, err := b.reconcile(t)
	var application *temporal.ApplicationError
	require.ErrorAs(t, err, &application)
	require.Equal(t, ErrorNotReconciled, application.Type())
	require.ErrorContains(t, err, "too many findings: 1000 are recorded, and 5 differences are not checked")
	open, err := b.db.OpenDivergences(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[payment.DivergenceKind]int64{payment.DivergenceMissingHere: 1000}, open)
	watermarks, err := b.db.Watermarks(t.Context())
	require.NoError(t, err)
	require.Empty(t, watermarks, "the next run has the same window")
}

func TestReconciliationContinuesInNewRuns(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		b.pay(t, key, payment.Succeeded)
	}
	b.payment("ch_b").Amount = 1
	b.ledger.payments = slices.DeleteFunc(b.ledger.payments, func(r processor.Record) bool { return r.ID == "ch_d" })
	request := payment.ReconcileRequest{Processor: "sim"}
	for n := 1; ; n++ {
		env := b.environment(t)
		env.SetContinueAsNewSuggested(true)
		if n > 1 {
			env.SetContinuedExecutionRunID("the run before")
		}
		runReconcile(env, request)
		var next *workflow.ContinueAsNewError
		if !errors.As(env.GetWorkflowError(), &next) {
			require.NoError(t, env.GetWorkflowError())
			require.Equal(t, len(payment.ReconcilePhases), n, "each run works on one part")
			break
		}
		require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &request))
	}
	require.Equal(t, []string{"amount payment b", "missing_there payment d"}, b.findings(t))
	ended := b.run(t)
	require.True(t, ended.Complete)
	require.Equal(t, payment.ReconcileCounts{Pages: 3, Listed: 4, Compared: 5, Checked: 5, Findings: 2}, ended.Counts)
}

// A client could start the workflow as if most of it were done.
func TestProgressOfAClientIsIgnored(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	b.pay(t, "a", payment.Succeeded)
	env := b.environment(t)
	runReconcile(env, payment.ReconcileRequest{Processor: "sim", Earlier: &payment.ReconcileProgress{
		Phase: payment.ReconcileCheckAgain, Counts: payment.ReconcileCounts{Listed: 7},
	}})
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, int64(1), b.run(t).Counts.Listed)
}

func TestReconciliationOutlivesAProcessorThatDoesNotRespond(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		b.pay(t, key, payment.Succeeded)
	}
	b.payment("ch_e").Amount = 1
	busy := &processor.Error{Class: payment.ClassUnavailable, Certainty: processor.Ambiguous, Retry: true, Message: "scripted", RetryAfter: time.Minute}
	failures := 0
	b.ledger.listed = func(call processor.ListCall) error {
		if call.Cursor == "3" && failures < 5 {
			failures++
			return busy
		}
		return nil
	}
	b.ledger.lookedUp = func(processor.LookupCall) error {
		if len(b.ledger.lookups) == 1 {
			return busy
		}
		return nil
	}
	_, err := b.reconcile(t)
	require.NoError(t, err)
	require.Equal(t, []string{"amount payment e"}, b.findings(t))
	require.Equal(t, 5, failures)
}

func TestRecordThatIsNeverLookedUpIsUnreadable(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	b.pay(t, "a", payment.Succeeded)
	b.pay(t, "b", payment.Succeeded)
	b.payment("ch_a").Amount, b.payment("ch_b").Amount = 1, 1
	b.ledger.lookedUp = func(call processor.LookupCall) error {
		if call.Reference == b.payment("ch_a").Reference {
			return &processor.Error{Class: payment.ClassInvalidResponse, Certainty: processor.Ambiguous, Retry: true, Message: "scripted"}
		}
		return nil
	}
	result, err := b.reconcile(t)
	require.NoError(t, err)
	require.True(t, result.Complete)
	require.Equal(t, []string{"amount payment b", "unreadable payment a"}, b.findings(t))
}

func TestReconciliationThatCannotContinueLeavesTheWatermark(t *testing.T) {
	t.Parallel()
	refused := &processor.Error{Class: payment.ClassAuthentication, Certainty: processor.NotExecuted, Message: "invalid key"}
	for name, tt := range map[string]struct {
		arrange func(b *books, env *testsuite.TestWorkflowEnvironment)
		want    string
	}{
		"the processor refuses the credentials": {want: "invalid key", arrange: func(b *books, _ *testsuite.TestWorkflowEnvironment) {
			b.ledger.listed = func(processor.ListCall) error { return refused }
		}},
		"it was canceled": {want: "canceled", arrange: func(b *books, env *testsuite.TestWorkflowEnvironment) {
			b.ledger.hidden["ch_a"] = true // so that it waits
			b.ledger.payments = nil
			env.RegisterDelayedCallback(env.CancelWorkflow, 5*time.Second)
		}},
		"another run has begun": {want: "run later began before this one had ended", arrange: func(b *books, _ *testsuite.TestWorkflowEnvironment) {
			b.ledger.listed = func(processor.ListCall) error {
				_, err := b.db.BeginReconciliation(context.Background(), payment.Reconciliation{RunID: "later", Processor: "sim", WorkflowID: "w"}, b.window)
				return err
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBooks(t)
			b.pay(t, "a", payment.Succeeded)
			env := b.environment(t)
			tt.arrange(b, env)
			runReconcile(env, payment.ReconcileRequest{Processor: "sim"})
			require.Error(t, env.GetWorkflowError())
			page, err := b.db.Reconciliations(t.Context(), payment.ReconciliationFilter{})
			require.NoError(t, err)
			ended := page.Reconciliations[len(page.Reconciliations)-1]
			require.False(t, ended.EndedAt.IsZero())
			require.False(t, ended.Complete)
			require.Contains(t, ended.Reason, tt.want)
			watermarks, err := b.db.Watermarks(t.Context())
			require.NoError(t, err)
			require.Empty(t, watermarks)
		})
	}
}

// The list is older than the store: what has changed meanwhile on both sides is no finding.
func TestDifferenceOfAnOldListIsNoFinding(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	a := b.pay(t, "a", payment.Succeeded)
	b.payment("ch_a").Status, b.payment("ch_a").CapturedAmount = payment.Authorized, 0
	b.ledger.listed = func(call processor.ListCall) error {
		if call.Operation == payment.OperationRefund {
			b.payment("ch_a").Status, b.payment("ch_a").CapturedAmount = payment.Succeeded, a.CapturedAmount
		}
		return nil
	}
	result, err := b.reconcile(t)
	require.NoError(t, err)
	require.Empty(t, b.findings(t))
	require.Equal(t, int64(1), result.Counts.Checked)
}

func TestSecondReconciliationRecordsNothingAgain(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	b.pay(t, "a", payment.Succeeded)
	b.payment("ch_a").Amount = 1
	_, err := b.reconcile(t)
	require.NoError(t, err)
	first := b.findings(t)
	require.Len(t, first, 1)
	_, err = b.reconcile(t) // the environment gives it the same run ID: the run has ended
	require.ErrorContains(t, err, "the run has ended")
	require.Equal(t, first, b.findings(t))
}

func TestReconciliationIsOnlyStartedForItsProcessor(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ id, processor string }{
		"another processor": {id: "reconcile/sim", processor: "other"},
		"another workflow":  {id: "charge/acme/order-1", processor: "sim"},
		"a longer name":     {id: "reconcile/simulator", processor: "sim"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBooks(t)
			env := b.environment(t)
			env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: tt.id, TaskQueue: payment.TaskQueue})
			env.ExecuteWorkflow(payment.WorkflowReconcile, payment.ReconcileRequest{Processor: tt.processor})
			require.ErrorContains(t, env.GetWorkflowError(), "InvalidRequest")
			require.Zero(t, b.ledger.lists)
		})
	}
}

// earlierWindowEnds ends a complete window of an earlier run an hour ago: the next window does not contain what is older than the overlap.
func (b *books) earlierWindowEnds(t *testing.T) {
	t.Helper()
	_, err := b.db.BeginReconciliation(t.Context(), payment.Reconciliation{RunID: "earlier", Processor: "sim", WorkflowID: "reconcile/sim"}, b.window)
	require.NoError(t, err)
	_, err = b.db.EndReconciliation(t.Context(), "earlier", true, "", payment.ReconcileCounts{})
	require.NoError(t, err)
}

// The processor has charged a payment of an earlier window once more: a lookup by the reference finds the first charge, which agrees.
func TestSecondChargeOfAnOldPaymentIsFound(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	a := b.pay(t, "a", payment.Succeeded)
	b.refund(t, "a", a, payment.Succeeded)
	b.earlierWindowEnds(t)
	again := *b.payment("ch_a")
	again.ID, again.CreatedAt = "ch_again", time.Now().Add(-time.Hour)
	refundedAgain := *b.refundRecord("re_a")
	refundedAgain.ID, refundedAgain.CreatedAt = "re_again", time.Now().Add(-time.Hour)
	b.ledger.payments, b.ledger.refunds = append(b.ledger.payments, again), append(b.ledger.refunds, refundedAgain)
	result, err := b.reconcile(t)
	require.NoError(t, err)
	require.True(t, result.Complete)
	require.Equal(t, []string{"duplicate_reference payment a ch_again", "duplicate_reference refund a"}, b.findings(t))
}

// A response was lost for hours, and the processor returns no metadata: the record is that of the payment before the window, which its workflow
// will find by the reference.
func TestLateRecordOfAnUnknownPaymentIsNotForeign(t *testing.T) {
	t.Parallel()
	for name, ended := range map[string]bool{"its workflow runs": false, "its workflow has ended": true} {
		t.Run(name, func(t *testing.T) {
			b := newBooks(t)
			b.pay(t, "a", payment.Processing)
			of := b.pay(t, "b", payment.Succeeded)
			r, _, _, err := b.db.ReserveRefund(t.Context(), payment.Refund{
				RefundID: payment.RefundID("acme", "c"), PaymentID: of.PaymentID, MerchantID: "acme", IdempotencyKey: "c", Amount: 100,
				CreatedAt: of.CreatedAt, UpdatedAt: of.CreatedAt,
			}, "fingerprint")
			require.NoError(t, err)
			b.earlierWindowEnds(t)
			late := b.payment("ch_a")
			late.Status, late.CapturedAmount, late.CreatedAt, late.OwnID = payment.Succeeded, 1250, time.Now().Add(-time.Hour), ""
			b.ledger.refunds = append(b.ledger.refunds, processor.Record{
				Result: processor.Result{
					ID: "re_c", Status: payment.Succeeded, Amount: 100, Currency: "USD", MerchantID: "acme",
					Reference: payment.ProcessorKey(r.RefundID, payment.OperationRefund, 0),
				},
				CreatedAt: time.Now().Add(-time.Hour), ProcessorPaymentID: of.ProcessorPaymentID,
			})
			b.ended = ended
			result, err := b.reconcile(t)
			require.NoError(t, err)
			require.True(t, result.Complete)
			if ended {
				require.Equal(t, []string{"refund_status refund c", "status payment a"}, b.findings(t))
				return
			}
			require.Empty(t, b.findings(t))
			require.Equal(t, []string{"charge/acme/a", "refund/acme/c"}, b.hurried)
		})
	}
}

// An operator has not found the record, and has resolved without an id. The record, which appears later, is not foreign.
func TestLateRecordOfWhatWasResolvedWithoutAnIDIsNotForeign(t *testing.T) {
	t.Parallel()
	for name, amount := range map[string]int64{"as resolved": 1250, "of another amount": 1300} {
		t.Run(name, func(t *testing.T) {
			b := newBooks(t)
			c := b.pay(t, "a", payment.Processing)
			of := b.pay(t, "b", payment.Succeeded)
			r, _, _, err := b.db.ReserveRefund(t.Context(), payment.Refund{
				RefundID: payment.RefundID("acme", "c"), PaymentID: of.PaymentID, MerchantID: "acme", IdempotencyKey: "c", Amount: 100,
				CreatedAt: of.CreatedAt, UpdatedAt: of.CreatedAt,
			}, "fingerprint")
			require.NoError(t, err)
			for _, status := range []payment.Status{payment.Unknown, payment.Succeeded} {
				if c.Status, r.Status = status, status; status == payment.Succeeded {
					c.CapturedAmount = c.Amount
				}
				c, err = b.db.RecordPayment(t.Context(), c, activities.Cause{By: "operator:jane"})
				require.NoError(t, err)
				r, err = b.db.SettleRefund(t.Context(), r, activities.Cause{By: "operator:jane"})
				require.NoError(t, err)
			}
			b.earlierWindowEnds(t)
			late := b.payment("ch_a")
			late.Status, late.Amount, late.CapturedAmount, late.CreatedAt, late.OwnID = payment.Succeeded, amount, amount, time.Now().Add(-time.Hour), ""
			b.ledger.refunds = append(b.ledger.refunds, processor.Record{
				Result: processor.Result{
					ID: "re_c", Status: payment.Succeeded, Amount: 100, Currency: "USD", MerchantID: "acme",
					Reference: payment.ProcessorKey(r.RefundID, payment.OperationRefund, 0),
				},
				CreatedAt: time.Now().Add(-time.Hour), ProcessorPaymentID: of.ProcessorPaymentID,
			})
			result, err := b.reconcile(t)
			require.NoError(t, err)
			require.True(t, result.Complete)
			require.Equal(t, map[int64][]string{1250: nil, 1300: {"amount payment a", "captured payment a"}}[amount], b.findings(t))
		})
	}
}

// The processor's clock is behind, and its lists contain what was begun after the window: the same holds for that.
func TestRecordOfAnUnknownPaymentOfAfterTheWindowIsNotForeign(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	of := b.pay(t, "b", payment.Succeeded)
	b.earlierWindowEnds(t)
	begun, created := time.Now().Add(-5*time.Minute), time.Now().Add(-12*time.Minute)
	c, _, err := b.db.BeginPayment(t.Context(), payment.Charge{
		PaymentID: payment.PaymentID("acme", "a"), MerchantID: "acme", IdempotencyKey: "a", Amount: 1250, Currency: "USD",
		Processor: "sim", PaymentMethod: "tok_visa", CreatedAt: begun, UpdatedAt: begun,
	}, "fingerprint")
	require.NoError(t, err)
	r, _, _, err := b.db.ReserveRefund(t.Context(), payment.Refund{
		RefundID: payment.RefundID("acme", "c"), PaymentID: of.PaymentID, MerchantID: "acme", IdempotencyKey: "c", Amount: 100,
		CreatedAt: begun, UpdatedAt: begun,
	}, "fingerprint")
	require.NoError(t, err)
	b.ledger.payments = append(b.ledger.payments, processor.Record{
		Result: processor.Result{
			ID: "ch_a", Status: payment.Succeeded, Amount: 1250, CapturedAmount: 1250, Currency: "USD",
			Reference: payment.ProcessorKey(c.PaymentID, payment.OperationCharge, 0),
		},
		CreatedAt: created,
	})
	b.ledger.refunds = append(b.ledger.refunds, processor.Record{
		Result: processor.Result{
			ID: "re_c", Status: payment.Succeeded, Amount: 100, Currency: "USD",
			Reference: payment.ProcessorKey(r.RefundID, payment.OperationRefund, 0),
		},
		CreatedAt: created, ProcessorPaymentID: of.ProcessorPaymentID,
	})
	result, err := b.reconcile(t)
	require.NoError(t, err)
	require.True(t, result.Complete)
	require.Empty(t, b.findings(t))
	require.Equal(t, []string{"charge/acme/a", "refund/acme/c"}, b.hurried)
}

// A workflow that no longer runs, for example because it was terminated, does not find out by itself.
func TestOutcomeWithoutAWorkflowIsAFinding(t *testing.T) {
	t.Parallel()
	for name, unsigned := range map[string]bool{"signals are sent": false, "signals have to be signed, and there is no secret": true} {
		t.Run(name, func(t *testing.T) {
			b := newBooks(t)
			b.unsigned = unsigned
			for _, key := range []string{"a", "b"} {
				b.pay(t, key, payment.Processing)
				b.payment("ch_"+key).Status, b.payment("ch_"+key).CapturedAmount = payment.Succeeded, 1250
			}
			b.terminated = payment.ChargeWorkflowID("acme", "a")
			result, err := b.reconcile(t)
			require.NoError(t, err)
			require.True(t, result.Complete)
			require.Equal(t, []string{"status payment a"}, b.findings(t))
			require.Equal(t, map[bool]int64{false: 1, true: 0}[unsigned], result.Counts.Hurried)
		})
	}
}

// One run notifies no more than 1,000 workflows. It looks for all that do not run.
func TestOutcomeWithoutAWorkflowIsFoundAmongMany(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	last := ""
	for i := range 1001 {
		key := "order-" + strconv.Itoa(i)
		c := b.pay(t, key, payment.Processing)
		record := &b.ledger.payments[i]
		record.Status, record.CapturedAmount = payment.Succeeded, 1250
		if c.PaymentID > last { // it is checked last
			last, b.terminated = c.PaymentID, payment.ChargeWorkflowID("acme", key)
		}
	}
	result, err := b.reconcile(t)
	require.NoError(t, err)
	require.True(t, result.Complete)
	require.Equal(t, int64(1000), result.Counts.Hurried)
	page, err := b.db.Divergences(t.Context(), payment.DivergenceFilter{Processor: "sim"})
	require.NoError(t, err)
	require.Len(t, page.Divergences, 1)
	require.Equal(t, last, page.Divergences[0].PaymentID)
}

func TestListThatRepeatsItselfEndsTheReconciliation(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		b.pay(t, key, payment.Succeeded)
	}
	b.ledger.endless = true
	_, err := b.reconcile(t)
	require.ErrorContains(t, err, "the processor's list repeats itself")
	require.Less(t, b.ledger.lists, 20)
}

// The time of a record that lies in the future is no time: otherwise no window would ever contain the record.
func TestRecordFromTheFutureIsCompared(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	b.ledger.payments = []processor.Record{{
		Result:    processor.Result{ID: "ch_x", Status: payment.Succeeded, Amount: 700, Currency: "USD"},
		CreatedAt: time.Now().AddDate(1000, 0, 0),
	}}
	_, err := b.reconcile(t)
	require.NoError(t, err)
	require.Equal(t, []string{"missing_here ch_x"}, b.findings(t))
}

// The database has lost the run and what it had listed, for example in a failover. The run that begins instead has another window.
func TestReconciliationThatTheStoreHasLostBeginsAgain(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	b.pay(t, "a", payment.Succeeded)
	request := payment.ReconcileRequest{Processor: "sim"}
	for request.Earlier == nil || request.Earlier.Phase != payment.ReconcileListRefunds {
		env := b.environment(t)
		env.SetContinueAsNewSuggested(true)
		env.SetContinuedExecutionRunID("the run before")
		runReconcile(env, request)
		var next *workflow.ContinueAsNewError
		require.ErrorAs(t, env.GetWorkflowError(), &next)
		require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &request))
	}

	b.db = storetest.New(t)
	b.ledger.payments[0].CreatedAt = time.Now().Add(-time.Hour)
	env := b.environment(t)
	env.SetContinuedExecutionRunID("the run before")
	runReconcile(env, request)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []string{"missing_here ch_a"}, b.findings(t))
}

// The store is read after the processor: otherwise a refund that succeeds between the two looks like one that was made outside.
func TestRefundDuringALookupIsNoFinding(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	a := b.pay(t, "a", payment.Succeeded)
	b.ledger.hidden["ch_a"] = true
	b.ledger.lookedUp = func(processor.LookupCall) error {
		if len(b.ledger.refunds) == 0 {
			b.refund(t, "a", a, payment.Succeeded)
		}
		return nil
	}
	result, err := b.reconcile(t)
	require.NoError(t, err)
	require.Equal(t, int64(1), result.Counts.Checked)
	require.Empty(t, b.findings(t))
}

// The processor's record of a payment still counts a refund that has failed: a lagging record would show that, too, so it has to be seen twice.
func TestRecordThatStillCountsAFailedRefundIsLookedUpAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		corrected bool
		want      []string
	}{
		"it is corrected": {corrected: true},
		"it stays":        {want: []string{"refunded payment a"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBooks(t)
			b.refund(t, "a", b.pay(t, "a", payment.Succeeded), payment.Failed)
			b.payment("ch_a").RefundedAmount = 100
			b.ledger.lookedUp = func(processor.LookupCall) error {
				if tt.corrected && len(b.ledger.lookups) == 2 {
					b.payment("ch_a").RefundedAmount = 0
				}
				return nil
			}
			result, err := b.reconcile(t)
			require.NoError(t, err)
			require.Equal(t, int64(2), result.Counts.Checked)
			require.Equal(t, tt.want, b.findings(t))
		})
	}
}

// Another run has begun during the last lookup: the store has ended this one as not complete.
func TestReconciliationThatTheStoreHasEndedFails(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	b.pay(t, "a", payment.Succeeded)
	b.ledger.payments = nil
	b.ledger.lookedUp = func(processor.LookupCall) error {
		if len(b.ledger.lookups) < 4 { // twice by the reference and by the id
			return nil
		}
		_, err := b.db.BeginReconciliation(context.Background(), payment.Reconciliation{RunID: "later", Processor: "sim", WorkflowID: "w"}, b.window)
		return err
	}
	_, err := b.reconcile(t)
	require.ErrorContains(t, err, "run later began before this one had ended")
}

// The processor responds with something else for minutes, such as a page about its maintenance: that is not about each of the records.
func TestMaintenanceOfTheProcessorMakesOneRecordUnreadableAtMost(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	for _, key := range []string{"a", "b", "c", "d"} {
		b.pay(t, key, payment.Succeeded)
		b.payment("ch_" + key).Amount = 1
	}
	b.ledger.lookedUp = func(processor.LookupCall) error {
		if len(b.ledger.lookups) <= 9 {
			return &processor.Error{Class: payment.ClassInvalidResponse, Certainty: processor.Ambiguous, Retry: true, Message: "scripted"}
		}
		return nil
	}
	result, err := b.reconcile(t)
	require.NoError(t, err)
	require.True(t, result.Complete)
	found := b.findings(t)
	require.Len(t, found, 4)
	unreadable := 0
	for _, text := range found {
		if strings.HasPrefix(text, "unreadable") {
			unreadable++
		}
	}
	require.Equal(t, 1, unreadable, found)
}
