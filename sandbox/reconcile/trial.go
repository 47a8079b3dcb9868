package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// trial is one run with one seed.
type trial struct {
	*system
	options
	seed    uint64
	planted map[string]bool
}

// newTrial starts the system with its payments and the planted differences. The caller must stop the returned trial, even after an error.
func newTrial(ctx context.Context, o options, seed uint64) (*trial, error) {
	random := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // it has to be repeatable
	pages := int64(o.payments/100) + 1
	t := &trial{options: o, seed: seed}
	var err error
	if t.system, err = startSystem(ctx, newGate(1+random.Int64N(pages)), newGate(1+random.Int64N(int64(3*o.each)))); err != nil {
		return t, err
	}
	began := time.Now()
	all := newCorpus(o.payments, random, time.Now())
	if err := fillLedger(ctx, t.simulator, all); err != nil {
		return t, err
	}
	if err := fillStore(ctx, t.file(), all); err != nil {
		return t, err
	}
	if t.planted, err = plant(ctx, t.simulator, all, random, o.each); err != nil {
		return t, err
	}
	fmt.Printf("reconcile: seed=%d: %d payments on both sides, %d differences planted, in %s\n",
		seed, len(all), len(t.planted), time.Since(began).Round(time.Millisecond))
	return t, t.worker.Start(ctx)
}

// run reconciles, while the worker is killed and the Temporal server restarted twice, and then once more beside live charges.
func (t *trial) run(ctx context.Context) error {
	began := time.Now()
	id, err := t.florin.Reconcile(ctx, processorName)
	if err != nil {
		return err
	}
	if err := t.interrupt(ctx, id, t.pages); err != nil {
		return fmt.Errorf("at page %d: %w", t.pages.holdAt, err)
	}
	if err := t.interrupt(ctx, id, t.lookups); err != nil {
		return fmt.Errorf("at lookup %d: %w", t.lookups.holdAt, err)
	}
	first, err := t.await(ctx, id)
	if err != nil {
		return err
	}
	fmt.Printf("reconcile: seed=%d: %d records listed, %d compared, %d looked up in %s, with SIGKILL and a restart of Temporal at page %d and at lookup %d\n",
		t.seed, first.Counts.Listed, first.Counts.Compared, first.Counts.Checked, time.Since(began).Round(time.Second), t.pages.holdAt, t.lookups.holdAt)
	found, err := t.findings(ctx)
	if err != nil {
		return err
	}
	if t.live > 0 {
		if err := t.measure(ctx); err != nil {
			return err
		}
	}
	again, err := t.findings(ctx)
	if err != nil {
		return err
	}
	for _, finding := range slices.Sorted(maps.Keys(again)) {
		if !found[finding] {
			fmt.Printf("reconcile: seed=%d: found only by a later reconciliation: %s\n", t.seed, finding)
		}
	}
	out, code, err := t.starter(ctx, "reconcile", "findings", "--processor", processorName)
	if err != nil {
		return err
	}
	if lines := strings.Count(out, "  div_"); code != 1 || lines != len(again) {
		return fmt.Errorf("starter reconcile findings: exit code %d and %d lines, want 1 and %d:\n%s", code, lines, len(again), out)
	}
	return t.report(again)
}

// interrupt kills the worker while a response is on its way, restarts the Temporal server, and starts another worker.
func (t *trial) interrupt(ctx context.Context, id string, at *gate) error {
	select {
	case <-at.held:
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(3 * time.Minute):
		state, err := t.florin.Reconciliation(ctx, id)
		return fmt.Errorf("there was no such request: %+v %w", state, err)
	}
	if err := t.worker.Kill(); err != nil {
		return err
	}
	close(at.release)
	if err := t.server.Kill(); err != nil {
		return err
	}
	if err := t.server.Start(ctx); err != nil {
		return err
	}
	return t.worker.Start(ctx)
}

// await waits for the end of a reconciliation, also while its worker is away.
func (t *trial) await(ctx context.Context, id string) (payment.Reconciliation, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	return t.florin.WaitReconciliation(ctx, id)
}

// findings returns all recorded divergences as "kind subject", with the id of the record if there is one.
func (t *trial) findings(ctx context.Context) (map[string]bool, error) {
	found := map[string]bool{}
	f := payment.DivergenceFilter{Processor: processorName, Limit: 500}
	for {
		page, err := t.store.Divergences(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Divergences {
			about := d.PaymentID
			if d.RefundID != "" {
				about = d.RefundID
			}
			found[strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", d.Kind, about, d.ProcessorRecordID)), " ")] = true
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return found, nil
		}
	}
}

// measure charges live, without and with a reconciliation, and prints how long the charges take.
func (t *trial) measure(ctx context.Context) error {
	// So that the second window has all payments again.
	if err := t.worker.Stop(); err != nil {
		return err
	}
	if err := t.configure("72h"); err != nil {
		return err
	}
	if err := t.worker.Start(ctx); err != nil {
		return err
	}
	// A worker that has just started has connections to open, and no share in the rate yet.
	if _, err := t.charges(ctx, "first"); err != nil {
		return err
	}
	alone, err := t.charges(ctx, "alone")
	if err != nil {
		return err
	}
	lists := t.pages.requests.Load()
	id, err := t.florin.Reconcile(ctx, processorName)
	if err != nil {
		return err
	}
	beside, err := t.charges(ctx, "beside")
	if err != nil {
		return err
	}
	r, err := t.await(ctx, id)
	if err != nil {
		return err
	}
	fmt.Printf("reconcile: seed=%d: live charges: p95 %s alone, %s beside a reconciliation of %d pages: ratio %.2f\n", t.seed,
		alone.Round(time.Millisecond), beside.Round(time.Millisecond), t.pages.requests.Load()-lists, float64(beside)/float64(alone))
	if !r.Complete {
		return fmt.Errorf("the reconciliation beside live charges is not complete: %s", r.Reason)
	}
	return nil
}

// charges makes live charges, 10 per second, and returns the 95th percentile of their durations.
func (t *trial) charges(ctx context.Context, name string) (time.Duration, error) {
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var all sync.WaitGroup
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := range t.live {
		<-tick.C
		all.Go(func() {
			began := time.Now()
			request := payment.ChargeRequest{
				MerchantID: "live", IdempotencyKey: fmt.Sprintf("%s-%d", name, n), Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
			}
			_, err := t.florin.Charge(ctx, request)
			for errors.Is(err, florin.ErrOutcomePending) && ctx.Err() == nil { // on a busy machine
				_, err = t.florin.Charge(ctx, request)
			}
			mu.Lock()
			defer mu.Unlock()
			if took = append(took, time.Since(began)); err != nil {
				failed = err
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took[len(took)*95/100], failed
}

// report prints what is missing and what is false, and the summary.
func (t *trial) report(found map[string]bool) error {
	hit, wrong := 0, 0
	for _, finding := range slices.Sorted(maps.Keys(t.planted)) {
		if found[finding] {
			hit++
		} else {
			fmt.Printf("reconcile: seed=%d: not found: %s\n", t.seed, finding)
		}
	}
	for _, finding := range slices.Sorted(maps.Keys(found)) {
		if !t.planted[finding] {
			wrong++
			fmt.Printf("reconcile: seed=%d: false: %s\n", t.seed, finding)
		}
	}
	fmt.Printf("reconcile: seed=%d payments=%d planted=%d found=%d false=%d\n", t.seed, t.payments, len(t.planted), hit, wrong)
	if hit != len(t.planted) || wrong > 0 {
		return errDiffers
	}
	return nil
}
