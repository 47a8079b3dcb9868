// Command histories records the workflow histories that workflows/replay_test.go replays, one for each scenario of a payment
// or refund. It never overwrites a recorded history: new code must replay what older code has recorded.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/histories"
	"github.com/florinpay/florin/sandbox/environment"
)

const (
	// timeout limits all scenarios together.
	timeout = 3 * time.Minute
	// concurrency is how many scenarios run at once. With more of them the machine is so busy that responses which a history
	// should contain in time arrive too late.
	concurrency = 12
)

func main() {
	out := flag.String("out", "../workflows/testdata/histories", "the directory of the recorded histories")
	only := flag.String("only", "", "the scenarios to record, separated by commas; default: all that are missing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *out, *only); err != nil {
		fmt.Fprintln(os.Stderr, "histories:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, only string) (err error) {
	wanted, err := missing(dir, only)
	if err != nil {
		return err
	}
	if len(wanted) == 0 {
		fmt.Println("histories: nothing is missing in", dir)
		return nil
	}
	env, err := environment.Start(ctx, environment.Options{Tune: shortenTimeouts})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Stop()) }()
	return record(ctx, env, wanted, dir)
}

// missing returns the scenarios to record: those named in only, or all that are not recorded yet. A named scenario that is
// recorded already is an error.
func missing(dir, only string) ([]scenario, error) {
	requested := map[string]bool{}
	for name := range strings.SplitSeq(only, ",") {
		if name != "" {
			requested[name] = true
		}
	}
	var wanted []scenario
	for _, s := range scenarios {
		_, err := os.Stat(filepath.Join(dir, s.name+histories.Suffix))
		switch {
		case only != "" && !requested[s.name]:
		case errors.Is(err, os.ErrNotExist):
			wanted = append(wanted, s)
		case only != "":
			return nil, fmt.Errorf("%s is recorded already: give a scenario for changed code another name", s.name)
		}
		delete(requested, s.name)
	}
	if len(requested) > 0 {
		return nil, fmt.Errorf("no such scenario: %s", strings.Join(slices.Sorted(maps.Keys(requested)), ", "))
	}
	return wanted, nil
}

// record runs the scenarios and saves their histories. If one fails, the others are saved nevertheless.
func record(ctx context.Context, env *environment.Environment, wanted []scenario, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(concurrency)
	var mu sync.Mutex
	var problems []error
	recorded := 0
	for _, s := range wanted {
		group.Go(func() error {
			r := &recording{env: env, key: s.name, ownProcessor: s.ownProcessor, inline: s.inline}
			err := s.run(ctx, r)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				err = save(ctx, r, s, dir)
			}
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", s.name, err))
				return nil // The error is returned at the end, so that the group runs the others.
			}
			recorded++
			return nil
		})
	}
	err := group.Wait()
	fmt.Printf("histories: recorded=%d failed=%d in %s\n", recorded, len(problems), dir)
	return errors.Join(append(problems, err)...)
}

// shortenTimeouts makes payments at the processor "backup" expire within seconds. It also adds the processors of the scenarios
// with ownProcessor, configured like the sandbox's own, but with more time for lookups.
func shortenTimeouts(c *config.Config) {
	for _, name := range []string{environment.ProcessorName, environment.BackupName} {
		p := c.Processors[name]
		p.FirstAttempt = config.Inline
		c.Processors[inlinePrefix+name] = p
		p.FirstAttempt = config.Queued
		c.Processors[name] = p
	}
	seconds := func(n float64) activities.Duration { return activities.Duration(n * float64(time.Second)) }
	for _, name := range []string{environment.BackupName, inlinePrefix + environment.BackupName} {
		p := c.Processors[name]
		p.AuthorizationFor, p.Pending.For = seconds(2), seconds(1)
		c.Processors[name] = p
	}
	for _, s := range scenarios {
		if s.ownProcessor {
			own := c.Processors[environment.ProcessorName]
			// A rate limit delays lookups, too: only the charge that is sent again decides.
			own.Resolve.For, own.AbsenceProofAfter = seconds(60), new(seconds(30))
			own.Reconcile.Lag = activities.Duration(time.Millisecond) // so that a window has the payments that were just made
			c.Processors[s.name] = own
		}
	}
}
