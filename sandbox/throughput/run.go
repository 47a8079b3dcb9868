package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/florinpay/florin/internal/postgrestest"
)

// The variants, by their index in a round.
const (
	bare = iota
	bareOnTwoQueues
	asynchronous
	synchronous
	unobserved
	authorized
	authorizedSync
	onPostgres // only if PostgreSQL is installed
)

func run(ctx context.Context, out io.Writer, s size, temporalOnPostgres bool) (err error) {
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
	baseline, err := b.bare(ctx, "bare workflow, one HTTP activity", "bare", bareQueue)
	if err != nil {
		return nil, err
	}
	twoQueues, err := b.bare(ctx, "bare workflow, the activity on a second queue", "bare-two-queues", bareCallQueue)
	if err != nil {
		return nil, err
	}
	observed, err := b.florin(ctx, "florin", b.sqlite("florin"))
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
		bare: baseline, bareOnTwoQueues: twoQueues,
		asynchronous: florinVariant("Florin, asynchronous", observed, false),
		synchronous:  florinVariant("Florin, synchronous", observed, true),
		unobserved:   florinVariant("Florin, asynchronous, observability off", notObserved, false),

		authorized:     florinVariant("Florin, asynchronous, callers authorized", proven, false),
		authorizedSync: florinVariant("Florin, synchronous, callers authorized", proven, true),
	}
	if err := postgrestest.Available(); err != nil {
		fmt.Fprintf(out, "skipping the variant with the store on PostgreSQL: %v\n", err)
		return variants, nil
	}
	store, err := b.postgres(ctx)
	if err != nil {
		return nil, err
	}
	withPostgres, err := b.florin(ctx, "florin-postgres", store)
	return append(variants, florinVariant("Florin, asynchronous, store on PostgreSQL", withPostgres, false)), err
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
			fmt.Fprintf(out, "round %d of %d: bare %.0f/s, Florin %.0f/s\n",
				i, s.rounds, rounds[i][bare].perSecond, rounds[i][asynchronous].perSecond)
		}
	}
	return rounds[1:], nil
}
