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

// serveTemporalProxy serves a gRPC handler behind the proxy. It returns a connection to the proxy.
func serveTemporalProxy(t *testing.T, trigger *trigger, handler grpc.StreamHandler) *grpc.ClientConn {
	t.Helper()
	target, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	require.NoError(t, err)
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(handler))
	go func() { _ = server.Serve(target) }()
	t.Cleanup(server.Stop)
	l, err := newProxyListener(t.Context(), net.JoinHostPort(loopback, "0"))
	require.NoError(t, err)
	proxy, disconnect, err := newTemporalProxy(trigger, target.Addr().String())
	require.NoError(t, err)
	go func() { _ = proxy.Serve(l) }()
	t.Cleanup(func() { proxy.Stop(); require.NoError(t, disconnect()) })
	conn, err := grpc.NewClient(l.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

func invoke(ctx context.Context, conn *grpc.ClientConn, method, request string) (string, error) {
	raw, response := []byte(request), []byte(nil)
	err := conn.Invoke(ctx, "/temporal.api.workflowservice.v1.WorkflowService/"+method, &raw, &response)
	return string(response), err
}

func TestVictimIsKilledAtThePointOfARequestToTemporal(t *testing.T) {
	for _, tt := range []struct{ exchange, method, request string }{
		{exchange: activityCompleted, method: "RespondActivityTaskCompleted", request: "… ProcessorCharge …"},
		{exchange: activityFailed, method: "RespondActivityTaskFailed", request: "… ProcessorLookup …"},
		{exchange: workflowTask, method: "RespondWorkflowTaskCompleted", request: "…"},
	} {
		for _, moment := range []point{before, after} {
			t.Run(string(at(tt.exchange, moment)), func(t *testing.T) {
				var trigger trigger
				var handled, handledAtKill atomic.Int32
				conn := serveTemporalProxy(t, &trigger, func(_ any, stream grpc.ServerStream) error {
					handled.Add(1)
					raw := []byte("done")
					return stream.SendMsg(&raw)
				})
				k := armKill(t, &trigger, at(tt.exchange, moment), func() { handledAtKill.Store(handled.Load()) })
				for _, other := range []string{"PollWorkflowTaskQueue", "RespondWorkflowTaskFailed", "RecordActivityTaskHeartbeat"} {
					response, err := invoke(t.Context(), conn, other, tt.request)
					require.NoError(t, err)
					require.Equal(t, "done", response)
					handled.Add(-1)
				}
				_, err := invoke(t.Context(), conn, tt.method, tt.request)
				require.Equal(t, codes.Unavailable, status.Code(err))
				require.True(t, k.succeeded())
				require.Equal(t, tt.request, string(k.message))
				want := map[point]int32{before: 0, after: 1}[moment]
				require.Equal(t, want, handledAtKill.Load())
				require.Equal(t, want, handled.Load())
			})
		}
	}
}

func TestActivitiesThatDoNotCallTheProcessorAreNotInTheMatrix(t *testing.T) {
	require.NotEqual(t, activityCompleted, exchangeOf("RespondActivityTaskCompleted", []byte("… GetPayment …")))
}

func TestHeadersAndStatusOfTemporalAreForwardedUnchanged(t *testing.T) {
	var trigger trigger
	conn := serveTemporalProxy(t, &trigger, func(_ any, stream grpc.ServerStream) error {
		headers, _ := metadata.FromIncomingContext(stream.Context())
		if err := stream.SetHeader(metadata.Pairs("response-header", headers.Get("request-header")[0])); err != nil {
			return err
		}
		return status.Error(codes.NotFound, "no such workflow")
	})
	raw, response, header := []byte("x"), []byte(nil), metadata.MD{}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "request-header", "hello")
	err := conn.Invoke(ctx, "/any.Service/Method", &raw, &response, grpc.Header(&header))
	require.Equal(t, codes.NotFound, status.Code(err))
	require.Equal(t, "no such workflow", status.Convert(err).Message())
	require.Equal(t, []string{"hello"}, header.Get("response-header"))
}
