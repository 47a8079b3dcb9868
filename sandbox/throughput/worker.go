package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/sandbox/environment"
	"github.com/florinpay/florin/sandbox/process"
	"github.com/florinpay/florin/worker"
)

// usage is what a worker process uses.
type usage struct {
	// CPU is the time on all cores since its start.
	CPU time.Duration `json:"cpu"`
	// Heap are the bytes in use, with the stacks of goroutines. Resident are those that the system has given to
	// the process, without what it has read from files, such as its program; they include what the garbage collector will free.
	Heap     uint64 `json:"heap"`
	Resident uint64 `json:"resident"`
	// Goroutines is their number.
	Goroutines int `json:"goroutines"`
}

// workerCommand runs a worker as cmd/worker does. The benchmark starts its own binary with it, so that it can measure the worker
// separately, by HTTP: GET /usage returns a [usage], after a garbage collection with ?collect, and GET /heap a profile for go tool pprof.
func workerCommand() *cobra.Command {
	var config, listen string
	cmd := &cobra.Command{
		Use: "worker", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			listener, err := app.Listen(cmd.Context(), listen, "--listen")
			if err != nil {
				return err
			}
			mux := http.NewServeMux()
			mux.HandleFunc("GET /usage", serveUsage)
			mux.HandleFunc("GET /heap", func(w http.ResponseWriter, _ *http.Request) { _ = pprof.Lookup("heap").WriteTo(w, 0) })
			measuring := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
			group, ctx := errgroup.WithContext(cmd.Context())
			group.Go(func() error {
				if err := measuring.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
					return err
				}
				return nil
			})
			group.Go(func() error {
				return errors.Join(worker.Run(ctx, worker.Options{ConfigFile: config}), measuring.Close())
			})
			return group.Wait()
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file")
	cmd.Flags().StringVar(&listen, "listen", "", "address for the measurements")
	return cmd
}

func serveUsage(w http.ResponseWriter, r *http.Request) {
	var u usage
	var spent syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &spent)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	u.CPU = time.Duration(spent.Utime.Nano() + spent.Stime.Nano())
	if u.Resident, err = anonymous(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if r.URL.Query().Has("collect") {
		for range 2 { // what has a finalizer, or is in a sync.Pool, is freed by the second one
			runtime.GC()
		}
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	u.Heap, u.Goroutines = memory.HeapAlloc+memory.StackInuse, runtime.NumGoroutine()
	_ = json.NewEncoder(w).Encode(u)
}

// anonymous returns the resident bytes of this process that are not from files. Like [cpuOf], it needs Linux.
func anonymous() (uint64, error) {
	const path, field = "/proc/self/status", "RssAnon:"
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(content), field)
	var kilobytes uint64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		return 0, fmt.Errorf("%s has no %s: %w", path, field, err)
	}
	return kilobytes << 10, nil
}

// workerProcess is a worker in a process of its own.
type workerProcess struct {
	url string
	log string
}

// startWorker starts a worker of a namespace and returns once it is ready.
func (b *testbed) startWorker(ctx context.Context, namespace string, c config.Config) (*workerProcess, error) {
	ports, err := environment.FreePorts(ctx, 2)
	if err != nil {
		return nil, err
	}
	c.Health.Listen = fmt.Sprintf("127.0.0.1:%d", ports[0])
	c.Log.Level = "warn"
	content, err := c.YAML()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(b.dir, namespace+".yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	listen := fmt.Sprintf("127.0.0.1:%d", ports[1])
	w := &workerProcess{url: "http://" + listen, log: filepath.Join(b.dir, namespace+".log")}
	p := &process.Process{
		Name: namespace, Dir: b.dir, Arguments: []string{self, "worker", "--config", path, "--listen", listen},
		Env: []string{"TEMPORAL_ADDRESS=" + b.temporal.address, "TEMPORAL_NAMESPACE=" + namespace},
		Ready: func(ctx context.Context) error {
			_, err := get(ctx, "http://"+c.Health.Listen+"/readyz")
			return err
		},
	}
	if err := p.Start(ctx); err != nil {
		return nil, errors.Join(err, w.logged())
	}
	b.onClose(p.Stop)
	return w, nil
}

// usage measures the process, after a garbage collection if collect is set.
func (w *workerProcess) usage(ctx context.Context, collect bool) (u usage, err error) {
	path := "/usage"
	if collect {
		path += "?collect"
	}
	content, err := get(ctx, w.url+path)
	if err != nil {
		return u, errors.Join(err, w.logged())
	}
	return u, json.Unmarshal(content, &u)
}

// profile writes a heap profile.
func (w *workerProcess) profile(ctx context.Context, path string) error {
	content, err := get(ctx, w.url+"/heap")
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

// logged returns the log of the process as an error.
func (w *workerProcess) logged() error {
	content, err := os.ReadFile(w.log)
	if err != nil {
		return err
	}
	return fmt.Errorf("log of the worker: %s", content)
}

func get(ctx context.Context, url string) (body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", url, response.StatusCode, body)
	}
	return body, err
}
