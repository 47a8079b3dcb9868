package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/florinpay/florin/payment"
)

// Limits of a control, in characters.
const (
	maxControlBy     = 100
	maxControlReason = 500
)

const (
	controlColumns = "c.processor, c.paused, c.rate, c.changed_by, c.reason, c.revision, c.at"
	selectControl  = "SELECT " + controlColumns + " FROM processor_controls c WHERE c.processor = $1"
	updateControl  = `UPDATE processor_controls SET paused = $2, rate = $3, changed_by = $4, reason = $5, at = $6, revision = revision + 1
		WHERE processor = $1`
)

// scannedControl scans controlColumns.
type scannedControl struct {
	processor string
	rate      sql.NullFloat64
	payment.ProcessorControl
}

func (c *scannedControl) fields() []any {
	return []any{&c.processor, &c.Paused, &c.rate, &c.By, &c.Reason, &c.Revision, storedTime{&c.At}}
}

func (c *scannedControl) control() payment.ProcessorControl {
	c.PerSecond = c.rate.Float64
	return c.ProcessorControl
}

// ControlProcessor persists a change of the control of a processor, and returns the control. A change that is in force already, by the same
// operator for the same reason, changes nothing, so the call is safe to repeat. By and Reason are required, and cut to 100 and 500
// characters. ControlProcessor returns payment.ErrNotFound if no worker was ever configured with the processor, and ErrInvalid for an
// invalid change.
func (s *Store) ControlProcessor(ctx context.Context, change payment.ControlChange) (payment.ProcessorControl, error) {
	control, err := s.controlProcessor(ctx, change)
	return control, s.wrap(err, "%s processor %q", change.Action, change.Processor)
}

func (s *Store) controlProcessor(ctx context.Context, change payment.ControlChange) (control payment.ProcessorControl, err error) {
	if err := change.Validate(); err != nil {
		return control, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	err = s.transact(ctx, func(q querier) error {
		var stored scannedControl
		err := q.queryOne(ctx, selectControl+s.dialect.forUpdate, []any{change.Processor}, stored.fields()...)
		if errors.Is(err, sql.ErrNoRows) {
			return payment.ErrNotFound
		}
		if err != nil {
			return err
		}
		control = changed(stored.control(), change)
		if control == stored.control() {
			return nil
		}
		control.Revision++
		control.At = latest(time.Now().UTC().Truncate(time.Microsecond), control.At)
		return q.exec(ctx, updateControl, change.Processor, control.Paused, sql.NullFloat64{Float64: control.PerSecond, Valid: control.PerSecond > 0},
			control.By, control.Reason, formatTime(control.At))
	})
	return control, err
}

// changed returns the control after a change, without a new revision.
func changed(c payment.ProcessorControl, change payment.ControlChange) payment.ProcessorControl {
	switch change.Action {
	case payment.ControlPause:
		c.Paused = true
	case payment.ControlResume:
		c.Paused = false
	case payment.ControlRate:
		c.PerSecond = change.PerSecond
	}
	c.By, c.Reason = clean(change.By, maxControlBy), clean(change.Reason, maxControlReason)
	return c
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// ControlEvents returns all changes of the control of a processor, the oldest first.
func (s *Store) ControlEvents(ctx context.Context, processor string) (events []payment.ProcessorControl, err error) {
	err = s.read().queryEach(ctx, "SELECT "+controlColumns+" FROM processor_control_events c WHERE c.processor = $1 ORDER BY c.revision",
		[]any{processor}, func(row scanner) error {
			var event scannedControl
			err := row.Scan(event.fields()...)
			events = append(events, event.control())
			return err
		})
	return events, s.wrap(err, "read the control events of processor %q", processor)
}

// Rate is how many calls may be made.
type Rate struct {
	// PerSecond is in calls per second, Burst in calls at once.
	PerSecond float64
	Burst     int
}

// RateShare is the part of a processor's rate that one worker may use.
type RateShare struct {
	Worker string
	// Configured is what the worker's configuration allows all workers together. PerSecond 0: no limit.
	Configured Rate
	// Demand is how many calls the worker has to make, in calls per second.
	Demand float64
	// Held is reserved for the worker: it may use all of it until LeaseUntil.
	Held Rate
	// Renewal numbers the renewals of a worker. One that is persisted after a later one has no effect.
	Renewal int64
	// AppliedRevision is the revision of the control that the worker obeys.
	AppliedRevision int64
	// Since is when the worker began to renew the share without a gap. Since and LeaseUntil are by the clock of the database.
	Since, LeaseUntil time.Time
}

// ProcessorShares are the control of a processor and the shares in its rate.
type ProcessorShares struct {
	Processor string
	Control   payment.ProcessorControl
	// Now is the time by the clock of the database.
	Now time.Time
	// Shares are by worker. The lease of some may have ended: the workers have died, are frozen or cannot reach the store.
	Shares []RateShare
}

// keepEnded is how long the row of a worker is kept after its lease has ended, so that operators see that there was one.
const keepEnded = time.Hour

const (
	shareColumns = `s.worker, s.configured_rate, s.configured_burst, s.demand, s.rate, s.burst, s.renewals, s.applied_revision,
		s.since, s.lease_until`
	insertControl = "INSERT INTO processor_controls (processor, at) VALUES ($1, $2) ON CONFLICT DO NOTHING"
	insertShares  = `INSERT INTO rate_shares (processor, worker, configured_rate, configured_burst, demand, rate, burst, renewals,
		applied_revision, since, lease_until) VALUES `
	replaceShares = ` ON CONFLICT (processor, worker) DO UPDATE SET configured_rate = excluded.configured_rate,
		configured_burst = excluded.configured_burst, demand = excluded.demand, rate = excluded.rate, burst = excluded.burst,
		renewals = excluded.renewals, applied_revision = excluded.applied_revision, since = excluded.since,
		lease_until = excluded.lease_until WHERE rate_shares.renewals < excluded.renewals`
)

// RegisterProcessors makes the processors of a worker known, so that they can be controlled. It is safe to repeat.
func (s *Store) RegisterProcessors(ctx context.Context, processors []string) error {
	err := s.transact(ctx, func(q querier) error {
		for _, name := range slices.Sorted(slices.Values(processors)) {
			if err := q.exec(ctx, insertControl, name, formatTime(time.Now())); err != nil {
				return err
			}
		}
		return nil
	})
	return s.wrap(err, "register processors")
}

// RenewShares persists a worker's shares in the rates of registered processors. For each processor, renew decides the share from all
// shares that are persisted, and names the workers whose leases have ended and who hold nothing any more. The processors are locked meanwhile:
// of several workers, one after the other decides. renew must not block, and has to expect to be called again for the same processor.
//
// After an error, the shares may or may not have been persisted.
func (s *Store) RenewShares(ctx context.Context, processors []string, renew func(ProcessorShares) (own RateShare, ended []string)) error {
	names := slices.Sorted(slices.Values(processors))
	err := s.transact(ctx, func(q querier) error {
		if s.dialect.forUpdate != "" {
			var where conditions
			lock := "SELECT c.processor FROM processor_controls c WHERE c.processor IN (" + listed(&where, names) + ") ORDER BY c.processor"
			if err := q.exec(ctx, lock+s.dialect.forUpdate, where.args...); err != nil {
				return err
			}
		}
		all, err := q.processorShares(ctx, names)
		if err != nil {
			return err
		}
		var values conditions
		var rows []string
		for _, p := range all {
			own, ended := renew(p)
			if err := q.endShares(ctx, p, ended); err != nil {
				return err
			}
			rows = append(rows, "("+listed(&values, []any{p.Processor, own.Worker, own.Configured.PerSecond, own.Configured.Burst, own.Demand,
				own.Held.PerSecond, own.Held.Burst, own.Renewal, own.AppliedRevision, formatTime(own.Since), formatTime(own.LeaseUntil)})+")")
		}
		if len(rows) == 0 {
			return nil
		}
		return q.exec(ctx, insertShares+strings.Join(rows, ", ")+replaceShares, values.args...)
	})
	return s.wrap(err, "renew the shares in the rates of processors")
}

// endShares frees the shares of workers, and deletes those that were freed long ago.
func (q querier) endShares(ctx context.Context, p ProcessorShares, workers []string) error {
	for _, share := range p.Shares {
		statement := ""
		switch {
		case !slices.Contains(workers, share.Worker):
		case p.Now.Sub(share.LeaseUntil) > keepEnded:
			statement = "DELETE FROM rate_shares"
		case share.Held != Rate{}:
			statement = "UPDATE rate_shares SET rate = 0, burst = 0, demand = 0"
		}
		if statement == "" {
			continue
		}
		if err := q.exec(ctx, statement+" WHERE processor = $1 AND worker = $2", p.Processor, share.Worker); err != nil {
			return err
		}
	}
	return nil
}

// listed adds arguments and returns their placeholders.
func listed[T any](c *conditions, values []T) string {
	placeholders := make([]string, len(values))
	for i, value := range values {
		placeholders[i] = c.arg(value)
	}
	return strings.Join(placeholders, ", ")
}

// processorShares returns the state of the named processors, by name; of all if there are no names. It reads the clock of the database in
// the same statement.
func (q querier) processorShares(ctx context.Context, names []string) (all []ProcessorShares, err error) {
	var where conditions
	if len(names) > 0 {
		where.all = append(where.all, "c.processor IN ("+listed(&where, names)+")")
	}
	statement := "SELECT " + controlColumns + ", " + q.s.dialect.now + ", " + shareColumns +
		" FROM processor_controls c LEFT JOIN rate_shares s ON s.processor = c.processor " + where.clause() + " ORDER BY c.processor, s.worker"
	err = q.queryEach(ctx, statement, where.args, func(row scanner) error {
		var control scannedControl
		var now time.Time
		var share scannedShare
		if err := row.Scan(slices.Concat(control.fields(), []any{storedTime{&now}}, share.fields())...); err != nil {
			return err
		}
		if len(all) == 0 || all[len(all)-1].Processor != control.processor {
			all = append(all, ProcessorShares{Processor: control.processor, Control: control.control(), Now: now})
		}
		if last := &all[len(all)-1]; share.worker.Valid {
			last.Shares = append(last.Shares, share.share())
		}
		return nil
	})
	return all, err
}

// scannedShare scans shareColumns, which are NULL for a processor without shares.
type scannedShare struct {
	worker                       sql.NullString
	configuredRate, demand, rate sql.NullFloat64
	configuredBurst, burst       sql.NullInt64
	renewals, appliedRevision    sql.NullInt64
	since, leaseUntil            time.Time
}

func (s *scannedShare) fields() []any {
	return []any{&s.worker, &s.configuredRate, &s.configuredBurst, &s.demand, &s.rate, &s.burst, &s.renewals, &s.appliedRevision,
		storedTime{&s.since}, storedTime{&s.leaseUntil}}
}

func (s *scannedShare) share() RateShare {
	return RateShare{
		Worker: s.worker.String, Configured: Rate{s.configuredRate.Float64, int(s.configuredBurst.Int64)}, Demand: s.demand.Float64,
		Held: Rate{s.rate.Float64, int(s.burst.Int64)}, Renewal: s.renewals.Int64, AppliedRevision: s.appliedRevision.Int64,
		Since: s.since, LeaseUntil: s.leaseUntil,
	}
}

// ReleaseShares removes the shares of a worker that makes no more calls. It is safe to repeat.
func (s *Store) ReleaseShares(ctx context.Context, worker string) error {
	err := s.write(ctx, func(q querier) error { return q.exec(ctx, "DELETE FROM rate_shares WHERE worker = $1", worker) })
	return s.wrap(err, "release the shares of worker %q", worker)
}

// Processors returns the control of every known processor, and the shares in its rate, by name.
func (s *Store) Processors(ctx context.Context) ([]ProcessorShares, error) {
	all, err := s.read().processorShares(ctx, nil)
	return all, s.wrap(err, "list processors")
}
