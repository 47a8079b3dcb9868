package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/payment"
)

// firstCharges is how many charges have been made when the heap is measured that others are compared with.
const firstCharges = 1000

// maxHeapRatio and maxHeapBeyond are what the garbage collector leaves, and what is allocated once. A leak of 100 bytes for each charge
// exceeds maxHeapRatio after 100,000 charges.
const (
	maxHeapRatio  = 1.3
	maxHeapBeyond = 1024 // bytes for each payment
)

// memoryColumns is the format of a line of the table. Each is printed when it is measured: all of them take an hour.
const memoryColumns = "%10v%14v%13v   %s\n"

// betweenMeasurements is how many charges are made from one line of the table to the next.
const betweenMeasurements = 20_000

// held is what is measured.
type held struct {
	charges, waiting, concurrency, memoryMB int
	// profiles is a directory for heap profiles; empty: none.
	profiles string
}

// memoryCommand measures whether a worker's memory grows with what it has done, and what payments cost that wait.
func memoryCommand() *cobra.Command {
	var h held
	var temporalOnPostgres bool
	cmd := &cobra.Command{
		Use:   "memory",
		Short: "Measure a worker's memory after many charges, and with many payments that wait for a capture",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := &testbed{}
			return errors.Join(memory(cmd.Context(), cmd.OutOrStdout(), b, h, temporalOnPostgres), b.close())
		},
	}
	cmd.Flags().IntVar(&h.charges, "charges", 100_000, "number of charges after which the heap is compared with that after 1000")
	cmd.Flags().IntVar(&h.waiting, "waiting", 10_000, "number of payments that wait, more than fit into the worker's cache")
	cmd.Flags().IntVar(&h.memoryMB, "memory-mb", 128, "worker.memory_mb, which determines the size of the cache")
	cmd.Flags().IntVar(&h.concurrency, "concurrency", 16, "number of concurrent charges")
	cmd.Flags().StringVar(&h.profiles, "profile", "", "directory for heap profiles of the worker")
	cmd.Flags().BoolVar(&temporalOnPostgres, "temporal-on-postgres", false,
		"run Temporal on PostgreSQL instead of in memory, where it needs 130 KB for each charge")
	return cmd
}

// memoryRun is one run of the command.
type memoryRun struct {
	held
	out      io.Writer
	temporal client.Client
	worker   *workerProcess
	// cached is how many workflows the worker keeps.
	cached int
}

func memory(ctx context.Context, out io.Writer, b *testbed, h held, temporalOnPostgres bool) error {
	m := memoryRun{held: h, out: out, cached: app.CachedWorkflows(int64(h.memoryMB) << 20)}
	if h.charges < firstCharges || h.waiting < m.cached*3/2 {
		return fmt.Errorf("%d charges and %d waiting payments: want at least %d, and at least %d, half more than fit into the cache",
			h.charges, h.waiting, firstCharges, m.cached*3/2)
	}
	if err := b.open(ctx, temporalOnPostgres); err != nil {
		return err
	}
	const namespace = "florin-memory"
	c, err := b.settings(namespace, config.Inline, config.Config{Store: b.sqlite(namespace), Worker: config.Worker{MemoryMB: h.memoryMB}})
	if err != nil {
		return err
	}
	if m.worker, err = b.startWorker(ctx, namespace, c); err != nil {
		return err
	}
	if m.temporal, err = b.dialAsFlorin(ctx, namespace, client.Options{}); err != nil {
		return err
	}
	fmt.Fprintf(out, memoryColumns, "heap KB", "resident KB", "goroutines", "after")
	return m.run(ctx)
}

func (m *memoryRun) run(ctx context.Context) error {
	charges := requestVariant("charges", m.temporal, true, request(), payment.Succeeded)
	first, err := m.after(ctx, charges, "charge-first", firstCharges, fmt.Sprintf("%d charges", firstCharges))
	if err != nil {
		return err
	}
	all := first
	for made := firstCharges; made < m.charges; {
		until := min(made-made%betweenMeasurements+betweenMeasurements, m.charges)
		if all, err = m.after(ctx, charges, fmt.Sprintf("charge-%d", made), until-made, fmt.Sprintf("%d charges", until)); err != nil {
			return err
		}
		made = until
	}
	authorize := request()
	authorize.Capture = payment.CaptureManual
	waiting := requestVariant("waiting", m.temporal, true, authorize, payment.Authorized)
	full, err := m.after(ctx, waiting, "cold", m.cached, fmt.Sprintf("%d payments wait, as many as the cache holds", m.cached))
	if err != nil {
		return err
	}
	beyond, err := m.after(ctx, waiting, "warm", m.waiting-m.cached, fmt.Sprintf("%d payments wait", m.waiting))
	if err != nil {
		return err
	}
	if err := m.captures(ctx); err != nil {
		return err
	}
	difference := func(of, to usage) int64 { return int64(of.Heap) - int64(to.Heap) }
	ratio := float64(all.Heap) / float64(first.Heap)
	// Pollers and connections come and go, a few at a time.
	goroutines := max(beyond.Goroutines-full.Goroutines, 0) / (m.waiting - m.cached)
	fmt.Fprintf(m.out, "cache: %d workflows, each with %.1f goroutines; heap beyond it: %d bytes for each payment\n\n", m.cached,
		float64(full.Goroutines-all.Goroutines)/float64(m.cached), difference(beyond, full)/int64(m.waiting-m.cached))
	fmt.Fprintf(m.out, "memory: charges=%d heap_ratio=%.2f waiting=%d bytes_per_cached=%d goroutines_beyond_cache=%d\n",
		m.charges, ratio, m.waiting, difference(full, all)/int64(m.cached), goroutines)
	if ratio > maxHeapRatio || goroutines > 0 || difference(beyond, full) > maxHeapBeyond*int64(m.waiting-m.cached) {
		return errors.New("the worker's memory grows: --profile DIR writes heap profiles")
	}
	return nil
}

// after makes n charges and then measures the worker.
func (m *memoryRun) after(ctx context.Context, v variant, name string, n int, title string) (u usage, err error) {
	if _, _, err := batch(ctx, v, name, n, m.concurrency); err != nil {
		return u, fmt.Errorf("%s: %w", title, err)
	}
	if u, err = m.settled(ctx); err != nil {
		return u, err
	}
	fmt.Fprintf(m.out, memoryColumns, u.Heap>>10, u.Resident>>10, u.Goroutines, title)
	if m.profiles == "" {
		return u, nil
	}
	return u, m.worker.profile(ctx, filepath.Join(m.profiles, fmt.Sprintf("%s-%d.pb.gz", name, n)))
}

// settled returns the smallest of several measurements: what ends with the last charge takes a moment.
func (m *memoryRun) settled(ctx context.Context) (least usage, err error) {
	for i := range 10 {
		u, err := m.worker.usage(ctx, true)
		if err != nil {
			return u, err
		}
		if i == 0 {
			least = u
		}
		least.Heap, least.Goroutines, least.Resident = min(least.Heap, u.Heap), min(least.Goroutines, u.Goroutines), u.Resident
		if err := wait(ctx, 300*time.Millisecond); err != nil {
			return least, err
		}
	}
	return least, nil
}

// captures compares captures of payments that are in the cache with captures of others, in turn.
func (m *memoryRun) captures(ctx context.Context) error {
	payments := florin.NewClient(m.temporal, florin.Options{})
	capture := func(key string) (time.Duration, error) {
		began := time.Now()
		c, err := payments.Capture(ctx, "acme", key, payment.CaptureRequest{})
		if err == nil && c.Status != payment.Succeeded {
			err = fmt.Errorf("the payment is %s: want succeeded", c.Status)
		}
		return time.Since(began), err
	}
	var cold, warm []time.Duration
	for i := range min(200, m.cached/4) {
		for key, times := range map[string]*[]time.Duration{
			fmt.Sprintf("cold-%d", i): &cold, fmt.Sprintf("warm-%d", m.waiting-m.cached-1-i): &warm,
		} {
			took, err := capture(key)
			if err != nil {
				return fmt.Errorf("capture of %s: %w", key, err)
			}
			*times = append(*times, took)
		}
	}
	slices.Sort(cold)
	slices.Sort(warm)
	middle := len(cold) / 2
	fmt.Fprintf(m.out, "capture, p50: %s in the cache, %s not in it\n", warm[middle].Round(100*time.Microsecond), cold[middle].Round(100*time.Microsecond))
	return nil
}
