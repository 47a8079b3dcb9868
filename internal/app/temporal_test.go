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

// namespaces is a Temporal server as far as CheckNamespace looks at it.
type namespaces struct {
	describeErr error
	attributes  map[string]enumspb.IndexedValueType
	listErr     error
}

type namespaceClient struct {
	client.Client
	server namespaces
}

func (c namespaceClient) WorkflowService() workflowservice.WorkflowServiceClient {
	return namespaceService{server: c.server}
}

func (c namespaceClient) OperatorService() operatorservice.OperatorServiceClient {
	return attributeService{server: c.server}
}

type namespaceService struct {
	workflowservice.WorkflowServiceClient
	server namespaces
}

func (s namespaceService) DescribeNamespace(_ context.Context, req *workflowservice.DescribeNamespaceRequest, _ ...grpc.CallOption) (*workflowservice.DescribeNamespaceResponse, error) {
	if req.GetNamespace() != "shop" {
		return nil, errors.New("asked for another namespace")
	}
	return &workflowservice.DescribeNamespaceResponse{}, s.server.describeErr
}

type attributeService struct {
	operatorservice.OperatorServiceClient
	server namespaces
}

func (s attributeService) ListSearchAttributes(_ context.Context, req *operatorservice.ListSearchAttributesRequest, _ ...grpc.CallOption) (*operatorservice.ListSearchAttributesResponse, error) {
	if req.GetNamespace() != "shop" {
		return nil, errors.New("asked for another namespace")
	}
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: s.server.attributes}, s.server.listErr
}

func without(names ...string) map[string]enumspb.IndexedValueType {
	attributes := maps.Clone(SearchAttributes)
	for _, name := range names {
		delete(attributes, name)
	}
	return attributes
}

func TestCheckNamespaceSaysWhichCommandHelps(t *testing.T) {
	wrong := without()
	wrong["Amount"] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	more := without()
	more["CustomKeywordField"] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	for name, c := range map[string]struct {
		server namespaces
		want   string // empty: no error
	}{
		"everything is there":    {namespaces{attributes: without()}, ""},
		"other attributes, too":  {namespaces{attributes: more}, ""},
		"no namespace":           {namespaces{describeErr: serviceerror.NewNamespaceNotFound("shop")}, `namespace "shop" does not exist: create it with ` + "`temporal operator namespace create --namespace shop`" + `, or set TEMPORAL_NAMESPACE`},
		"describing fails":       {namespaces{describeErr: serviceerror.NewPermissionDenied("no", "")}, `describing namespace "shop": no`},
		"listing fails":          {namespaces{listErr: serviceerror.NewUnavailable("later")}, `listing the search attributes of namespace "shop": later`},
		"one attribute missing":  {namespaces{attributes: without("Amount")}, "search attributes are missing in namespace \"shop\"; register them with\n  temporal operator search-attribute create --namespace shop --name Amount --type Int"},
		"two attributes missing": {namespaces{attributes: without("PaymentId", "Amount")}, "--name Amount --type Int\n  temporal operator search-attribute create --namespace shop --name PaymentId --type Keyword"},
		"one of a wrong type":    {namespaces{attributes: wrong}, "# Amount is registered as Keyword but must be Int"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckNamespace(t.Context(), namespaceClient{server: c.server}, "shop")
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

// dial is Dial without whatever Temporal the machine is set up for.
func dial(t *testing.T, address string) (client.Client, error) {
	t.Helper()
	t.Setenv("TEMPORAL_CONFIG_FILE", filepath.Join(t.TempDir(), "none.toml"))
	t.Setenv("TEMPORAL_ADDRESS", address)
	temporal, _, err := Dial(t.Context(), TemporalLogger(zap.NewNop()), nil)
	return temporal, err
}

func TestDialNamesTheAddressAndWhatToDo(t *testing.T) {
	began := time.Now()
	_, err := dial(t, "127.0.0.1:1")
	require.ErrorContains(t, err, "no Temporal server answers at 127.0.0.1:1: start one (make demo, or docker compose up), or set TEMPORAL_ADDRESS")
	require.Less(t, time.Since(began), 15*time.Second)
}

func TestDialGivesUpOnAServerThatSaysNothing(t *testing.T) {
	listener, err := Listen(t.Context(), "127.0.0.1:0", "")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go swallow(connection)
		}
	}()
	began := time.Now()
	_, err = dial(t, listener.Addr().String())
	require.ErrorContains(t, err, "no Temporal server answers at "+listener.Addr().String())
	require.Less(t, time.Since(began), 15*time.Second)
}

func swallow(connection net.Conn) {
	defer func() { _ = connection.Close() }()
	_, _ = io.Copy(io.Discard, connection) // until the client gives up
}

func TestABadProfileIsNamed(t *testing.T) {
	t.Setenv("TEMPORAL_PROFILE", "staging")
	_, err := dial(t, "")
	require.ErrorContains(t, err, "the Temporal client's environment or profile: ")
	require.ErrorContains(t, err, "staging")
}
