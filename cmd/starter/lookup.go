package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

func lookupCommand() *cobra.Command {
	var s subject
	cmd := &cobra.Command{
		Use:   "lookup",
		Short: "Have the workflow of a payment, or with --refund of a refund, look it up at its processor now, as an event of the processor does",
		Long: `Have the workflow of a payment, or with --refund of a refund, look it up at its processor now, as an event of the processor does.

The workflow adopts what the processor has; starter get prints that afterwards. It makes one such lookup at a time, with growing
pauses. What is final has no running workflow: for that, use starter get --ask-processor.

If the workers require proofs, the command needs --token-file with the role service or operator. Without one, the workflow ignores it.`,
		Example: `  starter lookup --merchant acme --key order-1
  starter lookup --refund-id ref_0f4f1f0a-6a3b-5a0e-9d35-0f1a7c9b2e64`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(); err != nil {
				return err
			}
			client, processors, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			if err := s.identify(cmd.Context(), client); err != nil {
				return err
			}
			workflowID := payment.ChargeWorkflowID(s.merchant, s.key)
			if s.isRefund {
				workflowID = payment.RefundWorkflowID(s.merchant, s.key)
			}
			event := payment.ProcessorEvent{Type: "starter lookup"}
			err = processors.temporal.SignalWorkflow(cmd.Context(), workflowID, "", payment.SignalProcessorEvent, event)
			var missing *serviceerror.NotFound
			if errors.As(err, &missing) {
				return fmt.Errorf("workflow %s: %w, or it is final: use starter get --ask-processor", workflowID, florin.ErrNotFound)
			}
			if err != nil {
				return fmt.Errorf("workflow %s: %w", workflowID, err)
			}
			if wantsJSON(cmd) {
				return printJSON(cmd.OutOrStdout(), map[string]string{"workflow_id": workflowID})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "workflow %s was asked to look it up\n", workflowID)
			return err
		},
	}
	s.flags(cmd, true)
	return cmd
}
