// Command bench measures what our HTTP client costs: one successful charge through all that a worker puts around
// it, against the same call through plain net/http and through the clients that Go programs use for such calls.
// README.md says how each is configured.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"text/tabwriter"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == serveArgument {
		exitOn(serve(os.Stdin, os.Stdout))
		return
	}
	rounds := flag.Int("rounds", 500, "how often each client has its turn")
	calls := flag.Int("calls", 100, "calls in a turn")
	flag.Parse()
	exitOn(run(context.Background(), os.Stdout, *rounds, *calls))
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, rounds, calls int) error {
	if rounds < 1 || calls < 1 {
		return fmt.Errorf("%d rounds of %d calls: want 1 or more of both", rounds, calls)
	}
	server, err := startServer(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	peers, err := newPeers(ctx, server.url)
	if err != nil {
		return err
	}
	measured, err := measure(ctx, peers, rounds, calls)
	if err != nil {
		return err
	}
	return report(out, peers, measured)
}

// report prints the table, and ours once more on a last line that a script can read.
func report(out io.Writer, peers []peer, measured []cost) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "peer\ttime/op (µs)\tratio\tB/op\tallocs/op\t")
	for i, m := range measured {
		fmt.Fprintf(table, "%s\t%.1f\t%.2f\t%.0f\t%.0f\t\n", peers[i].name, m.microseconds, m.ratio, m.bytes, m.allocs)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	ours := measured[ourPeer]
	_, err := fmt.Fprintf(out, "bench-client: time_ratio=%.2f allocs=%.0f\n", ours.ratio, math.Round(ours.allocs))
	return err
}
