package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// kill ends the first process of the worker's and of the database's container, as a crash does, while charges are made.
func (c *check) kill(ctx context.Context) error {
	var group errgroup.Group
	group.Go(func() error { return c.chargeAll(ctx, "killed", c.settings.charges/2, 8) })
	for _, name := range []string{"worker", "postgresql"} {
		if err := pause(ctx, time.Second); err != nil {
			return errors.Join(err, group.Wait())
		}
		pid, err := c.pid(ctx, name)
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		c.restarts++
		if err := c.project.await(ctx, name, types.ServiceConditionHealthy); err != nil {
			return errors.Join(err, group.Wait())
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return c.project.await(ctx, "worker", types.ServiceConditionHealthy)
}

// stopInFlight stops the worker during calls to a simulator that takes three seconds for each, and starts it again. No call may have been
// sent again: each was answered before the worker ended.
func (c *check) stopInFlight(ctx context.Context, source string) error {
	slow := filepath.Join(c.dir, "slow.yaml")
	if err := os.WriteFile(slow, []byte(`services:
  simulator:
    command: [simulator, --listen, "0.0.0.0:8712", --data, /var/lib/florin/ledger.db, --latency, 3s]
`), 0o600); err != nil {
		return err
	}
	slowed, err := loadProject(ctx, c.podman, c.out, []string{filepath.Join(source, "docker-compose.yml"), slow})
	if err != nil {
		return err
	}
	if err := c.replace(ctx, slowed, "simulator"); err != nil {
		return err
	}
	const calls = 10
	group, charging := errgroup.WithContext(ctx)
	group.Go(func() error { return c.chargeAll(charging, "in-flight", calls, calls) })
	if err := c.awaitInFlight(ctx, calls); err != nil {
		return errors.Join(err, group.Wait())
	}
	began := time.Now()
	code, err := c.project.stop(ctx, "worker")
	if err == nil && code != "0" {
		err = fmt.Errorf("the worker exited with code %s: want 0\n%s", code, c.project.logs(ctx, "worker"))
	}
	if err != nil {
		return errors.Join(err, group.Wait())
	}
	fmt.Fprintf(c.out, "  the worker stopped after %.1f s\n", time.Since(began).Seconds())
	c.restarts++
	ledger, err := c.ledger(ctx)
	if err != nil {
		return errors.Join(err, group.Wait())
	}
	if err := errors.Join(c.project.start(ctx, "worker"), c.project.await(ctx, "worker", types.ServiceConditionHealthy), group.Wait()); err != nil {
		return err
	}
	stopped := map[string]bool{}
	for _, p := range ledger.Payments {
		stopped[p.Reference] = true
	}
	if ledger, err = c.ledger(ctx); err != nil {
		return err
	}
	for _, p := range ledger.Payments {
		if stopped[p.Reference] && p.Requests != 1 && strings.HasPrefix(p.Metadata["florin_payment_id"], "pay_") && c.isInFlight(p.Metadata["florin_payment_id"]) {
			return fmt.Errorf("payment %s was sent %d times: its call was cut off", p.ID, p.Requests)
		}
	}
	return c.replace(ctx, c.project, "simulator")
}

// isInFlight reports whether a payment is one of those during which the worker was stopped.
func (c *check) isInFlight(paymentID string) bool {
	return slices.ContainsFunc(c.charges, func(charge payment.Charge) bool {
		return charge.PaymentID == paymentID && strings.HasPrefix(charge.IdempotencyKey, "in-flight-")
	})
}

// awaitInFlight waits until the worker has begun n charges, whose calls take longer than this.
func (c *check) awaitInFlight(ctx context.Context, n int) error {
	t, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	payments := florin.NewClient(t, florin.Options{})
	for range 200 {
		page, err := payments.List(ctx, payment.Filter{MerchantID: merchant, Statuses: []payment.Status{payment.Processing}})
		if err != nil {
			return err
		}
		if len(page.Payments) == n {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("the charges have not begun")
}

// replace runs a service as another project describes it.
func (c *check) replace(ctx context.Context, by *project, service string) error {
	if _, err := c.project.stop(ctx, service); err != nil {
		return err
	}
	if _, err := c.podman.run(ctx, "rm", c.project.container(service)); err != nil {
		return err
	}
	if err := by.create(ctx, by.Services[service]); err != nil {
		return err
	}
	return errors.Join(by.start(ctx, service), by.await(ctx, service, types.ServiceConditionHealthy))
}

// wrong starts services with mistakes that people make, and requires a message that a person understands.
func (c *check) wrong(ctx context.Context, source string) error {
	file := filepath.Join(source, "docker-compose.yml")
	override := func(name, content string) ([]string, error) {
		path := filepath.Join(c.dir, name)
		return []string{file, path}, os.WriteFile(path, []byte(content), 0o600)
	}
	for _, tt := range []struct {
		name, service, override string
		before                  func() (undo func() error, err error)
		want                    string
	}{
		{
			name: "a wrong password of the database", service: "worker", want: "password authentication failed",
			override: "services: {worker: {environment: {PGPASSWORD: wrong}, volumes: [" + c.dir + "/wrong:/secrets:ro]}}",
			before: func() (func() error, error) {
				dir := filepath.Join(c.dir, "wrong")
				if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the container reads it as another user
					return nil, err
				}
				return func() error { return nil }, os.WriteFile(filepath.Join(dir, "database-url"), //nolint:gosec // as above
					[]byte("postgres://florin_worker:wrong@postgresql:5432/florin?sslmode=disable"), 0o644)
			},
		},
		{
			name: "a missing API key", service: "worker", want: "SIMULATOR_API_KEY",
			override: `services: {worker: {environment: {SIMULATOR_API_KEY: ""}}}`,
		},
		{
			name: "a port that is in use", service: "simulator", want: "address already in use", override: "services: {}",
			before: func() (func() error, error) {
				listener, err := net.Listen("tcp", "127.0.0.1:8712") //nolint:noctx // closed below
				if err != nil {
					return nil, err
				}
				return listener.Close, nil
			},
		},
	} {
		files, err := override("wrong.yaml", tt.override+"\n")
		if err != nil {
			return err
		}
		mistaken, err := loadProject(ctx, c.podman, c.out, files)
		if err != nil {
			return err
		}
		if _, err := c.project.stop(ctx, tt.service); err != nil {
			return err
		}
		if _, err := c.podman.run(ctx, "rm", c.project.container(tt.service)); err != nil {
			return err
		}
		undo := func() error { return nil }
		if tt.before != nil {
			if undo, err = tt.before(); err != nil {
				return err
			}
		}
		said := c.saysOf(ctx, mistaken, tt.service, tt.want)
		if err := undo(); err != nil {
			return err
		}
		if !strings.Contains(said, tt.want) {
			return fmt.Errorf("%s: want a message with %q: %s", tt.name, tt.want, said)
		}
		fmt.Fprintf(c.out, "  %s: %s\n", tt.name, lastLine(said, tt.want))
		if _, err := c.podman.run(ctx, "rm", "--force", "--ignore", c.project.container(tt.service)); err != nil {
			return err
		}
		if err := errors.Join(c.project.create(ctx, c.project.Services[tt.service]), c.project.start(ctx, tt.service),
			c.project.await(ctx, tt.service, types.ServiceConditionHealthy)); err != nil {
			return err
		}
	}
	return nil
}

// saysOf creates and starts a service that does not work, and returns what it or podman says as soon as that contains want.
func (c *check) saysOf(ctx context.Context, p *project, service, want string) string {
	if err := p.create(ctx, p.Services[service]); err != nil {
		return err.Error()
	}
	if err := p.start(ctx, service); err != nil {
		return err.Error()
	}
	said := ""
	for range 60 {
		if said = p.logs(ctx, service); strings.Contains(said, want) {
			break
		}
		if pause(ctx, 500*time.Millisecond) != nil {
			break
		}
	}
	return said
}

// lastLine returns the last line of a text that contains a word.
func lastLine(text, word string) (last string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			last = strings.TrimSpace(line)
		}
	}
	return last
}
