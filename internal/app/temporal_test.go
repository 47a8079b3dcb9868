package app

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/stats"

	"github.com/florinpay/florin/internal/tlstest"
)

// fakeServer has the responses of a Temporal server to CheckNamespace.
type fakeServer struct {
	describeErr error
	// activityErr is the error of describing an activity that does not exist; nil: it is not found.
	activityErr error
	attributes  map[string]enumspb.IndexedValueType
	listErr     error
}

type namespaceClient struct {
	client.Client
	server fakeServer
}

func (c namespaceClient) WorkflowService() workflowservice.WorkflowServiceClient {
	return namespaceService{server: c.server}
}

func (c namespaceClient) OperatorService() operatorservice.OperatorServiceClient {
	return attributeService{server: c.server}
}

type namespaceService struct {
	workflowservice.WorkflowServiceClient
	server fakeServer
}

func (s namespaceService) DescribeNamespace(
	_ context.Context, req *workflowservice.DescribeNamespaceRequest, _ ...grpc.CallOption,
) (*workflowservice.DescribeNamespaceResponse, error) {
	if req.GetNamespace() != "shop" {
		return nil, errors.New("unexpected namespace")
	}
	return &workflowservice.DescribeNamespaceResponse{}, s.server.describeErr
}

func (s namespaceService) DescribeActivityExecution(
	_ context.Context, req *workflowservice.DescribeActivityExecutionRequest, _ ...grpc.CallOption,
) (*workflowservice.DescribeActivityExecutionResponse, error) {
	if req.GetNamespace() != "shop" {
		return nil, errors.New("unexpected namespace")
	}
	if s.server.activityErr != nil {
		return nil, s.server.activityErr
	}
	return nil, serviceerror.NewNotFound("no such activity")
}

type attributeService struct {
	operatorservice.OperatorServiceClient
	server fakeServer
}

func (s attributeService) ListSearchAttributes(
	_ context.Context, req *operatorservice.ListSearchAttributesRequest, _ ...grpc.CallOption,
) (*operatorservice.ListSearchAttributesResponse, error) {
	if req.GetNamespace() != "shop" {
		return nil, errors.New("unexpected namespace")
	}
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: s.server.attributes}, s.server.listErr
}

// without returns the search attributes except those with the names.
func without(names ...string) map[string]enumspb.IndexedValueType {
	attributes := maps.Clone(SearchAttributes)
	for _, name := range names {
		delete(attributes, name)
	}
	return attributes
}

func TestErrorOfCheckNamespaceNamesTheRemedy(t *testing.T) {
	wrongType := without()
	wrongType["Amount"] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	additional := without()
	additional["CustomKeywordField"] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	for _, tt := range []struct {
		name   string
		server fakeServer
		want   string // empty: no error
	}{
		{name: "all search attributes", server: fakeServer{attributes: without()}},
		{name: "additional search attributes", server: fakeServer{attributes: additional}},
		{
			name:   "no namespace",
			server: fakeServer{describeErr: serviceerror.NewNamespaceNotFound("shop")},
			want: `namespace "shop" does not exist: create it with ` +
				"`temporal operator namespace create --namespace shop`" + `, or set TEMPORAL_NAMESPACE`,
		},
		{
			name:   "describing the namespace fails",
			server: fakeServer{describeErr: serviceerror.NewPermissionDenied("no", "")},
			want:   `describing namespace "shop": no`,
		},
		{
			name:   "a server without standalone activities",
			server: fakeServer{activityErr: serviceerror.NewUnimplemented("unknown method DescribeActivityExecution")},
			want: "the Temporal server has no standalone activities, with which Florin reads payments: " +
				"update it to a version that has them, such as 1.32, and enable them",
		},
		{
			name:   "checking for standalone activities fails",
			server: fakeServer{activityErr: serviceerror.NewPermissionDenied("no", "")},
			want:   "checking whether the Temporal server has standalone activities: no",
		},
		{
			name:   "listing the search attributes fails",
			server: fakeServer{listErr: serviceerror.NewUnavailable("later")},
			want:   `listing the search attributes of namespace "shop": later`,
		},
		{
			name:   "one search attribute is missing",
			server: fakeServer{attributes: without("Amount")},
			want: "search attributes are missing in namespace \"shop\"; register them with\n" +
				"  temporal operator search-attribute create --namespace shop --name Amount --type Int",
		},
		{
			name:   "two search attributes are missing",
			server: fakeServer{attributes: without("PaymentId", "Amount")},
			want: "--name Amount --type Int\n" +
				"  temporal operator search-attribute create --namespace shop --name PaymentId --type Keyword",
		},
		{
			name:   "a search attribute has another type",
			server: fakeServer{attributes: wrongType},
			want:   "# Amount is registered as Keyword but must be Int",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := CheckNamespace(t.Context(), namespaceClient{server: tt.server}, "shop")
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// dial calls Dial with an address. It ignores the Temporal profiles of the machine.
func dial(t *testing.T, address string) (client.Client, error) {
	t.Helper()
	t.Setenv("TEMPORAL_CONFIG_FILE", filepath.Join(t.TempDir(), "none.toml"))
	t.Setenv("TEMPORAL_ADDRESS", address)
	temporal, _, err := Dial(t.Context(), TemporalLogger(zap.NewNop()), nil)
	return temporal, err
}

func TestTemporalOnAnotherHostNeedsVerifiedTLS(t *testing.T) {
	const encrypt = "would not be encrypted: set TEMPORAL_TLS=true, with TEMPORAL_TLS_SERVER_CA_CERT_PATH if its certificate is of a " +
		"private CA, or FLORIN_TEMPORAL_INSECURE=true"
	for _, tt := range []struct {
		name, address string
		env           map[string]string
		want          string // empty: Dial connects, in vain
	}{
		{name: "host", address: "temporal.example:7233", want: "the connection to the Temporal server at temporal.example:7233 " + encrypt},
		{name: "service of compose", address: "temporal:7233", want: encrypt},
		{name: "address", address: "192.0.2.1:7233", want: encrypt},
		{name: "IPv6 address", address: "[2001:db8::1]:7233", want: encrypt},
		{name: "all interfaces", address: "0.0.0.0:7233", want: encrypt},
		{name: "scheme", address: "dns:///temporal.example:7233", want: encrypt},
		{name: "resolver that may return any address", address: "xds:///localhost:7233", want: encrypt},
		{name: "name that begins like a local one", address: "localhost.example:7233", want: encrypt},
		{name: "plain text by a word of Temporal", address: "temporal.example:7233", env: map[string]string{"TEMPORAL_TLS": "false"}, want: encrypt},
		{
			name: "API key over plain text", address: "temporal.example:7233",
			env: map[string]string{"TEMPORAL_TLS": "false", "TEMPORAL_API_KEY": "secret"}, want: encrypt,
		},
		{
			name: "without verification", address: "temporal.example:7233", env: map[string]string{"TEMPORAL_TLS_DISABLE_HOST_VERIFICATION": "true"},
			want: "the Temporal server at temporal.example:7233 would not be verified: remove TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
		},
		{
			name: "another word", address: "temporal.example:7233", env: map[string]string{"FLORIN_TEMPORAL_INSECURE": "yes"},
			want: `FLORIN_TEMPORAL_INSECURE is "yes": want true or false`,
		},
		{name: "explicitly not", address: "temporal.example:7233", env: map[string]string{"FLORIN_TEMPORAL_INSECURE": "false"}, want: encrypt},
		{name: "explicitly", address: "temporal.invalid:7233", env: map[string]string{"FLORIN_TEMPORAL_INSECURE": "true"}},
		{name: "TLS", address: "temporal.invalid:7233", env: map[string]string{"TEMPORAL_TLS": "true"}},
		{name: "API key, which implies TLS", address: "temporal.invalid:7233", env: map[string]string{"TEMPORAL_API_KEY": "secret"}},
		{name: "loopback", address: "127.0.94.3:1"},
		{name: "IPv6 loopback", address: "[::1]:1"},
		{name: "localhost", address: "localhost:1"},
		{name: "localhost with a scheme", address: "dns:///localhost:1"},
		{name: "socket", address: "unix:///nowhere/temporal.sock"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			_, err := dial(t, tt.address)
			if tt.want == "" {
				require.ErrorContains(t, err, "no Temporal server answers at "+tt.address)
				return
			}
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

// temporalService answers what a client asks when it connects.
type temporalService struct {
	workflowservice.UnimplementedWorkflowServiceServer
}

func (temporalService) GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest) (*workflowservice.GetSystemInfoResponse, error) {
	return &workflowservice.GetSystemInfoResponse{}, nil
}

// serveTemporal starts a server with the responses that a client needs to connect, and returns its address.
func serveTemporal(t *testing.T, options ...grpc.ServerOption) (address string) {
	t.Helper()
	server := grpc.NewServer(options...)
	workflowservice.RegisterWorkflowServiceServer(server, temporalService{})
	listener, err := Listen(t.Context(), "127.0.0.1:0", "")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); require.NoError(t, <-served) })
	return listener.Addr().String()
}

func TestTemporalWithAPrivateAuthorityAndClientCertificates(t *testing.T) {
	authority, other := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	certificate, key := authority.Issue(t, "temporal", "127.0.0.1", "temporal.internal")
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	require.NoError(t, err)
	address := serveTemporal(t, grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: authority.Pool(), ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	})))

	certificate, key = authority.Issue(t, "florin")
	client := map[string]string{
		"TEMPORAL_TLS_SERVER_CA_CERT_PATH": tlstest.File(t, "ca.pem", authority.PEM),
		"TEMPORAL_TLS_CLIENT_CERT_PATH":    tlstest.File(t, "client.pem", certificate),
		"TEMPORAL_TLS_CLIENT_KEY_PATH":     tlstest.File(t, "client-key.pem", key),
	}
	without := func(name string) map[string]string {
		env := maps.Clone(client)
		delete(env, name)
		return env
	}
	with := func(name, value string) map[string]string {
		env := maps.Clone(client)
		env[name] = value
		return env
	}
	withoutCertificate := without("TEMPORAL_TLS_CLIENT_CERT_PATH")
	delete(withoutCertificate, "TEMPORAL_TLS_CLIENT_KEY_PATH")
	for _, tt := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{name: "verified", env: client},
		{name: "verified under another name", env: with("TEMPORAL_TLS_SERVER_NAME", "temporal.internal")},
		{name: "another name", env: with("TEMPORAL_TLS_SERVER_NAME", "other.internal"), want: "not other.internal"},
		{
			name: "another authority", env: with("TEMPORAL_TLS_SERVER_CA_CERT_PATH", tlstest.File(t, "other.pem", other.PEM)),
			want: "certificate signed by unknown authority",
		},
		{name: "the system's authorities", env: without("TEMPORAL_TLS_SERVER_CA_CERT_PATH"), want: "certificate signed by unknown authority"},
		{name: "no client certificate", env: withoutCertificate, want: "no Temporal server answers at " + address},
		{name: "plain text", want: "no Temporal server answers at " + address},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			temporal, err := dial(t, address)
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			temporal.Close()
		})
	}
}

// compressions collects the compressions of the requests of a server.
type compressions struct{ names chan string }

func (c compressions) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (c compressions) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (c compressions) HandleConn(context.Context, stats.ConnStats)                       {}
func (c compressions) HandleRPC(_ context.Context, s stats.RPCStats) {
	if header, ok := s.(*stats.InHeader); ok {
		c.names <- header.Compression
	}
}

func TestRequestsToTemporalAreNotCompressed(t *testing.T) {
	seen := compressions{names: make(chan string, 10)}
	temporal, err := dial(t, serveTemporal(t, grpc.StatsHandler(seen)))
	require.NoError(t, err)
	temporal.Close()
	require.NotEmpty(t, seen.names)
	for len(seen.names) > 0 {
		require.Empty(t, <-seen.names)
	}
}

func TestErrorOfDialNamesTheAddressAndTheRemedy(t *testing.T) {
	began := time.Now()
	_, err := dial(t, "127.0.0.1:1")
	require.ErrorContains(t, err, "no Temporal server answers at 127.0.0.1:1: "+
		"start one (make demo, or docker compose up), or set TEMPORAL_ADDRESS")
	require.Less(t, time.Since(began), 15*time.Second)
}

func TestDialGivesUpIfTheServerDoesNotRespond(t *testing.T) {
	listener, err := Listen(t.Context(), "127.0.0.1:0", "")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go discard(connection)
		}
	}()
	began := time.Now()
	_, err = dial(t, listener.Addr().String())
	require.ErrorContains(t, err, "no Temporal server answers at "+listener.Addr().String())
	require.Less(t, time.Since(began), 15*time.Second)
}

// discard reads from the connection, without a response, until the client gives up.
func discard(connection net.Conn) {
	defer func() { _ = connection.Close() }()
	_, _ = io.Copy(io.Discard, connection) // ends when the client closes the connection
}

func TestErrorOfAnUnknownProfileNamesIt(t *testing.T) {
	t.Setenv("TEMPORAL_PROFILE", "staging")
	_, err := dial(t, "")
	require.ErrorContains(t, err, "the Temporal client's environment or profile: ")
	require.ErrorContains(t, err, "staging")
}
