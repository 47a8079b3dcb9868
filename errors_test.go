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

// gRPC may know of a deadline before the caller's context says so: here the context never ends.
func TestACallThatRanOutOfTimeSaysSoHoweverItIsTold(t *testing.T) {
	late := client.NewWorkflowUpdateServiceTimeoutOrCanceledError
	for name, tt := range map[string]struct{ err, want error }{
		"an update, by Temporal's error":   {late(serviceerror.NewDeadlineExceeded("context deadline exceeded")), context.DeadlineExceeded},
		"an update, by gRPC's":             {late(status.Error(codes.DeadlineExceeded, "context deadline exceeded")), context.DeadlineExceeded},
		"an update that was cancelled":     {late(serviceerror.NewCanceled("context canceled")), context.Canceled},
		"a query, by Temporal's error":     {serviceerror.NewDeadlineExceeded("context deadline exceeded"), context.DeadlineExceeded},
		"a query, by gRPC's":               {status.Error(codes.DeadlineExceeded, "context deadline exceeded"), context.DeadlineExceeded},
		"a query that was cancelled":       {status.Error(codes.Canceled, "context canceled"), context.Canceled},
		"a context's own error, unwrapped": {context.DeadlineExceeded, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			got := translate(context.Background(), tt.err, "charge/acme/order-1")
			require.ErrorIs(t, got, ErrOutcomePending)
			require.ErrorIs(t, got, tt.want)
			require.ErrorContains(t, got, "charge/acme/order-1")
		})
	}
}

func TestTheCallersOwnReasonForStoppingIsKept(t *testing.T) {
	ctx, stop := context.WithCancelCause(context.Background())
	reason := errors.New("the shop is closing")
	stop(reason)
	got := translate(ctx, serviceerror.NewCanceled("context canceled"), "w")
	require.ErrorIs(t, got, reason)
	require.ErrorIs(t, got, ErrOutcomePending)
}

func TestAnyOtherErrorIsNotTakenForOneOfTime(t *testing.T) {
	for _, err := range []error{errors.New("x"), serviceerror.NewUnavailable("x"), serviceerror.NewInternal("x")} {
		got := translate(context.Background(), err, "w")
		require.ErrorIs(t, got, err)
		require.NotErrorIs(t, got, ErrOutcomePending)
	}
}
