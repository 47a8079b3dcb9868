package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/server/common/dynamicconfig"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// load is what the merchants send, and what limits the processor.
type load struct {
	// flood is the number of charges of merchant A, floodPerSecond its rate.
	flood          int
	floodPerSecond float64
	// charges is the number of charges of merchant B.
	charges int
	// limit is in calls per second; 0: none.
	limit   float64
	calls   int
	latency time.Duration
	// patience is how long merchant B waits for an outcome.
	patience time.Duration
}

// measured are the p95 latencies of merchant B.
type measured struct{ unloaded, flooded time.Duration }

func (m measured) ratio() float64 { return float64(m.flooded) / float64(m.unloaded) }

func run(ctx context.Context, out io.Writer, l load, maxRatio float64) error {
	with, err := measure(ctx, out, l, true)
	if err != nil {
		return err
	}
	without, err := measure(ctx, out, l, false)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "fairness: charges_a=%d charges_b=%d unloaded_p95=%dms with=%dms (%.2f) without=%dms (%.2f)\n", l.flood, l.charges,
		with.unloaded.Milliseconds(), with.flooded.Milliseconds(), with.ratio(), without.flooded.Milliseconds(), without.ratio())
	if maxRatio > 0 && with.ratio() > maxRatio {
		return fmt.Errorf("with fairness, the p95 of merchant B is %.2f times the one without the flood: want at most %.2f", with.ratio(), maxRatio)
	}
	return nil
}

// measure makes the charges of both merchants on a new server, with or without its settings for fairness.
func measure(ctx context.Context, out io.Writer, l load, fair bool) (m measured, err error) {
	e, err := environment.Start(ctx, environment.Options{
		Simulator:      simulator.Options{Latency: simulator.LatencyRange{Min: l.latency, Max: l.latency}},
		Tune:           l.tune,
		TemporalConfig: map[dynamicconfig.Key]any{dynamicconfig.MatchingEnableFairness.Key(): fair},
	})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, e.Stop()) }()
	title := map[bool]string{true: "with fairness", false: "without"}[fair]

	// A client of its own, as that of a service: it starts nothing in the worker directly.
	options := client.Options{HostPort: fmt.Sprintf("127.0.0.1:%d", e.Ports.Temporal), Logger: app.TemporalLogger(zap.NewNop())}
	app.Uncompressed(&options)
	temporal, err := client.DialContext(ctx, options)
	if err != nil {
		return m, err
	}
	defer temporal.Close()
	service := florin.NewClient(temporal, florin.Options{})

	if _, err := oneByOne(ctx, service, l, "warm-up", 5); err != nil {
		return m, err
	}
	before, err := oneByOne(ctx, service, l, "unloaded", l.charges)
	if err != nil {
		return m, err
	}
	m.unloaded = p95(before)
	fmt.Fprintf(out, "%s: merchant B unloaded: p50 %s, p95 %s\n", title, p50(before).Round(time.Millisecond), m.unloaded.Round(time.Millisecond))

	flood := startFlood(ctx, service, l)
	during, err := others(ctx, service, l, func(i int) error {
		if i%10 == 9 {
			fmt.Fprintf(out, "%s: A has started %d, %s\n", title, flood.started.Load(), backlog(ctx, temporal))
		}
		return flood.wait(ctx, int64(l.flood)*int64(i+1)/int64(l.charges))
	})
	if err != nil {
		return m, errors.Join(err, flood.stop())
	}
	m.flooded = p95(during)
	fmt.Fprintf(out, "%s: merchant B in the flood: p50 %s, p95 %s; then %s\n", title, p50(during).Round(time.Millisecond), m.flooded.Round(time.Millisecond),
		backlog(ctx, temporal))
	ids := make([]string, l.charges)
	for i := range ids {
		ids[i] = payment.ChargeWorkflowID("b", fmt.Sprintf("flooded-%d", i))
	}
	return m, errors.Join(printStages(ctx, out, temporal, ids), flood.stop())
}

// tune gives the worker the limits of the processor, and the charges time to wait for them.
func (l load) tune(c *config.Config) {
	duration := func(d time.Duration) activities.Duration { return activities.Duration(d) }
	p := c.Processors[environment.ProcessorName]
	p.HTTPTimeout, p.StartToClose = duration(10*time.Second), duration(20*time.Second)
	p.ScheduleToClose, p.SendWithin = duration(6*time.Hour), duration(6*time.Hour)
	p.RateLimit = config.RateLimit{PerSecond: l.limit, Burst: 10, MaxWait: new(duration(2 * time.Second))}
	p.Retry.Initial, p.Retry.Max, p.Retry.LongestWait = duration(time.Second), duration(30*time.Second), duration(5*time.Minute)
	p.MaxConcurrentCalls = l.calls
	c.Processors[environment.ProcessorName] = p
	c.Worker.StopTimeout = duration(30 * time.Second)
}

// oneByOne makes n charges of merchant B, one after the other. It returns their latencies, sorted.
func oneByOne(ctx context.Context, service *florin.Client, l load, name string, n int) ([]time.Duration, error) {
	latencies := make([]time.Duration, n)
	for i := range latencies {
		var err error
		if latencies[i], err = charge(ctx, service, l, fmt.Sprintf("%s-%d", name, i)); err != nil {
			return nil, err
		}
	}
	slices.Sort(latencies)
	return latencies, nil
}

// others makes the charges of merchant B, one after each call of next, however long they take. It returns their latencies, sorted.
func others(ctx context.Context, service *florin.Client, l load, next func(i int) error) ([]time.Duration, error) {
	group, ctx := errgroup.WithContext(ctx)
	latencies := make([]time.Duration, l.charges)
	for i := range latencies {
		if err := next(i); err != nil {
			return nil, errors.Join(err, group.Wait())
		}
		group.Go(func() (err error) {
			latencies[i], err = charge(ctx, service, l, fmt.Sprintf("flooded-%d", i))
			return err
		})
	}
	err := group.Wait()
	slices.Sort(latencies)
	return latencies, err
}

// charge makes a charge of merchant B and returns how long it took. A charge without an outcome in time counts as that long.
func charge(ctx context.Context, service *florin.Client, l load, key string) (time.Duration, error) {
	limited, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	began := time.Now()
	c, err := service.Charge(limited, request("b", key))
	switch {
	case errors.Is(err, florin.ErrOutcomePending) && ctx.Err() == nil:
		return l.patience, nil
	case err != nil:
		return 0, err
	case c.Status != payment.Succeeded:
		return 0, fmt.Errorf("charge %s of merchant B is %s: want succeeded", key, c.Status)
	}
	return time.Since(began), nil
}

func request(merchant, key string) payment.ChargeRequest {
	return payment.ChargeRequest{MerchantID: merchant, IdempotencyKey: key, Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa"}
}

// flood are the charges of merchant A.
type flood struct {
	started atomic.Int64
	// progress has a value after each start.
	progress chan struct{}
	cancel   context.CancelFunc
	failed   chan error
}

// startFlood starts charges at their rate, until all are started or stop is called.
func startFlood(ctx context.Context, service *florin.Client, l load) *flood {
	ctx, cancel := context.WithCancel(ctx)
	f := &flood{progress: make(chan struct{}, 1), cancel: cancel, failed: make(chan error, 1)}
	go func() { f.failed <- f.run(ctx, service, l) }()
	return f
}

func (f *flood) run(ctx context.Context, service *florin.Client, l load) error {
	tick := time.NewTicker(time.Duration(float64(time.Second) / l.floodPerSecond))
	defer tick.Stop()
	failed := make(chan error, 1)
	slots := make(chan struct{}, 64)
	var group sync.WaitGroup
	defer group.Wait()
	for i := range l.flood {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-tick.C:
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if _, err := service.StartCharge(ctx, request("a", fmt.Sprintf("flood-%d", i))); err != nil {
				if ctx.Err() == nil {
					select {
					case failed <- fmt.Errorf("charge %d of merchant A: %w", i, err):
					default:
					}
				}
				return
			}
			f.started.Add(1)
			select {
			case f.progress <- struct{}{}:
			default:
			}
		})
	}
	return nil
}

// wait returns once n charges are started.
func (f *flood) wait(ctx context.Context, n int64) error {
	for f.started.Load() < n {
		select {
		case <-f.progress:
		case err := <-f.failed:
			f.failed <- err
			if err != nil {
				return err
			}
			if started := f.started.Load(); started < n {
				return fmt.Errorf("only %d charges of merchant A were started", started)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// stop stops the flood. What is started stays in the queues.
func (f *flood) stop() error {
	f.cancel()
	return <-f.failed
}

// backlog describes what waits in the task queues.
func backlog(ctx context.Context, temporal client.Client) string {
	waiting := func(queue string, kind enumspb.TaskQueueType) int64 {
		described, err := temporal.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
			Namespace: client.DefaultNamespace, TaskQueue: &taskqueuepb.TaskQueue{Name: queue}, TaskQueueType: kind, ReportStats: true,
		})
		if err != nil {
			return -1
		}
		return described.GetStats().GetApproximateBacklogCount()
	}
	return fmt.Sprintf("waiting: %d workflow tasks, %d calls",
		waiting(payment.TaskQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW),
		waiting(payment.ProcessorTaskQueue(environment.ProcessorName), enumspb.TASK_QUEUE_TYPE_ACTIVITY))
}

func p50(sorted []time.Duration) time.Duration { return sorted[len(sorted)/2] }

// p95 returns the latency that at most one of 20 exceeds.
func p95(sorted []time.Duration) time.Duration { return sorted[(len(sorted)*95+99)/100-1] }
