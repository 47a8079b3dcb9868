package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/payment"
)

const (
	// obeyWithin is how long the command waits for the workers. One that does not renew its share for six seconds is lost.
	obeyWithin = 15 * time.Second
	obeyPoll   = 200 * time.Millisecond
)

// controlCommands are the commands that pause, resume and limit a processor, and list what is in force.
func controlCommands() []*cobra.Command {
	var perSecond float64
	var asConfigured bool
	pause := controlCommand("pause", "Stop every call to a processor that moves money, on all workers; lookups go on", payment.ControlPause,
		`--reason "acme's incident 4711"`)
	resume := controlCommand("resume", "End the pause of a processor", payment.ControlResume, `--reason "acme's incident 4711 is over"`)
	limit := controlCommand("rate", "Set the rate of the calls to a processor, of all workers together", payment.ControlRate,
		`--per-second 20 --reason "acme halved our quota"`)
	limit.Flags().Float64Var(&perSecond, "per-second", 0, "calls per second of all workers together, such as 20 or 0.5")
	limit.Flags().BoolVar(&asConfigured, "as-configured", false, "the rate is that of the workers' configuration again")
	limit.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("per-second") == asConfigured || cmd.Flags().Changed("per-second") && perSecond <= 0 {
			return usageError{errors.New("want either --per-second with a number above 0 or --as-configured")}
		}
		return nil
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "Print the processors: whether they are paused, their rate, and the workers with their shares in it",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			states, err := client.Processors(cmd.Context())
			if err != nil {
				return err
			}
			return printProcessors(cmd, states)
		},
	}
	return []*cobra.Command{pause, resume, limit, list}
}

func controlCommand(name, short string, action payment.ControlAction, example string) *cobra.Command {
	change := payment.ControlChange{Action: action}
	cmd := &cobra.Command{
		Use:     name + " PROCESSOR",
		Short:   short,
		Example: "  starter processor " + name + " acme --by jane " + example,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("want the name of one processor")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			change.Processor = args[0]
			if rate := cmd.Flags().Lookup("per-second"); rate != nil {
				change.PerSecond, _ = strconv.ParseFloat(rate.Value.String(), 64) // it is the flag's own text
			}
			if err := change.Validate(); err != nil {
				return err
			}
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			state, err := client.ControlProcessor(cmd.Context(), change)
			if err != nil {
				return err
			}
			return awaitObedience(cmd, client.Processors, state)
		},
	}
	cmd.Flags().StringVar(&change.By, "by", "", "name of the operator who decides it")
	cmd.Flags().StringVar(&change.Reason, "reason", "", "why; it is recorded forever")
	return cmd
}

// awaitObedience waits until all workers obey the control of a processor, and prints that. Otherwise it returns an error that names those
// that do not.
func awaitObedience(cmd *cobra.Command, read func(context.Context) ([]payment.ProcessorState, error), state payment.ProcessorState) error {
	began, revision := time.Now(), state.Control.Revision
	var unread error
	ctx, cancel := context.WithTimeout(cmd.Context(), obeyWithin)
	defer cancel()
	for disobedient(state) != nil {
		select {
		case <-ctx.Done():
			return notObeyed(state, unread)
		case <-time.After(obeyPoll):
		}
		states, err := read(ctx)
		if unread = err; err != nil {
			continue
		}
		i := slices.IndexFunc(states, func(s payment.ProcessorState) bool { return s.Processor == state.Processor })
		if i < 0 || states[i].Control.Revision != revision {
			return errors.New("the change was recorded, but another one came after it: see starter processor list")
		}
		state = states[i]
	}
	if (state.Control.Paused || state.Control.PerSecond > 0) && len(state.Lost) > 0 {
		return fmt.Errorf("the change was recorded, and %d workers obey it, but not these, which do not renew their shares any more: %s: "+
			"one that has not ended, and only cannot reach the store, still sends: end it", len(state.Workers), lostText(state.Lost))
	}
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), state)
	}
	obey := fmt.Sprintf("all %d workers obey after %s", len(state.Workers), time.Since(began).Round(100*time.Millisecond))
	if len(state.Workers) == 0 {
		obey = "no worker runs"
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), oneLine(fmt.Sprintf("%s %s: %s", state.Processor, controlText(state), obey)))
	return err
}

func notObeyed(state payment.ProcessorState, err error) error {
	names := disobedient(state)
	text := fmt.Sprintf("the change was recorded, but %d of %d workers do not obey it yet, perhaps because they cannot read the store: %s",
		len(names), len(state.Workers), strings.Join(names, ", "))
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return errors.New(text)
}

// disobedient returns the workers that do not obey the control yet; nil if there is none.
func disobedient(state payment.ProcessorState) (names []string) {
	for _, w := range state.Workers {
		if !w.Applied {
			names = append(names, w.Worker)
		}
	}
	return names
}

// lostText names workers, each with the time since which its share is not renewed.
func lostText(lost []payment.LostWorker) string {
	texts := make([]string, len(lost))
	for i, w := range lost {
		texts[i] = fmt.Sprintf("%s, since %s", w.Worker, w.LeaseEnded.Format(time.RFC3339))
	}
	return strings.Join(texts, "; ")
}

// controlText says what is in force, such as "is paused, with 20 calls/s as configured".
func controlText(s payment.ProcessorState) string {
	text := "is not paused"
	if s.Control.Paused {
		text = "is paused"
	}
	switch {
	case s.Control.PerSecond > 0:
		return fmt.Sprintf("%s, with %s as an operator has set", text, rateText(s.Control.PerSecond))
	case s.ConfiguredPerSecond > 0:
		return fmt.Sprintf("%s, with %s as configured", text, rateText(s.ConfiguredPerSecond))
	default:
		return text + ", without a common rate limit"
	}
}

func rateText(perSecond float64) string {
	return strconv.FormatFloat(perSecond, 'g', 4, 64) + " calls/s"
}

func printProcessors(cmd *cobra.Command, states []payment.ProcessorState) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), payment.ProcessorStates{Processors: states})
	}
	for i, s := range states {
		if i > 0 {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		fmt.Fprintln(cmd.OutOrStdout(), oneLine(s.Processor+" "+controlText(s)))
		if c := s.Control; c.Revision > 0 {
			fmt.Fprintln(cmd.OutOrStdout(), "  "+oneLine(fmt.Sprintf("since %s by %s: %s", c.At.Format(time.RFC3339), c.By, c.Reason)))
		}
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, w := range s.Workers {
			share, obeys := "no limit", "obeys"
			if w.PerSecond > 0 || s.Control.PerSecond > 0 || s.ConfiguredPerSecond > 0 {
				share = fmt.Sprintf("%s, %d at once", rateText(w.PerSecond), w.Burst)
			}
			if !w.Applied {
				obeys = "does not obey yet"
			}
			writeRow(table, "  worker "+w.Worker, "share "+share, "demand "+rateText(w.Demand), obeys)
		}
		if len(s.Workers) == 0 {
			writeRow(table, "  no worker runs")
		}
		for _, w := range s.Lost {
			writeRow(table, "  worker "+w.Worker, "not seen since "+w.LeaseEnded.Format(time.RFC3339), "does not obey, if it has not ended")
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}
