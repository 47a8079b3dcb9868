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
		Short: "Export workflow histories, and replay them against this build",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	parent.AddCommand(exportCommand(), replayCommand())
	return parent
}

// selection is the set of workflows whose histories are exported or replayed.
type selection struct {
	merchant, key string
	isRefund      bool
	query         string
	limit         int
}

func (s *selection) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.merchant, "merchant", "", "ID of the merchant")
	cmd.Flags().StringVar(&s.key, "key", "", "idempotency key of the charge or refund")
	cmd.Flags().BoolVar(&s.isRefund, "refund", false, "--key names a refund instead of a charge")
	cmd.Flags().StringVar(&s.query, "query", "",
		`select charges, refunds and rechecks by a Temporal list filter, such as 'ExecutionStatus="Running"'`)
	cmd.Flags().IntVar(&s.limit, "limit", 0, "with --query, maximum number of workflows; without it, all")
}

func (s *selection) isEmpty() bool { return s.merchant == "" && s.key == "" && s.query == "" }

func (s *selection) check() error {
	switch {
	case s.query == "" && (s.merchant == "" || s.key == ""),
		s.query != "" && (s.merchant != "" || s.key != "" || s.isRefund):
		return usageError{errors.New("use either --merchant and --key, or --query")}
	case s.limit < 0:
		return usageError{fmt.Errorf("--limit %d: must not be negative", s.limit)}
	default:
		return nil
	}
}

// execution identifies one run of a workflow. The run ID matters: a new run may start before the history is fetched.
type execution struct{ workflowID, runID string }

// each calls fn for every selected workflow run and returns their number. If the workflow of --merchant and --key does
// not exist, the error is florin.ErrNotFound.
func (s *selection) each(cmd *cobra.Command, temporal client.Client, fn func(execution) error) (n int, err error) {
	if s.query == "" {
		id := payment.ChargeWorkflowID(s.merchant, s.key)
		if s.isRefund {
			id = payment.RefundWorkflowID(s.merchant, s.key)
		}
		described, err := temporal.DescribeWorkflowExecution(cmd.Context(), id, "")
		var notFound *serviceerror.NotFound
		switch {
		case errors.As(err, &notFound):
			return 0, fmt.Errorf("workflow %s: %w", id, florin.ErrNotFound)
		case err != nil:
			return 0, fmt.Errorf("workflow %s: %w", id, err)
		default:
			return 1, fn(executionOf(described.GetWorkflowExecutionInfo()))
		}
	}
	request := &workflowservice.ListWorkflowExecutionsRequest{
		// The namespace may have workflows of other applications.
		Query: fmt.Sprintf("(%s) AND WorkflowType IN ('%s', '%s', '%s', '%s')",
			s.query, payment.WorkflowCharge, payment.WorkflowRefund, payment.WorkflowRecheck, payment.WorkflowBatch),
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
			if err := fn(executionOf(e)); err != nil {
				return n, err
			}
			n++
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.GetNextPageToken()) == 0 {
			return n, nil
		}
	}
}

func executionOf(e *workflowpb.WorkflowExecutionInfo) execution {
	return execution{workflowID: e.GetExecution().GetWorkflowId(), runID: e.GetExecution().GetRunId()}
}
