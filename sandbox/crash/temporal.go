package main

import (
	"context"
	"os"

	"github.com/florinpay/florin/sandbox/process"
)

// temporalProcess is this binary, run with environment.TemporalCommand.
func (s *system) temporalProcess(ctx context.Context, port string) (*process.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &process.Process{
		Name: string(temporal), Dir: s.dir, Arguments: []string{self, "temporal", "--port", port, "--dir", s.dir},
		Ready: func(ctx context.Context) error { return s.namespaceReady(ctx) },
	}, ctx.Err()
}
