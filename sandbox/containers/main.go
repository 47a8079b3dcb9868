// Command containers runs docker-compose.yml as it is, in real containers, and checks from outside that it works: it starts, charges and
// refunds, keeps its data, heals, and stops without losing anything. Images are not pulled: see standins/README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "containers:", err)
		os.Exit(1)
	}
}

// settings are the command's flags.
type settings struct {
	repository, dir string
	charges         int
	short           bool
}

func command() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:           "containers",
		Short:         "Run docker-compose.yml in real containers and check it from outside",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), cmd.OutOrStdout(), s) },
	}
	cmd.Flags().StringVar(&s.repository, "repository", "..", "root of the repository")
	cmd.Flags().StringVar(&s.dir, "dir", "", "directory for the images, which is kept: the next run does not build the stand-ins again; default: one that is deleted at the end")
	cmd.Flags().IntVar(&s.charges, "charges", 300, "number of charges under load")
	cmd.Flags().BoolVar(&s.short, "short", false, "leave out the second build and the wrong configurations")
	return cmd
}

func run(ctx context.Context, out io.Writer, s settings) (err error) {
	if err := requirements(); err != nil {
		return err
	}
	if s.repository, err = filepath.Abs(s.repository); err != nil {
		return err
	}
	keep := s.dir != ""
	if !keep {
		if s.dir, err = os.MkdirTemp("", "florin-containers-"); err != nil {
			return err
		}
	}
	p, err := newPodman(s.dir)
	if err != nil {
		return err
	}
	c := &check{settings: s, podman: p, out: out}
	defer func() {
		cleanup := context.WithoutCancel(ctx)
		err = errors.Join(err, c.close(cleanup))
		if !keep {
			_, removeErr := p.run(cleanup, "system", "reset", "--force")
			err = errors.Join(err, removeErr, os.RemoveAll(s.dir))
		}
	}()
	return c.all(ctx)
}
