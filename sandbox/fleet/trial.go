package main

import (
	"context"
	"fmt"
	"time"

	"github.com/florinpay/florin/payment"
)

const (
	// settle is how long the shares need to follow a change.
	settle = 2 * time.Second
	// leaseOver is after how long the share of a dead or frozen worker has passed to the others: its lease of 6 s, and some renewals.
	leaseOver = 9 * time.Second
	// within is what a move of the demand, a pause and the end of a pause may take.
	within = 2 * time.Second
	// enough is the part of the limit that has to be used while all workers are healthy.
	enough = 0.95
)

// trial is one run of all steps, and what was measured in them.
type trial struct {
	*system
	// used is the lowest part of the limit that was used while all workers were healthy.
	used float64
	// moved, paused and resumed are the longest times until these had an effect.
	moved, paused, resumed time.Duration
	// lowered has the arrivals while an operator's lower rate applied, which was loweredTo.
	lowered   []arrival
	loweredTo float64
	problems  []string
}

func (t *trial) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.problems = append(t.problems, text)
	fmt.Println("problem:", text)
}

// run executes the steps one after the other.
func (t *trial) run(ctx context.Context) error {
	t.used = 1
	measured := 10 * time.Second
	if t.short {
		measured = 4 * time.Second
	}
	workers := []string{"a", "b", "c", "d"}
	for _, name := range workers {
		if err := t.start(ctx, name); err != nil {
			return err
		}
	}
	high := 3 * t.limit
	steps := []struct {
		name string
		do   func() error
	}{
		{"four workers with three times the demand", func() error {
			t.demand(all(high/4, workers...))
			return t.measure(ctx, settle, measured)
		}},
		{"a fifth worker", func() error {
			workers = append(workers, "e")
			if err := t.start(ctx, "e"); err != nil {
				return err
			}
			t.demand(all(high/5, workers...))
			return t.measure(ctx, settle, measured)
		}},
		{"one killed with SIGKILL", func() error {
			workers = workers[1:]
			if err := t.workers["a"].Kill(); err != nil {
				return err
			}
			return t.measure(ctx, leaseOver, measured)
		}},
		{"one frozen, and thawed after its lease", func() error {
			if err := t.workers["b"].Freeze(); err != nil {
				return err
			}
			if err := t.measure(ctx, leaseOver, measured); err != nil {
				return err
			}
			if err := t.workers["b"].Thaw(); err != nil {
				return err
			}
			return t.measure(ctx, settle, measured)
		}},
		{"the demand moves from worker to worker", func() error {
			for _, name := range []string{"c", "d", "c"} {
				began := time.Now()
				t.demand(all(high, name))
				if err := t.awaitMove(ctx, name, began); err != nil {
					return err
				}
				if err := t.measure(ctx, settle, measured); err != nil {
					return err
				}
			}
			return nil
		}},
		{"paused and resumed", func() error {
			t.demand(all(high/4, workers...))
			if err := t.pass(ctx, settle); err != nil {
				return err
			}
			return t.pause(ctx)
		}},
		{"an operator's lower rate", func() error { return t.lower(ctx, measured) }},
	}
	if !t.short {
		steps = append(steps, struct {
			name string
			do   func() error
		}{"the database hangs for longer than a lease", func() error {
			locked := make(chan error, 1)
			go func() { locked <- t.lock(ctx, leaseOver) }()
			if err := t.measure(ctx, 0, leaseOver); err != nil {
				return err
			}
			if err := <-locked; err != nil {
				return err
			}
			return t.measure(ctx, settle, measured)
		}})
	}
	for _, step := range steps {
		fmt.Println("fleet:", step.name)
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return t.stopWorkers(ctx, workers)
}

// pass lets time pass.
func (t *trial) pass(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// measure lets the shares settle, and then measures which part of the limit is used.
func (t *trial) measure(ctx context.Context, settle, d time.Duration) error {
	if err := t.pass(ctx, settle); err != nil {
		return err
	}
	from := time.Now()
	if err := t.pass(ctx, d); err != nil {
		return err
	}
	used := float64(len(t.arrivals.between(from, from.Add(d)))) / d.Seconds() / t.limit
	fmt.Printf("  used %.3f\n", used)
	if t.used = min(t.used, used); used < enough {
		t.problem("only %.3f of the limit was used, want %.2f", used, enough)
	}
	return nil
}

// awaitMove waits until a worker uses nearly all of the limit: within the half second after the time that it returns.
func (t *trial) awaitMove(ctx context.Context, worker string, began time.Time) error {
	const window = 500 * time.Millisecond
	for ; time.Since(began) < 3*within; _ = t.pass(ctx, 10*time.Millisecond) {
		if now := time.Now(); float64(charges(t.arrivals.between(now.Add(-window), now), worker)) >= 0.9*t.limit*window.Seconds() {
			took := max(now.Sub(began)-window, 0)
			fmt.Printf("  moved to %s in %s\n", worker, took.Round(10*time.Millisecond))
			if t.moved = max(t.moved, took); took > within {
				t.problem("the demand moved in %s", took)
			}
			return ctx.Err()
		}
	}
	t.problem("the share of %s did not follow its demand", worker)
	return ctx.Err()
}

// pause pauses the processor for some seconds, and measures when the last charge and the first one after it arrive.
func (t *trial) pause(ctx context.Context) error {
	from := time.Now()
	if err := t.control(ctx, payment.ControlPause, 0); err != nil {
		return err
	}
	if err := t.pass(ctx, 3*within); err != nil {
		return err
	}
	to := time.Now()
	during := t.arrivals.between(from, to)
	for _, one := range during {
		if one.charge {
			t.paused = max(t.paused, one.at.Sub(from))
		}
	}
	lookups := 0
	for _, one := range during {
		if !one.charge && one.at.Sub(from) > within {
			lookups++
		}
	}
	if err := t.control(ctx, payment.ControlResume, 0); err != nil {
		return err
	}
	if err := t.pass(ctx, 2*within); err != nil {
		return err
	}
	t.resumed = 2 * within
	for _, one := range t.arrivals.between(to, time.Now()) {
		if one.charge {
			t.resumed = one.at.Sub(to)
			break
		}
	}
	fmt.Printf("  paused in %s, %d lookups meanwhile, resumed in %s\n", t.paused.Round(10*time.Millisecond), lookups, t.resumed.Round(10*time.Millisecond))
	if t.paused > within || t.resumed > within || lookups == 0 {
		t.problem("want both within %s, and lookups meanwhile", within)
	}
	return nil
}

// lower sets half of the rate for some time, as an operator does.
func (t *trial) lower(ctx context.Context, d time.Duration) error {
	t.loweredTo = t.limit / 2
	if err := t.control(ctx, payment.ControlRate, t.loweredTo); err != nil {
		return err
	}
	if err := t.pass(ctx, within); err != nil {
		return err
	}
	from := time.Now()
	if err := t.pass(ctx, d); err != nil {
		return err
	}
	t.lowered = t.arrivals.between(from, time.Now())
	if err := t.control(ctx, payment.ControlRate, 0); err != nil {
		return err
	}
	return t.measure(ctx, settle, d)
}

// stopWorkers stops the workers, which give their shares back.
func (t *trial) stopWorkers(ctx context.Context, workers []string) error {
	for _, name := range workers {
		if err := t.workers[name].Stop(); err != nil {
			return err
		}
	}
	left, err := t.shares(ctx)
	if err == nil && len(left) > 0 {
		t.problem("the workers %v have not given their shares back", left)
	}
	return err
}

// report prints the result, and reports whether all goals were reached.
func (t *trial) report() bool {
	highest, violations := busiestSecond(t.arrivals.all, t.limit+float64(t.burst))
	inLowered, more := busiestSecond(t.lowered, t.loweredTo+float64(t.burst))
	fmt.Printf("fleet: at most %d calls in a second while an operator's rate of %g applied\n", inLowered, t.loweredTo)
	violations += more
	fmt.Printf("fleet: limit=%g burst=%d max_in_any_second=%d used=%.2f moved_in=%.1fs paused_in=%.1fs resumed_in=%.1fs problems=%d violations=%d\n",
		t.limit, t.burst, highest, t.used, t.moved.Seconds(), t.paused.Seconds(), t.resumed.Seconds(), len(t.problems), violations)
	return violations == 0 && len(t.problems) == 0
}
