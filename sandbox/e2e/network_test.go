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
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/books"
	"github.com/florinpay/florin/sandbox/environment"
)

// Each cell of the matrix makes networkEach charges and networkEach refunds concurrently. networkSync of each use the blocking
// calls Charge and Refund, the others StartCharge and StartRefund.
const (
	networkSync  = 8
	networkAsync = 4
	networkEach  = networkSync + networkAsync
)

// networkFault is a fault of the network between the worker and the processor. The matrix has each fault twice: on requests
// and on responses.
type networkFault struct {
	name string
	// toxics are Toxiproxy's faults, in the order in which the bytes pass through them. Without toxics the fault is a cut:
	// all connections are closed, and new ones are refused for a while.
	toxics []toxic
	// The fault affects between fewest and most connections; later connections have none. 24 calls start at once: the rest
	// is for their retries and, if the number is large, for lookups.
	fewest, most int
	// slow is set for a fault under which every call succeeds, but takes at least this long. All other faults make the
	// outcome of calls unknown.
	slow time.Duration
}

// toxic is one of Toxiproxy's faults.
type toxic struct {
	kind       string // Toxiproxy's type
	attributes map[string]any
}

// The toxics are tuned to the calls: requests of about 1.7 kB, responses of about 1.4 kB, and an HTTP timeout of 1.2 s.
var networkFaults = []networkFault{
	{name: "latency with jitter", toxics: []toxic{{kind: "latency", attributes: map[string]any{"latency": 1500, "jitter": 400}}},
		fewest: 50, most: 80},
	{name: "reset_peer", toxics: []toxic{{kind: "reset_peer", attributes: map[string]any{"timeout": 0}}}, fewest: 60, most: 130},
	{name: "timeout", toxics: []toxic{{kind: "timeout", attributes: map[string]any{"timeout": 0}}}, fewest: 40, most: 65},
	{name: "slicer", toxics: []toxic{
		{kind: "slicer", attributes: map[string]any{"average_size": 128, "size_variation": 32, "delay": 20_000}},
	}, fewest: 24, most: 40, slow: 100 * time.Millisecond},
	{name: "limit_data in the headers", toxics: []toxic{{kind: "limit_data", attributes: map[string]any{"bytes": 100}}},
		fewest: 60, most: 130},
	{name: "limit_data in the body", toxics: []toxic{{kind: "limit_data", attributes: map[string]any{"bytes": 900}}},
		fewest: 40, most: 100},
	{name: "limit_data and slow_close", toxics: []toxic{
		{kind: "limit_data", attributes: map[string]any{"bytes": 900}},
		{kind: "slow_close", attributes: map[string]any{"delay": 500}},
	}, fewest: 40, most: 80},
	{name: "bandwidth", toxics: []toxic{{kind: "bandwidth", attributes: map[string]any{"rate": 1}}}, fewest: 40, most: 70},
	// Downstream, the responses are held back until the cut.
	{name: "cut", fewest: 2 * networkEach, most: 2 * networkEach},
}

// networkCell is one fault in one direction. It has a processor and a merchant of its own, both with the cell's name.
type networkCell struct {
	fault networkFault
	// direction is Toxiproxy's: upstream affects requests, downstream responses.
	direction stream.Direction
	// faulty is the number of connections that the fault affects.
	faulty int
	name   string
	proxy  *networkProxy

	// The reported outcomes. paid are the charges that the refunds are for; they were made without the fault.
	paid, charges []payment.Charge
	refunds       []payment.Refund
}

func TestReportedOutcomesMatchTheLedgerUnderNetworkFaults(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var cells []*networkCell
	for _, f := range networkFaults {
		for _, direction := range []stream.Direction{stream.Upstream, stream.Downstream} {
			cell := &networkCell{fault: f, direction: direction, faulty: f.fewest + random.IntN(f.most-f.fewest+1)}
			cell.name = strings.ReplaceAll(f.name, " ", "_") + "-" + direction.String()
			cells = append(cells, cell)
		}
	}
	// Each cell has a processor of its own, so that cells run concurrently. All share one ledger.
	env := start(t, environment.Options{Tune: func(c *config.Config) {
		for _, cell := range cells {
			p := c.Processors[environment.ProcessorName]
			cell.proxy = startProxy(t, strings.TrimPrefix(p.BaseURL, "http://"), cell)
			p.BaseURL = "http://" + cell.proxy.address
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

	// Requests that timed out may still be delayed in a toxic. Let them arrive at the ledger before it is read.
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
			stats := cell.stats(calls)
			charges := fmt.Sprintf("%d/%d", cell.chargesWith(payment.Succeeded), networkEach)
			refunds := fmt.Sprintf("%d/%d", cell.refundsWith(payment.Succeeded), networkEach)
			table = append(table, fmt.Sprintf("%-26s %-10s %-11d %-8s %-8s %-8d %-10d %d", cell.fault.name, cell.direction,
				cell.proxy.faultyConns(), charges, refunds, stats.retried, stats.lookedUp, len(violations)))
			require.Empty(t, violations)
			cell.requireEnded(ctx, t, env)
			cell.requireFaults(t, stats)
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

// run makes the charges to refund without the fault, and then charges and refunds with it.
func (c *networkCell) run(ctx context.Context, env *environment.Environment) error {
	if err := c.pay(ctx, env); err != nil {
		return err
	}
	c.proxy.arm(c.faulty)
	if len(c.fault.toxics) > 0 {
		return c.chargeAndRefund(ctx, env)
	}
	var group errgroup.Group
	reached := c.refusedBoth
	if c.direction == stream.Upstream {
		// Connections are refused from the start.
		c.proxy.cut()
	} else {
		// Requests arrive, and the responses are held back until the cut.
		reached = c.executedBoth
	}
	group.Go(func() error { return c.chargeAndRefund(ctx, env) })
	if err := poll(ctx, 10*time.Millisecond, func() (bool, error) { return reached(ctx, env) }); err != nil {
		return errors.Join(err, group.Wait())
	}
	c.proxy.cut()
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	err := poll(ctx, 5*time.Millisecond, func() (bool, error) { return c.proxy.restore() == nil, nil })
	return errors.Join(err, group.Wait())
}

// pay makes the charges that are refunded later.
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

// chargeAndRefund makes all charges and refunds concurrently and records their outcomes.
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
				c.charges[i], err = awaitOutcome(ctx, c.name, req.IdempotencyKey, env.Florin.Wait, env.Florin.Get)
			}
			return err
		})
		group.Go(func() (err error) {
			amount := int64(500 + i)
			req := payment.RefundRequest{
				MerchantID: c.name, IdempotencyKey: fmt.Sprintf("back-%d", i), PaymentID: c.paid[i].PaymentID,
				Amount: &amount, Metadata: padding,
			}
			if i < networkSync {
				c.refunds[i], err = env.Florin.Refund(ctx, req)
			} else {
				_, err = env.Florin.StartRefund(ctx, req)
			}
			if err == nil && !c.refunds[i].Status.Final() {
				c.refunds[i], err = awaitOutcome(ctx, c.name, req.IdempotencyKey, env.Florin.WaitRefund, env.Florin.GetRefund)
			}
			return err
		})
	}
	return group.Wait()
}

// padding makes requests and responses long enough to be slowed down and to be cut in the middle.
var padding = map[string]string{"note": strings.Repeat("n", 500), "remark": strings.Repeat("r", 500)}

func (c *networkCell) chargeRequest(key string) payment.ChargeRequest {
	req := charge(key, "tok_visa")
	req.MerchantID, req.Processor, req.Metadata = c.name, c.name, padding
	return req
}

// awaitOutcome waits up to 30 s for the outcome of a workflow. After that it returns the current state: the workflow of a
// payment that needs reconciliation does not end by itself.
func awaitOutcome[T any](ctx context.Context, merchant, key string, wait, get func(ctx context.Context, merchant, key string) (T, error)) (T, error) {
	waitCtx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	value, err := wait(waitCtx, merchant, key)
	if (errors.Is(err, florin.ErrOutcomePending) || errors.Is(err, florin.ErrNoWorker)) && ctx.Err() == nil {
		return again(ctx, func() (T, error) { return get(ctx, merchant, key) })
	}
	return value, err
}

// poll calls done at the interval until it returns true or an error, or ctx ends.
func poll(ctx context.Context, interval time.Duration, done func() (bool, error)) error {
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// own returns the part of the ledger that is the cell's.
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

// executedBoth reports whether the processor has executed at least one charge and one refund since pay.
func (c *networkCell) executedBoth(ctx context.Context, env *environment.Environment) (bool, error) {
	ledger, err := env.Simulator.Ledger(ctx)
	own := c.own(ledger)
	return len(own.Payments) > networkEach && len(own.Refunds) > 0, err
}

// refusedBoth reports whether at least one charge and one refund had its connection refused. It reads the audit log, the
// only trace of a refused connection.
func (c *networkCell) refusedBoth(_ context.Context, env *environment.Environment) (bool, error) {
	calls, err := readCalls(env.Config.Audit.Path)
	refused := map[string]bool{}
	for _, call := range calls {
		refused[call.Operation] = refused[call.Operation] || call.Processor == c.name && c.affected(call)
	}
	return refused[string(payment.OperationCharge)] && refused[string(payment.OperationRefund)], err
}

// violations returns the differences between the reported outcomes and the ledger, and the keys that were executed twice.
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
			found = append(found, fmt.Sprintf("key %s was executed %d times, want once", reference, times))
		}
	}
	return found
}

// chargesWith counts the cell's charges with a status.
func (c *networkCell) chargesWith(status payment.Status) (n int) {
	for _, charge := range c.charges {
		if charge.Status == status {
			n++
		}
	}
	return n
}

// refundsWith counts the cell's refunds with a status.
func (c *networkCell) refundsWith(status payment.Status) (n int) {
	for _, refund := range c.refunds {
		if refund.Status == status {
			n++
		}
	}
	return n
}

// requireEnded requires that each workflow has closed with the reported outcome. One whose payment needed reconciliation still runs, or
// has found the outcome since: Get reports an error for a payment that no workflow works on.
func (c *networkCell) requireEnded(ctx context.Context, t *testing.T, env *environment.Environment) {
	t.Helper()
	for _, reported := range c.charges {
		if reported.Status == payment.NeedsReconciliation {
			current, err := again(ctx, func() (payment.Charge, error) { return env.Florin.Get(ctx, c.name, reported.IdempotencyKey) })
			require.NoError(t, err)
			require.True(t, current.Status == payment.NeedsReconciliation || current.Final(), "%+v", current)
			continue
		}
		last, err := env.Florin.Wait(ctx, c.name, reported.IdempotencyKey)
		require.NoError(t, err)
		require.Equal(t, reported, last)
	}
	for _, reported := range c.refunds {
		if reported.Status == payment.NeedsReconciliation {
			current, err := again(ctx, func() (payment.Refund, error) { return env.Florin.GetRefund(ctx, c.name, reported.IdempotencyKey) })
			require.NoError(t, err)
			require.True(t, current.Status == payment.NeedsReconciliation || current.Final(), "%+v", current)
			continue
		}
		last, err := env.Florin.WaitRefund(ctx, c.name, reported.IdempotencyKey)
		require.NoError(t, err)
		require.Equal(t, reported, last)
	}
}

// networkCall is a record of the audit log.
type networkCall struct {
	Processor  string  `json:"processor"`
	Operation  string  `json:"operation"`
	KeyHash    string  `json:"key_hash"`
	Status     int     `json:"status"`
	Certainty  string  `json:"certainty"`
	DurationMS float64 `json:"duration_ms"`
}

// readCalls reads the audit log while workers append to it.
func readCalls(path string) (calls []networkCall, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(content) {
		var call networkCall
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // the worker is still writing this record
		}
		if err := json.Unmarshal(line, &call); err != nil {
			return nil, err
		}
		calls = append(calls, call)
	}
	return calls, nil
}

// networkStats are a cell's numbers from the audit log.
type networkStats struct {
	// charges and refunds count the operations with at least one call that the fault affected.
	charges, refunds int
	// retried counts the operations that were sent more than once, lookedUp those that were looked up.
	retried, lookedUp int
}

func (c *networkCell) stats(calls []networkCall) (stats networkStats) {
	type count struct{ affected, sent, lookedUp int }
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
		if c.affected(call) {
			n.affected++
		}
	}
	add := func(id string, operation payment.Operation) (affected int) {
		// As the audit log hashes idempotency keys.
		hash := sha256.Sum256([]byte(payment.ProcessorKey(id, operation, 0)))
		n := cmp.Or(counts[hex.EncodeToString(hash[:8])], &count{})
		if n.sent > 1 {
			stats.retried++
		}
		if n.lookedUp > 0 {
			stats.lookedUp++
		}
		return min(n.affected, 1)
	}
	for _, charge := range c.charges {
		stats.charges += add(charge.PaymentID, payment.OperationCharge)
	}
	for _, refund := range c.refunds {
		stats.refunds += add(refund.RefundID, payment.OperationRefund)
	}
	return stats
}

// affected reports whether a call shows the effect of the fault.
func (c *networkCell) affected(call networkCall) bool {
	switch {
	case c.fault.slow > 0:
		return call.DurationMS >= float64(c.fault.slow.Milliseconds())
	case len(c.fault.toxics) == 0 && c.direction == stream.Upstream:
		return call.Certainty == "not_executed"
	default:
		return call.Certainty == "ambiguous"
	}
}

// requireFaults requires that the fault had an effect on charges and on refunds.
func (c *networkCell) requireFaults(t *testing.T, stats networkStats) {
	t.Helper()
	require.NotZero(t, stats.charges, "charges that the fault affected")
	require.NotZero(t, stats.refunds, "refunds that the fault affected")
	if c.fault.slow == 0 {
		require.NotZero(t, stats.retried+stats.lookedUp, "operations that were retried or looked up")
	}
	switch {
	case len(c.fault.toxics) == 0:
	case c.fault.slow > 0:
		// Calls succeed and reuse connections, so that few connections are opened.
		require.NotZero(t, c.proxy.faultyConns(), "connections with the fault")
	default:
		require.GreaterOrEqual(t, c.proxy.faultyConns(), networkEach, "connections with the fault")
	}
}

// networkProxy is Toxiproxy in front of the processor. In place of Toxiproxy's own listener it has one that counts
// connections and gives the toxics only to a limited number of them. A connection keeps its toxics until it is closed.
type networkProxy struct {
	address, target string
	server          *toxiproxy.ApiServer
	clean, toxic    *toxiproxy.ToxicCollection

	mu       sync.Mutex
	listener net.Listener // nil while the network is cut
	// toFault is the number of connections that still get the toxics, faulty the number of those that got them.
	toFault, faulty int
	accepted        int
	conns           []net.Conn
}

// startProxy starts a proxy in front of target with the toxics of the cell. No connection gets them before arm.
func startProxy(t *testing.T, target string, cell *networkCell) *networkProxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &networkProxy{
		address: "127.0.0.1:0", target: target, server: server,
		clean: toxiproxy.NewProxy(server, cell.name, "", target).Toxics,
		toxic: toxiproxy.NewProxy(server, cell.name, "", target).Toxics,
	}
	toxics := cell.fault.toxics
	if len(toxics) == 0 && cell.direction == stream.Downstream {
		toxics = []toxic{{kind: "timeout", attributes: map[string]any{"timeout": 0}}}
	}
	for _, toxic := range toxics {
		definition, err := json.Marshal(map[string]any{
			"type": toxic.kind, "stream": cell.direction.String(), "toxicity": 1, "attributes": toxic.attributes,
		})
		require.NoError(t, err)
		_, err = p.toxic.AddToxicJson(strings.NewReader(string(definition)))
		require.NoError(t, err)
	}
	require.NoError(t, p.restore())
	t.Cleanup(p.cut)
	return p
}

// restore listens again after a cut. New connections get no toxics.
func (p *networkProxy) restore() error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", p.address)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.address, p.listener, p.toFault = listener.Addr().String(), listener, 0
	go p.serve(listener)
	return nil
}

func (p *networkProxy) serve(listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return // the listener was closed by cut
		}
		far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.target)
		if err != nil {
			_ = near.Close() // the processor has stopped
			continue
		}
		p.join(listener, near, far)
	}
}

// join connects near, the worker's connection, with far, the processor's, through the toxics if any are left to give.
func (p *networkProxy) join(listener net.Listener, near, far net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, near, far)
	if p.listener != listener {
		_, _ = near.Close(), far.Close() // cut since it was accepted
		return
	}
	toxics := p.clean
	if p.toFault > 0 {
		p.toFault--
		p.faulty++
		toxics = p.toxic
	}
	p.accepted++
	toxics.StartLink(p.server, fmt.Sprintf("%d-out", p.accepted), near, far, stream.Upstream)
	toxics.StartLink(p.server, fmt.Sprintf("%d-back", p.accepted), far, near, stream.Downstream)
}

// arm gives the toxics to the next n connections. It closes the existing ones, so that no call bypasses the fault.
func (p *networkProxy) arm(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.toFault = n
	p.closeConns()
}

// cut closes all connections and refuses new ones.
func (p *networkProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close() // closed only here
		p.listener = nil
	}
	p.closeConns()
}

func (p *networkProxy) closeConns() {
	for _, conn := range p.conns {
		_ = conn.Close() // most are closed already
	}
	p.conns = nil
}

// faultyConns returns the number of connections that got the toxics.
func (p *networkProxy) faultyConns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faulty
}
