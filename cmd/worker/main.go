// Command worker runs the payment workflows and the calls to the processors.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/healthcheck"
	"github.com/florinpay/florin/worker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var path string
	root := &cobra.Command{
		Use:   "worker",
		Short: "Run the payment workflows and the calls to the processors",
		Long: `Run the payment workflows and the calls to the processors.

The connection to Temporal comes from TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, the
TEMPORAL_TLS_* variables or a profile, as for the temporal command. SIGTERM lets calls in flight finish.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return worker.Run(cmd.Context(), worker.Options{ConfigFile: path})
		},
	}
	root.PersistentFlags().StringVar(&path, "config", "examples/worker.yaml", "configuration file")
	root.AddCommand(healthcheck.Command("http://127.0.0.1:8711/healthz"), configCommand(), auditCommand(), &cobra.Command{
		Use:   "migrate",
		Short: "Update the configured database to this program's schema, and exit; safe to repeat",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return migrate(cmd, path) },
	}, &cobra.Command{
		Use:   "build-id",
		Short: "Print the build ID of this binary, for Temporal's worker versioning",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			id, err := app.BuildID()
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), id)
			}
			return err
		},
	})
	return root
}

func migrate(cmd *cobra.Command, path string) error {
	from, to, err := worker.Migrate(cmd.Context(), worker.Options{ConfigFile: path})
	if err != nil {
		return err
	}
	if from == to {
		fmt.Fprintf(cmd.OutOrStdout(), "the database has version %d already\n", to)
		return nil
	}
	fmt.Fprintf(cmd.OutOrStdout(), "migrated the database from version %d to %d\n", from, to)
	return nil
}
