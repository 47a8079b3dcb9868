// Command worker runs the payment workflows and the calls to the processors.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/healthcheck"
	"github.com/florinpay/florin/internal/telemetry"
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
	var config string
	root := &cobra.Command{
		Use:           "worker",
		Short:         "Run the payment workflows and the calls to the processors",
		Long:          "Run the payment workflows and the calls to the processors.\n\nThe connection to Temporal comes from TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, the\nTEMPORAL_TLS_* variables or a profile, as for the temporal command. SIGTERM lets calls in flight finish.",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), config) },
	}
	root.PersistentFlags().StringVar(&config, "config", "examples/worker.yaml", "configuration file")

	root.AddCommand(healthcheck.Command("http://127.0.0.1:8711/healthz"), &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database of the configuration up to this program, and exit; safe to repeat",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return migrate(cmd, config) },
	}, &cobra.Command{
		Use:   "build-id",
		Short: "Print the name of this build, as Temporal's worker versioning knows it",
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
	config, err := app.LoadConfig(path)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	from, to, err := config.Store.Migrate(cmd.Context())
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

func run(ctx context.Context, path string) error {
	config, err := app.LoadConfig(path)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	logger, err := app.NewLogger(config.Log)
	if err != nil {
		return err
	}
	listener, err := app.Listen(ctx, config.Health.Listen, "health.listen in "+path)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // closed twice where the server got it
	told, stopTracing, err := openTelemetry(ctx, logger)
	if err != nil {
		return err
	}
	defer stopTracing()
	temporal, options, err := app.Dial(ctx, app.TemporalLogger(logger), told)
	if err != nil {
		return err
	}
	defer temporal.Close()
	if err := app.CheckNamespace(ctx, temporal, options.Namespace); err != nil {
		return err
	}
	workers, err := app.NewWorkers(ctx, temporal, config, logger, told)
	if err != nil {
		return err
	}

	// /healthz answers until the last call in flight is done.
	health := app.HealthServer(temporal, told)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := health.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		logger.Info("worker runs", zap.String("temporal", options.HostPort), zap.String("namespace", options.Namespace), zap.String("health", listener.Addr().String()), zap.String("webhooks", workers.WebhooksAddress()))
		err := workers.Run(ctx)
		logger.Info("worker stopped")
		return errors.Join(err, health.Close())
	})
	return group.Wait()
}

// openTelemetry traces where the OTEL_* variables say. stop sends the spans that are left.
func openTelemetry(ctx context.Context, logger *zap.Logger) (told *telemetry.Telemetry, stop func(), err error) {
	spans, err := telemetry.StartTracing(ctx, logger)
	if err != nil {
		return nil, nil, err
	}
	if spans == nil {
		return telemetry.New(nil), func() {}, nil
	}
	return telemetry.New(spans), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := spans.Shutdown(ctx); err != nil {
			logger.Warn("the last spans were not sent", zap.Error(err))
		}
	}, nil
}
