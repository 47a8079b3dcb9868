package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/postgrestest"
)

// The variants, by their index in a round.
const (
	bare = iota
	bareOnTwoQueues
	bareUncompressed
	inlineEager
	inlineSync
	inlineAsync
	queuedAsync
	queuedSync
	unobserved
	authorized
	authorizedSync
	onPostgres // only if PostgreSQL is installed
)

func run(ctx context.Context, out io.Writer, s size, temporalOnPostgres bool) (err error) {
	app.BoundMemory(config.Worker{}, zap.NewNop()) // as the process of a worker does
	b := &testbed{}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.open(ctx, temporalOnPostgres); err != nil {
		return err
	}
	variants, err := allVariants(ctx, out, b)
	if err != nil {
		return err
	}
	rounds, err := alternate(ctx, out, b.temporal, variants, s)
	if err != nil {
		return err
	}
	return report(ctx, out, variants, rounds)
}

func allVariants(ctx context.Context, out io.Writer, b *testbed) ([]variant, error) {
	baseline, err := b.bare(ctx, "bare workflow, one HTTP activity", "bare", bareQueue, b.dial)
	if err != nil {
		return nil, err
	}
	twoQueues, err := b.bare(ctx, "bare workflow, the activity on a second queue", "bare-two-queues", bareCallQueue, b.dial)
	if err != nil {
		return nil, err
	}
	uncompressed, err := b.bare(ctx, "bare workflow, one HTTP activity, without compression", "bare-uncompressed", bareQueue, b.dialAsFlorin)
	if err != nil {
		return nil, err
	}
	inline, err := b.florin(ctx, "florin-inline", b.sqlite("inline"), config.Inline)
	if err != nil {
		return nil, err
	}
	// A client without workers, as in a process of its own.
	other, err := b.dialAsFlorin(ctx, "florin-inline", client.Options{})
	if err != nil {
		return nil, err
	}
	queued, err := b.florin(ctx, "florin-queued", b.sqlite("queued"), config.Queued)
	if err != nil {
		return nil, err
	}
	notObserved, err := b.unobserved(ctx, "florin-unobserved", b.sqlite("unobserved"))
	if err != nil {
		return nil, err
	}
	proven, err := b.authorized(ctx, "florin-authorized", b.sqlite("authorized"))
	if err != nil {
		return nil, err
	}
	variants := []variant{
		bare: baseline, bareOnTwoQueues: twoQueues, bareUncompressed: uncompressed,
		inlineEager: florinVariant("Florin, inline, started by the worker's process", inline, false),
		inlineSync:  florinVariant("Florin, inline, synchronous", other, true),
		inlineAsync: florinVariant("Florin, inline, started by another client", other, false),
		queuedAsync: florinVariant("Florin, queued, asynchronous", queued, false),
		queuedSync:  florinVariant("Florin, queued, synchronous", queued, true),
		unobserved:  florinVariant("Florin, inline, started by the worker's process, observability off", notObserved, false),

		authorized:     florinVariant("Florin, inline, started by the worker's process, callers authorized", proven, false),
		authorizedSync: florinVariant("Florin, inline, synchronous, callers authorized", proven, true),
	}
	if err := postgrestest.Available(); err != nil {
		fmt.Fprintf(out, "skipping the variant with the store on PostgreSQL: %v\n", err)
		return variants, nil
	}
	store, err := b.postgres(ctx)
	if err != nil {
		return nil, err
	}
	withPostgres, err := b.florin(ctx, "florin-postgres", store, config.Inline)
	return append(variants, florinVariant("Florin, inline, started by the worker's process, store on PostgreSQL", withPostgres, false)), err
}

// alternate measures the rounds, after one warm-up round that does not count. Rounds are short, and each begins with another
// variant, so that other load on the machine slows down all variants equally.
func alternate(ctx context.Context, out io.Writer, temporal *server, variants []variant, s size) ([][]round, error) {
	rounds := make([][]round, s.rounds+1)
	for i := range rounds {
		rounds[i] = make([]round, len(variants))
		for j := range variants {
			v := (i + j) % len(variants)
			r, err := measure(ctx, temporal, variants[v], fmt.Sprintf("round-%d-%d", i, v), s)
			if err != nil {
				return nil, err
			}
			rounds[i][v] = r
		}
		if i%5 == 0 {
			fmt.Fprintf(out, "round %d of %d: bare %.0f/s, Florin inline %.0f/s, queued %.0f/s\n",
				i, s.rounds, rounds[i][bare].perSecond, rounds[i][inlineEager].perSecond, rounds[i][queuedAsync].perSecond)
		}
	}
	return rounds[1:], nil
}
