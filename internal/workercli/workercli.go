// Package workercli is the command worker. The image has one program for it and for starter: most of both is the same code.
package workercli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/healthcheck"
	"github.com/florinpay/florin/worker"
)

// Main runs the command with the arguments of this process, and returns its exit code. SIGINT and SIGTERM end it.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	return 0
}

func command() *cobra.Command {
	var path string
	root := &cobra.Command{
		Use:   "worker",
		Short: "Run the payment workflows and the calls to the processors",
		Long: `Run the payment workflows and the calls to the processors.

The connection to Temporal comes from TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, the
TEMPORAL_TLS_* variables or a profile, as for the temporal command. A server on another host must be verified with TLS,
unless FLORIN_TEMPORAL_INSECURE=true. SIGTERM lets calls in flight finish.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return worker.Run(cmd.Context(), worker.Options{ConfigFile: path})
		},
	}
	root.PersistentFlags().StringVar(&path, "config", "examples/worker.yaml", "configuration file")
	root.AddCommand(healthcheck.Command("http://127.0.0.1:8711/healthz"), configCommand(), auditCommand(), migrateCommand(&path), &cobra.Command{
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

// migrateCommand reads the configuration at *path when it runs.
func migrateCommand(path *string) *cobra.Command {
	var role string
	command := &cobra.Command{
		Use:   "migrate",
		Short: "Update the configured database to this program's schema, and exit; safe to repeat",
		Long: `Update the configured database to this program's schema, and exit; safe to repeat.

In PostgreSQL, the role in the configured URL becomes the owner of the tables. Workers need a role of their own, which
cannot change the tables: create it, with CREATE ROLE florin_worker LOGIN PASSWORD '…', and name it in --grant-to after
each update of Florin. It then has exactly the privileges that a worker needs; others on these tables are revoked.

In PostgreSQL, it also creates the tables for the events of the coming twelve months: run it at least once a year.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("grant-to") && role == "" {
				return errors.New("--grant-to is empty: want the name of a role")
			}
			return migrate(cmd, *path, role)
		},
	}
	command.Flags().StringVar(&role, "grant-to", "", "`role` of the workers in PostgreSQL, to which to grant what they need")
	return command
}

func migrate(cmd *cobra.Command, path, role string) error {
	from, to, err := worker.Migrate(cmd.Context(), worker.Options{ConfigFile: path, GrantTo: role})
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if from == to {
		fmt.Fprintf(out, "the database has version %d already\n", to)
	} else {
		fmt.Fprintf(out, "migrated the database from version %d to %d\n", from, to)
	}
	if role != "" {
		fmt.Fprintf(out, "granted to role %q what a worker needs\n", role)
	}
	return nil
}
