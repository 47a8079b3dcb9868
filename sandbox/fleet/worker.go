package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/fleet"
	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/processor"
)

const (
	processorName = "simulator"
	apiKey        = "sim_fleet_key" //nolint:gosec // protects nothing
	maxInFlight   = 64
	// demandPoll is how often a worker asks for its demand, and pulse how often it makes the calls that are due.
	demandPoll = 50 * time.Millisecond
	pulse      = 5 * time.Millisecond
	// lookupEvery is how often a worker makes a lookup, which a pause does not stop.
	lookupEvery = time.Second
)

// workerOptions are the flags of a worker process.
type workerOptions struct {
	name, dsn, url string
	perSecond      float64
	burst          int
}

// workerCommand runs one worker: the parts of a real one that make calls and limit them, without Temporal, so that each has a demand of
// its own. It exits on SIGTERM.
func workerCommand() *cobra.Command {
	var o workerOptions
	cmd := &cobra.Command{
		Use: "worker", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runWorker(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.name, "name", "", "name of the worker")
	cmd.Flags().StringVar(&o.dsn, "store", "", "DSN of the store")
	cmd.Flags().StringVar(&o.url, "simulator", "", "URL of the simulator")
	cmd.Flags().Float64Var(&o.perSecond, "per-second", 0, "rate limit of all workers together")
	cmd.Flags().IntVar(&o.burst, "burst", 0, "burst of all workers together")
	return cmd
}

func runWorker(ctx context.Context, o workerOptions) error {
	logger, err := zap.NewDevelopment()
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, o.dsn, store.AllowOwner(true))
	if err != nil {
		return err
	}
	defer s.Close()
	limiter := ratelimit.New(0, 1, time.Second)
	keys, err := credentials.New(ctx, func(context.Context) (credentials.Key, error) { return credentials.Key{Value: apiKey}, nil })
	if err != nil {
		return err
	}
	client, err := httpclient.New(httpclient.Options{
		Name: processorName, Profile: rest.Adapter().Profile, BaseURL: o.url, Credentials: keys, Limiter: limiter,
		AttemptTimeout: 5 * time.Second, MaxInFlight: maxInFlight,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	f := fleet.New(s, o.name, []fleet.Processor{{
		Name: processorName, Shared: store.Rate{PerSecond: o.perSecond, Burst: o.burst},
		Own: store.Rate{PerSecond: math.Inf(1), Burst: o.burst}, Gate: limiter,
	}}, logger)
	if err := f.Start(ctx); err != nil {
		return err
	}
	defer f.Stop() //nolint:contextcheck // ctx has ended by then
	l := &load{worker: o.name, processor: rest.Adapter().New(client), url: o.url}
	l.run(ctx)
	return nil
}

// load makes calls at the rate that the main process demands.
type load struct {
	worker    string
	processor processor.Processor
	url       string
	number    int
	calls     sync.WaitGroup
}

// run makes calls until ctx is done, and waits for those in flight.
func (l *load) run(ctx context.Context) {
	var demand, due float64
	polled, lookedUp, last := time.Time{}, time.Now(), time.Now()
	ticker := time.NewTicker(pulse)
	defer ticker.Stop()
	defer l.calls.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		if now.Sub(polled) >= demandPoll {
			demand, polled = l.demand(ctx, demand), now
		}
		// After a freeze, the missed calls are not made up for.
		due += demand * min(now.Sub(last), 10*pulse).Seconds()
		for last = now; due >= 1; due-- {
			l.call(ctx, func(ctx context.Context, key string) error {
				_, err := l.processor.Charge(ctx, processor.ChargeCall{
					Key: key, PaymentID: "pay_" + key, MerchantID: "acme", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
				})
				return err
			})
		}
		if now.Sub(lookedUp) >= lookupEvery {
			lookedUp = now
			l.call(ctx, func(ctx context.Context, key string) error {
				_, _, err := l.processor.Lookup(ctx, processor.LookupCall{Operation: "charge", Reference: key})
				return err
			})
		}
	}
}

// call makes one call. One that is refused is not repeated: the demand brings the next.
func (l *load) call(ctx context.Context, call func(ctx context.Context, key string) error) {
	l.number++
	key := fmt.Sprintf("%s-%d", l.worker, l.number)
	l.calls.Go(func() { _ = call(context.WithoutCancel(ctx), key) }) // the simulator counts what arrives
}

// demand returns how many calls per second the worker has to make; the last number if the main process does not answer.
func (l *load) demand(ctx context.Context, last float64) float64 {
	ctx, cancel := context.WithTimeout(ctx, demandPoll)
	defer cancel()
	body, err := get(ctx, l.url+"/demand/"+l.worker)
	if err != nil {
		return last
	}
	demand, err := strconv.ParseFloat(body, 64)
	if err != nil {
		return last
	}
	return demand
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", errors.New(response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 100))
	return string(body), err
}
