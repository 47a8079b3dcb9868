package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/chromedp"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/books"
)

// What docker-compose.yml publishes, and the API key that it gives the simulator.
const (
	temporalAddress = "127.0.0.1:7233"
	webURL          = "http://127.0.0.1:8233"
	simulatorURL    = "http://127.0.0.1:8712"
	workerURL       = "http://127.0.0.1:8711"
	simulatorKey    = "sim_dev_key"
	merchant        = "acme"
)

// check runs the services and looks at them from outside, as their users do.
type check struct {
	settings
	podman  *podman
	project *project
	out     io.Writer

	mu sync.Mutex
	// charges and refunds are those that have succeeded.
	charges []payment.Charge
	refunds []payment.Refund
	// restarts counts the containers that were killed or stopped, and run again.
	restarts int
}

// close removes the containers.
func (c *check) close(ctx context.Context) error {
	if c.project == nil {
		return nil
	}
	return c.project.down(ctx)
}

// source copies the files of the repository, without what is not checked in, so that the build can be repeated after a change.
func (c *check) source(ctx context.Context) (string, error) {
	to := filepath.Join(c.dir, "source")
	if err := os.RemoveAll(to); err != nil {
		return "", err
	}
	if err := os.MkdirAll(to, 0o755); err != nil { //nolint:gosec // containers read it as other users
		return "", err
	}
	copied := exec.CommandContext(ctx, "sh", "-c", `git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$0"`, to)
	copied.Dir = c.repository
	if output, err := copied.CombinedOutput(); err != nil {
		return "", fmt.Errorf("copying %s: %w: %s", c.repository, err, tail(string(output)))
	}
	return to, nil
}

// all runs all steps. The last line is a summary.
func (c *check) all(ctx context.Context) error {
	source, err := c.source(ctx)
	if err != nil {
		return err
	}
	files := []string{filepath.Join(source, "docker-compose.yml")}
	if c.project, err = loadProject(ctx, c.podman, c.out, files); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"build the images", func(ctx context.Context) error { return c.build(ctx, source) }},
		{"start all services and wait until they are healthy", c.up},
		{"charge and refund through the published ports", func(ctx context.Context) error { return c.pay(ctx, "first", 20) }},
		{"look at the pages", c.pages},
		{"charge under load, within the memory limits", c.load},
		{"kill the worker and the database meanwhile: they heal", c.kill},
		{"stop the worker with calls in flight: they finish", func(ctx context.Context) error { return c.stopInFlight(ctx, source) }},
		{"down, and up again: the payments are there", c.downAndUp},
		{"wrong configurations say what is wrong", func(ctx context.Context) error { return c.wrong(ctx, source) }},
	} {
		if c.short && strings.HasPrefix(s.name, "wrong") {
			continue
		}
		fmt.Fprintf(c.out, "%s …\n", s.name)
		began := time.Now()
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(c.out, "  %.0f s\n", time.Since(began).Seconds())
	}
	lost, err := c.lost(ctx)
	if err != nil {
		return err
	}
	healthy := 0
	for name, s := range c.project.Services {
		if s.HealthCheck != nil {
			if err := c.project.healthy(ctx, name); err != nil {
				return err
			}
			healthy++
		}
	}
	fmt.Fprintf(c.out, "\ncompose: services=%d healthy=%d charges=%d restarts=%d lost=%d\n", len(c.project.Services), healthy, len(c.charges), c.restarts, lost)
	if lost > 0 {
		return errors.New("payments were lost")
	}
	return nil
}

func (c *check) build(ctx context.Context, source string) error {
	b := &images{podman: c.podman, dir: c.dir, repository: source, out: c.out}
	if err := b.standIns(ctx, c.project.Project); err != nil {
		return err
	}
	took, err := b.own(ctx, c.project.Project)
	if err != nil {
		return err
	}
	var sizes []string
	for _, image := range []string{"florin:dev", "florin-simulator:dev"} {
		size, err := c.podman.run(ctx, "image", "inspect", "--format", "{{.Size}}", image)
		if err != nil {
			return err
		}
		bytes, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return err
		}
		sizes = append(sizes, fmt.Sprintf("%s %d MB", image, bytes>>20))
	}
	fmt.Fprintf(c.out, "  Florin's images: %.0f s, %s\n", took.Seconds(), strings.Join(sizes, ", "))
	if c.short {
		return nil
	}
	changed, err := os.OpenFile(filepath.Join(source, "cmd/worker/main.go"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = changed.WriteString("\n// A change.\n")
	if err := errors.Join(err, changed.Close()); err != nil {
		return err
	}
	if took, err = b.own(ctx, c.project.Project); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "  again, after a change of one line: %.0f s\n", took.Seconds())
	return nil
}

func (c *check) up(ctx context.Context) error {
	if err := errors.Join(c.project.down(ctx), c.project.removeVolumes(ctx)); err != nil { // of a run that was interrupted
		return err
	}
	return c.project.up(ctx)
}

// dial connects to Temporal as a service outside does.
func (c *check) dial(ctx context.Context) (client.Client, error) {
	return client.DialContext(ctx, client.Options{HostPort: temporalAddress, Logger: app.TemporalLogger(zap.NewNop())})
}

// pay charges n times and refunds half of the charges.
func (c *check) pay(ctx context.Context, name string, n int) error {
	t, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	payments := florin.NewClient(t, florin.Options{})
	for i := range n {
		key := fmt.Sprintf("%s-%d", name, i)
		charge, err := c.charge(ctx, payments, key)
		if err != nil {
			return err
		}
		if i%2 == 1 {
			continue
		}
		refund, err := payments.Refund(ctx, payment.RefundRequest{
			MerchantID: merchant, IdempotencyKey: key, PaymentID: charge.PaymentID, Reason: "compose check",
		})
		if err != nil || refund.Status != payment.Succeeded {
			return fmt.Errorf("refund %s: %s: %w", key, refund.Status, err)
		}
		c.refunds = append(c.refunds, refund)
	}
	return nil
}

// charge charges once, and repeats the call under the same key as long as it does not say what happened.
func (c *check) charge(ctx context.Context, payments *florin.Client, key string) (charge payment.Charge, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		charge, err = payments.Charge(ctx, payment.ChargeRequest{
			MerchantID: merchant, IdempotencyKey: key, Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
		})
		switch {
		case err == nil && charge.Status == payment.Succeeded:
			c.keep(charge)
			return charge, nil
		case err == nil && charge.Status.Final():
			return charge, fmt.Errorf("charge %s is %s", key, charge.Status)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			break
		}
	}
	return charge, fmt.Errorf("charge %s is %q: %w", key, charge.Status, err)
}

func (c *check) keep(charge payment.Charge) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.charges = append(c.charges, charge)
}

// chargeAll makes n charges, some at the same time.
func (c *check) chargeAll(ctx context.Context, name string, n, concurrency int) error {
	t, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	payments := florin.NewClient(t, florin.Options{})
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for i := range n {
		group.Go(func() error {
			_, err := c.charge(ctx, payments, fmt.Sprintf("%s-%d", name, i))
			return err
		})
	}
	return group.Wait()
}

// get returns the body of a page.
func get(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+simulatorKey) // only the simulator reads it
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", address, response.Status)
	}
	return string(body), err
}

// pages looks at the worker's health, at the simulator's page and, with a browser, at a payment in Temporal Web. It runs the starter in
// the worker's container, as the compose file says.
func (c *check) pages(ctx context.Context) error {
	for _, page := range []string{workerURL + "/healthz", workerURL + "/readyz", simulatorURL + "/healthz", simulatorURL + "/"} {
		if _, err := get(ctx, page); err != nil {
			return err
		}
	}
	help, err := c.podman.run(ctx, "exec", c.project.container("worker"), "starter", "get", "--merchant", merchant, "--key", "first-1")
	if err != nil || !strings.Contains(help, string(payment.Succeeded)) {
		return fmt.Errorf("starter get in the worker's container: %w: %s", err, help)
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		return errors.New("missing: install the Debian package chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.DisableGPU)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox does not work for root
	}
	ctx, cancel := chromedp.NewExecAllocator(ctx, options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil { // starts the browser, which ends with ctx
		return err
	}
	t, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	workflowID := payment.ChargeWorkflowID(merchant, "first-1")
	described, err := t.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return err
	}
	runID := described.GetWorkflowExecutionInfo().GetExecution().GetRunId()
	for _, page := range []struct{ path, text string }{
		{path: "", text: workflowID},
		{path: "/" + url.PathEscape(workflowID) + "/" + runID + "/history", text: "charge 12.50 USD via simulator, first attempt"},
	} {
		if err := sees(ctx, webURL+"/namespaces/default/workflows"+page.path, page.text); err != nil {
			return err
		}
	}
	return nil
}

// sees opens a page in a tab of the browser and waits until it shows the text.
func sees(tab context.Context, address, text string) error {
	ctx, cancel := context.WithTimeout(tab, 90*time.Second)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Navigate(address)); err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	_, err := chromedp.Run(ctx, chromedp.PollFunction[bool](
		`text => [document, ...[...document.querySelectorAll('iframe')].map(f => f.contentDocument)].some(d => d?.body?.textContent.includes(text))`, chromedp.WithPollingInterval(300*time.Millisecond), chromedp.WithPollingTimeout(0), chromedp.WithPollingArgs(text)))
	if err != nil {
		shown := ""
		if evaluated, evalErr := chromedp.Run(tab, chromedp.Evaluate[string](`document.body.textContent.replace(/\s+/g, ' ')`)); evalErr == nil {
			shown = evaluated
		}
		return fmt.Errorf("%s does not show %q: %w: %.1000s", address, text, err, shown)
	}
	return nil
}

// load charges concurrently and compares the most memory that each container has used with its limit.
func (c *check) load(ctx context.Context) error {
	if err := c.chargeAll(ctx, "load", c.settings.charges, 16); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.project.Services)) {
		limit := int64(c.project.Services[name].MemLimit)
		if limit == 0 {
			continue
		}
		used, err := c.memory(ctx, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "  memory of %-12s %4d MB of %4d MB\n", name, used>>20, limit>>20)
		if killed, err := c.podman.run(ctx, "inspect", "--format", "{{.State.OOMKilled}}", c.project.container(name)); err != nil || killed != "false" {
			return fmt.Errorf("%s was killed for its memory: %s %w", name, killed, err)
		}
	}
	return nil
}

// memory returns the bytes that the processes of a container use, without what the kernel caches for them.
func (c *check) memory(ctx context.Context, service string) (int64, error) {
	path, err := c.podman.run(ctx, "inspect", "--format", "{{.State.CgroupPath}}", c.project.container(service))
	if err != nil {
		return 0, err
	}
	// Version 1 of cgroups, and version 2.
	for _, file := range []struct{ name, field string }{
		{"/sys/fs/cgroup/memory" + path + "/memory.stat", "total_rss"}, {"/sys/fs/cgroup" + path + "/memory.stat", "anon"},
	} {
		content, err := os.ReadFile(file.name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(content)) {
			if fields := strings.Fields(line); len(fields) == 2 && fields[0] == file.field {
				return strconv.ParseInt(fields[1], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("no memory.stat of %s", service)
}

func (c *check) pid(ctx context.Context, service string) (int, error) {
	out, err := c.podman.run(ctx, "inspect", "--format", "{{.State.Pid}}", c.project.container(service))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}

// ledger returns the simulator's record of what was executed.
func (c *check) ledger(ctx context.Context) (ledger simulator.Ledger, err error) {
	body, err := get(ctx, simulatorURL+"/ledger")
	if err != nil {
		return ledger, err
	}
	return ledger, json.Unmarshal([]byte(body), &ledger)
}

// downAndUp removes all containers and creates them again, with the volumes.
func (c *check) downAndUp(ctx context.Context) error {
	if err := c.project.down(ctx); err != nil {
		return err
	}
	if err := c.project.up(ctx); err != nil {
		return err
	}
	return c.pay(ctx, "second", 10)
}

// lost reads every payment again and compares all with the simulator's ledger.
func (c *check) lost(ctx context.Context) (int, error) {
	t, err := c.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer t.Close()
	payments := florin.NewClient(t, florin.Options{})
	now := make([]payment.Charge, len(c.charges))
	for i, charge := range c.charges {
		if now[i], err = payments.Get(ctx, merchant, charge.IdempotencyKey); err != nil {
			return 0, err
		}
	}
	ledger, err := c.ledger(ctx)
	if err != nil {
		return 0, err
	}
	compared := books.Compare(now, c.refunds, ledger)
	for _, difference := range compared.Differences {
		fmt.Fprintln(c.out, "  lost:", difference)
	}
	return len(compared.Differences), nil
}
