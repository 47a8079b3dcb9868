package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/books"
	"github.com/florinpay/florin/sandbox/environment"
)

// In each cell of the matrix so many charges, and as many refunds, meet the fault at once: most are waited for, the
// others started and looked at later.
const (
	networkSync  = 8
	networkAsync = 4
	networkEach  = networkSync + networkAsync
)

// networkFault is what is done to the network between the worker and the processor. Each is a row of the matrix, once
// on the way out and once on the way back.
type networkFault struct {
	name string
	// toxics are the attributes of each toxic, by its type, in the order of the bytes through them. None is a cut.
	toxics []toxic
	// fewest and most connections that are poisoned; from then on the network is well. Beside the 24 calls that are
	// begun at once this leaves room for their repeats, and where it is large, for lookups.
	fewest, most int
	// slow is a fault under which every call gets through, but none faster than this. Any other fault loses calls.
	slow time.Duration
}

type toxic struct {
	kind       string
	attributes map[string]any
}

// A call of the matrix is some 1.7 kB out and 1.4 kB back, and may take 1.2 s.
var networkFaults = []networkFault{
	{name: "latency with jitter", toxics: []toxic{{"latency", map[string]any{"latency": 1500, "jitter": 400}}}, fewest: 50, most: 80},
	{name: "reset_peer", toxics: []toxic{{"reset_peer", map[string]any{"timeout": 0}}}, fewest: 60, most: 130},
	{name: "timeout", toxics: []toxic{{"timeout", map[string]any{"timeout": 0}}}, fewest: 40, most: 65},
	{name: "slicer", toxics: []toxic{{"slicer", map[string]any{"average_size": 128, "size_variation": 32, "delay": 20_000}}},
		fewest: 24, most: 40, slow: 100 * time.Millisecond},
	{name: "limit_data in the headers", toxics: []toxic{{"limit_data", map[string]any{"bytes": 100}}}, fewest: 60, most: 130},
	{name: "limit_data in the body", toxics: []toxic{{"limit_data", map[string]any{"bytes": 900}}}, fewest: 40, most: 100},
	{name: "limit_data and slow_close", toxics: []toxic{
		{"limit_data", map[string]any{"bytes": 900}}, {"slow_close", map[string]any{"delay": 500}},
	}, fewest: 40, most: 80},
	{name: "bandwidth", toxics: []toxic{{"bandwidth", map[string]any{"rate": 1}}}, fewest: 40, most: 70},
	// On the way back the connections hold their answers until they are cut.
	{name: "cut", fewest: 2 * networkEach, most: 2 * networkEach},
}

// networkCell is one fault in one direction, on a processor and with a merchant of its own, both of that name.
type networkCell struct {
	fault networkFault
	// direction is as Toxiproxy has it: upstream is the way out, downstream the way back.
	direction stream.Direction
	// poisoned is how many connections are.
	poisoned int
	name     string
	gate     *networkGate

	// What was reported: paid is what the refunds are of.
	paid, charges []payment.Charge
	refunds       []payment.Refund
}

func TestNetworkFaultsLoseNoMoney(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var cells []*networkCell
	for _, f := range networkFaults {
		for _, direction := range []stream.Direction{stream.Upstream, stream.Downstream} {
			cell := &networkCell{fault: f, direction: direction, poisoned: f.fewest + random.IntN(f.most-f.fewest+1)}
			cell.name = strings.ReplaceAll(f.name, " ", "_") + "-" + direction.String()
			cells = append(cells, cell)
		}
	}
	// A processor for each, so that the cells run side by side, on one ledger.
	env := start(t, environment.Options{Tune: func(c *app.Config) {
		for _, cell := range cells {
			p := c.Processors[environment.ProcessorName]
			cell.gate = openGate(t, strings.TrimPrefix(p.BaseURL, "http://"), cell)
			p.BaseURL = "http://" + cell.gate.address
			c.Processors[cell.name] = p
		}
	}})
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	var group errgroup.Group
	group.SetLimit(6)
	for _, cell := range cells {
		group.Go(func() error {
			if err := cell.run(ctx, env); err != nil {
				return fmt.Errorf("%s: %w", cell.name, err)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())

	// What a toxic still holds back of calls that were given up must not come to the ledger after it was read.
	timer := time.NewTimer(2 * time.Second)
	defer timer.Stop()
	<-timer.C
	ledger, err := env.Simulator.Ledger(ctx)
	require.NoError(t, err)
	calls, err := readCalls(env.Config.Audit.Path)
	require.NoError(t, err)
	table := []string{fmt.Sprintf("%-26s %-10s %-11s %-8s %-8s %-8s %-10s %s",
		"toxic", "direction", "connections", "charges", "refunds", "retried", "looked up", "violations")}
	for _, cell := range cells {
		t.Run(cell.fault.name+" "+cell.direction.String(), func(t *testing.T) {
			violations := cell.violations(ledger)
			told := cell.told(calls)
			table = append(table, fmt.Sprintf("%-26s %-10s %-11d %-8s %-8s %-8d %-10d %d",
				cell.fault.name, cell.direction, cell.gate.faulty(), fmt.Sprintf("%d/%d", cell.chargesThat(payment.Succeeded), networkEach),
				fmt.Sprintf("%d/%d", cell.refundsThat(payment.Succeeded), networkEach), told.retried, told.lookedUp, len(violations)))
			require.Empty(t, violations)
			cell.requireEnded(ctx, t, env)
			cell.requireFaults(t, told)
		})
	}
	var charges []payment.Charge
	var refunds []payment.Refund
	for _, cell := range cells {
		charges = append(append(charges, cell.paid...), cell.charges...)
		refunds = append(refunds, cell.refunds...)
	}
	requireLedgerMatches(t, env, charges, refunds)
	t.Log("\n" + strings.Join(table, "\n"))
}

// run pays in peace what is refunded later, and then charges and refunds through the fault.
func (c *networkCell) run(ctx context.Context, env *environment.Environment) error {
	if err := c.pay(ctx, env); err != nil {
		return err
	}
	c.gate.arm(c.poisoned)
	if len(c.fault.toxics) > 0 {
		return c.chargeAndRefund(ctx, env)
	}
	var group errgroup.Group
	happened := c.refusedBoth
	if c.direction == stream.Upstream {
		// Nobody listens when the calls are made.
		c.gate.cut()
	} else {
		// Answers are held back until the cut.
		happened = c.executedBoth
	}
	group.Go(func() error { return c.chargeAndRefund(ctx, env) })
	if err := every(ctx, 10*time.Millisecond, func() (bool, error) { return happened(ctx, env) }); err != nil {
		return errors.Join(err, group.Wait())
	}
	c.gate.cut()
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	err := every(ctx, 5*time.Millisecond, func() (bool, error) { return c.gate.restore() == nil, nil })
	return errors.Join(err, group.Wait())
}

func (c *networkCell) pay(ctx context.Context, env *environment.Environment) error {
	var group errgroup.Group
	c.paid = make([]payment.Charge, networkEach)
	for i := range c.paid {
		group.Go(func() (err error) {
			c.paid[i], err = env.Florin.Charge(ctx, c.chargeRequest(fmt.Sprintf("paid-%d", i)))
			if err == nil && c.paid[i].Status != payment.Succeeded {
				err = fmt.Errorf("paid-%d is %s: %s", i, c.paid[i].Status, c.paid[i].Failure)
			}
			return err
		})
	}
	return group.Wait()
}

func (c *networkCell) chargeAndRefund(ctx context.Context, env *environment.Environment) error {
	var group errgroup.Group
	c.charges, c.refunds = make([]payment.Charge, networkEach), make([]payment.Refund, networkEach)
	for i := range networkEach {
		group.Go(func() (err error) {
			req := c.chargeRequest(fmt.Sprintf("order-%d", i))
			if i < networkSync {
				c.charges[i], err = env.Florin.Charge(ctx, req)
			} else {
				_, err = env.Florin.StartCharge(ctx, req)
			}
			if err == nil && !c.charges[i].Status.Final() {
				c.charges[i], err = ended(ctx, c.name, req.IdempotencyKey, env.Florin.Wait, env.Florin.Get)
			}
			return err
		})
		group.Go(func() (err error) {
			amount := int64(500 + i)
			req := payment.RefundRequest{
				MerchantID: c.name, IdempotencyKey: fmt.Sprintf("back-%d", i), PaymentID: c.paid[i].PaymentID, Amount: &amount, Metadata: padding,
			}
			if i < networkSync {
				c.refunds[i], err = env.Florin.Refund(ctx, req)
			} else {
				_, err = env.Florin.StartRefund(ctx, req)
			}
			if err == nil && !c.refunds[i].Status.Final() {
				c.refunds[i], err = ended(ctx, c.name, req.IdempotencyKey, env.Florin.WaitRefund, env.Florin.GetRefund)
			}
			return err
		})
	}
	return group.Wait()
}

// padding makes calls and answers so long that they can be slow, and break off in the middle.
var padding = map[string]string{"note": strings.Repeat("n", 500), "remark": strings.Repeat("r", 500)}

func (c *networkCell) chargeRequest(key string) payment.ChargeRequest {
	req := charge(key, "tok_visa")
	req.MerchantID, req.Processor, req.Metadata = c.name, c.name, padding
	return req
}

// ended waits for the end of a workflow, but not for that of one that waits for a human.
func ended[T any](ctx context.Context, merchant, key string, wait, get func(ctx context.Context, merchant, key string) (T, error)) (T, error) {
	patience, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	value, err := wait(patience, merchant, key)
	if errors.Is(err, florin.ErrOutcomePending) && ctx.Err() == nil {
		return get(ctx, merchant, key)
	}
	return value, err
}

// every asks until it is true, fails, or the time of ctx is up.
func every(ctx context.Context, pause time.Duration, ask func() (bool, error)) error {
	ticks := time.NewTicker(pause)
	defer ticks.Stop()
	for {
		if ok, err := ask(); ok || err != nil {
			return err
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// own is the part of the ledger that the cell's requests are in.
func (c *networkCell) own(all simulator.Ledger) (own simulator.Ledger) {
	for _, p := range all.Payments {
		if p.Metadata["florin_merchant_id"] == c.name {
			own.Payments = append(own.Payments, p)
		}
	}
	for _, r := range all.Refunds {
		if r.Metadata["florin_merchant_id"] == c.name {
			own.Refunds = append(own.Refunds, r)
		}
	}
	return own
}

func (c *networkCell) executedBoth(ctx context.Context, env *environment.Environment) (bool, error) {
	ledger, err := env.Simulator.Ledger(ctx)
	own := c.own(ledger)
	return len(own.Payments) > networkEach && len(own.Refunds) > 0, err
}

// refusedBoth asks the audit log: a connection that is refused leaves no other trace.
func (c *networkCell) refusedBoth(_ context.Context, env *environment.Environment) (bool, error) {
	calls, err := readCalls(env.Config.Audit.Path)
	refused := map[string]bool{}
	for _, call := range calls {
		refused[call.Operation] = refused[call.Operation] || call.Processor == c.name && c.met(call)
	}
	return refused[string(payment.OperationCharge)] && refused[string(payment.OperationRefund)], err
}

// violations are what the two books do not agree on, and keys that were executed twice.
func (c *networkCell) violations(ledger simulator.Ledger) []string {
	own := c.own(ledger)
	found := books.Compare(append(append([]payment.Charge{}, c.paid...), c.charges...), c.refunds, own).Differences
	executed := map[string]int{}
	for _, p := range own.Payments {
		executed[p.Reference]++
	}
	for _, r := range own.Refunds {
		executed[r.Reference]++
	}
	for reference, times := range executed {
		if times > 1 {
			found = append(found, fmt.Sprintf("the key %s was executed %d times", reference, times))
		}
	}
	return found
}

func (c *networkCell) chargesThat(are payment.Status) (n int) {
	for _, charge := range c.charges {
		if charge.Status == are {
			n++
		}
	}
	return n
}

func (c *networkCell) refundsThat(are payment.Status) (n int) {
	for _, refund := range c.refunds {
		if refund.Status == are {
			n++
		}
	}
	return n
}

// requireEnded finds each workflow ended, with the result that was reported before, or waiting for a human.
func (c *networkCell) requireEnded(ctx context.Context, t *testing.T, env *environment.Environment) {
	t.Helper()
	for _, reported := range c.charges {
		if reported.Status == payment.NeedsReconciliation {
			requireRunning(ctx, t, env, payment.ChargeWorkflowID(c.name, reported.IdempotencyKey))
			continue
		}
		last, err := env.Florin.Wait(ctx, c.name, reported.IdempotencyKey)
		require.NoError(t, err)
		require.Equal(t, reported, last)
	}
	for _, reported := range c.refunds {
		if reported.Status == payment.NeedsReconciliation {
			requireRunning(ctx, t, env, payment.RefundWorkflowID(c.name, reported.IdempotencyKey))
			continue
		}
		last, err := env.Florin.WaitRefund(ctx, c.name, reported.IdempotencyKey)
		require.NoError(t, err)
		require.Equal(t, reported, last)
	}
}

func requireRunning(ctx context.Context, t *testing.T, env *environment.Environment, workflowID string) {
	t.Helper()
	d, err := env.Temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	require.NoError(t, err)
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, d.GetWorkflowExecutionInfo().GetStatus(), workflowID)
}

// networkCall is a line of the audit log.
type networkCall struct {
	Processor  string  `json:"processor"`
	Operation  string  `json:"operation"`
	KeyHash    string  `json:"key_hash"`
	Status     int     `json:"status"`
	Certainty  string  `json:"certainty"`
	DurationMS float64 `json:"duration_ms"`
}

func readCalls(path string) (calls []networkCall, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(content) {
		var call networkCall
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // being written
		}
		if err := json.Unmarshal(line, &call); err != nil {
			return nil, err
		}
		calls = append(calls, call)
	}
	return calls, nil
}

// networkTale is what the audit log tells of a cell.
type networkTale struct {
	// charges and refunds that met the fault: a call of theirs was lost or, where the fault is slow, took as long.
	charges, refunds int
	// retried were sent more than once, lookedUp asked for.
	retried, lookedUp int
}

func (c *networkCell) told(calls []networkCall) (tale networkTale) {
	type count struct{ met, sent, lookedUp int }
	counts := map[string]*count{}
	for _, call := range calls {
		if call.Processor != c.name {
			continue
		}
		n := counts[call.KeyHash]
		if n == nil {
			n = &count{}
			counts[call.KeyHash] = n
		}
		if call.Operation == "lookup" {
			n.lookedUp++
			continue
		}
		n.sent++
		if c.met(call) {
			n.met++
		}
	}
	sum := func(id string, operation payment.Operation) (met int) {
		// The hash is the audit log's.
		hash := sha256.Sum256([]byte(payment.ProcessorKey(id, operation, 0)))
		n := cmp.Or(counts[hex.EncodeToString(hash[:8])], &count{})
		if n.sent > 1 {
			tale.retried++
		}
		if n.lookedUp > 0 {
			tale.lookedUp++
		}
		return min(n.met, 1)
	}
	for _, charge := range c.charges {
		tale.charges += sum(charge.PaymentID, payment.OperationCharge)
	}
	for _, refund := range c.refunds {
		tale.refunds += sum(refund.RefundID, payment.OperationRefund)
	}
	return tale
}

// met holds for a call that shows the fault.
func (c *networkCell) met(call networkCall) bool {
	switch {
	case c.fault.slow > 0:
		return call.DurationMS >= float64(c.fault.slow.Milliseconds())
	case len(c.fault.toxics) == 0 && c.direction == stream.Upstream:
		return call.Certainty == "not_executed"
	default:
		return call.Certainty == "ambiguous"
	}
}

// requireFaults makes sure that the fault was there, for charges and for refunds.
func (c *networkCell) requireFaults(t *testing.T, told networkTale) {
	t.Helper()
	require.NotZero(t, told.charges, "charges met the fault")
	require.NotZero(t, told.refunds, "refunds met the fault")
	if c.fault.slow == 0 {
		require.NotZero(t, told.retried+told.lookedUp, "calls were retried or looked up")
	}
	switch {
	case len(c.fault.toxics) == 0:
	case c.fault.slow > 0:
		// A connection is free again for the next call.
		require.NotZero(t, c.gate.faulty(), "poisoned connections")
	default:
		require.GreaterOrEqual(t, c.gate.faulty(), networkEach, "poisoned connections")
	}
}

// networkGate is Toxiproxy before the processor, with one difference to its own listener: it counts connections, and only
// a given number of them gets the toxics. No toxic is ever taken off a connection that has it.
type networkGate struct {
	address, target string
	server          *toxiproxy.ApiServer
	clean, toxic    *toxiproxy.ToxicCollection

	mu       sync.Mutex
	listener net.Listener // nil: cut
	// poison is how many connections are still to get the toxics, poisoned how many got them.
	poison, poisoned int
	accepted         int
	conns            []net.Conn
}

// openGate listens before target with the toxics of the cell, which no connection gets yet.
func openGate(t *testing.T, target string, cell *networkCell) *networkGate {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	g := &networkGate{
		address: "127.0.0.1:0", target: target, server: server,
		clean: toxiproxy.NewProxy(server, cell.name, "", target).Toxics,
		toxic: toxiproxy.NewProxy(server, cell.name, "", target).Toxics,
	}
	toxics := cell.fault.toxics
	if len(toxics) == 0 && cell.direction == stream.Downstream {
		toxics = []toxic{{"timeout", map[string]any{"timeout": 0}}}
	}
	for _, toxic := range toxics {
		described, err := json.Marshal(map[string]any{
			"type": toxic.kind, "stream": cell.direction.String(), "toxicity": 1, "attributes": toxic.attributes,
		})
		require.NoError(t, err)
		_, err = g.toxic.AddToxicJson(strings.NewReader(string(described)))
		require.NoError(t, err)
	}
	require.NoError(t, g.restore())
	t.Cleanup(g.cut)
	return g
}

// restore listens, where nobody does since the cut, and poisons no more connections.
func (g *networkGate) restore() error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", g.address)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.address, g.listener, g.poison = listener.Addr().String(), listener, 0
	go g.serve(listener)
	return nil
}

func (g *networkGate) serve(listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return // cut
		}
		far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", g.target)
		if err != nil {
			_ = near.Close() // the processor has been stopped
			continue
		}
		g.join(listener, near, far)
	}
}

func (g *networkGate) join(listener net.Listener, near, far net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns = append(g.conns, near, far)
	if g.listener != listener {
		_, _ = near.Close(), far.Close() // cut meanwhile
		return
	}
	toxics := g.clean
	if g.poison > 0 {
		g.poison--
		g.poisoned++
		toxics = g.toxic
	}
	g.accepted++
	toxics.StartLink(g.server, fmt.Sprintf("%d-out", g.accepted), near, far, stream.Upstream)
	toxics.StartLink(g.server, fmt.Sprintf("%d-back", g.accepted), far, near, stream.Downstream)
}

// arm poisons the next n connections, and closes those at hand so that nothing passes by.
func (g *networkGate) arm(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.poison = n
	g.closeConns()
}

// cut closes all connections and refuses new ones.
func (g *networkGate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		_ = g.listener.Close() // nobody else closes it
		g.listener = nil
	}
	g.closeConns()
}

func (g *networkGate) closeConns() {
	for _, conn := range g.conns {
		_ = conn.Close() // most have been closed already
	}
	g.conns = nil
}

// faulty is how many connections got the toxics.
func (g *networkGate) faulty() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.poisoned
}
