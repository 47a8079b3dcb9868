// Command bench measures what Florin's HTTP client costs. It makes a successful charge through the client as a worker
// configures it, and the same charge through plain net/http and through other HTTP clients for Go. README.md describes how
// each client is configured.
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
	rounds := flag.Int("rounds", 500, "number of batches that each client makes")
	calls := flag.Int("calls", 100, "number of charges in a batch")
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
		return fmt.Errorf("-rounds %d -calls %d: want at least 1 for both", rounds, calls)
	}
	server, err := startServer(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	clients, err := newClients(ctx, server.url)
	if err != nil {
		return err
	}
	measured, err := measure(ctx, clients, rounds, calls)
	if err != nil {
		return err
	}
	return report(out, clients, measured)
}

// report prints a table, and the result of Florin's client on a last line that a script can parse.
func report(out io.Writer, clients []httpClient, measured []cost) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "client\ttime/op (µs)\tratio\tB/op\tallocs/op\t")
	for i, m := range measured {
		fmt.Fprintf(table, "%s\t%.1f\t%.2f\t%.0f\t%.0f\t\n", clients[i].name, m.microseconds, m.ratio, m.bytes, m.allocs)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	florin := measured[florinIndex]
	_, err := fmt.Fprintf(out, "bench-client: time_ratio=%.2f allocs=%.0f\n", florin.ratio, math.Round(florin.allocs))
	return err
}
