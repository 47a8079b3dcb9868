package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/florinpay/florin/sandbox/environment"
	"github.com/florinpay/florin/sandbox/process"
)

// temporalCommand runs the Temporal server. The test starts its own binary with it, so that the server is a process that
// can be killed.
func temporalCommand() *cobra.Command {
	var port int
	var dir string
	cmd := &cobra.Command{
		Use:    "temporal",
		Short:  "Run a Temporal server with its database in a file, until it is killed",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config := zap.NewProductionConfig()
			config.Level.SetLevel(zap.WarnLevel)
			logger, err := config.Build()
			if err != nil {
				return err
			}
			stop, err := environment.StartTemporal(cmd.Context(), port, dir, logger)
			if err != nil {
				return err
			}
			<-cmd.Context().Done()
			return stop()
		},
	}
	cmd.Flags().IntVar(&port, "port", 0, "port of the frontend")
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the database")
	return cmd
}

// temporalProcess is this binary, run with temporalCommand.
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
