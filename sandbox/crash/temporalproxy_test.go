package main

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// temporalBehind serves calls behind the proxy, and returns a connection to the proxy.
func temporalBehind(t *testing.T, g *gate, handler grpc.StreamHandler) *grpc.ClientConn {
	t.Helper()
	target, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	require.NoError(t, err)
	server := grpc.NewServer(grpc.ForceServerCodecV2(verbatim{}), grpc.UnknownServiceHandler(handler))
	go func() { _ = server.Serve(target) }()
	t.Cleanup(server.Stop)
	d, err := newDoor(t.Context(), net.JoinHostPort(loopback, "0"))
	require.NoError(t, err)
	proxy, disconnect, err := newTemporalProxy(g, target.Addr().String())
	require.NoError(t, err)
	go func() { _ = proxy.Serve(d) }()
	t.Cleanup(func() { proxy.Stop(); require.NoError(t, disconnect()) })
	conn, err := grpc.NewClient(d.address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(verbatim{})))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

func invoke(ctx context.Context, conn *grpc.ClientConn, method, request string) (string, error) {
	raw, answer := []byte(request), []byte(nil)
	err := conn.Invoke(ctx, "/temporal.api.workflowservice.v1.WorkflowService/"+method, &raw, &answer)
	return string(answer), err
}

func TestARequestToTemporalIsStruckWhereItSays(t *testing.T) {
	for _, tt := range []struct{ what, method, request string }{
		{activityCompleted, "RespondActivityTaskCompleted", "… ProcessorCharge …"},
		{activityFailed, "RespondActivityTaskFailed", "… ProcessorLookup …"},
		{workflowTask, "RespondWorkflowTaskCompleted", "…"},
	} {
		for _, when := range []point{before, after} {
			t.Run(string(at(tt.what, when)), func(t *testing.T) {
				var g gate
				var handled, handledAtDeath atomic.Int32
				conn := temporalBehind(t, &g, func(_ any, stream grpc.ServerStream) error {
					handled.Add(1)
					raw := []byte("done")
					return stream.SendMsg(&raw)
				})
				s := armed(t, &g, at(tt.what, when), func() { handledAtDeath.Store(handled.Load()) })
				for _, other := range []string{"PollWorkflowTaskQueue", "RespondWorkflowTaskFailed", "RecordActivityTaskHeartbeat"} {
					said, err := invoke(t.Context(), conn, other, tt.request)
					require.NoError(t, err)
					require.Equal(t, "done", said)
					handled.Add(-1)
				}
				_, err := invoke(t.Context(), conn, tt.method, tt.request)
				require.Equal(t, codes.Unavailable, status.Code(err))
				require.True(t, s.struck())
				require.Equal(t, tt.request, string(s.held))
				want := map[point]int32{before: 0, after: 1}[when]
				require.Equal(t, want, handledAtDeath.Load())
				require.Equal(t, want, handled.Load())
			})
		}
	}
}

func TestActivitiesThatCallNoProcessorAreLeftAlone(t *testing.T) {
	require.NotEqual(t, activityCompleted, named("RespondActivityTaskCompleted", []byte("… GetPayment …")))
}

func TestWhatTemporalSaysComesThroughAsItIs(t *testing.T) {
	var g gate
	conn := temporalBehind(t, &g, func(_ any, stream grpc.ServerStream) error {
		headers, _ := metadata.FromIncomingContext(stream.Context())
		if err := stream.SetHeader(metadata.Pairs("heard", headers.Get("said")[0])); err != nil {
			return err
		}
		return status.Error(codes.NotFound, "no such workflow")
	})
	raw, answer, header := []byte("x"), []byte(nil), metadata.MD{}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "said", "hello")
	err := conn.Invoke(ctx, "/any.Service/Method", &raw, &answer, grpc.Header(&header))
	require.Equal(t, codes.NotFound, status.Code(err))
	require.Equal(t, "no such workflow", status.Convert(err).Message())
	require.Equal(t, []string{"hello"}, header.Get("heard"))
}
