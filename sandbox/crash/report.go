package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/florinpay/florin/payment"
)

// printTable shows how often each victim was killed at each point, and how many violations there are about payments that
// were on the wire then.
func printTable(strikes []*strike, violations []violation) {
	kills := map[point]map[victim]int{}
	found := map[point]int{}
	for _, s := range strikes {
		if kills[s.point] == nil {
			kills[s.point] = map[victim]int{}
		}
		if !s.struck() {
			continue
		}
		kills[s.point][s.victim]++
		for _, v := range violations {
			if v.of != nil && v.of.in(s.held) {
				found[s.point]++
			}
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer table.Flush()
	_, _ = fmt.Fprint(table, "killed at\t")
	for _, v := range victims {
		_, _ = fmt.Fprintf(table, "%s\t", v)
	}
	_, _ = fmt.Fprintln(table, "violations")
	for _, r := range matrix {
		if kills[r.point] == nil {
			_, _ = fmt.Fprintf(table, "%s\tleft out\n", r.point)
			continue
		}
		_, _ = fmt.Fprintf(table, "%s\t", r.point)
		for _, v := range victims {
			_, _ = fmt.Fprintf(table, "%s\t", number(kills[r.point][v], slices.Contains(r.victims, v)))
		}
		_, _ = fmt.Fprintf(table, "%d\n", found[r.point])
	}
}

// number shows what is not in the matrix as a blank.
func number(n int, inMatrix bool) string {
	if !inMatrix {
		return ""
	}
	return fmt.Sprint(n)
}

// printEndings counts what became of the payments, as their callers know it.
func printEndings(purchases []*purchase) {
	charges, refunds := map[string]int{}, map[string]int{}
	for _, p := range purchases {
		charges[lastWord(&p.answers, func(c payment.Charge) payment.Status { return c.Status })]++
		for _, r := range p.refunds {
			refunds[lastWord(&r.answers, func(r payment.Refund) payment.Status { return r.Status })]++
		}
	}
	for _, kind := range []struct {
		name   string
		counts map[string]int
	}{{"charges", charges}, {"refunds", refunds}} {
		fmt.Printf("crash: %s:", kind.name)
		for _, status := range slices.Sorted(maps.Keys(kind.counts)) {
			fmt.Printf(" %d %s", kind.counts[status], status)
		}
		fmt.Println()
	}
}

// lastWord is what a caller was told last.
func lastWord[T any](a *answers[T], status func(T) payment.Status) string {
	if len(a.told) == 0 {
		return "not asked"
	}
	last := a.told[len(a.told)-1]
	if last.refusal != nil {
		return "refused"
	}
	return string(status(last.value))
}
