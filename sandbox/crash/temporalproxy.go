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

// largestMessage is above anything that Temporal sends.
const largestMessage = 128 << 20

// temporalProxy is between the worker and the Temporal server. It passes on the bytes of every call of whatever service;
// a worker makes none that streams.
type temporalProxy struct {
	gate   *gate
	server *grpc.ClientConn
}

// quickly finds a server that was restarted.
var quickly = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
	MinConnectTimeout: time.Second,
}

// newTemporalProxy serves what a caller listens for; stop closes the connections to the server.
func newTemporalProxy(g *gate, address string) (proxy *grpc.Server, stop func() error, err error) {
	// passthrough: one connection, dialed at once when it is needed.
	server, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(quickly),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(verbatim{}), grpc.MaxCallRecvMsgSize(largestMessage)))
	if err != nil {
		return nil, nil, err
	}
	p := &temporalProxy{gate: g, server: server}
	return grpc.NewServer(grpc.ForceServerCodecV2(verbatim{}), grpc.UnknownServiceHandler(p.serve), grpc.MaxRecvMsgSize(largestMessage)), server.Close, nil
}

func (p *temporalProxy) serve(_ any, stream grpc.ServerStream) error {
	method, ok := grpc.MethodFromServerStream(stream)
	if !ok {
		return status.Error(codes.Internal, "a call without a method")
	}
	var request, answer []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	what := named(path.Base(method), request)
	if err := p.gate.pass(at(what, before), request); err != nil {
		return dropped(err)
	}
	ctx := stream.Context()
	if headers, ok := metadata.FromIncomingContext(ctx); ok {
		ctx = metadata.NewOutgoingContext(ctx, passedOn(headers))
	}
	var header, trailer metadata.MD
	err := p.server.Invoke(ctx, method, &request, &answer, grpc.Header(&header), grpc.Trailer(&trailer))
	if err == nil {
		if err := p.gate.pass(at(what, after), request); err != nil {
			return dropped(err)
		}
	}
	stream.SetTrailer(trailer)
	if err := stream.SetHeader(passedOn(header)); err != nil {
		return err
	}
	if err != nil {
		return err // as it is: a status that is wrapped is another one
	}
	return stream.SendMsg(&answer)
}

// dropped is what a caller sees whose connection broke.
func dropped(err error) error { return status.Error(codes.Unavailable, err.Error()) }

// passedOn leaves out what belongs to the connection.
func passedOn(headers metadata.MD) metadata.MD {
	kept := headers.Copy()
	for _, own := range []string{":authority", "content-type", "user-agent", "te", "grpc-accept-encoding"} {
		delete(kept, own)
	}
	return kept
}

// named is what happens in a call, for those at which somebody may be killed. The activities are those that call the
// processor: their task tokens name their types.
func named(method string, request []byte) string {
	ofProcessor := bytes.Contains(request, []byte("Processor"))
	switch {
	case method == "RespondActivityTaskCompleted" && ofProcessor:
		return activityCompleted
	case method == "RespondActivityTaskFailed" && ofProcessor:
		return activityFailed
	case method == "RespondWorkflowTaskCompleted":
		return workflowTask
	default:
		return method
	}
}

// verbatim takes messages as they are on the wire.
type verbatim struct{}

// Name implements encoding.CodecV2. It is what the messages really are.
func (verbatim) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (verbatim) Marshal(message any) (mem.BufferSlice, error) {
	raw, ok := message.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("a message of type %T", message)
	}
	return mem.BufferSlice{mem.SliceBuffer(*raw)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (verbatim) Unmarshal(data mem.BufferSlice, message any) error {
	raw, ok := message.(*[]byte)
	if !ok {
		return fmt.Errorf("a message of type %T", message)
	}
	*raw = data.Materialize()
	return nil
}
