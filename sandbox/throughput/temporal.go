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

// temporalCommand is this program as the Temporal server of another one, so that its CPU time can be told from ours.
func temporalCommand() *cobra.Command {
	var port int
	var postgres string
	cmd := &cobra.Command{
		Use:    "temporal",
		Short:  "Run a Temporal server in memory or on a PostgreSQL, until standard input ends",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stop, err := startTemporal(cmd.Context(), port, postgres)
			if err != nil {
				return err
			}
			_, _ = cmd.InOrStdin().Read(make([]byte, 1)) // its end is the end of who started this
			return stop()
		},
	}
	cmd.Flags().IntVar(&port, "port", 0, "port of the frontend")
	cmd.Flags().StringVar(&postgres, "postgres", "", "directory of the socket of a new PostgreSQL")
	return cmd
}

func startTemporal(ctx context.Context, port int, postgres string) (stop func() error, err error) {
	if postgres != "" {
		return environment.StartTemporalOnPostgres(ctx, port, postgres, zap.NewNop(), namespaces...)
	}
	return environment.StartTemporal(ctx, port, "", zap.NewNop(), namespaces...)
}

// server is the Temporal server's process.
type server struct {
	cmd     *exec.Cmd
	address string
	end     func() error
}

// startServer starts it in memory, or on a new PostgreSQL whose socket is in the directory.
func startServer(ctx context.Context, postgres string) (*server, error) {
	ports, err := environment.FreePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self, "temporal", "--port", strconv.Itoa(ports[0]), "--postgres", postgres)
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
	s.end = func() error { return errors.Join(stdin.Close(), cmd.Wait()) }
	for began := time.Now(); ; {
		err := ready(ctx, s.address)
		if err == nil {
			return s, nil
		}
		if time.Since(began) > time.Minute {
			return nil, errors.Join(fmt.Errorf("the Temporal server does not answer: %w: %s", err, log.String()), s.end())
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), s.end())
		}
	}
}

func dial(ctx context.Context, address string, options client.Options) (client.Client, error) {
	options.HostPort, options.Logger = address, app.TemporalLogger(zap.NewNop())
	return client.DialContext(ctx, options)
}

func ready(ctx context.Context, address string) error {
	temporal, err := dial(ctx, address, client.Options{})
	if err != nil {
		return err
	}
	defer temporal.Close()
	return app.CheckNamespace(ctx, temporal, client.DefaultNamespace)
}

// cpu is the time that the server has worked so far, on all cores.
func (s *server) cpu() (time.Duration, error) { return cpuOf(strconv.Itoa(s.cmd.Process.Pid)) }

// ownCPU is the same of this process.
func ownCPU() (time.Duration, error) { return cpuOf("self") }

func cpuOf(process string) (time.Duration, error) {
	path := "/proc/" + process + "/stat"
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	// After the name, which may hold anything: state is field 3, utime 14 and stime 15, in ticks of 10 ms.
	fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s has %d fields", path, len(fields))
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
