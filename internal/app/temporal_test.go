package app

import (
	"context"
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
