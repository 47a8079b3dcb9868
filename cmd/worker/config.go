package main

import (
	"fmt"

	"github.com/goccy/go-yaml"
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
	parent.AddCommand(&cobra.Command{
		Use:   "check FILE",
		Short: "Report everything that is wrong with FILE; secrets are not read, and nothing is connected to",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := config.Load(args[0], app.BuiltIn); err != nil {
				return fmt.Errorf("configuration: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", args[0])
			return nil
		},
	}, printConfigCommand())
	return parent
}

func printConfigCommand() *cobra.Command {
	var defaults bool
	command := &cobra.Command{
		Use:   "print [FILE]",
		Short: "Print FILE with every default filled in, or with --defaults a configuration of nothing but defaults",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if defaults == (len(args) == 1) {
				return fmt.Errorf("want either FILE or --defaults")
			}
			c, err := config.Defaults(app.BuiltIn), error(nil)
			if !defaults {
				if c, err = config.Load(args[0], app.BuiltIn); err != nil {
					return fmt.Errorf("configuration: %w", err)
				}
			}
			text, err := yaml.MarshalWithOptions(c, yaml.OmitEmpty(), yaml.UseLiteralStyleIfMultiline(true))
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	command.Flags().BoolVar(&defaults, "defaults", false, "print the defaults")
	return command
}
