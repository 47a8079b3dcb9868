package workercli

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
)

func configCommand() *cobra.Command {
	parent := &cobra.Command{
		Use:   "config",
		Short: "Check and print configuration files; docs/configuration.md describes every key",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	parent.AddCommand(checkConfigCommand(), printConfigCommand())
	return parent
}

func checkConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Report every problem of a configuration file",
		Long: `Report every problem of a configuration file, one per line, on standard error. The exit code is 1 if there
is a problem. Secrets are not read, and no connection is opened.

Values are checked against their bounds once all of them can be read.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("want one FILE, as in: worker config check worker.yaml")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := loadConfig(cmd, args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", args[0])
			return err
		},
	}
}

func printConfigCommand() *cobra.Command {
	var defaults bool
	command := &cobra.Command{
		Use:   "print [FILE | --defaults]",
		Short: "Print a configuration file with every default filled in",
		Long: `Print a configuration file with every default filled in. The output is a configuration file of the same meaning.
Texts and lists that are not set are omitted. Secrets are not read: the output contains where they are.`,
		Args: func(_ *cobra.Command, args []string) error {
			if defaults && len(args) > 0 || !defaults && len(args) != 1 {
				return errors.New("want either one FILE or --defaults")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c := config.Defaults(app.BuiltIn, "rest")
			if !defaults {
				var err error
				if c, err = loadConfig(cmd, args[0]); err != nil {
					return err
				}
			}
			text, err := c.YAML()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	command.Flags().BoolVar(&defaults, "defaults", false,
		"print the defaults, with one processor named example of adapter rest, which still needs base_url and api_key")
	return command
}

// loadConfig loads a configuration file. It prints each problem as one line on standard error.
func loadConfig(cmd *cobra.Command, path string) (config.Config, error) {
	c, err := config.Load(path, app.BuiltIn)
	var unreadable *fs.PathError
	if err == nil || errors.As(err, &unreadable) {
		return c, err
	}
	problems := config.Problems(err)
	for _, problem := range problems {
		fmt.Fprintln(cmd.ErrOrStderr(), problem)
	}
	if len(problems) == 1 {
		return c, fmt.Errorf("%s has 1 problem", path)
	}
	return c, fmt.Errorf("%s has %d problems", path, len(problems))
}
