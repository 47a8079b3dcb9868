// Command ownprocessor is Florin's worker with an adapter of its own, acme. Florin's docs/adapters.md explains how to write one.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/florinpay/florin/processor"
	"github.com/florinpay/florin/worker"

	"example.com/ownprocessor/acme"
)

func main() {
	config := flag.String("config", "worker.yaml", "configuration file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := worker.Run(ctx, options(*config)); err != nil {
		fmt.Fprintln(os.Stderr, "ownprocessor:", err)
		os.Exit(1)
	}
}

func options(configFile string) worker.Options {
	return worker.Options{ConfigFile: configFile, Adapters: []processor.Adapter{acme.Adapter()}}
}
