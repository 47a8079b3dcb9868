package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/florinpay/florin/internal/store"
)

// worst is what the last line says.
type worst struct {
	// ratio is the largest one of what is not cold, and list the largest p50 of a list, in milliseconds.
	ratio, list float64
}

func run(ctx context.Context, out io.Writer, s size) (err error) {
	if s.small < 10_000 || s.rounds < 1 || s.calls < 1 || s.postgres != 0 && s.postgres < s.small || s.sqlite != 0 && s.sqlite < s.small {
		return errors.New("want at least 10000 payments in the small database, as many in each large one, and at least one round and call")
	}
	var w worst
	if s.postgres > 0 {
		if err := runPostgres(ctx, out, s, &w); err != nil {
			return fmt.Errorf("PostgreSQL: %w", err)
		}
	}
	if s.sqlite > 0 {
		if err := runSQLite(ctx, out, s, &w); err != nil {
			return fmt.Errorf("SQLite: %w", err)
		}
	}
	_, err = fmt.Fprintf(out, "growth: payments=%d worst_ratio=%.2f worst_list_ms=%.1f\n", max(s.postgres, s.sqlite), w.ratio, w.list)
	return err
}

func runPostgres(ctx context.Context, out io.Writer, s size, w *worst) (err error) {
	cluster, stop, err := startPostgres(ctx, s.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	var dsns []string
	for i, n := range []int{s.small, s.postgres} {
		dsn, err := newDatabase(ctx, cluster, []string{"small", "large"}[i])
		if err != nil {
			return err
		}
		if err := fillPostgres(ctx, out, dsn, corpus{size: n, end: time.Now()}); err != nil {
			return err
		}
		dsns = append(dsns, dsn)
	}
	if err := compare(ctx, out, dsns, []int{s.small, s.postgres}, s, w); err != nil {
		return err
	}
	return reportDisk(ctx, out, dsns[1])
}

func runSQLite(ctx context.Context, out io.Writer, s size, w *worst) (err error) {
	dir, err := os.MkdirTemp(s.dir, "florin-growth-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var dsns []string
	for i, n := range []int{s.small, s.sqlite} {
		path := filepath.Join(dir, []string{"small.db", "large.db"}[i])
		began := time.Now()
		dsn, err := fillSQLite(ctx, path, corpus{size: n, end: began})
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "SQLite: stored %d payments in %.0f s, %d MB\n", n, time.Since(began).Seconds(), info.Size()>>20)
		dsns = append(dsns, dsn)
	}
	return compare(ctx, out, dsns, []int{s.small, s.sqlite}, s, w)
}

// compare measures all operations on a small and on a large database, and prints a table.
func compare(ctx context.Context, out io.Writer, dsns []string, sizes []int, s size, w *worst) (err error) {
	var sides []*side
	defer func() {
		for _, on := range sides {
			err = errors.Join(err, on.store.Close())
		}
	}()
	for i, dsn := range dsns {
		opened, err := store.Open(ctx, dsn, store.AllowOwner(true))
		if err != nil {
			return err
		}
		on := &side{corpus: corpus{size: sizes[i], end: time.Now()}, store: opened}
		sides = append(sides, on)
		if err := on.prepare(ctx, i > 0); err != nil {
			return err
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "milliseconds\t%d: p50\tp99\trows\t%d: p50\tp99\trows\tratio of p50\t\n", sizes[0], sizes[1])
	for _, of := range operations() {
		t, err := measure(ctx, of, sides, s)
		if err != nil {
			return err
		}
		small, large, ratio := t[0], t[1], "-"
		// A list with other rows takes another time.
		if small.rows == large.rows {
			times := large.percentile(0.5) / small.percentile(0.5)
			if !of.cold {
				w.ratio = max(w.ratio, times)
			}
			ratio = fmt.Sprintf("%.2f", times)
		}
		if of.list {
			w.list = max(w.list, large.percentile(0.5))
		}
		fmt.Fprintf(table, "%s\t%.3f\t%.3f\t%d\t%.3f\t%.3f\t%d\t%s\t\n", of.name, small.percentile(0.5), small.percentile(0.99), small.rows,
			large.percentile(0.5), large.percentile(0.99), large.rows, ratio)
	}
	return table.Flush()
}
