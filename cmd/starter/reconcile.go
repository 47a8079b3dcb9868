package main

import "github.com/spf13/cobra"

func reconcileCommand() *cobra.Command {
	parent := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare what is stored with what processors have",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	addReconcileFile(parent)
	return parent
}
