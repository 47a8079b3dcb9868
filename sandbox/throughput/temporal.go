package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/sandbox/environment"
)

// temporalCommand runs the Temporal server. The benchmark starts its own binary with it, so that it can measure the CPU time of
// the server separately.
func temporalCommand() *cobra.Command {
	var port int
	var postgres string
	cmd := &cobra.Command{
		Use:    "temporal",
		Short:  "Run a Temporal server in memory or on PostgreSQL, until standard input is closed",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stop, err := startTemporal(cmd.Context(), port, postgres)
			if err != nil {
				return err
			}
			_, _ = cmd.InOrStdin().Read(make([]byte, 1)) // Returns when the parent process closes the pipe or exits.
			return stop()
		},
	}
	cmd.Flags().IntVar(&port, "port", 0, "port of the frontend")
	cmd.Flags().StringVar(&postgres, "postgres", "",
		"directory of the socket of an empty PostgreSQL; default: keep everything in memory")
	return cmd
}

// startTemporal starts a server in this process.
func startTemporal(ctx context.Context, port int, postgres string) (stop func() error, err error) {
	if postgres != "" {
		return environment.StartTemporalOnPostgres(ctx, port, postgres, zap.NewNop(), namespaces...)
	}
	return environment.StartTemporal(ctx, port, "", zap.NewNop(), namespaces...)
}

// server is the process of the Temporal server.
type server struct {
	cmd     *exec.Cmd
	address string
	// stop stops the process and waits until it has exited.
	stop func() error
}

// startServer starts a server. postgres is the directory of the socket of an empty PostgreSQL; if it is empty, the server keeps
// everything in memory.
func startServer(ctx context.Context, postgres string) (*server, error) {
	ports, err := environment.FreePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx),
		self, "temporal", "--port", strconv.Itoa(ports[0]), "--postgres", postgres)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, address: fmt.Sprintf("127.0.0.1:%d", ports[0])}
	s.stop = func() error { return errors.Join(stdin.Close(), cmd.Wait()) }
	for began := time.Now(); ; {
		err := ready(ctx, s.address)
		if err == nil {
			return s, nil
		}
		if time.Since(began) > time.Minute {
			return nil, errors.Join(fmt.Errorf("the Temporal server is not ready: %w: %s", err, log.String()), s.stop())
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), s.stop())
		}
	}
}

// dial connects to a Temporal server.
func dial(ctx context.Context, address string, options client.Options) (client.Client, error) {
	options.HostPort, options.Logger = address, app.TemporalLogger(zap.NewNop())
	return client.DialContext(ctx, options)
}

// ready returns an error until the server has its default namespace.
func ready(ctx context.Context, address string) error {
	temporal, err := dial(ctx, address, client.Options{})
	if err != nil {
		return err
	}
	defer temporal.Close()
	return app.CheckNamespace(ctx, temporal, client.DefaultNamespace)
}

// cpu returns the CPU time that the server has used so far, on all cores.
func (s *server) cpu() (time.Duration, error) { return cpuOf(strconv.Itoa(s.cmd.Process.Pid)) }

// ownCPU returns the CPU time that this process has used so far.
func ownCPU() (time.Duration, error) { return cpuOf("self") }

// cpuOf reads the CPU time of a process from /proc, which exists on Linux only.
func cpuOf(process string) (time.Duration, error) {
	path := "/proc/" + process + "/stat"
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	// Skip the name, which may contain spaces and parentheses. The next field is 3, the state. utime is field 14 and stime 15,
	// in ticks of 10 ms.
	fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s has %d fields after the name: want at least 13", path, len(fields))
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
