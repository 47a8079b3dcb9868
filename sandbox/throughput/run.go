package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/florinpay/florin/internal/postgrestest"
)

// The variants, by their place in a round.
const (
	bare = iota
	bareOnTwoQueues
	asynchronous
	synchronous
	unobserved
	onPostgres // where there is one
)

func run(ctx context.Context, out io.Writer, s size, temporalOnPostgres bool) (err error) {
	l := &lab{}
	defer func() { err = errors.Join(err, l.close()) }()
	if err := l.open(ctx, temporalOnPostgres); err != nil {
		return err
	}
	variants, err := allVariants(ctx, out, l)
	if err != nil {
		return err
	}
	rounds, err := alternate(ctx, out, l.temporal, variants, s)
	if err != nil {
		return err
	}
	return report(ctx, out, variants, rounds)
}

func allVariants(ctx context.Context, out io.Writer, l *lab) ([]variant, error) {
	floor, err := l.bare(ctx, "bare workflow, one HTTP activity", "bare", bareQueue)
	if err != nil {
		return nil, err
	}
	twoQueues, err := l.bare(ctx, "bare, the call on a queue of its own", "bare-two-queues", bareCallQueue)
	if err != nil {
		return nil, err
	}
	ours, err := l.florin(ctx, "florin", l.sqlite("florin"), true)
	if err != nil {
		return nil, err
	}
	muted, err := l.florin(ctx, "florin-unobserved", l.sqlite("unobserved"), false)
	if err != nil {
		return nil, err
	}
	variants := []variant{
		bare: floor, bareOnTwoQueues: twoQueues,
		asynchronous: florinVariant("Florin, asynchronous", ours, false),
		synchronous:  florinVariant("Florin, synchronous", ours, true),
		unobserved:   florinVariant("Florin, asynchronous, observability off", muted, false),
	}
	if err := postgrestest.Available(); err != nil {
		fmt.Fprintf(out, "without PostgreSQL: %v\n", err)
		return variants, nil
	}
	store, err := l.postgres(ctx)
	if err != nil {
		return nil, err
	}
	elsewhere, err := l.florin(ctx, "florin-postgres", store, true)
	return append(variants, florinVariant("Florin, asynchronous, store on PostgreSQL", elsewhere, false)), err
}

// alternate makes the rounds, after one that does not count. They are short, and each begins with another variant: what the
// machine does besides slows all of them down.
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
			fmt.Fprintf(out, "round %d of %d: bare %.0f/s, ours %.0f/s\n", i, s.rounds, rounds[i][bare].perSecond, rounds[i][asynchronous].perSecond)
		}
	}
	return rounds[1:], nil
}
