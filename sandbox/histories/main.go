// Command histories records the histories that workflows/replay_test.go replays: one for every way in which a payment or
// refund can go. It never overwrites one: what old code has recorded, new code has to replay.
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
	// patience bounds all scenarios.
	patience = 3 * time.Minute
	// together is how many run at once: with more, answers come late that histories should show in time.
	together = 12
)

func main() {
	out := flag.String("out", "../workflows/testdata/histories", "the directory to record into")
	only := flag.String("only", "", "the scenarios to record, separated by commas; all that are missing if left out")
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
	env, err := environment.Start(ctx, environment.Options{Tune: hurry})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Stop()) }()
	return record(ctx, env, wanted, dir)
}

// missing are the scenarios that are asked for and not recorded yet.
func missing(dir, only string) ([]scenario, error) {
	asked := map[string]bool{}
	for name := range strings.SplitSeq(only, ",") {
		if name != "" {
			asked[name] = true
		}
	}
	var wanted []scenario
	for _, s := range scenarios {
		_, err := os.Stat(filepath.Join(dir, s.name+histories.Suffix))
		switch {
		case only != "" && !asked[s.name]:
		case errors.Is(err, os.ErrNotExist):
			wanted = append(wanted, s)
		case only != "":
			return nil, fmt.Errorf("%s is recorded already: what new code does differently gets another name", s.name)
		}
		delete(asked, s.name)
	}
	if len(asked) > 0 {
		return nil, fmt.Errorf("no such scenario: %s", strings.Join(slices.Sorted(maps.Keys(asked)), ", "))
	}
	return wanted, nil
}

// record runs the scenarios. One that fails keeps none of the others from being saved.
func record(ctx context.Context, env *environment.Environment, wanted []scenario, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(together)
	var mu sync.Mutex
	var problems []error
	recorded := 0
	for _, s := range wanted {
		group.Go(func() error {
			r := &recording{env: env, key: s.name, alone: s.alone}
			err := s.run(ctx, r)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				err = save(ctx, r, s, dir)
			}
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", s.name, err))
				return nil // it is reported with the others
			}
			recorded++
			return nil
		})
	}
	err := group.Wait()
	fmt.Printf("histories: recorded=%d failed=%d in %s\n", recorded, len(problems), dir)
	return errors.Join(append(problems, err)...)
}

// hurry shortens what the sandbox has no patience for either. The processor "backup" holds nothing for long.
func hurry(c *config.Config) {
	seconds := func(n float64) activities.Duration { return activities.Duration(n * float64(time.Second)) }
	p := c.Processors[environment.BackupName]
	p.AuthorizationFor, p.Pending.For = seconds(2), seconds(1)
	c.Processors[environment.BackupName] = p
	for _, s := range scenarios {
		if s.alone {
			c.Processors[s.name] = c.Processors[environment.ProcessorName]
		}
	}
}
