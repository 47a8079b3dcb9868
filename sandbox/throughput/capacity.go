package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/postgrestest"
	"github.com/florinpay/florin/payment"
)

// settle is how long after the last charge everything is measured: PostgreSQL counts what an idle connection did after ten seconds.
const settle = 12 * time.Second

// The processors of the worker: one simulator, whose calls are made in different ways.
const (
	inlineProcessor = "simulator"
	queuedProcessor = "queued"
	// unstableProcessor loses responses, more than the circuit breaker would let pass.
	unstableProcessor = "unstable"
)

// capacityCommand measures what a charge costs on PostgreSQL.
func capacityCommand() *cobra.Command {
	var s size
	cmd := &cobra.Command{
		Use:   "capacity",
		Short: "Measure what a charge costs: CPU time, history, rows, bytes and actions, on PostgreSQL",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := &testbed{}
			return errors.Join(capacity(cmd.Context(), cmd.OutOrStdout(), b, s), b.close())
		},
	}
	cmd.Flags().IntVar(&s.rounds, "rounds", 3, "number of measured rounds of each kind of charge")
	cmd.Flags().IntVar(&s.charges, "charges", 200, "number of charges of each kind in a round")
	cmd.Flags().IntVar(&s.concurrency, "concurrency", 8, "number of concurrent charges")
	return cmd
}

// kind is one kind of charge.
type kind struct {
	name, processor, token string
	synchronous            bool
}

// concurrently returns how many times more charges are made at once: those that wait most of the time take long.
func (k kind) concurrently() int {
	if k.processor == unstableProcessor {
		return 5
	}
	return 1
}

// The kinds, by their index.
const (
	inlineStarted = iota
	inlineCharged
	queuedStarted
	queuedCharged
	resent
	lookedUp
)

var kinds = []kind{
	inlineStarted: {name: "inline, StartCharge", processor: inlineProcessor, token: "tok_visa"},
	inlineCharged: {name: "inline, Charge", processor: inlineProcessor, token: "tok_visa", synchronous: true},
	queuedStarted: {name: "queued, StartCharge", processor: queuedProcessor, token: "tok_visa"},
	queuedCharged: {name: "queued, Charge", processor: queuedProcessor, token: "tok_visa", synchronous: true},
	resent:        {name: "response lost, resent, Charge", processor: unstableProcessor, token: "tok_500_once_after_charge", synchronous: true}, //nolint:gosec // a test token
	lookedUp:      {name: "response lost, looked up, Charge", processor: unstableProcessor, token: "tok_500_after_charge", synchronous: true},   //nolint:gosec // a test token
}

// spent is what has been used so far, or for one charge, or in one second.
type spent struct {
	worker, temporal, temporalDatabase, database time.Duration
	onTemporal, onStore                          written
}

// written is what a PostgreSQL server has written.
type written struct {
	rows, transactions, log, disk float64 // log and disk in bytes
}

func (w written) plus(o written, times float64) written {
	return written{
		rows: w.rows + o.rows*times, transactions: w.transactions + o.transactions*times, log: w.log + o.log*times, disk: w.disk + o.disk*times,
	}
}

// plus adds o, which counts so many times.
func (s spent) plus(o spent, times float64) spent {
	add := func(a, b time.Duration) time.Duration { return a + time.Duration(float64(b)*times) }
	return spent{
		worker: add(s.worker, o.worker), temporal: add(s.temporal, o.temporal),
		temporalDatabase: add(s.temporalDatabase, o.temporalDatabase), database: add(s.database, o.database),
		onTemporal: s.onTemporal.plus(o.onTemporal, times), onStore: s.onStore.plus(o.onStore, times),
	}
}

func (s spent) times(factor float64) spent { return spent{}.plus(s, factor) }

// system is what is measured.
type system struct {
	*testbed
	client         client.Client
	worker         *workerProcess
	temporal, self *pgx.Conn // to the database of Temporal, and to that of the store
}

func capacity(ctx context.Context, out io.Writer, b *testbed, s size) error {
	if s.rounds < 1 || s.charges < 1 || s.concurrency < 1 {
		return errors.New("want at least one round, charge and concurrent charge")
	}
	on, err := b.openSystem(ctx)
	if err != nil {
		return err
	}
	variants := make([]variant, len(kinds))
	for i, k := range kinds {
		req := request()
		req.Processor, req.PaymentMethod = k.processor, k.token
		variants[i] = requestVariant(k.name, on.client, k.synchronous, req, payment.Succeeded)
		if _, _, err := batch(ctx, variants[i], fmt.Sprintf("warm-up-%d", i), s.charges, s.concurrency*k.concurrently()); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	if err := wait(ctx, settle); err != nil { // the last charges must not count as idle
		return err
	}
	idle, err := on.spend(ctx, func() error { return wait(ctx, settle) })
	if err != nil {
		return err
	}
	idle.perSecond.onStore.disk, idle.perSecond.onTemporal.disk = 0, 0 // files grow in steps, and stay
	totals, samples := make([]spent, len(kinds)), make([][]string, len(kinds))
	for round := range s.rounds {
		for i := range kinds {
			k := (round + i) % len(kinds)
			charged, err := on.spend(ctx, func() error {
				_, sample, err := batch(ctx, variants[k], fmt.Sprintf("round-%d-%d", round, k), s.charges,
					s.concurrency*kinds[k].concurrently())
				samples[k] = append(samples[k], sample)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", kinds[k].name, err)
			}
			totals[k] = totals[k].plus(charged.perSecond, charged.seconds).plus(idle.perSecond, -charged.seconds)
		}
		fmt.Fprintf(out, "round %d of %d\n", round+1, s.rounds)
	}
	for k := range totals {
		totals[k] = totals[k].times(1 / float64(s.rounds*s.charges))
	}
	return on.report(ctx, out, idle.perSecond, totals, samples)
}

// openSystem starts Temporal and a worker, each with a PostgreSQL server of its own.
func (b *testbed) openSystem(ctx context.Context) (on *system, err error) {
	if err := b.open(ctx, true); err != nil {
		return nil, err
	}
	const namespace = "florin-capacity"
	on = &system{testbed: b}
	database, err := b.postgres(ctx)
	if err != nil {
		return nil, err
	}
	c, err := b.settings(namespace, config.Inline, config.Config{Store: database})
	if err != nil {
		return nil, err
	}
	p := c.Processors[inlineProcessor]
	p.Breaker.MinCalls = 1 << 30
	c.Processors[unstableProcessor] = p
	p = c.Processors[inlineProcessor]
	p.FirstAttempt = config.Queued
	c.Processors[queuedProcessor] = p
	if c, err = c.Complete(app.BuiltIn); err != nil {
		return nil, err
	}
	if on.worker, err = b.startWorker(ctx, namespace, c); err != nil {
		return nil, err
	}
	if on.client, err = b.dialAsFlorin(ctx, namespace, client.Options{}); err != nil {
		return nil, err
	}
	for _, each := range []struct {
		conn    **pgx.Conn
		cluster *postgrestest.Cluster
	}{{&on.temporal, b.temporalDatabase}, {&on.self, b.database}} {
		conn, err := pgx.Connect(ctx, each.cluster.DSN())
		if err != nil {
			return nil, err
		}
		b.onClose(func() error { return conn.Close(context.WithoutCancel(ctx)) })
		*each.conn = conn
	}
	return on, nil
}

// rate is what is used in a second, over a time.
type rate struct {
	perSecond spent
	seconds   float64
}

// spend returns what is used while do runs, and until everything has settled after it.
func (s *system) spend(ctx context.Context, do func() error) (r rate, err error) {
	before, err := s.measure(ctx)
	if err != nil {
		return r, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return r, err
	}
	if err := wait(ctx, settle); err != nil {
		return r, err
	}
	after, err := s.measure(ctx)
	if err != nil {
		return r, err
	}
	r.seconds = time.Since(began).Seconds()
	r.perSecond = after.plus(before, -1).times(1 / r.seconds)
	return r, nil
}

// wait returns after d, or with the error of ctx.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// measure returns what has been used so far.
func (s *system) measure(ctx context.Context) (used spent, err error) {
	worker, err := s.worker.usage(ctx, false)
	if err != nil {
		return used, err
	}
	used.worker = worker.CPU
	if used.temporal, err = s.testbed.temporal.cpu(); err != nil {
		return used, err
	}
	if used.temporalDatabase, err = s.temporalDatabase.CPU(); err != nil {
		return used, err
	}
	if used.database, err = s.testbed.database.CPU(); err != nil {
		return used, err
	}
	if used.onTemporal, err = writtenBy(ctx, s.temporal); err != nil {
		return used, err
	}
	used.onStore, err = writtenBy(ctx, s.self)
	return used, err
}

// writtenBy returns what a server has written since its start.
func writtenBy(ctx context.Context, conn *pgx.Conn) (w written, err error) {
	err = conn.QueryRow(ctx, `SELECT sum(tup_inserted + tup_updated + tup_deleted)::float8, sum(xact_commit)::float8,
			pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8,
			(SELECT sum(pg_database_size(oid)) FROM pg_database)::float8
		FROM pg_stat_database`).Scan(&w.rows, &w.transactions, &w.log, &w.disk)
	return w, err
}

// connections returns how many connections to a server are open, without conn.
func connections(ctx context.Context, conn *pgx.Conn) (n int, err error) {
	err = conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()").Scan(&n)
	return n, err
}

// report prints what a charge of each kind costs, and a last line that a script can parse.
func (s *system) report(ctx context.Context, out io.Writer, idle spent, perCharge []spent, samples [][]string) error {
	costs := make([]cost, len(kinds))
	for k := range kinds {
		for i, sample := range samples[k] {
			c, err := costOf(ctx, s.client, sample)
			if err != nil {
				return err
			}
			// On a machine that is too busy, a workflow task times out now and then, which is three more events.
			if i == 0 || c.events < costs[k].events {
				costs[k] = c
			}
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\nfor one charge\tevents\thistory bytes\tactions\tCPU ms: worker\tTemporal\tits database\tstore\t")
	for k := range kinds {
		c, used := costs[k], perCharge[k]
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t\n", kinds[k].name, c.events, c.bytes, c.actions, used.formatCPU())
	}
	fmt.Fprintf(table, "idle, in a second\t\t\t\t%s\t\n", idle.formatCPU())
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(table, "\nfor one charge\tTemporal: rows\ttransactions\tlog bytes\tdisk bytes\tstore: rows\ttransactions\tlog bytes\tdisk bytes\t")
	for k := range kinds {
		fmt.Fprintf(table, "%s\t%s\t%s\t\n", kinds[k].name, perCharge[k].onTemporal, perCharge[k].onStore)
	}
	fmt.Fprintf(table, "idle, in a second\t%s\t%s\t\n", idle.onTemporal, idle.onStore)
	if err := table.Flush(); err != nil {
		return err
	}
	ofTemporal, err := connections(ctx, s.temporal)
	if err != nil {
		return err
	}
	ofWorker, err := connections(ctx, s.self)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "connections: %d of Temporal, %d of the worker\n\n", ofTemporal, ofWorker)
	last := func(name string, k int) string {
		return fmt.Sprintf("%s_worker_ms=%.1f %s_temporal_ms=%.1f", name, milliseconds(perCharge[k].worker), name, milliseconds(perCharge[k].temporal))
	}
	_, err = fmt.Fprintf(out, "capacity: %s %s %s history_bytes=%d store_bytes=%.0f events=%d actions=%d\n",
		last("inline", inlineStarted), last("queued", queuedStarted), last("lost", lookedUp),
		costs[inlineStarted].bytes, perCharge[inlineStarted].onStore.disk, costs[inlineStarted].events, costs[inlineStarted].actions)
	return err
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// formatCPU formats the CPU times as cells of a table.
func (s spent) formatCPU() string {
	return fmt.Sprintf("%.1f\t%.1f\t%.1f\t%.1f",
		milliseconds(s.worker), milliseconds(s.temporal), milliseconds(s.temporalDatabase), milliseconds(s.database))
}

// String formats what was written as cells of a table.
func (w written) String() string {
	return fmt.Sprintf("%.1f\t%.1f\t%.0f\t%.0f", w.rows, w.transactions, w.log, w.disk)
}
