package florin

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// gRPC may notice a deadline before the caller's context does. In this test the context is never done.
func TestEveryErrorOfADeadlineIsErrOutcomePending(t *testing.T) {
	updateError := client.NewWorkflowUpdateServiceTimeoutOrCanceledError
	for name, tt := range map[string]struct{ err, want error }{
		"deadline of an update, from Temporal": {
			err:  updateError(serviceerror.NewDeadlineExceeded("context deadline exceeded")),
			want: context.DeadlineExceeded,
		},
		"deadline of an update, from gRPC": {
			err:  updateError(status.Error(codes.DeadlineExceeded, "context deadline exceeded")),
			want: context.DeadlineExceeded,
		},
		"canceled update": {
			err: updateError(serviceerror.NewCanceled("context canceled")), want: context.Canceled,
		},
		"deadline of a query, from Temporal": {
			err:  serviceerror.NewDeadlineExceeded("context deadline exceeded"),
			want: context.DeadlineExceeded,
		},
		"deadline of a query, from gRPC": {
			err:  status.Error(codes.DeadlineExceeded, "context deadline exceeded"),
			want: context.DeadlineExceeded,
		},
		"canceled query":     {err: status.Error(codes.Canceled, "context canceled"), want: context.Canceled},
		"error of a context": {err: context.DeadlineExceeded, want: context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			got := translate(context.Background(), tt.err, "charge/acme/order-1")
			require.ErrorIs(t, got, ErrOutcomePending)
			require.ErrorIs(t, got, tt.want)
			require.ErrorContains(t, got, "charge/acme/order-1")
		})
	}
}

func TestCauseOfACanceledContextIsReturned(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("the service is shutting down")
	cancel(cause)
	got := translate(ctx, serviceerror.NewCanceled("context canceled"), "w")
	require.ErrorIs(t, got, cause)
	require.ErrorIs(t, got, ErrOutcomePending)
}

func TestAnyOtherErrorIsNotErrOutcomePending(t *testing.T) {
	for _, err := range []error{errors.New("x"), serviceerror.NewUnavailable("x"), serviceerror.NewInternal("x")} {
		got := translate(context.Background(), err, "w")
		require.ErrorIs(t, got, err)
		require.NotErrorIs(t, got, ErrOutcomePending)
	}
}

func TestWorkflowWhoseTasksFailHasNoOutcomeYet(t *testing.T) {
	notReady := serviceerror.NewWorkflowNotReady("Unable to query workflow due to Workflow Task in failed state.")
	got := translate(t.Context(), notReady, "charge/acme/order-1")
	require.ErrorIs(t, got, ErrOutcomePending)
	require.ErrorContains(t, got, "Workflow Task in failed state", "the reason")
}
