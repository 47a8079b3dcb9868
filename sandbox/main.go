// Command sandbox starts a complete Florin system in one process and runs the demo on it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/term"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/sandbox/demo"
	"github.com/florinpay/florin/sandbox/environment"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

// settings are the command's flags.
type settings struct {
	options         environment.Options
	script          string
	check, verbose  bool
	faults, latency string
}

func command() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:           "sandbox",
		Short:         "Start Temporal, Temporal Web, a simulated processor and a worker, and run the demo",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), s, cmd.OutOrStdout()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&s.options.DataDir, "data", "", "keep Temporal's database, the store and the ledger in this directory, and continue from them")
	flags.StringVar(&s.script, "demo", demo.Builtin, "file with the charges and refunds to run, as sandbox/demo/script.jsonl; empty: none")
	flags.BoolVar(&s.check, "check", false, "exit after the demo")
	flags.IntVar(&s.options.Ports.Temporal, "temporal-port", 7233, "port of the Temporal server")
	flags.IntVar(&s.options.Ports.Web, "web-port", 8233, "port of Temporal Web")
	flags.IntVar(&s.options.Ports.Simulator, "simulator-port", 8712, "port of the simulated processor")
	flags.IntVar(&s.options.Ports.Health, "health-port", 8711, "port of the worker's /healthz")
	flags.StringVar(&s.faults, "faults", "", "random faults of the simulator, such as 500=0.15,429=0.05. "+simulator.FaultNames)
	flags.StringVar(&s.latency, "latency", "", "latency of the simulator, such as 50ms-200ms")
	flags.Uint64Var(&s.options.Simulator.Seed, "seed", 1, "seed of the random faults and latencies")
	flags.BoolVar(&s.verbose, "verbose", false, "print the logs of all components")
	return cmd
}

func run(ctx context.Context, s settings, out io.Writer) (err error) {
	started := time.Now()
	if s.options.Simulator.Faults, err = simulator.ParseRates(s.faults); err != nil {
		return fmt.Errorf("--faults: %w", err)
	}
	if s.latency != "" {
		if s.options.Simulator.Latency, err = simulator.ParseLatency(s.latency); err != nil {
			return fmt.Errorf("--latency: %w", err)
		}
	}
	var steps []demo.Step
	if s.script != "" {
		if steps, err = demo.ReadScript(s.script); err != nil {
			return err
		}
	}
	if s.options.Logger, err = logger(s.verbose); err != nil {
		return err
	}
	app.BoundMemory(config.Worker{}, s.options.Logger) // as cmd/worker does
	s.options.Web = true
	fmt.Fprintln(out, "Starting Temporal, Temporal Web, the simulated processor and a worker …")
	env, err := environment.Start(ctx, s.options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Stop()) }()
	fmt.Fprintf(out, "Ready after %.1f s.\n\n", time.Since(started).Seconds())
	fmt.Fprintf(out, "  Temporal Web         %s\n  Temporal server      127.0.0.1:%d\n  simulated processor  http://127.0.0.1:%d\n  worker health        http://127.0.0.1:%d/healthz\n\n",
		env.WebURL(), env.Ports.Temporal, env.Ports.Simulator, env.Ports.Health)

	summary, err := runDemo(ctx, env, steps, out)
	if err != nil || s.check {
		if err == nil {
			fmt.Fprintln(out, summary)
		}
		return err
	}
	fmt.Fprintln(out, summary)
	fmt.Fprintln(out, "\nThe sandbox runs until Ctrl-C. Try, in a second terminal:")
	fmt.Fprintf(out, "\n  %sgo run ./cmd/starter charge --merchant acme --key order-1 --amount 12.50 --currency USD --payment-method tok_visa\n", addressPrefix(env.Ports.Temporal))
	<-ctx.Done()
	fmt.Fprintln(out, "\nStopping …")
	return nil
}

// addressPrefix returns the environment variable that the starter needs if Temporal is not on its default port.
func addressPrefix(port int) string {
	if port == 7233 {
		return ""
	}
	return fmt.Sprintf("TEMPORAL_ADDRESS=127.0.0.1:%d ", port)
}

// runDemo runs the steps and returns the summary line. If a reported outcome differs from the ledger, it returns an
// error that lists every difference.
func runDemo(ctx context.Context, env *environment.Environment, steps []demo.Step, out io.Writer) (string, error) {
	result, err := demo.Run(ctx, env, steps, out, fitsTerminal(out, len(steps)))
	if err != nil {
		return "", fmt.Errorf("running the demo: %w", err)
	}
	fmt.Fprintln(out, "\nThe workflows in Temporal Web:")
	for _, id := range demo.WorkflowIDs(steps) {
		link, err := env.WorkflowURL(ctx, id)
		if err != nil {
			return "", fmt.Errorf("reading the run of workflow %s: %w", id, err)
		}
		fmt.Fprintln(out, " ", link)
	}
	fmt.Fprintf(out, "\nThe workflows' outcomes, compared with the simulator's ledger: %d differences.\n", len(result.Comparison.Differences))
	if result.Unresolved > 0 {
		fmt.Fprintf(out, "%d in needs_reconciliation: unknown whether money moved. Their workflows keep polling the processor.\n", result.Unresolved)
	}
	fmt.Fprintln(out)
	summary := fmt.Sprintf("demo: charges=%d refunds=%d outcomes_equal_ledger=%t double_charges=%d",
		result.Charges, result.Refunds, len(result.Comparison.Differences) == 0, result.Comparison.DoubleCharges)
	if len(result.Comparison.Differences) > 0 {
		problems := []error{errors.New(summary)}
		for _, d := range result.Comparison.Differences {
			problems = append(problems, errors.New(d))
		}
		return "", errors.Join(problems...)
	}
	return summary, nil
}

// fitsTerminal reports whether out is a terminal in which a table of that many rows can be redrawn in place.
func fitsTerminal(out io.Writer, rows int) bool {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return false
	}
	const tableWidth = 130 // columns
	width, height, err := term.GetSize(int(file.Fd()))
	return err == nil && width >= tableWidth && height > rows+1
}

func logger(verbose bool) (*zap.Logger, error) {
	if !verbose {
		return zap.NewNop(), nil
	}
	config := zap.NewDevelopmentConfig()
	config.Level = zap.NewAtomicLevelAt(zap.InfoLevel)
	return config.Build()
}
