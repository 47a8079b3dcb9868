package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

func historyCommand() *cobra.Command {
	parent := &cobra.Command{
		Use:   "history",
		Short: "Save the histories of payments, and see whether this version's code still does what they have",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	parent.AddCommand(exportCommand(), replayCommand())
	return parent
}

// selection says which workflows' histories are wanted.
type selection struct {
	merchant, key string
	isRefund      bool
	query         string
	limit         int
}

func (s *selection) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.merchant, "merchant", "", "who is paid")
	cmd.Flags().StringVar(&s.key, "key", "", "idempotency key of the charge or refund")
	cmd.Flags().BoolVar(&s.isRefund, "refund", false, "the key is a refund's")
	cmd.Flags().StringVar(&s.query, "query", "", `charges and refunds that Temporal finds, such as 'ExecutionStatus="Running"'`)
	cmd.Flags().IntVar(&s.limit, "limit", 0, "with --query, how many at most; all if left out")
}

func (s *selection) isEmpty() bool { return s.merchant == "" && s.key == "" && s.query == "" }

func (s *selection) check() error {
	switch {
	case s.query == "" && (s.merchant == "" || s.key == ""), s.query != "" && (s.merchant != "" || s.key != "" || s.isRefund):
		return usageError{errors.New("want --merchant and --key, or --query")}
	case s.limit < 0:
		return usageError{fmt.Errorf("--limit %d: must not be below 0", s.limit)}
	default:
		return nil
	}
}

// execution names one run of a workflow: another one may begin before its history is read.
type execution struct{ workflowID, runID string }

// each calls found for everything that is selected, and returns how many that were.
func (s *selection) each(cmd *cobra.Command, temporal client.Client, found func(execution) error) (n int, err error) {
	if s.query == "" {
		id := payment.ChargeWorkflowID(s.merchant, s.key)
		if s.isRefund {
			id = payment.RefundWorkflowID(s.merchant, s.key)
		}
		described, err := temporal.DescribeWorkflowExecution(cmd.Context(), id, "")
		var unknown *serviceerror.NotFound
		switch {
		case errors.As(err, &unknown):
			return 0, fmt.Errorf("workflow %s: %w", id, florin.ErrNotFound)
		case err != nil:
			return 0, fmt.Errorf("workflow %s: %w", id, err)
		default:
			return 1, found(named(described.GetWorkflowExecutionInfo()))
		}
	}
	request := &workflowservice.ListWorkflowExecutionsRequest{
		// Others may use the namespace, too.
		Query: fmt.Sprintf("(%s) AND WorkflowType IN ('%s', '%s')", s.query, payment.WorkflowCharge, payment.WorkflowRefund),
	}
	for {
		page, err := temporal.ListWorkflow(cmd.Context(), request)
		if err != nil {
			return n, fmt.Errorf("--query: %w", err)
		}
		for _, e := range page.GetExecutions() {
			if s.limit > 0 && n == s.limit {
				return n, nil
			}
			if err := found(named(e)); err != nil {
				return n, err
			}
			n++
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.GetNextPageToken()) == 0 {
			return n, nil
		}
	}
}

func named(e *workflowpb.WorkflowExecutionInfo) execution {
	return execution{e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId()}
}
