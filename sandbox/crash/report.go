package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/florinpay/florin/payment"
)

// printTable prints how often each victim was killed at each point, and the number of violations about the payments whose
// messages were dropped there.
func printTable(kills []*kill, violations []violation) {
	counts := map[point]map[victim]int{}
	found := map[point]int{}
	for _, k := range kills {
		if counts[k.point] == nil {
			counts[k.point] = map[victim]int{}
		}
		if !k.succeeded() {
			continue
		}
		counts[k.point][k.victim]++
		for _, v := range violations {
			if v.purchase != nil && v.purchase.namedIn(k.message) {
				found[k.point]++
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
		if counts[r.point] == nil {
			_, _ = fmt.Fprintf(table, "%s\tskipped\n", r.point)
			continue
		}
		_, _ = fmt.Fprintf(table, "%s\t", r.point)
		for _, v := range victims {
			_, _ = fmt.Fprintf(table, "%s\t", formatCount(counts[r.point][v], slices.Contains(r.victims, v)))
		}
		_, _ = fmt.Fprintf(table, "%d\n", found[r.point])
	}
}

// formatCount formats a count. It returns "" for a cell that is not in the matrix.
func formatCount(n int, inMatrix bool) string {
	if !inMatrix {
		return ""
	}
	return fmt.Sprint(n)
}

// printOutcomes counts the payments and refunds by the last status that their callers received.
func printOutcomes(purchases []*purchase) {
	charges, refunds := map[string]int{}, map[string]int{}
	for _, p := range purchases {
		charges[lastStatus(&p.results, func(c payment.Charge) payment.Status { return c.Status })]++
		for _, r := range p.refunds {
			refunds[lastStatus(&r.results, func(r payment.Refund) payment.Status { return r.Status })]++
		}
	}
	for _, kind := range []struct {
		name   string
		counts map[string]int
	}{{name: "charges", counts: charges}, {name: "refunds", counts: refunds}} {
		fmt.Printf("crash: %s:", kind.name)
		for _, status := range slices.Sorted(maps.Keys(kind.counts)) {
			fmt.Printf(" %d %s", kind.counts[status], status)
		}
		fmt.Println()
	}
}

// lastStatus returns the status of the last result that a caller received.
func lastStatus[T any](results *callResults[T], status func(T) payment.Status) string {
	if len(results.all) == 0 {
		return "not requested"
	}
	last := results.all[len(results.all)-1]
	if last.refusal != nil {
		return "refused"
	}
	return string(status(last.value))
}
