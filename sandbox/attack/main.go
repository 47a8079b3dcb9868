// Command attack attacks a running sandbox as an outsider who reaches the Temporal namespace, the worker's HTTP endpoints, its files and
// its binaries. Each row of its table is one attack. The last line counts those that succeeded; if there is one, or an attack could not
// be tried, the exit code is 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var only, binaries string
	command := &cobra.Command{
		Use:           "attack",
		Short:         "Attack a sandbox, and report what succeeded",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), cmd.OutOrStdout(), binaries, only)
		},
	}
	command.Flags().StringVar(&only, "only", "", "only the attacks whose name contains this text")
	command.Flags().StringVar(&binaries, "binaries", "", "directory with a worker and a starter; without it, they are built")
	if err := command.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(1)
	}
}

// attack is one attack on a target.
type attack struct {
	name string
	// try returns an error if the attack could not be tried: that proves nothing.
	try func(ctx context.Context, t *target) (result, error)
	// documented: docs/security.md says that whoever may write to the namespace can do this. It is shown, and not counted.
	documented bool
}

// result is what an attack has achieved.
type result struct {
	succeeded bool
	// saw is what shows it.
	saw string
}

func repelled(format string, args ...any) result { return result{saw: fmt.Sprintf(format, args...)} }

func succeeded(format string, args ...any) result {
	return result{succeeded: true, saw: fmt.Sprintf(format, args...)}
}

// attackTimeout is how long an attack may take, even on a busy machine.
const attackTimeout = 90 * time.Second

var errSucceeded = errors.New("an attack succeeded")

// run starts the target and tries the attacks whose name contains a text. It returns errSucceeded, or why an attack could not be tried.
func run(ctx context.Context, out io.Writer, binaries, only string) (err error) {
	t, err := newTarget(ctx, binaries)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.stop()) }() //nolint:contextcheck // also what was interrupted is stopped
	rows := table{out: out}
	for _, phase := range []struct {
		start   func(context.Context) error
		attacks []attack
	}{{t.startOpen, openAttacks}, {t.startAuthorizing, authorizeAttacks}, {t.stopWorker, fileAttacks}} {
		if err := phase.start(ctx); err != nil {
			return err
		}
		for _, a := range phase.attacks {
			if strings.Contains(a.name, only) {
				rows.try(ctx, t, a)
			}
		}
	}
	return rows.end()
}

// table prints and counts attacks.
type table struct {
	out        io.Writer
	tried, won int
	untried    error
}

// try tries an attack, and prints its row.
func (t *table) try(ctx context.Context, on *target, a attack) {
	r, err := a.tryWithin(ctx, on)
	verdict := "repelled"
	switch {
	case err != nil:
		t.untried = errors.Join(t.untried, fmt.Errorf("%s: could not be tried: %w", a.name, err))
		verdict, r.saw = "UNTRIED", err.Error()
	case a.documented && r.succeeded:
		verdict = "possible"
	case r.succeeded:
		verdict = "SUCCEEDED"
		t.won++
	}
	if err == nil && !a.documented {
		t.tried++
	}
	fmt.Fprintf(t.out, "%-9s  %-62s  %s\n", verdict, a.name, oneLine(r.saw))
	if verdict == "SUCCEEDED" {
		fmt.Fprintf(t.out, "           %q\n", r.saw) // all of it
	}
}

// end prints the last line. It returns an error if an attack succeeded or could not be tried, or if none was tried.
func (t *table) end() error {
	fmt.Fprintf(t.out, "attack: tried=%d succeeded=%d\n", t.tried, t.won)
	switch {
	case t.won > 0:
		return errors.Join(errSucceeded, t.untried)
	case t.untried == nil && t.tried == 0:
		return errors.New("no attack was tried")
	default:
		return t.untried
	}
}

func (a attack) tryWithin(ctx context.Context, t *target) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, attackTimeout)
	defer cancel()
	return a.try(ctx, t)
}

// oneLine returns a text for the table, without what could redraw a terminal.
func oneLine(text string) string {
	const longest = 160
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return text
}

// openAttacks are those on workers that require no proof of callers, in this order: the last one compares the books.
var openAttacks = slices.Concat(ledgerAttacks, pretendAttacks, updateAttacks, textAttacks, readAttacks, webhookAttacks, secretAttacks, booksAttacks)
