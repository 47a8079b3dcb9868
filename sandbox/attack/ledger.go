package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/florinpay/florin/payment"
)

// ledgerAttacks try to write the store, and to move money, other than by a charge or refund of a permitted caller.
var ledgerAttacks = []attack{
	{name: "forged outcome: standalone writes on every queue", try: forgeStandalone},
	{name: "forged outcome: writes from workflows of the attacker's", try: forgeFromWorkflows},
	{name: "processor calls: standalone", try: callStandalone},
	{name: "processor calls: from workflows of another type or ID", try: callFromWorkflows},
	{name: "two workflows for one payment: Charge under foreign IDs", try: foreignIDs},
	{name: "refund of another merchant's payment", try: refundOfAnotherMerchant},
	{name: "recheck under the ID of another payment", try: foreignRecheck},
	{name: "requests that cannot be decoded, or have no field", try: undecodable},
	{name: "workflow IDs with control characters, past gRPC's check", try: strangeIDs},
	{name: "signals that forge an event, or cannot be decoded", try: forgedSignals},
	{name: "captures of more, less than nothing, another currency", try: absurdCaptures},
	{name: "a key that is used again with another request", try: anotherRequest},
}

// step is an activity that the attacker schedules.
type step struct {
	Queue    string `json:"queue"`
	Activity string `json:"activity"`
	Args     []any  `json:"args"`
}

func (s step) String() string { return s.Activity + " on " + s.Queue }

// writes are activities that write the store, as the attacker would like them to: they make a payment of the victim's captured, begin
// another, and refund it.
func writes(victim payment.Charge, prefix string) []step {
	forged := victim
	forged.Status, forged.CapturedAmount, forged.Revision = payment.Succeeded, forged.Amount, forged.Revision+1
	forged.UpdatedAt = time.Now()
	begun := chargeOf("acme", prefix+" begun", "tok_visa")
	refund := object{"merchant_id": "acme", "idempotency_key": prefix + " refund", "payment_id": victim.PaymentID, "amount": 1}
	cause := object{"by": "operator:jane", "evidence": object{"evidence": "forged"}}
	recheck := object{"merchant_id": "acme", "idempotency_key": victim.IdempotencyKey}
	return []step{
		{Activity: "RecordPayment", Args: []any{forged, cause}},
		{Activity: "BeginPayment", Args: []any{begun, object{"at": time.Now()}}},
		{Activity: "ReserveRefund", Args: []any{refund, object{"at": time.Now()}}},
		{Activity: "ChargeInline", Args: []any{chargeOf("acme", prefix+" inline", "tok_visa"), object{"at": time.Now()}}},
		{Activity: "RefundInline", Args: []any{refund, object{"at": time.Now()}}},
		{Activity: "SettleRefund", Args: []any{object{
			"refund_id": payment.RefundID("acme", prefix+" refund"), "merchant_id": "acme", "idempotency_key": prefix + " refund",
			"payment_id": victim.PaymentID, "status": "succeeded", "amount": 1, "currency": "USD", "processor": "simulator",
		}, cause}},
		{Activity: "BeginRecheck", Args: []any{recheck}},
		{Activity: "RecordRecheck", Args: []any{recheck, object{"id": "forged", "status": "declined", "amount": 1, "currency": "EUR"}}},
	}
}

var queues = []string{"payments", "payments-read", "payments-batch", "processor-simulator", "reconcile-simulator"}

// forged returns what of a forgery is in the store: empty if there is nothing.
func (t *target) forged(ctx context.Context, victim payment.Charge, prefix string) (string, error) {
	now, ok, err := t.stored(ctx, victim.MerchantID, victim.IdempotencyKey)
	if err != nil {
		return "", err
	}
	if !ok || now.Status != victim.Status || now.RefundedAmount != 0 {
		return fmt.Sprintf("the victim is %s in the store, refunded %d", now.Status, now.RefundedAmount), nil
	}
	for _, key := range []string{prefix + " begun", prefix + " inline"} {
		if _, begun, err := t.stored(ctx, "acme", key); err != nil || begun {
			return "a payment was begun", err
		}
	}
	var r payment.Refund
	if err := t.read(ctx, "GetRefund", &r, "acme", prefix+" refund"); err == nil {
		return "a refund was reserved", nil
	} else if !isRefused(err) {
		return "", err
	}
	var page payment.DivergencePage
	err = t.read(ctx, "ListDivergences", &page, object{"payment_id": victim.PaymentID})
	if len(page.Divergences) > 0 {
		return "a divergence was recorded", err
	}
	return "", err
}

func forgeStandalone(ctx context.Context, t *target) (result, error) {
	victim, err := t.authorized(ctx, "acme", "victim of standalone writes")
	if err != nil {
		return result{}, err
	}
	var steps []step
	for _, queue := range queues {
		for _, s := range writes(victim, "standalone") {
			s.Queue = queue
			steps = append(steps, s)
		}
	}
	executed, err := t.executed(ctx, steps)
	if err != nil {
		return result{}, err
	}
	return t.verdictOfForgery(ctx, victim, "standalone", len(steps), executed)
}

// executed schedules activities without a workflow, all at once, and returns those that a worker has executed.
func (t *target) executed(ctx context.Context, steps []step) (executed []string, err error) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, s := range steps {
		group.Go(func() {
			_, ok, tried := t.standalone(ctx, s.Queue, s.Activity, s.Args...)
			mu.Lock()
			defer mu.Unlock()
			if err = errors.Join(err, tried); ok {
				executed = append(executed, s.String())
			}
		})
	}
	group.Wait()
	return executed, err
}

func (t *target) verdictOfForgery(ctx context.Context, victim payment.Charge, prefix string, tried int, executed []string) (result, error) {
	in, err := t.forged(ctx, victim, prefix)
	switch {
	case err != nil:
		return result{}, err
	case in != "" || len(executed) > 0:
		return succeeded("executed %v: %s", executed, in), nil
	default:
		return repelled("none of %d was executed, and the store is as it was", tried), nil
	}
}

// attackersQueue is polled by the attacker's worker only.
const attackersQueue = "attacker"

// obey is the attacker's workflow, under any name: it schedules activities, and returns those that were executed.
func obey(ctx workflow.Context, steps []step) ([]string, error) {
	futures := make([]workflow.Future, len(steps))
	for i, s := range steps {
		futures[i] = workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			TaskQueue: s.Queue, ScheduleToStartTimeout: 2 * time.Second, ScheduleToCloseTimeout: 8 * time.Second,
			RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
		}), s.Activity, s.Args...)
	}
	executed := []string{}
	for i, f := range futures {
		var value json.RawMessage
		if f.Get(ctx, &value) == nil {
			executed = append(executed, steps[i].String())
		}
	}
	return executed, nil
}

// withWorker runs the attacker's worker while f runs.
func (t *target) withWorker(f func() error) error {
	w := worker.New(t.temporal, attackersQueue, worker.Options{})
	for _, name := range []string{"Order", "Charge", "Refund", "Recheck", "Reconcile"} {
		w.RegisterWorkflowWithOptions(obey, workflow.RegisterOptions{Name: name})
	}
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	return f()
}

// obeyed runs a workflow of the attacker's on his own queue, and returns the activities that were executed.
func (t *target) obeyed(ctx context.Context, kind, id string, steps []step) (executed []string, err error) {
	run, err := t.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: attackersQueue}, kind, steps)
	if err == nil {
		err = run.Get(ctx, &executed)
	}
	for i := range executed {
		executed[i] = kind + " " + id + ": " + executed[i]
	}
	return executed, err
}

func forgeFromWorkflows(ctx context.Context, t *target) (result, error) {
	victim, err := t.authorized(ctx, "acme", "victim of workflows")
	if err != nil {
		return result{}, err
	}
	var all []string
	var tried int
	err = t.withWorker(func() error {
		for kind, id := range map[string]string{"Order": "order-" + uuid.NewString(), "Charge": "charge/acme/another"} {
			var steps []step
			for _, queue := range queues {
				for _, s := range writes(victim, "workflows") {
					s.Queue = queue
					steps = append(steps, s)
				}
			}
			executed, err := t.obeyed(ctx, kind, id, steps)
			if err != nil {
				return err
			}
			all = append(all, executed...)
			tried += len(steps)
		}
		return nil
	})
	if err != nil {
		return result{}, err
	}
	return t.verdictOfForgery(ctx, victim, "workflows", tried, all)
}

// calls are calls to the processor about the victims: a payment that is authorized, and one that was captured.
func calls(authorized, captured payment.Charge) []step {
	const queue = "processor-simulator"
	key := payment.ProcessorKey
	newID := payment.PaymentID("acme", "never begun")
	refundID := payment.RefundID("acme", "never reserved")
	return []step{
		{queue, "ProcessorCharge", []any{object{
			"key": key(newID, payment.OperationCharge, 0), "payment_id": newID, "merchant_id": "acme", "amount": 1250, "currency": "USD",
			"payment_method": "tok_visa", "capture": "automatic",
		}}},
		{queue, "ProcessorCharge", []any{object{ // the victim, once more
			"key": uuid.NewString(), "payment_id": captured.PaymentID, "merchant_id": "acme", "amount": 1250, "currency": "USD",
			"payment_method": "tok_visa", "capture": "automatic",
		}}},
		{queue, "ProcessorCapture", []any{object{
			"key": key(authorized.PaymentID, payment.OperationCapture, 0), "payment_id": authorized.PaymentID,
			"processor_payment_id": authorized.ProcessorPaymentID, "amount": 1250, "currency": "USD",
		}}},
		{queue, "ProcessorVoid", []any{object{
			"key": key(authorized.PaymentID, payment.OperationVoid, 0), "payment_id": authorized.PaymentID,
			"processor_payment_id": authorized.ProcessorPaymentID,
		}}},
		{queue, "ProcessorRefund", []any{object{
			"key": key(refundID, payment.OperationRefund, 0), "refund_id": refundID, "merchant_id": "acme",
			"processor_payment_id": captured.ProcessorPaymentID, "amount": 1250, "currency": "USD",
		}}},
		{queue, "ProcessorLookup", []any{object{
			"operation": "charge", "reference": key(captured.PaymentID, payment.OperationCharge, 0), "id": captured.ProcessorPaymentID,
		}}},
	}
}

// victims makes an authorized and a captured payment.
func (t *target) victims(ctx context.Context, name string) (authorized, captured payment.Charge, err error) {
	name += " " + uuid.NewString()
	if authorized, err = t.authorized(ctx, "acme", "authorized victim of "+name); err != nil {
		return authorized, captured, err
	}
	captured, err = t.succeeded(ctx, "acme", "captured victim of "+name)
	return authorized, captured, err
}

func callStandalone(ctx context.Context, t *target) (result, error) {
	authorized, captured, err := t.victims(ctx, "standalone calls")
	if err != nil {
		return result{}, err
	}
	steps := calls(authorized, captured)
	var executed []string
	unmoved, err := t.unmoved(ctx, func() (err error) {
		executed, err = t.executed(ctx, steps)
		return err
	})
	return verdictOfCalls(unmoved, len(steps), executed, err)
}

func verdictOfCalls(unmoved bool, tried int, executed []string, err error) (result, error) {
	switch {
	case err != nil:
		return result{}, err
	case !unmoved || len(executed) > 0:
		return succeeded("executed %v; money moved: %t", executed, !unmoved), nil
	default:
		return repelled("none of %d was executed, and the ledger is as it was", tried), nil
	}
}

func callFromWorkflows(ctx context.Context, t *target) (result, error) {
	authorized, captured, err := t.victims(ctx, "workflow calls")
	if err != nil {
		return result{}, err
	}
	var executed []string
	var tried int
	unmoved, err := t.unmoved(ctx, func() error {
		return t.withWorker(func() error {
			for _, as := range []struct{ kind, id string }{
				{"Order", "order-" + uuid.NewString()},
				{"Order", "charge/acme/of another type"},
				{"Charge", "charge/acme/another payment"},
				{"Charge", "recheck/charge/acme/" + captured.IdempotencyKey},
				{"Charge", "/charge/acme/" + authorized.IdempotencyKey},
				{"Charge", "charge/acme//" + authorized.IdempotencyKey},
				{"Charge", "CHARGE/acme/" + authorized.IdempotencyKey},
				{"Charge", "charge/acme/" + authorized.IdempotencyKey + "/"},
				{"Charge", "refund/acme/never reserved"},
				{"Refund", "refund/acme/another refund"},
				{"Refund", "charge/acme/never begun"},
				{"Recheck", "recheck/charge/acme/another payment"},
				{"Recheck", "charge/acme/never begun"},
				{"Recheck", "recheck/recheck/charge/acme/never begun"},
			} {
				done, err := t.obeyed(ctx, as.kind, as.id, calls(authorized, captured))
				if err != nil {
					return err
				}
				executed = append(executed, done...)
				tried += len(calls(authorized, captured))
			}
			return nil
		})
	})
	return verdictOfCalls(unmoved, tried, executed, err)
}

// foreignIDs begins one payment under several workflow IDs: each would charge, capture and void on its own.
func foreignIDs(ctx context.Context, t *target) (result, error) {
	victim, err := t.authorized(ctx, "acme", "one payment")
	if err != nil {
		return result{}, err
	}
	req := manual(chargeOf("acme", "one payment", "tok_visa"))
	ids := []string{
		"order-1", "charge/globex/one payment", "charge/acme/another", "CHARGE/acme/one payment", "charge/acme/one payment ",
		"charge/acme//one payment", "refund/acme/one payment", "recheck/charge/acme/one payment", "charge/acme/one payment/2",
	}
	var mu sync.Mutex
	var believed []string
	unmoved, err := t.unmoved(ctx, func() error {
		return each(len(ids), func(i int) error {
			run, err := t.start(ctx, "Charge", ids[i], req)
			if err != nil {
				return err
			}
			ended, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			if err := run.Get(ended, nil); typeOf(err) == "" {
				mu.Lock()
				defer mu.Unlock()
				believed = append(believed, fmt.Sprintf("%s: %v", ids[i], err))
				_ = t.temporal.TerminateWorkflow(ctx, ids[i], "", "the attack is over") // it may have ended
			}
			return nil
		})
	})
	if err != nil {
		return result{}, err
	}
	now, _, err := t.stored(ctx, "acme", "one payment")
	if len(believed) > 0 || !unmoved || now.Status != victim.Status {
		return succeeded("%d of %d workflows were not refused: %v", len(believed), len(ids), believed), err
	}
	return repelled("all %d were refused", len(ids)), err
}

func refundOfAnotherMerchant(ctx context.Context, t *target) (result, error) {
	victim, err := t.succeeded(ctx, "acme", "not yours")
	if err != nil {
		return result{}, err
	}
	var refused []string
	unmoved, err := t.unmoved(ctx, func() error {
		for key, req := range map[string]object{
			"refund/globex/mine":  {"merchant_id": "globex", "idempotency_key": "mine", "payment_id": victim.PaymentID},
			"refund/globex/other": {"merchant_id": "acme", "idempotency_key": "other", "payment_id": victim.PaymentID},
			"refund/acme/more":    {"merchant_id": "acme", "idempotency_key": "more", "payment_id": victim.PaymentID, "amount": 1251},
			"refund/acme/minus":   {"merchant_id": "acme", "idempotency_key": "minus", "payment_id": victim.PaymentID, "amount": -1},
			"refund/acme/euros":   {"merchant_id": "acme", "idempotency_key": "euros", "payment_id": victim.PaymentID, "currency": "EUR"},
			"refund/acme/of it":   {"merchant_id": "acme", "idempotency_key": "of it", "payment_id": "pay_" + strings.Repeat("%", 36)},
		} {
			run, err := t.start(ctx, "Refund", key, req)
			if err != nil {
				return err
			}
			if err := run.Get(ctx, nil); typeOf(err) != "" {
				refused = append(refused, typeOf(err))
			}
		}
		return nil
	})
	if err == nil && (!unmoved || len(refused) < 6) {
		return succeeded("%d of 6 were refused; money moved: %t", len(refused), !unmoved), nil
	}
	return repelled("%v", refused), err
}

// foreignRecheck starts the workflow that everyone may start under an ID that belongs to another payment.
func foreignRecheck(ctx context.Context, t *target) (result, error) {
	victim, err := t.succeeded(ctx, "acme", "rechecked")
	if err != nil {
		return result{}, err
	}
	id := "recheck/charge/globex/mine"
	run, err := t.start(ctx, "Recheck", id, object{"merchant_id": "acme", "idempotency_key": victim.IdempotencyKey})
	if err != nil {
		return result{}, err
	}
	ended, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	_ = run.Get(ended, nil)
	history, err := t.history(ctx, id)
	if err != nil {
		return result{}, err
	}
	_ = t.temporal.TerminateWorkflow(ctx, id, "", "the attack is over") // it may have ended
	if strings.Contains(history, victim.ProcessorPaymentID+`\",\"amount`) || strings.Contains(history, `"found\":true`) {
		return succeeded("the record of the other payment is in its history"), nil
	}
	return repelled("nothing was looked up for it"), nil
}

// undecodable starts workflows with what is no request, and requires that the worker still makes payments afterwards.
func undecodable(ctx context.Context, t *target) (result, error) {
	deep := any(object{})
	for range 2000 {
		deep = object{"metadata": deep}
	}
	for name, args := range map[string][]any{
		"nothing": {}, "null": {nil}, "a text": {"charge"}, "a list": {[]any{1, 2}}, "bytes": {[]byte("\xff\x00")}, "deep": {deep},
		"two": {chargeOf("acme", "two", "tok_visa").with(object{"amount": "1250"}), object{}}, "huge": {object{"description": strings.Repeat("A", 1<<20)}},
		"fraction": {object{"amount": 12.5}}, "overflow": {object{"amount": 1e300}},
	} {
		run, err := t.start(ctx, "Charge", chargeID("acme", "undecodable "+name), args...)
		if err != nil {
			return result{}, err
		}
		var c payment.Charge
		if err := run.Get(ctx, &c); err == nil {
			return succeeded("%s: became a payment that is %s", name, c.Status), nil
		}
	}
	if _, err := t.succeeded(ctx, "acme", "after undecodable ones"); err != nil {
		return succeeded("the next payment does not succeed: %v", err), ctx.Err()
	}
	return repelled("all fail, and the next payment succeeds"), nil
}

func forgedSignals(ctx context.Context, t *target) (result, error) {
	victim, err := t.authorized(ctx, "acme", "signaled")
	if err != nil {
		return result{}, err
	}
	id := chargeID("acme", "signaled")
	for i := range 30 {
		for _, arg := range []any{object{"id": fmt.Sprintf("evt_%d", i), "type": "payment.succeeded"}, []byte("\xff"), "text", 5, nil} {
			if err := t.temporal.SignalWorkflow(ctx, id, "", "processor-event", arg); err != nil {
				return result{}, err
			}
		}
	}
	if err := t.temporal.SignalWorkflow(ctx, id, "", "capture", object{"amount": 1}); err != nil {
		return result{}, err
	}
	now, _, err := t.stored(ctx, "acme", "signaled")
	if err != nil {
		return result{}, err
	}
	if now.Status != victim.Status {
		return succeeded("the payment is %s", now.Status), nil
	}
	var captured payment.Charge
	if err := t.update(ctx, id, uuid.NewString(), "capture", &captured, object{}); err != nil || captured.Status != payment.Succeeded {
		return succeeded("the payment cannot be captured any more: %s %v", captured.Status, err), ctx.Err()
	}
	return repelled("it stayed authorized, and its capture succeeds"), nil
}

func absurdCaptures(ctx context.Context, t *target) (result, error) {
	if _, err := t.authorized(ctx, "acme", "absurd"); err != nil {
		return result{}, err
	}
	var refused []string
	unmoved, err := t.unmoved(ctx, func() error {
		for _, req := range []object{
			{"amount": 1251}, {"amount": 0}, {"amount": -1}, {"amount": 1, "currency": "EUR"}, {"amount": 1, "currency": "usd"}, {"amount": 9e18},
		} {
			var c payment.Charge
			if err := t.update(ctx, chargeID("acme", "absurd"), uuid.NewString(), "capture", &c, req); err != nil {
				refused = append(refused, typeOf(err))
			}
		}
		return nil
	})
	if err == nil && (!unmoved || len(refused) != 6) {
		return succeeded("refused only %v; money moved: %t", refused, !unmoved), nil
	}
	return repelled("%v", refused), err
}

func anotherRequest(ctx context.Context, t *target) (result, error) {
	if _, err := t.succeeded(ctx, "acme", "used"); err != nil {
		return result{}, err
	}
	var got []string
	unmoved, err := t.unmoved(ctx, func() error {
		for _, other := range []object{{"amount": 1251}, {"payment_method": "tok_success"}, {"processor": "patient"}, {"capture": "manual"}} {
			run, err := t.temporal.ExecuteWorkflow(ctx, t.duplicate(chargeID("acme", "used")), "Charge",
				chargeOf("acme", "used", "tok_visa").with(other))
			if err != nil {
				return err
			}
			got = append(got, typeOf(run.Get(ctx, nil)))
		}
		return nil
	})
	for _, kind := range got {
		if kind != "IdempotencyMismatch" {
			return succeeded("answered %v", got), err
		}
	}
	if err == nil && !unmoved {
		return succeeded("money moved"), nil
	}
	return repelled("%v", got), err
}

// strangeIDs starts workflows with another client of gRPC than the SDK's, which does not send IDs with such characters.
func strangeIDs(ctx context.Context, t *target) (result, error) {
	conn, err := grpc.NewClient(t.address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return result{}, err
	}
	defer conn.Close()
	service := workflowservice.NewWorkflowServiceClient(conn)
	started := 0
	for i, text := range []string{"\x1b[2J", "\u202eevil", "a\r\nb", "\u2028", "\x00", "\u00e9"} {
		req := chargeOf("acme", "strange "+text, "tok_visa")
		input, err := converter.GetDefaultDataConverter().ToPayloads(req)
		if err != nil {
			return result{}, err
		}
		_, err = service.StartWorkflowExecution(ctx, &workflowservice.StartWorkflowExecutionRequest{
			Namespace: client.DefaultNamespace, WorkflowId: chargeID("acme", "strange "+text), RequestId: uuid.NewString(), Input: input,
			WorkflowType: &common.WorkflowType{Name: "Charge"}, TaskQueue: &taskqueue.TaskQueue{Name: "payments"},
		})
		if err != nil && status.Code(err) != codes.InvalidArgument {
			return result{}, fmt.Errorf("ID %d: %w", i, err)
		}
		if err == nil {
			started++
		}
	}
	settle(ctx)
	if _, err := t.succeeded(ctx, "acme", "after strange ones"); err != nil {
		return succeeded("the next payment does not succeed: %v", err), ctx.Err()
	}
	if found := unprintable(t.worker.log()); found != "" {
		return succeeded("the worker's log has %s", found), nil
	}
	return repelled("Temporal has taken %d of 6; the next payment succeeds, and the log is clean", started), nil
}
