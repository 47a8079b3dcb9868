package main

import (
	"bytes"
	"fmt"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// maxMessageSize is larger than any message that Temporal sends, in bytes.
const maxMessageSize = 128 << 20

// temporalProxy is the proxy between the worker and the Temporal server. It forwards the bytes of each call without decoding
// them, whatever the gRPC service is. It supports unary calls only: a worker makes no others.
type temporalProxy struct {
	trigger *trigger
	server  *grpc.ClientConn
}

// fastReconnect finds a restarted server within a fraction of a second.
var fastReconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
	MinConnectTimeout: time.Second,
}

// newTemporalProxy returns a proxy to the server at an address. The caller lets the proxy serve on a listener. stop closes
// the connection to the server.
func newTemporalProxy(t *trigger, address string) (proxy *grpc.Server, stop func() error, err error) {
	// The scheme passthrough skips name resolution: gRPC makes one connection, dialed when the first call needs it.
	server, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(fastReconnect),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(maxMessageSize)))
	if err != nil {
		return nil, nil, err
	}
	p := &temporalProxy{trigger: t, server: server}
	proxy = grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(p.serve),
		grpc.MaxRecvMsgSize(maxMessageSize))
	return proxy, server.Close, nil
}

func (p *temporalProxy) serve(_ any, stream grpc.ServerStream) error {
	method, ok := grpc.MethodFromServerStream(stream)
	if !ok {
		return status.Error(codes.Internal, "the call has no method")
	}
	var request, response []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	exchange := exchangeOf(path.Base(method), request)
	if err := p.trigger.reach(at(exchange, before), request); err != nil {
		return unavailable(err)
	}
	ctx := stream.Context()
	if headers, ok := metadata.FromIncomingContext(ctx); ok {
		ctx = metadata.NewOutgoingContext(ctx, forwarded(headers))
	}
	var header, trailer metadata.MD
	err := p.server.Invoke(ctx, method, &request, &response, grpc.Header(&header), grpc.Trailer(&trailer))
	if err == nil {
		if err := p.trigger.reach(at(exchange, after), request); err != nil {
			return unavailable(err)
		}
	}
	stream.SetTrailer(trailer)
	if err := stream.SetHeader(forwarded(header)); err != nil {
		return err
	}
	if err != nil {
		return err // Not wrapped: wrapping would change the status that the worker receives.
	}
	return stream.SendMsg(&response)
}

// unavailable returns the status that a caller receives when its connection breaks.
func unavailable(err error) error { return status.Error(codes.Unavailable, err.Error()) }

// forwarded returns a copy of the headers without those that belong to the connection.
func forwarded(headers metadata.MD) metadata.MD {
	kept := headers.Copy()
	for _, name := range []string{":authority", "content-type", "user-agent", "te", "grpc-accept-encoding"} {
		delete(kept, name)
	}
	return kept
}

// exchangeOf returns the name of a call in the matrix, or the method if it has none. Of the activities, only those that call
// the processor are in the matrix: their task tokens contain their activity types, which contain "Processor".
func exchangeOf(method string, request []byte) string {
	callsProcessor := bytes.Contains(request, []byte("Processor"))
	switch {
	case method == "RespondActivityTaskCompleted" && callsProcessor:
		return activityCompleted
	case method == "RespondActivityTaskFailed" && callsProcessor:
		return activityFailed
	case method == "RespondWorkflowTaskCompleted":
		return workflowTask
	default:
		return method
	}
}

// rawCodec passes messages as the bytes on the wire.
type rawCodec struct{}

// Name implements encoding.CodecV2. The name is that of the messages' real encoding.
func (rawCodec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (rawCodec) Marshal(message any) (mem.BufferSlice, error) {
	raw, ok := message.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("message of type %T: want *[]byte", message)
	}
	return mem.BufferSlice{mem.SliceBuffer(*raw)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (rawCodec) Unmarshal(data mem.BufferSlice, message any) error {
	raw, ok := message.(*[]byte)
	if !ok {
		return fmt.Errorf("message of type %T: want *[]byte", message)
	}
	*raw = data.Materialize()
	return nil
}
